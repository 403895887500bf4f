//! The coordinators as pure state machines: groups and committed offsets, transactions, the state
//! of share groups.
//!
//! One [`GroupShard`] owns the groups of one partition of `__consumer_offsets`, one
//! [`TransactionShard`] the transactional ids of one partition of `__transaction_state`, one
//! [`ShareShard`] the share partitions of one partition of `__share_group_state`. A [`Shard`] decides what to append, which requests to answer and when to be woken; it never does
//! I/O, never reads a clock and never draws randomness: time and ids are arguments.
//! README.md of this crate says how a shell drives it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod admin;
mod change;
mod command;
mod config;
mod consumer;
mod deletion;
mod error;
mod group;
mod join;
mod kind;
mod member;
mod membership;
mod offset_api;
mod offsets;
mod partition;
mod rebalance;
mod records;
mod reply;
mod runtime;
mod shard;
mod share;
mod share_state;
mod state;
mod step;
mod streams;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod transactional_offsets;
mod transactions;
mod undo;
mod writes;

pub use command::{ClientContext, Command};
pub use config::{
    Bounded, ConsumerConfig, ConsumerOverrides, GroupConfig, MigrationPolicy, StreamsConfig,
    StreamsOverrides,
};
pub use consumer::{
    Assignor, ConsumerGroupState, NoTopics, TopicInfo, Topics, Viewer, validate_pattern,
};
pub use error::{GroupError, ReplayError};
pub use offsets::OffsetAndMetadata;
pub use partition::partition_for;
pub use records::CoordinatorRecord;
pub use reply::{Outcome, Reply, ReplyToken};
pub use runtime::{Replayed, Shard};
pub use shard::GroupShard;
pub use share::{
    DeletedOffsets, Initialization, ShareConfig, ShareGroupState, ShareOverrides, StateDeletion,
};
pub use share_state::{
    Prune, ShareCommand, SharePartition, ShareReply, ShareShard, ShareState, ShareStateConfig,
    ShareStateError, ShareSummary, StateBatch, StateWrite,
};
pub use state::GroupState;
pub use streams::{MISSING_INTERNAL_TOPICS, StreamsGroupState};
pub use transactions::{
    ConnectionId, Identity, Markers, Participants, TransactionConfig, TransactionShard,
    TransactionState, TransactionVersion, TxnCommand, TxnOutcome, TxnReply,
};
pub use writes::{Marker, Write, WriteId, WriteKind};
