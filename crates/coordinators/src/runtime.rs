//! What every kind of shard has in common, so that one shell drives them all.
//!
//! A shard is filled by `replay`, then lives by `handle`, `on_written` and `tick`. What these
//! give back is to be carried out in order; the results of writes come back by `on_written`.

use bytes::Bytes;
use naru_model::{ErrorCode, Offset, ProducerId, Timestamp};

use crate::error::ReplayError;
use crate::reply::{Outcome, ReplyToken};
use crate::writes::WriteId;

/// What became of a replayed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// It is part of the state now.
    Applied,
    /// Its type is not known here; it was skipped and counted.
    Skipped,
}

/// A coordinator of one partition of an internal topic.
pub trait Shard {
    /// What it is asked.
    type Command;
    /// What it answers.
    type Reply;
    /// What it wants done besides answers and writes.
    type Effect;

    /// Takes in a record of the log, in log order, before [`Self::on_loaded`]; `producer` is whose
    /// transaction it belongs to, if any.
    fn replay(
        &mut self,
        producer: Option<ProducerId>,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Replayed, ReplayError>;

    /// Tells where the record that is replayed next lies. Most shards need not know.
    fn replay_from(&mut self, _offset: Offset) {}

    /// Takes in the end of a producer's transaction, in log order.
    fn replay_marker(&mut self, producer: ProducerId, commit: bool);

    /// The log is read.
    fn on_loaded(&mut self, now: Timestamp) -> Outcome<Self::Reply, Self::Effect>;

    /// Takes a request. Its answer is in this outcome or in a later one.
    fn handle(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        command: Self::Command,
    ) -> Outcome<Self::Reply, Self::Effect>;

    /// Tells where the first record of a batch was put, before its fate is known. Most shards need
    /// not know.
    fn on_appended(&mut self, _id: WriteId, _first: Offset) {}

    /// The fate of a batch: committed, or the error with which its append failed. Batches that
    /// were committed are told in the order in which they were asked for.
    fn on_written(
        &mut self,
        now: Timestamp,
        id: WriteId,
        result: Result<(), ErrorCode>,
    ) -> Outcome<Self::Reply, Self::Effect>;

    /// When [`Self::tick`] is due; may be early, never late.
    fn next_deadline(&self) -> Option<Timestamp>;

    /// Does what time demands.
    fn tick(&mut self, now: Timestamp) -> Outcome<Self::Reply, Self::Effect>;

    /// Nobody was answered for so long, so nobody can be late: deadlines move by as much. A shard
    /// that waits for nobody has none to move.
    fn postpone(&mut self, _by_ms: i64) {}

    /// Somebody has set the clock forward, or back if negative: what waits does not notice, so
    /// deadlines move by as much. What is stored keeps the time it was given.
    fn clock_was_set(&mut self, by_ms: i64);

    /// Gives the partition up: whatever waits is told to look for the coordinator again. The
    /// shard is empty afterwards.
    fn unload(&mut self) -> Outcome<Self::Reply, Self::Effect>;
}
