//! Configs of one subscription of client metrics (KIP-714).
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::ENTRIES;
use crate::config::row::Validator::Any;
use crate::config::row::config_rows;

config_rows! {
    CLIENT_METRICS_KEYS

    /// How often clients push.
    "interval.ms": Int = "300000", Any, ClusterWide, SERVED;
    /// Which clients it is for, as attribute=pattern.
    "match": List = "", ENTRIES, ClusterWide, SERVED;
    /// Prefixes of the names of metrics, or *.
    "metrics": List = "", ENTRIES, ClusterWide, SERVED;
}
