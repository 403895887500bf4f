//! What the writer of a log publishes to its readers.
//!
//! One small lock per log, held for a few loads or stores, never over I/O. A reader takes what it
//! needs and works on shared segments without it.
//!
//! Invariants: `segments` is never empty and rises by base offset; the last one is active;
//! `log_start <= log_end`; `synced_end <= log_end`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use naru_model::Offset;

use crate::epochs::LeaderEpochs;
use crate::segment::Segment;
use crate::transactions::Unreplicated;

/// How many of the last batches readers find without touching an index.
const TAIL_MAX: usize = 128;

/// Where a recent batch lies in the active segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TailBatch {
    pub(crate) base: Offset,
    pub(crate) last: Offset,
    pub(crate) position: u64,
    pub(crate) end: u64,
}

#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) synced_end: Offset,
    /// First offset of the oldest open transaction.
    pub(crate) first_unstable: Option<Offset>,
    /// Transactions whose markers may be above the high watermark.
    pub(crate) unreplicated: Unreplicated,
    pub(crate) epochs: LeaderEpochs,
    /// How often bytes that readers may have seen were cut off or replaced.
    pub(crate) changes: u64,
    /// Offsets may be missing: `cleanup.policy` has compact, or once had.
    pub(crate) compact: bool,
    /// Everything before this has been compacted once.
    pub(crate) cleaned_upto: Option<Offset>,
    /// The last batches of the active segment, without a gap up to its end.
    pub(crate) tail: VecDeque<TailBatch>,
}

#[derive(Debug)]
pub(crate) struct Shared(Mutex<Published>);

impl Shared {
    pub(crate) const fn new(published: Published) -> Self {
        Self(Mutex::new(published))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Published> {
        // Whoever holds the lock only assigns; nothing is left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    /// Below this offset every transaction has ended and its marker is committed; it is asked for
    /// with rising high watermarks.
    pub(crate) fn last_stable(&mut self, high_watermark: Offset) -> Offset {
        self.unreplicated.settle(high_watermark);
        let unstable = [self.first_unstable, self.unreplicated.first()];
        let unstable = unstable.into_iter().flatten().min();
        unstable.map_or(high_watermark, |first| first.max(self.log_start).min(high_watermark))
    }

    pub(crate) fn active(&self) -> &Arc<Segment> {
        self.segments.last().expect("a log has at least one segment")
    }

    /// Index of the segment that has, or would have, this offset.
    pub(crate) fn segment_at(&self, offset: Offset) -> Option<usize> {
        self.segments.partition_point(|segment| segment.base <= offset).checked_sub(1)
    }

    pub(crate) fn push_tail(&mut self, batch: TailBatch) {
        if self.tail.len() == TAIL_MAX {
            self.tail.pop_front();
        }
        self.tail.push_back(batch);
    }

    /// The recent batch that has this offset, or the next one after it.
    pub(crate) fn tail_at(&self, offset: Offset) -> Option<usize> {
        let first = self.tail.front()?;
        if offset < first.base {
            return None;
        }
        let at = self.tail.partition_point(|batch| batch.last < offset);
        (at < self.tail.len()).then_some(at)
    }
}
