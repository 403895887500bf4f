//! What one simulated node has on its disk.

use crate::raft::{
    ControlRecord, ElectionState, KraftVersion, LogView, SnapshotId, Voter, VoterLog,
};

/// One record of the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) epoch: i32,
    /// It begins a batch: batches are kept, and sent, whole.
    pub(super) begins: bool,
    pub(super) payload: Payload,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Payload {
    Data(u64),
    Control(ControlRecord),
}

/// A snapshot's control records; the records it stands for are judged by the world.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    pub(super) id: SnapshotId,
    pub(super) control: Vec<ControlRecord>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    pub(super) state: Option<ElectionState>,
    pub(super) entries: Vec<Entry>,
    pub(super) start: i64,
    pub(super) synced_end: i64,
    /// Oldest first.
    pub(super) snapshots: Vec<Snapshot>,
}

pub(super) fn index(offset: i64) -> usize {
    usize::try_from(offset).unwrap()
}

pub(super) fn control_of(version: KraftVersion, voters: &[Voter]) -> Vec<ControlRecord> {
    match version {
        KraftVersion::Static => Vec::new(),
        KraftVersion::Dynamic => {
            vec![ControlRecord::kraft_version(1), ControlRecord::voters(voters)]
        }
    }
}

impl Disk {
    /// A disk as the formatter leaves it.
    pub(super) fn formatted(voters: Option<&[Voter]>) -> Self {
        let control = voters.map(|voters| control_of(KraftVersion::Dynamic, voters));
        let snapshot = |control| Snapshot { id: SnapshotId::default(), control };
        Self { snapshots: control.map(snapshot).into_iter().collect(), ..Self::default() }
    }

    pub(super) fn entry(&self, offset: i64) -> Option<&Entry> {
        self.entries.get(usize::try_from(offset.checked_sub(self.start)?).ok()?)
    }

    pub(super) fn append(&mut self, entries: &[Entry]) {
        self.entries.extend_from_slice(entries);
    }

    pub(super) fn truncate(&mut self, end: i64) {
        self.entries.truncate(index(end - self.start));
        self.synced_end = self.synced_end.min(end);
    }

    /// Drops the log below a snapshot.
    pub(super) fn trim_to(&mut self, offset: i64) {
        self.entries.drain(..index(offset - self.start));
        self.start = offset;
        self.snapshots.retain(|snapshot| snapshot.id.end_offset >= offset);
    }

    pub(super) fn install(&mut self, snapshot: Snapshot) {
        self.entries.clear();
        self.start = snapshot.id.end_offset;
        self.synced_end = self.start;
        self.snapshots = vec![snapshot];
    }

    /// The disk after a crash that kept `kept` of the records that were not synced.
    pub(super) fn crash(&mut self, kept: i64) {
        let mut end = (self.synced_end + kept).min(self.end());
        while self.entry(end).is_some_and(|entry| !entry.begins) {
            end -= 1;
        }
        self.truncate(end);
        self.synced_end = end;
    }

    pub(super) fn voter_log(&self) -> VoterLog {
        let mut log = VoterLog::new();
        // As a real shell: the newest snapshot that the log goes on from, then the log.
        let base = self.snapshots.iter().rev().find(|s| s.id.end_offset <= self.start.max(0));
        for record in base.iter().flat_map(|snapshot| &snapshot.control) {
            log.read_snapshot(base.unwrap().id.end_offset, record);
        }
        for (offset, entry) in (self.start..).zip(&self.entries) {
            if let Payload::Control(record) = &entry.payload {
                log.read_log(offset, record);
            }
        }
        log
    }
}

impl LogView for Disk {
    fn start(&self) -> i64 {
        self.start
    }

    fn end(&self) -> i64 {
        self.start + i64::try_from(self.entries.len()).unwrap()
    }

    fn last_epoch(&self) -> i32 {
        let snapshot = self.snapshots.last().map_or(0, |snapshot| snapshot.id.epoch);
        self.entries.last().map_or(snapshot, |entry| entry.epoch)
    }

    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let last = self.entries.iter().rposition(|entry| entry.epoch <= epoch)?;
        Some((self.entries[last].epoch, self.start + i64::try_from(last).unwrap() + 1))
    }

    fn epoch_at(&self, offset: i64) -> Option<i32> {
        // Some shells know only what the log itself says.
        if offset == self.start - 1 && self.start % 2 == 0 {
            let base = self.snapshots.iter().find(|s| s.id.end_offset == self.start);
            return base.map(|snapshot| snapshot.id.epoch);
        }
        self.entry(offset).map(|entry| entry.epoch)
    }

    fn latest_snapshot(&self) -> Option<SnapshotId> {
        self.snapshots.last().map(|snapshot| snapshot.id)
    }
}
