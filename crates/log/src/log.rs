//! One partition's log: the single writer.
//!
//! Owns the folder of a partition. The broker keeps a [`Log`] behind the partition's lock and
//! gives [`LogReader`]s to everyone else. Appending is in `append`, rolling in `roll`, syncing in
//! `sync`, cutting in `truncate`, deleting in `retention`, opening in `recovery`.
//!
//! Invariants: `position` is the active segment's published size; an append that fails leaves
//! the log as it was, or closes it to further appends; nothing here asks for the time.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use naru_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use naru_records::ProducerStamp;

use crate::append::Staging;
use crate::checkpoint::{Durable, replace};
use crate::compact;
use crate::config::LogConfig;
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::health::DirHealth;
use crate::names;
use crate::producers::Producers;
use crate::reader::{LogOffsets, LogReader};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::snapshot;
use crate::sync::Loose;
use crate::verification::{VerificationGuard, Verifications};

/// The log of one partition, open for writing.
#[derive(Debug)]
pub struct Log {
    pub(crate) dir: Arc<Path>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: LogConfig,
    pub(crate) shared: Arc<Shared>,
    pub(crate) active: Arc<Segment>,
    /// Bytes in the active segment.
    pub(crate) position: u64,
    pub(crate) log_end: Offset,
    pub(crate) latest_epoch: Option<LeaderEpoch>,
    /// The leader-epoch checkpoint on the disk is older than the epochs in memory.
    pub(crate) epochs_unwritten: bool,
    pub(crate) producers: Producers,
    pub(crate) verifications: Verifications,
    /// Offsets of the producer snapshots on the disk.
    pub(crate) snapshots: BTreeSet<Offset>,
    /// Closed segments that have not been synced since they were closed.
    pub(crate) unsynced: Vec<Arc<Segment>>,
    pub(crate) loose: Loose,
    /// Counts truncations, so that a sync planned before one does not vouch for what came after.
    pub(crate) generation: u64,
    /// Why no more appends are taken.
    pub(crate) failed: Option<String>,
    /// Of the directory it lies in, if somebody watches over that.
    pub(crate) health: Option<Arc<DirHealth>>,
    pub(crate) staging: Staging,
}

impl Log {
    /// A handle for reading.
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }

    /// The partition's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings in force.
    pub const fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Puts other settings in force.
    pub fn set_config(&mut self, config: LogConfig) {
        if config.compact {
            self.may_have_gaps();
        }
        self.config = config;
    }

    /// Whether offsets may be missing between records: the log is compacted, or once was, here or
    /// where it was copied from.
    pub fn has_gaps(&self) -> bool {
        self.shared.lock().compact
    }

    /// Offsets may be missing from now on; the next start is told by a mark in the folder.
    pub(crate) fn may_have_gaps(&mut self) {
        if std::mem::replace(&mut self.shared.lock().compact, true) {
            return;
        }
        match compact::mark_gaps(&*self.disk, &self.dir, Durable::No) {
            Ok(Some(written)) => self.loose.wrote(written),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!("gaps in the log may be taken for losses at a start: {error}");
            }
        }
    }

    /// The offset after the last record.
    pub const fn log_end(&self) -> Offset {
        self.log_end
    }

    /// First offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.shared.lock().log_start
    }

    /// All ends of the log.
    pub fn offsets(&self) -> LogOffsets {
        self.reader().offsets()
    }

    /// The last leader epoch in the log.
    pub const fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.latest_epoch
    }

    /// Tells the directory's health what the disk refuses from now on, and appends nothing while
    /// the directory is full or has failed. A log without this tries every time.
    pub fn report_to(&mut self, health: Arc<DirHealth>) {
        self.health = Some(health);
    }

    /// Why appends are refused, if a failure could not be undone.
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// How many producers are remembered.
    pub fn producer_count(&self) -> usize {
        self.producers.len()
    }

    /// Producers as DescribeProducers tells them.
    pub fn producers(&self) -> Vec<ProducerInfo> {
        let infos = self.producers.iter().map(|(id, entry)| ProducerInfo {
            id,
            epoch: entry.epoch.0,
            last_sequence: entry.last_batch().map(|batch| batch.last_sequence.0),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            txn_first_offset: entry.txn_first_offset,
        });
        infos.collect()
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: Timestamp) {
        self.producers.expire(now, self.config.producer_id_expiration_ms);
        self.verifications.expire(now, self.config.producer_id_expiration_ms);
    }

    /// Begins to verify a producer that wants to begin a transaction with this batch (KIP-890):
    /// the guard that the batch must bring; none if the transaction has begun here.
    pub fn begin_verification(
        &mut self,
        producer: ProducerStamp,
        bumps_epochs: bool,
        now: Timestamp,
    ) -> Option<VerificationGuard> {
        let ProducerStamp { id, epoch, base_sequence } = producer;
        if self.producers.has_ongoing(id, epoch) {
            return None;
        }
        Some(self.verifications.begin(id, epoch, base_sequence, bumps_epochs, now))
    }

    /// Whether a transaction of this producer has begun here, in this epoch.
    pub fn has_ongoing_transaction(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.producers.has_ongoing(id, epoch)
    }

    /// Bytes of logs and indexes, for DescribeLogDirs.
    pub fn bytes_on_disk(&self) -> u64 {
        let segments = self.shared.lock().segments.clone();
        segments.iter().map(|segment| segment.bytes_on_disk()).sum()
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        self.shared.lock().segments.len()
    }

    /// Lets go of all file descriptors until they are needed again.
    pub fn release_files(&self) {
        let segments = self.shared.lock().segments.clone();
        for segment in segments {
            segment.release_files();
        }
    }

    /// Writes everything out and syncs it, so that the next start needs no recovery.
    ///
    /// The caller records the recovery point and the clean shutdown of the directory afterwards.
    /// On a full disk, what only saves time at the next start is left out.
    pub fn close(mut self) -> Result<Offset, StorageError> {
        if self.failed.is_some() {
            return Ok(self.offsets().synced_end);
        }
        unless_full(self.active.finish())?;
        unless_full(self.write_snapshot(Durable::Yes))?;
        if self.epochs_unwritten {
            // Without it the next start must not believe that the stop was clean.
            self.write_epochs()?;
        }
        for file in self.active.index_files() {
            sync_file(&*file, self.active.path())?;
        }
        if let Some(plan) = self.sync_plan()? {
            plan.execute()?;
            self.mark_synced(&plan);
        }
        // Readers may live on; the files of thousands of logs must not stay open for them.
        self.release_files();
        Ok(self.log_end)
    }

    /// Writes the producer snapshot at the log end unless there is one.
    pub(crate) fn write_snapshot(&mut self, durable: Durable) -> Result<(), StorageError> {
        if self.snapshots.contains(&self.log_end) {
            return Ok(());
        }
        let path = names::path(&self.dir, self.log_end, names::SNAPSHOT);
        replace(&*self.disk, &path, &snapshot::to_bytes(&self.producers), durable)?;
        self.snapshots.insert(self.log_end);
        if durable == Durable::No {
            self.loose.wrote(path);
        }
        Ok(())
    }

    /// Removes the snapshots that lie at no segment's base and are not the latest.
    pub(crate) fn remove_stray_snapshots(&mut self) -> Result<(), StorageError> {
        let bases: BTreeSet<Offset> =
            self.shared.lock().segments.iter().map(|segment| segment.base).collect();
        let latest = self.snapshots.last().copied();
        let stray: Vec<Offset> = self
            .snapshots
            .iter()
            .copied()
            .filter(|at| !bases.contains(at) && Some(*at) != latest)
            .collect();
        for offset in stray {
            self.remove_snapshot(offset)?;
        }
        Ok(())
    }

    pub(crate) fn remove_snapshot(&mut self, offset: Offset) -> Result<(), StorageError> {
        let path = names::path(&self.dir, offset, names::SNAPSHOT);
        remove_if_there(&*self.disk, &path)?;
        self.snapshots.remove(&offset);
        self.loose.forget(&path);
        Ok(())
    }

    /// Writes the leader-epoch checkpoint; a sync follows with the next plan.
    pub(crate) fn write_epochs(&mut self) -> Result<(), StorageError> {
        let (text, latest) = {
            let published = self.shared.lock();
            (published.epochs.to_text(), published.epochs.latest())
        };
        self.latest_epoch = latest;
        self.epochs_unwritten = true;
        let path = self.dir.join(names::LEADER_EPOCHS);
        replace(&*self.disk, &path, text.as_bytes(), Durable::No)?;
        self.epochs_unwritten = false;
        self.loose.wrote(path);
        Ok(())
    }

    /// As [`Log::write_epochs`], for work that must go on when the disk is full: the next append
    /// or checkpoint writes them.
    pub(crate) fn write_epochs_if_space(&mut self) -> Result<(), StorageError> {
        unless_full(self.write_epochs())
    }
}

/// One producer of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerInfo {
    /// Its id.
    pub id: ProducerId,
    /// Its latest epoch.
    pub epoch: i16,
    /// Sequence of its last record, if any is remembered.
    pub last_sequence: Option<i32>,
    /// When it wrote last.
    pub last_timestamp: Timestamp,
    /// Epoch of the coordinator that wrote its last marker; -1 if there was none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub txn_first_offset: Option<Offset>,
}

pub(crate) fn sync_file(file: &dyn DiskFile, path: &Path) -> Result<(), StorageError> {
    file.sync().map_err(|source| StorageError { action: "sync", path: path.to_path_buf(), source })
}

/// Passes over a full disk: for what can be written later, or done without.
pub(crate) fn unless_full(result: Result<(), StorageError>) -> Result<(), StorageError> {
    match result {
        Err(error) if error.is_full() && error.action != "sync" => {
            tracing::warn!("left out for now: {error}");
            Ok(())
        }
        other => other,
    }
}

/// As [`unless_full`], for what nobody needs: it waits for a file descriptor, too.
pub(crate) fn unless_scarce(result: Result<(), StorageError>) -> Result<(), StorageError> {
    match unless_full(result) {
        Err(error) if error.lacks_descriptors() => {
            tracing::warn!("left out for now: {error}");
            Ok(())
        }
        other => other,
    }
}

pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), StorageError> {
    match disk.remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError { action: "remove", path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}
