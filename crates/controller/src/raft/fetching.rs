//! The replica's side of Fetch: whom to ask, from where, and what the answer does to the log.

use naru_model::ErrorCode;
use naru_protocol::messages::fetch_request::{
    FetchPartition, FetchRequest, FetchTopic, ReplicaState,
};
use naru_protocol::messages::fetch_response::{FetchResponse, PartitionData};

use super::messages::{self, TOPIC, TOPIC_ID};
use super::quorum::{Quorum, Step, epoch_before};
use super::requests::Kind;
use super::role::Role;
use super::snapshot_fetch::Download;
use super::{ControlRecord, Destination, Effect, RaftRequest, SnapshotId};

/// When to fetch next, and from whom.
#[derive(Debug)]
pub(super) struct Fetcher {
    next_at: i64,
    failures: u32,
    /// The leader did not answer an observer: others are asked too.
    leader_failed: bool,
    /// Whose turn it is among those who may know the leader.
    turn: u64,
    /// This node's log is not yet on its disk: a Fetch would claim that it is.
    waits_for_sync: bool,
    /// The leader's high watermark of the answer that is being appended.
    high_watermark: i64,
    /// When the last Fetch was sent.
    sent_at: i64,
    /// When the last Fetch was sent whose answer left nothing committed unknown.
    current_at: Option<i64>,
}

impl Fetcher {
    pub(super) fn new(now: i64, turn: u64) -> Self {
        Self {
            next_at: now,
            failures: 0,
            leader_failed: false,
            turn,
            waits_for_sync: false,
            high_watermark: -1,
            sent_at: now,
            current_at: None,
        }
    }

    /// See [`Quorum::current_at`].
    pub(super) fn current_at(&self) -> Option<i64> {
        self.current_at
    }

    pub(super) fn reset(&mut self, now: i64) {
        self.next_at = now;
        self.failures = 0;
        self.leader_failed = false;
    }

    fn succeeded(&mut self, now: i64) {
        self.reset(now);
    }
}

impl Quorum {
    /// When the next Fetch is due, if one is.
    pub(super) fn next_fetch_at(&self) -> Option<i64> {
        let fetches = match &self.role {
            Role::Follower(_) => true,
            Role::Unattached { .. } => !self.discovery_targets().is_empty(),
            Role::Prospective(_) | Role::Candidate(_) | Role::Leader(_) | Role::Resigned { .. } => {
                false
            }
        };
        let waits = self.busy
            || self.stopping
            || self.fetcher.waits_for_sync
            || self.in_flight.values().any(super::requests::InFlight::is_fetch);
        (fetches && !waits).then_some(self.fetcher.next_at)
    }

    pub(super) fn drive_fetch(&mut self, step: &mut Step<'_>) {
        self.fetcher.waits_for_sync = self.synced_end < step.end();
        if self.next_fetch_at().is_none_or(|at| at > step.now) {
            return;
        }
        let Some(to) = self.fetch_target() else { return };
        if let Role::Follower(follower) = &self.role
            && let Some(download) = follower.download
            && to.id == self.leader
        {
            self.send_fetch_snapshot(step, to, download);
            return;
        }
        let offset = step.end();
        self.fetcher.sent_at = step.now;
        let request = self.fetch_request(step, offset);
        let wait = i64::from(self.timeouts.fetch_max_wait_ms);
        let timeout = self.timeouts.fetch_timeout_ms.max(wait.saturating_mul(2));
        self.send(step, to, timeout, RaftRequest::Fetch(request), Kind::Fetch { offset });
    }

    fn fetch_target(&mut self) -> Option<Destination> {
        let leader = match (&self.role, self.leader, &self.leader_endpoint) {
            (Role::Follower(_), Some(id), Some((host, port))) => {
                Some(Destination { id: Some(id), host: host.clone(), port: *port })
            }
            _ => None,
        };
        // A voter waits for its leader or stands for election; an observer asks around, every
        // other time.
        let asks_around = self.fetcher.leader_failed && !self.is_voter();
        let odd = !self.fetcher.failures.is_multiple_of(2);
        if let Some(leader) = &leader
            && !(asks_around && odd)
        {
            return Some(leader.clone());
        }
        let targets = self.discovery_targets();
        let count = u64::try_from(targets.len()).unwrap_or(u64::MAX);
        self.fetcher.turn = self.fetcher.turn.wrapping_add(1);
        let place = self.fetcher.turn.checked_rem(count)?;
        let target = targets.into_iter().nth(usize::try_from(place).ok()?);
        target.or(leader)
    }

    fn fetch_request(&self, step: &Step<'_>, offset: i64) -> FetchRequest {
        let partition = FetchPartition {
            partition: 0,
            current_leader_epoch: self.epoch,
            fetch_offset: offset,
            last_fetched_epoch: step.last_epoch(),
            partition_max_bytes: self.timeouts.fetch_max_bytes,
            replica_directory_id: self.directory_id,
            high_watermark: self.high_watermark.unwrap_or(-1),
            ..FetchPartition::default()
        };
        let topic =
            FetchTopic { topic: TOPIC.to_owned(), topic_id: TOPIC_ID, partitions: vec![partition] };
        FetchRequest {
            cluster_id: Some(self.cluster_id.clone()),
            replica_id: self.node_id,
            replica_state: ReplicaState { replica_id: self.node_id, replica_epoch: -1 },
            max_wait_ms: if self.leader_is_proven() { self.timeouts.fetch_max_wait_ms } else { 0 },
            max_bytes: self.timeouts.fetch_max_bytes,
            topics: vec![topic],
            ..FetchRequest::default()
        }
    }

    /// Whether the leader has answered, and nothing speaks against it since. Until then its answer
    /// is wanted at once, even if it has nothing new.
    fn leader_is_proven(&self) -> bool {
        matches!(&self.role, Role::Follower(follower) if follower.fetched && !follower.suspect)
    }

    /// A Fetch was in vain: the next one waits a little.
    pub(super) fn back_off(&mut self, step: &Step<'_>) {
        self.fetcher.leader_failed = true;
        let wait = BACKOFF_MS.0.saturating_mul(1 << self.fetcher.failures.min(10));
        self.fetcher.failures = self.fetcher.failures.saturating_add(1);
        self.fetcher.next_at = step.now.saturating_add(wait.min(BACKOFF_MS.1));
    }

    pub(super) fn handle_fetch_response(
        &mut self,
        step: &mut Step<'_>,
        peer: Option<i32>,
        offset: i64,
        response: &FetchResponse,
    ) {
        // What remains to be done on success sets the time anew.
        self.back_off(step);
        let Some(partition) = messages::fetched(response).filter(|_| response.error_code == 0)
        else {
            return;
        };
        let says = &partition.current_leader;
        let leader = messages::known(says.leader_id);
        let mut endpoints = response.node_endpoints.iter();
        let endpoint = endpoints
            .find(|node| Some(node.node_id) == leader)
            .and_then(|node| Some((node.host.clone(), u16::try_from(node.port).ok()?)));
        let error = ErrorCode::from_code(partition.error_code);
        let from_leader = peer.is_some() && peer == self.leader;
        if from_leader && says.leader_epoch == self.epoch && leader != peer {
            // It has resigned, or was started anew.
            self.suspect_leader(step);
        }
        let current = self.take_leadership(step, error, leader, says.leader_epoch, endpoint);
        if !current || !error.is_ok() || leader != self.leader || self.busy {
            return;
        }
        if let Role::Follower(_) = &self.role
            && offset == step.end()
        {
            self.follow(step, offset, partition);
        }
    }

    /// Does what the leader's answer says.
    fn follow(&mut self, step: &mut Step<'_>, offset: i64, partition: &PartitionData) {
        let known = self.high_watermark.unwrap_or(0);
        let diverging = &partition.diverging_epoch;
        let snapshot = &partition.snapshot_id;
        let mut download = None;
        if diverging.epoch >= 0 {
            let Some(to) = truncation(step, offset, diverging.epoch, diverging.end_offset) else {
                return;
            };
            // What is committed is never given up, whoever asks for it.
            if to < known {
                return;
            }
            step.effects.push(Effect::TruncateTo { offset: to });
            step.truncated = Some(to);
            self.voter_log.truncate_to(to);
            self.synced_end = self.synced_end.min(to);
        } else if snapshot.end_offset >= 0 && snapshot.epoch >= 0 {
            if snapshot.end_offset <= known {
                return;
            }
            let id = SnapshotId { end_offset: snapshot.end_offset, epoch: snapshot.epoch };
            download = Some(Download { id, position: 0 });
        } else if !partition.records.is_empty() {
            let records = partition.records.inline();
            self.busy = true;
            self.fetcher.high_watermark = partition.high_watermark;
            step.effects.push(Effect::AppendFetched { records });
        } else if partition.high_watermark >= 0 {
            self.take_high_watermark(step, partition.high_watermark, offset);
        }
        self.fetcher.succeeded(step.now);
        self.heard_leader(step.now);
        if let Role::Follower(follower) = &mut self.role {
            follower.download = download;
        }
    }

    /// Commits what the leader says is committed, as far as the log reaches.
    fn take_high_watermark(&mut self, step: &mut Step<'_>, leaders: i64, end: i64) {
        self.raise_high_watermark(step, leaders.min(end));
        if leaders <= end {
            self.fetcher.current_at = Some(self.fetcher.sent_at);
        }
    }

    /// The leader has answered.
    pub(super) fn heard_leader(&mut self, now: i64) {
        if let Role::Follower(follower) = &mut self.role {
            follower.fetched = true;
            follower.suspect = false;
            follower.successor = false;
            follower.fetch_deadline = now.saturating_add(self.timeouts.fetch_timeout_ms);
        }
    }

    pub(super) fn handle_fetched(
        &mut self,
        step: &mut Step<'_>,
        end: i64,
        control: &[(i64, ControlRecord)],
    ) {
        self.busy = false;
        self.synced_end = self.synced_end.max(end.min(step.end()));
        self.read_control(control);
        if self.fetcher.high_watermark >= 0 {
            self.take_high_watermark(step, self.fetcher.high_watermark, end);
        }
        self.fetcher.high_watermark = -1;
        // Time spent on this node's own disk is not the leader's.
        if let Role::Follower(follower) = &self.role
            && follower.fetched
            && !follower.suspect
        {
            self.heard_leader(step.now);
        }
    }

    pub(super) fn handle_fetch_failed(&mut self, step: &Step<'_>) {
        self.busy = false;
        self.fetcher.high_watermark = -1;
        if let Role::Follower(follower) = &mut self.role {
            follower.download = None;
        }
        self.back_off(step);
    }
}

/// Where a log that ends at `end` is cut when the leader's `epoch` ends at `end_offset`; none if
/// there is nothing to cut.
fn truncation(step: &Step<'_>, end: i64, epoch: i32, end_offset: i64) -> Option<i64> {
    let start = step.log.start();
    let to = match step.log.end_of_epoch(epoch) {
        Some((own, own_end)) if own == epoch => own_end.min(end_offset),
        Some((_, own_end)) => own_end,
        // The log begins after a snapshot, of which nothing is given up.
        None if epoch_before(step.log, start).is_some_and(|base| base > epoch) => return None,
        None => start,
    };
    (to >= start && to < end).then_some(to)
}

/// First and longest wait after a Fetch in vain.
const BACKOFF_MS: (i64, i64) = (20, 500);
