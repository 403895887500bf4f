//! The field's words: offsets, epochs, ids, error codes, and the configuration tables.
//!
//! Holds values and facts only. Never does I/O, never knows a byte layout (that is `protocol`
//! and `records`), and has no state.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod config;
mod error_code;
mod error_text;
mod ids;
mod uuid;

pub use error_code::ErrorCode;
pub use ids::{
    BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch,
    ProducerId, Sequence, Timestamp, TopicPartition,
};
pub use uuid::{ParseUuidError, Uuid};
