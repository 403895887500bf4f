//! What a share coordinator is asked, and what it answers.

use naru_model::Uuid;

use super::batches::StateBatch;
use super::error::ShareStateError;
use super::facts::SharePartition;

/// A request about one share partition, or news. Requests are authorized before they come here.
#[derive(Debug, Clone)]
pub enum ShareCommand {
    /// Begins a share partition's state, or begins it anew.
    Initialize {
        /// Which one.
        partition: SharePartition,
        /// The group's epoch when it was asked for.
        state_epoch: i32,
        /// Where the group begins to read; -1 if its leader is to find out.
        start_offset: i64,
    },
    /// The whole state, for a leader of the partition; -1 for somebody who leads nothing.
    Read {
        /// Which one.
        partition: SharePartition,
        /// The leader's epoch.
        leader_epoch: i32,
    },
    /// What has changed, by the leader of the partition.
    Write {
        /// Which one.
        partition: SharePartition,
        /// What has changed.
        write: StateWrite,
    },
    /// Ends a share partition's state.
    Delete {
        /// Which one.
        partition: SharePartition,
    },
    /// Where a group stands.
    Summary {
        /// Which one.
        partition: SharePartition,
    },
    /// Topics are gone: what groups had of them goes too. Answered with [`ShareReply::Done`].
    TopicsDeleted {
        /// Their ids.
        topics: Vec<Uuid>,
    },
}

impl ShareCommand {
    /// The share partition it is about; none if it is about several.
    pub fn partition(&self) -> Option<&SharePartition> {
        match self {
            Self::Initialize { partition, .. }
            | Self::Read { partition, .. }
            | Self::Write { partition, .. }
            | Self::Delete { partition }
            | Self::Summary { partition } => Some(partition),
            Self::TopicsDeleted { .. } => None,
        }
    }
}

/// What a leader writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateWrite {
    /// The epoch of the state it changes; -1 is not checked.
    pub state_epoch: i32,
    /// The leader's epoch; -1 is not checked.
    pub leader_epoch: i32,
    /// The first record that is not done; -1 if it stays.
    pub start_offset: i64,
    /// How many records behind the start are done; -1 if not known.
    pub delivery_complete_count: i32,
    /// What has become of records.
    pub batches: Vec<StateBatch>,
}

/// A share partition's whole state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareState {
    /// The group's epoch when the state began.
    pub state_epoch: i32,
    /// The first record that is not done; -1 if nobody has found out where to begin.
    pub start_offset: i64,
    /// What has become of the records behind it.
    pub batches: Vec<StateBatch>,
}

/// Where a group stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareSummary {
    /// The group's epoch when the state began.
    pub state_epoch: i32,
    /// The epoch of the leader that read the state last.
    pub leader_epoch: i32,
    /// The first record that is not done; -1 if not known.
    pub start_offset: i64,
    /// How many records behind the start are done; -1 if not known.
    pub delivery_complete_count: i32,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareReply {
    /// It is as was asked.
    Done,
    /// To [`ShareCommand::Read`].
    State(ShareState),
    /// To [`ShareCommand::Summary`].
    Summary(ShareSummary),
    /// Nothing was done.
    Refused(ShareStateError),
}
