//! Putting a cleaned segment in the place of the segments it was made of.
//!
//! In Kafka's steps, so that either program completes what the other was killed in: `.cleaned`
//! becomes `.swap`, from which moment on the new segment counts; the old files become `.deleted`;
//! `.swap` falls away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use naru_model::Offset;

use super::run::{CleanedSegment, CompactionError, remove_cleaned};
use crate::checkpoint::{Durable, replace};
use crate::disk::Disk;
use crate::error::{Context, StorageError};
use crate::log::Log;
use crate::names;
use crate::retention::{DeletedSegments, Reason};
use crate::segment::{FileLens, Segment};

/// What has been replaced.
#[derive(Debug)]
#[must_use = "the old files stay on the disk until they are removed"]
pub struct Replaced {
    disk: Arc<dyn Disk>,
    dir: Arc<Path>,
    /// The files that the new segment has replaced.
    pub deleted: DeletedSegments,
}

impl Replaced {
    /// Makes the exchange durable, without the log's lock. The old files may go only then.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.disk.sync_dir(&self.dir).context("sync", &self.dir)
    }
}

impl Log {
    /// Puts a cleaned segment in place, if nothing was cut or mended since the round began and the
    /// old segments are still there. Readers that are under way keep the old files.
    ///
    /// If a disk refuses half way, the log takes no more appends until it is opened again.
    #[expect(clippy::needless_pass_by_value, reason = "it is used up")]
    pub fn put_cleaned(&mut self, cleaned: CleanedSegment) -> Result<Replaced, CompactionError> {
        let place = self.place_of(&cleaned);
        let (Some(place), true) = (place, self.failed.is_none()) else {
            remove_cleaned(&*self.disk, &self.dir, cleaned.base);
            return Err(CompactionError::Overtaken);
        };
        // Whoever holds an old segment may not have opened its files yet, and would find those of
        // the new one under their names.
        let ready = cleaned.old.iter().try_for_each(|segment| segment.open_files());
        if let Err(error) = ready.and_then(|()| mark_gaps(&*self.disk, &self.dir, Durable::Yes)) {
            remove_cleaned(&*self.disk, &self.dir, cleaned.base);
            return Err(error.into());
        }
        match self.exchange(&cleaned) {
            Ok(files) => Ok(self.publish(&cleaned, place, files)),
            Err(error) => {
                self.mark_failed(&error);
                Err(error.into())
            }
        }
    }

    /// Where the old segments are among all, if they are, one behind the other and all closed.
    fn place_of(&self, cleaned: &CleanedSegment) -> Option<usize> {
        let published = self.shared.lock();
        let first = cleaned.old.first()?;
        let place = published.segments.iter().position(|known| Arc::ptr_eq(known, first))?;
        let there = published.segments.get(place..place + cleaned.old.len())?;
        let same = there.iter().zip(&cleaned.old).all(|(one, other)| Arc::ptr_eq(one, other));
        let closed = place + cleaned.old.len() < published.segments.len();
        (same && closed && self.generation == cleaned.generation).then_some(place)
    }

    /// The names of the files; those of the old ones that are to be removed.
    fn exchange(&self, cleaned: &CleanedSegment) -> Result<Vec<PathBuf>, StorageError> {
        let rename = |from: &Path, to: &Path| self.disk.rename(from, to).context("rename", from);
        let name = |suffix: &str| names::path(&self.dir, cleaned.base, suffix);
        let new = || {
            names::OF_SEGMENT.iter().filter(|s| **s != names::TXN_INDEX || cleaned.aborted_len > 0)
        };
        for suffix in new() {
            let to = names::with_suffix(&name(suffix), names::SWAP);
            rename(&names::with_suffix(&name(suffix), names::CLEANED), &to)?;
        }
        let mut files = Vec::new();
        for segment in &cleaned.old {
            self.name_deleted(segment.base, &mut files)?;
        }
        for suffix in new() {
            rename(&names::with_suffix(&name(suffix), names::SWAP), &name(suffix))?;
        }
        Ok(files)
    }

    fn publish(&mut self, cleaned: &CleanedSegment, place: usize, files: Vec<PathBuf>) -> Replaced {
        let lens = FileLens {
            log: cleaned.log_len,
            offsets: Some(cleaned.index_len),
            times: Some(cleaned.times_len),
            aborted: Some(cleaned.aborted_len).filter(|len| *len > 0),
            modified: cleaned.modified,
        };
        let fresh = Arc::new(Segment::with(&self.disk, &self.dir, cleaned.base, lens));
        // Every byte of it was verified or made just now.
        fresh.note_verified(0, cleaned.log_len);
        let log_start = {
            let mut published = self.shared.lock();
            published.segments.splice(place..place + cleaned.old.len(), [fresh]);
            published.changes += 1;
            published.compact = true;
            published.log_start
        };
        self.unsynced.retain(|kept| cleaned.old.iter().all(|gone| !Arc::ptr_eq(gone, kept)));
        self.loose.renamed();
        // What stays is removed by the next roll.
        let _ = self.remove_stray_snapshots();
        let (segments, disk) = (cleaned.old.len(), Arc::clone(&self.disk));
        let bytes = cleaned.old.iter().map(|segment| segment.size()).sum();
        let reason = Reason::Compaction;
        let deleted = DeletedSegments { disk, files, segments, bytes, log_start, reason };
        Replaced { disk: Arc::clone(&self.disk), dir: Arc::clone(&self.dir), deleted }
    }
}

/// Whether offsets may be missing between the records in this folder.
pub(crate) fn gaps_are_marked(disk: &dyn Disk, dir: &Path) -> bool {
    disk.open(&dir.join(names::GAPS), false).is_ok()
}

/// Notes in a folder that offsets may be missing between its records, for ever: a topic that is
/// compacted no more keeps its gaps, which must not be taken for losses.
/// The file, if it has just been written.
pub(crate) fn mark_gaps(
    disk: &dyn Disk,
    dir: &Path,
    durable: Durable,
) -> Result<Option<PathBuf>, StorageError> {
    if gaps_are_marked(disk, dir) {
        return Ok(None);
    }
    let path = dir.join(names::GAPS);
    replace(disk, &path, b"0\n", durable)?;
    Ok(Some(path))
}

/// Where compaction has come, when a log was cut at `end`.
pub(crate) fn cut_back(cleaned_upto: &mut Option<Offset>, end: Offset) {
    if let Some(upto) = cleaned_upto {
        *upto = (*upto).min(end);
    }
}
