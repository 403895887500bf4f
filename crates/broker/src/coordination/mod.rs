//! Hosts the coordinators: one shard for each partition of an internal topic that this broker
//! leads. Groups live in `__consumer_offsets`, transactions in `__transaction_state`, what share
//! groups have done with records in `__share_group_state`.
//!
//! The rules are `naru_coordinators`'; this folder finds the shard of a group or a transactional
//! id, appends what the shard writes, gives it back the result, wakes its timers, hands answers to
//! who waits, and has markers written.

mod clock;
mod groups;
mod host;
mod internal_topics;
mod shard_set;
mod share_state;
mod topics;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use naru_controller::image::ResourceType;
pub(crate) use naru_controller::topic_name::{
    CONSUMER_OFFSETS as OFFSETS_TOPIC, SHARE_GROUP_STATE as SHARE_STATE_TOPIC,
    TRANSACTION_STATE as TRANSACTIONS_TOPIC,
};
use naru_controller::{MetadataDelta, MetadataImage};
use naru_coordinators::{
    Command, ConnectionId, GroupShard, Identity, Marker, Participants, Reply, ShareCommand,
    SharePartition, ShareReply, ShareShard, ShareStateError, Topics, TransactionShard,
    TransactionVersion, TxnCommand, TxnReply,
};
use naru_log::{Verification, VerificationGuard};
use naru_model::{ErrorCode, TopicPartition, Uuid};

use internal_topics::InternalTopics;
pub(crate) use internal_topics::create_internal_topics;
use shard_set::ShardSet;
pub(crate) use shard_set::partition_of;

use crate::node::Node;
use crate::partition::TxnMarker;

/// The shards of this broker.
#[derive(Debug, Default)]
pub(crate) struct Coordination {
    groups: ShardSet<GroupShard>,
    internal_topics: InternalTopics,
    transactions: ShardSet<TransactionShard>,
    share_states: ShardSet<ShareShard>,
}

impl Coordination {
    /// Topics of Kafka Streams applications that are being created.
    pub(crate) fn internal_topics(&self) -> &InternalTopics {
        &self.internal_topics
    }

    /// Takes over the partitions of internal topics that this broker leads now; gives up those
    /// that it no longer leads.
    pub(crate) fn adopt(&self, node: &Arc<Node>, image: &MetadataImage) {
        self.groups.adopt(node, image);
        self.transactions.adopt(node, image);
        self.share_states.adopt(node, image);
    }

    /// Tells the shards what of a change of the metadata concerns them: topics and who may see
    /// them, racks, and what groups and brokers set.
    pub(crate) fn learn(
        &self,
        node: &Arc<Node>,
        image: &Arc<MetadataImage>,
        delta: &MetadataDelta,
    ) {
        let changed = topics::changed_topics(image, delta);
        let racks = !delta.brokers_changed.is_empty();
        let rights = delta.other_changed && node.security().authorizer().is_some();
        if racks || rights || !changed.is_empty() {
            let topics = topics::ImageTopics::new(node, Arc::clone(image));
            let topics: Arc<dyn Topics> = Arc::new(topics);
            for host in self.groups.all() {
                host.teach(|shard| shard.on_metadata(Arc::clone(&topics), &changed, racks));
            }
            for host in self.share_states.all() {
                host.teach(|shard| shard.on_metadata(Arc::clone(&topics)));
            }
        }
        for resource in &delta.configs_changed {
            match resource.kind {
                ResourceType::Group => {
                    if let Ok(host) = self.groups.shard_of(&resource.name) {
                        let own = image.config(resource);
                        host.teach(|shard| groups::configure(shard, &resource.name, &own));
                    }
                }
                ResourceType::Broker => self.groups.reconfigure(node),
                ResourceType::Topic | ResourceType::BrokerLogger | ResourceType::ClientMetrics => {}
            }
        }
        if delta.features_changed {
            self.transactions.reconfigure(node);
        }
    }

    /// Asks the shard of `group`.
    pub(crate) async fn ask(&self, group: &str, command: Command) -> Result<Reply, ErrorCode> {
        self.groups.shard_of(group)?.ask(command).await
    }

    /// Hands a command to the shard of a share partition; the answer comes by what is given back.
    pub(crate) fn submit_share_state(
        &self,
        partition: &SharePartition,
        command: ShareCommand,
    ) -> Result<impl Future<Output = ShareReply> + Send + use<>, ErrorCode> {
        let answer = self.share_states.shard_of(&partition.to_string())?.submit(command)?;
        // A sender is dropped unanswered only when the node stops.
        let gone = ShareReply::Refused(ShareStateError::Log(ErrorCode::CoordinatorNotAvailable));
        Ok(async move { answer.await.unwrap_or(gone) })
    }

    /// The guard that offsets have to bring which begin this producer's transaction in the
    /// partition of `group`, once its coordinator has said yes; none if it has begun there.
    pub(crate) fn begin_verification(
        &self,
        group: &str,
        producer: Identity,
        bumps_epochs: bool,
    ) -> Result<Option<VerificationGuard>, ErrorCode> {
        self.groups.shard_of(group)?.begin_verification(producer, bumps_epochs)
    }

    /// Asks the shard of `group`; what it writes as part of a transaction brings `verification`.
    pub(crate) async fn ask_verified(
        &self,
        group: &str,
        command: Command,
        verification: Verification,
    ) -> Result<Reply, ErrorCode> {
        let answer = self.groups.shard_of(group)?.submit_verified(command, verification)?;
        answer.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }

    /// Asks every group shard of this broker the same.
    pub(crate) async fn ask_all(&self, command: &Command) -> Vec<Result<Reply, ErrorCode>> {
        let mut replies = Vec::new();
        for shard in self.groups.all() {
            replies.push(shard.ask(command.clone()).await);
        }
        replies
    }

    /// Asks the shard of a transactional id.
    pub(crate) async fn ask_transaction(
        &self,
        transactional_id: &str,
        command: TxnCommand,
    ) -> Result<TxnReply, ErrorCode> {
        match self.transactions.shard_of(transactional_id)?.ask(command).await {
            Ok(TxnReply::Refused(error)) | Err(error) => Err(error),
            answered => answered,
        }
    }

    /// Has partitions join a transaction, all or none, or looks whether each has.
    pub(crate) async fn participate(
        &self,
        participants: Participants,
        verify_only: bool,
        version: TransactionVersion,
        via: Option<ConnectionId>,
    ) -> Result<BTreeMap<TopicPartition, ErrorCode>, ErrorCode> {
        let id = participants.transactional_id.clone();
        let partitions = participants.partitions.clone();
        let command = if verify_only {
            TxnCommand::Verify(participants)
        } else {
            TxnCommand::AddPartitions { participants, version, via }
        };
        match self.ask_transaction(&id, command).await {
            Ok(TxnReply::Added) => {
                Ok(partitions.into_iter().map(|one| (one, ErrorCode::None)).collect())
            }
            Ok(TxnReply::Verified(verified)) => Ok(verified.into_iter().collect()),
            other => Err(ErrorCode::from_code(unexpected(other))),
        }
    }

    /// Asks every transaction shard of this broker the same.
    pub(crate) async fn ask_all_transactions(
        &self,
        command: &TxnCommand,
    ) -> Result<Vec<TxnReply>, ErrorCode> {
        let mut replies = Vec::new();
        for shard in self.transactions.all() {
            replies.push(shard.ask(command.clone()).await?);
        }
        Ok(replies)
    }

    /// Ends a producer's transaction in a partition of `__consumer_offsets`: the shard appends the
    /// marker at once, and the offsets count or are forgotten when it is stored, which is told by
    /// what is given back.
    pub(crate) fn end_transaction(
        &self,
        index: i32,
        marker: TxnMarker,
    ) -> Result<impl Future<Output = Result<(), ErrorCode>> + Send + use<>, ErrorCode> {
        let shard = self.groups.at(index).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let marker = Marker {
            producer: Identity { id: marker.producer_id, epoch: marker.producer_epoch },
            commit: marker.committed,
            coordinator_epoch: marker.coordinator_epoch,
            version: TransactionVersion(marker.transaction_version.into()),
        };
        let answer = shard.submit(Command::EndTransaction(marker))?;
        Ok(async move {
            match answer.await {
                Ok(Reply::TransactionEnded(result)) => result,
                Ok(other) => Err(ErrorCode::from_code(unexpected(Ok(other)))),
                Err(_) => Err(ErrorCode::NotLeaderOrFollower),
            }
        })
    }

    /// Gives every shard up, because the node stops.
    pub(crate) fn unload(&self) {
        self.groups.unload();
        self.transactions.unload();
        self.share_states.unload();
    }

    /// Tells every group shard and every share coordinator that topics are gone.
    pub(crate) fn topics_deleted(&self, topics: &[(String, Uuid)]) {
        let names: Vec<String> = topics.iter().map(|(name, _)| name.clone()).collect();
        let ids: Vec<Uuid> = topics.iter().map(|(_, id)| *id).collect();
        for shard in self.groups.all() {
            shard.tell(Command::TopicsDeleted { topics: names.clone(), ids: ids.clone() });
        }
        for shard in self.share_states.all() {
            shard.tell(ShareCommand::TopicsDeleted { topics: ids.clone() });
        }
    }
}

/// The partition of the offsets topic that has a group's offsets; none until the topic exists.
pub(crate) fn partition_of_group(image: &MetadataImage, group: &str) -> Option<i32> {
    partition_of(image, OFFSETS_TOPIC, group)
}

/// The error code for an answer that is no answer to what was asked.
pub(crate) fn unexpected<R: std::fmt::Debug>(answer: Result<R, ErrorCode>) -> i16 {
    match answer {
        Err(error) => error.code(),
        Ok(reply) => {
            tracing::error!(?reply, "a shard answered something else than it was asked");
            ErrorCode::UnknownServerError.code()
        }
    }
}
