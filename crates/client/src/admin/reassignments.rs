//! Moving replicas (KIP-455) and electing leaders (KIP-460).

use naru_model::TopicPartition;
use naru_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use naru_protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use naru_protocol::messages::list_partition_reassignments_request::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};

use super::{Admin, by_topic};
use crate::error::{Error, Result};

/// A reassignment under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignment {
    /// Which partition.
    pub partition: TopicPartition,
    /// All replicas it has now, those that come and those that go included.
    pub replicas: Vec<i32>,
    /// Those that come.
    pub adding: Vec<i32>,
    /// Those that go.
    pub removing: Vec<i32>,
}

/// Which replica is to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionType {
    /// The first of the replicas, if it is in sync.
    Preferred,
    /// Any live replica, also if records are lost by it.
    Unclean,
}

impl Admin {
    /// Gives partitions new replicas, or with none cancels what is under way; answers for each.
    pub async fn alter_partition_reassignments(
        &self,
        targets: &[(TopicPartition, Option<Vec<i32>>)],
        allow_replication_factor_change: bool,
    ) -> Result<Vec<(TopicPartition, Result<()>)>> {
        let mut topics: Vec<ReassignableTopic> = Vec::new();
        for (partition, replicas) in targets {
            let replicas = replicas.clone();
            let row = ReassignablePartition { partition_index: partition.partition, replicas };
            match topics.iter_mut().find(|topic| topic.name == partition.topic) {
                Some(topic) => topic.partitions.push(row),
                None => topics.push(ReassignableTopic {
                    name: partition.topic.clone(),
                    partitions: vec![row],
                }),
            }
        }
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: self.timeout_ms(),
            allow_replication_factor_change,
            topics,
        };
        self.cluster
            .retry(async || {
                let connection = self.cluster.controller().await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                Error::check_with(response.error_code, response.error_message)?;
                let answers = response.responses.into_iter().flat_map(|topic| {
                    let name = topic.name;
                    topic.partitions.into_iter().map(move |p| {
                        let partition = TopicPartition::new(name.clone(), p.partition_index);
                        (partition, Error::check_with(p.error_code, p.error_message))
                    })
                });
                Ok(answers.collect())
            })
            .await
    }

    /// Lists the reassignments under way: all, or those of some partitions; sorted.
    pub async fn list_partition_reassignments(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<Reassignment>> {
        let topics = partitions.map(|partitions| {
            let topic = |(name, partition_indexes): (String, Vec<i32>)| {
                ListPartitionReassignmentsTopics { name, partition_indexes }
            };
            by_topic(partitions).into_iter().map(topic).collect()
        });
        let request = ListPartitionReassignmentsRequest { timeout_ms: self.timeout_ms(), topics };
        self.cluster
            .retry(async || {
                let connection = self.cluster.controller().await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                Error::check_with(response.error_code, response.error_message)?;
                let mut found: Vec<Reassignment> = Vec::new();
                for topic in response.topics {
                    for p in topic.partitions {
                        found.push(Reassignment {
                            partition: TopicPartition::new(topic.name.clone(), p.partition_index),
                            replicas: p.replicas,
                            adding: p.adding_replicas,
                            removing: p.removing_replicas,
                        });
                    }
                }
                found.sort_by(|a, b| a.partition.cmp(&b.partition));
                Ok(found)
            })
            .await
    }

    /// Elects leaders of some partitions or of all; answers for each that was looked at. Asked
    /// for all, those that need no election are left out.
    pub async fn elect_leaders(
        &self,
        election: ElectionType,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(TopicPartition, Result<()>)>> {
        let topic_partitions = partitions.map(|partitions| {
            let topic =
                |(topic, partitions): (String, Vec<i32>)| TopicPartitions { topic, partitions };
            by_topic(partitions).into_iter().map(topic).collect()
        });
        let request = ElectLeadersRequest {
            election_type: match election {
                ElectionType::Preferred => 0,
                ElectionType::Unclean => 1,
            },
            topic_partitions,
            timeout_ms: self.timeout_ms(),
        };
        self.cluster
            .retry(async || {
                let connection = self.cluster.controller().await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                Error::check(response.error_code)?;
                let answers = response.replica_election_results.into_iter().flat_map(|topic| {
                    let name = topic.topic;
                    topic.partition_result.into_iter().map(move |p| {
                        let partition = TopicPartition::new(name.clone(), p.partition_id);
                        (partition, Error::check_with(p.error_code, p.error_message))
                    })
                });
                Ok(answers.collect())
            })
            .await
    }
}
