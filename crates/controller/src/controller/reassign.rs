//! AlterPartitionReassignments (key 45, v0-v1) and ListPartitionReassignments (key 46, v0).
//! KIP-455.
//!
//! v1 may forbid a change of the replication factor (KIP-860). A reassignment is noted at once,
//! and ends with the AlterPartition that brings its last replica into the ISR.

use naru_model::ErrorCode;
use naru_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition,
};
use naru_protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use naru_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use naru_protocol::messages::list_partition_reassignments_response::{
    ListPartitionReassignmentsResponse, OngoingPartitionReassignment, OngoingTopicReassignment,
};

use super::changes::Changes;
use super::index::PartitionKey;
use super::partition_change::{Election, PartitionChange};
use super::reassignment::{Reassignment, in_progress, reverted};
use super::{Controller, TopicError};
use crate::image::{PartitionImage, TopicImage};
use crate::records::{Decision, RECORDS_PER_REQUEST_MAX};

/// Why a partition is not reassigned. The texts are Apache Kafka 4.3.1's: tools print them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what the variant is")]
pub enum ReassignmentError {
    #[error("Unable to find a topic named {0}.")]
    UnknownTopic(String),
    #[error("Unable to find partition {0}:{1}.")]
    UnknownPartition(String, i32),
    #[error("No partition reassignment is in progress.")]
    NotInProgress,
    #[error(
        "Unable to revert partition assignment for {topic}:{partition} because it would require \
         an unclean leader election."
    )]
    UncleanRevert { topic: String, partition: i32 },
    #[error("Invalid replica assignment: addingReplicas contains all replicas.")]
    NothingToRevertTo,
    #[error("{0}")]
    Assignment(#[from] TopicError),
    #[error("The replication factor is changed from {from} to {to}")]
    ReplicationFactorChanged { from: usize, to: usize },
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
}

impl ReassignmentError {
    /// The code a client gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic(_) | Self::UnknownPartition(..) => {
                ErrorCode::UnknownTopicOrPartition
            }
            Self::NotInProgress => ErrorCode::NoReassignmentInProgress,
            Self::UncleanRevert { .. } | Self::NothingToRevertTo => {
                ErrorCode::InvalidReplicaAssignment
            }
            Self::Assignment(error) => error.code(),
            Self::ReplicationFactorChanged { .. } => ErrorCode::InvalidReplicationFactor,
            Self::TooManyRecords => ErrorCode::PolicyViolation,
        }
    }
}

impl Controller {
    /// Decides an AlterPartitionReassignments request, partition by partition.
    pub fn decide_alter_reassignments(
        &self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> Decision<AlterPartitionReassignmentsResponse> {
        let mut changes = Changes::new(self);
        let may_resize = request.allow_replication_factor_change;
        let responses = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                let error = self.reassign(&topic.name, asked, may_resize, &mut changes).err();
                ReassignablePartitionResponse {
                    partition_index: asked.partition_index,
                    error_code: error.as_ref().map_or(0, |error| error.code().code()),
                    error_message: error.map(|error| error.to_string()),
                }
            });
            let partitions = partitions.collect();
            ReassignableTopicResponse { name: topic.name.clone(), partitions }
        });
        let responses = responses.collect();
        let response = AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: may_resize,
            // An empty text, not none, to who asks for nothing: so Kafka answers.
            error_message: request.topics.is_empty().then(String::new),
            responses,
            ..AlterPartitionReassignmentsResponse::default()
        };
        Decision { records: changes.records, response }
    }

    fn reassign(
        &self,
        topic: &str,
        asked: &ReassignablePartition,
        may_resize: bool,
        changes: &mut Changes<'_>,
    ) -> Result<(), ReassignmentError> {
        let unknown = || ReassignmentError::UnknownTopic(topic.to_owned());
        let image = self.image.topic(topic).ok_or_else(unknown)?;
        let key = (image.id, asked.partition_index);
        let before = changes.partition(key).ok_or_else(|| {
            ReassignmentError::UnknownPartition(topic.to_owned(), asked.partition_index)
        })?;
        if changes.records.len() >= RECORDS_PER_REQUEST_MAX {
            return Err(ReassignmentError::TooManyRecords);
        }
        match &asked.replicas {
            None => self.cancel(image, key, &before, changes),
            Some(target) => {
                self.check_assignment(target, None)?;
                if !may_resize {
                    check_size(&before, target)?;
                }
                let to = Reassignment::new(&before.replicas, target);
                let mut adding = to.adding;
                if adding.is_empty() {
                    // What an earlier reassignment adds is still to come. (Apache Kafka keeps
                    // also what that one removes if the target has all replicas.)
                    adding = before.adding_replicas.clone();
                    adding.retain(|id| target.contains(id));
                }
                let rules = changes.rules(image).change;
                let change = PartitionChange::of(&before, rules)
                    .replicas(to.replicas)
                    .removing(to.removing)
                    .adding(adding);
                changes.build(key, change);
                Ok(())
            }
        }
    }

    fn cancel(
        &self,
        topic: &TopicImage,
        key: PartitionKey,
        before: &PartitionImage,
        changes: &mut Changes<'_>,
    ) -> Result<(), ReassignmentError> {
        if !in_progress(before) {
            return Err(ReassignmentError::NotInProgress);
        }
        let back = reverted(before).ok_or(ReassignmentError::NothingToRevertTo)?;
        let rules = changes.rules(topic);
        if back.unclean && !rules.unclean {
            let (topic, partition) = (topic.name.to_string(), key.1);
            return Err(ReassignmentError::UncleanRevert { topic, partition });
        }
        // Apache Kafka says that the first of the old replicas is in sync, also if it is fenced.
        // An unclean election finds one that is there, and says that records may be lost.
        let isr = if back.unclean && rules.change.elr { Vec::new() } else { back.isr };
        let change = PartitionChange::of(before, rules.change)
            .election(if rules.unclean { Election::Unclean } else { Election::Online })
            .isr(isr)
            .replicas(back.replicas)
            .removing(Vec::new())
            .adding(Vec::new());
        changes.build(key, change);
        Ok(())
    }

    /// Answers a ListPartitionReassignments request.
    pub fn list_reassignments(
        &self,
        request: &ListPartitionReassignmentsRequest,
    ) -> ListPartitionReassignmentsResponse {
        let mut topics: Vec<OngoingTopicReassignment> = Vec::new();
        let ongoing = |topic: &TopicImage, index: i32| {
            let partition = topic.partitions.get(&index).filter(|p| in_progress(p))?;
            Some(OngoingPartitionReassignment {
                partition_index: index,
                replicas: partition.replicas.clone(),
                adding_replicas: partition.adding_replicas.clone(),
                removing_replicas: partition.removing_replicas.clone(),
            })
        };
        match &request.topics {
            Some(asked) => {
                // A topic that is asked for twice is told twice.
                for asked in asked {
                    let Some(topic) = self.image.topic(&asked.name) else { continue };
                    let indexes = asked.partition_indexes.iter();
                    let partitions: Vec<_> = indexes.filter_map(|i| ongoing(topic, *i)).collect();
                    if !partitions.is_empty() {
                        let name = topic.name.to_string();
                        topics.push(OngoingTopicReassignment { name, partitions });
                    }
                }
            }
            None => {
                for (topic_id, index) in self.index.reassigning() {
                    let Some(topic) = self.image.topic_by_id(topic_id) else { continue };
                    let Some(partition) = ongoing(topic, index) else { continue };
                    match topics.last_mut().filter(|last| last.name == *topic.name) {
                        Some(last) => last.partitions.push(partition),
                        None => topics.push(OngoingTopicReassignment {
                            name: topic.name.to_string(),
                            partitions: vec![partition],
                        }),
                    }
                }
            }
        }
        ListPartitionReassignmentsResponse {
            topics,
            ..ListPartitionReassignmentsResponse::default()
        }
    }
}

/// Refuses a target of another size than the partition has, or will have.
fn check_size(before: &PartitionImage, target: &[i32]) -> Result<(), ReassignmentError> {
    let stays = |id: &&i32| !before.removing_replicas.contains(id);
    let from = before.replicas.iter().filter(stays).count();
    if from == target.len() {
        Ok(())
    } else {
        Err(ReassignmentError::ReplicationFactorChanged { from, to: target.len() })
    }
}
