//! What the metadata quorum writes down: control records, the quorum-state file, the files of a
//! fresh directory, snapshots' names and when they are due. The state machine is [`crate::raft`].

mod control;
mod election_state;
mod format;
mod snapshot_policy;

pub use control::{ControlRecord, Voter, VoterEndpoint};
pub use election_state::{ElectionState, ElectionStateError, VotedFor};
pub use format::{bootstrap_checkpoint, bootstrap_checkpoint_of, initial_checkpoint};
pub use snapshot_policy::{SnapshotId, SnapshotPolicy};

/// How voters are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KraftVersion {
    /// From `controller.quorum.voters` (kraft.version 0).
    #[default]
    Static,
    /// From VotersRecords in the log (kraft.version 1).
    Dynamic,
}

impl KraftVersion {
    /// The feature's level.
    pub const fn level(self) -> i16 {
        match self {
            Self::Static => 0,
            Self::Dynamic => 1,
        }
    }
}

#[cfg(test)]
mod tests;
