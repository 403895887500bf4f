//! Topics that the node has created: on first use, and for itself; and producer ids.

use std::sync::Arc;
use std::time::Duration;

use naru_model::{ErrorCode, ProducerId};
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use super::Node;
use crate::coordination::{SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC};

/// "The broker's default."
const DEFAULT: i32 = -1;
/// How long a topic that another node has created may take to be seen here.
const SEEN_MAX: Duration = Duration::from_secs(1);

impl Node {
    /// Has a topic created, and waits until this node sees it.
    async fn create_topics(self: &Arc<Self>, topics: Vec<CreatableTopic>) -> Vec<ErrorCode> {
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        let request = CreateTopicsRequest { topics, timeout_ms: 30_000, validate_only: false };
        let errors: Vec<ErrorCode> = match self.controller_link().send(request).await {
            Ok(response) => {
                response.topics.iter().map(|t| ErrorCode::from_code(t.error_code)).collect()
            }
            Err(error) => names.iter().map(|_| error).collect(),
        };
        let there = names
            .iter()
            .zip(&errors)
            .filter(|(_, error)| matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists));
        let there: Vec<&String> = there.map(|(name, _)| name).collect();
        let seen =
            self.metadata.wait_for(|image| there.iter().all(|name| image.topic(name).is_some()));
        // Whoever looks it up then is told that it is not there yet, and asks again.
        let _ = tokio::time::timeout(SEEN_MAX, seen).await;
        errors
    }

    /// Creates topics that somebody asked for before they were there. What fails is seen by the
    /// look-up that follows.
    pub(crate) async fn auto_create(self: &Arc<Self>, names: Vec<String>) {
        let topics = names.iter().map(|name| CreatableTopic {
            name: name.clone(),
            num_partitions: DEFAULT,
            replication_factor: -1,
            ..Default::default()
        });
        let errors = self.create_topics(topics.collect()).await;
        for (topic, error) in names.iter().zip(errors).filter(|(_, e)| *e != ErrorCode::None) {
            tracing::debug!(%topic, %error, "not created on first use");
        }
    }

    /// Creates the topic of a coordinator. Its replication factor is that of the configuration,
    /// but never more than there are brokers: it can be raised when the cluster grows.
    pub(crate) async fn create_internal_topic(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<(), ErrorCode> {
        let (offsets, transactions) = (&self.config.offsets, &self.config.transactions);
        let share = &self.config.share_coordinator;
        let brokers = i16::try_from(self.image().brokers().count()).unwrap_or(i16::MAX).max(1);
        let (num_partitions, replication_factor, segment_bytes) = match name {
            TRANSACTIONS_TOPIC => (
                transactions.topic_num_partitions,
                transactions.topic_replication_factor,
                transactions.topic_segment_bytes,
            ),
            SHARE_STATE_TOPIC => (
                share.topic_num_partitions,
                share.topic_replication_factor,
                share.topic_segment_bytes,
            ),
            _ => (
                offsets.topic_num_partitions,
                offsets.topic_replication_factor,
                offsets.topic_segment_bytes,
            ),
        };
        // The share coordinator cuts its log off in front, and nobody else does.
        let policy = if name == SHARE_STATE_TOPIC { "delete" } else { "compact" };
        let mut configs = vec![
            ("cleanup.policy", policy.to_owned()),
            ("compression.type", "producer".to_owned()),
            ("segment.bytes", segment_bytes.to_string()),
        ];
        // A topic of fewer replicas than the setting wants could not be written otherwise.
        let min_isr = |wanted: i32| wanted.min(i32::from(brokers)).to_string();
        if name == SHARE_STATE_TOPIC {
            configs.push(("min.insync.replicas", min_isr(share.topic_min_isr)));
            configs.push(("retention.ms", "-1".to_owned()));
        }
        if name == TRANSACTIONS_TOPIC {
            configs.push(("min.insync.replicas", min_isr(transactions.topic_min_isr)));
            configs.push(("unclean.leader.election.enable", "false".to_owned()));
        }
        let configs = configs.into_iter().map(|(name, value)| CreatableTopicConfig {
            name: name.to_owned(),
            value: Some(value),
        });
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions,
            replication_factor: replication_factor.min(brokers),
            assignments: Vec::new(),
            configs: configs.collect(),
        };
        match self.create_topics(vec![topic]).await.first() {
            None | Some(ErrorCode::None | ErrorCode::TopicAlreadyExists) => Ok(()),
            Some(error) => Err(*error),
        }
    }

    /// The next id for an idempotent producer, from a block that metadata hands out.
    pub(crate) async fn next_producer_id(self: &Arc<Self>) -> Result<ProducerId, ErrorCode> {
        let mut block = self.producer_ids.lock().await;
        if block.is_empty() {
            let broker_epoch = self.metadata.broker_epoch();
            let request = AllocateProducerIdsRequest { broker_id: self.id(), broker_epoch };
            let got = self
                .controller_link()
                .send(request)
                .await
                // No controller for now: the client asks again.
                .map_err(|_| ErrorCode::CoordinatorLoadInProgress)?;
            if got.error_code != 0 {
                let error = ErrorCode::from_code(got.error_code);
                tracing::warn!(%error, "no producer ids");
                return Err(ErrorCode::CoordinatorLoadInProgress);
            }
            *block = got.producer_id_start
                ..got.producer_id_start.saturating_add(i64::from(got.producer_id_len));
        }
        block.next().map(ProducerId).ok_or(ErrorCode::CoordinatorLoadInProgress)
    }
}
