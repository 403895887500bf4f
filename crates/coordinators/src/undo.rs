//! What takes a change back that could not be stored, of whatever kind of group.

use std::sync::Arc;

use naru_model::Timestamp;

use crate::consumer::ConsumerUndo;
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
    /// Takes back what could not be stored.
    pub(crate) fn take_back(&mut self, now: Timestamp, undo: Undo) {
        match undo {
            Undo::Consumer(undo) => self.take_back_consumer(now, undo),
            Undo::Streams(undo) => self.take_back_streams(now, undo),
            Undo::Share(undo) => self.take_back_share(now, undo),
        }
    }
}
