//! Cutting the end off a log, or all of it.

use std::sync::Arc;

use naru_model::{Offset, Timestamp};

use crate::compact::cut_back;
use crate::error::{AppendError, Context, ReadError, StorageError};
use crate::log::{Log, remove_if_there};
use crate::names;
use crate::producers::Producers;
use crate::replay::{recall_batches, replay_producers};
use crate::segment::Segment;

/// How much of the log's end is looked at for the producers' last batches after a cut.
const RECALL_BYTES: u64 = 256 << 10;

impl Log {
    /// Removes every record from `offset` on. An offset inside a batch removes the whole batch:
    /// the log then ends where that batch began. Returns the new log end.
    ///
    /// If it fails half way the log takes no more appends until it is opened again.
    pub fn truncate_to(&mut self, offset: Offset, now: Timestamp) -> Result<Offset, AppendError> {
        if let Some(why) = &self.failed {
            return Err(AppendError::Failed(why.clone()));
        }
        if offset >= self.log_end {
            return Ok(self.log_end);
        }
        let first_base = self.shared.lock().segments.first().map(|segment| segment.base);
        if first_base.is_none_or(|base| offset < base) {
            self.truncate_fully_and_start_at(offset, now)?;
            return Ok(offset);
        }
        self.generation += 1;
        let done = self.place_of_cut(offset).and_then(|place| self.cut(offset, place));
        match done {
            Ok(()) => Ok(self.log_end),
            Err(error) => {
                let why = error.to_string();
                self.failed = Some(why.clone());
                Err(match error {
                    ReadError::Storage(error) => self.report(error.into()),
                    ReadError::OutOfRange { .. } | ReadError::Damaged { .. } => {
                        AppendError::Failed(why)
                    }
                })
            }
        }
    }

    /// Removes everything; the log is empty and begins and ends at `offset`.
    pub fn truncate_fully_and_start_at(
        &mut self,
        offset: Offset,
        now: Timestamp,
    ) -> Result<(), AppendError> {
        self.generation += 1;
        self.restart_at(offset, now).map_err(|error| {
            self.failed = Some(error.to_string());
            self.report(error.into())
        })
    }

    /// Cuts off all from `offset` on; `place` is where its segment ends then.
    fn cut(&mut self, offset: Offset, place: (Offset, u64)) -> Result<(), ReadError> {
        let removed: Vec<Arc<Segment>> = {
            let mut published = self.shared.lock();
            let keep = published.segments.partition_point(|segment| segment.base <= offset);
            published.tail.clear();
            let removed = published.segments.split_off(keep.max(1));
            // Readers must not be sent beyond the cut while it is made.
            published.log_end = offset;
            published.changes += 1;
            removed
        };
        self.unsynced.retain(|kept| removed.iter().all(|gone| gone.base != kept.base));
        for segment in &removed {
            self.remove_segment_files(segment)?;
        }
        if !removed.is_empty() {
            // They must not come back beside what is written in their place.
            self.disk.sync_dir(&self.dir).context("sync", &self.dir)?;
        }
        let active = Arc::clone(self.shared.lock().active());
        let (end, size) = place;
        active.truncate(size, end)?;
        self.unsynced.retain(|closed| closed.base != active.base);
        self.active = active;
        self.position = size;
        self.log_end = end;

        let later: Vec<Offset> = self.snapshots.range(end.plus(1)..).copied().collect();
        for snapshot in later {
            self.remove_snapshot(snapshot)?;
        }
        let (segments, log_start) = {
            let published = self.shared.lock();
            (published.segments.clone(), published.log_start)
        };
        let range = (log_start, end);
        let mut replayed =
            replay_producers(&*self.disk, &self.dir, &mut self.snapshots, &segments, range)?;
        recall_batches(&segments, RECALL_BYTES, &mut replayed.producers)?;
        self.producers = replayed.producers;

        let epochs_changed = {
            let mut published = self.shared.lock();
            published.log_end = end;
            published.log_start = published.log_start.min(end);
            published.synced_end = published.synced_end.min(end);
            cut_back(&mut published.cleaned_upto, end);
            published.first_unstable = self.producers.first_unstable();
            published.unreplicated.truncate(end);
            published.epochs.truncate_from_end(end)
        };
        if epochs_changed {
            self.write_epochs_if_space()?;
        }
        Ok(())
    }

    /// Where a segment ends when the record at `offset` and all after it are cut off.
    fn place_of_cut(&self, offset: Offset) -> Result<(Offset, u64), ReadError> {
        let segment = {
            let published = self.shared.lock();
            let at = published.segment_at(offset).unwrap_or(0);
            published.segments.get(at).cloned().unwrap_or_else(|| Arc::clone(&self.active))
        };
        loop {
            if let Some(damage) = segment.damage_at(offset) {
                return Ok((damage.first, damage.position));
            }
            match segment.find(offset) {
                Ok(Some((header, position))) => {
                    return Ok((offset.min(header.base_offset), position));
                }
                Ok(None) => return Ok((offset, segment.size())),
                // A damaged batch on the way is passed over once it is known to be one.
                Err(ReadError::Damaged { position, .. })
                    if self.reader().discover(&segment, position) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn restart_at(&mut self, offset: Offset, now: Timestamp) -> Result<(), StorageError> {
        let removed = {
            let mut published = self.shared.lock();
            published.tail.clear();
            published.changes += 1;
            published.segments.clone()
        };
        // The new file may have the name of an old one, so the old ones go first.
        for segment in &removed {
            self.remove_segment_files(segment)?;
        }
        let fresh = Arc::new(Segment::create(&self.disk, &self.dir, offset, now)?);
        for snapshot in std::mem::take(&mut self.snapshots) {
            remove_if_there(&*self.disk, &names::path(&self.dir, snapshot, names::SNAPSHOT))?;
        }
        self.loose.renamed();
        self.unsynced.clear();
        self.producers = Producers::default();
        self.active = Arc::clone(&fresh);
        self.position = 0;
        self.log_end = offset;
        {
            let mut published = self.shared.lock();
            published.segments = vec![fresh];
            published.log_start = offset;
            published.log_end = offset;
            published.synced_end = offset;
            published.cleaned_upto = None;
            published.first_unstable = None;
            published.unreplicated.clear();
            published.epochs = crate::epochs::LeaderEpochs::default();
        }
        self.write_epochs_if_space()
    }

    /// Removes the files of a segment at once; open readers keep theirs.
    pub(crate) fn remove_segment_files(&mut self, segment: &Segment) -> Result<(), StorageError> {
        self.remove_files_of(segment.base)
    }

    /// Removes the files of the segment with this base, whichever there are.
    pub(crate) fn remove_files_of(&mut self, base: Offset) -> Result<(), StorageError> {
        for suffix in names::OF_SEGMENT {
            remove_if_there(&*self.disk, &names::path(&self.dir, base, suffix))?;
        }
        self.loose.renamed();
        Ok(())
    }
}
