//! The log on disk: segments, retention, flushing, compaction, recovery.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::{CODECS, ENTRIES, POLICIES, SOME_ENTRIES, TIMESTAMPS};
use crate::config::row::Validator::{Any, AtLeast, Between, Fraction, GzipLevel};
use crate::config::row::config_rows;

config_rows! {
    LOG

    /// Data directories, comma-separated; log.dir when unset.
    "log.dirs": List = null, SOME_ENTRIES, ReadOnly, SERVED;
    /// Data directory when log.dirs is not set.
    "log.dir": List = "/tmp/kafka-logs", SOME_ENTRIES, ReadOnly, SERVED;
    /// Data directories that take no new partitions.
    "cordoned.log.dirs": List = "", ENTRIES, PerBroker, SERVED;
    /// How long a broker may fail to report a lost data directory before it stops.
    "log.dir.failure.timeout.ms": Long = "30000", AtLeast(1), ReadOnly, SERVED;
    /// Size at which a segment is closed.
    "log.segment.bytes": Int = "1073741824", AtLeast(1_048_576), ClusterWide, SERVED;
    /// Age in ms at which a segment is closed; log.roll.hours when unset.
    "log.roll.ms": Long = null, Any, ClusterWide, SERVED;
    /// Age in hours at which a segment is closed.
    "log.roll.hours": Int = "168", AtLeast(1), ReadOnly, SERVED;
    /// Largest random cut from the segment age, in ms; log.roll.jitter.hours when unset.
    "log.roll.jitter.ms": Long = null, Any, ClusterWide, SERVED;
    /// Largest random cut from the segment age, in hours.
    "log.roll.jitter.hours": Int = "0", AtLeast(0), ReadOnly, SERVED;
    /// How long records are kept, in ms; log.retention.minutes when unset, -1 for ever.
    "log.retention.ms": Long = null, Any, ClusterWide, SERVED;
    /// How long records are kept, in minutes; log.retention.hours when unset.
    "log.retention.minutes": Int = null, Any, ReadOnly, SERVED;
    /// How long records are kept, in hours.
    "log.retention.hours": Int = "168", Any, ReadOnly, SERVED;
    /// Bytes kept per partition; -1 means no limit.
    "log.retention.bytes": Long = "-1", Any, ClusterWide, SERVED;
    /// Time between two looks for segments to delete.
    "log.retention.check.interval.ms": Long = "300000", AtLeast(1), ReadOnly, SERVED;
    /// Delay before the first of the log's chores.
    "log.initial.task.delay.ms": Long = "30000", AtLeast(0), ReadOnly, SERVED internal;
    /// Largest offset index file.
    "log.index.size.max.bytes": Int = "10485760", AtLeast(4), ClusterWide, SERVED;
    /// Log bytes between two index entries.
    "log.index.interval.bytes": Int = "4096", AtLeast(0), ClusterWide, SERVED;
    /// Time between dropping a segment and removing its files.
    "log.segment.delete.delay.ms": Long = "60000", AtLeast(0), ClusterWide, SERVED;
    /// Records after which a partition is forced to disk.
    "log.flush.interval.messages": Long = "9223372036854775807", AtLeast(1), ClusterWide, SERVED;
    /// Time after which a partition is forced to disk; log.flush.scheduler.interval.ms when unset.
    "log.flush.interval.ms": Long = null, Any, ClusterWide, SERVED;
    /// How often partitions are looked at for a due flush.
    "log.flush.scheduler.interval.ms": Long = "9223372036854775807", Any, ReadOnly, SERVED;
    /// How often the recovery points are written down.
    "log.flush.offset.checkpoint.interval.ms": Int = "60000", AtLeast(0), ReadOnly, SERVED;
    /// How often the log start offsets are written down.
    "log.flush.start.offset.checkpoint.interval.ms": Int = "60000", AtLeast(0), ReadOnly, SERVED;
    /// Whether a new segment's space is reserved at once.
    "log.preallocate": Boolean = "false", Any, ClusterWide, PREALLOCATION;
    /// Whether a record's time is the producer's or the append's.
    "log.message.timestamp.type": String = "CreateTime", TIMESTAMPS, ClusterWide, SERVED;
    /// How far in the past a record's time may be.
    "log.message.timestamp.before.max.ms": Long = "9223372036854775807", AtLeast(0), ClusterWide, SERVED;
    /// How far in the future a record's time may be.
    "log.message.timestamp.after.max.ms": Long = "3600000", AtLeast(0), ClusterWide, SERVED;
    /// Largest record batch accepted.
    "message.max.bytes": Int = "1048588", AtLeast(0), ClusterWide, SERVED;
    /// Codec of stored batches; producer keeps the sender's.
    "compression.type": String = "producer", CODECS, ClusterWide, SERVED;
    /// Level when the broker compresses with gzip.
    "compression.gzip.level": Int = "-1", GzipLevel, ClusterWide, SERVED;
    /// Level when the broker compresses with lz4.
    "compression.lz4.level": Int = "9", Between(1, 17), ClusterWide, LZ4_LEVEL;
    /// Level when the broker compresses with zstd.
    "compression.zstd.level": Int = "3", Between(-131_072, 22), ClusterWide, SERVED;
    /// What happens to old segments: delete, compact, both or nothing.
    "log.cleanup.policy": List = "delete", POLICIES, ClusterWide, SERVED;
    /// Whether compaction runs.
    "log.cleaner.enable": Boolean = "true", Any, ReadOnly, SERVED;
    /// Compactions at a time.
    "log.cleaner.threads": Int = "1", AtLeast(0), ClusterWide, SERVED;
    /// Compaction's reads and writes a second, together.
    "log.cleaner.io.max.bytes.per.second": Double = "1.7976931348623157E308", Any, ClusterWide, SERVED;
    /// Memory for the keys of all compactions.
    "log.cleaner.dedupe.buffer.size": Long = "134217728", Any, ClusterWide, SERVED;
    /// Compaction's read and write buffers.
    "log.cleaner.io.buffer.size": Int = "524288", AtLeast(0), ClusterWide, TUNED;
    /// How full compaction's key table may get.
    "log.cleaner.io.buffer.load.factor": Double = "0.9", Any, ClusterWide, SERVED;
    /// Pause when there is nothing to compact.
    "log.cleaner.backoff.ms": Long = "15000", AtLeast(0), ClusterWide, SERVED;
    /// Share of the log not yet compacted that makes a compaction due.
    "log.cleaner.min.cleanable.ratio": Double = "0.5", Fraction(0.0, 1.0), ClusterWide, SERVED;
    /// How long tombstones stay in a compacted log.
    "log.cleaner.delete.retention.ms": Long = "86400000", AtLeast(0), ClusterWide, SERVED;
    /// Youngest age at which a record may be compacted.
    "log.cleaner.min.compaction.lag.ms": Long = "0", AtLeast(0), ClusterWide, SERVED;
    /// Oldest age at which a record must be compacted.
    "log.cleaner.max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1), ClusterWide, SERVED;
    /// Partitions recovered at a time in each data directory.
    "num.recovery.threads.per.data.dir": Int = "2", AtLeast(1), ClusterWide, SERVED;
    /// Moves between data directories at a time.
    "num.replica.alter.log.dirs.threads": Int = null, Any, ReadOnly, SERVED;
    /// Idle time after which a producer's sequence numbers are forgotten.
    "producer.id.expiration.ms": Int = "86400000", AtLeast(1), ClusterWide, SERVED;
    /// How often idle producers are looked for.
    "producer.id.expiration.check.interval.ms": Int = "600000", AtLeast(1), ReadOnly, SERVED internal;
}
