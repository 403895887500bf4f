//! Which segments are old, and deleting them.
//!
//! The decision is pure; deletion renames files to `.deleted` and leaves their removal to the
//! caller, who waits for `file.delete.delay.ms` so that slow readers can finish.

use std::path::PathBuf;
use std::sync::Arc;

use naru_model::{Offset, Timestamp};

use crate::disk::Disk;
use crate::error::{AppendError, Context, StorageError};
use crate::log::{Log, remove_if_there};
use crate::names;

/// Why a segment is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its last record is older than `retention.ms`.
    Time,
    /// The log is larger than `retention.bytes` without it.
    Size,
    /// All of it lies before the log start.
    LogStart,
    /// Compaction has put another in its place.
    Compaction,
}

/// What the decision needs to know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The offset after its last record: the next segment's base.
    pub end: Offset,
    /// Bytes of its `.log` file.
    pub size: u64,
    /// Its greatest timestamp.
    pub latest: Timestamp,
}

/// What the segments are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`, with policy delete.
    pub max_age_ms: Option<i64>,
    /// `retention.bytes`, with policy delete.
    pub max_bytes: Option<u64>,
    /// First offset that is still wanted.
    pub log_start: Offset,
    /// Nothing above this may be deleted.
    pub high_watermark: Offset,
    /// The clock.
    pub now: Timestamp,
}

/// How many segments from the oldest on may be deleted, and why the last of them.
pub fn deletable(segments: &[SegmentFacts], by: &Retention) -> Option<(usize, Reason)> {
    let total: u64 = segments.iter().map(|segment| segment.size).sum();
    let excess = by.max_bytes.map_or(0, |max| total.saturating_sub(max));
    let mut freed = 0;
    let mut found = None;
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        if segment.end > by.high_watermark || (is_last && segment.size == 0) {
            break;
        }
        let too_old =
            by.max_age_ms.is_some_and(|max| by.now.0.saturating_sub(segment.latest.0) > max);
        let reason = if too_old {
            Reason::Time
        } else if segment.size > 0 && freed + segment.size <= excess {
            Reason::Size
        } else if !is_last && segment.end <= by.log_start {
            Reason::LogStart
        } else {
            break;
        };
        freed += segment.size;
        found = Some((index + 1, reason));
    }
    found
}

/// Files that wait to be removed.
#[derive(Debug)]
#[must_use = "the files stay on the disk until they are removed"]
pub struct DeletedSegments {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) files: Vec<PathBuf>,
    /// How many segments.
    pub segments: usize,
    /// Bytes of their `.log` files.
    pub bytes: u64,
    /// The log start after the deletion.
    pub log_start: Offset,
    /// Why.
    pub reason: Reason,
}

impl DeletedSegments {
    /// Removes the files; to be called when `file.delete.delay.ms` is over.
    pub fn remove(self) -> Result<(), StorageError> {
        for file in &self.files {
            remove_if_there(&*self.disk, file)?;
        }
        Ok(())
    }
}

impl Log {
    /// Deletes the segments that retention no longer wants; none above the high watermark.
    pub fn delete_old_segments(
        &mut self,
        high_watermark: Offset,
        now: Timestamp,
    ) -> Result<Option<DeletedSegments>, AppendError> {
        if let Some(why) = &self.failed {
            return Err(AppendError::Failed(why.clone()));
        }
        let (facts, log_start) = self.segment_facts()?;
        let deletes = self.config.delete;
        let by = Retention {
            max_age_ms: self.config.retention_ms.filter(|ms| deletes && *ms >= 0),
            max_bytes: self.config.retention_bytes.filter(|_| deletes),
            log_start,
            high_watermark,
            now,
        };
        let Some((mut count, reason)) = deletable(&facts, &by) else { return Ok(None) };
        if count == facts.len() {
            // A log is never without a segment.
            match self.roll(self.log_end, now) {
                Ok(()) => {}
                // There will be space for a new one when the others are gone.
                Err(error) if error.is_full() && count > 1 => count -= 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(self.delete_first(count, reason)?))
    }

    /// Deletes every segment that lies wholly before `offset` and moves the log start there: what
    /// a metadata log does when a snapshot has taken the place of its beginning. Never moves the
    /// log start back; beyond the log end it is [`Log::truncate_fully_and_start_at`] that is meant.
    pub fn trim_to(&mut self, offset: Offset) -> Result<Option<DeletedSegments>, AppendError> {
        self.check_open()?;
        let log_start = self.advance_log_start(offset)?;
        let (facts, _) = self.segment_facts()?;
        let by = Retention {
            max_age_ms: None,
            max_bytes: None,
            log_start,
            high_watermark: log_start,
            now: Timestamp(0),
        };
        match deletable(&facts, &by) {
            Some((count, reason)) => Ok(Some(self.delete_first(count, reason)?)),
            None => Ok(None),
        }
    }

    /// Moves the log start forward (DeleteRecords); whole segments before it go with the next
    /// [`Log::delete_old_segments`]. Never moves back; returns the log start.
    pub fn advance_log_start(&mut self, to: Offset) -> Result<Offset, StorageError> {
        let (log_start, changed) = {
            let mut published = self.shared.lock();
            let to = to.min(published.log_end);
            if to <= published.log_start {
                return Ok(published.log_start);
            }
            published.log_start = to;
            (to, published.epochs.truncate_from_start(to))
        };
        if changed {
            self.write_epochs_if_space()?;
        }
        Ok(log_start)
    }

    fn segment_facts(&self) -> Result<(Vec<SegmentFacts>, Offset), StorageError> {
        let (segments, log_start) = {
            let published = self.shared.lock();
            (published.segments.clone(), published.log_start)
        };
        let mut facts = Vec::with_capacity(segments.len());
        for (index, segment) in segments.iter().enumerate() {
            facts.push(SegmentFacts {
                end: segments.get(index + 1).map_or(self.log_end, |next| next.base),
                size: segment.size(),
                latest: segment.retention_timestamp()?,
            });
        }
        Ok((facts, log_start))
    }

    /// Gives the files of a segment the name of deleted ones, and adds them to `files`.
    pub(crate) fn name_deleted(
        &self,
        base: Offset,
        files: &mut Vec<PathBuf>,
    ) -> Result<(), StorageError> {
        for suffix in names::OF_SEGMENT {
            let from = names::path(&self.dir, base, suffix);
            let to = names::with_suffix(&from, names::DELETED);
            match self.disk.rename(&from, &to) {
                Ok(()) => files.push(to),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).context("rename", &from),
            }
        }
        Ok(())
    }

    fn delete_first(
        &mut self,
        count: usize,
        reason: Reason,
    ) -> Result<DeletedSegments, StorageError> {
        let (removed, first, log_start) = {
            let mut published = self.shared.lock();
            let removed: Vec<_> = published.segments.drain(..count).collect();
            let first = published.segments.first().map_or(published.log_end, |s| s.base);
            published.log_start = published.log_start.max(first);
            (removed, first, published.log_start)
        };
        self.unsynced.retain(|kept| removed.iter().all(|gone| gone.base != kept.base));
        let bytes = removed.iter().map(|segment| segment.size()).sum();
        let mut files = Vec::new();
        for segment in &removed {
            self.name_deleted(segment.base, &mut files)?;
        }
        self.loose.renamed();
        let old: Vec<Offset> = self.snapshots.range(..first).copied().collect();
        let latest = self.snapshots.last().copied();
        for snapshot in old {
            if Some(snapshot) != latest {
                self.remove_snapshot(snapshot)?;
            }
        }
        if self.shared.lock().epochs.truncate_from_start(log_start) {
            self.write_epochs_if_space()?;
        }
        let disk = Arc::clone(&self.disk);
        Ok(DeletedSegments { disk, files, segments: count, bytes, log_start, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn segments(of: &[(i64, u64, i64)]) -> Vec<SegmentFacts> {
        of.iter()
            .map(|&(end, size, age)| SegmentFacts {
                end: Offset(end),
                size,
                latest: Timestamp(NOW - age),
            })
            .collect()
    }

    fn check(by: Retention, of: &[(i64, u64, i64)], expect: Option<(usize, Reason)>) {
        assert_eq!(deletable(&segments(of), &by), expect);
    }

    const KEEP_ALL: Retention = Retention {
        max_age_ms: None,
        max_bytes: None,
        log_start: Offset(0),
        high_watermark: Offset(i64::MAX),
        now: Timestamp(NOW),
    };

    #[test]
    fn old_segments_go_even_the_active_one() {
        let by = Retention { max_age_ms: Some(100), ..KEEP_ALL };
        let old = [(10, 5, 200), (20, 5, 101), (30, 5, 100)];
        check(by, &old, Some((2, Reason::Time)));
        check(by, &[(10, 5, 200), (20, 5, 300)], Some((2, Reason::Time)));
        check(by, &[(10, 5, 200), (10, 0, 300)], Some((1, Reason::Time)));
        check(by, &[(10, 5, 50), (20, 5, 300)], None);
        check(KEEP_ALL, &old, None);
    }

    #[test]
    fn the_log_never_falls_below_its_retention_size() {
        let by = |max| Retention { max_bytes: Some(max), ..KEEP_ALL };
        let of = [(10, 5, 0), (20, 5, 0), (30, 5, 0)];
        check(by(15), &of, None);
        check(by(14), &of, None);
        check(by(10), &of, Some((1, Reason::Size)));
        check(by(0), &of, Some((3, Reason::Size)));
    }

    #[test]
    fn nothing_above_the_high_watermark_goes() {
        let by = Retention { max_age_ms: Some(1), high_watermark: Offset(19), ..KEEP_ALL };
        check(by, &[(10, 5, 200), (20, 5, 200)], Some((1, Reason::Time)));
    }

    #[test]
    fn segments_before_the_log_start_go_but_not_the_active_one() {
        let by = Retention { log_start: Offset(20), ..KEEP_ALL };
        check(by, &[(10, 5, 0), (20, 5, 0), (30, 5, 0)], Some((2, Reason::LogStart)));
        check(by, &[(10, 5, 0), (20, 5, 0)], Some((1, Reason::LogStart)));
    }
}
