//! The transaction index of a segment.

use std::sync::Arc;

use naru_model::Offset;

use super::Segment;
use super::inner::{position_of, relative_of};
use crate::disk::DiskFile;
use crate::error::StorageError;
use crate::txn_index::AbortedTxn;

impl Segment {
    /// Enters an aborted transaction whose marker is in this segment; whether the file is new.
    pub(crate) fn note_aborted(&self, aborted: &AbortedTxn) -> Result<bool, StorageError> {
        let mut inner = self.lock();
        let is_new = inner.aborted.bytes() == 0;
        inner.aborted.append(&*self.disk, aborted)?;
        Ok(is_new)
    }

    /// Collects aborted transactions that have records in `from..upto`; whether those whose
    /// markers are in later segments cannot have any.
    pub(crate) fn collect_aborted(
        &self,
        from: Offset,
        upto: Offset,
        into: &mut Vec<AbortedTxn>,
    ) -> Result<bool, StorageError> {
        self.lock().aborted.collect(&*self.disk, from, upto, into)
    }

    /// Forgets the aborted transactions whose markers stand at `end` or later.
    pub(crate) fn truncate_aborted(&self, end: Offset) -> Result<(), StorageError> {
        self.lock().aborted.truncate(&*self.disk, end)
    }

    /// Whether the transaction index can be right.
    pub(crate) fn aborted_look_sane(&self) -> Result<bool, StorageError> {
        self.lock().aborted.is_plausible(&*self.disk, self.base)
    }

    /// The transaction index, if it was written since it was last handed out to be synced.
    pub(crate) fn take_unsynced_aborted(&self) -> Option<Arc<dyn DiskFile>> {
        self.lock().aborted.take_unsynced()
    }

    /// An offset that is not before what a read of the bytes before `position` gives, as the
    /// offset index tells it; none if it has no entry from there on.
    pub(crate) fn indexed_from(&self, position: u64) -> Result<Option<Offset>, StorageError> {
        let mut inner = self.lock();
        let disk = &*self.disk;
        let at = inner.offsets.partition_point(disk, |entry| position_of(entry) < position)?;
        if at >= inner.offsets.count() {
            return Ok(None);
        }
        let entry = inner.offsets.entry(disk, at)?;
        Ok(Some(self.base.plus(i64::from(relative_of(&entry)))))
    }
}
