//! Quotas and metrics.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::ENTRIES;
use crate::config::row::Validator::{Any, AtLeast};
use crate::config::row::config_rows;

config_rows! {
    QUOTAS

    /// Windows that client rates are measured over.
    "quota.window.num": Int = "11", AtLeast(1), ReadOnly, SERVED;
    /// Length of one client rate window.
    "quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, SERVED;
    /// Windows that controller mutation rates are measured over.
    "controller.quota.window.num": Int = "11", AtLeast(1), ReadOnly, SERVED;
    /// Length of one controller mutation window.
    "controller.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, SERVED;
    /// Windows that replication rates are measured over.
    "replication.quota.window.num": Int = "11", AtLeast(1), ReadOnly, SERVED;
    /// Length of one replication window.
    "replication.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, SERVED;
    /// Windows that moves between directories are measured over.
    "alter.log.dirs.replication.quota.window.num": Int = "11", AtLeast(1), ReadOnly, TUNED;
    /// Length of one window of those moves.
    "alter.log.dirs.replication.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, TUNED;
    /// Java class that decides client quotas.
    "client.quota.callback.class": Class = null, Any, ReadOnly, JAVA;
    /// Java classes that metrics are reported to.
    "metric.reporters": List = "org.apache.kafka.common.metrics.JmxReporter", ENTRIES, ClusterWide, JAVA;
    /// Samples each metric is computed from.
    "metrics.num.samples": Int = "2", AtLeast(1), ReadOnly, METRICS;
    /// Length of one metric sample.
    "metrics.sample.window.ms": Long = "30000", AtLeast(1), ReadOnly, METRICS;
    /// Most detailed metrics recorded.
    "metrics.recording.level": String = "INFO", Any, ReadOnly, METRICS;
    /// Java classes the older metrics are reported to.
    "kafka.metrics.reporters": List = "", ENTRIES, ReadOnly, JAVA;
    /// How often the older metrics are reported.
    "kafka.metrics.polling.interval.secs": Int = "10", AtLeast(1), ReadOnly, METRICS;
    /// Largest metrics push accepted from a client.
    "telemetry.max.bytes": Int = "1048576", AtLeast(1), ReadOnly, SERVED;
}
