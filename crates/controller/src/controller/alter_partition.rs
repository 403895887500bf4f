//! AlterPartition (key 56, v2-v3): a leader's ISR. KIP-497, 704, 841, 903.
//!
//! v2 topic ids, INELIGIBLE_REPLICA, NEW_LEADER_ELECTED · v3 the epoch of each broker of the ISR.
//! A larger ISR can end a reassignment, also by another leader.

use std::sync::Arc;

use naru_model::ErrorCode;
use naru_protocol::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData,
};
use naru_protocol::messages::alter_partition_response as answer;

use super::Controller;
use super::changes::Changes;
use super::partition_change::{Election, PartitionChange};
use crate::image::{PartitionImage, RECOVERING, TopicImage};
use crate::records::Decision;

/// No epoch is told: the broker is not checked for being the same process.
const ANY_EPOCH: i64 = -1;
/// The first version that tells epochs.
const EPOCHS_SINCE: i16 = 3;

impl Controller {
    /// Decides an AlterPartition request of the given version.
    pub fn decide_alter_partition(
        &self,
        request: &AlterPartitionRequest,
        version: i16,
    ) -> Decision<answer::AlterPartitionResponse> {
        if let Err(error) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            let response = answer::AlterPartitionResponse {
                error_code: error.code().code(),
                ..answer::AlterPartitionResponse::default()
            };
            return Decision { records: Vec::new(), response };
        }
        let mut changes = Changes::new(self);
        let mut topics = Vec::with_capacity(request.topics.len());
        for asked in &request.topics {
            let topic = self.image.topic_by_id(asked.topic_id);
            let partitions = asked.partitions.iter().map(|partition| {
                let altered = match topic {
                    Some(topic) => {
                        self.alter_isr(request.broker_id, topic, partition, version, &mut changes)
                    }
                    None => Err(ErrorCode::UnknownTopicId),
                };
                let partition_index = partition.partition_index;
                match altered {
                    Ok(now) => answer::PartitionData {
                        partition_index,
                        error_code: 0,
                        leader_id: now.leader.unwrap_or(-1),
                        leader_epoch: now.leader_epoch,
                        isr: now.isr.clone(),
                        leader_recovery_state: now.leader_recovery_state,
                        partition_epoch: now.partition_epoch,
                    },
                    Err(code) => answer::PartitionData {
                        partition_index,
                        error_code: code.code(),
                        ..answer::PartitionData::default()
                    },
                }
            });
            let partitions = partitions.collect();
            topics.push(answer::TopicData { topic_id: asked.topic_id, partitions });
        }
        let response =
            answer::AlterPartitionResponse { topics, ..answer::AlterPartitionResponse::default() };
        Decision { records: changes.records, response }
    }

    /// The partition with its new ISR, or why it has none.
    fn alter_isr(
        &self,
        broker: i32,
        topic: &TopicImage,
        asked: &PartitionData,
        version: i16,
        changes: &mut Changes<'_>,
    ) -> Result<Arc<PartitionImage>, ErrorCode> {
        let key = (topic.id, asked.partition_index);
        let before = changes.partition(key).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let isr: Vec<BrokerState> = if version < EPOCHS_SINCE {
            let known = asked.new_isr.iter();
            known.map(|id| BrokerState { broker_id: *id, broker_epoch: ANY_EPOCH }).collect()
        } else {
            asked.new_isr_with_epochs.clone()
        };
        self.check_isr(broker, &before, asked, &isr)?;
        let rules = changes.rules(topic);
        let change = PartitionChange::of(&before, rules.change)
            .election(if rules.unclean { Election::Unclean } else { Election::Online })
            .isr(isr.iter().map(|state| state.broker_id).collect())
            .recovery(asked.leader_recovery_state);
        changes.build(key, change);
        let after = changes.partition(key).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if after.leader != Some(broker) {
            // The end of a reassignment has taken the leader away: it has to read that first.
            return Err(ErrorCode::NewLeaderElected);
        }
        Ok(after)
    }

    fn check_isr(
        &self,
        broker: i32,
        before: &PartitionImage,
        asked: &PartitionData,
        isr: &[BrokerState],
    ) -> Result<(), ErrorCode> {
        // The leader knows more than this node does: another one is the active controller.
        if asked.leader_epoch > before.leader_epoch
            || asked.partition_epoch > before.partition_epoch
        {
            return Err(ErrorCode::NotController);
        }
        if asked.leader_epoch < before.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if before.leader != Some(broker) {
            return Err(ErrorCode::InvalidRequest);
        }
        if asked.partition_epoch < before.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let ids: Vec<i32> = isr.iter().map(|state| state.broker_id).collect();
        let once = |id: &i32| ids.iter().filter(|other| *other == id).count() == 1;
        if !ids.iter().all(|id| once(id) && before.replicas.contains(id)) || !ids.contains(&broker)
        {
            return Err(ErrorCode::InvalidRequest);
        }
        let recovering = match asked.leader_recovery_state {
            0 => false,
            RECOVERING => true,
            _ => return Err(ErrorCode::InvalidRequest),
        };
        let recovered = before.leader_recovery_state != RECOVERING;
        if recovering && (ids.len() > 1 || recovered) {
            return Err(ErrorCode::InvalidRequest);
        }
        if isr.iter().all(|state| self.is_eligible(state, before)) {
            Ok(())
        } else {
            Err(ErrorCode::IneligibleReplica)
        }
    }

    /// Whether a broker may be in an ISR: there, the process that the leader has seen, and not
    /// with a replica in a lost directory, which could never lead.
    fn is_eligible(&self, state: &BrokerState, partition: &PartitionImage) -> bool {
        self.image.broker(state.broker_id).is_some_and(|broker| {
            let same = state.broker_epoch == ANY_EPOCH || state.broker_epoch == broker.epoch;
            broker.is_active() && same && broker.has_online_dir(partition.directory_of(broker.id))
        })
    }
}
