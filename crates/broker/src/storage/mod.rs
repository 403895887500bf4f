//! The log directories of this node: opening them, finding and opening logs, checkpoints,
//! deleting what is gone.
//!
//! Knows folders and files; what a partition means is `partition`'s. Calls block.

mod exchange;
mod health;
mod places;
mod recover;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use naru_log::{
    Checkpoint, Disk, Folder, FolderKind, LogDir, LogDirError, MetaProperties, OffsetCheckpoint,
    OsDisk, StorageError, read_partition_metadata,
};
use naru_model::{Offset, TopicPartition, Uuid};

pub(crate) use exchange::exchange;
pub(crate) use recover::{LogToOpen, OpenedLog, open_all};

use crate::node::StartError;
use crate::partition::Partition;
use places::Places;

/// Name of the folder of the metadata log, which is no partition of a topic.
pub(crate) const METADATA_FOLDER: &str = "__cluster_metadata-0";

/// Most wishes for directories that are remembered.
const PREFERRED_MAX: usize = 10_000;

/// All log directories.
#[derive(Debug)]
pub(crate) struct Storage {
    dirs: Vec<LogDir>,
    /// Directories that could not be opened.
    unopened: Vec<PathBuf>,
    /// Where each partition's log was found when the directories were opened.
    found: Mutex<Places>,
    /// Folders of the same names as those, of other topics: one of each is of the past.
    namesakes: Mutex<Vec<(TopicPartition, PathBuf)>>,
    /// Copies of partitions that were moving when the node stopped.
    futures: Mutex<Vec<(TopicPartition, PathBuf)>>,
    /// The directories that partitions are to be made in, by who has asked for that.
    preferred: Mutex<HashMap<TopicPartition, PathBuf>>,
    /// Held while a checkpoint is written: the later state must win.
    checkpointing: Mutex<()>,
    told: health::Told,
    /// Directories that take no new partitions (KIP-1066).
    cordoned: Mutex<HashSet<PathBuf>>,
}

impl Storage {
    /// Opens the directories for this process alone. One whose disk does not answer is left out,
    /// unless it is `needed` or the last one.
    pub(crate) fn open(paths: &[String], needed: &str) -> Result<Self, LogDirError> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let (mut dirs, mut unopened, mut last) = (Vec::new(), Vec::new(), None);
        for path in paths {
            match LogDir::open(Arc::clone(&disk), Path::new(path)) {
                Ok(dir) => dirs.push(dir),
                Err(LogDirError::Storage(error)) if path != needed => {
                    tracing::error!(dir = path, "the log directory is offline: {error}");
                    unopened.push(PathBuf::from(path));
                    last = Some(LogDirError::Storage(error));
                }
                Err(error) => return Err(error),
            }
        }
        if let (true, Some(error)) = (dirs.is_empty(), last) {
            return Err(error);
        }
        Ok(Self {
            dirs,
            unopened,
            found: Mutex::default(),
            namesakes: Mutex::default(),
            futures: Mutex::default(),
            preferred: Mutex::default(),
            checkpointing: Mutex::default(),
            told: health::Told::default(),
            cordoned: Mutex::default(),
        })
    }

    pub(crate) fn dirs(&self) -> &[LogDir] {
        &self.dirs
    }

    /// Directories that could not be opened when the node started.
    pub(crate) fn unopened(&self) -> &[PathBuf] {
        &self.unopened
    }

    pub(crate) fn dirs_mut(&mut self) -> &mut [LogDir] {
        &mut self.dirs
    }

    /// The directory with this path.
    pub(crate) fn dir(&self, path: &Path) -> Option<&LogDir> {
        self.dirs.iter().find(|dir| dir.path() == path)
    }

    /// Looks where which partition lies. The folders that were deleted before the last stop and
    /// are still there, to be removed when there is time. `unique` gives numbers for names.
    pub(crate) fn scan(
        &self,
        mut unique: impl FnMut() -> u128,
    ) -> Result<Vec<PathBuf>, LogDirError> {
        let mut deleted = Vec::new();
        let mut live: HashMap<TopicPartition, Vec<(&LogDir, PathBuf)>> = HashMap::new();
        for dir in &self.dirs {
            for folder in dir.folders()? {
                match folder.kind {
                    FolderKind::Live if !is_metadata(&folder) => {
                        live.entry(folder.partition).or_default().push((dir, folder.path));
                    }
                    FolderKind::Deleting => deleted.push(folder.path),
                    FolderKind::Future => {
                        let mut futures =
                            self.futures.lock().unwrap_or_else(PoisonError::into_inner);
                        futures.push((folder.partition, folder.path));
                    }
                    FolderKind::Live | FolderKind::Stray => {}
                }
            }
        }
        for (partition, folders) in live {
            let mut counting = one_of_each(&partition, folders, &mut unique, &mut deleted)?;
            let first = counting.pop();
            let mut namesakes = self.namesakes.lock().unwrap_or_else(PoisonError::into_inner);
            namesakes.extend(counting.into_iter().map(|path| (partition.clone(), path)));
            drop(namesakes);
            first.into_iter().for_each(|path| self.note(partition.clone(), path));
        }
        Ok(deleted)
    }

    /// Whether the partition's folder was there.
    pub(crate) fn knows(&self, partition: &TopicPartition) -> bool {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).contains(partition)
    }

    /// Sets aside the folders that no partition of this broker belongs to: it was deleted or moved
    /// away while the node was down. Nothing is deleted that metadata does not say to delete.
    pub(crate) fn set_strays_aside(&self, is_here: impl Fn(&TopicPartition, Uuid) -> bool) {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).all();
        let namesakes =
            std::mem::take(&mut *self.namesakes.lock().unwrap_or_else(PoisonError::into_inner));
        for (partition, path) in found.into_iter().chain(namesakes) {
            let Some(dir) = path.parent().and_then(|parent| self.dir(parent)) else { continue };
            let aside = match read_partition_metadata(&**dir.disk(), &path) {
                Ok(Some(id)) if !is_here(&partition, id) => set_aside(dir, &path, id),
                Ok(id) => {
                    let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                    // Without an id nothing is known of it.
                    if id.is_some() && !found.contains(&partition) {
                        found.insert(partition, path);
                    }
                    continue;
                }
                Err(error) => Err(error),
            };
            match aside {
                Ok(()) => {
                    let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                    if found.get(&partition) == Some(&path) {
                        found.remove(&partition);
                    }
                }
                Err(error) => tracing::warn!("{partition} is not looked at: {error}"),
            }
        }
    }

    /// The directory and folder of a partition: where it lies, or the emptiest directory.
    ///
    /// A folder of the same name that belongs to another topic id is set aside as stray.
    pub(crate) fn place(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
    ) -> Result<(&LogDir, PathBuf), StorageError> {
        let known = {
            let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            found.get(partition).cloned()
        };
        if let Some(path) = known
            && let Some(dir) = path.parent().and_then(|parent| self.dir(parent))
        {
            match read_partition_metadata(&**dir.disk(), &path)? {
                Some(id) if id != topic_id => set_aside(dir, &path, id)?,
                Some(_) | None => return Ok((dir, path)),
            }
        }
        let dir = self.preferred(partition).unwrap_or_else(|| self.emptiest());
        let path = dir.folder_of(partition);
        self.note(partition.clone(), path.clone());
        Ok((dir, path))
    }

    /// The copies that were found, once.
    pub(crate) fn take_futures(&self) -> Vec<(TopicPartition, PathBuf)> {
        std::mem::take(&mut self.futures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has a partition that is not here yet made in this directory, if it is made.
    pub(crate) fn prefer(&self, partition: TopicPartition, dir: &Path) {
        let mut preferred = self.preferred.lock().unwrap_or_else(PoisonError::into_inner);
        if preferred.len() < PREFERRED_MAX {
            preferred.insert(partition, dir.to_path_buf());
        }
    }

    fn preferred(&self, partition: &TopicPartition) -> Option<&LogDir> {
        let mut preferred = self.preferred.lock().unwrap_or_else(PoisonError::into_inner);
        let path = preferred.remove(partition)?;
        self.usable().find(|dir| dir.path() == path && !self.is_cordoned(dir))
    }

    /// Notes where a partition lies.
    pub(crate) fn note(&self, partition: TopicPartition, path: PathBuf) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, path);
    }

    /// Has these directories take no new partitions; whether that is another choice than before.
    pub(crate) fn cordon(&self, is_cordoned: impl Fn(&Path) -> bool) -> bool {
        let paths = self.dirs.iter().map(LogDir::path).filter(|path| is_cordoned(path));
        let next: HashSet<PathBuf> = paths.map(Path::to_path_buf).collect();
        let mut cordoned = self.cordoned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *cordoned != next;
        *cordoned = next;
        is_news
    }

    /// Whether a directory takes no new partitions.
    pub(crate) fn is_cordoned(&self, dir: &LogDir) -> bool {
        self.cordoned.lock().unwrap_or_else(PoisonError::into_inner).contains(dir.path())
    }

    /// The directory with the fewest partitions. A cordoned one is better than none: who names
    /// this broker as a replica wants it here.
    fn emptiest(&self) -> &LogDir {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let rank = |dir: &&LogDir| (self.is_cordoned(dir), found.count(dir.path()));
        self.usable().min_by_key(rank).unwrap_or(&self.dirs[0])
    }

    /// Renames the folders of deleted partitions and forgets their checkpoints, so that a topic
    /// of the same name begins at nothing. The folders, to be removed later. What fails is logged
    /// and left to the next start.
    pub(crate) fn begin_deletion(
        &self,
        partitions: &[TopicPartition],
        mut unique: impl FnMut() -> u128,
    ) -> Vec<PathBuf> {
        let mut renamed = Vec::new();
        for dir in &self.dirs {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            let here: Vec<_> = partitions
                .iter()
                .filter(|name| found.get(name).and_then(|p| p.parent()) == Some(dir.path()))
                .collect();
            here.iter().for_each(|name| found.remove(name));
            drop(found);
            for name in &here {
                match dir.rename_for_deletion(name, unique()) {
                    Ok(path) => renamed.push(path),
                    Err(error) => tracing::error!("{name} stays on the disk: {error}"),
                }
            }
            if !here.is_empty()
                && let Err(error) = dir.sync()
            {
                tracing::error!("deletions may come undone: {error}");
            }
        }
        let gone: HashSet<&TopicPartition> = partitions.iter().collect();
        if let Err(error) = self.keep_checkpoints_of(|name| !gone.contains(name)) {
            tracing::error!("checkpoints of deleted partitions stay: {error}");
        }
        renamed
    }

    /// Takes the partitions out of the checkpoints that are not to be kept: their offsets would
    /// be taken for those of the next topic with the same name.
    pub(crate) fn keep_checkpoints_of(
        &self,
        keep: impl Fn(&TopicPartition) -> bool,
    ) -> Result<(), StorageError> {
        let _turn = self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
        for dir in self.usable() {
            for which in [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::Cleaner] {
                let mut offsets = dir.read_checkpoint(which)?;
                let before = offsets.len();
                offsets.retain(|name, _| keep(name));
                if offsets.len() < before {
                    dir.write_checkpoint(which, &offsets)?;
                }
            }
        }
        Ok(())
    }

    /// Writes recovery points and log starts of `partitions`.
    pub(crate) fn checkpoint(&self, partitions: &[Arc<Partition>]) -> Result<(), StorageError> {
        let _turn = self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
        for dir in self.usable() {
            let mut recovery = OffsetCheckpoint::new();
            let mut starts = OffsetCheckpoint::new();
            for partition in partitions.iter().filter(|partition| partition.is_in(dir.path())) {
                let name = TopicPartition::new(partition.topic(), partition.index());
                // A partition that was deleted meanwhile must not come back into the checkpoint.
                match partition.recovery_point() {
                    Ok(Some(point)) => drop(recovery.insert(name.clone(), point)),
                    Ok(None) => continue,
                    // One bad log must not keep the others from being noted. Without a recovery
                    // point the next start reads all of it.
                    Err(error) => tracing::warn!("{name}: no recovery point: {error}"),
                }
                if partition.log_start() > Offset::ZERO {
                    starts.insert(name, partition.log_start());
                }
            }
            dir.write_checkpoint(Checkpoint::RecoveryPoint, &recovery)?;
            dir.write_checkpoint(Checkpoint::LogStart, &starts)?;
        }
        Ok(())
    }

    /// Writes the recovery points of logs that have been closed, and their log starts.
    pub(crate) fn checkpoint_closed(
        &self,
        points: &[(Arc<Partition>, Offset)],
    ) -> Result<(), StorageError> {
        for dir in self.usable() {
            let here = || points.iter().filter(|(partition, _)| partition.is_in(dir.path()));
            let name =
                |partition: &Partition| TopicPartition::new(partition.topic(), partition.index());
            let recovery = here().map(|(partition, point)| (name(partition), *point)).collect();
            let starts = here()
                .filter(|(partition, _)| partition.log_start() > Offset::ZERO)
                .map(|(partition, _)| (name(partition), partition.log_start()))
                .collect();
            dir.write_checkpoint(Checkpoint::RecoveryPoint, &recovery)?;
            dir.write_checkpoint(Checkpoint::LogStart, &starts)?;
        }
        Ok(())
    }

    /// Writes how far the logs in one directory are compacted.
    pub(crate) fn checkpoint_cleaner(
        &self,
        path: &Path,
        partitions: &[Arc<Partition>],
    ) -> Result<(), StorageError> {
        let _turn = self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(dir) = self.usable().find(|dir| dir.path() == path) else { return Ok(()) };
        let here = partitions.iter().filter(|partition| partition.is_in(path));
        let upto = here.filter_map(|partition| {
            let name = TopicPartition::new(partition.topic(), partition.index());
            Some((name, partition.reader().cleaned_upto()?))
        });
        dir.write_checkpoint(Checkpoint::Cleaner, &upto.collect())
    }

    /// Writes high watermarks, as Kafka does.
    pub(crate) fn checkpoint_high_watermarks(
        &self,
        partitions: &[Arc<Partition>],
    ) -> Result<(), StorageError> {
        for dir in self.usable() {
            let here = partitions.iter().filter(|partition| partition.is_in(dir.path()));
            let marks: OffsetCheckpoint = here
                .map(|p| (TopicPartition::new(p.topic(), p.index()), p.high_watermark()))
                .collect();
            dir.write_checkpoint(Checkpoint::Replication, &marks)?;
        }
        Ok(())
    }

    /// Leaves the marks of a clean stop.
    pub(crate) fn mark_clean(&self, broker_epoch: i64) -> Result<(), StorageError> {
        self.usable().try_for_each(|dir| dir.mark_clean_shutdown(broker_epoch))
    }
}

/// The folders under one partition's name that count, one for each topic that had the name. A
/// crash while a replica moved may have left two of one topic; the other is deleted.
fn one_of_each(
    partition: &TopicPartition,
    folders: Vec<(&LogDir, PathBuf)>,
    unique: &mut impl FnMut() -> u128,
    deleted: &mut Vec<PathBuf>,
) -> Result<Vec<PathBuf>, LogDirError> {
    if folders.len() == 1 {
        return Ok(folders.into_iter().map(|(_, path)| path).collect());
    }
    let mut by_id: HashMap<Option<Uuid>, Vec<(&LogDir, PathBuf)>> = HashMap::new();
    for (dir, path) in folders {
        let id = read_partition_metadata(&**dir.disk(), &path)?;
        by_id.entry(id).or_default().push((dir, path));
    }
    let mut counting = Vec::new();
    for folders in by_id.into_values() {
        let paths: Vec<(&LogDir, &Path)> =
            folders.iter().map(|(dir, path)| (*dir, path.as_path())).collect();
        let only = if folders.len() == 1 { paths.first().map(|(_, path)| *path) } else { None };
        let Some(counts) = only.or_else(|| exchange::survivor(&paths)).map(Path::to_path_buf)
        else {
            let paths = folders.into_iter().map(|(_, path)| path).collect();
            return Err(LogDirError::Twice { partition: partition.to_string(), paths });
        };
        for (dir, path) in folders.iter().filter(|(_, path)| *path != counts) {
            tracing::warn!(path = %path.display(), "{partition} has moved; the old folder goes");
            deleted.push(exchange::discard(dir, partition, unique())?);
        }
        counting.push(counts);
    }
    Ok(counting)
}

fn is_metadata(folder: &Folder) -> bool {
    folder.path.file_name().is_some_and(|name| name == METADATA_FOLDER)
}

fn set_aside(dir: &LogDir, path: &Path, id: Uuid) -> Result<(), StorageError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let to = dir.path().join(format!("{name}.{:032x}-stray", id.0));
    tracing::warn!(from = %path.display(), to = %to.display(), "a folder that belongs to no partition here is set aside");
    dir.disk().rename(path, &to).map_err(|source| StorageError {
        action: "rename",
        path: path.to_path_buf(),
        source,
    })
}

/// Who a node is, from its directories.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) cluster_id: String,
    pub(crate) directory_ids: Vec<Uuid>,
    /// The directories were empty: this is the first start.
    pub(crate) is_new: bool,
}

/// Checks whose directories these are; formats those that are nobody's.
pub(crate) fn identify(
    storage: &mut Storage,
    node_id: i32,
    cluster_id_of_new: impl FnOnce() -> Result<Option<String>, StartError>,
    mut random: impl FnMut() -> u128,
) -> Result<Identity, StartError> {
    let known =
        storage.dirs().iter().find_map(|dir| dir.meta()).map(|meta| meta.cluster_id.clone());
    let is_new = known.is_none();
    let cluster_id = match known {
        Some(known) => known,
        None => cluster_id_of_new()?.unwrap_or_else(|| Uuid::from_random(random()).to_string()),
    };
    let mut directory_ids = Vec::new();
    for dir in storage.dirs_mut() {
        dir.check_owner(Some(&cluster_id), node_id)?;
        let known = dir.meta().and_then(|meta| meta.directory_id);
        let id = match known {
            Some(id) => id,
            None => {
                let id = Uuid::from_random(random());
                let cluster_id = cluster_id.clone();
                dir.format(MetaProperties { cluster_id, node_id, directory_id: Some(id) })?;
                id
            }
        };
        directory_ids.push(id);
    }
    Ok(Identity { cluster_id, directory_ids, is_new })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_partitions_that_are_not_here_are_set_aside() {
        let temp = tempfile::tempdir().unwrap();
        let storage = Storage::open(&[temp.path().join("data").display().to_string()], "").unwrap();
        let (here, gone) = (TopicPartition::new("t", 0), TopicPartition::new("u", 0));
        let dir = &storage.dirs()[0];
        for (name, id) in [(&here, Uuid(1)), (&gone, Uuid(2))] {
            let folder = dir.folder_of(name);
            std::fs::create_dir(&folder).unwrap();
            naru_log::write_partition_metadata(&**dir.disk(), &folder, id).unwrap();
        }
        storage.scan(|| 1).unwrap();
        storage.set_strays_aside(|name, id| *name == here && id == Uuid(1));
        assert!(dir.folder_of(&here).exists() && !dir.folder_of(&gone).exists());
        assert!(storage.knows(&here) && !storage.knows(&gone));
        let strays = dir.folders().unwrap();
        assert!(strays.iter().any(|folder| folder.kind == FolderKind::Stray));
    }

    #[test]
    fn a_deleted_partition_leaves_no_checkpoint_for_the_next_of_its_name() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("data");
        let storage = Storage::open(&[root.display().to_string()], "").unwrap();
        let (old, other) = (TopicPartition::new("t", 0), TopicPartition::new("u", 0));
        let dir = &storage.dirs()[0];
        for name in [&old, &other] {
            std::fs::create_dir(dir.folder_of(name)).unwrap();
        }
        assert!(storage.scan(|| 1).unwrap().is_empty());
        let offsets: OffsetCheckpoint =
            [(old.clone(), Offset(700)), (other.clone(), Offset(3))].into();
        for which in [Checkpoint::RecoveryPoint, Checkpoint::LogStart] {
            dir.write_checkpoint(which, &offsets).unwrap();
        }
        let renamed = storage.begin_deletion(std::slice::from_ref(&old), || 7);
        assert_eq!(renamed.len(), 1);
        assert!(renamed[0].exists() && !dir.folder_of(&old).exists());
        for which in [Checkpoint::RecoveryPoint, Checkpoint::LogStart] {
            let left = dir.read_checkpoint(which).unwrap();
            assert_eq!(left, OffsetCheckpoint::from([(other.clone(), Offset(3))]));
        }
        // What a crash leaves is found by the next start.
        drop(storage);
        let storage = Storage::open(&[root.display().to_string()], "").unwrap();
        assert_eq!(storage.scan(|| 1).unwrap(), renamed);
    }
}
