//! The metadata log on the disk: appends, syncs, reads, snapshots beside it.
//!
//! Used by one thread only. What it says of the log is what the quorum core decides by.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use naru_controller::batch::{BatchPlace, LogRecord, control_batch, metadata_batch, read_batch};
use naru_controller::raft::{ControlRecord, LogView, SnapshotId};
use naru_controller::{Controller, RecordAndVersion};
use naru_log::{AppendError, DirHealth, Log, LogReader, NewBatch, Origin};
use naru_model::{ErrorCode, LeaderEpoch, Offset, Timestamp};

use super::files::Folder;
use crate::node::now;

/// Largest batch of the metadata log, as in Kafka.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;
/// Bytes read at once.
const READ_CHUNK: usize = 4 << 20;

/// How long a truncation waits for the space that the reserve of its directory gives up.
const ROOM_WAIT: Duration = Duration::from_secs(5);
const ROOM_LOOK: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    /// `None` once the node has stopped.
    log: Option<Log>,
    reader: LogReader,
    folder: Folder,
    /// The newest snapshot that is whole.
    snapshot: Option<SnapshotId>,
    /// Those before it, oldest first. The log begins at the end of the oldest one, or before it.
    older: Vec<SnapshotId>,
    /// Told of a full disk, so that the directory's reserve is given up for this log. It does not
    /// decide whether this log takes appends.
    health: Arc<DirHealth>,
}

/// `metadata.max.retention.*`: how much of the past is kept; none is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retention {
    /// Bytes of the log and all snapshots.
    pub(super) bytes: Option<u64>,
    /// Age of a snapshot.
    pub(super) ms: Option<u64>,
}

/// A change that did not get into the metadata log, or cannot be read from it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct JournalError {
    /// What a client is told.
    pub(super) code: ErrorCode,
    /// Nothing was written for want of space.
    pub(super) is_full: bool,
    reason: String,
}

impl JournalError {
    pub(super) fn storage(error: &dyn std::fmt::Display) -> Self {
        Self { code: ErrorCode::KafkaStorageError, is_full: false, reason: error.to_string() }
    }

    /// An error of the files beside the log.
    pub(super) fn file(error: &std::io::Error) -> Self {
        Self { is_full: super::files::is_full(error), ..Self::storage(error) }
    }

    fn too_large(bytes: usize) -> Self {
        let reason = format!(
            "one decision takes {bytes} bytes, more than a batch of the metadata log may have \
             ({BATCH_BYTES_MAX}): ask for less at once"
        );
        Self { code: ErrorCode::RecordListTooLarge, is_full: false, reason }
    }

    /// Whether records were refused because they are too large for one batch.
    pub(super) fn is_too_large(&self) -> bool {
        self.code == ErrorCode::RecordListTooLarge
    }

    fn stopped() -> Self {
        let reason = "the node has stopped".to_owned();
        Self { code: ErrorCode::NotController, is_full: false, reason }
    }
}

type Result<T> = std::result::Result<T, JournalError>;

fn storage<E: std::fmt::Display>(error: E) -> JournalError {
    JournalError::storage(&error)
}

impl Journal {
    pub(super) fn new(
        log: Log,
        folder: Folder,
        snapshot: Option<SnapshotId>,
        health: Arc<DirHealth>,
    ) -> Self {
        Self { reader: log.reader(), log: Some(log), folder, snapshot, older: Vec::new(), health }
    }

    /// Says of a write that failed whether the disk is full, and has space made.
    fn refused(&self, error: AppendError) -> JournalError {
        let is_full = match &error {
            AppendError::Storage(error) if error.is_full() => {
                self.health.note(error);
                true
            }
            _ => false,
        };
        JournalError { is_full, ..storage(error) }
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    fn log(&mut self) -> Result<&mut Log> {
        self.log.as_mut().ok_or_else(JournalError::stopped)
    }

    fn place(&self, epoch: i32) -> BatchPlace {
        BatchPlace { base_offset: self.reader.log_end().0, epoch, timestamp: now() }
    }

    /// Appends metadata records as one batch, not synced yet. Where it lies. A batch that is too
    /// large is refused, and nothing is written.
    pub(super) fn append_records(
        &mut self,
        epoch: i32,
        records: &[RecordAndVersion],
    ) -> Result<BatchPlace> {
        let place = self.place(epoch);
        let batch = metadata_batch(place, records).map_err(storage)?;
        if batch.len() > BATCH_BYTES_MAX {
            return Err(JournalError::too_large(batch.len()));
        }
        self.append(&batch, epoch)?;
        Ok(place)
    }

    /// Appends control records as one batch, not synced yet. The log's end.
    pub(super) fn append_control(&mut self, epoch: i32, records: &[ControlRecord]) -> Result<i64> {
        let batch = control_batch(self.place(epoch), records).map_err(storage)?;
        self.append(&batch, epoch)?;
        Ok(self.reader.log_end().0)
    }

    fn append(&mut self, batch: &[u8], epoch: i32) -> Result<()> {
        let batch = NewBatch::built(batch).map_err(storage)?;
        let log = self.log()?;
        let appended = log.append_one(batch, Origin::Replication, LeaderEpoch(epoch), now());
        appended.map(drop).map_err(|error| self.refused(error))
    }

    /// Appends what the leader has sent. The log's end and the control records among it.
    pub(super) fn append_fetched(
        &mut self,
        bytes: &[u8],
    ) -> Result<(i64, Vec<(i64, ControlRecord)>)> {
        let followed = self.log()?.append_as_follower(bytes, now());
        let followed = followed.map_err(|error| self.refused(error))?;
        let mut control = Vec::new();
        self.for_each(followed.from.0, followed.log_end.0, |item| {
            if let Item::Control(offset, record) = item {
                control.push((offset, record));
            }
            Ok(())
        })?;
        Ok((followed.log_end.0, control))
    }

    /// Has everything on the disk. The synced end.
    pub(super) fn sync(&mut self) -> Result<i64> {
        let log = self.log()?;
        if let Some(plan) = log.sync_plan().map_err(storage)? {
            if let Err(error) = plan.execute() {
                log.mark_failed(&error);
                return Err(storage(error));
            }
            log.mark_synced(&plan);
        }
        Ok(self.reader.log_end().0)
    }

    /// Removes everything from `offset` on. That writes a little, too: on a full disk it waits for
    /// the reserve to be given up.
    pub(super) fn truncate(&mut self, offset: i64) -> Result<()> {
        let began = Instant::now();
        loop {
            let cut = self.log()?.truncate_to(Offset(offset), now());
            match cut.map_err(|error| self.refused(error)) {
                Err(error) if error.is_full && began.elapsed() < ROOM_WAIT => {
                    std::thread::sleep(ROOM_LOOK);
                }
                result => return result.map(drop),
            }
        }
    }

    /// Whole batches from the one that has `from`, about `max_bytes` of them, at least one.
    pub(super) fn read(&self, from: i64, max_bytes: usize) -> Result<Bytes> {
        let upto = self.reader.log_end();
        let slice = self.reader.read(Offset(from), max_bytes, true, upto).map_err(storage)?;
        slice.read_bytes().map(Bytes::from).map_err(storage)
    }

    /// Hands out what the log holds from `from` up to `upto`, in order.
    pub(super) fn for_each(
        &self,
        from: i64,
        upto: i64,
        mut each: impl FnMut(Item) -> std::result::Result<(), String>,
    ) -> Result<()> {
        let mut next = from;
        while next < upto {
            let bytes = self.read_upto(next, upto)?;
            let before = next;
            for item in naru_records::batches(&bytes) {
                // The last batch may be cut short: it is read whole the next time.
                let Ok((header, batch)) = item else { break };
                if header.next_offset().0 <= next {
                    continue;
                }
                next = header.next_offset().0;
                let epoch = header.partition_leader_epoch.0;
                let (_, records) = read_batch(&bytes.slice_ref(batch)).map_err(storage)?;
                for record in records {
                    let item = match record {
                        LogRecord::Metadata { offset, record } => {
                            Item::Metadata(offset, epoch, Box::new(record))
                        }
                        LogRecord::Control { offset, record } => Item::Control(offset, record),
                    };
                    each(item).map_err(storage)?;
                }
                each(Item::End(next, epoch, batch.len(), header.max_timestamp)).map_err(storage)?;
            }
            if next == before {
                return Err(storage(format!("no whole batch at offset {before}")));
            }
        }
        Ok(())
    }

    fn read_upto(&self, from: i64, upto: i64) -> Result<Bytes> {
        let slice =
            self.reader.read(Offset(from), READ_CHUNK, true, Offset(upto)).map_err(storage)?;
        slice.read_bytes().map(Bytes::from).map_err(storage)
    }

    /// Replays what was committed into `controller`.
    pub(super) fn replay(
        &self,
        controller: &mut Controller,
        upto: i64,
        mut committed: impl FnMut(usize, Timestamp),
    ) -> Result<()> {
        let from = controller.image().end_offset().max(self.reader.log_start().0);
        self.for_each(from, upto, |item| {
            match item {
                Item::Metadata(offset, epoch, record) => controller
                    .replay(offset, epoch, &record)
                    .map_err(|error| format!("offset {offset}: {error}"))?,
                Item::End(end, epoch, bytes, time) => {
                    controller.advance_to(end, epoch);
                    committed(bytes, time);
                }
                Item::Control(..) => {}
            }
            Ok(())
        })
    }

    /// Writes a snapshot, and makes it the newest.
    pub(super) fn write_snapshot(&mut self, id: SnapshotId, bytes: &[u8]) -> Result<()> {
        self.folder.write_snapshot(id, bytes).map_err(storage)?;
        let before = self.snapshot.replace(id).filter(|before| *before != id);
        self.older.extend(before);
        Ok(())
    }

    /// Deletes the oldest snapshots, and the log below the oldest that stays, while there is too
    /// much or it is too old. The newest snapshot and what comes after it stay in any case.
    pub(super) fn delete_old(&mut self, keep: Retention, now: Timestamp) -> Result<()> {
        while let (Some(oldest), Some(newest)) = (self.older.first().copied(), self.snapshot) {
            let all = self.older.iter().chain([&newest]);
            let files: Vec<_> = all.filter_map(|id| self.folder.stat(*id)).collect();
            let size =
                files.iter().fold(self.reader.size(), |sum, file| sum.saturating_add(file.0));
            let age = self.folder.stat(oldest).map_or(0, |(_, written)| now.0 - written.0);
            let too_old = keep.ms.is_some_and(|ms| u64::try_from(age).is_ok_and(|age| age > ms));
            let too_much = keep.bytes.is_some_and(|bytes| size > bytes);
            if !too_old && !too_much {
                return Ok(());
            }
            // In this order: the next start trims the log to the oldest snapshot that is there.
            self.folder.remove_snapshot(oldest).map_err(storage)?;
            self.older.remove(0);
            let next = self.older.first().copied().unwrap_or(newest);
            self.trim(next.end_offset)?;
            tracing::info!(
                log_start = next.end_offset,
                too_old,
                too_much,
                "an old metadata snapshot is deleted"
            );
        }
        Ok(())
    }

    /// The snapshot that ends where the log begins, if it is known.
    fn base(&self) -> Option<SnapshotId> {
        let start = self.reader.log_start().0;
        self.older.iter().chain(&self.snapshot).copied().find(|id| id.end_offset == start)
    }

    fn trim(&mut self, offset: i64) -> Result<()> {
        let deleted = self.log()?.trim_to(Offset(offset)).map_err(storage)?;
        if let Some(deleted) = deleted {
            deleted.remove().map_err(storage)?;
        }
        Ok(())
    }

    /// A part of a snapshot's file, and the file's size; `None` if there is no such snapshot.
    pub(super) fn read_snapshot(
        &self,
        id: SnapshotId,
        position: u64,
        max_bytes: usize,
    ) -> Result<Option<(Bytes, u64)>> {
        use std::os::unix::fs::FileExt as _;
        let Ok(file) = fs::File::open(self.folder.snapshot_path(id)) else { return Ok(None) };
        let size = file.metadata().map_err(storage)?.len();
        let len = usize::try_from(size.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(max_bytes)];
        file.read_exact_at(&mut bytes, position).map_err(storage)?;
        Ok(Some((bytes.into(), size)))
    }

    /// Writes a part of a snapshot that is being fetched. The path of the file when it is whole.
    pub(super) fn write_part(
        &self,
        id: SnapshotId,
        position: i64,
        bytes: &[u8],
        last: bool,
    ) -> Result<Option<PathBuf>> {
        let path = self.folder.part_path(id);
        let mut options = fs::OpenOptions::new();
        options.write(true);
        // What an earlier, broken fetch left is written over.
        if position == 0 {
            options.create(true).truncate(true)
        } else {
            options.append(true)
        };
        let mut file = options.open(&path).map_err(storage)?;
        let have = file.metadata().map_err(storage)?.len();
        if i64::try_from(have) != Ok(position) {
            return Err(storage(format!("{}: {have} bytes, not {position}", path.display())));
        }
        file.write_all(bytes).map_err(storage)?;
        if last {
            file.sync_all().map_err(storage)?;
        }
        Ok(last.then_some(path))
    }

    /// Puts a fetched snapshot in the place of everything that the log has.
    pub(super) fn install(&mut self, id: SnapshotId, bytes: &[u8]) -> Result<()> {
        self.folder.write_snapshot(id, bytes).map_err(storage)?;
        // Gone if there never was one.
        let _ = fs::remove_file(self.folder.part_path(id));
        self.older.extend(self.snapshot.replace(id).filter(|before| *before != id));
        let at = Offset(id.end_offset);
        self.log()?.truncate_fully_and_start_at(at, now()).map_err(storage)?;
        for old in std::mem::take(&mut self.older) {
            self.folder.remove_snapshot(old).map_err(storage)?;
        }
        Ok(())
    }

    /// Lets the log begin where a snapshot ends: at the oldest, where it was trimmed; at one that
    /// goes beyond the log if a stop in the middle of [`Self::install`] has left it so.
    ///
    /// What is left of a log before it was trimmed has no epochs any more: it must not be served.
    pub(super) fn begin_at_snapshot(&mut self) -> Result<()> {
        let Some(newest) = self.snapshot else { return Ok(()) };
        if newest.end_offset > self.end() {
            let at = Offset(newest.end_offset);
            return self.log()?.truncate_fully_and_start_at(at, now()).map_err(storage);
        }
        let known = self.folder.snapshots().map_err(storage)?;
        self.older = known.into_iter().map(|(id, _)| id).filter(|id| *id < newest).collect();
        let oldest = self.older.first().copied().unwrap_or(newest);
        self.trim(oldest.end_offset)
    }

    pub(super) fn close(&mut self) -> Result<()> {
        self.log.take().map_or(Ok(()), |log| log.close().map(drop).map_err(storage))
    }
}

/// What the log holds.
pub(super) enum Item {
    /// Offset, epoch and record.
    Metadata(i64, i32, Box<naru_protocol::metadata::MetadataRecord>),
    /// Offset and record.
    Control(i64, ControlRecord),
    /// After each batch: the offset behind it, its epoch, size and time.
    End(i64, i32, usize, Timestamp),
}

impl LogView for Journal {
    fn start(&self) -> i64 {
        self.reader.log_start().0
    }

    fn end(&self) -> i64 {
        self.reader.log_end().0
    }

    fn last_epoch(&self) -> i32 {
        let in_log = self.reader.latest_epoch().map_or(0, |epoch| epoch.0);
        in_log.max(self.snapshot.map_or(0, |id| id.epoch))
    }

    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let in_log = self.reader.epoch_end(LeaderEpoch(epoch)).map(|end| (end.epoch.0, end.end.0));
        // Of an epoch before its first one the log says that it ended where the log begins. Nobody
        // knows that: it may have ended long before.
        let in_log = in_log.filter(|(found, end)| self.epoch_at(end - 1) == Some(*found));
        // What is below the log's start is known from the snapshot it starts behind.
        let below = self.base().filter(|id| id.epoch <= epoch).map(|id| (id.epoch, id.end_offset));
        in_log.or(below)
    }

    fn epoch_at(&self, offset: i64) -> Option<i32> {
        let below = || self.base().filter(|id| id.end_offset == offset + 1).map(|id| id.epoch);
        self.reader.epoch_at(Offset(offset)).map(|epoch| epoch.0).or_else(below)
    }

    fn latest_snapshot(&self) -> Option<SnapshotId> {
        self.snapshot
    }
}

#[cfg(test)]
mod tests {
    use naru_log::{Disk, LogConfig, OpenOptions, OsDisk};
    use naru_protocol::messages::config_record::ConfigRecord;

    use super::*;

    fn open(path: &std::path::Path, newest: Option<SnapshotId>) -> Journal {
        let options = OpenOptions {
            config: LogConfig::default(),
            clean: true,
            recovery_point: None,
            log_start: None,
            tail_bytes: 0,
            now: now(),
        };
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let log = Log::open(disk, path, options, &|_| {}).unwrap().0;
        let mut journal = Journal::new(log, Folder(path.to_owned()), newest, Arc::default());
        journal.begin_at_snapshot().unwrap();
        journal
    }

    fn at(end_offset: i64) -> SnapshotId {
        SnapshotId { end_offset, epoch: 1 }
    }

    fn with_snapshots(path: &std::path::Path) -> Journal {
        let mut journal = open(path, None);
        for end_offset in 1..=30 {
            journal.append_control(1, &[ControlRecord::kraft_version(1)]).unwrap();
            if end_offset % 10 == 0 {
                journal.write_snapshot(at(end_offset), &[7; 1000]).unwrap();
            }
        }
        journal
    }

    fn left(journal: &Journal) -> (i64, Vec<i64>) {
        let known = journal.folder.snapshots().unwrap();
        (journal.start(), known.into_iter().map(|(id, _)| id.end_offset).collect())
    }

    #[test]
    fn old_snapshots_and_the_log_below_them_go_by_size_and_by_age_but_never_the_newest() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("__cluster_metadata-0");
        let mut journal = with_snapshots(&path);
        let (day, ages) = (86_400_000_u64, |ms: i64| Timestamp(now().0 + ms));
        let keep = |bytes, ms| Retention { bytes, ms };
        let size = journal.reader.size();
        for enough in [keep(None, None), keep(Some(size + 3000), Some(day))] {
            journal.delete_old(enough, ages(0)).unwrap();
            assert_eq!(left(&journal), (0, vec![10, 20, 30]));
        }
        journal.delete_old(keep(Some(size + 2999), Some(day)), ages(0)).unwrap();
        assert_eq!(left(&journal), (20, vec![20, 30]));
        assert_eq!(journal.epoch_at(19), Some(1), "what is below is known from the snapshot");
        journal.delete_old(keep(None, Some(day)), ages(2 * 86_400_000)).unwrap();
        assert_eq!(left(&journal), (30, vec![30]));
        journal.delete_old(keep(Some(0), Some(0)), ages(1_000_000)).unwrap();
        assert_eq!(left(&journal), (30, vec![30]));
    }

    #[test]
    fn a_decision_that_is_too_large_for_a_batch_is_refused_and_the_log_goes_on() {
        let temp = tempfile::tempdir().unwrap();
        let mut journal = open(&temp.path().join("__cluster_metadata-0"), None);
        let config = |value: String| {
            RecordAndVersion::newest(ConfigRecord { value: Some(value), ..ConfigRecord::default() })
        };
        let (large, small) = (config("v".repeat(1 << 20)), config("v".to_owned()));
        let refused = journal.append_records(1, &vec![large.clone(); 8]).unwrap_err();
        assert!(refused.is_too_large());
        assert!(!refused.is_full);
        assert!(refused.to_string().contains("ask for less at once"), "{refused}");
        assert_eq!(journal.reader.log_end().0, 0);
        assert_eq!(journal.append_records(1, &vec![large; 7]).unwrap().base_offset, 0);
        assert_eq!(journal.append_records(1, &[small]).unwrap().base_offset, 7);
    }

    #[test]
    fn a_trimmed_log_begins_at_its_oldest_snapshot_after_a_restart_too() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("__cluster_metadata-0");
        let mut journal = with_snapshots(&path);
        let size = journal.reader.size();
        let keep = Retention { bytes: Some(size + 2999), ms: None };
        journal.delete_old(keep, now()).unwrap();
        journal.close().unwrap();
        drop(journal);
        let mut again = open(&path, Some(at(30)));
        assert_eq!(left(&again), (20, vec![20, 30]));
        again.install(at(50), &[7; 10]).unwrap();
        assert_eq!(left(&again), (50, vec![50]));
    }
}
