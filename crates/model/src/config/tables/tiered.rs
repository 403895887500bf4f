//! Tiered storage.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use crate::config::row::Validator::{Any, AtLeast, Fraction, NonEmpty};
use crate::config::row::config_rows;

config_rows! {
    TIERED

    /// Whether tiered storage is on.
    "remote.log.storage.system.enable": Boolean = "false", Any, ReadOnly, TIERED;
    /// Java class of the remote store.
    "remote.log.storage.manager.class.name": String = null, NonEmpty, ReadOnly, TIERED;
    /// Class path of the remote store.
    "remote.log.storage.manager.class.path": String = null, Any, ReadOnly, TIERED;
    /// Prefix of the remote store's own settings.
    "remote.log.storage.manager.impl.prefix": String = "rsm.config.", NonEmpty, ReadOnly, TIERED;
    /// Java class that keeps the remote log's metadata.
    "remote.log.metadata.manager.class.name": String = "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NonEmpty, ReadOnly, TIERED;
    /// Class path of the remote log's metadata manager.
    "remote.log.metadata.manager.class.path": String = null, Any, ReadOnly, TIERED;
    /// Prefix of the metadata manager's own settings.
    "remote.log.metadata.manager.impl.prefix": String = "rlmm.config.", NonEmpty, ReadOnly, TIERED;
    /// Listener the metadata manager's clients use.
    "remote.log.metadata.manager.listener.name": String = null, NonEmpty, ReadOnly, TIERED;
    /// Most bytes a remote store may attach to a segment.
    "remote.log.metadata.custom.metadata.max.bytes": Int = "128", AtLeast(0), ReadOnly, TIERED;
    /// Disk space for indexes fetched from the remote store.
    "remote.log.index.file.cache.total.size.bytes": Long = "1073741824", AtLeast(1), ClusterWide, TIERED;
    /// Idle time after which a cached remote index goes.
    "remote.log.index.file.cache.ttl.ms": Long = "900000", AtLeast(-1), ReadOnly, TIERED internal;
    /// Threads that clean up the remote store's bookkeeping.
    "remote.log.manager.thread.pool.size": Int = "2", AtLeast(1), ReadOnly, TIERED;
    /// Segment uploads at a time.
    "remote.log.manager.copier.thread.pool.size": Int = "10", AtLeast(1), ClusterWide, TIERED;
    /// Threads that delete expired remote segments.
    "remote.log.manager.expiration.thread.pool.size": Int = "10", AtLeast(1), ClusterWide, TIERED;
    /// Threads for the remote work of followers.
    "remote.log.manager.follower.thread.pool.size": Int = "2", AtLeast(1), ClusterWide, TIERED;
    /// Time between two rounds of remote chores.
    "remote.log.manager.task.interval.ms": Long = "30000", AtLeast(1), ReadOnly, TIERED;
    /// First pause after a failed remote chore.
    "remote.log.manager.task.retry.backoff.ms": Long = "500", AtLeast(1), ReadOnly, TIERED internal;
    /// Longest pause after failed remote chores.
    "remote.log.manager.task.retry.backoff.max.ms": Long = "30000", AtLeast(1), ReadOnly, TIERED internal;
    /// Random share added to those pauses.
    "remote.log.manager.task.retry.jitter": Double = "0.2", Fraction(0.0, 0.5), ReadOnly, TIERED internal;
    /// Upload limit in bytes a second.
    "remote.log.manager.copy.max.bytes.per.second": Long = "9223372036854775807", AtLeast(1), ClusterWide, TIERED;
    /// Windows the upload rate is measured over.
    "remote.log.manager.copy.quota.window.num": Int = "11", AtLeast(1), ReadOnly, TIERED;
    /// Length of one upload window.
    "remote.log.manager.copy.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, TIERED;
    /// Download limit in bytes a second.
    "remote.log.manager.fetch.max.bytes.per.second": Long = "9223372036854775807", AtLeast(1), ClusterWide, TIERED;
    /// Windows the download rate is measured over.
    "remote.log.manager.fetch.quota.window.num": Int = "11", AtLeast(1), ReadOnly, TIERED;
    /// Length of one download window.
    "remote.log.manager.fetch.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, TIERED;
    /// Remote reads at a time.
    "remote.log.reader.threads": Int = "10", AtLeast(1), ClusterWide, TIERED;
    /// Remote reads that may wait.
    "remote.log.reader.max.pending.tasks": Int = "100", AtLeast(1), ReadOnly, TIERED;
    /// Longest a fetch waits for the remote store.
    "remote.fetch.max.wait.ms": Int = "500", AtLeast(1), ClusterWide, TIERED;
    /// Longest an offset lookup waits for the remote store.
    "remote.list.offsets.request.timeout.ms": Long = "30000", AtLeast(1), ClusterWide, TIERED;
    /// How long tiered records stay on local disk; -2 follows retention.ms.
    "log.local.retention.ms": Long = "-2", AtLeast(-2), ClusterWide, TIERED;
    /// Bytes of a tiered partition kept on local disk; -2 follows retention.bytes.
    "log.local.retention.bytes": Long = "-2", AtLeast(-2), ClusterWide, TIERED;
}
