//! The transaction index of a segment (`.txnindex`): which transactions were aborted by a marker
//! in this segment (KIP-98).
//!
//! Entries are Kafka's: a version, then producer, first offset, offset of the marker, and the last
//! stable offset when the marker was written. The file is made with the first entry.
//!
//! Invariant: entries rise by the offset of their marker.

use std::path::PathBuf;
use std::sync::Arc;

use naru_model::{Offset, ProducerId};

use crate::disk::{Disk, DiskFile};
use crate::entries::Entries;
use crate::error::StorageError;

const ENTRY_LEN: usize = 34;
const VERSION: i16 = 0;

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTxn {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of the marker that ended it.
    pub last_offset: Offset,
    /// First offset of the oldest transaction that was open after it; the offset behind the marker
    /// if there was none.
    pub last_stable_offset: Offset,
}

impl AbortedTxn {
    /// The entry as it stands in the file.
    pub fn to_bytes(&self) -> [u8; ENTRY_LEN] {
        let mut out = [0; ENTRY_LEN];
        out[..2].copy_from_slice(&VERSION.to_be_bytes());
        let fields = [
            self.producer_id.0,
            self.first_offset.0,
            self.last_offset.0,
            self.last_stable_offset.0,
        ];
        for (place, field) in out[2..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        out
    }

    /// Reads an entry; none if its version is not known.
    pub fn from_bytes(entry: &[u8; ENTRY_LEN]) -> Option<Self> {
        if i16::from_be_bytes([entry[0], entry[1]]) != VERSION {
            return None;
        }
        let (fields, _) = entry[2..].as_chunks::<8>();
        let [producer, first, last, stable] = fields.first_chunk()?.map(i64::from_be_bytes);
        Some(Self {
            producer_id: ProducerId(producer),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        })
    }
}

fn marker_at(entry: &[u8; ENTRY_LEN]) -> Offset {
    let (fields, _) = entry[2..].as_chunks::<8>();
    Offset(fields.get(2).map_or(0, |last| i64::from_be_bytes(*last)))
}

/// The index file of one segment.
#[derive(Debug)]
pub(crate) struct TxnIndex {
    entries: Entries<ENTRY_LEN>,
    /// Something was written that no sync knows of.
    unsynced: bool,
    /// The file ends with a part of an entry.
    torn: bool,
}

impl TxnIndex {
    /// An index whose file has `len` bytes; 0 also if there is none.
    pub(crate) fn existing(path: PathBuf, len: u64) -> Self {
        let entries = Entries::existing(path, len);
        Self { entries, unsynced: false, torn: !Self::is_length(len) }
    }

    /// Whether a file of this length can be whole.
    pub(crate) const fn is_length(len: u64) -> bool {
        len.is_multiple_of(ENTRY_LEN as u64)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.entries.bytes()
    }

    /// Appends and writes an entry. What the disk does not take now stays for the next write.
    pub(crate) fn append(
        &mut self,
        disk: &dyn Disk,
        aborted: &AbortedTxn,
    ) -> Result<(), StorageError> {
        self.entries.append(aborted.to_bytes());
        self.unsynced = true;
        self.entries.write(disk)
    }

    /// Opens the file if there is one, so that it can be read after its name is gone.
    pub(crate) fn open(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        if self.entries.count() == 0 { Ok(()) } else { self.entries.open(disk) }
    }

    /// Writes what the disk did not take before.
    pub(crate) fn write(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        if self.entries.has_pending() { self.entries.write(disk) } else { Ok(()) }
    }

    /// As [`Entries::finish`]; makes no file where there are no entries.
    pub(crate) fn finish(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        if self.entries.count() == 0 && self.entries.open_file().is_none() && !self.torn {
            return Ok(());
        }
        self.entries.finish(disk)?;
        self.torn = false;
        Ok(())
    }

    /// Whether all entries can belong to a segment with this base. A power cut can leave zeros in
    /// the place of what was not synced.
    pub(crate) fn is_plausible(
        &mut self,
        disk: &dyn Disk,
        base: Offset,
    ) -> Result<bool, StorageError> {
        let count = self.entries.count();
        if count == 0 {
            return Ok(true);
        }
        let is_whole = |entry: &[u8; ENTRY_LEN]| {
            AbortedTxn::from_bytes(entry)
                .is_some_and(|txn| txn.first_offset < txn.last_offset && txn.last_offset >= base)
        };
        let first = self.entries.entry(disk, 0)?;
        let rises = self.entries.rising(disk, |before, entry| {
            is_whole(entry) && marker_at(before) < marker_at(entry)
        })?;
        Ok(is_whole(&first) && rises == count)
    }

    /// Forgets the transactions whose markers stand at `end` or later.
    pub(crate) fn truncate(&mut self, disk: &dyn Disk, end: Offset) -> Result<(), StorageError> {
        if self.entries.count() == 0 {
            return self.finish(disk);
        }
        let keep = self.entries.partition_point(disk, |entry| marker_at(entry) < end)?;
        self.unsynced = true;
        self.entries.truncate(disk, keep)?;
        self.finish(disk)
    }

    /// Collects the transactions that have records in `from..upto`; false if those of the next
    /// segment may have some as well.
    pub(crate) fn collect(
        &mut self,
        disk: &dyn Disk,
        from: Offset,
        upto: Offset,
        into: &mut Vec<AbortedTxn>,
    ) -> Result<bool, StorageError> {
        if self.entries.count() == 0 {
            return Ok(false);
        }
        let first = self.entries.partition_point(disk, |entry| marker_at(entry) < from)?;
        for at in first..self.entries.count() {
            let Some(aborted) = AbortedTxn::from_bytes(&self.entries.entry(disk, at)?) else {
                continue;
            };
            if aborted.first_offset < upto {
                into.push(aborted);
            }
            if aborted.last_stable_offset >= upto {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The file if something was written that was not handed out here before.
    pub(crate) fn take_unsynced(&mut self) -> Option<Arc<dyn DiskFile>> {
        if std::mem::take(&mut self.unsynced) { self.open_file() } else { None }
    }

    pub(crate) fn open_file(&self) -> Option<Arc<dyn DiskFile>> {
        self.entries.open_file().cloned()
    }

    pub(crate) fn release(&mut self) {
        self.entries.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;

    fn aborted(first: i64, last: i64, stable: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id: ProducerId(9),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        }
    }

    #[test]
    fn entries_are_kafkas() {
        let entry = aborted(1, 2, 3).to_bytes();
        let expected = [
            [0; 2].as_slice(),
            &9i64.to_be_bytes(),
            &1i64.to_be_bytes(),
            &2i64.to_be_bytes(),
            &3i64.to_be_bytes(),
        ]
        .concat();
        assert_eq!(entry.as_slice(), expected);
        assert_eq!(AbortedTxn::from_bytes(&entry), Some(aborted(1, 2, 3)));
        let mut other = entry;
        other[1] = 1;
        assert_eq!(AbortedTxn::from_bytes(&other), None);
    }

    #[test]
    fn a_search_ends_where_everything_later_was_stable() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("0.txnindex");
        let mut index = TxnIndex::existing(path.clone(), 0);
        index.finish(&OsDisk).unwrap();
        assert!(!path.exists(), "no file without entries");
        let all = [aborted(0, 10, 5), aborted(5, 20, 21), aborted(30, 40, 41)];
        for entry in &all {
            index.append(&OsDisk, entry).unwrap();
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 3 * 34);
        let mut search = |from, upto| {
            let mut found = Vec::new();
            let done = index.collect(&OsDisk, Offset(from), Offset(upto), &mut found).unwrap();
            (found, done)
        };
        assert_eq!(search(0, 4), (vec![all[0]], true));
        assert_eq!(search(0, 6), (vec![all[0], all[1]], true));
        assert_eq!(search(11, 25), (vec![all[1]], true));
        assert_eq!(search(11, 100), (vec![all[1], all[2]], false));
        assert_eq!(search(41, 100), (vec![], false));
        assert!(index.is_plausible(&OsDisk, Offset(10)).unwrap());
        assert!(!index.is_plausible(&OsDisk, Offset(11)).unwrap());
        index.truncate(&OsDisk, Offset(40)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * 34);
    }

    #[test]
    fn what_a_power_cut_leaves_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("0.txnindex");
        let good = aborted(0, 10, 5).to_bytes();
        for bytes in [vec![0; 34], [good.as_slice(), &[0; 34]].concat(), [good, good].concat()] {
            std::fs::write(&path, &bytes).unwrap();
            let mut index = TxnIndex::existing(path.clone(), bytes.len() as u64);
            assert!(!index.is_plausible(&OsDisk, Offset(0)).unwrap());
        }
    }
}
