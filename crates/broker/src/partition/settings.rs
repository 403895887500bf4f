//! What a topic's configuration means for its partitions.

use naru_log::LogConfig;
use naru_model::Timestamp;
use naru_model::config::{
    Durability, ThrottledReplicas, TimestampType as ConfiguredTime, TopicCompression, TopicConfig,
};
use naru_records::{Compression, ProduceLimits, TimestampType};

/// The settings of one topic's partitions, worked out once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PartitionSettings {
    pub(crate) log: LogConfig,
    /// A batch counts as stored once it is synced (`naru.durability=fsync`).
    pub(crate) fsync: bool,
    /// Replicas that must be in sync for acks=all (`min.insync.replicas`).
    pub(crate) min_insync_replicas: usize,
    /// Replicas that leaders hold back under a throttle.
    pub(crate) leader_throttled: ThrottledReplicas,
    /// Replicas that hold themselves back.
    pub(crate) follower_throttled: ThrottledReplicas,
    /// Codec and level of stored batches; none keeps what was sent (`compression.type`).
    pub(crate) compression: Option<(Compression, Option<i32>)>,
    /// What a compressed batch may inflate to.
    pub(crate) inflated_max: u64,
}

impl PartitionSettings {
    pub(crate) fn new(
        topic: &TopicConfig,
        inflated_max: usize,
        producer_id_expiration_ms: i64,
    ) -> Self {
        let timestamp_type = match topic.message_timestamp_type {
            ConfiguredTime::CreateTime => TimestampType::CreateTime,
            ConfiguredTime::LogAppendTime => TimestampType::LogAppendTime,
        };
        Self {
            log: LogConfig {
                segment_bytes: u64::from(topic.segment_bytes),
                segment_ms: topic.segment_ms,
                segment_jitter_ms: topic.segment_jitter_ms,
                index_interval_bytes: u64::from(topic.index_interval_bytes),
                index_bytes_max: u64::from(topic.segment_index_bytes),
                retention_ms: topic.retention_ms,
                retention_bytes: topic.retention_bytes,
                max_message_bytes: topic.max_message_bytes as usize,
                flush_messages: topic.flush_messages,
                flush_ms: topic.flush_ms,
                file_delete_delay_ms: topic.file_delete_delay_ms,
                timestamp_type,
                timestamp_before_max_ms: topic.message_timestamp_before_max_ms,
                timestamp_after_max_ms: topic.message_timestamp_after_max_ms,
                compact: topic.cleanup_policy.compact,
                delete: topic.cleanup_policy.delete,
                min_compaction_lag_ms: topic.min_compaction_lag_ms,
                max_compaction_lag_ms: topic.max_compaction_lag_ms,
                min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
                delete_retention_ms: topic.delete_retention_ms,
                producer_id_expiration_ms,
            },
            fsync: topic.durability == Durability::Fsync,
            min_insync_replicas: usize::try_from(topic.min_insync_replicas).unwrap_or(1),
            leader_throttled: topic.leader_throttled_replicas.clone(),
            follower_throttled: topic.follower_throttled_replicas.clone(),
            compression: stored_codec(topic.compression),
            inflated_max: inflated_max as u64,
        }
    }

    /// What is asked of a batch that a client produces at `now`.
    pub(crate) fn produce_limits(&self, now: Timestamp) -> ProduceLimits {
        ProduceLimits {
            max_message_bytes: self.log.max_message_bytes,
            inflated_max: self.inflated_max,
            timestamp_type: self.log.timestamp_type,
            timestamp_before_max_ms: self.log.timestamp_before_max_ms,
            timestamp_after_max_ms: self.log.timestamp_after_max_ms,
            compacted: self.log.compact,
            now,
        }
    }
}

/// Codec and level that a topic asks for; none if it takes what it gets.
fn stored_codec(configured: TopicCompression) -> Option<(Compression, Option<i32>)> {
    match configured {
        TopicCompression::Producer => None,
        TopicCompression::Uncompressed => Some((Compression::None, None)),
        // -1 is the codec's own default.
        TopicCompression::Gzip(level) => {
            Some((Compression::Gzip, Some(level).filter(|level| *level >= 0)))
        }
        TopicCompression::Snappy => Some((Compression::Snappy, None)),
        TopicCompression::Lz4(level) => Some((Compression::Lz4, Some(level))),
        TopicCompression::Zstd(level) => Some((Compression::Zstd, Some(level))),
    }
}
