//! The settings of one topic, typed, for the log and the produce path.
//!
//! Owns the typed view only; names, defaults and bounds are rows of the topic table.

use super::layers::{Layers, Props, Reader};
use super::{ConfigError, tables};
use crate::BrokerId;

/// What a stored batch has survived when it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A power cut: the batch is on the disk.
    Fsync,
    /// The end of the process: the batch is with the operating system.
    Os,
}

impl Durability {
    pub(super) fn of(text: Option<&str>) -> Self {
        if text == Some("os") { Self::Os } else { Self::Fsync }
    }
}

/// Codec of stored batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopicCompression {
    /// As the producer sent them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// Gzip at this level; -1 is the codec's own choice.
    Gzip(i32),
    /// Snappy.
    Snappy,
    /// LZ4 at this level.
    Lz4(i32),
    /// Zstandard at this level.
    Zstd(i32),
}

/// Whose clock a record's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The leader's, when it appends.
    LogAppendTime,
}

/// What happens to old segments; neither means they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CleanupPolicy {
    /// Old segments go, by age and size.
    pub delete: bool,
    /// Only the last record of each key stays.
    pub compact: bool,
}

/// The replicas of a topic that a throttle counts for (KIP-73).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThrottledReplicas {
    /// Every replica.
    All,
    /// Only these, as partition and broker.
    Listed(Vec<(i32, BrokerId)>),
}

impl ThrottledReplicas {
    fn read(read: &Reader<'_>, name: &'static str) -> Result<Self, ConfigError> {
        let entries = read.list(name)?.unwrap_or_default();
        if entries.first().is_some_and(|entry| entry == "*") {
            return Ok(Self::All);
        }
        // The row's check has let only pairs of numbers through; one too large names no replica.
        let pair = |entry: &String| {
            let (partition, broker) = entry.split_once(':')?;
            Some((partition.parse().ok()?, BrokerId(broker.parse().ok()?)))
        };
        Ok(Self::Listed(entries.iter().filter_map(pair).collect()))
    }

    /// Whether the replica of `partition` on `broker` is throttled.
    pub fn contains(&self, partition: i32, broker: BrokerId) -> bool {
        match self {
            Self::All => true,
            Self::Listed(pairs) => pairs.contains(&(partition, broker)),
        }
    }
}

/// Every setting of one topic, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    /// Size at which a segment is closed.
    pub segment_bytes: u32,
    /// Age at which a segment is closed.
    pub segment_ms: i64,
    /// Largest random cut from that age.
    pub segment_jitter_ms: i64,
    /// Largest offset index file.
    pub segment_index_bytes: u32,
    /// Log bytes between two index entries.
    pub index_interval_bytes: u32,
    /// How long records are kept; `None` is for ever.
    pub retention_ms: Option<i64>,
    /// Bytes kept; `None` is without limit.
    pub retention_bytes: Option<u64>,
    /// Largest batch accepted.
    pub max_message_bytes: u32,
    /// Records after which the log is forced to disk.
    pub flush_messages: i64,
    /// Time after which the log is forced to disk.
    pub flush_ms: i64,
    /// Time between dropping a segment and removing its files.
    pub file_delete_delay_ms: i64,
    /// Whose clock a record's time comes from.
    pub message_timestamp_type: TimestampType,
    /// How far in the past a record's time may be.
    pub message_timestamp_before_max_ms: i64,
    /// How far in the future a record's time may be.
    pub message_timestamp_after_max_ms: i64,
    /// What happens to old segments.
    pub cleanup_policy: CleanupPolicy,
    /// Codec of stored batches.
    pub compression: TopicCompression,
    /// Whether a new segment's space is reserved at once.
    pub preallocate: bool,
    /// In-sync replicas that acks=all needs.
    pub min_insync_replicas: i32,
    /// Youngest age at which a record may be compacted.
    pub min_compaction_lag_ms: i64,
    /// Oldest age at which a record must be compacted.
    pub max_compaction_lag_ms: i64,
    /// Share of the log not yet compacted that makes a compaction due.
    pub min_cleanable_dirty_ratio: f64,
    /// How long tombstones stay in a compacted log.
    pub delete_retention_ms: i64,
    /// Whether a replica that lags may lead when no other can.
    pub unclean_leader_election_enable: bool,
    /// Replicas whose sending leaders are throttled.
    pub leader_throttled_replicas: ThrottledReplicas,
    /// Replicas whose fetching followers are throttled.
    pub follower_throttled_replicas: ThrottledReplicas,
    /// What an acknowledged batch has survived.
    pub durability: Durability,
}

impl TopicConfig {
    /// The settings of a topic whose own values are `topic`.
    ///
    /// # Errors
    /// When a value, the topic's or one it inherits, does not fit its key.
    pub fn resolve(topic: &Props, layers: &Layers<'_>) -> Result<Self, ConfigError> {
        let read = Reader::topic(*layers, topic);
        let bytes = |name| read.long(name).map(|n| u32::try_from(n).unwrap_or(0));
        let policies = read.list("cleanup.policy")?.unwrap_or_default();
        let has = |policy: &str| policies.iter().any(|entry| entry == policy);
        let segment_bytes = match read.maybe_int("internal.segment.bytes")? {
            Some(test_size) => u32::try_from(test_size).unwrap_or(0),
            None => bytes("segment.bytes")?,
        };
        Ok(Self {
            segment_bytes,
            segment_ms: read.long("segment.ms")?,
            segment_jitter_ms: read.long("segment.jitter.ms")?,
            segment_index_bytes: bytes("segment.index.bytes")?,
            index_interval_bytes: bytes("index.interval.bytes")?,
            retention_ms: Some(read.long("retention.ms")?).filter(|ms| *ms >= 0),
            retention_bytes: u64::try_from(read.long("retention.bytes")?).ok(),
            max_message_bytes: bytes("max.message.bytes")?,
            flush_messages: read.long("flush.messages")?,
            flush_ms: read.long("flush.ms")?,
            file_delete_delay_ms: read.long("file.delete.delay.ms")?,
            message_timestamp_type: match read.text("message.timestamp.type")?.as_deref() {
                Some("LogAppendTime") => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            message_timestamp_before_max_ms: read.long("message.timestamp.before.max.ms")?,
            message_timestamp_after_max_ms: read.long("message.timestamp.after.max.ms")?,
            cleanup_policy: CleanupPolicy { delete: has("delete"), compact: has("compact") },
            compression: compression(&read)?,
            preallocate: read.flag("preallocate")?,
            min_insync_replicas: read.int("min.insync.replicas")?,
            min_compaction_lag_ms: read.long("min.compaction.lag.ms")?,
            max_compaction_lag_ms: read.long("max.compaction.lag.ms")?,
            min_cleanable_dirty_ratio: read.double("min.cleanable.dirty.ratio")?,
            delete_retention_ms: read.long("delete.retention.ms")?,
            unclean_leader_election_enable: read.flag("unclean.leader.election.enable")?,
            leader_throttled_replicas: ThrottledReplicas::read(
                &read,
                "leader.replication.throttled.replicas",
            )?,
            follower_throttled_replicas: ThrottledReplicas::read(
                &read,
                "follower.replication.throttled.replicas",
            )?,
            durability: Durability::of(read.text("naru.durability")?.as_deref()),
        })
    }

    /// Judges the values somebody wants to set on a topic, as CreateTopics and AlterConfigs do:
    /// names first, then each value, then what they say together.
    ///
    /// # Errors
    /// The first thing that is wrong, in Kafka's words.
    pub fn validate(topic: &Props, layers: &Layers<'_>) -> Result<(), ConfigError> {
        for name in topic.keys() {
            if tables::topic().row(name).is_none() {
                return Err(ConfigError::UnknownTopicKey(name.clone()));
            }
        }
        let config = Self::resolve(topic, layers)?;
        for row in tables::topic().rows() {
            if let Some(text) = topic.get(row.name) {
                row.check(text)?;
            }
        }
        if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            return Err(ConfigError::Conflict {
                low: "min.compaction.lag.ms",
                low_value: config.min_compaction_lag_ms,
                high: "max.compaction.lag.ms",
                high_value: config.max_compaction_lag_ms,
            });
        }
        if Reader::topic(*layers, topic).flag("remote.storage.enable")? {
            return Err(ConfigError::Form {
                name: "remote.storage.enable".to_owned(),
                text: "Tiered Storage functionality is disabled in the broker. Topic cannot be \
                       configured with remote log storage."
                    .to_owned(),
            });
        }
        Ok(())
    }
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self::resolve(&Props::new(), &Layers::none()).expect("the table's defaults pass its checks")
    }
}

fn compression(read: &Reader<'_>) -> Result<TopicCompression, ConfigError> {
    Ok(match read.text("compression.type")?.as_deref() {
        Some("uncompressed") => TopicCompression::Uncompressed,
        Some("gzip") => TopicCompression::Gzip(read.int("compression.gzip.level")?),
        Some("snappy") => TopicCompression::Snappy,
        Some("lz4") => TopicCompression::Lz4(read.int("compression.lz4.level")?),
        Some("zstd") => TopicCompression::Zstd(read.int("compression.zstd.level")?),
        _ => TopicCompression::Producer,
    })
}
