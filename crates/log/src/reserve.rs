//! Space set aside in a log directory, so that a full disk still has room for what must go on:
//! deletions, checkpoints, the metadata log.
//!
//! The file is given up when the disk is full and taken back when there is space for twice as
//! much, which is how it shows that the disk has space again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::{Context, StorageError};
use crate::log::remove_if_there;

/// So much must be free at least before appends are taken again.
const PROBE_LEN: u64 = 4096;

/// Ours; Kafka looks at folders only.
const RESERVE: &str = ".naru-reserve";

#[derive(Debug)]
pub(crate) struct Reserve {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Reserve {
    pub(crate) fn in_dir(disk: &Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk: Arc::clone(disk), path: dir.join(RESERVE) }
    }

    /// Frees the space.
    pub(crate) fn release(&self) -> Result<(), StorageError> {
        remove_if_there(&*self.disk, &self.path)
    }

    /// Sets `bytes` aside if there are twice as many; whether there are. Without them nothing is
    /// kept.
    pub(crate) fn refill(&self, bytes: u64) -> Result<bool, StorageError> {
        let filled = (|| {
            let file = self.disk.open(&self.path, true)?;
            match file.allocate(bytes.saturating_mul(2).max(PROBE_LEN)) {
                // A file system that cannot reserve: then there is no more to be known.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                other => other?,
            }
            file.set_len(bytes)
        })();
        let result = filled.context("reserve", &self.path);
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.is_full() => {
                self.release()?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
