//! CreatePartitions: more, never fewer.

use std::collections::HashMap;

use naru_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use naru_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use naru_quotas::MutationQuota;

use super::create_topics::PARTITIONS_PER_REQUEST_MAX;
use super::{Controller, TopicError};
use crate::records::{Decision, RecordAndVersion, take_decided};

impl Controller {
    /// Decides a CreatePartitions request, topic by topic.
    pub fn decide_create_partitions(
        &self,
        request: &CreatePartitionsRequest,
        quota: &mut MutationQuota,
    ) -> Decision<CreatePartitionsResponse> {
        let mut times: HashMap<&str, usize> = HashMap::new();
        for topic in &request.topics {
            *times.entry(&topic.name).or_default() += 1;
        }
        let mut records = Vec::new();
        let mut results: Vec<CreatePartitionsTopicResult> = Vec::new();
        for topic in &request.topics {
            let twice = times.get(topic.name.as_str()).is_some_and(|times| *times > 1);
            if twice && results.iter().any(|result| result.name == topic.name) {
                continue;
            }
            let added = if twice {
                Err(TopicError::DuplicateName)
            } else {
                self.more_partitions(topic, quota)
            };
            // Apache Kafka answers UNKNOWN_SERVER_ERROR here; the fault is the client's.
            let error = take_decided(&mut records, added, TopicError::TooManyRecords).err();
            results.push(CreatePartitionsTopicResult {
                name: topic.name.clone(),
                error_code: error.as_ref().map_or(0, |error| error.code().code()),
                // Kafka has no text for a topic that is not there.
                error_message: error
                    .filter(|error| *error != TopicError::UnknownTopic)
                    .map(|error| error.to_string()),
            });
        }
        if request.validate_only {
            records.clear();
        }
        let response = CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() };
        Decision { records, response }
    }

    fn more_partitions(
        &self,
        asked: &CreatePartitionsTopic,
        quota: &mut MutationQuota,
    ) -> Result<Vec<RecordAndVersion>, TopicError> {
        let topic = self.image.topic(&asked.name).ok_or(TopicError::UnknownTopic)?;
        let current = topic.partitions.len();
        let wanted = usize::try_from(asked.count).unwrap_or(0);
        if wanted == current {
            return Err(TopicError::SamePartitionCount(current));
        }
        let Some(additional) = wanted.checked_sub(current) else {
            let (name, asked) = (asked.name.clone(), asked.count);
            return Err(TopicError::FewerPartitions { name, current, asked });
        };
        if let Some(assignments) = &asked.assignments
            && assignments.len() != additional
        {
            let given = assignments.len();
            return Err(TopicError::AssignmentCount { additional, given });
        }
        if i64::try_from(additional).is_ok_and(|count| count > PARTITIONS_PER_REQUEST_MAX) {
            return Err(TopicError::TooManyPartitions);
        }
        if !quota.admit(additional) {
            return Err(TopicError::QuotaExceeded);
        }
        let replicas = topic.partitions.values().next().map_or(0, |p| p.replicas.len());
        let factor = i16::try_from(replicas).unwrap_or(i16::MAX);
        let placed: Vec<Vec<i32>> = match &asked.assignments {
            Some(assignments) => {
                for assignment in assignments {
                    self.check_assignment(&assignment.broker_ids, Some(replicas))?;
                }
                assignments.iter().map(|assignment| assignment.broker_ids.clone()).collect()
            }
            None => self.place(current, additional, factor)?,
        };
        let assigned = asked.assignments.is_some();
        let first = i32::try_from(current).unwrap_or(i32::MAX);
        let mut records = Vec::with_capacity(placed.len());
        for (index, replicas) in (first..).zip(placed) {
            let partition = self.new_partition(replicas).ok_or(if assigned {
                TopicError::AssignedBrokersFenced(index)
            } else {
                TopicError::AllReplicasFenced { factor }
            })?;
            records.push(self.versioned(partition.to_record(topic.id, index)));
        }
        Ok(records)
    }
}
