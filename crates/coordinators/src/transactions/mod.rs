//! The transaction coordinator: who may write under a transactional id, which partitions its
//! transaction has, and whether that is committed or aborted (KIP-98, 360, 664, 890).
//!
//! One [`TransactionShard`] owns the transactional ids of one partition of `__transaction_state`.
//! Pure, as the group coordinator is: it decides what to append, what to answer, which markers to
//! have written and when to be woken.
//!
//! Invariants: an id has at most one transition in flight; markers are asked for only when the
//! decision is committed in the log; a producer's epoch never goes back.

mod command;
mod config;
mod end;
mod error;
mod init;
mod inspect;
mod metadata;
mod records;
mod shard;
mod state;
#[cfg(test)]
mod tests;

pub use command::{ConnectionId, Participants, TxnCommand, TxnReply};
pub use config::TransactionConfig;
pub use metadata::{Identity, TransactionVersion};
pub use shard::{Markers, TransactionShard, TxnOutcome};
pub use state::TransactionState;
