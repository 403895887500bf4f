mod acknowledging;
mod acquiring;
mod properties;
mod sessions;
mod whole;

use std::sync::Arc;

use naru_model::{Offset, Timestamp};

use crate::{
    AckBatch, AckError, AckType, Acknowledged, Acquire, AcquireMode, Acquired, Limits, ReadBatch,
    SharePartition, StateWrite,
};

/// A partition over a log of batches of ten records.
pub(super) struct World {
    pub(super) partition: SharePartition,
    pub(super) batches: Vec<ReadBatch>,
    pub(super) limits: Limits,
    pub(super) now: Timestamp,
}

pub(super) fn batch(first: i64, last: i64) -> ReadBatch {
    ReadBatch { first: Offset(first), last: Offset(last), aborted: false }
}

impl World {
    pub(super) fn new(batches: i64) -> Self {
        let batches = (0..batches).map(|at| batch(at * 10, at * 10 + 9)).collect();
        let partition = SharePartition::load(Offset(0), &[]);
        Self { partition, batches, limits: Limits::default(), now: Timestamp(1000) }
    }

    pub(super) fn acquire_as(
        &mut self,
        member: &str,
        records_max: i64,
        mode: AcquireMode,
    ) -> Vec<Acquired> {
        let fetch_offset = self.partition.next_fetch_offset();
        let behind = |batch: &&ReadBatch| batch.last >= fetch_offset;
        let batches: Vec<ReadBatch> = self.batches.iter().filter(behind).copied().collect();
        let member: Arc<str> = member.into();
        let ask = Acquire {
            member: &member,
            fetch_offset,
            batches: &batches,
            records_max,
            range_len: 500,
            mode,
        };
        let acquired = self.partition.acquire(self.now, &ask, &self.limits);
        self.partition.check_invariants();
        acquired
    }

    /// Whole batches, as `(first, last, deliveries)`.
    pub(super) fn acquire(&mut self, member: &str, records_max: i64) -> Vec<(i64, i64, u16)> {
        let acquired = self.acquire_as(member, records_max, AcquireMode::BatchOptimized);
        acquired.iter().map(|range| (range.first.0, range.last.0, range.deliveries)).collect()
    }

    pub(super) fn acknowledge(
        &mut self,
        member: &str,
        first: i64,
        last: i64,
        types: &[AckType],
    ) -> Result<Acknowledged, AckError> {
        let batch = AckBatch { first: Offset(first), last: Offset(last), types: types.to_vec() };
        let done = self.partition.acknowledge(self.now, member, &[batch], &self.limits);
        self.partition.check_invariants();
        done
    }

    /// Stores what is to be stored.
    pub(super) fn store(&mut self) -> Option<StateWrite> {
        let write = self.partition.begin_write()?;
        self.partition.end_write(write.id, true);
        self.partition.check_invariants();
        Some(write)
    }
}
