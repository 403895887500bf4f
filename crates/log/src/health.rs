//! What is wrong with a log directory: nothing, no space, or a failure that does not heal.
//!
//! Owns the verdict on a disk's answers, one per directory, shared by all its logs. A full disk
//! is told apart from a broken one: it refuses appends and heals when space returns; a disk that
//! failed once is not trusted again until the process starts anew, because the kernel may have
//! dropped what it could not write and a second sync would not tell.
//!
//! Does no I/O and knows no clock.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::{AppendError, StorageError};

/// What a directory is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Everything.
    Online,
    /// Reading and deleting; appends are refused until there is space.
    Full,
    /// Nothing: it is offline until the next start.
    Failed,
}

/// The health of one log directory.
#[derive(Debug, Default)]
pub struct DirHealth {
    full: AtomicBool,
    /// What filled up last, for the message.
    refused: Mutex<Option<PathBuf>>,
    failed: OnceLock<String>,
}

impl DirHealth {
    /// What the directory is good for now.
    pub fn now(&self) -> Health {
        if self.failed.get().is_some() {
            Health::Failed
        } else if self.full.load(Ordering::Acquire) {
            Health::Full
        } else {
            Health::Online
        }
    }

    /// Takes note of what the disk has refused; says what the directory is good for now.
    ///
    /// To be called for every [`StorageError`] of an append, a sync, a checkpoint or a deletion in
    /// the directory. A failed read is for the caller to judge: one bad sector is mended from
    /// another replica, without giving up the directory.
    pub fn note(&self, error: &StorageError) -> Health {
        if error.is_full() && error.action != "sync" {
            self.note_full(&error.path);
        } else {
            // The first reason stays.
            let _ = self.failed.set(error.to_string());
        }
        self.now()
    }

    /// There was no space for this file.
    pub(crate) fn note_full(&self, path: &Path) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_path_buf());
        self.full.store(true, Ordering::Release);
    }

    /// There is space again; [`crate::LogDir::refill_reserve`] finds out.
    pub fn note_space(&self) {
        self.full.store(false, Ordering::Release);
    }

    /// Whether an append may be tried. A full disk is refused without asking it: what little it
    /// has is for deletions and checkpoints.
    pub(crate) fn admit(&self) -> Result<(), AppendError> {
        match self.now() {
            Health::Online => Ok(()),
            Health::Full => Err(AppendError::Storage(StorageError {
                action: "append to",
                path: self.refused().unwrap_or_default(),
                source: std::io::ErrorKind::StorageFull.into(),
            })),
            Health::Failed => {
                Err(AppendError::Failed(self.failure().unwrap_or_default().to_owned()))
            }
        }
    }

    /// Why the directory is offline, if it is.
    pub fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// The file that found no space last.
    pub fn refused(&self) -> Option<PathBuf> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(action: &'static str, code: i32) -> StorageError {
        let source = std::io::Error::from_raw_os_error(code);
        StorageError { action, path: PathBuf::from("/d/t-0/0.log"), source }
    }

    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;

    #[test]
    fn a_full_directory_heals_and_a_failed_one_does_not() {
        let health = DirHealth::default();
        assert_eq!(health.now(), Health::Online);
        assert_eq!(health.note(&error("write", ENOSPC)), Health::Full);
        assert_eq!(health.refused(), Some(PathBuf::from("/d/t-0/0.log")));
        health.note_space();
        assert_eq!(health.now(), Health::Online);
        assert_eq!(health.note(&error("write", EIO)), Health::Failed);
        health.note_space();
        assert_eq!((health.now(), health.failure().is_some()), (Health::Failed, true));
    }

    #[test]
    fn a_sync_that_finds_no_space_has_lost_what_it_was_to_write() {
        let health = DirHealth::default();
        assert_eq!(health.note(&error("sync", ENOSPC)), Health::Failed);
        let first = health.failure().map(str::to_owned);
        health.note(&error("sync", EIO));
        assert_eq!(health.failure().map(str::to_owned), first);
    }
}
