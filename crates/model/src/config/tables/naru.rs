//! Our own broker configs, all under `naru.`.
//!
//! Kept few: whatever Kafka has a key for is steered by Kafka's key.

use super::DURABILITY;
use crate::config::row::Validator::{Any, AtLeast};
use crate::config::row::config_rows;

config_rows! {
    NARU

    /// What a stored batch has survived when it is acknowledged: fsync (power cut) or os (process).
    "naru.durability": String = "fsync", DURABILITY, ClusterWide, SERVED;
    /// Address of the HTTP listener for the console, metrics and health, as host:port.
    "naru.http.listener": String = null, Any, ReadOnly, SERVED;
    /// Most bytes a second the background check of closed segments reads; 0 switches it off.
    "naru.scrub.bytes.per.second.max": Long = "67108864", AtLeast(0), ReadOnly, SERVED;
    /// In this time the background check looks at every closed segment once; the first time after a start it takes as little as it may.
    "naru.scrub.interval.ms": Long = "604800000", AtLeast(1), ReadOnly, SERVED;
    /// Bytes kept free in each data directory for deletions, checkpoints and metadata when the disk is full.
    "naru.log.dir.reserve.bytes": Long = "8388608", AtLeast(0), ReadOnly, SERVED;
    /// Most bytes one batch may inflate to when the broker has to look inside.
    "naru.decode.inflated.bytes.max": Int = "104857600", AtLeast(1), ReadOnly, SERVED;
}
