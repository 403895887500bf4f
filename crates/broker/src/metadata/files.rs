//! The files beside the metadata log: quorum state and snapshots.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use naru_controller::quorum::SnapshotId;

const QUORUM_STATE: &str = "quorum-state";
/// Snapshots kept: the newest, and the one before for a reader that has just begun with it.
const SNAPSHOTS_KEPT: usize = 2;

/// The folder of the metadata log.
#[derive(Debug, Clone)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn state_path(&self) -> PathBuf {
        self.0.join(QUORUM_STATE)
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

    /// Writes a snapshot durably and removes those that are no longer needed.
    pub(super) fn write_snapshot(&self, id: SnapshotId, bytes: &[u8]) -> io::Result<()> {
        replace(&self.snapshot_path(id), bytes)?;
        let mut snapshots = self.snapshots()?;
        snapshots.truncate(snapshots.len().saturating_sub(SNAPSHOTS_KEPT));
        snapshots.into_iter().try_for_each(|(_, path)| fs::remove_file(path))
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
    fn old_snapshots_go_and_the_newest_is_found() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder(temp.path().to_path_buf());
        assert!(folder.snapshots().unwrap().is_empty());
        for end_offset in [5, 100, 20] {
            folder.write_snapshot(SnapshotId { end_offset, epoch: 1 }, b"x").unwrap();
        }
        let ids: Vec<_> =
            folder.snapshots().unwrap().into_iter().map(|(id, _)| id.end_offset).collect();
        assert_eq!(ids, [20, 100]);
    }
}
