//! The state machine: its state, the events it takes and the time it waits for.

use std::collections::BTreeMap;

use naru_model::Uuid;

use super::change::kraft_versions;
use super::fetching::Fetcher;
use super::messages::Leadership;
use super::random::Random;
use super::requests::{InFlight, Kind};
use super::role::Role;
use super::{
    ControlRecord, Destination, Effect, ElectionState, Event, KraftVersion, LogView, QuorumError,
    QuorumStart, QuorumTimeouts, RaftRequest, RaftResponse, VotedFor, Voter, VoterEndpoint,
    VoterLog,
};

/// The metadata quorum as one of its nodes knows it.
#[derive(Debug)]
pub struct Quorum {
    pub(super) node_id: i32,
    pub(super) directory_id: Uuid,
    pub(super) cluster_id: String,
    pub(super) can_vote: bool,
    pub(super) listeners: Vec<VoterEndpoint>,
    pub(super) bootstrap: Vec<(String, u16)>,
    pub(super) static_voters: Vec<Voter>,
    pub(super) timeouts: QuorumTimeouts,
    pub(super) auto_join: bool,
    pub(super) random: Random,

    pub(super) voter_log: VoterLog,
    pub(super) epoch: i32,
    pub(super) leader: Option<i32>,
    pub(super) leader_endpoint: Option<(String, u16)>,
    pub(super) voted: Option<VotedFor>,
    pub(super) role: Role,
    pub(super) high_watermark: Option<i64>,
    /// The end of what is on this node's disk.
    pub(super) synced_end: i64,
    /// The shell appends or installs what was fetched: nothing else may happen to the log.
    pub(super) busy: bool,
    pub(super) fetcher: Fetcher,
    pub(super) in_flight: BTreeMap<u64, InFlight>,
    pub(super) next_request_id: u64,
    pub(super) elections_lost: u32,
    pub(super) stopping: bool,
    /// The disk is full: see [`Event::NoRoom`].
    pub(super) no_room: bool,
    announced: (Option<i32>, i32),
}

/// What one step sees and does.
pub(super) struct Step<'a> {
    pub(super) now: i64,
    pub(super) log: &'a dyn LogView,
    pub(super) effects: &'a mut Vec<Effect>,
    /// Where this step cut the log, which `log` does not show yet.
    pub(super) truncated: Option<i64>,
}

impl Step<'_> {
    /// End of the log.
    pub(super) fn end(&self) -> i64 {
        self.truncated.unwrap_or_else(|| self.log.end())
    }

    /// Epoch of the log's last record.
    pub(super) fn last_epoch(&self) -> i32 {
        match self.truncated {
            Some(end) => epoch_before(self.log, end).unwrap_or(0),
            None => self.log.last_epoch(),
        }
    }
}

impl Quorum {
    /// Begins with what the disk says. A node that is the only voter leads at once.
    pub fn start(
        start: QuorumStart,
        log: &dyn LogView,
        effects: &mut Vec<Effect>,
    ) -> Result<Self, QuorumError> {
        let mut random = Random::new(start.seed);
        let state = start.state.unwrap_or_default();
        // The epoch passes that of the log when the state file is lost.
        let known = state.epoch >= log.last_epoch();
        let epoch = state.epoch.max(log.last_epoch());
        let fetcher = Fetcher::new(start.now_ms, random.next());
        let mut quorum = Self {
            node_id: start.node_id,
            directory_id: start.directory_id,
            cluster_id: start.cluster_id,
            can_vote: start.can_vote,
            listeners: start.listeners,
            bootstrap: start.bootstrap,
            static_voters: start.static_voters,
            timeouts: start.timeouts,
            auto_join: start.auto_join,
            random,
            voter_log: start.voter_log,
            epoch,
            leader: None,
            leader_endpoint: None,
            voted: state.voted.filter(|_| known),
            role: Role::Unattached { election_at: i64::MAX },
            // What is in a snapshot is committed.
            high_watermark: log.latest_snapshot().map(|id| id.end_offset).filter(|end| *end > 0),
            synced_end: log.end(),
            busy: false,
            fetcher,
            in_flight: BTreeMap::new(),
            next_request_id: 0,
            elections_lost: 0,
            stopping: false,
            no_room: false,
            announced: (None, epoch),
        };
        quorum.check_membership()?;
        let mut step = Step { now: start.now_ms, log, effects, truncated: None };
        let leader = state.leader.filter(|_| known);
        quorum.resume(&mut step, leader)?;
        quorum.drive(&mut step);
        Ok(quorum)
    }

    fn check_membership(&self) -> Result<(), QuorumError> {
        if self.voters().is_empty() && self.bootstrap.is_empty() {
            return Err(QuorumError::NoVoters);
        }
        let alone = matches!(self.voters(), [only] if only.id == self.node_id);
        if alone && !self.is_voter() && self.discovery_targets().is_empty() {
            let (node_id, directory_id) = (self.node_id, self.directory_id);
            return Err(QuorumError::NotAVoter { node_id, directory_id });
        }
        Ok(())
    }

    /// Takes up the role that this node had when it stopped.
    fn resume(&mut self, step: &mut Step<'_>, leader: Option<i32>) -> Result<(), QuorumError> {
        let alone = self.is_voter() && self.voters().len() == 1;
        if alone {
            if self.epoch == i32::MAX {
                return Err(QuorumError::EpochExhausted(self.epoch));
            }
            self.become_candidate(step);
            return Ok(());
        }
        if leader == Some(self.node_id) {
            // It led this epoch: its vote in it is given, and nobody else leads in it.
            self.voted = Some(self.own_vote());
        }
        let endpoint = leader.and_then(|id| self.voter_endpoint(id));
        match (leader, endpoint) {
            (Some(id), Some(endpoint)) if id != self.node_id => {
                self.become_follower(step, self.epoch, id, endpoint);
            }
            _ => {
                // Nobody is disturbed by an early pre-vote.
                let election_at = step
                    .now
                    .saturating_add(self.random.between(FIRST_ELECTION_MS.0, FIRST_ELECTION_MS.1));
                self.role = Role::Unattached { election_at };
            }
        }
        Ok(())
    }

    /// Takes an event in; what has to be done is pushed to `effects`.
    pub fn step(
        &mut self,
        now_ms: i64,
        log: &dyn LogView,
        event: Event,
        effects: &mut Vec<Effect>,
    ) {
        let mut step = Step { now: now_ms, log, effects, truncated: None };
        match event {
            Event::Tick | Event::Appended { .. } => {}
            Event::Request { token, version, request } => {
                self.handle_request(&mut step, token, version, request);
            }
            Event::Response { request_id, result } => {
                if let Some(sent) = self.in_flight.remove(&request_id) {
                    self.handle_response(&mut step, sent, result.ok());
                }
            }
            Event::PeerGone { id } => self.handle_peer_gone(&step, id),
            Event::Synced { end } => {
                self.synced_end = self.synced_end.max(end.min(log.end()));
                self.advance_high_watermark(&mut step);
            }
            Event::Fetched { end, control } => self.handle_fetched(&mut step, end, &control),
            Event::FetchFailed => self.handle_fetch_failed(&step),
            Event::SnapshotInstalled { id, control } => {
                self.handle_snapshot_installed(&mut step, id, &control);
            }
            Event::Resign => self.handle_resign(&mut step),
            Event::NoRoom { control } => self.handle_no_room(&mut step, control),
            Event::Room => self.handle_room(&step),
        }
        self.drive(&mut step);
    }

    fn handle_request(
        &mut self,
        step: &mut Step<'_>,
        token: u64,
        version: i16,
        request: RaftRequest,
    ) {
        let response = match request {
            RaftRequest::Vote(request) => RaftResponse::Vote(self.handle_vote(step, &request)),
            RaftRequest::BeginQuorumEpoch(request) => {
                RaftResponse::BeginQuorumEpoch(self.handle_begin(step, &request))
            }
            RaftRequest::EndQuorumEpoch(request) => {
                RaftResponse::EndQuorumEpoch(self.handle_end(step, &request))
            }
            RaftRequest::Fetch(request) => return self.handle_fetch(step, token, &request),
            RaftRequest::FetchSnapshot(request) => {
                return self.handle_fetch_snapshot(step, token, &request);
            }
            RaftRequest::AddRaftVoter(request) => {
                return self.handle_add_voter(step, token, &request);
            }
            RaftRequest::RemoveRaftVoter(request) => {
                return self.handle_remove_voter(step, token, &request);
            }
            RaftRequest::UpdateRaftVoter(request) => {
                RaftResponse::UpdateRaftVoter(self.handle_update_voter(step, &request))
            }
            RaftRequest::ApiVersions(_) => RaftResponse::ApiVersions(kraft_versions()),
            RaftRequest::DescribeQuorum(request) => {
                RaftResponse::DescribeQuorum(self.handle_describe(step, version, &request))
            }
        };
        step.effects.push(Effect::Reply { token, response });
    }

    /// Does what time and state ask for: at the end of every step.
    fn drive(&mut self, step: &mut Step<'_>) {
        self.expire_requests(step);
        self.drive_election(step);
        self.drive_leader(step);
        self.drive_follower(step);
        self.drive_fetch(step);
        if self.announced != (self.leader, self.epoch) {
            self.announced = (self.leader, self.epoch);
            let (leader, epoch) = self.announced;
            step.effects.push(Effect::LeaderChanged { leader, epoch });
        }
    }

    /// When [`Event::Tick`] is due, at the latest.
    pub fn next_deadline(&self) -> Option<i64> {
        let voter = self.may_stand() && !self.busy && !self.stopping && !self.no_room;
        let role = match &self.role {
            Role::Unattached { election_at } => voter.then_some(*election_at),
            Role::Follower(follower) => {
                let election = voter.then_some(follower.fetch_deadline);
                let update = follower.fetched.then_some(follower.update_at);
                election.into_iter().chain(update).min()
            }
            Role::Prospective(campaign) | Role::Candidate(campaign) => {
                campaign.retry_at().into_iter().chain([campaign.deadline]).min()
            }
            Role::Leader(leader) => self.leader_deadline(leader),
            Role::Resigned { until } => (!self.stopping).then_some(*until),
        };
        let requests = self.in_flight.values().map(|sent| sent.deadline);
        requests.chain(role).chain(self.next_fetch_at()).filter(|at| *at < i64::MAX).min()
    }

    /// The current epoch: the controller's, while this node leads.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The epoch's leader, if known.
    pub fn leader(&self) -> Option<i32> {
        self.leader
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Where the leader listens, if known.
    pub fn leader_endpoint(&self) -> Option<(&str, u16)> {
        self.leader_endpoint.as_ref().map(|(host, port)| (host.as_str(), *port))
    }

    /// End of the committed log, if known.
    pub fn high_watermark(&self) -> Option<i64> {
        self.high_watermark
    }

    /// When this node last knew everything that was committed, as far as its leader knew; a leader
    /// knows by itself. Milliseconds.
    pub fn current_at(&self, now: i64) -> Option<i64> {
        match &self.role {
            Role::Leader(leader) => leader.committed.map(|_| now),
            _ => self.fetcher.current_at(),
        }
    }

    /// kraft.version and voters of the log that ends at `end`: what a snapshot there holds.
    pub fn voters_at(&self, end: i64) -> (KraftVersion, &[Voter]) {
        self.voter_log.at(end)
    }

    /// The name of the state this node is in, as Kafka's metric `current-state` has it.
    pub fn state_name(&self) -> &'static str {
        match (&self.role, self.is_voter()) {
            (Role::Unattached { .. }, true) if self.voted.is_some() => "unattached-voted",
            (Role::Unattached { .. }, true) => "unattached",
            (Role::Prospective(_), _) => "prospective",
            (Role::Candidate(_), _) => "candidate",
            (Role::Leader(_), _) => "leader",
            (Role::Resigned { .. }, _) => "resigned",
            (Role::Follower(_), true) => "follower",
            (Role::Unattached { .. } | Role::Follower(_), false) => "observer",
        }
    }

    /// The text of the quorum-state file for a state that [`Effect::SaveState`] carries.
    pub fn state_json(&self, state: &ElectionState) -> String {
        let ids: Vec<i32> = self.voters().iter().map(|voter| voter.id).collect();
        state.to_json(self.kraft_version(), &ids)
    }

    pub(super) fn leadership(&self) -> Leadership {
        Leadership {
            leader: self.leader,
            epoch: self.epoch,
            endpoint: self.leader_endpoint.clone(),
        }
    }

    pub(super) fn is_other_cluster(&self, cluster_id: Option<&str>) -> bool {
        cluster_id.is_some_and(|id| id != self.cluster_id)
    }

    pub(super) fn send(
        &mut self,
        step: &mut Step<'_>,
        to: Destination,
        timeout_ms: i64,
        request: RaftRequest,
        kind: Kind,
    ) {
        let request_id = self.next_request_id;
        self.next_request_id = self.next_request_id.wrapping_add(1);
        let deadline = step.now.saturating_add(timeout_ms);
        self.in_flight.insert(request_id, InFlight { peer: to.id, deadline, kind });
        step.effects.push(Effect::Send { request_id, to, version: None, request });
    }

    pub(super) fn read_control(&mut self, control: &[(i64, ControlRecord)]) {
        for (offset, record) in control {
            self.voter_log.read_log(*offset, record);
        }
    }
}

/// Epoch of the record before `offset`, be it in the log or the last of a snapshot.
pub(super) fn epoch_before(log: &dyn LogView, offset: i64) -> Option<i32> {
    let last = offset.checked_sub(1).filter(|last| *last >= 0)?;
    log.epoch_at(last)
        .or_else(|| log.latest_snapshot().filter(|id| id.end_offset == offset).map(|id| id.epoch))
}

/// A voter that starts without a leader asks for pre-votes after this long.
const FIRST_ELECTION_MS: (i64, i64) = (20, 200);
