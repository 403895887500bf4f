//! Configs of one topic.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::{CODECS, DURABILITY, POLICIES, TIMESTAMPS};
use crate::config::row::Validator::{
    Any, AtLeast, Between, Fraction, GzipLevel, ThrottledReplicas,
};
use crate::config::row::config_rows;

config_rows! {
    TOPIC

    /// What happens to old segments: delete, compact, both or nothing.
    "cleanup.policy": List = "delete", POLICIES, ClusterWide, SERVED ["log.cleanup.policy"];
    /// Codec of stored batches; producer keeps the sender's.
    "compression.type": String = "producer", CODECS, ClusterWide, SERVED ["compression.type"];
    /// Level when the broker compresses with gzip.
    "compression.gzip.level": Int = "-1", GzipLevel, ClusterWide, SERVED ["compression.gzip.level"];
    /// Level when the broker compresses with lz4.
    "compression.lz4.level": Int = "9", Between(1, 17), ClusterWide, LZ4_LEVEL ["compression.lz4.level"];
    /// Level when the broker compresses with zstd.
    "compression.zstd.level": Int = "3", Between(-131_072, 22), ClusterWide, SERVED ["compression.zstd.level"];
    /// How long tombstones stay in a compacted log.
    "delete.retention.ms": Long = "86400000", AtLeast(0), ClusterWide, SERVED ["log.cleaner.delete.retention.ms"];
    /// Time between dropping a segment and removing its files.
    "file.delete.delay.ms": Long = "60000", AtLeast(0), ClusterWide, SERVED ["log.segment.delete.delay.ms"];
    /// Records after which the log is forced to disk.
    "flush.messages": Long = "9223372036854775807", AtLeast(1), ClusterWide, SERVED ["log.flush.interval.messages"];
    /// Time after which the log is forced to disk.
    "flush.ms": Long = "9223372036854775807", AtLeast(0), ClusterWide, SERVED ["log.flush.interval.ms" "log.flush.scheduler.interval.ms"];
    /// Replicas whose fetching is slowed, as partition:broker, or * for all.
    "follower.replication.throttled.replicas": List = "", ThrottledReplicas, ClusterWide, SERVED;
    /// Log bytes between two index entries.
    "index.interval.bytes": Int = "4096", AtLeast(0), ClusterWide, SERVED ["log.index.interval.bytes"];
    /// Segment size for tests, not bound to the usual least size.
    "internal.segment.bytes": Int = null, Any, ClusterWide, SERVED internal;
    /// Replicas whose leaders are slowed, as partition:broker, or * for all.
    "leader.replication.throttled.replicas": List = "", ThrottledReplicas, ClusterWide, SERVED;
    /// Bytes of a tiered partition kept on local disk; -2 follows retention.bytes.
    "local.retention.bytes": Long = "-2", AtLeast(-2), ClusterWide, TIERED ["log.local.retention.bytes"];
    /// How long tiered records stay on local disk; -2 follows retention.ms.
    "local.retention.ms": Long = "-2", AtLeast(-2), ClusterWide, TIERED ["log.local.retention.ms"];
    /// Oldest age at which a record must be compacted.
    "max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1), ClusterWide, SERVED ["log.cleaner.max.compaction.lag.ms"];
    /// Largest record batch accepted.
    "max.message.bytes": Int = "1048588", AtLeast(0), ClusterWide, SERVED ["message.max.bytes"];
    /// How far in the future a record's time may be.
    "message.timestamp.after.max.ms": Long = "3600000", AtLeast(0), ClusterWide, SERVED ["log.message.timestamp.after.max.ms"];
    /// How far in the past a record's time may be.
    "message.timestamp.before.max.ms": Long = "9223372036854775807", AtLeast(0), ClusterWide, SERVED ["log.message.timestamp.before.max.ms"];
    /// Whether a record's time is the producer's or the append's.
    "message.timestamp.type": String = "CreateTime", TIMESTAMPS, ClusterWide, SERVED ["log.message.timestamp.type"];
    /// Share of the log not yet compacted that makes a compaction due.
    "min.cleanable.dirty.ratio": Double = "0.5", Fraction(0.0, 1.0), ClusterWide, SERVED ["log.cleaner.min.cleanable.ratio"];
    /// Youngest age at which a record may be compacted.
    "min.compaction.lag.ms": Long = "0", AtLeast(0), ClusterWide, SERVED ["log.cleaner.min.compaction.lag.ms"];
    /// In-sync replicas that acks=all needs.
    "min.insync.replicas": Int = "1", AtLeast(1), ClusterWide, SERVED ["min.insync.replicas"];
    /// Whether a new segment's space is reserved at once.
    "preallocate": Boolean = "false", Any, ClusterWide, PREALLOCATION ["log.preallocate"];
    /// Whether uploads stop while the tiered data stays readable.
    "remote.log.copy.disable": Boolean = "false", Any, ClusterWide, TIERED;
    /// Whether tiered data goes when tiering is switched off.
    "remote.log.delete.on.disable": Boolean = "false", Any, ClusterWide, TIERED;
    /// Whether this topic is tiered.
    "remote.storage.enable": Boolean = "false", Any, ClusterWide, TIERED;
    /// Bytes kept per partition; -1 means no limit.
    "retention.bytes": Long = "-1", Any, ClusterWide, SERVED ["log.retention.bytes"];
    /// How long records are kept; -1 means for ever.
    "retention.ms": Long = "604800000", AtLeast(-1), ClusterWide, SERVED ["log.retention.ms" "log.retention.minutes" "log.retention.hours"];
    /// Size at which a segment is closed.
    "segment.bytes": Int = "1073741824", AtLeast(1_048_576), ClusterWide, SERVED ["log.segment.bytes"];
    /// Largest offset index file.
    "segment.index.bytes": Int = "10485760", AtLeast(4), ClusterWide, SERVED ["log.index.size.max.bytes"];
    /// Largest random cut from the segment age.
    "segment.jitter.ms": Long = "0", AtLeast(0), ClusterWide, SERVED ["log.roll.jitter.ms" "log.roll.jitter.hours"];
    /// Age at which a segment is closed.
    "segment.ms": Long = "604800000", AtLeast(1), ClusterWide, SERVED ["log.roll.ms" "log.roll.hours"];
    /// Whether a replica that lags may lead when no other can.
    "unclean.leader.election.enable": Boolean = "false", Any, ClusterWide, SERVED ["unclean.leader.election.enable"];
    /// What a stored batch has survived when it is acknowledged: fsync (power cut) or os (process).
    "naru.durability": String = "fsync", DURABILITY, ClusterWide, SERVED ["naru.durability"];
}
