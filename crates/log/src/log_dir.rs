//! One entry of `log.dirs`: the folder that holds the partitions' folders.
//!
//! Owns the lock file, `meta.properties`, the checkpoint files and the clean-shutdown mark.
//! Knows the names of partitions' folders, not what is in them.
//!
//! The mark is taken away when the directory is opened and set again by a clean stop, so that a
//! crash at any moment leaves it unset.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use naru_model::TopicPartition;
use rustix::fs::{FlockOperation, fcntl_lock, flock};

use crate::checkpoint::{
    Durable, OffsetCheckpoint, offsets_from_text, offsets_to_text, read_if_there, replace,
};
use crate::dir_error::LogDirError;
use crate::disk::Disk;
use crate::error::{Context, StorageError};
use crate::health::{DirHealth, Health};
use crate::log::remove_if_there;
use crate::meta::{META_PROPERTIES, MetaProperties, read_meta};
use crate::reserve::Reserve;

const LOCK: &str = ".lock";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const DELETE_SUFFIX: &str = "-delete";
const STRAY_SUFFIX: &str = "-stray";
const FUTURE_SUFFIX: &str = "-future";
/// Of a file name, on every file system worth naming.
const NAME_LEN_MAX: usize = 255;

/// The checkpoint files of a log directory: one offset per partition each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// Up to where each log is known to be on the disk.
    RecoveryPoint,
    /// Where logs begin, if that is not at a segment's base.
    LogStart,
    /// High watermarks.
    Replication,
    /// How far compaction has come.
    Cleaner,
}

impl Checkpoint {
    const fn file_name(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery-point-offset-checkpoint",
            Self::LogStart => "log-start-offset-checkpoint",
            Self::Replication => "replication-offset-checkpoint",
            Self::Cleaner => "cleaner-offset-checkpoint",
        }
    }
}

/// What a folder in a log directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderKind {
    /// A partition.
    Live,
    /// A deleted partition whose files have not been removed yet.
    Deleting,
    /// A partition that this node should not have.
    Stray,
    /// A partition that is being moved here from another directory.
    Future,
}

/// A partition's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The partition. A deleted partition of a long topic name has that name cut short.
    pub partition: TopicPartition,
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: FolderKind,
}

/// Whether the directory was shut down cleanly before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanShutdown {
    /// The broker's epoch then, if the mark tells it.
    pub broker_epoch: Option<i64>,
}

/// An open log directory. Dropping it gives up the lock.
#[derive(Debug)]
pub struct LogDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    meta: Option<MetaProperties>,
    clean: Option<CleanShutdown>,
    health: Arc<DirHealth>,
    reserve: Reserve,
    /// Closing the file gives up both locks.
    _lock: File,
}

impl LogDir {
    /// Opens a directory for this process alone, making it if it is not there, and takes away
    /// the mark of a clean shutdown.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, LogDirError> {
        disk.create_dir_all(path).context("create", path)?;
        let lock = take_lock(path)?;
        let meta = read_meta(&*disk, path)?;
        let mark = path.join(CLEAN_SHUTDOWN);
        let clean = read_if_there(&*disk, &mark)?
            .map(|text| CleanShutdown { broker_epoch: broker_epoch_in(&text) });
        if clean.is_some() {
            remove_if_there(&*disk, &mark)?;
            disk.sync_dir(path).context("sync", path)?;
        }
        let reserve = Reserve::in_dir(&disk, path);
        let path = path.to_path_buf();
        Ok(Self { disk, path, meta, clean, health: Arc::default(), reserve, _lock: lock })
    }

    /// What the directory is good for, shared with the logs in it ([`crate::Log::report_to`]).
    pub const fn health(&self) -> &Arc<DirHealth> {
        &self.health
    }

    /// Gives up the space that was set aside, to be called when the directory is found to be
    /// full: deletions and checkpoints need some. Appends stay refused.
    pub fn release_reserve(&self) -> Result<(), StorageError> {
        self.reserve.release()
    }

    /// Sets `bytes` aside and, if there was room for twice as many, takes appends again. To be
    /// called at the start, and every second or so while the directory is full.
    pub fn refill_reserve(&self, bytes: u64) -> Result<Health, StorageError> {
        if self.health.now() == Health::Failed {
            return Ok(Health::Failed);
        }
        if self.reserve.refill(bytes)? {
            self.health.note_space();
        } else {
            self.health.note_full(&self.path);
        }
        Ok(self.health.now())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk it is on.
    pub const fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// What its `meta.properties` says; none if it was never formatted.
    pub const fn meta(&self) -> Option<&MetaProperties> {
        self.meta.as_ref()
    }

    /// The mark that the last clean shutdown left, if it was clean.
    pub const fn clean_shutdown(&self) -> Option<CleanShutdown> {
        self.clean
    }

    /// Writes `meta.properties`.
    pub fn format(&mut self, meta: MetaProperties) -> Result<(), LogDirError> {
        let path = self.path.join(META_PROPERTIES);
        replace(&*self.disk, &path, meta.to_text().as_bytes(), Durable::Yes)?;
        self.meta = Some(meta);
        Ok(())
    }

    /// Refuses a directory of another cluster or another node; one that was never formatted is
    /// nobody's.
    pub fn check_owner(&self, cluster_id: Option<&str>, node_id: i32) -> Result<(), LogDirError> {
        let Some(meta) = &self.meta else { return Ok(()) };
        if let Some(expected) = cluster_id
            && expected != meta.cluster_id
        {
            return Err(LogDirError::WrongCluster {
                path: self.path.clone(),
                found: meta.cluster_id.clone(),
                expected: expected.to_owned(),
            });
        }
        if meta.node_id != node_id {
            return Err(LogDirError::WrongNode {
                path: self.path.clone(),
                found: meta.node_id,
                expected: node_id,
            });
        }
        Ok(())
    }

    /// The partitions' folders, in the order of their names.
    pub fn folders(&self) -> Result<Vec<Folder>, LogDirError> {
        let mut folders = Vec::new();
        for entry in self.disk.list(&self.path).context("list", &self.path)? {
            if entry.is_dir
                && let Some((partition, kind)) = parse_folder(&entry.name)
            {
                let path = self.path.join(&entry.name);
                folders.push(Folder { partition, path, kind });
            }
        }
        folders.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(folders)
    }

    /// The folder of a partition.
    pub fn folder_of(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(partition.to_string())
    }

    /// A folder for the copy of a partition that moves here. `unique` is any number that was not
    /// used before.
    pub fn folder_for_move(&self, partition: &TopicPartition, unique: u128) -> PathBuf {
        self.path.join(cut_name(partition, unique, FUTURE_SUFFIX))
    }

    /// Renames a partition's folder so that it counts as deleted from now on; its files may be
    /// removed later. `unique` is any number that was not used before. Its log must be closed
    /// to appends. Outlives a power cut once [`LogDir::sync`] has returned.
    pub fn rename_for_deletion(
        &self,
        partition: &TopicPartition,
        unique: u128,
    ) -> Result<PathBuf, StorageError> {
        let name = cut_name(partition, unique, DELETE_SUFFIX);
        let (from, to) = (self.folder_of(partition), self.path.join(name));
        self.disk.rename(&from, &to).context("rename", &from)?;
        Ok(to)
    }

    /// Makes the names of the folders durable.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.disk.sync_dir(&self.path).context("sync", &self.path)
    }

    /// Removes a folder with all that is in it.
    pub fn remove_folder(&self, path: &Path) -> Result<(), StorageError> {
        self.disk.remove_dir_all(path).context("remove", path)
    }

    /// Reads a checkpoint; a missing or damaged one is empty, which costs only time.
    pub fn read_checkpoint(&self, which: Checkpoint) -> Result<OffsetCheckpoint, StorageError> {
        let path = self.path.join(which.file_name());
        let bytes = read_if_there(&*self.disk, &path)?.unwrap_or_default();
        let offsets = std::str::from_utf8(&bytes).ok().and_then(offsets_from_text);
        if offsets.is_none() && !bytes.is_empty() {
            tracing::warn!(path = %path.display(), "a damaged checkpoint is ignored");
        }
        Ok(offsets.unwrap_or_default())
    }

    /// Replaces a checkpoint.
    pub fn write_checkpoint(
        &self,
        which: Checkpoint,
        offsets: &OffsetCheckpoint,
    ) -> Result<(), StorageError> {
        let path = self.path.join(which.file_name());
        replace(&*self.disk, &path, offsets_to_text(offsets).as_bytes(), Durable::Yes)
    }

    /// Leaves the mark of a clean shutdown, once all logs are closed and the recovery points are
    /// written.
    pub fn mark_clean_shutdown(&self, broker_epoch: i64) -> Result<(), StorageError> {
        let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        replace(&*self.disk, &self.path.join(CLEAN_SHUTDOWN), text.as_bytes(), Durable::Yes)
    }
}

/// The name of a folder that is not live: the topic's name cut short if need be.
fn cut_name(partition: &TopicPartition, unique: u128, kind: &str) -> String {
    let suffix = format!("-{}.{unique:032x}{kind}", partition.partition);
    let keep = partition.topic.len().min(NAME_LEN_MAX - suffix.len());
    // Topic names are ASCII; a cut inside a letter gives up the name altogether.
    format!("{}{suffix}", partition.topic.get(..keep).unwrap_or_default())
}

/// Takes the lock that a Java process would take, and one that holds within this process too.
fn take_lock(dir: &Path) -> Result<File, LogDirError> {
    let path = dir.join(LOCK);
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .context("open", &path)?;
    for lock in [
        flock(&file, FlockOperation::NonBlockingLockExclusive),
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive),
    ] {
        match lock {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::ACCESS) => {
                return Err(LogDirError::Locked { path: dir.to_path_buf() });
            }
            Err(error) => return Err(io::Error::from(error)).context("lock", &path)?,
        }
    }
    Ok(file)
}

fn broker_epoch_in(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, after) = text.split_once("\"brokerEpoch\"")?;
    let digits = after.trim_start().strip_prefix(':')?.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(digits.len());
    digits[..end].parse().ok()
}

fn parse_folder(name: &str) -> Option<(TopicPartition, FolderKind)> {
    let marked = |suffix: &str| name.strip_suffix(suffix)?.rsplit_once('.').map(|(n, _)| n);
    let (name, kind) = if let Some(name) = marked(DELETE_SUFFIX) {
        (name, FolderKind::Deleting)
    } else if let Some(name) = marked(STRAY_SUFFIX) {
        (name, FolderKind::Stray)
    } else if let Some(name) = marked(FUTURE_SUFFIX) {
        (name, FolderKind::Future)
    } else {
        (name, FolderKind::Live)
    };
    let (topic, partition) = name.rsplit_once('-')?;
    if topic.is_empty() || !partition.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((TopicPartition::new(topic, partition.parse().ok()?), kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;
    use naru_model::Offset;

    fn disk() -> Arc<dyn Disk> {
        Arc::new(OsDisk)
    }

    #[test]
    fn folder_names_are_kafkas() {
        let parse = |name| parse_folder(name).map(|(tp, kind)| (tp.to_string(), kind));
        assert_eq!(parse("a-b-3"), Some(("a-b-3".to_owned(), FolderKind::Live)));
        assert_eq!(
            parse("a.b-0.0123456789abcdef0123456789abcdef-delete"),
            Some(("a.b-0".to_owned(), FolderKind::Deleting))
        );
        assert_eq!(parse("t-1.00-stray"), Some(("t-1".to_owned(), FolderKind::Stray)));
        for name in ["lost+found", "t-", "-1", "t-1x", "snapshots"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_directory_is_for_one_process_and_keeps_what_it_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let mut dir = LogDir::open(disk(), &path).unwrap();
        assert!(matches!(LogDir::open(disk(), &path), Err(LogDirError::Locked { .. })));
        assert_eq!((dir.meta(), dir.clean_shutdown()), (None, None));
        dir.format(MetaProperties {
            cluster_id: "c".to_owned(),
            node_id: 1,
            directory_id: Some(naru_model::Uuid(77)),
        })
        .unwrap();
        let offsets = OffsetCheckpoint::from([(TopicPartition::new("t", 0), Offset(5))]);
        dir.write_checkpoint(Checkpoint::RecoveryPoint, &offsets).unwrap();
        dir.mark_clean_shutdown(42).unwrap();
        drop(dir);

        let dir = LogDir::open(disk(), &path).unwrap();
        assert_eq!(dir.clean_shutdown(), Some(CleanShutdown { broker_epoch: Some(42) }));
        assert_eq!(dir.read_checkpoint(Checkpoint::RecoveryPoint).unwrap(), offsets);
        assert!(dir.read_checkpoint(Checkpoint::LogStart).unwrap().is_empty());
        dir.check_owner(Some("c"), 1).unwrap();
        dir.check_owner(None, 1).unwrap();
        assert!(matches!(dir.check_owner(Some("d"), 1), Err(LogDirError::WrongCluster { .. })));
        assert!(matches!(dir.check_owner(None, 2), Err(LogDirError::WrongNode { .. })));
        drop(dir);
        // The mark holds for one start only.
        assert_eq!(LogDir::open(disk(), &path).unwrap().clean_shutdown(), None);
    }

    #[test]
    fn a_deleted_partition_keeps_a_legal_name() {
        let temp = tempfile::tempdir().unwrap();
        let dir = LogDir::open(disk(), temp.path()).unwrap();
        let partition = TopicPartition::new("x".repeat(249), 0);
        disk().create_dir_all(&dir.folder_of(&partition)).unwrap();
        let renamed = dir.rename_for_deletion(&partition, 7).unwrap();
        let folders = dir.folders().unwrap();
        assert_eq!(folders.len(), 1);
        assert_eq!((folders[0].kind, &folders[0].path), (FolderKind::Deleting, &renamed));
        dir.remove_folder(&renamed).unwrap();
        assert!(dir.folders().unwrap().is_empty());
    }

    #[test]
    fn a_file_in_the_way_is_said_to_be_one() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        std::fs::write(&path, "").unwrap();
        let error = LogDir::open(disk(), &path).unwrap_err();
        assert!(matches!(error, LogDirError::NotADirectory { .. }), "{error}");
    }
}
