//! Mending damage with the bytes of another replica, and remembering what waits for that.
//!
//! Replicas hold the same bytes, so mending mostly writes as many as are bad, in place: until
//! that is synced the stretch stays closed to readers and noted in the folder, so that a crash
//! half way changes nothing. Bytes of another length (the other replica was compacted, or the end
//! of a file is missing) make a new file that replaces the old one whole.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use naru_model::{ErrorCode, LeaderEpoch, Offset};
use naru_records::{BatchError, batches};

use crate::checkpoint::{Durable, replace};
use crate::compact::cut_back;
use crate::damage::{self, Damage};
use crate::disk::DiskFile;
use crate::epochs::LeaderEpochs;
use crate::error::{AppendError, Context, ReadError, StorageError};
use crate::log::{Log, remove_if_there, sync_file};
use crate::names;
use crate::segment::{FileLens, Segment};

/// How much of a file is copied at once.
const COPY_LEN: usize = 1 << 20;

/// Damage was not mended; it stays closed to readers.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It was cut off, deleted or mended meanwhile.
    #[error("there is no such damage any more")]
    Gone,
    /// The bytes given are not the records from first to last.
    #[error("records {first} to {last} are needed, {got} to {end} were given")]
    NotCovering {
        /// First offset needed.
        first: Offset,
        /// Last offset needed.
        last: Offset,
        /// First offset given, or where a gap begins.
        got: Offset,
        /// Offset after the last one given, or after the gap.
        end: Offset,
    },
    /// The bytes given are damaged themselves.
    #[error("the batch for offset {at} is damaged: {error}")]
    Damaged {
        /// The offset that was expected there.
        at: Offset,
        /// What is wrong.
        error: BatchError,
    },
    /// The bytes given are of another history than this log: it must be truncated, not mended.
    #[error("the batch at offset {at} has leader epoch {got}, this log has {known} there")]
    OtherHistory {
        /// The batch's first offset.
        at: Offset,
        /// Its leader epoch.
        got: LeaderEpoch,
        /// What the epoch cache says.
        known: LeaderEpoch,
    },
    /// The log takes no changes.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// A disk refused.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<StorageError> for RepairError {
    fn from(error: StorageError) -> Self {
        Self::Read(ReadError::Storage(error))
    }
}

impl From<&RepairError> for ErrorCode {
    fn from(error: &RepairError) -> Self {
        match error {
            RepairError::Gone => Self::OffsetOutOfRange,
            RepairError::NotCovering { .. } | RepairError::Damaged { .. } => Self::CorruptMessage,
            RepairError::OtherHistory { .. } => Self::FencedLeaderEpoch,
            RepairError::Log(error) => Self::from(error),
            RepairError::Read(error) => Self::from(error),
        }
    }
}

impl Log {
    /// Mends `damage` with `good`: the batches of another replica from `damage.first` to
    /// `damage.last`. What goes beyond is left out; what comes short, or is damaged itself, is
    /// refused. With `gaps_allowed` (a compacted topic) offsets may be missing, as they are there.
    ///
    /// Syncs the segment, and copies it first if the lengths differ.
    pub fn repair(
        &mut self,
        damage: &Damage,
        good: &[u8],
        gaps_allowed: bool,
    ) -> Result<(), RepairError> {
        self.check_open()?;
        let segment = {
            let published = self.shared.lock();
            let segment = published.segments.iter().find(|s| s.base == damage.segment_base);
            segment.cloned().ok_or(RepairError::Gone)?
        };
        if !segment.damages().contains(damage) {
            return Err(RepairError::Gone);
        }
        let epochs = self.shared.lock().epochs.clone();
        let good = needed_part(damage, good, gaps_allowed, &epochs)?;
        if good.len() as u64 == damage.end_position - damage.position {
            let file = segment.file()?;
            self.shared.lock().changes += 1;
            write(&*file, good, damage.position, segment.path())?;
            if let Err(error) = sync_file(&*file, segment.path()) {
                if Arc::ptr_eq(&segment, &self.active) {
                    // It may have been to write appended batches too.
                    self.mark_failed(&error);
                }
                return Err(error.into());
            }
            segment.note_mended(damage);
        } else {
            self.replace_part(&segment, damage, good)?;
        }
        let mut published = self.shared.lock();
        // A reader may have taken what it read in between for damage.
        published.changes += 1;
        if gaps_allowed {
            // The other replica may not have cleaned so far.
            cut_back(&mut published.cleaned_upto, damage.first);
        }
        drop(published);
        self.save_damages()?;
        Ok(())
    }

    /// Notes in the folder what waits to be mended, so that the next start does not serve it. To
    /// be called when a [`crate::Scrub`] or a read has found damage.
    pub fn save_damages(&mut self) -> Result<(), StorageError> {
        let path = self.dir.join(names::DAMAGES);
        let damages = self.reader().damages();
        if damages.is_empty() {
            self.loose.forget(&path);
            return remove_if_there(&*self.disk, &path);
        }
        replace(&*self.disk, &path, damage::to_text(&damages).as_bytes(), Durable::Yes)
    }

    /// Copies a segment with other bytes in the place of the damage, syncs the copy, and puts it
    /// in the place of the segment. A crash leaves the one or the other.
    fn replace_part(
        &mut self,
        segment: &Arc<Segment>,
        damage: &Damage,
        good: &[u8],
    ) -> Result<(), RepairError> {
        let path = segment.path().to_path_buf();
        let unfinished = names::with_suffix(&path, names::CLEANED);
        let swap = names::with_suffix(&path, names::SWAP);
        let size = segment.size();
        let written = (|| {
            let from = segment.file()?;
            let to = self.disk.open(&unfinished, true).context("create", &unfinished)?;
            to.set_len(0).context("truncate", &unfinished)?;
            copy(&*from, (0, damage.position), &*to, 0, &path)?;
            write(&*to, good, damage.position, &unfinished)?;
            let at = damage.position + good.len() as u64;
            copy(&*from, (damage.end_position, size), &*to, at, &path)?;
            sync_file(&*to, &unfinished)?;
            to.len().context("measure", &unfinished)
        })();
        let len = match written {
            Ok(len) => len,
            Err(error) => {
                remove_if_there(&*self.disk, &unfinished)?;
                return Err(error.into());
            }
        };
        // From here on a crash is completed by the next start.
        self.disk.rename(&unfinished, &swap).context("rename", &unfinished)?;
        for suffix in [names::OFFSET_INDEX, names::TIME_INDEX] {
            remove_if_there(&*self.disk, &names::path(&self.dir, segment.base, suffix))?;
        }
        self.disk.rename(&swap, &path).context("rename", &swap)?;
        self.disk.sync_dir(&self.dir).context("sync", &self.dir)?;

        let lens = FileLens { log: len, ..FileLens::default() };
        let fresh = Arc::new(Segment::with(&self.disk, &self.dir, segment.base, lens));
        for other in segment.damages().into_iter().filter(|other| other != damage) {
            let shift = |at: u64| match at.checked_sub(damage.end_position) {
                Some(behind) => damage.position + good.len() as u64 + behind,
                None => at,
            };
            let (position, end_position) = (shift(other.position), shift(other.end_position));
            fresh.note_damage(Damage { position, end_position, ..other });
        }
        self.rebuild_indexes(&fresh, Arc::ptr_eq(segment, &self.active))?;
        self.put_in_place(segment, &fresh);
        Ok(())
    }

    fn put_in_place(&mut self, old: &Arc<Segment>, fresh: &Arc<Segment>) {
        let was_active = Arc::ptr_eq(old, &self.active);
        if was_active {
            self.active = Arc::clone(fresh);
            self.position = fresh.size();
        }
        if let Some(unsynced) = self.unsynced.iter_mut().find(|s| Arc::ptr_eq(s, old)) {
            *unsynced = Arc::clone(fresh);
        }
        self.loose.renamed();
        self.generation += 1;
        let mut published = self.shared.lock();
        published.changes += 1;
        if was_active {
            published.tail.clear();
        }
        if let Some(slot) = published.segments.iter_mut().find(|s| Arc::ptr_eq(s, old)) {
            *slot = Arc::clone(fresh);
        }
    }
}

/// The bytes that take the place of the damage, after every batch of them was verified.
fn needed_part<'a>(
    damage: &Damage,
    good: &'a [u8],
    gaps_allowed: bool,
    epochs: &LeaderEpochs,
) -> Result<&'a [u8], RepairError> {
    let mut next = damage.first;
    let mut walk = batches(good);
    let (mut begin, mut end) = (0, 0);
    let short = |got: Offset, end: Offset| RepairError::NotCovering {
        first: damage.first,
        last: damage.last,
        got,
        end,
    };
    while next <= damage.last
        && let Some(item) = walk.next()
    {
        let verified = item.and_then(|(header, batch)| header.check_crc(batch).map(|()| header));
        let header = verified.map_err(|error| RepairError::Damaged { at: next, error })?;
        if header.next_offset() <= damage.first {
            (begin, end) = (walk.position(), walk.position());
            continue;
        }
        if header.base_offset > damage.last && gaps_allowed {
            next = damage.last.plus(1);
            break;
        }
        let fits = header.base_offset == next || (gaps_allowed && header.base_offset > next);
        if !fits || header.last_offset_delta < 0 || header.last_offset() > damage.last {
            return Err(short(header.base_offset, header.next_offset()));
        }
        let got = header.partition_leader_epoch;
        let known = epochs.epoch_at(header.base_offset);
        if let Some(known) = known.filter(|known| *known != got) {
            return Err(RepairError::OtherHistory { at: header.base_offset, got, known });
        }
        next = header.next_offset();
        end = walk.position();
    }
    if next <= damage.last && !gaps_allowed {
        return Err(short(damage.first, next));
    }
    Ok(good.get(begin..end).unwrap_or_default())
}

fn write(
    file: &dyn DiskFile,
    bytes: &[u8],
    position: u64,
    path: &Path,
) -> Result<(), StorageError> {
    file.write_all_at(&mut [IoSlice::new(bytes)], position).context("write", path)
}

/// Copies the bytes `range` of one file to a position in another.
fn copy(
    from: &dyn DiskFile,
    range: (u64, u64),
    to: &dyn DiskFile,
    mut at: u64,
    path: &Path,
) -> Result<(), StorageError> {
    let (mut position, end) = range;
    let mut buffer = vec![0; COPY_LEN];
    while position < end {
        let len = usize::try_from(end - position).unwrap_or(COPY_LEN).min(COPY_LEN);
        let part = buffer.get_mut(..len).unwrap_or_default();
        from.read_exact_at(part, position).context("read", path)?;
        write(to, part, at, path)?;
        position += len as u64;
        at += len as u64;
    }
    Ok(())
}
