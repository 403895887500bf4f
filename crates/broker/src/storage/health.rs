//! Directories that are full or have failed.
//!
//! A full one refuses appends, keeps serving and deleting, and heals by itself; a failed one is
//! given up until the next start.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use naru_log::{Health, LogDir};

use super::Storage;

/// What was told of the directories.
#[derive(Debug, Default)]
pub(super) struct Told {
    failed: Mutex<HashSet<PathBuf>>,
    full: Mutex<HashSet<PathBuf>>,
}

impl Storage {
    /// The directories that have not failed.
    pub(super) fn usable(&self) -> impl Iterator<Item = &LogDir> {
        self.dirs.iter().filter(|dir| dir.health().now() != Health::Failed)
    }

    /// Whether a directory has failed.
    pub(crate) fn has_failed(&self, dir: &LogDir) -> bool {
        dir.health().now() == Health::Failed
    }

    /// The directories that have failed since this was asked last.
    pub(crate) fn newly_failed(&self) -> Vec<PathBuf> {
        let mut told = self.told.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = self.dirs.iter().filter(|dir| self.has_failed(dir));
        let mut news = Vec::new();
        for dir in failed {
            if told.insert(dir.path().to_path_buf()) {
                let reason = dir.health().failure().unwrap_or_default();
                tracing::error!(dir = %dir.path().display(), "the log directory is offline: {reason}");
                news.push(dir.path().to_path_buf());
            }
        }
        news
    }

    /// Sets space aside, gives it up where a disk is full, and finds out when there is space
    /// again. Whether a disk has become full.
    pub(crate) fn tend_space(&self, reserve_bytes: u64) -> bool {
        let mut is_news = false;
        for dir in self.usable() {
            let was_full = dir.health().now() == Health::Full;
            if was_full && self.note_full(dir.path()) {
                is_news = true;
                release(dir);
            }
            if was_full || self.is_noted_full(dir.path()) {
                self.refill(dir, reserve_bytes);
            }
        }
        is_news
    }

    /// Sets space aside in each directory at the start. It stays there over a stop: on a full disk
    /// the next start gives it up, and has room to start with.
    pub(crate) fn reserve_space(&self, bytes: u64) {
        self.usable().for_each(|dir| self.refill(dir, bytes));
    }

    fn refill(&self, dir: &LogDir, reserve_bytes: u64) {
        match dir.refill_reserve(reserve_bytes) {
            Ok(Health::Online) => {
                let mut full = self.told.full.lock().unwrap_or_else(PoisonError::into_inner);
                if full.remove(dir.path()) {
                    tracing::info!(dir = %dir.path().display(), "there is space again");
                }
            }
            Ok(Health::Full) => drop(self.note_full(dir.path())),
            Ok(Health::Failed) => {}
            Err(error) => tracing::warn!("no space is set aside: {error}"),
        }
    }

    /// Notes that a directory is full; whether that is news.
    fn note_full(&self, path: &Path) -> bool {
        let mut full = self.told.full.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = full.insert(path.to_path_buf());
        if is_news {
            tracing::error!(
                dir = %path.display(),
                "the disk is full: records are refused until there is space; reading and deleting \
                 go on"
            );
        }
        is_news
    }

    fn is_noted_full(&self, path: &Path) -> bool {
        self.told.full.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }
}

fn release(dir: &LogDir) {
    if let Err(error) = dir.release_reserve() {
        tracing::error!("the reserve was not released: {error}");
    }
}

#[cfg(test)]
mod tests {
    use naru_log::{Checkpoint, OffsetCheckpoint, StorageError};
    use naru_model::{Offset, TopicPartition, Uuid};

    use super::*;

    fn failure(path: &Path, code: i32) -> StorageError {
        let source = std::io::Error::from_raw_os_error(code);
        StorageError { action: "write", path: path.to_path_buf(), source }
    }

    const RESERVE_BYTES: u64 = 1 << 16;
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;

    #[test]
    fn a_failed_directory_is_told_once_and_used_no_more() {
        let temp = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| temp.path().join(name).display().to_string());
        let storage = Storage::open(&paths, "").unwrap();
        let bad = storage.dirs()[0].path().to_path_buf();
        assert!(storage.newly_failed().is_empty());
        storage.dirs()[0].health().note(&failure(&bad, EIO));
        assert_eq!(storage.newly_failed(), std::slice::from_ref(&bad));
        assert!(storage.newly_failed().is_empty());
        let (dir, _) = storage.place(&TopicPartition::new("t", 0), Uuid(1)).unwrap();
        assert_ne!(dir.path(), bad);
        storage.checkpoint_high_watermarks(&[]).unwrap();
        storage.mark_clean(7).unwrap();
        let written = |path: &Path| path.join(".kafka_cleanshutdown").exists();
        assert!(!written(&bad) && written(storage.dirs()[1].path()));
        let offsets: OffsetCheckpoint = [(TopicPartition::new("t", 0), Offset(1))].into();
        storage.dirs()[1].write_checkpoint(Checkpoint::Replication, &offsets).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_opened_is_left_out_if_others_can_do_without() {
        let temp = tempfile::tempdir().unwrap();
        let [good, bad] = ["a", "b"].map(|name| temp.path().join(name).display().to_string());
        // A folder in the place of a file that is to be read.
        std::fs::create_dir_all(Path::new(&bad).join("meta.properties")).unwrap();
        let storage = Storage::open(&[good.clone(), bad.clone()], &good).unwrap();
        assert_eq!((storage.dirs().len(), storage.unopened().len()), (1, 1));
        drop(storage);
        Storage::open(&[good, bad.clone()], &bad).unwrap_err();
        Storage::open(std::slice::from_ref(&bad), "").unwrap_err();
    }

    #[test]
    fn a_full_directory_takes_appends_again_when_there_is_space() {
        let temp = tempfile::tempdir().unwrap();
        let storage = Storage::open(&[temp.path().join("a").display().to_string()], "").unwrap();
        storage.reserve_space(RESERVE_BYTES);
        let health = storage.dirs()[0].health();
        health.note(&failure(temp.path(), ENOSPC));
        assert_eq!(health.now(), Health::Full);
        assert!(storage.tend_space(RESERVE_BYTES));
        assert_eq!(health.now(), Health::Online);
        assert!(!storage.tend_space(RESERVE_BYTES));
        assert!(storage.newly_failed().is_empty());
    }
}
