//! Topics that the node creates: on request, on first use, and for itself.

use std::sync::Arc;

use naru_controller::Decision;
use naru_controller::controller::CreateTopics;
use naru_model::{ErrorCode, ProducerId, Uuid};
use naru_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use naru_protocol::messages::create_topics_response::CreateTopicsResponse;

use super::Node;
use crate::coordination::OFFSETS_TOPIC;

/// "The broker's default."
const DEFAULT: i32 = -1;

impl Node {
    /// Decides a CreateTopics request and carries it out.
    pub(crate) async fn create_topics(
        self: &Arc<Self>,
        request: &CreateTopicsRequest,
    ) -> Result<CreateTopicsResponse, ErrorCode> {
        let topics = &self.config.topics;
        let context = CreateTopics {
            default_partitions: topics.num_partitions,
            default_replication_factor: i16::try_from(topics.default_replication_factor)
                .unwrap_or(i16::MAX),
            new_id: || Uuid::from_random(self.random()),
        };
        self.metadata.decide(self, |c| c.decide_create_topics(request, context)).await
    }

    /// Creates topics that somebody asked for before they were there. What fails is seen by the
    /// look-up that follows.
    pub(crate) async fn auto_create(self: &Arc<Self>, names: Vec<String>) {
        let topics = names.into_iter().map(|name| CreatableTopic {
            name,
            num_partitions: DEFAULT,
            replication_factor: -1,
            ..Default::default()
        });
        let request = CreateTopicsRequest { topics: topics.collect(), ..Default::default() };
        match self.create_topics(&request).await {
            Ok(response) => {
                for topic in response.topics.iter().filter(|topic| topic.error_code != 0) {
                    let error = ErrorCode::from_code(topic.error_code);
                    tracing::debug!(topic = %topic.name, %error, "not created on first use");
                }
            }
            Err(error) => tracing::warn!(%error, "topics were not created on first use"),
        }
    }

    /// Creates `__consumer_offsets`. Its replication factor is that of the configuration, but
    /// never more than there are brokers: it can be raised when the cluster grows.
    pub(crate) async fn create_offsets_topic(self: &Arc<Self>) -> Result<(), ErrorCode> {
        let offsets = &self.config.offsets;
        let brokers = i16::try_from(self.image().brokers().count()).unwrap_or(i16::MAX);
        let config = |name: &str, value: String| CreatableTopicConfig {
            name: name.to_owned(),
            value: Some(value),
        };
        let topic = CreatableTopic {
            name: OFFSETS_TOPIC.to_owned(),
            num_partitions: offsets.topic_num_partitions,
            replication_factor: offsets.topic_replication_factor.min(brokers.max(1)),
            assignments: Vec::new(),
            configs: vec![
                config("cleanup.policy", "compact".to_owned()),
                config("compression.type", "producer".to_owned()),
                config("segment.bytes", offsets.topic_segment_bytes.to_string()),
            ],
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let response = self.create_topics(&request).await?;
        let code = response.topics.first().map_or(0, |topic| topic.error_code);
        match ErrorCode::from_code(code) {
            ErrorCode::None | ErrorCode::TopicAlreadyExists => Ok(()),
            error => Err(error),
        }
    }

    /// The next id for an idempotent producer, from a block that metadata hands out.
    pub(crate) async fn next_producer_id(self: &Arc<Self>) -> Result<ProducerId, ErrorCode> {
        let mut block = self.producer_ids.lock().await;
        if block.is_empty() {
            let epoch = self.metadata.broker_epoch();
            let got = self
                .metadata
                .decide(self, |controller| match controller.decide_producer_ids(self.id(), epoch) {
                    Ok(decision) => {
                        Decision { records: decision.records, response: Ok(decision.response) }
                    }
                    Err(error) => Decision { records: Vec::new(), response: Err(error) },
                })
                .await?
                .map_err(|error| {
                    tracing::error!("{error}");
                    ErrorCode::UnknownServerError
                })?;
            *block = got.first..got.first + i64::from(got.len);
        }
        block.next().map(ProducerId).ok_or(ErrorCode::CoordinatorLoadInProgress)
    }
}
