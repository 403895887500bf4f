//! One round of compaction over a log: fill the map, then clean group after group of segments.
//!
//! Works on segments that are closed, without the log's lock. Every batch is verified before
//! anything is judged by it: damage ends the round and leaves the log as it is.

use std::collections::HashMap;
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;

use naru_model::{Offset, ProducerId, Timestamp};
use naru_records::{BatchError, BatchHeader, Records};

use super::filter::{Counts, LastOfProducer, Left, Rules};
use super::offset_map::{Full, OffsetMap};
use super::plan::{Bounds, Extent, SegmentView, extent, group};
use super::transactions::{AbortScan, Control, Transactions, control_of};
use crate::config::LogConfig;
use crate::disk::{Disk, DiskFile};
use crate::error::{Context, ReadError, StorageError};
use crate::log::{Log, remove_if_there, sync_file};
use crate::names;
use crate::reader::{LogReader, read_batch};
use crate::segment::{Placed, Segment};
use crate::txn_index::AbortedTxn;
use crate::verify::{Span, Visit, verify};

/// What a stored batch may inflate to; producing is limited more tightly.
const INFLATED_MAX: u64 = 1 << 30;

/// Why a round ended early. Nothing is lost: what was replaced stays replaced.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// Damaged bytes: the log must be mended before it can be compacted.
    #[error("the batch at byte {position} of {path} is damaged: {error}")]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the batch begins.
        position: u64,
        /// What is wrong with it.
        error: String,
    },
    /// A disk refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log was cut, mended, moved or closed meanwhile.
    #[error("the log has changed meanwhile")]
    Overtaken,
    /// The caller wanted it to end.
    #[error("stopped")]
    Stopped,
}

impl From<ReadError> for CompactionError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(error) => Self::Storage(error),
            ReadError::Damaged { path, position } => {
                Self::Damaged { path, position, error: "it cannot be read".to_owned() }
            }
            ReadError::OutOfRange { .. } => Self::Overtaken,
        }
    }
}

/// A part of the work that was done, told while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes were read.
    Read(u64),
    /// So many bytes were written.
    Wrote(u64),
}

/// Told of the steps, may make them wait; false ends the round.
pub type Work<'w> = &'w mut dyn FnMut(Step) -> bool;

/// What a round has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CleanerStats {
    /// Records looked at when cleaning.
    pub records: u64,
    /// Records that were left.
    pub kept: u64,
    /// Records without a key that were dropped.
    pub keyless: u64,
    /// Bytes of the segments before.
    pub bytes_before: u64,
    /// Bytes of the segments after.
    pub bytes_after: u64,
    /// Which part of the map's memory was used, between 0 and 1.
    pub map_utilization: f64,
}

/// A round of compaction; see the module.
#[derive(Debug)]
pub struct Round<'m> {
    pub(super) dir: Arc<std::path::Path>,
    pub(super) disk: Arc<dyn Disk>,
    config: LogConfig,
    extent: Extent,
    now: Timestamp,
    generation: u64,
    /// The segments from the log's beginning to what cannot be compacted, each with the next base.
    segments: Vec<(Arc<Segment>, Offset)>,
    /// The segments after those.
    later: Vec<Arc<Segment>>,
    last_of_producers: HashMap<ProducerId, LastOfProducer>,
    map: &'m mut OffsetMap,
    map_end: Offset,
    transactions: Transactions,
    groups: std::vec::IntoIter<std::ops::Range<usize>>,
    stats: CleanerStats,
}

/// A segment that is to take the place of others. Its files have the suffix `.cleaned` yet.
#[derive(Debug)]
pub struct CleanedSegment {
    pub(super) old: Vec<Arc<Segment>>,
    pub(super) base: Offset,
    pub(super) log_len: u64,
    pub(super) index_len: u64,
    pub(super) times_len: u64,
    pub(super) aborted_len: u64,
    pub(super) modified: Timestamp,
    pub(super) generation: u64,
}

impl LogReader {
    /// What could be compacted of the log. `bounds` makes the bounds from its start, its end,
    /// how far compaction has come and the first offset of an open transaction.
    pub fn compactable(
        &self,
        config: &LogConfig,
        high_watermark: Offset,
        now: Timestamp,
    ) -> Result<Extent, ReadError> {
        let (segments, bounds) = {
            let mut published = self.shared().lock();
            let bounds = Bounds {
                log_start: published.log_start,
                log_end: published.log_end,
                stable_end: published.last_stable(high_watermark),
                cleaned_upto: published.cleaned_upto,
                min_lag_ms: config.min_compaction_lag_ms,
                max_lag_ms: config.max_compaction_lag_ms,
                now,
            };
            (published.segments.clone(), bounds)
        };
        Ok(extent(&views(&segments)?, &bounds))
    }

    /// How far compaction has come.
    pub fn cleaned_upto(&self) -> Option<Offset> {
        self.shared().lock().cleaned_upto
    }
}

impl Log {
    /// Begins a round over `extent`, which was worked out before without the lock.
    pub fn begin_compaction<'m>(
        &self,
        extent: Extent,
        map: &'m mut OffsetMap,
        now: Timestamp,
    ) -> Round<'m> {
        let mut all = self.shared.lock().segments.clone();
        let below = all.partition_point(|segment| segment.base < extent.first_uncleanable);
        let later = all.split_off(below.min(all.len() - 1));
        let nexts = all.iter().chain(&later).skip(1).map(|next| next.base);
        let segments = all.iter().cloned().zip(nexts).collect();
        let last_of_producers = self
            .producers
            .iter()
            .map(|(id, entry)| {
                let last = entry.last_batch().map(|batch| LastOfProducer::Batch(batch.last_offset));
                (id, last.unwrap_or(LastOfProducer::Marker(entry.epoch)))
            })
            .collect();
        Round {
            dir: Arc::clone(&self.dir),
            disk: Arc::clone(&self.disk),
            config: self.config.clone(),
            extent,
            now,
            generation: self.generation,
            segments,
            later,
            last_of_producers,
            map,
            map_end: extent.first_dirty,
            transactions: Transactions::default(),
            groups: Vec::new().into_iter(),
            stats: CleanerStats::default(),
        }
    }

    /// Takes note of how far compaction has come.
    pub fn set_cleaned_upto(&mut self, upto: Offset) {
        self.shared.lock().cleaned_upto = Some(upto);
    }
}

impl Round<'_> {
    /// Fills the map with the last offsets of the dirty records' keys, as many as it takes, and
    /// finds the aborted transactions.
    pub fn fill_map(&mut self, work: Work<'_>) -> Result<(), CompactionError> {
        if self.segments.iter().any(|(segment, _)| !segment.damages().is_empty()) {
            let bad = self.segments.iter().find(|(segment, _)| !segment.damages().is_empty());
            let (segment, _) = bad.unwrap_or(&self.segments[0]);
            let position = segment.damages().first().map_or(0, |damage| damage.position);
            let (path, error) = (segment.path().to_path_buf(), "it waits to be mended".to_owned());
            return Err(CompactionError::Damaged { path, position, error });
        }
        let aborted = self.find_aborted(work)?;
        let Extent { first_dirty, first_uncleanable, .. } = self.extent;
        self.map.reset(first_uncleanable.0.saturating_sub(first_dirty.0).unsigned_abs());
        // Those that ended before are not met here: their producers may have committed since.
        let ended_here: Vec<_> =
            aborted.iter().filter(|one| one.last_offset >= first_dirty).copied().collect();
        let mut transactions = Transactions::new(ended_here);
        let dirty = self.segments.partition_point(|(_, next)| *next <= first_dirty);
        let mut scratch = Vec::new();
        for (segment, next) in self.segments.clone().into_iter().skip(dirty) {
            let from = match segment.find(first_dirty)? {
                Some((_, position)) => position,
                None => segment.size(),
            };
            let mut full = false;
            let (map, map_end) = (&mut *self.map, &mut self.map_end);
            each_batch(&segment, from, work, |header, batch| {
                let goes = if header.is_control() {
                    transactions.control(header, control_of(batch));
                    true
                } else {
                    transactions.data(header)
                };
                if !goes {
                    let put = fill(map, header, batch, first_dirty, map_end, &mut scratch)?;
                    full = put.is_err();
                }
                if !full {
                    *map_end = header.next_offset().max(*map_end);
                }
                Ok(!full)
            })?;
            if full {
                break;
            }
            // There may be a gap before the next segment.
            self.map_end = self.map_end.max(next);
        }
        self.transactions = Transactions::new(aborted);
        self.stats.map_utilization = self.map.utilization();
        let below = self.segments.partition_point(|(segment, _)| segment.base < self.map_end);
        self.segments.truncate(below);
        let views = views(&self.segments.iter().map(|(s, _)| Arc::clone(s)).collect::<Vec<_>>())?;
        let config = &self.config;
        let groups = group(&views, config.segment_bytes, config.index_bytes_max, first_uncleanable);
        self.groups = groups.into_iter();
        Ok(())
    }

    /// How far the log is compacted when all groups are.
    pub const fn end(&self) -> Offset {
        self.map_end
    }

    /// What was done so far.
    pub const fn stats(&self) -> &CleanerStats {
        &self.stats
    }

    /// Cleans the next group of segments into one, which is synced; none when all is done.
    pub fn clean_next(
        &mut self,
        work: Work<'_>,
    ) -> Result<Option<CleanedSegment>, CompactionError> {
        let Some(range) = self.groups.next() else { return Ok(None) };
        let old: Vec<Arc<Segment>> =
            self.segments[range].iter().map(|(segment, _)| Arc::clone(segment)).collect();
        let (Some(first), Some(last)) = (old.first(), old.last()) else { return Ok(None) };
        let (base, modified) = (first.base, last.modified());
        let mut out = Output::create(&self.disk, &self.dir, base, &self.config, self.now)?;
        let mut counts = Counts::default();
        let rules = Rules {
            map: &*self.map,
            map_end: self.map_end,
            last_of_producers: &self.last_of_producers,
            upper: self.extent.first_uncleanable,
            now: self.now,
            delete_retention_ms: self.config.delete_retention_ms,
            inflated_max: INFLATED_MAX,
        };
        let mut scratch = Vec::new();
        let transactions = &mut self.transactions;
        let mut cleaned = Ok(());
        for segment in &old {
            let mut wrote = 0;
            cleaned = each_batch(segment, 0, work, |header, batch| {
                match rules.clean(batch, header, transactions, &mut scratch, &mut counts)? {
                    Left::Nothing => {}
                    Left::Same => out.push(header, batch)?,
                    Left::Less(less) => out.push(&BatchHeader::parse(&less)?, &less)?,
                }
                wrote = out.position();
                Ok(true)
            });
            if cleaned.is_ok() && !work(Step::Wrote(wrote)) {
                cleaned = Err(CompactionError::Stopped);
            }
            if cleaned.is_err() {
                break;
            }
        }
        let aborted = transactions.take_told();
        let finished = cleaned.and_then(|()| Ok(out.finish(&aborted)?));
        if let Err(error) = finished {
            remove_cleaned(&*self.disk, &self.dir, base);
            return Err(error);
        }
        let stats = &mut self.stats;
        stats.records += counts.records;
        stats.kept += counts.kept;
        stats.keyless += counts.keyless;
        stats.bytes_before += old.iter().map(|segment| segment.size()).sum::<u64>();
        stats.bytes_after += out.position();
        let (index_len, times_len) = out.segment.index_lens();
        Ok(Some(CleanedSegment {
            base,
            log_len: out.position(),
            index_len,
            times_len,
            aborted_len: out.segment.aborted_len(),
            modified,
            generation: self.generation,
            old,
        }))
    }

    /// The aborted transactions that have records before what cannot be compacted. A marker may
    /// stand anywhere before the last stable offset, so the look goes on until all have ended.
    fn find_aborted(&self, work: Work<'_>) -> Result<Vec<AbortedTxn>, CompactionError> {
        let mut found = AbortScan::default();
        for (segment, _) in &self.segments {
            scan_for_aborted(segment, &mut found)?;
            if !work(Step::Read(0)) {
                return Err(CompactionError::Stopped);
            }
        }
        let upper = self.extent.first_uncleanable;
        for segment in &self.later {
            if !found.any_open_before(upper) {
                break;
            }
            scan_for_aborted(segment, &mut found)?;
        }
        Ok(found.into_aborted())
    }
}

fn scan_for_aborted(segment: &Arc<Segment>, found: &mut AbortScan) -> Result<(), CompactionError> {
    let mut scan = segment.scan_from(0)?;
    while let Some((header, position)) = scan.next()? {
        if !header.is_control() {
            found.data(&header);
        } else if let Control::EndTxn(marker) = control_of(&read_batch(segment, &header, position)?)
        {
            found.marker(&header, marker);
        }
    }
    Ok(())
}

/// Puts the keys of one batch into the map. When that is full, `map_end` is where it ended.
fn fill(
    map: &mut OffsetMap,
    header: &BatchHeader,
    batch: &[u8],
    from: Offset,
    map_end: &mut Offset,
    scratch: &mut Vec<u8>,
) -> Result<Result<(), Full>, BatchError> {
    if header.record_count == 0 {
        return Ok(Ok(()));
    }
    for record in Records::open(batch, INFLATED_MAX, scratch)? {
        let record = record?;
        if record.offset < from {
            continue;
        }
        if let Some(key) = record.key
            && map.put(key, record.offset).is_err()
        {
            *map_end = record.offset.max(*map_end);
            return Ok(Err(Full));
        }
    }
    Ok(Ok(()))
}

/// Verifies the batches of a segment from a boundary on and hands them to `visit`, until it says
/// that it has enough.
fn each_batch(
    segment: &Arc<Segment>,
    from: u64,
    work: Work<'_>,
    mut visit: impl FnMut(&BatchHeader, &[u8]) -> Result<bool, VisitError>,
) -> Result<(), CompactionError> {
    let file = segment.file()?;
    let mut trouble = None;
    let mut next = segment.base;
    let span = Span::new(from, segment.size());
    let outcome = verify(&*file, segment.path(), span, &mut Vec::new(), &|_| {}, |verified| {
        let header = &verified.header;
        if header.base_offset < next || header.last_offset_delta < 0 {
            return Visit::Wrong;
        }
        next = header.next_offset();
        if !work(Step::Read(verified.bytes.len() as u64)) {
            trouble = Some(CompactionError::Stopped);
            return Visit::Last;
        }
        match visit(header, verified.bytes) {
            Ok(true) => Visit::Good,
            Ok(false) => Visit::Last,
            Err(VisitError::Storage(error)) => {
                trouble = Some(error.into());
                Visit::Last
            }
            Err(VisitError::Batch(error)) => {
                let (path, error) = (segment.path().to_path_buf(), error.to_string());
                trouble =
                    Some(CompactionError::Damaged { path, position: verified.position, error });
                Visit::Last
            }
        }
    })?;
    match (trouble, outcome.fault) {
        (Some(trouble), _) => Err(trouble),
        (None, Some(fault)) => {
            let (path, error) = (segment.path().to_path_buf(), fault.to_string());
            Err(CompactionError::Damaged { path, position: outcome.end, error })
        }
        (None, None) => Ok(()),
    }
}

/// Why a batch was not dealt with.
#[derive(Debug)]
enum VisitError {
    Batch(BatchError),
    Storage(StorageError),
}

impl From<BatchError> for VisitError {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl From<StorageError> for VisitError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// A segment being written under its `.cleaned` names.
#[derive(Debug)]
struct Output {
    segment: Segment,
    file: Arc<dyn DiskFile>,
    interval: u64,
    /// Bytes written.
    written: u64,
    pending: Vec<u8>,
}

/// How much is written at once.
const WRITE_LEN: usize = 512 << 10;

impl Output {
    fn create(
        disk: &Arc<dyn Disk>,
        dir: &std::path::Path,
        base: Offset,
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<Self, StorageError> {
        let segment = Segment::create_named(disk, dir, base, names::CLEANED, now)?;
        Ok(Self {
            file: segment.file()?,
            segment,
            interval: config.index_interval_bytes,
            written: 0,
            pending: Vec::new(),
        })
    }

    fn position(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    fn push(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), StorageError> {
        let placed = Placed {
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
            position: self.position(),
            size: batch.len() as u64,
        };
        self.pending.extend_from_slice(batch);
        self.segment.note(&placed, self.interval);
        if self.pending.len() >= WRITE_LEN { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StorageError> {
        let mut parts = [IoSlice::new(&self.pending)];
        self.file.write_all_at(&mut parts, self.written).context("write", self.segment.path())?;
        self.written = self.position();
        self.pending.clear();
        self.segment.set_size(self.written);
        Ok(())
    }

    /// Writes out and syncs all.
    fn finish(&mut self, aborted: &[AbortedTxn]) -> Result<(), StorageError> {
        self.write()?;
        for one in aborted {
            self.segment.note_aborted(one)?;
        }
        self.segment.finish()?;
        sync_file(&*self.file, self.segment.path())?;
        for file in self.segment.index_files() {
            sync_file(&*file, self.segment.path())?;
        }
        Ok(())
    }
}

/// Removes what an unfinished cleaning has left; the next start removes it otherwise.
pub(super) fn remove_cleaned(disk: &dyn Disk, dir: &std::path::Path, base: Offset) {
    for suffix in names::OF_SEGMENT {
        let path = names::with_suffix(&names::path(dir, base, suffix), names::CLEANED);
        let _ = remove_if_there(disk, &path);
    }
}

fn views(segments: &[Arc<Segment>]) -> Result<Vec<SegmentView>, StorageError> {
    let view = |segment: &Arc<Segment>| {
        let (offset_index, time_index) = segment.index_lens();
        Ok(SegmentView {
            base: segment.base,
            size: segment.size(),
            offset_index,
            time_index,
            first_time: segment.first_timestamp(),
            latest: segment.retention_timestamp()?,
        })
    };
    segments.iter().map(view).collect()
}
