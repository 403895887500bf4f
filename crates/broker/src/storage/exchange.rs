//! The copy of a partition takes the place of its log in another directory.
//!
//! Names change one by one, so a crash may leave two live folders of one partition. A mark in the
//! copy, made before it gets the live name and taken away when the other folder is gone, says
//! which of them counts: what is marked was complete, and nobody has written to the other since.
//!
//! Invariant: at no moment is there no live folder, and of two exactly one is marked.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use naru_log::{Disk, LogDir, StorageError};
use naru_model::TopicPartition;

/// The mark's name; programs that know it not leave it alone.
const MARK: &str = "naru-takes-over";

/// What came of an exchange that could not be taken back any more.
#[derive(Debug)]
pub(crate) struct Exchanged {
    /// The copy under the live name.
    pub(crate) live: PathBuf,
    /// The old folder under the name of a deleted one, to be removed; none if it could not be
    /// renamed: the next start does.
    pub(crate) old: Option<PathBuf>,
    /// A directory that failed on the way.
    pub(crate) failure: Option<(PathBuf, StorageError)>,
}

/// Puts `copy`, a folder in `to` that is complete and synced, in the place of the partition's
/// folder in `from`. An error has changed nothing that counts: the old folder is the live one.
pub(crate) fn exchange(
    from: &LogDir,
    to: &LogDir,
    name: &TopicPartition,
    copy: &Path,
    unique: u128,
) -> Result<Exchanged, StorageError> {
    let live = to.folder_of(name);
    // Left by an exchange in the other direction.
    unmark(&**from.disk(), &from.folder_of(name))?;
    let marked = mark(&**to.disk(), copy);
    let renamed = marked.and_then(|()| {
        to.disk().rename(copy, &live).map_err(|source| failed("rename", copy, source))
    });
    if let Err(error) = renamed {
        // It is removed with the folder, if not now.
        let _ = unmark(&**to.disk(), copy);
        return Err(error);
    }
    // From here on the copy counts, here and after a restart.
    let mut done = Exchanged { live, old: None, failure: None };
    if let Err(error) = to.sync() {
        // The live name may be lost with the power: the old folder has to be there then.
        done.failure = Some((to.path().to_path_buf(), error));
        return Ok(done);
    }
    let old = from.rename_for_deletion(name, unique).and_then(|old| from.sync().map(|()| old));
    match old {
        Ok(old) => done.old = Some(old),
        Err(error) => {
            done.failure = Some((from.path().to_path_buf(), error));
            return Ok(done);
        }
    }
    if let Err(error) = unmark(&**to.disk(), &done.live) {
        // The next exchange takes it away.
        tracing::warn!("{name}: {error}");
    }
    Ok(done)
}

/// Which of several live folders of one partition counts; none if it cannot be told.
pub(super) fn survivor<'f>(folders: &[(&'f LogDir, &'f Path)]) -> Option<&'f Path> {
    let mut marked = folders.iter().filter(|(dir, path)| is_marked(&**dir.disk(), path));
    match (marked.next(), marked.next()) {
        (Some((_, path)), None) => Some(path),
        _ => None,
    }
}

/// Takes away the name of a live folder that does not count; what it is called then.
pub(super) fn discard(
    dir: &LogDir,
    name: &TopicPartition,
    unique: u128,
) -> Result<PathBuf, StorageError> {
    let old = dir.rename_for_deletion(name, unique)?;
    dir.sync()?;
    Ok(old)
}

fn is_marked(disk: &dyn Disk, folder: &Path) -> bool {
    disk.read(&folder.join(MARK)).is_ok()
}

fn mark(disk: &dyn Disk, folder: &Path) -> Result<(), StorageError> {
    let path = folder.join(MARK);
    let made = disk.open(&path, true).and_then(|file| {
        file.write_all_at(&mut [IoSlice::new(b"1\n")], 0)?;
        file.sync()
    });
    made.map_err(|source| failed("create", &path, source))?;
    disk.sync_dir(folder).map_err(|source| failed("sync", folder, source))
}

fn unmark(disk: &dyn Disk, folder: &Path) -> Result<(), StorageError> {
    let path = folder.join(MARK);
    match disk.remove_file(&path) {
        Ok(()) => disk.sync_dir(folder).map_err(|source| failed("sync", folder, source)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(failed("remove", &path, source)),
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StorageError {
    StorageError { action, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests;
