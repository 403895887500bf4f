//! One fetch from one broker.

use std::time::Duration;

use naru_model::TopicPartition;
use naru_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use naru_protocol::messages::fetch_response::{FetchResponse, PartitionData};

use crate::cluster::{Cluster, Lane};
use crate::config::ConsumerConfig;
use crate::error::{Error, Result};

/// From here on topics are named by id.
const TOPIC_IDS_SINCE: i16 = 13;

/// What to fetch of one partition.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) partition: TopicPartition,
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) broker: i32,
    pub(super) wanted: Vec<Wanted>,
    pub(super) outcome: Result<Vec<(TopicPartition, PartitionData)>>,
}

pub(super) async fn fetch(
    cluster: Cluster,
    config: ConsumerConfig,
    broker: i32,
    wanted: Vec<Wanted>,
) -> Fetched {
    let outcome = request(&cluster, &config, broker, &wanted).await;
    Fetched { broker, wanted, outcome }
}

async fn request(
    cluster: &Cluster,
    config: &ConsumerConfig,
    broker: i32,
    wanted: &[Wanted],
) -> Result<Vec<(TopicPartition, PartitionData)>> {
    let metadata = cluster.metadata();
    let id_of = |topic: &str| metadata.topic(topic).map(|topic| topic.id).unwrap_or_default();
    let with_ids = wanted.iter().all(|w| !id_of(&w.partition.topic).is_zero());
    let cap = if with_ids { i16::MAX } else { TOPIC_IDS_SINCE - 1 };
    let mut topics: Vec<FetchTopic> = Vec::new();
    for w in wanted {
        let entry = FetchPartition {
            partition: w.partition.partition,
            current_leader_epoch: w.leader_epoch,
            fetch_offset: w.offset,
            partition_max_bytes: config.partition_fetch_bytes,
            ..Default::default()
        };
        match topics.iter_mut().find(|topic| topic.topic == w.partition.topic) {
            Some(topic) => topic.partitions.push(entry),
            None => topics.push(FetchTopic {
                topic: w.partition.topic.clone(),
                topic_id: id_of(&w.partition.topic),
                partitions: vec![entry],
            }),
        }
    }
    let request = FetchRequest {
        max_wait_ms: i32::try_from(config.fetch_max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: config.fetch_min_bytes,
        max_bytes: config.fetch_max_bytes,
        isolation_level: config.isolation.number(),
        topics,
        rack_id: cluster.config().rack.clone(),
        ..Default::default()
    };
    let connection = cluster.broker(broker, Lane::Fetch).await?;
    let version = connection.versions().pick::<FetchRequest>(cap)?;
    let response: FetchResponse =
        connection.call(&request, version, config.fetch_max_wait + Duration::ZERO).await?;
    Error::check(response.error_code)?;
    let mut answers = Vec::new();
    for topic in response.responses {
        let name = if version >= TOPIC_IDS_SINCE {
            let known = request.topics.iter().find(|asked| asked.topic_id == topic.topic_id);
            known.map(|asked| asked.topic.clone()).unwrap_or_default()
        } else {
            topic.topic
        };
        for data in topic.partitions {
            answers.push((TopicPartition::new(name.clone(), data.partition_index), data));
        }
    }
    Ok(answers)
}
