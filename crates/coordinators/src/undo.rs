//! What takes a change back that could not be stored, of whatever kind of group.

use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp};

use crate::consumer::ConsumerUndo;
use crate::error::append_error;
use crate::reply::Outcome;
use crate::shard::GroupShard;
use crate::share::ShareUndo;
use crate::streams::StreamsUndo;

/// See the module.
#[derive(Debug)]
pub(crate) enum Undo {
    Consumer(ConsumerUndo),
    Streams(StreamsUndo),
    Share(ShareUndo),
}

impl Undo {
    /// The group that was changed.
    pub(crate) fn group(&self) -> &Arc<str> {
        match self {
            Self::Consumer(undo) => &undo.group,
            Self::Streams(undo) => &undo.group,
            Self::Share(undo) => &undo.group,
        }
    }
}

impl From<ConsumerUndo> for Undo {
    fn from(undo: ConsumerUndo) -> Self {
        Self::Consumer(undo)
    }
}

impl From<StreamsUndo> for Undo {
    fn from(undo: StreamsUndo) -> Self {
        Self::Streams(undo)
    }
}

impl From<ShareUndo> for Undo {
    fn from(undo: ShareUndo) -> Self {
        Self::Share(undo)
    }
}

impl GroupShard {
    /// Takes back what could not be stored because of `error`.
    pub(crate) fn take_back(
        &mut self,
        now: Timestamp,
        undo: Undo,
        error: ErrorCode,
        out: &mut Outcome,
    ) {
        match undo {
            Undo::Consumer(undo) => self.take_back_consumer(now, undo, error, out),
            Undo::Streams(undo) => self.take_back_streams(now, undo, error, out),
            Undo::Share(undo) => self.take_back_share(now, undo, error, out),
        }
    }

    /// Ends the classic group that has taken the place of one which comes back: whoever waits in
    /// it is refused.
    pub(crate) fn displace_classic(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        error: ErrorCode,
        out: &mut Outcome,
    ) {
        let Some(classic) = self.groups.remove(id) else { return };
        let mut step = self.step(now, out);
        step.cancel_group_timers(&classic);
        for member in classic.members() {
            step.dismiss(member, append_error(error));
        }
    }
}
