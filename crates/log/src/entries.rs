//! A file of fixed-size, rising entries: the common part of both indexes.
//!
//! New entries wait in memory and reach the file [`WRITE_AFTER`] bytes at a time, so that an
//! index costs the hot path no system call. What a crash takes of them, recovery rebuilds.
//! Entries that are in the file are read one by one when needed: nothing is kept in memory.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::error::{Context, StorageError};

/// Pending bytes that are worth a write.
const WRITE_AFTER: usize = 2040;

/// An index file of `N`-byte entries.
#[derive(Debug)]
pub(crate) struct Entries<const N: usize> {
    path: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    /// Entries in the file.
    stored: u64,
    /// Bytes of the entries after those.
    pending: Vec<u8>,
}

impl<const N: usize> Entries<N> {
    /// An index whose file has `len` bytes; a torn last entry is ignored.
    pub(crate) fn existing(path: PathBuf, len: u64) -> Self {
        Self { path, file: None, stored: len / N as u64, pending: Vec::new() }
    }

    pub(crate) fn count(&self) -> u64 {
        self.stored + (self.pending.len() / N) as u64
    }

    /// Bytes on the disk once all is written.
    pub(crate) fn bytes(&self) -> u64 {
        self.count() * N as u64
    }

    pub(crate) fn append(&mut self, entry: [u8; N]) {
        self.pending.extend_from_slice(&entry);
    }

    /// Whether anything waits to be written.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether so much is pending that it should be written.
    pub(crate) fn wants_write(&self) -> bool {
        self.pending.len() >= WRITE_AFTER
    }

    /// Entry number `at`, which must exist.
    pub(crate) fn entry(&mut self, disk: &dyn Disk, at: u64) -> Result<[u8; N], StorageError> {
        let mut entry = [0; N];
        if let Some(at) = at.checked_sub(self.stored) {
            let from = usize::try_from(at).unwrap_or(usize::MAX).saturating_mul(N);
            let bytes = self.pending.get(from..).and_then(|rest| rest.first_chunk::<N>());
            let missing = || io::Error::from(io::ErrorKind::UnexpectedEof);
            return bytes.copied().ok_or_else(missing).context("read", &self.path);
        }
        let file = self.file(disk)?;
        file.read_exact_at(&mut entry, at * N as u64).context("read", &self.path)?;
        Ok(entry)
    }

    pub(crate) fn last(&mut self, disk: &dyn Disk) -> Result<Option<[u8; N]>, StorageError> {
        match self.count().checked_sub(1) {
            Some(at) => self.entry(disk, at).map(Some),
            None => Ok(None),
        }
    }

    /// How many entries from the beginning satisfy `is_before`, which holds for a prefix.
    pub(crate) fn partition_point(
        &mut self,
        disk: &dyn Disk,
        mut is_before: impl FnMut(&[u8; N]) -> bool,
    ) -> Result<u64, StorageError> {
        let (mut low, mut high) = (0, self.count());
        // Readers are mostly near the end, and what is pending costs nothing to look at.
        if !self.pending.is_empty() && self.stored < high {
            if is_before(&self.entry(disk, self.stored)?) {
                low = self.stored + 1;
            } else {
                high = self.stored;
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(&self.entry(disk, middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// How many entries from the beginning rise, each above the one before it. Reads the whole
    /// file, as is only worth it after a crash.
    pub(crate) fn rising(
        &mut self,
        disk: &dyn Disk,
        rises: impl Fn(&[u8; N], &[u8; N]) -> bool,
    ) -> Result<u64, StorageError> {
        let stored = usize::try_from(self.stored).unwrap_or(usize::MAX).saturating_mul(N);
        let mut bytes = vec![0; stored];
        if stored > 0 {
            let file = Arc::clone(self.file(disk)?);
            file.read_exact_at(&mut bytes, 0).context("read", &self.path)?;
        }
        bytes.extend_from_slice(&self.pending);
        let (entries, _) = bytes.as_chunks::<N>();
        let falls = entries.windows(2).position(|pair| !rises(&pair[0], &pair[1]));
        Ok(falls.map_or(entries.len(), |at| at + 1) as u64)
    }

    /// Forgets the entries from number `count` on.
    pub(crate) fn truncate(&mut self, disk: &dyn Disk, count: u64) -> Result<(), StorageError> {
        if let Some(pending) = count.checked_sub(self.stored) {
            let pending = usize::try_from(pending).unwrap_or(usize::MAX).saturating_mul(N);
            self.pending.truncate(pending);
            return Ok(());
        }
        self.pending.clear();
        let path = self.path.clone();
        self.file(disk)?.set_len(count * N as u64).context("truncate", &path)?;
        self.stored = count;
        Ok(())
    }

    /// Forgets all; the file is cut so that nothing stale outlives it.
    pub(crate) fn clear(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        self.pending.clear();
        self.stored = 0;
        let path = self.path.clone();
        self.file(disk)?.set_len(0).context("truncate", &path)
    }

    /// Writes what is pending; on failure it stays pending.
    pub(crate) fn write(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let at = self.stored * N as u64;
        let file = Arc::clone(self.file(disk)?);
        let mut parts = [IoSlice::new(&self.pending)];
        file.write_all_at(&mut parts, at).context("write", &self.path)?;
        self.stored = self.count();
        self.pending.clear();
        Ok(())
    }

    /// Writes what is pending and cuts the file to its entries, as a closed index must be.
    pub(crate) fn finish(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        self.write(disk)?;
        let (path, bytes) = (self.path.clone(), self.bytes());
        let file = self.file(disk)?;
        if file.len().context("measure", &path)? != bytes {
            file.set_len(bytes).context("truncate", &path)?;
        }
        self.pending = Vec::new();
        Ok(())
    }

    /// Opens the file, so that it can be read after its name is gone.
    pub(crate) fn open(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        self.file(disk).map(drop)
    }

    /// The open file, for syncing; none if it was never opened.
    pub(crate) fn open_file(&self) -> Option<&Arc<dyn DiskFile>> {
        self.file.as_ref()
    }

    /// Lets go of the file descriptor until it is needed again.
    pub(crate) fn release(&mut self) {
        self.file = None;
    }

    fn file(&mut self, disk: &dyn Disk) -> Result<&Arc<dyn DiskFile>, StorageError> {
        if self.file.is_none() {
            // A file that has entries and is not there any more was deleted with its segment.
            let is_new = self.stored == 0;
            self.file = Some(disk.open(&self.path, is_new).context("open", &self.path)?);
        }
        self.file.as_ref().ok_or_else(|| StorageError {
            action: "open",
            path: self.path.clone(),
            source: io::ErrorKind::NotFound.into(),
        })
    }
}
