//! Producing in a transaction: it begins in a partition only with the coordinator's word, as
//! `broker::api::{produce, verified, txn_offset_commit, txn_markers}` and `broker::peer::verify` do.
//!
//! Different from there: a coordinator that is busy is asked again by the client only.

use std::collections::BTreeSet;

use naru_controller::topic_name::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use naru_coordinators::{
    Command, GroupShard, Identity, Participants, TransactionVersion, TxnCommand, TxnReply,
};
use naru_log::{Verification, VerificationGuard};
use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequest;
use naru_records::{BatchHeader, ProducerStamp};
use naru_replication::PartitionKey;

use super::{Awaited, Broker};
use crate::env::Env;
use crate::message::{
    Failed, InTransaction, MarkerAsk, ProduceAnswer, ProduceAsk, Request, Response, Ticket,
};

/// What waits for the coordinator's word.
#[derive(Debug)]
pub(super) enum Waiting {
    Batch(ProduceAsk),
    /// Offsets, which must not begin a transaction without it either.
    Offsets(Box<TxnOffsetCommitRequest>, InTransaction),
}

/// See [`Waiting`].
#[derive(Debug)]
pub(super) struct Verifying {
    ticket: Ticket,
    waiting: Waiting,
    guard: VerificationGuard,
}

/// Guard, coordinator and question; none if the transaction has begun.
type Begun = Result<Option<(VerificationGuard, i32, TxnCommand)>, ErrorCode>;

impl Broker {
    pub(super) fn produce(&mut self, env: &mut Env<'_>, ticket: Ticket, ask: ProduceAsk) {
        let Some(transaction) = ask.transaction else {
            return self.append(env, ticket, &ask, Verification::NotNeeded);
        };
        let stamp = BatchHeader::parse(&ask.batch).ok().and_then(|header| header.producer());
        let begun = match stamp {
            Some(stamp) => self.begin(env, ask.key, stamp, transaction),
            None => Err(ErrorCode::InvalidRecord),
        };
        self.verify(env, ticket, Waiting::Batch(ask), begun);
    }

    /// Goes on, or asks the coordinator first.
    pub(super) fn verify(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        waiting: Waiting,
        begun: Begun,
    ) {
        match begun {
            Ok(None) => self.proceed(env, ticket, waiting, Verification::Needed(None)),
            Ok(Some((guard, coordinator, command))) => {
                let request = Request::Transaction(Box::new(command));
                let rpc = self.ask_broker(env, coordinator, request);
                let verifying = Box::new(Verifying { ticket, waiting, guard });
                self.awaited.insert(rpc, Awaited::Verification(verifying));
            }
            Err(error) => refuse(env, ticket, &waiting, error),
        }
    }

    fn proceed(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        waiting: Waiting,
        verification: Verification,
    ) {
        match waiting {
            Waiting::Batch(ask) => self.append(env, ticket, &ask, verification),
            Waiting::Offsets(request, _) => {
                let command = Command::TxnOffsetCommit(*request);
                self.ask_shard::<GroupShard>(env, ticket, command, verification);
            }
        }
    }

    fn append(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        ask: &ProduceAsk,
        verification: Verification,
    ) {
        match self.partitions.get_mut(&ask.key) {
            Some(partition) => {
                partition.produce(env, &self.brokers, ticket, &ask.batch, verification);
            }
            None => {
                let error = ErrorCode::NotLeaderOrFollower;
                env.answer(ticket, Response::Produce(ProduceAnswer { error, base_offset: -1 }));
            }
        }
    }

    /// Whether a transaction would begin in a partition.
    pub(super) fn begin(
        &mut self,
        env: &Env<'_>,
        key: PartitionKey,
        stamp: ProducerStamp,
        transaction: InTransaction,
    ) -> Begun {
        let partition = self.partitions.get_mut(&key).ok_or(ErrorCode::NotLeaderOrFollower)?;
        if partition.offline {
            return Err(ErrorCode::KafkaStorageError);
        }
        if !partition.replica.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let now = env.wall();
        let Some(guard) = partition.log.begin_verification(stamp, transaction.adds, now) else {
            return Ok(None);
        };
        let image = &self.published;
        let topic = image.topic_by_id(key.topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let coordinator = image.partition(TRANSACTION_STATE, 0).and_then(|one| one.leader);
        let coordinator = coordinator.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let one = TopicPartition::new(topic.name.to_string(), key.partition);
        let participants = Participants {
            transactional_id: transaction.transactional_id.to_owned(),
            producer: Identity { id: stamp.id, epoch: stamp.epoch },
            partitions: BTreeSet::from([one]),
        };
        let command = if transaction.adds {
            TxnCommand::AddPartitions { participants, version: TransactionVersion::V2, via: None }
        } else {
            TxnCommand::Verify(participants)
        };
        Ok(Some((guard, coordinator, command)))
    }

    /// The coordinator has spoken, or has not.
    pub(super) fn verified(
        &mut self,
        env: &mut Env<'_>,
        verifying: Verifying,
        result: Result<Response, Failed>,
    ) {
        let error = match result {
            Ok(Response::Transaction(Ok(TxnReply::Added))) => ErrorCode::None,
            Ok(Response::Transaction(Ok(TxnReply::Verified(verdicts)))) => {
                verdicts.first().map_or(ErrorCode::UnknownServerError, |(_, verdict)| *verdict)
            }
            Ok(Response::Transaction(Ok(TxnReply::Refused(error)) | Err(error))) => error,
            Ok(_) => ErrorCode::UnknownServerError,
            Err(_) => ErrorCode::NetworkException,
        };
        let Verifying { ticket, waiting, guard } = verifying;
        let adds = match &waiting {
            Waiting::Batch(ask) => ask.transaction.is_some_and(|transaction| transaction.adds),
            Waiting::Offsets(_, transaction) => transaction.adds,
        };
        let error = match error {
            ErrorCode::None => {
                return self.proceed(env, ticket, waiting, Verification::Needed(Some(guard)));
            }
            // Clients of any age try again without looking for another leader.
            ErrorCode::NetworkException
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
            ErrorCode::ConcurrentTransactions if !adds => ErrorCode::NotEnoughReplicas,
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            error => error,
        };
        refuse(env, ticket, &waiting, error);
    }

    /// Ends a transaction in a partition that this broker leads.
    pub(super) fn write_marker(&mut self, env: &mut Env<'_>, ticket: Ticket, ask: &MarkerAsk) {
        if ask.partition.topic == CONSUMER_OFFSETS {
            // The group coordinator has to know which offsets count from now on.
            return self.ask_groups(env, ticket, Command::EndTransaction(ask.marker));
        }
        let topic = self.published.topic(&ask.partition.topic);
        let key =
            topic.map(|topic| PartitionKey { topic: topic.id, partition: ask.partition.partition });
        match key.and_then(|key| self.partitions.get_mut(&key)) {
            Some(partition) => partition.write_marker(env, &self.brokers, ticket, ask.marker),
            None => {
                env.answer(ticket, Response::Marker(ErrorCode::NotLeaderOrFollower));
            }
        }
    }
}

fn refuse(env: &mut Env<'_>, ticket: Ticket, waiting: &Waiting, error: ErrorCode) {
    let response = match waiting {
        Waiting::Batch(_) => Response::Produce(ProduceAnswer { error, base_offset: -1 }),
        Waiting::Offsets(..) => Response::Group(Err(error)),
    };
    env.answer(ticket, response);
}
