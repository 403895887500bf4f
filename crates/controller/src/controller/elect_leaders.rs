//! ElectLeaders (key 43, v0-v2). KIP-183, 460.
//!
//! v1 the kind of election. Without a list every partition is asked for, and only those that
//! needed an election are answered.

use naru_model::ErrorCode;
use naru_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use naru_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

use super::Controller;
use super::changes::Changes;
use super::partition_change::{Election, PartitionChange};
use crate::records::{Decision, RECORDS_PER_REQUEST_MAX};

/// Why a partition was not given a leader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what the variant is")]
pub enum ElectionError {
    #[error("No such topic as {0}")]
    UnknownTopic(String),
    #[error("No such partition as {0}-{1}")]
    UnknownPartition(String, i32),
    #[error("Leader election not needed for topic partition.")]
    NotNeeded,
    #[error("The preferred leader was not available.")]
    NoPreferredLeader,
    #[error("Eligible topic partition leaders are not available.")]
    NoEligibleLeader,
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
}

impl ElectionError {
    /// The code a client gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic(_) | Self::UnknownPartition(..) => {
                ErrorCode::UnknownTopicOrPartition
            }
            Self::NotNeeded => ErrorCode::ElectionNotNeeded,
            Self::NoPreferredLeader => ErrorCode::PreferredLeaderNotAvailable,
            Self::NoEligibleLeader => ErrorCode::EligibleLeadersNotAvailable,
            Self::TooManyRecords => ErrorCode::PolicyViolation,
        }
    }
}

/// The answer to an election of no kind.
fn unknown_kind(request: &ElectLeadersRequest) -> ElectLeadersResponse {
    let error_code = ErrorCode::InvalidRequest.code();
    let message = format!("Unknown election type {}", request.election_type);
    let results = request.topic_partitions.iter().flatten().map(|topic| {
        let refused = topic.partitions.iter().map(|partition| PartitionResult {
            partition_id: *partition,
            error_code,
            error_message: Some(message.clone()),
        });
        ReplicaElectionResult { topic: topic.topic.clone(), partition_result: refused.collect() }
    });
    let replica_election_results = results.collect();
    ElectLeadersResponse { error_code, replica_election_results, ..Default::default() }
}

impl Controller {
    /// Decides an ElectLeaders request.
    pub fn decide_elect_leaders(
        &self,
        request: &ElectLeadersRequest,
    ) -> Decision<ElectLeadersResponse> {
        let election = match request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            _ => {
                return Decision { records: Vec::new(), response: unknown_kind(request) };
            }
        };
        let mut changes = Changes::new(self);
        let mut results = Vec::new();
        let mut elect = |topic: &str, partitions: &mut dyn Iterator<Item = i32>, all: bool| {
            let mut partition_result = Vec::new();
            for partition in partitions {
                let elected = self.elect_leader(topic, partition, election, &mut changes);
                if all && elected == Err(ElectionError::NotNeeded) {
                    continue;
                }
                let error = elected.err();
                partition_result.push(PartitionResult {
                    partition_id: partition,
                    error_code: error.as_ref().map_or(0, |error| error.code().code()),
                    error_message: error.map(|error| error.to_string()),
                });
            }
            results.push(ReplicaElectionResult { topic: topic.to_owned(), partition_result });
        };
        match &request.topic_partitions {
            Some(asked) => {
                for topic in asked {
                    elect(&topic.topic, &mut topic.partitions.iter().copied(), false);
                }
            }
            None => {
                for topic in self.image.topics() {
                    elect(&topic.name, &mut topic.partitions.keys().copied(), true);
                }
            }
        }
        let response = ElectLeadersResponse {
            replica_election_results: results,
            ..ElectLeadersResponse::default()
        };
        Decision { records: changes.records, response }
    }

    fn elect_leader(
        &self,
        topic: &str,
        partition: i32,
        election: Election,
        changes: &mut Changes<'_>,
    ) -> Result<(), ElectionError> {
        let unknown = || ElectionError::UnknownTopic(topic.to_owned());
        let image = self.image.topic(topic).ok_or_else(unknown)?;
        let key = (image.id, partition);
        let before = changes
            .partition(key)
            .ok_or_else(|| ElectionError::UnknownPartition(topic.to_owned(), partition))?;
        let has_it = match election {
            Election::Preferred => {
                before.leader.is_some() && before.leader.as_ref() == before.replicas.first()
            }
            Election::Unclean | Election::Online => before.leader.is_some(),
        };
        if has_it {
            return Err(ElectionError::NotNeeded);
        }
        if changes.records.len() >= RECORDS_PER_REQUEST_MAX {
            return Err(ElectionError::TooManyRecords);
        }
        let rules = changes.rules(image).change;
        let change = PartitionChange::of(&before, rules).election(election);
        if changes.build(key, change) {
            Ok(())
        } else if election == Election::Preferred {
            Err(ElectionError::NoPreferredLeader)
        } else {
            Err(ElectionError::NoEligibleLeader)
        }
    }
}
