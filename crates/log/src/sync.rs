//! Syncing by group commit: the log says what must be synced, the caller does it without the
//! log's lock, then tells the log.
//!
//! A plan vouches for the end it was made at. Truncation makes older plans worthless.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use naru_model::Offset;

use crate::checkpoint::Durable;
use crate::disk::{Disk, DiskFile};
use crate::error::{Context, StorageError};
use crate::log::{Log, sync_file, unless_full, unless_scarce};

/// Small files and names in the folder that were written but not synced, each with a stamp, so
/// that a sync does not vouch for what was written while it ran.
#[derive(Debug, Default)]
pub(crate) struct Loose {
    stamp: u64,
    files: Vec<(PathBuf, u64)>,
    names_synced: u64,
    /// The folder itself is new.
    new_folder: bool,
}

impl Loose {
    /// Notes that a file was written under a new name.
    pub(crate) fn wrote(&mut self, path: PathBuf) {
        self.forget(&path);
        self.stamp += 1;
        self.files.push((path, self.stamp));
    }

    /// Notes that names in the folder have changed.
    pub(crate) fn renamed(&mut self) {
        self.stamp += 1;
    }

    /// Notes that the folder has just been made.
    pub(crate) const fn new_folder(&mut self) {
        self.new_folder = true;
        self.stamp += 1;
    }

    /// A file is gone.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.files.retain(|(known, _)| known != path);
    }

    fn is_clean(&self) -> bool {
        self.files.is_empty() && self.names_synced == self.stamp
    }

    fn synced(&mut self, stamp: u64) {
        self.files.retain(|(_, written)| *written > stamp);
        self.names_synced = self.names_synced.max(stamp);
        self.new_folder &= self.names_synced == 0;
    }
}

/// What a sync has to do.
#[derive(Debug)]
pub struct SyncPlan {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    files: Vec<(Arc<dyn DiskFile>, PathBuf)>,
    small: Vec<PathBuf>,
    /// Up to which stamp of [`Loose`] it syncs names; none if there is nothing new.
    names: Option<u64>,
    /// The folder's own name must be synced too.
    new_folder: bool,
    end: Offset,
    generation: u64,
    /// Base offsets of the closed segments in it.
    closed: Vec<Offset>,
}

impl SyncPlan {
    /// The offset up to which the log is durable once this is done.
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// Syncs; blocks. A failure must take the log directory offline: the kernel may have
    /// dropped the bytes, and a second sync would not tell.
    pub fn execute(&self) -> Result<(), StorageError> {
        for (file, path) in &self.files {
            sync_file(&**file, path)?;
        }
        for path in &self.small {
            match self.disk.open(path, false) {
                Ok(file) => sync_file(&*file, path)?,
                // Removed since; its removal is what counts then.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).context("open", path),
            }
        }
        if self.names.is_some() {
            self.disk.sync_dir(&self.dir).context("sync", &self.dir)?;
        }
        if self.new_folder
            && let Some(parent) = self.dir.parent()
        {
            self.disk.sync_dir(parent).context("sync", parent)?;
        }
        Ok(())
    }
}

impl Log {
    /// How many records a power cut would take.
    pub fn unsynced_records(&self) -> i64 {
        self.log_end.0 - self.shared.lock().synced_end.0
    }

    /// What to sync so that everything up to the log end is durable; none if it is.
    pub fn sync_plan(&mut self) -> Result<Option<SyncPlan>, StorageError> {
        let synced = self.shared.lock().synced_end;
        if synced >= self.log_end && self.unsynced.is_empty() && self.loose.is_clean() {
            return Ok(None);
        }
        let mut plan = self.begin_plan(self.log_end)?;
        if synced < self.log_end && self.position > 0 {
            plan.files.push((self.active.file()?, self.active.path().to_path_buf()));
        }
        // What it knows before the recovery point is not looked for in the log again.
        if let Some(aborted) = self.active.take_unsynced_aborted() {
            plan.files.push((aborted, self.active.path().to_path_buf()));
        }
        Ok(Some(plan))
    }

    /// What to sync so that all closed segments are durable, as Kafka does after a roll; none if
    /// they are.
    pub fn sync_plan_closed(&mut self) -> Result<Option<SyncPlan>, StorageError> {
        if self.unsynced.is_empty() {
            return Ok(None);
        }
        self.begin_plan(self.active.base).map(Some)
    }

    /// Takes note that a plan was executed.
    pub fn mark_synced(&mut self, plan: &SyncPlan) {
        if let Some(stamp) = plan.names {
            self.loose.synced(stamp);
        }
        if plan.generation != self.generation {
            return;
        }
        self.unsynced.retain(|segment| !plan.closed.contains(&segment.base));
        let mut published = self.shared.lock();
        published.synced_end = published.synced_end.max(plan.end.min(self.log_end));
    }

    /// Closes the log to appends after a sync has failed.
    pub fn mark_failed(&mut self, why: &StorageError) {
        self.failed.get_or_insert_with(|| why.to_string());
        if let Some(health) = &self.health {
            health.note(why);
        }
    }

    /// The offset from which a start after a crash must verify the log: what is synced.
    /// Writes out pending index entries and a producer snapshot first, so that such a start has
    /// little to read. To be called before `recovery-point-offset-checkpoint` is written.
    pub fn checkpoint(&mut self) -> Result<Offset, StorageError> {
        let synced = self.shared.lock().synced_end;
        if self.failed.is_none() {
            // On a full disk the recovery point counts all the same: a start reads a little more.
            unless_full(self.active.write_indexes())?;
            if self.producers.len() > 0 && synced == self.log_end {
                unless_full(self.write_snapshot(Durable::No))?;
                self.remove_stray_snapshots()?;
            }
            if self.epochs_unwritten {
                self.write_epochs()?;
            }
        }
        Ok(synced)
    }

    /// Writes out index entries that wait in memory, for those who look at a running node's files:
    /// Apache Kafka's are mapped into memory and show at once. Recovery can do without them: no
    /// directory goes offline because there is no descriptor left for such a file.
    pub fn write_pending_entries(&mut self) -> Result<(), StorageError> {
        if self.failed.is_some() || !self.active.has_pending_entries() {
            return Ok(());
        }
        unless_scarce(self.active.write_indexes())
    }

    fn begin_plan(&self, end: Offset) -> Result<SyncPlan, StorageError> {
        let mut plan = SyncPlan {
            disk: Arc::clone(&self.disk),
            dir: self.dir.to_path_buf(),
            files: Vec::new(),
            small: self.loose.files.iter().map(|(path, _)| path.clone()).collect(),
            names: (!self.loose.is_clean()).then_some(self.loose.stamp),
            new_folder: self.loose.new_folder,
            end,
            generation: self.generation,
            closed: Vec::new(),
        };
        for segment in &self.unsynced {
            plan.closed.push(segment.base);
            let path = segment.path();
            plan.files.push((segment.file()?, path.to_path_buf()));
            let indexes = segment.index_files().into_iter();
            plan.files.extend(indexes.map(|file| (file, path.to_path_buf())));
        }
        Ok(plan)
    }
}
