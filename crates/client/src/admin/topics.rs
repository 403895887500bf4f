//! Topics: create, list, describe, delete, more partitions, fewer records.

use std::collections::HashMap;

use naru_model::{ErrorCode, TopicPartition, Uuid};
use naru_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use naru_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use naru_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use naru_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use naru_protocol::messages::describe_topic_partitions_request::{
    Cursor, DescribeTopicPartitionsRequest, TopicRequest,
};
use naru_protocol::messages::describe_topic_partitions_response::{
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

use super::Admin;
use crate::cluster::{Lane, Topic};
use crate::error::{Error, Result};

/// A topic to be made.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// How many partitions; the broker's default if none.
    pub partitions: Option<i32>,
    /// How many replicas of each; the broker's default if none.
    pub replication_factor: Option<i16>,
    /// The replicas of each partition, instead of the two counts.
    pub assignments: Vec<Vec<i32>>,
    /// Configurations that differ from the defaults.
    pub configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// With this many partitions.
    #[must_use]
    pub const fn partitions(mut self, count: i32) -> Self {
        self.partitions = Some(count);
        self
    }

    /// With this many replicas of each partition.
    #[must_use]
    pub const fn replication_factor(mut self, count: i16) -> Self {
        self.replication_factor = Some(count);
        self
    }

    /// With this configuration.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }

    fn to_wire(&self) -> CreatableTopic {
        let assignments: Vec<_> = self
            .assignments
            .iter()
            .zip(0..)
            .map(|(brokers, partition_index)| CreatableReplicaAssignment {
                partition_index,
                broker_ids: brokers.clone(),
            })
            .collect();
        CreatableTopic {
            name: self.name.clone(),
            num_partitions: if assignments.is_empty() { self.partitions.unwrap_or(-1) } else { -1 },
            replication_factor: self.replication_factor.unwrap_or(-1),
            assignments,
            configs: self
                .configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: name.clone(),
                    value: Some(value.clone()),
                })
                .collect(),
        }
    }
}

/// A topic with everything brokers tell about its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Name.
    pub name: String,
    /// Id; zero from old brokers.
    pub id: Uuid,
    /// Whether the cluster keeps its own state in it.
    pub internal: bool,
    /// By index.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition with its replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Index within the topic.
    pub index: i32,
    /// Node id of the leader, if there is one.
    pub leader: Option<i32>,
    /// Node ids of the replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Node ids of those in sync.
    pub isr: Vec<i32>,
    /// Eligible leader replicas (KIP-966); none from brokers that do not tell.
    pub elr: Option<Vec<i32>>,
    /// The eligible replicas known last (KIP-966).
    pub last_known_elr: Option<Vec<i32>>,
}

impl Admin {
    /// Creates topics; answers for each.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<(String, Result<Uuid>)>> {
        self.cluster
            .retry(async || {
                let connection = self.cluster.controller().await?;
                let timeout_ms = self.timeout_ms();
                let response = self
                    .cluster
                    .call(&connection, i16::MAX, |_| CreateTopicsRequest {
                        topics: topics.iter().map(NewTopic::to_wire).collect(),
                        timeout_ms,
                        validate_only,
                    })
                    .await?;
                refuse_moved(response.topics.iter().map(|t| t.error_code))?;
                Ok(response
                    .topics
                    .into_iter()
                    .map(|t| {
                        let outcome = Error::check_with(t.error_code, t.error_message);
                        (t.name, outcome.map(|()| t.topic_id))
                    })
                    .collect())
            })
            .await
    }

    /// Deletes topics by name; answers for each.
    pub async fn delete_topics(&self, names: &[String]) -> Result<Vec<(String, Result<()>)>> {
        self.cluster
            .retry(async || {
                let connection = self.cluster.controller().await?;
                let timeout_ms = self.timeout_ms();
                let response = self
                    .cluster
                    .call(&connection, i16::MAX, |version| {
                        let mut request = DeleteTopicsRequest { timeout_ms, ..Default::default() };
                        if version >= 6 {
                            let state = |name: &String| DeleteTopicState {
                                name: Some(name.clone()),
                                ..Default::default()
                            };
                            request.topics = names.iter().map(state).collect();
                        } else {
                            request.topic_names = names.to_vec();
                        }
                        request
                    })
                    .await?;
                refuse_moved(response.responses.iter().map(|t| t.error_code))?;
                Ok(response
                    .responses
                    .into_iter()
                    .map(|t| {
                        let outcome = Error::check_with(t.error_code, t.error_message);
                        (t.name.unwrap_or_default(), outcome)
                    })
                    .collect())
            })
            .await
    }

    /// Raises the number of partitions of a topic to `count`; `assignments` gives the replicas of
    /// the new ones.
    pub async fn create_partitions(
        &self,
        topic: &str,
        count: i32,
        assignments: Option<&[Vec<i32>]>,
        validate_only: bool,
    ) -> Result<()> {
        self.cluster
            .retry(async || {
                let connection = self.cluster.controller().await?;
                let timeout_ms = self.timeout_ms();
                let assignment =
                    |ids: &Vec<i32>| CreatePartitionsAssignment { broker_ids: ids.clone() };
                let request = CreatePartitionsRequest {
                    topics: vec![CreatePartitionsTopic {
                        name: topic.to_owned(),
                        count,
                        assignments: assignments.map(|all| all.iter().map(assignment).collect()),
                    }],
                    timeout_ms,
                    validate_only,
                };
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                refuse_moved(response.results.iter().map(|t| t.error_code))?;
                response
                    .results
                    .into_iter()
                    .try_for_each(|t| Error::check_with(t.error_code, t.error_message))
            })
            .await
    }

    /// Every topic, by name.
    pub async fn list_topics(&self) -> Result<Vec<Topic>> {
        let metadata = self.cluster.retry(async || self.cluster.refresh_all().await).await?;
        let mut topics: Vec<Topic> =
            metadata.topics.values().filter(|topic| topic.error.is_ok()).cloned().collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Describes topics; answers for each.
    pub async fn describe_topics(
        &self,
        names: &[String],
    ) -> Result<Vec<(String, Result<TopicDescription>)>> {
        let paged = self.cluster.retry(async || self.describe_paged(names).await).await;
        match paged {
            Err(Error::UnsupportedVersion { .. }) => {
                self.cluster.retry(async || self.describe_by_metadata(names).await).await
            }
            other => other,
        }
    }

    /// DescribeTopicPartitions (KIP-966), page by page.
    async fn describe_paged(
        &self,
        names: &[String],
    ) -> Result<Vec<(String, Result<TopicDescription>)>> {
        let connection = self.cluster.any().await?;
        let mut found: HashMap<String, DescribeTopicPartitionsResponseTopic> = HashMap::new();
        let mut cursor: Option<Cursor> = None;
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort();
        loop {
            let from = cursor.as_ref().map(|cursor| cursor.topic_name.clone());
            let topics = sorted
                .iter()
                .filter(|name| from.as_ref().is_none_or(|from| **name >= from))
                .map(|name| TopicRequest { name: (*name).clone() })
                .collect();
            let request =
                DescribeTopicPartitionsRequest { topics, response_partition_limit: 2000, cursor };
            let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
            for topic in response.topics {
                let name = topic.name.clone().unwrap_or_default();
                match found.get_mut(&name) {
                    Some(known) => known.partitions.extend(topic.partitions),
                    None => {
                        found.insert(name, topic);
                    }
                }
            }
            cursor = match response.next_cursor {
                Some(next) => Some(Cursor {
                    topic_name: next.topic_name,
                    partition_index: next.partition_index,
                }),
                None => break,
            };
        }
        let describe = |name: &String| {
            let description = found
                .remove(name)
                .ok_or(Error::code_only(ErrorCode::UnknownTopicOrPartition))
                .and_then(|topic| {
                    Error::check(topic.error_code)?;
                    Ok(description_of(name.clone(), topic))
                });
            (name.clone(), description)
        };
        Ok(names.iter().map(describe).collect())
    }

    async fn describe_by_metadata(
        &self,
        names: &[String],
    ) -> Result<Vec<(String, Result<TopicDescription>)>> {
        let metadata = self.cluster.refresh_topics(names, false).await?;
        let describe = |name: &String| {
            let code = metadata
                .topics
                .get(name)
                .map_or(ErrorCode::UnknownTopicOrPartition, |topic| topic.error);
            let description = match metadata.topic(name) {
                Some(topic) => Ok(description_of_metadata(topic)),
                None => Err(Error::code_only(code)),
            };
            (name.clone(), description)
        };
        Ok(names.iter().map(describe).collect())
    }

    /// Deletes the records before an offset (-1: all) of partitions; answers with the new log
    /// start offset of each.
    pub async fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<Vec<(TopicPartition, Result<i64>)>> {
        let mut outcomes = Vec::with_capacity(before.len());
        for (partition, offset) in before {
            let low = self
                .cluster
                .retry(async || {
                    let outcome = self.delete_records_once(partition, *offset).await;
                    if outcome.as_ref().is_err_and(Error::is_stale_metadata) {
                        self.cluster.forget_leader(&partition.topic, partition.partition);
                    }
                    outcome
                })
                .await;
            outcomes.push((partition.clone(), low));
        }
        Ok(outcomes)
    }

    async fn delete_records_once(&self, partition: &TopicPartition, offset: i64) -> Result<i64> {
        let (leader, _) = self.cluster.leader(&partition.topic, partition.partition).await?;
        let connection = self.cluster.broker(leader, Lane::Main).await?;
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: partition.topic.clone(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: partition.partition,
                    offset,
                }],
            }],
            timeout_ms: self.timeout_ms(),
        };
        let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
        let result = response
            .topics
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .next()
            .ok_or(Error::code_only(ErrorCode::UnknownServerError))?;
        Error::check(result.error_code)?;
        Ok(result.low_watermark)
    }

    pub(super) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.cluster.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

/// NOT_CONTROLLER for one means nothing was done for any: the whole request goes elsewhere.
fn refuse_moved(codes: impl Iterator<Item = i16>) -> Result<()> {
    for code in codes {
        if ErrorCode::from_code(code) == ErrorCode::NotController {
            return Err(Error::code_only(ErrorCode::NotController));
        }
    }
    Ok(())
}

fn description_of(name: String, topic: DescribeTopicPartitionsResponseTopic) -> TopicDescription {
    let describe = |p: DescribeTopicPartitionsResponsePartition| PartitionDescription {
        index: p.partition_index,
        leader: (p.leader_id >= 0).then_some(p.leader_id),
        replicas: p.replica_nodes,
        isr: p.isr_nodes,
        elr: Some(p.eligible_leader_replicas.unwrap_or_default()),
        last_known_elr: Some(p.last_known_elr.unwrap_or_default()),
    };
    let mut partitions: Vec<_> = topic.partitions.into_iter().map(describe).collect();
    partitions.sort_by_key(|partition| partition.index);
    TopicDescription { name, id: topic.topic_id, internal: topic.is_internal, partitions }
}

fn description_of_metadata(topic: &Topic) -> TopicDescription {
    let partitions = topic
        .partitions
        .iter()
        .map(|p| PartitionDescription {
            index: p.index,
            leader: p.leader,
            replicas: p.replicas.clone(),
            isr: p.isr.clone(),
            elr: None,
            last_known_elr: None,
        })
        .collect();
    TopicDescription {
        name: topic.name.clone(),
        id: topic.id,
        internal: topic.internal,
        partitions,
    }
}
