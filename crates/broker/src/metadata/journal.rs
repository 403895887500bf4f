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
    /// The one before it, at which the log was trimmed.
    before: Option<SnapshotId>,
    /// Told of a full disk, so that the directory's reserve is given up for this log. It does not
    /// decide whether this log takes appends.
    health: Arc<DirHealth>,
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
        Self { reader: log.reader(), log: Some(log), folder, snapshot, before: None, health }
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

    /// Appends metadata records as one batch, not synced yet. Where it lies.
    pub(super) fn append_records(
        &mut self,
        epoch: i32,
        records: &[RecordAndVersion],
    ) -> Result<BatchPlace> {
        let place = self.place(epoch);
        let batch = metadata_batch(place, records).map_err(storage)?;
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

    /// Writes a snapshot and drops the log below the one before it, which followers that are a
    /// little behind still need.
    pub(super) fn write_snapshot(&mut self, id: SnapshotId, bytes: &[u8]) -> Result<()> {
        self.folder.write_snapshot(id, bytes).map_err(storage)?;
        if let Some(before) = self.snapshot.replace(id) {
            self.before = Some(before);
            self.trim(before.end_offset)?;
        }
        Ok(())
    }

    /// The snapshot that ends where the log begins, if it is known.
    fn base(&self) -> Option<SnapshotId> {
        let start = self.reader.log_start().0;
        [self.snapshot, self.before].into_iter().flatten().find(|id| id.end_offset == start)
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
        self.snapshot = Some(id);
        let at = Offset(id.end_offset);
        self.log()?.truncate_fully_and_start_at(at, now()).map_err(storage)
    }

    /// Lets the log begin where a snapshot ends: at the older of two, where it was trimmed; at one
    /// that goes beyond the log if a stop in the middle of [`Self::install`] has left it so.
    ///
    /// What is left of a log before it was trimmed has no epochs any more: it must not be served.
    pub(super) fn begin_at_snapshot(&mut self) -> Result<()> {
        let Some(newest) = self.snapshot else { return Ok(()) };
        if newest.end_offset > self.end() {
            let at = Offset(newest.end_offset);
            return self.log()?.truncate_fully_and_start_at(at, now()).map_err(storage);
        }
        let known = self.folder.snapshots().map_err(storage)?;
        self.before = known.into_iter().map(|(id, _)| id).rfind(|id| *id < newest);
        self.before.map_or(Ok(()), |before| self.trim(before.end_offset))
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
