//! The files beside the metadata log: quorum state and snapshots.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use naru_controller::quorum::SnapshotId;
use naru_model::Timestamp;
use rustix::fs::{CWD, FallocateFlags, RenameFlags};

const QUORUM_STATE: &str = "quorum-state";
/// A file that shows whether there is space.
const PROBE: &str = ".room";
/// So much space is enough to lead the quorum for a while.
const ROOM_BYTES: u64 = 1 << 20;

/// The folder of the metadata log.
#[derive(Debug, Clone)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn state_path(&self) -> PathBuf {
        self.0.join(QUORUM_STATE)
    }

    /// Writes the quorum's state durably. The file and its spare change places, so that nothing has
    /// to be allocated: who leads is learnt on a full disk too.
    pub(super) fn write_state(&self, text: &str) -> io::Result<()> {
        exchange(&self.state_path(), text.as_bytes())
    }

    /// Whether the disk has space for what a leader writes.
    pub(super) fn has_room(&self) -> bool {
        let path = self.0.join(PROBE);
        let room = fs::File::create(&path).and_then(|file| {
            Ok(rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, ROOM_BYTES)?)
        });
        // Removed also when only a part was allocated; it may not be there at all.
        let _ = fs::remove_file(&path);
        // A file system that cannot tell is taken at its next word.
        !room.is_err_and(|error| is_full(&error))
    }

    /// A snapshot's file.
    pub(super) fn snapshot_path(&self, id: SnapshotId) -> PathBuf {
        self.0.join(id.to_string())
    }

    /// The file of a snapshot that is being fetched, named as Kafka names it.
    pub(super) fn part_path(&self, id: SnapshotId) -> PathBuf {
        self.0.join(format!("{id}.part"))
    }

    /// All snapshots, oldest first.
    pub(super) fn snapshots(&self) -> io::Result<Vec<(SnapshotId, PathBuf)>> {
        let mut snapshots = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Ok(id) = name.parse() {
                snapshots.push((id, path));
            }
        }
        snapshots.sort_unstable();
        Ok(snapshots)
    }

    /// Writes a snapshot durably.
    pub(super) fn write_snapshot(&self, id: SnapshotId, bytes: &[u8]) -> io::Result<()> {
        replace(&self.snapshot_path(id), bytes)
    }

    /// Removes a snapshot; one that is gone is no error.
    pub(super) fn remove_snapshot(&self, id: SnapshotId) -> io::Result<()> {
        match fs::remove_file(self.snapshot_path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The size of a snapshot's file, and when it was written; none if it is not there.
    pub(super) fn stat(&self, id: SnapshotId) -> Option<(u64, Timestamp)> {
        let found = fs::metadata(self.snapshot_path(id)).ok()?;
        let written = found.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let written = i64::try_from(written.as_millis()).unwrap_or(i64::MAX);
        Some((found.len(), Timestamp(written)))
    }
}

/// Whether the disk, or the quota, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Replaces a file as [`replace`] does, and keeps the old one as the spare that is written next.
fn exchange(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut spare = path.as_os_str().to_owned();
    spare.push(".tmp");
    let spare = PathBuf::from(spare);
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(&spare)?;
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()?;
    if rustix::fs::renameat_with(CWD, &spare, CWD, path, RenameFlags::EXCHANGE).is_err() {
        // The first time, or a file system that does not know how.
        fs::rename(&spare, path)?;
        fs::write(&spare, bytes)?;
    }
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Replaces a file; afterwards it is there whole, also after a power cut.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let file = fs::File::create(&temporary)?;
    (&file).write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_replaced_whole_and_allocates_nothing_the_next_time() {
        use std::os::unix::fs::MetadataExt as _;
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder(temp.path().to_path_buf());
        let path = folder.state_path();
        let inode = || fs::metadata(&path).unwrap().ino();
        folder.write_state("a long first text").unwrap();
        let first = inode();
        folder.write_state("b").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "b");
        let second = inode();
        folder.write_state("cc").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "cc");
        assert_eq!(inode(), first);
        folder.write_state("d").unwrap();
        assert_eq!((inode(), fs::read_dir(temp.path()).unwrap().count()), (second, 2));
        assert!(folder.has_room());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2, "no probe is left");
    }

    #[test]
    fn snapshots_are_found_in_order_and_can_be_removed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder(temp.path().to_path_buf());
        assert!(folder.snapshots().unwrap().is_empty());
        for end_offset in [5, 100, 20] {
            folder.write_snapshot(SnapshotId { end_offset, epoch: 1 }, b"x").unwrap();
        }
        let ids = || -> Vec<i64> {
            folder.snapshots().unwrap().into_iter().map(|(id, _)| id.end_offset).collect()
        };
        assert_eq!(ids(), [5, 20, 100]);
        let gone = SnapshotId { end_offset: 20, epoch: 1 };
        assert_eq!(folder.stat(gone).unwrap().0, 1);
        folder.remove_snapshot(gone).unwrap();
        folder.remove_snapshot(gone).unwrap();
        assert_eq!((ids(), folder.stat(gone)), (vec![5, 100], None));
    }
}
