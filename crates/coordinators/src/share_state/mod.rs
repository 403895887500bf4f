//! The share coordinator (KIP-932): what share groups have done with the records of a partition.
//!
//! One [`ShareShard`] owns the share partitions of one partition of `__share_group_state`. A share
//! partition is written as a snapshot, then as updates to it, then as the next snapshot; older
//! records are needed no more and their log is cut off in front. To decide is to replay the record
//! that says what was decided, so that a shard which reads the log holds the same.

mod batches;
mod command;
mod config;
mod error;
mod facts;
mod shard;
mod state;
#[cfg(test)]
mod tests;

pub use batches::StateBatch;
pub use command::{ShareCommand, ShareReply, ShareState, ShareSummary, StateWrite};
pub use config::ShareStateConfig;
pub use error::ShareStateError;
pub use facts::SharePartition;
pub use shard::{Prune, ShareShard};
