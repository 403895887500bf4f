//! Executes effects as a node's shell does.

use bytes::Bytes;
use naru_model::ErrorCode;
use naru_protocol::Records;

use super::disk::{Entry, Payload, Snapshot, control_of};
use super::wire::{pass_request, pass_response};
use super::world::{Happening, World};
use crate::raft::{
    ControlRecord, Destination, Effect, Event, LogView, Quorum, RaftRequest, RaftResponse,
    SnapshotId, Unreachable,
};

/// Length of a simulated snapshot.
const SNAPSHOT_LEN: usize = 150;
/// Records in one answer to a Fetch.
const FETCH_RECORDS: usize = 40;

/// What a simulated snapshot holds: another one for every id.
fn snapshot_bytes(id: SnapshotId) -> Vec<u8> {
    let first = id.end_offset.to_be_bytes();
    first.into_iter().cycle().take(SNAPSHOT_LEN).collect()
}

impl World {
    pub(super) fn execute(&mut self, id: i32, effects: Vec<Effect>) {
        for effect in effects {
            self.note(id, &effect);
            match effect {
                Effect::SaveState(state) => {
                    let node = self.nodes.get_mut(&id).unwrap();
                    node.disk.state = Some(state);
                    let dir = node.directory_id.0;
                    self.judge.saves(id, dir, state.epoch, state.voted);
                }
                Effect::Send { request_id, to, request, .. } => {
                    self.send(id, request_id, &to, &request);
                }
                Effect::Reply { token, response } => self.reply(id, token, &response),
                Effect::ReplyFetch { token, mut response, read } => {
                    if let Some(read) = read {
                        let records = self.read(id, read.from);
                        response.responses[0].partitions[0].records = Records::Inline(records);
                    }
                    self.reply(id, token, &RaftResponse::Fetch(response));
                }
                Effect::ReplySnapshot { token, mut response, read } => {
                    if let Some(read) = read {
                        self.read_snapshot(id, &mut response.topics[0].partitions[0], read);
                    }
                    self.reply(id, token, &RaftResponse::FetchSnapshot(response));
                }
                Effect::AppendControl { epoch, records } => {
                    let records = records.into_iter().enumerate();
                    let entry = |(place, record)| Entry {
                        epoch,
                        begins: place == 0,
                        payload: Payload::Control(record),
                    };
                    self.append(id, &records.map(entry).collect::<Vec<_>>());
                }
                Effect::AppendFetched { records } => self.append_fetched(id, &records),
                Effect::TruncateTo { offset } => {
                    let node = self.nodes.get_mut(&id).unwrap();
                    assert!(offset >= node.high_watermark, "committed records are cut");
                    node.disk.truncate(offset);
                    self.truncated += 1;
                }
                Effect::SnapshotChunk { id: snapshot, position, bytes, last } => {
                    self.write_snapshot(id, snapshot, position, &bytes, last);
                }
                Effect::BecameLeader { epoch } => {
                    self.leaderships += 1;
                    let disk = &self.nodes[&id].disk;
                    self.judge.leads(id, epoch, disk);
                }
                Effect::AdvanceHighWatermark { to } => {
                    let node = self.nodes.get_mut(&id).unwrap();
                    assert!(to > node.high_watermark, "the high watermark of {id} goes back");
                    let from = std::mem::replace(&mut node.high_watermark, to);
                    let node = &self.nodes[&id];
                    let epoch = node.core.as_ref().map_or(0, Quorum::epoch);
                    self.judge.commits((id, epoch), &node.disk, from, to);
                }
                Effect::LostLeadership { .. } | Effect::LeaderChanged { .. } => {}
            }
        }
    }

    /// Everything that happened, as one number: the same seed gives the same.
    fn note(&mut self, id: i32, effect: &Effect) {
        if std::env::var("NARU_RAFT_TRACE").is_ok() {
            println!("{} {id} {effect:?}", self.now);
        }
        if !self.settings.traced {
            return;
        }
        for byte in format!("{} {id} {effect:?}", self.now).bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn later(&mut self, id: i32, ms: i64, event: Event) {
        let life = self.nodes[&id].life;
        self.after(ms, Happening::Node { node: id, life, event });
    }

    fn append(&mut self, id: i32, entries: &[Entry]) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.disk.append(entries);
        let log_end = node.disk.end();
        self.later(id, 0, Event::Appended { log_end });
        let sync = self.disk_ms();
        self.later(id, sync, Event::Synced { end: log_end });
    }

    pub(super) fn append_data(&mut self) {
        let leading: Vec<i32> = self
            .nodes
            .values()
            .filter(|node| node.core.as_ref().is_some_and(|core| core.is_leader()))
            .map(|node| node.id)
            .collect();
        for id in leading {
            let epoch = self.nodes[&id].core.as_ref().unwrap().epoch();
            let count = self.random.between(1, 4);
            let first = self.next_data;
            self.next_data += count.unsigned_abs();
            let entry = |data| Entry { epoch, begins: true, payload: Payload::Data(data) };
            self.append(id, &(first..self.next_data).map(entry).collect::<Vec<_>>());
        }
    }

    /// Times of the disk are kept before the core hears of them.
    pub(super) fn node_event(&mut self, id: i32, event: Event) {
        let node = self.nodes.get_mut(&id).unwrap();
        match &event {
            Event::Synced { end } | Event::Fetched { end, .. } => {
                node.disk.synced_end = node.disk.synced_end.max((*end).min(node.disk.end()));
            }
            _ => {}
        }
        self.feed(id, event);
    }

    fn read(&mut self, id: i32, from: i64) -> Bytes {
        let disk = &self.nodes[&id].disk;
        let entries = (from..disk.end()).map(|at| (at, disk.entry(at).unwrap().clone()));
        let enough =
            |(place, (_, entry)): &(usize, (i64, Entry))| *place < FETCH_RECORDS || !entry.begins;
        let entries = entries.enumerate().take_while(enough).map(|(_, entry)| entry).collect();
        self.blobs.push(entries);
        Bytes::copy_from_slice(&(self.blobs.len() - 1).to_be_bytes())
    }

    fn append_fetched(&mut self, id: i32, records: &Bytes) {
        let blob = usize::from_be_bytes(records.as_ref().try_into().unwrap());
        let entries = self.blobs[blob].clone();
        let wait = self.disk_ms();
        if self.nodes[&id].failing {
            return self.later(id, wait, Event::FetchFailed);
        }
        let node = self.nodes.get_mut(&id).unwrap();
        assert_eq!(entries.first().map(|(at, _)| *at), Some(node.disk.end()), "a gap");
        let last = node.disk.last_epoch();
        assert!(entries[0].1.epoch >= last, "epochs in the log go back");
        let control = |(at, entry): &(i64, Entry)| match &entry.payload {
            Payload::Control(record) => Some((*at, record.clone())),
            Payload::Data(_) => None,
        };
        let control: Vec<(i64, ControlRecord)> = entries.iter().filter_map(control).collect();
        node.disk.append(&entries.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>());
        let end = node.disk.end();
        self.later(id, wait, Event::Fetched { end, control });
    }

    fn send(&mut self, from: i32, request_id: u64, to: &Destination, request: &RaftRequest) {
        let target = i32::from(to.port) - 9000;
        assert!(to.id.is_none_or(|id| id == target), "sent to the wrong address");
        let from_life = self.nodes[&from].life;
        let request = pass_request(request);
        if self.nodes[&target].core.is_none() && !self.blocked.contains(&(from, target)) {
            // Refused.
            let event = Event::Response { request_id, result: Err(Unreachable) };
            return self.later(from, 1, event);
        }
        for _ in 0..self.copies(from, target) {
            let delay = self.delay();
            let request = request.clone();
            let what = Happening::Request { from, from_life, to: target, id: request_id, request };
            self.after(delay, what);
        }
    }

    /// How long a sync takes: now and then much longer.
    fn disk_ms(&mut self) -> i64 {
        let slow = !self.calm && self.random.between(0, 7) == 0;
        self.random.between(0, if slow { 400 } else { 12 })
    }

    fn delay(&mut self) -> i64 {
        let slow = !self.calm && self.random.between(0, 99) == 0;
        let most = self.settings.delay_max_ms;
        self.random.between(0, if slow { most * 100 } else { most })
    }

    /// How often a message arrives.
    fn copies(&mut self, from: i32, to: i32) -> u32 {
        if self.blocked.contains(&(from, to)) {
            return 0;
        }
        let dice = self.random.between(0, 999);
        if self.calm {
            1
        } else if dice < self.settings.loss {
            0
        } else {
            1 + u32::from(dice > 980)
        }
    }

    pub(super) fn deliver(
        &mut self,
        from: i32,
        from_life: u32,
        to: i32,
        id: u64,
        request: RaftRequest,
    ) {
        if self.blocked.contains(&(from, to)) {
            return;
        }
        let node = self.nodes.get_mut(&to).unwrap();
        if node.core.is_none() {
            return;
        }
        let token = node.next_token;
        node.next_token += 1;
        node.tokens.insert(token, (from, from_life, id));
        if let RaftRequest::Vote(vote) = &request {
            let asked = &vote.topics[0].partitions[0];
            if !asked.pre_vote {
                node.asked.insert(token, (asked.replica_epoch, asked.replica_id));
            }
        }
        self.feed(to, Event::Request { token, version: 2, request });
    }

    fn reply(&mut self, id: i32, token: u64, response: &RaftResponse) {
        let to = self.nodes.get_mut(&id).unwrap().tokens.remove(&token);
        let (to, life, request_id) = to.expect("each request is answered once");
        let response = pass_response(response);
        if let RaftResponse::Vote(vote) = &response
            && vote.topics.first().is_some_and(|topic| topic.partitions[0].vote_granted)
        {
            let node = &self.nodes[&id];
            let dir = node.directory_id.0;
            if let Some(&(epoch, candidate)) = node.asked.get(&token) {
                self.judge.votes(id, dir, epoch, candidate);
                if !self.calm && self.random.between(0, 3) == 0 {
                    let soon = self.random.between(0, 3);
                    self.after(soon, Happening::Flicker { node: id });
                }
            }
        }
        if to == 0 {
            return self.answers.push((request_id, response));
        }
        for _ in 0..self.copies(id, to) {
            let delay = self.delay();
            let event = Event::Response { request_id, result: Ok(response.clone()) };
            self.after(delay, Happening::Node { node: to, life, event });
        }
    }

    /// A request of an administrator; its answer goes to `answers`.
    pub(in crate::raft) fn ask(&mut self, id: i32, request: &RaftRequest) -> u64 {
        self.next_data += 1;
        let ask = self.next_data;
        self.deliver(0, 0, id, ask, pass_request(request));
        ask
    }

    fn read_snapshot(
        &mut self,
        id: i32,
        partition: &mut naru_protocol::messages::fetch_snapshot_response::PartitionSnapshot,
        read: crate::raft::SnapshotRead,
    ) {
        let Some(snapshot) = self.nodes[&id].disk.snapshots.iter().find(|s| s.id == read.id) else {
            partition.error_code = ErrorCode::SnapshotNotFound.code();
            return;
        };
        let whole = snapshot_bytes(snapshot.id);
        let from = usize::try_from(read.position).unwrap();
        if from >= whole.len() {
            partition.error_code = ErrorCode::PositionOutOfRange.code();
            return;
        }
        let most = self.random.between(1, i64::from(read.max_bytes));
        let to = whole.len().min(from + usize::try_from(most).unwrap());
        partition.size = i64::try_from(whole.len()).unwrap();
        partition.unaligned_records = Records::Inline(Bytes::copy_from_slice(&whole[from..to]));
    }

    fn write_snapshot(&mut self, id: i32, snapshot: SnapshotId, at: i64, bytes: &[u8], last: bool) {
        let node = self.nodes.get_mut(&id).unwrap();
        if at == 0 {
            node.partial.clear();
        }
        assert_eq!(i64::try_from(node.partial.len()).unwrap(), at, "a hole in a snapshot");
        node.partial.extend_from_slice(bytes);
        if !last {
            return;
        }
        let whole = snapshot_bytes(snapshot);
        assert_eq!(node.partial, whole, "a damaged snapshot");
        if node.failing {
            return self.later(id, 3, Event::FetchFailed);
        }
        self.installed += 1;
        let control = self.control_at(snapshot.end_offset);
        let node = self.nodes.get_mut(&id).unwrap();
        assert!(snapshot.end_offset > node.high_watermark, "a snapshot takes records back");
        node.disk.install(Snapshot { id: snapshot, control: control.clone() });
        let wait = self.disk_ms();
        self.later(id, wait, Event::SnapshotInstalled { id: snapshot, control });
    }

    /// The control records of a snapshot, by what is committed below it.
    pub(super) fn control_at(&self, end: i64) -> Vec<ControlRecord> {
        let mut log = crate::raft::VoterLog::new();
        for (offset, entry) in (0..end).zip(&self.judge.committed) {
            if let Payload::Control(record) = &entry.payload {
                log.read_log(offset, record);
            }
        }
        let (version, voters) = log.at(end);
        control_of(version, voters)
    }
}
