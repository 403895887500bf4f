//! One segment: a `.log` file with its offset index, its time index and its transaction index.
//!
//! Shared between the writer and all readers. The bytes below [`Segment::size`] never change
//! except by truncation; files are opened when first needed.
//!
//! Invariants: index positions are below the size; an offset-index entry names the last offset
//! of the batch that begins at its position, as Kafka's does.

mod aborted;
mod inner;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use naru_model::{Offset, Timestamp};
use naru_records::BatchHeader;

use crate::config::LogConfig;
use crate::damage::{Damage, Integrity};
use crate::disk::{Disk, DiskFile};
use crate::entries::Entries;
use crate::error::{Context, ReadError, StorageError};
use crate::log::remove_if_there;
use crate::names;
use crate::scan::HeaderScan;
use crate::txn_index::TxnIndex;
use inner::{Greatest, Inner, position_of, relative_of, time_relative_of, timestamp_of};

/// Lengths of the files of a segment as a folder's listing tells them; none where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FileLens {
    pub(crate) log: u64,
    pub(crate) offsets: Option<u64>,
    pub(crate) times: Option<u64>,
    /// Of the transaction index.
    pub(crate) aborted: Option<u64>,
    pub(crate) modified: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: Offset,
    path: PathBuf,
    disk: Arc<dyn Disk>,
    size: AtomicU64,
    inner: Mutex<Inner>,
    integrity: Mutex<Integrity>,
}

/// What the indexes remember of an appended batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) position: u64,
    pub(crate) size: u64,
}

impl Segment {
    /// A new, empty segment; its `.log` file and both empty indexes are created.
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        base: Offset,
        now: Timestamp,
    ) -> Result<Self, StorageError> {
        Self::create_named(disk, dir, base, "", now)
    }

    /// As [`Segment::create`], with one more suffix in the names of the files.
    pub(crate) fn create_named(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        base: Offset,
        suffix: &str,
        now: Timestamp,
    ) -> Result<Self, StorageError> {
        let path = names::with_suffix(&names::path(dir, base, names::LOG), suffix);
        let file = disk.open(&path, true).context("create", &path)?;
        file.set_len(0).context("truncate", &path)?;
        let lens = FileLens { modified: now, ..FileLens::default() };
        let segment = Self::named(disk, dir, base, suffix, lens);
        let mut inner = segment.lock();
        inner.file = Some(file);
        inner.max = Greatest::Known(None);
        // Kafka's tools expect the index files beside every log. What has this name already can
        // only be left from a crash.
        for kind in [names::OFFSET_INDEX, names::TIME_INDEX] {
            let path = names::with_suffix(&names::path(dir, base, kind), suffix);
            let index = disk.open(&path, true).context("create", &path)?;
            index.set_len(0).context("truncate", &path)?;
        }
        let aborted = names::with_suffix(&names::path(dir, base, names::TXN_INDEX), suffix);
        remove_if_there(&**disk, &aborted)?;
        drop(inner);
        Ok(segment)
    }

    /// A segment that is on the disk already; nothing is opened or read.
    pub(crate) fn with(disk: &Arc<dyn Disk>, dir: &Path, base: Offset, lens: FileLens) -> Self {
        Self::named(disk, dir, base, "", lens)
    }

    fn named(disk: &Arc<dyn Disk>, dir: &Path, base: Offset, suffix: &str, lens: FileLens) -> Self {
        let index = |kind| names::with_suffix(&names::path(dir, base, kind), suffix);
        Self {
            base,
            path: index(names::LOG),
            disk: Arc::clone(disk),
            size: AtomicU64::new(lens.log),
            inner: Mutex::new(Inner {
                file: None,
                offsets: Entries::existing(index(names::OFFSET_INDEX), lens.offsets.unwrap_or(0)),
                times: Entries::existing(index(names::TIME_INDEX), lens.times.unwrap_or(0)),
                aborted: TxnIndex::existing(index(names::TXN_INDEX), lens.aborted.unwrap_or(0)),
                max: Greatest::InIndex,
                first_timestamp: None,
                bytes_since_entry: 0,
                index_is_bad: false,
                modified: lens.modified,
            }),
            integrity: Mutex::new(Integrity::unseen(lens.log)),
        }
    }

    /// Bytes of whole batches that readers may see.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub(crate) fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the offset index and of the time index.
    pub(crate) fn index_lens(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.offsets.bytes(), inner.times.bytes())
    }

    /// Bytes of the transaction index.
    pub(crate) fn aborted_len(&self) -> u64 {
        self.lock().aborted.bytes()
    }

    /// When the log file was written last, as far as that is known.
    pub(crate) fn modified(&self) -> Timestamp {
        self.lock().modified
    }

    /// Opens all files, so that they can be read after their names are gone.
    pub(crate) fn open_files(&self) -> Result<(), StorageError> {
        self.file()?;
        let mut inner = self.lock();
        let disk = &*self.disk;
        inner.offsets.open(disk)?;
        inner.times.open(disk)?;
        inner.aborted.open(disk)
    }

    /// Bytes of the log file and the indexes.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        let inner = self.lock();
        self.size() + inner.offsets.bytes() + inner.times.bytes() + inner.aborted.bytes()
    }

    /// The log file, opened if it is not yet.
    pub(crate) fn file(&self) -> Result<Arc<dyn DiskFile>, StorageError> {
        let mut inner = self.lock();
        if let Some(file) = &inner.file {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&self.path, false).context("open", &self.path)?;
        inner.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Lets go of the file descriptors until they are needed again.
    pub(crate) fn release_files(&self) {
        let mut inner = self.lock();
        inner.file = None;
        inner.offsets.release();
        inner.times.release();
        inner.aborted.release();
    }

    /// The open index files, which are synced when a segment is closed.
    pub(crate) fn index_files(&self) -> Vec<Arc<dyn DiskFile>> {
        let inner = self.lock();
        let indexes = inner.offsets.open_file().into_iter().chain(inner.times.open_file());
        indexes.cloned().chain(inner.aborted.open_file()).collect()
    }

    /// Remembers an appended batch in the indexes, at most one entry per interval.
    pub(crate) fn note(&self, placed: &Placed, interval: u64) {
        let mut inner = self.lock();
        inner.first_timestamp.get_or_insert(placed.max_timestamp);
        let greatest = inner.greatest(&*self.disk, self.base).unwrap_or(None);
        let rises = greatest.is_none_or(|(max, _)| placed.max_timestamp > max);
        if rises && placed.max_timestamp.0 >= 0 {
            inner.max = Greatest::Known(Some((placed.max_timestamp, placed.last_offset)));
        } else {
            inner.max = Greatest::Known(greatest);
        }
        if inner.times.count() == 0 {
            // A segment that has records is never without a time: whoever looks at the files of
            // a running Apache Kafka also finds an entry in there, if only its preallocated one.
            inner.append_time(&*self.disk, self.base);
        }
        if inner.bytes_since_entry > interval {
            inner.append_offset(self.base, placed.last_offset, placed.position);
            inner.append_time(&*self.disk, self.base);
            inner.bytes_since_entry = 0;
            if inner.offsets.wants_write() {
                // What cannot be written now stays pending; recovery can do without it.
                let _ = inner.write(&*self.disk);
            }
        }
        inner.bytes_since_entry += placed.size;
    }

    /// Whether another index entry would be more than `segment.index.bytes` allows, or the
    /// offset is too far from the base for an entry.
    pub(crate) fn is_full(&self, config: &LogConfig, last_offset: Offset) -> bool {
        let inner = self.lock();
        let relative = last_offset.0 - self.base.0;
        inner.offsets.count() >= (config.index_bytes_max / 8).max(1)
            || inner.times.count() + 1 >= (config.index_bytes_max / 12).max(3)
            || i32::try_from(relative).is_err()
    }

    /// How long the segment has waited to be rolled, by its records' time if they have one.
    pub(crate) fn age(&self, now: Timestamp, latest: Timestamp) -> i64 {
        match self.first_timestamp() {
            Some(first) if first.0 >= 0 => latest.0.saturating_sub(first.0),
            _ => now.0.saturating_sub(self.lock().modified.0),
        }
    }

    /// The greatest timestamp of the first batch.
    pub(crate) fn first_timestamp(&self) -> Option<Timestamp> {
        let known = self.lock().first_timestamp;
        if known.is_some() || self.size() == 0 {
            return known;
        }
        let first = self.read_first_timestamp();
        self.lock().first_timestamp = first;
        first
    }

    /// The greatest timestamp with the last offset of its batch.
    pub(crate) fn greatest_timestamp(&self) -> Result<Option<(Timestamp, Offset)>, StorageError> {
        self.lock().greatest(&*self.disk, self.base)
    }

    /// What retention goes by: the greatest timestamp, or when the file was written.
    pub(crate) fn retention_timestamp(&self) -> Result<Timestamp, StorageError> {
        let mut inner = self.lock();
        Ok(inner.greatest(&*self.disk, self.base)?.map_or(inner.modified, |(time, _)| time))
    }

    /// The position from which a scan finds the batch that has `offset`, and the last offset of
    /// the batch there if an index entry says so.
    fn lookup(&self, offset: Offset) -> Result<(u64, Option<Offset>), StorageError> {
        let mut inner = self.lock();
        if inner.index_is_bad {
            return Ok((0, None));
        }
        let Ok(relative) = u32::try_from(offset.0 - self.base.0) else { return Ok((0, None)) };
        let disk = &*self.disk;
        let count = inner.offsets.partition_point(disk, |e| relative_of(e) <= relative)?;
        let Some(at) = count.checked_sub(1) else { return Ok((0, None)) };
        let entry = inner.offsets.entry(disk, at)?;
        Ok((position_of(&entry), Some(self.base.plus(i64::from(relative_of(&entry))))))
    }

    /// The greatest indexed batch boundary that is at most `limit`.
    pub(crate) fn boundary_below(&self, limit: u64) -> Result<Option<u64>, StorageError> {
        let mut inner = self.lock();
        if inner.index_is_bad {
            return Ok(None);
        }
        let disk = &*self.disk;
        let count = inner.offsets.partition_point(disk, |e| position_of(e) <= limit)?;
        let Some(at) = count.checked_sub(1) else { return Ok(None) };
        Ok(Some(position_of(&inner.offsets.entry(disk, at)?)))
    }

    /// The last batch boundary before `position` that index and batch agree on; the segment's
    /// beginning if there is none.
    pub(crate) fn sure_boundary_before(&self, position: u64) -> Result<u64, StorageError> {
        let indexed = {
            let mut inner = self.lock();
            let disk = &*self.disk;
            let count = inner.offsets.partition_point(disk, |e| position_of(e) < position)?;
            match count.checked_sub(1) {
                Some(at) if !inner.index_is_bad => inner.offsets.entry(disk, at)?,
                _ => return Ok(0),
            }
        };
        let at = position_of(&indexed);
        let offset = self.base.plus(i64::from(relative_of(&indexed)));
        match self.scan_from(at)?.next() {
            Ok(Some((header, found))) if found == at && header.last_offset() == offset => Ok(at),
            Ok(_) | Err(_) => Ok(0),
        }
    }

    /// The first batch whose last offset is `offset` or more, with its position.
    pub(crate) fn find(&self, offset: Offset) -> Result<Option<(BatchHeader, u64)>, ReadError> {
        let mut scan = self.scan_to(offset)?;
        while let Some((header, position)) = scan.next()? {
            if header.last_offset() >= offset {
                return Ok(Some((header, position)));
            }
        }
        Ok(None)
    }

    /// A walk that begins at or before the batch that has `offset`. What the index says is
    /// checked against the batch it points to; a lie sends the walk to the beginning.
    fn scan_to(&self, offset: Offset) -> Result<HeaderScan<'_>, ReadError> {
        let (position, last_offset) = self.lookup(offset)?;
        let Some(last_offset) = last_offset else { return Ok(self.scan_from(0)?) };
        let inside = |damage: &Damage| (damage.position..damage.end_position).contains(&position);
        if self.damages().iter().any(inside) {
            // The entry is right, the batch is not.
            return Ok(self.scan_from(position)?);
        }
        match self.scan_from(position)?.next() {
            Ok(Some((header, _))) if header.last_offset() == last_offset => {
                Ok(self.scan_from(position)?)
            }
            Ok(_) | Err(ReadError::Damaged { .. }) => {
                self.lock().index_is_bad = true;
                Ok(self.scan_from(0)?)
            }
            Err(error) => Err(error),
        }
    }

    /// The first index entry behind `position` that `accept` takes: its position and what
    /// `accept` made of it. It is given the entry's offset and position.
    pub(crate) fn indexed_after<T>(
        &self,
        position: u64,
        accept: impl Fn(Offset, u64) -> Option<T>,
    ) -> Result<Option<(u64, T)>, StorageError> {
        let disk = &*self.disk;
        let (mut at, count) = {
            let mut inner = self.lock();
            let first = inner.offsets.partition_point(disk, |e| position_of(e) <= position)?;
            (first, inner.offsets.count())
        };
        while at < count {
            let entry = self.lock().offsets.entry(disk, at)?;
            let (offset, place) =
                (self.base.plus(i64::from(relative_of(&entry))), position_of(&entry));
            if place > position
                && let Some(found) = accept(offset, place)
            {
                return Ok(Some((place, found)));
            }
            at += 1;
        }
        Ok(None)
    }

    /// Walks the headers from a batch boundary on, passing over what is known to be damaged.
    pub(crate) fn scan_from(&self, position: u64) -> Result<HeaderScan<'_>, StorageError> {
        let bad = self.damages().iter().map(|d| (d.position, d.end_position)).collect();
        Ok(self.scan_all_from(position)?.passing_over(bad))
    }

    /// As [`Segment::scan_from`], looking at damage as well.
    pub(crate) fn scan_all_from(&self, position: u64) -> Result<HeaderScan<'_>, StorageError> {
        Ok(HeaderScan::new(self.file()?, &self.path, position, self.size()))
    }

    /// A walk that begins before every record as late as `time`.
    pub(crate) fn scan_to_time(&self, time: Timestamp) -> Result<HeaderScan<'_>, ReadError> {
        let offset = {
            let mut inner = self.lock();
            let disk = &*self.disk;
            let count = inner.times.partition_point(disk, |e| timestamp_of(e) < time)?;
            match count.checked_sub(1) {
                None => None,
                Some(at) => {
                    let relative = time_relative_of(&inner.times.entry(disk, at)?);
                    Some(self.base.plus(i64::from(relative)))
                }
            }
        };
        match offset {
            Some(offset) => self.scan_to(offset),
            None => Ok(self.scan_from(0)?),
        }
    }

    /// Cuts the file at a batch boundary, after which the segment ends at offset `end`; the
    /// indexes as well if they reach beyond.
    pub(crate) fn cut(&self, size: u64, end: Offset, indexes: bool) -> Result<(), ReadError> {
        if indexes {
            return self.truncate(size, end);
        }
        Ok(self.cut_file(size, end)?)
    }

    fn cut_file(&self, size: u64, end: Offset) -> Result<(), StorageError> {
        let file = self.file()?;
        self.set_size(size);
        file.set_len(size).context("truncate", &self.path)?;
        self.integrity().truncate(size, end);
        file.sync().context("sync", &self.path)
    }

    /// Cuts the segment at a batch boundary, after which it ends at offset `end`.
    pub(crate) fn truncate(&self, size: u64, end: Offset) -> Result<(), ReadError> {
        // What is cut off must not come back when other records have taken its place.
        self.cut_file(size, end)?;
        let mut inner = self.lock();
        let disk = &*self.disk;
        let relative_end = u32::try_from(end.0 - self.base.0).unwrap_or(0);
        let keep = inner
            .offsets
            .partition_point(disk, |e| relative_of(e) < relative_end && position_of(e) < size)?;
        inner.offsets.truncate(disk, keep)?;
        let keep = inner.times.partition_point(disk, |e| time_relative_of(e) < relative_end)?;
        inner.times.truncate(disk, keep)?;
        inner.aborted.truncate(disk, end)?;
        if size == 0 {
            inner.first_timestamp = None;
        }
        inner.bytes_since_entry = 0;
        drop(inner);
        self.find_greatest(size)
    }

    /// Finds the greatest timestamp before a position: that of the last entry of the time index,
    /// or of a batch after it.
    pub(crate) fn find_greatest(&self, upto: u64) -> Result<(), ReadError> {
        let mut greatest = {
            let mut inner = self.lock();
            inner.max = Greatest::InIndex;
            inner.greatest(&*self.disk, self.base)?
        };
        let from = self.scan_to(greatest.map_or(self.base, |(_, offset)| offset))?;
        let mut scan = from.until(upto);
        loop {
            let header = match scan.next() {
                Ok(Some((header, _))) => header,
                // What a damaged batch says of its time is worth nothing.
                Ok(None) | Err(ReadError::Damaged { .. }) => break,
                Err(error) => return Err(error),
            };
            let time = header.max_timestamp;
            if time.0 >= 0 && greatest.is_none_or(|(max, _)| time > max) {
                greatest = Some((time, header.last_offset()));
            }
        }
        self.lock().max = Greatest::Known(greatest);
        Ok(())
    }

    /// Writes the pending index entries.
    pub(crate) fn write_indexes(&self) -> Result<(), StorageError> {
        let mut inner = self.lock();
        inner.write(&*self.disk)?;
        if inner.offsets.count() == 0 {
            // The first time only: a partition that little is written to keeps no file open for it.
            inner.times.release();
        }
        Ok(())
    }

    /// Whether index entries wait in memory.
    pub(crate) fn has_pending_entries(&self) -> bool {
        let inner = self.lock();
        inner.offsets.has_pending() || inner.times.has_pending()
    }

    /// Completes the indexes of a segment that gets no more appends: the greatest timestamp is
    /// the last entry, the files have no more than their entries.
    pub(crate) fn finish(&self) -> Result<(), StorageError> {
        let mut inner = self.lock();
        let disk = &*self.disk;
        inner.append_time(disk, self.base);
        inner.offsets.finish(disk)?;
        inner.times.finish(disk)?;
        inner.aborted.finish(disk)
    }

    /// Empties both indexes, before they are built anew.
    pub(crate) fn clear_indexes(&self) -> Result<(), StorageError> {
        let mut inner = self.lock();
        let disk = &*self.disk;
        inner.offsets.clear(disk)?;
        inner.times.clear(disk)?;
        inner.max = Greatest::Known(None);
        inner.first_timestamp = None;
        inner.bytes_since_entry = 0;
        inner.index_is_bad = false;
        Ok(())
    }

    /// Drops the index entries of batches that end at or after `offset`, and what a crash of a
    /// program that preallocates has left behind the last real entry. With `every_entry`, also
    /// what follows the first entry that is not above the one before. False if what remains
    /// cannot be right.
    pub(crate) fn trim_after(
        &self,
        offset: Offset,
        every_entry: bool,
    ) -> Result<bool, StorageError> {
        let mut inner = self.lock();
        let disk = &*self.disk;
        let size = self.size();
        let bound = offset.0.saturating_sub(self.base.0).clamp(0, i64::from(u32::MAX));
        let bound = u32::try_from(bound).unwrap_or(u32::MAX);
        // Zeros behind the real entries are the only way an entry can be all zero: no entry
        // is written for the first batch of a segment.
        let real = inner.offsets.partition_point(disk, |e| *e != [0; 8])?;
        inner.offsets.truncate(disk, real)?;
        if every_entry {
            let good = inner.offsets.rising(disk, |a, b| {
                relative_of(a) < relative_of(b) && position_of(a) < position_of(b)
            })?;
            inner.offsets.truncate(disk, good)?;
        }
        let keep = inner
            .offsets
            .partition_point(disk, |e| relative_of(e) < bound && position_of(e) < size)?;
        inner.offsets.truncate(disk, keep)?;
        let last = match keep.checked_sub(1) {
            Some(at) => Some(relative_of(&inner.offsets.entry(disk, at)?)),
            None => None,
        };
        let real = inner.times.partition_point(disk, |e| *e != [0; 12])?;
        inner.times.truncate(disk, real)?;
        if every_entry {
            let good = inner.times.rising(disk, |a, b| {
                timestamp_of(a) < timestamp_of(b) && time_relative_of(a) <= time_relative_of(b)
            })?;
            inner.times.truncate(disk, good)?;
        }
        // A time entry past the last offset entry is for batches that are looked at again.
        let times = match last {
            Some(last) => inner.times.partition_point(disk, |e| time_relative_of(e) <= last)?,
            None => 0,
        };
        inner.times.truncate(disk, times)?;
        inner.max = Greatest::InIndex;
        inner.bytes_since_entry = 0;
        inner.ends_plausibly(disk, size)
    }

    /// The position of the last offset-index entry and its offset.
    pub(crate) fn last_indexed(&self) -> Result<Option<(Offset, u64)>, StorageError> {
        let mut inner = self.lock();
        let last = inner.offsets.last(&*self.disk)?;
        Ok(last.map(|e| (self.base.plus(i64::from(relative_of(&e))), position_of(&e))))
    }

    /// Whether the last entries could be right, without reading the log file.
    pub(crate) fn indexes_look_sane(&self) -> Result<bool, StorageError> {
        self.lock().ends_plausibly(&*self.disk, self.size())
    }

    /// Whether a reader has met an index entry that is wrong.
    pub(crate) fn index_is_bad(&self) -> bool {
        self.lock().index_is_bad
    }

    /// Whether these bytes were verified and are not known to be bad.
    pub(crate) fn is_verified(&self, from: u64, to: u64) -> bool {
        self.integrity().covers(from, to)
    }

    pub(crate) fn note_verified(&self, from: u64, to: u64) {
        self.integrity().note_verified(from, to);
    }

    /// Closes damage to readers; false if it was known.
    pub(crate) fn note_damage(&self, damage: Damage) -> bool {
        self.integrity().note_damage(damage)
    }

    pub(crate) fn note_mended(&self, damage: &Damage) {
        self.integrity().mended(damage);
    }

    pub(crate) fn damages(&self) -> Vec<Damage> {
        self.integrity().damages().to_vec()
    }

    pub(crate) fn damage_at(&self, offset: Offset) -> Option<Damage> {
        self.integrity().damage_at(offset)
    }

    /// The first damage that ends after `position`.
    pub(crate) fn damage_from(&self, position: u64) -> Option<Damage> {
        self.integrity().damage_from(position)
    }

    fn integrity(&self) -> MutexGuard<'_, Integrity> {
        // Nothing in there can panic half way.
        self.integrity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_first_timestamp(&self) -> Option<Timestamp> {
        let (header, _) = self.scan_from(0).ok()?.next().ok()??;
        Some(header.max_timestamp)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change of the inner state is complete before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
