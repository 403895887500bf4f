//! Broker keys that exist only at run time: no file may carry them, tools set them.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1, which keeps
//! them apart from the other broker keys too.

use crate::config::row::Validator::AtLeast;
use crate::config::row::config_rows;

config_rows! {
    DYNAMIC

    /// Bytes a second this broker sends to the followers a topic lists as throttled.
    "leader.replication.throttled.rate": Long = "9223372036854775807", AtLeast(0), ClusterWide, SERVED;
    /// Bytes a second this broker fetches for the replicas a topic lists as throttled.
    "follower.replication.throttled.rate": Long = "9223372036854775807", AtLeast(0), ClusterWide, SERVED;
    /// Bytes a second that moves between this broker's directories may take.
    "replica.alter.log.dirs.io.max.bytes.per.second": Long = "9223372036854775807", AtLeast(0), ClusterWide, SERVED;
}
