//! The metadata log of a simulated node, as `broker::metadata::journal` keeps it, on a simulated
//! disk, with the snapshots and the quorum-state file beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use naru_controller::batch::{BatchPlace, LogRecord, control_batch, metadata_batch, read_batch};
use naru_controller::raft::{ControlRecord, ElectionState, LogView, SnapshotId, VoterLog};
use naru_controller::{Controller, RecordAndVersion};
use naru_log::{AppendError, Disk as _, Log, LogConfig, LogReader, NewBatch, OpenOptions, Origin};
use naru_model::{LeaderEpoch, Offset, Timestamp};
use naru_protocol::metadata::MetadataRecord;

use crate::disk::NodeDisk;

/// The folder of the metadata log.
const FOLDER: &str = "/data/__cluster_metadata-0";
const STATE: &str = "quorum-state";
/// Snapshots kept, as in the broker.
const SNAPSHOTS_KEPT: usize = 2;
/// Bytes read at once: small, so that reads end inside the log.
const READ_CHUNK: usize = 4096;
/// What is verified of the log's end after a clean stop.
const TAIL_BYTES: u64 = 64 << 20;

pub(crate) type Result<T> = std::result::Result<T, String>;

/// What begins the reason of an error that is only for want of space.
const FULL: &str = "full: ";

fn text<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

/// A full disk refuses a change and heals; everything else that keeps the log from being written
/// does not.
pub(crate) fn is_full(error: &str) -> bool {
    error.starts_with(FULL)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    disk: NodeDisk,
    log: Log,
    reader: LogReader,
    snapshot: Option<SnapshotId>,
    /// The one before it, at which the log was trimmed.
    before: Option<SnapshotId>,
}

/// What the log holds.
pub(crate) enum Item {
    Metadata(i64, i32, Box<MetadataRecord>),
    Control(i64, ControlRecord),
    /// After each batch: its first offset, the offset behind it, its epoch, its bytes.
    End(i64, i64, i32, Bytes),
}

/// What a snapshot holds.
#[derive(Debug, Default)]
pub(crate) struct SnapshotRecords {
    pub(crate) control: Vec<ControlRecord>,
    pub(crate) metadata: Vec<MetadataRecord>,
}

/// What a start found.
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) voters: VoterLog,
    pub(crate) committed: Controller,
    pub(crate) state: Option<ElectionState>,
}

fn state_path() -> PathBuf {
    Path::new(FOLDER).join(STATE)
}

fn snapshot_path(id: SnapshotId) -> PathBuf {
    Path::new(FOLDER).join(id.to_string())
}

fn part_path(id: SnapshotId) -> PathBuf {
    Path::new(FOLDER).join(format!("{id}.part"))
}

/// Formats an empty disk; `initial` is the snapshot with the first voters of a dynamic quorum.
pub(crate) fn format(disk: &NodeDisk, initial: Option<&[u8]>) -> Result<()> {
    let folder = Path::new(FOLDER);
    disk.create_dir_all(folder).map_err(text)?;
    if let Some(bytes) = initial {
        disk.replace(&snapshot_path(SnapshotId::default()), bytes).map_err(text)?;
    }
    for folder in folder.ancestors() {
        disk.sync_dir(folder).map_err(text)?;
    }
    Ok(())
}

impl Journal {
    /// Opens what is on the disk, as `broker::metadata::open` does.
    pub(crate) fn open(
        disk: &NodeDisk,
        segment_bytes: u64,
        clean: bool,
        mut committed: Controller,
        now: Timestamp,
    ) -> Result<Opened> {
        let options = OpenOptions {
            config: LogConfig {
                segment_bytes: segment_bytes.max(8192),
                retention_ms: None,
                retention_bytes: None,
                max_message_bytes: 8 << 20,
                ..LogConfig::default()
            },
            clean,
            tail_bytes: TAIL_BYTES,
            recovery_point: None,
            log_start: None,
            now,
        };
        let (log, _) =
            Log::open(Arc::new(disk.clone()), Path::new(FOLDER), options, &|_| {}).map_err(text)?;
        let mut voters = VoterLog::new();
        let mut snapshot = None;
        for id in snapshots(disk)?.into_iter().rev() {
            if id.end_offset < log.log_start().0 {
                break;
            }
            let bytes = disk.bytes_of(&snapshot_path(id)).ok_or("a snapshot vanished")?;
            let Ok(records) = SnapshotRecords::read(&Bytes::from(bytes)) else { continue };
            records.control.iter().for_each(|record| voters.read_snapshot(id.end_offset, record));
            records.replay(&mut committed, id)?;
            snapshot = Some(id);
            break;
        }
        if snapshot.is_none() && log.log_start() > Offset::ZERO {
            return Err("the log begins behind every snapshot".to_owned());
        }
        let mut journal =
            Self { disk: disk.clone(), reader: log.reader(), log, snapshot, before: None };
        journal.begin_at_snapshot(now)?;
        // The quorum counts all of it as being on the disk.
        journal.sync()?;
        journal.for_each(journal.start(), journal.end(), |item| {
            if let Item::Control(offset, record) = item {
                voters.read_log(offset, &record);
            }
            Ok(())
        })?;
        let state = match disk.bytes_of(&state_path()) {
            Some(bytes) => {
                let json = String::from_utf8(bytes).map_err(text)?;
                Some(ElectionState::from_json(&json).map_err(text)?)
            }
            None => None,
        };
        Ok(Opened { journal, voters, committed, state })
    }

    pub(crate) fn save_state(&self, json: &str) -> Result<()> {
        self.disk.replace(&state_path(), json.as_bytes()).map_err(text)
    }

    fn place(&self, epoch: i32, timestamp: Timestamp) -> BatchPlace {
        BatchPlace { base_offset: self.end(), epoch, timestamp }
    }

    pub(crate) fn append_records(
        &mut self,
        epoch: i32,
        records: &[RecordAndVersion],
        now: Timestamp,
    ) -> Result<BatchPlace> {
        let place = self.place(epoch, now);
        let batch = metadata_batch(place, records).map_err(text)?;
        self.append(&batch, epoch, now)?;
        Ok(place)
    }

    pub(crate) fn append_control(
        &mut self,
        epoch: i32,
        records: &[ControlRecord],
        now: Timestamp,
    ) -> Result<i64> {
        let batch = control_batch(self.place(epoch, now), records).map_err(text)?;
        self.append(&batch, epoch, now)?;
        Ok(self.end())
    }

    fn append(&mut self, batch: &[u8], epoch: i32, now: Timestamp) -> Result<()> {
        let batch = NewBatch::built(batch).map_err(text)?;
        let appended = self.log.append_one(batch, Origin::Replication, LeaderEpoch(epoch), now);
        appended.map(drop).map_err(|error| match &error {
            AppendError::Storage(storage) if storage.is_full() => format!("{FULL}{error}"),
            _ => text(error),
        })
    }

    /// Lets the log begin where a snapshot ends: at the older of two, where it was trimmed; at one
    /// that goes beyond the log if a stop in the middle of [`Self::install`] has left it so.
    fn begin_at_snapshot(&mut self, now: Timestamp) -> Result<()> {
        let Some(newest) = self.snapshot else { return Ok(()) };
        if newest.end_offset > self.end() {
            let at = Offset(newest.end_offset);
            return self.log.truncate_fully_and_start_at(at, now).map_err(text);
        }
        self.before = snapshots(&self.disk)?.into_iter().rfind(|id| *id < newest);
        self.before.map_or(Ok(()), |before| self.trim(before.end_offset))
    }

    fn trim(&mut self, offset: i64) -> Result<()> {
        match self.log.trim_to(Offset(offset)).map_err(text)? {
            Some(deleted) => deleted.remove().map_err(text),
            None => Ok(()),
        }
    }

    pub(crate) fn append_fetched(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(i64, Vec<(i64, ControlRecord)>)> {
        let followed = self.log.append_as_follower(bytes, now).map_err(text)?;
        let mut control = Vec::new();
        self.for_each(followed.from.0, followed.log_end.0, |item| {
            if let Item::Control(offset, record) = item {
                control.push((offset, record));
            }
            Ok(())
        })?;
        Ok((followed.log_end.0, control))
    }

    pub(crate) fn sync(&mut self) -> Result<i64> {
        if let Some(plan) = self.log.sync_plan().map_err(text)? {
            plan.execute().map_err(text)?;
            self.log.mark_synced(&plan);
        }
        Ok(self.end())
    }

    pub(crate) fn truncate(&mut self, offset: i64, now: Timestamp) -> Result<()> {
        self.log.truncate_to(Offset(offset), now).map(drop).map_err(text)
    }

    pub(crate) fn read(&self, from: i64, max_bytes: usize) -> Result<Bytes> {
        let upto = self.reader.log_end();
        let slice = self.reader.read(Offset(from), max_bytes, true, upto).map_err(text)?;
        slice.read_bytes().map(Bytes::from).map_err(text)
    }

    pub(crate) fn for_each(
        &self,
        from: i64,
        upto: i64,
        mut each: impl FnMut(Item) -> Result<()>,
    ) -> Result<()> {
        let mut next = from;
        while next < upto {
            let slice = self.reader.read(Offset(next), READ_CHUNK, true, Offset(upto));
            let bytes = Bytes::from(slice.map_err(text)?.read_bytes().map_err(text)?);
            let before = next;
            for item in naru_records::batches(&bytes) {
                let Ok((header, batch)) = item else { break };
                if header.next_offset().0 <= next {
                    continue;
                }
                next = header.next_offset().0;
                let epoch = header.partition_leader_epoch.0;
                let batch = bytes.slice_ref(batch);
                let (_, records) = read_batch(&batch).map_err(text)?;
                for record in records {
                    each(match record {
                        LogRecord::Metadata { offset, record } => {
                            Item::Metadata(offset, epoch, Box::new(record))
                        }
                        LogRecord::Control { offset, record } => Item::Control(offset, record),
                    })?;
                }
                each(Item::End(header.base_offset.0, next, epoch, batch))?;
            }
            if next == before {
                return Err(format!("no whole batch at offset {before}"));
            }
        }
        Ok(())
    }

    /// Replays what is committed into `controller`.
    pub(crate) fn replay(
        &self,
        controller: &mut Controller,
        upto: i64,
        mut committed: impl FnMut(usize),
    ) -> Result<()> {
        let from = controller.image().end_offset().max(self.start());
        self.for_each(from, upto, |item| {
            match item {
                Item::Metadata(offset, epoch, record) => controller
                    .replay(offset, epoch, &record)
                    .map_err(|error| format!("offset {offset}: {error}"))?,
                Item::End(_, end, epoch, bytes) => {
                    controller.advance_to(end, epoch);
                    committed(bytes.len());
                }
                Item::Control(..) => {}
            }
            Ok(())
        })
    }

    pub(crate) fn write_snapshot(&mut self, id: SnapshotId, bytes: &[u8]) -> Result<()> {
        self.put_snapshot(id, bytes)?;
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

    fn put_snapshot(&self, id: SnapshotId, bytes: &[u8]) -> Result<()> {
        self.disk.replace(&snapshot_path(id), bytes).map_err(text)?;
        let mut all = snapshots(&self.disk)?;
        all.truncate(all.len().saturating_sub(SNAPSHOTS_KEPT));
        all.into_iter().try_for_each(|old| self.disk.remove_file(&snapshot_path(old)).map_err(text))
    }

    /// A part of a snapshot and its whole size; none if there is no such snapshot.
    pub(crate) fn read_snapshot(
        &self,
        id: SnapshotId,
        position: usize,
        max_bytes: usize,
    ) -> Option<(Bytes, usize)> {
        let bytes = self.disk.bytes_of(&snapshot_path(id))?;
        let end = position.saturating_add(max_bytes).min(bytes.len());
        let part = bytes.get(position.min(end)..end)?;
        Some((Bytes::copy_from_slice(part), bytes.len()))
    }

    /// Writes a part of a snapshot that is being fetched. The snapshot when it is whole.
    pub(crate) fn write_part(
        &self,
        id: SnapshotId,
        position: i64,
        bytes: &[u8],
        last: bool,
    ) -> Result<Option<Bytes>> {
        let file = self.disk.open(&part_path(id), position == 0).map_err(text)?;
        if position == 0 {
            file.set_len(0).map_err(text)?;
        }
        let have = file.len().map_err(text)?;
        if i64::try_from(have) != Ok(position) {
            return Err(format!("{id}: {have} bytes, not {position}"));
        }
        file.write_all_at(&mut [std::io::IoSlice::new(bytes)], have).map_err(text)?;
        if !last {
            return Ok(None);
        }
        file.sync().map_err(text)?;
        Ok(self.disk.bytes_of(&part_path(id)).map(Bytes::from))
    }

    /// Puts a fetched snapshot in the place of everything that the log has.
    pub(crate) fn install(&mut self, id: SnapshotId, bytes: &[u8], now: Timestamp) -> Result<()> {
        self.put_snapshot(id, bytes)?;
        // Gone if there never was one.
        let _ = self.disk.remove_file(&part_path(id));
        self.snapshot = Some(id);
        self.log.truncate_fully_and_start_at(Offset(id.end_offset), now).map_err(text)
    }

    pub(crate) fn close(self) -> Result<()> {
        self.log.close().map(drop).map_err(text)
    }
}

fn snapshots(disk: &NodeDisk) -> Result<Vec<SnapshotId>> {
    let entries = disk.list(Path::new(FOLDER)).map_err(text)?;
    let mut ids: Vec<SnapshotId> =
        entries.iter().filter_map(|entry| entry.name.parse().ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}

impl SnapshotRecords {
    /// Reads a snapshot; one without its footer is not whole.
    pub(crate) fn read(bytes: &Bytes) -> Result<Self> {
        let mut all = Self::default();
        for item in naru_records::batches(bytes) {
            let (_, batch) = item.map_err(text)?;
            for record in read_batch(&bytes.slice_ref(batch)).map_err(text)?.1 {
                match record {
                    LogRecord::Metadata { record, .. } => all.metadata.push(record),
                    LogRecord::Control { record, .. } => all.control.push(record),
                }
            }
        }
        match all.control.last() {
            Some(ControlRecord::SnapshotFooter(_)) => Ok(all),
            _ => Err("it ends too early".to_owned()),
        }
    }

    /// Makes the state that it stands for.
    pub(crate) fn replay(self, controller: &mut Controller, id: SnapshotId) -> Result<()> {
        for record in self.metadata {
            controller.replay(id.end_offset - 1, id.epoch, &record).map_err(text)?;
        }
        controller.advance_to(id.end_offset, id.epoch);
        Ok(())
    }
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
        let in_log = in_log.filter(|(found, end)| self.epoch_at(end - 1) == Some(*found));
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
