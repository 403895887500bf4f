//! Opening a log, and recovering it after a crash.
//!
//! After a clean stop the tail is verified, so many bytes of it as the caller allows: a mark of a
//! clean stop says what was written, not what the disk has kept. After a crash everything from
//! the recovery point on is. Whatever follows the last good batch of the active segment is cut
//! off; damage found in a closed segment after a clean stop is closed to readers instead. Indexes
//! that are missing, short or wrong are built anew.

mod aborted;
mod report;
mod tail;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use naru_model::Offset;
use naru_records::BatchHeader;

use crate::append::Staging;
use crate::checkpoint::read_if_there;
use crate::compact::{complete_swaps, gaps_are_marked};
use crate::disk::Disk;
use crate::epochs::LeaderEpochs;
use crate::error::{Context, ReadError, StorageError};
use crate::log::{Log, remove_if_there, unless_full};
use crate::names;
use crate::replay::Replayed;
use crate::segment::{FileLens, Placed, Segment};
use crate::shared::{Published, Shared};
use crate::sync::Loose;
use crate::transactions::Unreplicated;
use crate::txn_index::TxnIndex;
use crate::verification::Verifications;
use crate::verify::{Span, Visit, verify};

pub use report::{Lost, OpenOptions, Recovery, tail_budget};

impl Log {
    /// Opens the log in `dir`, or makes an empty one. `progress` is told of every few bytes that
    /// are verified, so that a start can show how far it is.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: OpenOptions,
        progress: &dyn Fn(u64),
    ) -> Result<(Self, Recovery), ReadError> {
        let dir: Arc<Path> = Arc::from(dir);
        let is_new = disk.list(&dir).is_err();
        disk.create_dir_all(&dir).context("create", &dir)?;
        let mut opening = Opening {
            report: Recovery { is_new, ..Recovery::default() },
            epochs: LeaderEpochs::default(),
            epochs_on_disk: LeaderEpochs::default(),
            producers_seen: false,
            verified_from: Offset(i64::MAX),
            gaps: options.config.compact || gaps_are_marked(&*disk, &dir),
            buffer: Vec::new(),
            trust: Trust { clean: options.clean, recovery_point: options.recovery_point },
            disk,
            dir,
            options,
            progress,
        };
        let mut found = opening.look_around()?;
        opening.read_epochs()?;
        opening.recall_damages(&found.segments)?;
        let recovered = opening.recover_segments(&mut found)?;
        let (mut log, report) = opening.finish(found, recovered)?;
        if is_new {
            log.loose.new_folder();
        }
        Ok((log, report))
    }
}

/// A log on its way to being open.
struct Opening<'p> {
    disk: Arc<dyn Disk>,
    dir: Arc<Path>,
    options: OpenOptions,
    trust: Trust,
    progress: &'p dyn Fn(u64),
    report: Recovery,
    epochs: LeaderEpochs,
    epochs_on_disk: LeaderEpochs,
    /// Whether a verified batch had a producer id.
    producers_seen: bool,
    /// Offset from which every batch to the end has been verified.
    verified_from: Offset,
    /// Offsets may be missing between records.
    gaps: bool,
    buffer: Vec<u8>,
}

/// What need not be verified.
#[derive(Debug, Clone, Copy)]
struct Trust {
    clean: bool,
    recovery_point: Option<Offset>,
}

/// What the folder holds.
struct Found {
    segments: Vec<Arc<Segment>>,
    /// Base offsets of the segments that lack an index file.
    lacking: BTreeSet<Offset>,
    /// Base offset of the first segment whose transaction index cannot be whole.
    bad_aborted: Option<Offset>,
    snapshots: BTreeSet<Offset>,
}

/// What came out of the segments.
#[derive(Debug, Clone, Copy)]
struct Recovered {
    log_end: Offset,
    /// The end up to which the log is known to be on the disk.
    synced_end: Offset,
}

impl Opening<'_> {
    fn look_around(&mut self) -> Result<Found, StorageError> {
        complete_swaps(&*self.disk, &self.dir)?;
        let mut logs: BTreeMap<Offset, FileLens> = BTreeMap::new();
        let mut indexes: Vec<(Offset, &str, u64)> = Vec::new();
        let mut snapshots = BTreeSet::new();
        for entry in self.disk.list(&self.dir).context("list", &self.dir)? {
            let name = entry.name.as_str();
            if name.ends_with(names::DELETED) || name.ends_with(names::CLEANED) {
                remove_if_there(&*self.disk, &self.dir.join(name))?;
            } else if let Some(base) = names::offset_in(name, names::LOG) {
                let lens = logs.entry(base).or_default();
                (lens.log, lens.modified) = (entry.len, entry.modified);
            } else if let Some(offset) = names::offset_in(name, names::SNAPSHOT) {
                snapshots.insert(offset);
            } else {
                for suffix in [names::OFFSET_INDEX, names::TIME_INDEX, names::TXN_INDEX] {
                    if let Some(base) = names::offset_in(name, suffix) {
                        indexes.push((base, suffix, entry.len));
                    }
                }
            }
        }
        for (base, suffix, len) in indexes {
            match logs.get_mut(&base) {
                Some(lens) if suffix == names::OFFSET_INDEX => lens.offsets = Some(len),
                Some(lens) if suffix == names::TIME_INDEX => lens.times = Some(len),
                Some(lens) => lens.aborted = Some(len),
                // An index without its log.
                None => remove_if_there(&*self.disk, &names::path(&self.dir, base, suffix))?,
            }
        }
        let lacks = |lens: &FileLens| {
            lens.log > 0
                && !matches!((lens.offsets, lens.times), (Some(o), Some(t))
                    if o % 8 == 0 && t % 12 == 0)
        };
        let lacking = logs.iter().filter(|(_, l)| lacks(l)).map(|(base, _)| *base).collect();
        let is_torn = |lens: &FileLens| lens.aborted.is_some_and(|len| !TxnIndex::is_length(len));
        let bad_aborted = logs.iter().find(|(_, lens)| is_torn(lens)).map(|(base, _)| *base);
        let segments = logs
            .into_iter()
            .map(|(base, lens)| Arc::new(Segment::with(&self.disk, &self.dir, base, lens)))
            .collect();
        Ok(Found { segments, lacking, bad_aborted, snapshots })
    }

    fn read_epochs(&mut self) -> Result<(), StorageError> {
        let path = self.dir.join(names::LEADER_EPOCHS);
        let bytes = read_if_there(&*self.disk, &path)?;
        let text = bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        // Without the file everything is verified below, and the epochs come from the batches.
        match text.and_then(LeaderEpochs::from_text) {
            Some(epochs) => {
                self.epochs_on_disk = epochs.clone();
                self.epochs = epochs;
            }
            None => {
                self.trust = Trust { clean: false, recovery_point: None };
            }
        }
        Ok(())
    }

    /// Everything before this is known to be on the disk as it was written.
    fn known_synced(&self) -> Offset {
        match (self.trust.clean, self.trust.recovery_point) {
            (true, _) => Offset(i64::MAX),
            (false, point) => point.unwrap_or(Offset::ZERO),
        }
    }

    fn recover_segments(&mut self, found: &mut Found) -> Result<Recovered, ReadError> {
        let known_synced = self.known_synced();
        let mut log_end = None;
        let mut synced_end = Offset::ZERO;
        let mut index = 0;
        while let Some(segment) = found.segments.get(index).cloned() {
            let next_base = found.segments.get(index + 1).map(|next| next.base);
            let is_active = next_base.is_none();
            if next_base.is_some_and(|next| self.options.log_start >= Some(next)) {
                // Nobody may read it any more; retention removes it.
                index += 1;
                continue;
            }
            // The active segment may have been too young for index files when it was killed.
            let lacks_index =
                found.lacking.contains(&segment.base) && (self.trust.clean || !is_active);
            // A sync that came after the segment was closed has synced its indexes as well; one
            // that ended just there may have come before.
            let trusted = next_base.is_some_and(|next| next < known_synced);
            if trusted && !lacks_index && (self.trust.clean || segment.indexes_look_sane()?) {
                if let Some(next) = next_base.filter(|_| self.trust.clean) {
                    let later: u64 = found.segments[index + 1..].iter().map(|s| s.size()).sum();
                    let budget = self.options.tail_bytes.saturating_sub(later);
                    self.examine_closed_tail(&segment, next, budget)?;
                }
                index += 1;
                continue;
            }
            let verify_all = lacks_index || trusted;
            let checked = self.recover_segment(&segment, next_base, verify_all)?;
            let end = checked.end;
            // A power cut can take the end of a segment at a batch border, or all of it, and
            // leave the next one. Only compaction leaves such gaps on purpose, and then there
            // are others inside the segment.
            let gap = next_base.is_some_and(|next| end < next);
            let lost_end = gap && checked.dense && !self.gaps;
            if !is_active {
                unless_full(segment.finish())?;
            }
            log_end = Some(end);
            synced_end = if self.trust.clean { end } else { known_synced.min(end) };
            index += 1;
            // A batch that reaches into the next segment proves that segment to be a leftover.
            let leftover = next_base.is_some_and(|next| end > next);
            if lost_end || leftover || !checked.whole {
                self.remove_from(found, index)?;
            }
        }
        let log_end = log_end.unwrap_or(Offset::ZERO);
        Ok(Recovered { log_end, synced_end })
    }

    /// Verifies what is not known to be good, cuts the rest off, completes the indexes.
    fn recover_segment(
        &mut self,
        segment: &Arc<Segment>,
        next_base: Option<Offset>,
        verify_all: bool,
    ) -> Result<Checked, ReadError> {
        // An index entry at or beyond the next segment's base is of what was cut off once.
        let bound = self.known_synced().min(next_base.unwrap_or(Offset(i64::MAX)));
        let resume = if verify_all { Resume::Rebuild } else { self.resume_at(segment, bound)? };
        let checked = self.recover_from(segment, next_base, resume)?;
        if checked.first_is_bad && matches!(resume, Resume::At(_)) {
            // Where the good part ends is before the place that was begun at.
            return self.recover_from(segment, next_base, Resume::Rebuild);
        }
        Ok(checked)
    }

    fn recover_from(
        &mut self,
        segment: &Arc<Segment>,
        next_base: Option<Offset>,
        resume: Resume,
    ) -> Result<Checked, ReadError> {
        let file = segment.file()?;
        let size = segment.size();
        // Index entries before `noted_from` are there already.
        let (from, noted_from) = match resume {
            Resume::At(position) => {
                // A crash may have taken the last entries of one index and spared the other's.
                if !self.trust.clean {
                    segment.find_greatest(position)?;
                }
                (self.tail_start(segment, position)?, position)
            }
            Resume::Beginning | Resume::Rebuild => {
                segment.clear_indexes()?;
                (0, 0)
            }
        };
        if resume == Resume::Rebuild {
            self.report.indexes_rebuilt += 1;
        }
        let interval = self.options.config.index_interval_bytes;
        let mut next = segment.base;
        let mut first = None;
        let (mut dense, mut overlaps) = (true, false);
        // The last good batch's position and the offset before it.
        let mut last: Option<(u64, Offset)> = None;
        let mut suspect = None;
        let (trust, compact) = (self.trust, self.gaps);
        let clean_end = trust.recovery_point.filter(|_| trust.clean);
        let beyond = |header: &BatchHeader| clean_end.is_some_and(|end| header.next_offset() > end);
        let (epochs, producers_seen) = (&mut self.epochs, &mut self.producers_seen);
        let mut outcome = verify(
            &*file,
            segment.path(),
            Span::new(from, size),
            &mut self.buffer,
            self.progress,
            |batch| {
                let header = &batch.header;
                if header.last_offset_delta < 0 {
                    return Visit::Wrong;
                }
                if header.base_offset < next {
                    // No checksum covers the base offset: this batch may be right and the one
                    // before it wrong.
                    suspect = last.filter(|(_, before)| header.base_offset > *before);
                    return Visit::Wrong;
                }
                // Only compaction leaves gaps. A follower's segment may begin with one.
                let is_first = last.is_none();
                let gap = header.base_offset > next && !compact && (!is_first || beyond(header));
                if gap && (!is_first || from == 0) {
                    return Visit::Wrong;
                }
                // After a clean stop the checkpoint knows the epochs of all.
                let epoch = epochs.epoch_at(header.base_offset).filter(|_| trust.clean);
                if epoch.is_some_and(|epoch| epoch != header.partition_leader_epoch) {
                    return Visit::Wrong;
                }
                // A power cut can bring back what was cut off before the next segment was made.
                if next_base.is_some_and(|base| header.base_offset >= base) {
                    overlaps = true;
                    return Visit::Wrong;
                }
                dense &= first.is_none() || header.base_offset == next;
                first.get_or_insert(header.base_offset);
                last = Some((batch.position, next));
                next = header.next_offset();
                epochs.correct(header.partition_leader_epoch, header.base_offset);
                *producers_seen |= header.producer().is_some();
                if batch.position >= noted_from {
                    let placed = Placed {
                        last_offset: header.last_offset(),
                        max_timestamp: header.max_timestamp,
                        position: batch.position,
                        size: header.size() as u64,
                    };
                    segment.note(&placed, interval);
                }
                Visit::Good
            },
        )?;
        if let Some((position, before)) = suspect {
            (outcome.end, next) = (position, before);
            first = first.filter(|first| *first < before);
        }
        let first_is_bad = first.is_none() && outcome.end < size;
        if first_is_bad && from > 0 {
            return Ok(Checked { end: next, whole: false, dense, first_is_bad });
        }
        self.verified_from = self.verified_from.min(first.unwrap_or(next));
        self.report.bytes_verified += outcome.end - from;
        if outcome.end < size {
            self.report.bytes_cut += size - outcome.end;
            tracing::warn!(
                path = %segment.path().display(),
                cut = size - outcome.end,
                fault = ?outcome.fault,
                "cut a damaged tail"
            );
            // What is cut off must not come back when other records have taken its place.
            segment.cut(outcome.end, next, outcome.end < noted_from || suspect.is_some())?;
        }
        segment.note_verified(from, outcome.end);
        let whole = outcome.fault.is_none() || overlaps;
        Ok(Checked { end: next, whole, dense, first_is_bad: false })
    }

    /// A segment is verified from the last index entry before the recovery point on.
    fn resume_at(&self, segment: &Segment, bound: Offset) -> Result<Resume, ReadError> {
        if segment.size() == 0 {
            return Ok(Resume::Beginning);
        }
        if !segment.trim_after(bound, !self.trust.clean)? {
            return Ok(Resume::Rebuild);
        }
        let Some((offset, position)) = segment.last_indexed()? else {
            return Ok(Resume::Beginning);
        };
        match segment.scan_from(position)?.next() {
            Ok(Some((header, _))) if header.last_offset() == offset => Ok(Resume::At(position)),
            Ok(_) | Err(ReadError::Damaged { .. }) => Ok(Resume::Rebuild),
            Err(error) => Err(error),
        }
    }

    fn remove_from(&mut self, found: &mut Found, index: usize) -> Result<(), StorageError> {
        if index >= found.segments.len() {
            return Ok(());
        }
        for segment in found.segments.drain(index..) {
            self.report.bytes_cut += segment.size();
            self.report.segments_removed += 1;
            for suffix in names::OF_SEGMENT {
                remove_if_there(&*self.disk, &names::path(&self.dir, segment.base, suffix))?;
            }
        }
        // They must not come back beside what is written in their place.
        self.disk.sync_dir(&self.dir).context("sync", &self.dir)
    }

    fn finish(
        mut self,
        mut found: Found,
        recovered: Recovered,
    ) -> Result<(Log, Recovery), ReadError> {
        let asked_start = self.options.log_start.unwrap_or(Offset::ZERO);
        let mut log_end = recovered.log_end;
        let starts_anew = found.segments.is_empty() || log_end < asked_start;
        if starts_anew {
            // Nothing of what remains may be read any more.
            self.remove_from(&mut found, 0)?;
            log_end = asked_start;
            let now = self.options.now;
            let fresh = Segment::create(&self.disk, &self.dir, log_end, now)?;
            found.segments.push(Arc::new(fresh));
        }
        self.report.damages = found.segments.iter().map(|s| s.damages().len()).sum();
        // A log start beyond the end is noted before the log is emptied to begin there.
        self.report.lost = self
            .options
            .recovery_point
            .filter(|upto| log_end < *upto)
            .map(|upto| Lost { from: log_end, upto, clean: self.options.clean });
        let first_base = found.segments.first().map_or(log_end, |segment| segment.base);
        let log_start = asked_start.max(first_base);
        self.epochs.truncate_from_end(log_end);
        self.epochs.truncate_from_start(log_start);

        for ahead in found.snapshots.split_off(&log_end.plus(1)) {
            remove_if_there(&*self.disk, &names::path(&self.dir, ahead, names::SNAPSHOT))?;
        }
        let Replayed { mut producers, completed } =
            self.recover_producers(&mut found, (log_start, log_end))?;
        producers.expire(self.options.now, self.options.config.producer_id_expiration_ms);

        let active = Arc::clone(found.segments.last().expect("there is at least one"));
        let report = self.report;
        let epochs_changed = self.epochs != self.epochs_on_disk || self.epochs.entries().is_empty();
        let mut published = Published {
            segments: found.segments,
            log_start,
            log_end,
            synced_end: recovered.synced_end.min(log_end).max(log_start.min(log_end)),
            first_unstable: producers.first_unstable(),
            unreplicated: Unreplicated::default(),
            epochs: self.epochs,
            changes: 0,
            compact: false,
            cleaned_upto: None,
            tail: std::collections::VecDeque::new(),
        };
        completed.iter().for_each(|ended| published.unreplicated.note(ended));
        let unsynced = closed_after(&published.segments, published.synced_end);
        let mut log = Log {
            dir: self.dir,
            disk: self.disk,
            config: self.options.config,
            position: active.size(),
            active,
            log_end,
            latest_epoch: published.epochs.latest(),
            epochs_unwritten: false,
            shared: Arc::new(Shared::new(published)),
            producers,
            verifications: Verifications::default(),
            snapshots: found.snapshots,
            unsynced,
            loose: Loose::default(),
            generation: 0,
            failed: None,
            health: None,
            staging: Staging::default(),
        };
        if self.gaps {
            log.may_have_gaps();
        }
        log.loose.renamed();
        if epochs_changed || starts_anew {
            log.write_epochs_if_space()?;
        }
        Ok((log, report))
    }
}

/// The closed segments whose logs or indexes may lie beyond what is synced.
fn closed_after(segments: &[Arc<Segment>], synced_end: Offset) -> Vec<Arc<Segment>> {
    let pairs = segments.iter().zip(segments.iter().skip(1));
    pairs.filter(|(_, next)| next.base >= synced_end).map(|(closed, _)| closed.clone()).collect()
}

/// What verification has found out about a segment.
struct Checked {
    /// The offset after its last good batch.
    end: Offset,
    /// Nothing had to be cut off.
    whole: bool,
    /// No offset is missing between the batches that were verified.
    dense: bool,
    /// Verification could not even begin: what `end` says is wrong, and nothing was cut.
    first_is_bad: bool,
}

/// Where the verification of a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resume {
    /// At this batch boundary; the index entries before it are kept.
    At(u64),
    /// At the first batch: no index entry lies before the recovery point.
    Beginning,
    /// At the first batch, because the index is missing or wrong.
    Rebuild,
}
