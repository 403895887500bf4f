//! The producers of a log that is opened, and its transaction indexes.
//!
//! After a crash the entries for markers in the part that was verified are written anew: what is
//! before it was synced together with the log.

use naru_model::Offset;

use super::{Found, Opening};
use crate::error::{ReadError, StorageError};
use crate::log::{sync_file, unless_full};
use crate::replay::{Replayed, load_snapshot, recall_batches, replay_from_snapshot};
use crate::transactions::CompletedTxn;

/// How much of the log's end is looked at for the producers' last batches, at least and at most.
const RECALL_BYTES: (u64, u64) = (64 << 10, 4 << 20);

impl Opening<'_> {
    pub(super) fn recover_producers(
        &self,
        found: &mut Found,
        range: (Offset, Offset),
    ) -> Result<Replayed, ReadError> {
        let log_end = range.1;
        let rebuild = self.drop_doubtful_aborted(found, log_end)?;
        // When every batch after it was verified just now, it is known whether there is a marker.
        let rebuild = rebuild.filter(|from| *from < self.verified_from || self.producers_seen);

        let (producers, from) =
            load_snapshot(&*self.disk, &self.dir, &mut found.snapshots, log_end)?;
        let nothing_new =
            from.is_some_and(|from| from >= self.verified_from) && !self.producers_seen;
        let is_known = nothing_new || from == Some(log_end);
        let mut replayed = if is_known && rebuild.is_none() {
            Replayed { producers, completed: Vec::new() }
        } else {
            replay_from_snapshot(
                &*self.disk,
                &self.dir,
                &mut found.snapshots,
                &found.segments,
                range,
                rebuild.unwrap_or(log_end),
            )?
        };
        if let Some(from) = rebuild {
            index_again(found, from, &replayed.completed)?;
        }
        let budget = self.options.tail_bytes.clamp(RECALL_BYTES.0, RECALL_BYTES.1);
        recall_batches(&found.segments, budget, &mut replayed.producers)?;
        Ok(replayed)
    }

    /// Drops the entries of the transaction indexes that may be wrong; from which marker on.
    fn drop_doubtful_aborted(
        &self,
        found: &Found,
        log_end: Offset,
    ) -> Result<Option<Offset>, StorageError> {
        let mut doubtful = found.bad_aborted;
        if !self.trust.clean || self.report.bytes_cut > 0 {
            doubtful = Some(doubtful.map_or(self.verified_from, |bad| bad.min(self.verified_from)));
            for segment in &found.segments {
                if doubtful.is_none_or(|from| segment.base < from)
                    && !segment.aborted_look_sane()?
                {
                    doubtful = Some(segment.base);
                }
            }
        }
        let Some(from) = doubtful.filter(|from| *from <= log_end) else { return Ok(None) };
        for segment in &found.segments {
            // Of a segment that is wholly entered again nothing is kept: zeros in the place of an
            // entry that was not synced would pass for a marker before `from`.
            let kept = if segment.base < from { from } else { Offset(0) };
            segment.truncate_aborted(kept)?;
        }
        Ok(Some(from))
    }
}

/// Enters the transactions whose markers stand at `from` or later into the indexes again.
fn index_again(
    found: &Found,
    from: Offset,
    completed: &[CompletedTxn],
) -> Result<(), StorageError> {
    for ended in completed.iter().filter(|ended| ended.marker >= from) {
        let at = found.segments.partition_point(|segment| segment.base <= ended.marker);
        let segment = at.checked_sub(1).and_then(|at| found.segments.get(at));
        if let (Some(segment), Some(entry)) = (segment, ended.index_entry()) {
            unless_full(segment.note_aborted(&entry).map(drop))?;
        }
    }
    // The active one is synced with the log.
    let closed = found.segments.split_last().map_or(&[][..], |(_, closed)| closed);
    for segment in closed {
        if let Some(file) = segment.take_unsynced_aborted() {
            sync_file(&*file, segment.path())?;
        }
    }
    Ok(())
}
