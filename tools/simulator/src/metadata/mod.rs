//! The metadata loop of a simulated node: the production quorum core and controller, executed as
//! `broker::metadata::driver` does.
//!
//! Different from there: a sync at the end of a turn takes simulated time, in which inputs wait;
//! nothing is sent in envelopes.

mod decide;
mod effects;
mod journal;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use naru_controller::batch::snapshot;
use naru_controller::controller::{BrokerSessions, SessionSettings};
use naru_controller::raft::{
    Event, LogView as _, Quorum, QuorumStart, QuorumTimeouts, RaftRequest, SnapshotId,
    SnapshotPolicy, Unreachable, Voter, VoterEndpoint,
};
use naru_controller::{Controller, MetadataDelta, MetadataImage, RecordAndVersion};
use naru_model::{Timestamp, Uuid};

use journal::is_full;
pub(crate) use journal::{Journal, format};

use crate::env::{Env, NodeEvent};
use crate::message::{ControllerRequest, ControllerResponse, Response, Rpc, Ticket};
use crate::settings::{Mutation, times};
use crate::trace::note;
use journal::Item;

/// Inputs taken in one turn.
const TURN_MAX: usize = 256;
/// How long the loop sleeps at most.
const IDLE_MS: i64 = 1000;
/// `controller.quorum.fetch.max.bytes`: small, so that fetches take several rounds.
const FETCH_MAX_BYTES: i32 = 16 * 1024;
/// First port of the controller listeners.
const PORTS: u16 = 9000;
pub(crate) const CLUSTER: &str = "simulated";

/// What the loop is told.
#[derive(Debug)]
pub(crate) enum Input {
    Decide {
        ticket: Ticket,
        request: Box<ControllerRequest>,
    },
    Raft {
        ticket: Ticket,
        request: Box<RaftRequest>,
    },
    Response {
        request_id: u64,
        result: Box<Result<naru_controller::raft::RaftResponse, Unreachable>>,
    },
    PeerGone {
        id: i32,
    },
    BrokerGone {
        id: i32,
        epoch: i64,
    },
    Resign,
}

/// A published state, with the answers that may go out once this node has reacted to it.
#[derive(Debug)]
pub(crate) struct Reaction {
    pub(crate) image: Arc<MetadataImage>,
    pub(crate) delta: MetadataDelta,
    pub(crate) done: Vec<(Ticket, ControllerResponse)>,
}

/// Who leads the quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Leadership {
    pub(crate) leader: Option<i32>,
    pub(crate) epoch: i32,
    /// This node is the active controller.
    pub(crate) active_here: bool,
    pub(crate) voters: usize,
}

/// A decision whose records are not committed yet.
#[derive(Debug)]
struct Waiting {
    end: i64,
    ticket: Ticket,
    response: ControllerResponse,
    after_reaction: bool,
}

#[derive(Debug)]
struct Active {
    controller: Controller,
    sessions: BrokerSessions,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct MetadataLoop {
    pub(crate) journal: Journal,
    pub(crate) quorum: Quorum,
    pub(crate) committed: Controller,
    pub(crate) image: Arc<MetadataImage>,
    pub(crate) reactions: VecDeque<Reaction>,
    pub(crate) leadership: Leadership,
    /// Registrations whose last process is known to be gone.
    pub(crate) lost: BTreeMap<i32, i64>,
    /// Brokers that the new active controller has to look after.
    pub(crate) to_probe: Vec<(i32, i64)>,
    /// Requests to other voters, by the number of the network.
    pub(crate) sent: BTreeMap<Rpc, u64>,
    policy: SnapshotPolicy,
    active: Option<Active>,
    leading: bool,
    waiting: VecDeque<Waiting>,
    early: VecDeque<(Ticket, Box<ControllerRequest>)>,
    replies: BTreeMap<u64, Ticket>,
    last_token: u64,
    unsynced: bool,
    inbox: VecDeque<Input>,
    /// A sync is under way.
    busy: bool,
    /// When the next turn is planned for.
    turn_at: Option<i64>,
}

pub(crate) fn endpoint(id: i32) -> VoterEndpoint {
    let port = PORTS + u16::try_from(id).unwrap_or(0);
    VoterEndpoint { name: "CONTROLLER".to_owned(), host: "sim".to_owned(), port }
}

pub(crate) fn directory(id: i32) -> Uuid {
    Uuid(5000 + u128::from(id.unsigned_abs()))
}

pub(crate) fn voter(id: i32, directory_id: Uuid) -> Voter {
    Voter { id, directory_id, endpoints: vec![endpoint(id)] }
}

impl MetadataLoop {
    /// Opens the log and takes up this node's part in the quorum.
    pub(crate) fn start(env: &mut Env<'_>, clean: bool) -> Result<Self, String> {
        let settings = env.settings;
        let empty = Controller::new(env.node, Arc::default());
        let opened = Journal::open(env.disk, settings.segment_bytes, clean, empty, env.wall())?;
        let (mut committed, journal) = (opened.committed, opened.journal);
        let forget = settings.has(Mutation::ForgetVote);
        let fixed = (1..=settings.voters).map(|id| voter(id, Uuid::ZERO));
        let bootstrap = (1..=settings.voters).map(|id| (endpoint(id).host, endpoint(id).port));
        let start = QuorumStart {
            node_id: env.node,
            directory_id: directory(env.node),
            cluster_id: CLUSTER.to_owned(),
            can_vote: true,
            listeners: vec![endpoint(env.node)],
            bootstrap: if settings.dynamic { bootstrap.collect() } else { Vec::new() },
            static_voters: if settings.dynamic { Vec::new() } else { fixed.collect() },
            state: opened.state.filter(|_| !forget),
            voter_log: opened.voters,
            timeouts: QuorumTimeouts {
                fetch_max_bytes: FETCH_MAX_BYTES,
                request_timeout_ms: times::QUORUM_TIMEOUT_MS,
                ..QuorumTimeouts::default()
            },
            auto_join: false,
            seed: env.random.any(),
            now_ms: env.steady(),
        };
        let mut effects = Vec::new();
        let quorum = Quorum::start(start, &journal, &mut effects).map_err(|e| e.to_string())?;
        let image = committed.publish().image;
        let mut this = Self {
            journal,
            quorum,
            committed,
            image,
            reactions: VecDeque::new(),
            leadership: Leadership::default(),
            lost: BTreeMap::new(),
            to_probe: Vec::new(),
            sent: BTreeMap::new(),
            policy: SnapshotPolicy::new(settings.snapshot_bytes, 0),
            active: None,
            leading: false,
            waiting: VecDeque::new(),
            early: VecDeque::new(),
            replies: BTreeMap::new(),
            last_token: 0,
            unsynced: false,
            inbox: VecDeque::new(),
            busy: false,
            turn_at: None,
        };
        this.execute(env, effects)?;
        this.end_turn(env)?;
        Ok(this)
    }

    /// Puts something into the inbox.
    pub(crate) fn tell(&mut self, env: &mut Env<'_>, input: Input) {
        self.inbox.push_back(input);
        self.plan_turn(env, env.now);
    }

    fn plan_turn(&mut self, env: &mut Env<'_>, at: i64) {
        let at = at.max(env.now);
        if self.busy || self.turn_at.is_some_and(|planned| planned <= at && planned >= env.now) {
            return;
        }
        self.turn_at = Some(at);
        env.later(at - env.now, NodeEvent::MetadataTurn);
    }

    /// Takes what has come.
    pub(crate) fn turn(&mut self, env: &mut Env<'_>) -> Result<(), String> {
        if self.busy || self.turn_at.is_none_or(|at| at > env.now) {
            return Ok(());
        }
        self.turn_at = None;
        for _ in 0..TURN_MAX {
            let Some(input) = self.inbox.pop_front() else { break };
            self.take(env, input)?;
        }
        self.end_turn(env)
    }

    fn take(&mut self, env: &mut Env<'_>, input: Input) -> Result<(), String> {
        match input {
            Input::Decide { ticket, request } => self.decide(env, ticket, request),
            Input::Raft { ticket, request } => {
                self.last_token += 1;
                let token = self.last_token;
                self.replies.insert(token, ticket);
                // The newest versions of all: Fetch 17 is what names directories.
                let version = match &*request {
                    RaftRequest::Fetch(_) => 17,
                    RaftRequest::Vote(_) | RaftRequest::DescribeQuorum(_) => 2,
                    RaftRequest::RemoveRaftVoter(_) | RaftRequest::UpdateRaftVoter(_) => 0,
                    _ => 1,
                };
                self.step(env, Event::Request { token, version, request: *request })
            }
            Input::Response { request_id, result } => {
                self.step(env, Event::Response { request_id, result: *result })
            }
            Input::PeerGone { id } => self.step(env, Event::PeerGone { id }),
            Input::BrokerGone { id, epoch } => {
                let Some(active) = &mut self.active else { return Ok(()) };
                let decision =
                    active.controller.decide_broker_gone(&mut active.sessions, id, epoch);
                forgive_full(self.write(env, decision.records))
            }
            Input::Resign => self.step(env, Event::Resign),
        }
    }

    /// What is due, then one sync for all that was appended.
    fn end_turn(&mut self, env: &mut Env<'_>) -> Result<(), String> {
        self.step(env, Event::Tick)?;
        let now = env.steady();
        if let Some(active) = &mut self.active {
            let decision = active.controller.decide_tick(&mut active.sessions, now);
            forgive_full(self.write(env, decision.records))?;
        }
        // Voters change without a change of leaders, too.
        self.tell_leadership();
        if self.unsynced {
            self.busy = true;
            let takes = env.random.between(0, env.settings.sync_max_ms);
            env.later(takes, NodeEvent::MetadataSynced);
            return Ok(());
        }
        self.rest(env);
        Ok(())
    }

    /// The sync of a turn is done.
    pub(crate) fn synced(&mut self, env: &mut Env<'_>) -> Result<(), String> {
        while self.unsynced {
            self.unsynced = false;
            let end = if env.settings.has(Mutation::VoterSkipsSync) {
                self.journal.end()
            } else {
                self.journal.sync()?
            };
            self.step(env, Event::Synced { end })?;
        }
        self.busy = false;
        self.rest(env);
        Ok(())
    }

    /// Sleeps until something is due.
    fn rest(&mut self, env: &mut Env<'_>) {
        if !self.inbox.is_empty() {
            return self.plan_turn(env, env.now);
        }
        let sessions = self.active.as_ref().and_then(|a| a.controller.next_deadline(&a.sessions));
        let next = [self.quorum.next_deadline(), sessions].into_iter().flatten().min();
        let wait = next.map_or(IDLE_MS, |at| at.saturating_sub(env.steady()).clamp(0, IDLE_MS));
        // A deadline that has passed is looked at in a moment: real loops take time, too.
        self.plan_turn(env, env.now + wait.max(1));
    }

    fn step(&mut self, env: &mut Env<'_>, event: Event) -> Result<(), String> {
        let mut effects = Vec::new();
        self.quorum.step(env.steady(), &self.journal, event, &mut effects);
        self.execute(env, effects)
    }

    /// Decides, writes the records, and lets whoever asked wait for their commit.
    fn decide(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        request: Box<ControllerRequest>,
    ) -> Result<(), String> {
        let now = env.steady();
        let Some(active) = &mut self.active else {
            if self.leading {
                self.early.push_back((ticket, request));
            } else {
                refuse(env, ticket);
            }
            return Ok(());
        };
        let mut deciding = decide::Deciding {
            here: env.node,
            controller: &active.controller,
            sessions: &mut active.sessions,
            now,
            next_offset: self.journal.end(),
            dynamic: env.settings.dynamic,
            hears_majority: self.quorum.hears_majority(env.steady()),
            lost: &self.lost,
            random: env.random,
        };
        let (records, response, after_reaction) = decide::decide(&mut deciding, &request);
        if let Err(error) = self.write(env, records) {
            let code = naru_model::ErrorCode::KafkaStorageError;
            env.answer(ticket, Response::Controller(Err(code)));
            return forgive_full(Err(error));
        }
        if self.active.is_none() {
            // Writing has ended this leadership: what is committed in these places may be others'.
            refuse(env, ticket);
            return Ok(());
        }
        let end = self.journal.end();
        let committed = self.quorum.high_watermark();
        if after_reaction || committed.is_none_or(|committed| committed < end) {
            self.waiting.push_back(Waiting { end, ticket, response, after_reaction });
            if committed.is_some_and(|committed| committed >= end) {
                self.release(env, end);
            }
        } else {
            env.answer(ticket, Response::Controller(Ok(response)));
        }
        Ok(())
    }

    fn write(&mut self, env: &mut Env<'_>, records: Vec<RecordAndVersion>) -> Result<(), String> {
        if records.is_empty() {
            return Ok(());
        }
        let records = decide::mutate(env.settings, &self.committed, records);
        let epoch = self.quorum.epoch();
        let place = self.journal.append_records(epoch, &records, env.wall())?;
        if let Some(active) = &mut self.active {
            for (index, record) in records.iter().enumerate() {
                active
                    .controller
                    .replay(place.after(index), epoch, &record.record)
                    .map_err(|error| format!("a decision cannot be replayed: {error}"))?;
            }
        }
        self.unsynced = true;
        self.step(env, Event::Appended { log_end: place.after(records.len()) })
    }

    /// Takes over what is committed now, publishes it, and answers who waited for it.
    fn commit(&mut self, env: &mut Env<'_>, to: i64) -> Result<(), String> {
        let from = self.committed.image().end_offset();
        self.judge_committed(env, from, to)?;
        let policy = &mut self.policy;
        let now = env.steady();
        self.journal.replay(&mut self.committed, to, |bytes| {
            policy.record_committed(bytes as u64, now);
        })?;
        let (node, active) = (env.node, self.active.as_ref().map(|active| &active.controller));
        let committed = &self.committed;
        if let Some(judge) = env.judge() {
            judge.replayed(node, committed, active);
        }
        self.release(env, to);
        if self.policy.is_due(now) {
            self.take_snapshot(env);
        }
        if self.leading && self.active.is_none() {
            self.activate(env)?;
        }
        Ok(())
    }

    fn judge_committed(&mut self, env: &mut Env<'_>, from: i64, to: i64) -> Result<(), String> {
        let (node, end) = (env.node, self.journal.end());
        let from = from.max(self.journal.start());
        let mut batches = Vec::new();
        if to <= end {
            self.journal.for_each(from, to, |item| {
                if let Item::End(first, next, epoch, bytes) = item {
                    batches.push((first, next, epoch, bytes));
                }
                Ok(())
            })?;
        }
        note!(env, "n{node} metadata committed to {to}");
        let epoch = self.quorum.epoch();
        if let Some(judge) = env.judge() {
            judge.metadata_committed((node, epoch), to, end, &batches);
        }
        Ok(())
    }

    /// Publishes the committed state together with the answers that may go out.
    fn release(&mut self, env: &mut Env<'_>, committed: i64) {
        let mut done = Vec::new();
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.end <= committed) {
            if waiting.after_reaction {
                done.push((waiting.ticket, waiting.response));
            } else {
                env.answer(waiting.ticket, Response::Controller(Ok(waiting.response)));
            }
        }
        let published = self.committed.publish();
        self.publish(env, published.image, published.delta, done);
    }

    fn publish(
        &mut self,
        env: &mut Env<'_>,
        image: Arc<MetadataImage>,
        delta: MetadataDelta,
        done: Vec<(Ticket, ControllerResponse)>,
    ) {
        self.image = Arc::clone(&image);
        self.reactions.push_back(Reaction { image, delta, done });
        let takes = [3, 3, 3, 3, 3, 3, 3, 3, 300, 1500][env.random.below(10)];
        let after = env.random.between(0, takes);
        env.later(after, NodeEvent::React);
    }

    /// The first commit of this leader: all that earlier leaders committed is known now.
    fn activate(&mut self, env: &mut Env<'_>) -> Result<(), String> {
        let controller = self.committed.clone();
        let min_insync_replicas = i32::try_from(env.settings.min_insync_replicas).unwrap_or(1);
        let records = controller.decide_activate(
            &naru_controller::controller::bootstrap_records(),
            naru_controller::controller::BootstrapSettings { min_insync_replicas },
        );
        let settings = SessionSettings {
            session_timeout_ms: times::SESSION_MS,
            leader_imbalance_check_interval_ms: Some(times::BALANCE_MS),
            unclean_election_interval_ms: times::BALANCE_MS,
        };
        let sessions = controller.start_sessions(settings, env.steady());
        let others = controller.image().brokers().filter(|b| !b.fenced && b.id != env.node);
        self.to_probe.extend(others.map(|broker| (broker.id, broker.epoch)));
        note!(env, "n{} active controller of epoch {}", env.node, self.quorum.epoch());
        self.active = Some(Active { controller, sessions });
        self.write(env, records)?;
        self.tell_leadership();
        while let Some((ticket, request)) = self.early.pop_front() {
            self.decide(env, ticket, request)?;
        }
        Ok(())
    }

    fn step_down(&mut self, env: &mut Env<'_>) {
        self.active = None;
        self.leading = false;
        for waiting in std::mem::take(&mut self.waiting) {
            refuse(env, waiting.ticket);
        }
        for (ticket, _) in std::mem::take(&mut self.early) {
            refuse(env, ticket);
        }
        self.tell_leadership();
    }

    fn tell_leadership(&mut self) {
        self.leadership = Leadership {
            leader: self.quorum.leader(),
            epoch: self.quorum.epoch(),
            active_here: self.active.is_some(),
            voters: self.quorum.voters().len(),
        };
    }

    fn take_snapshot(&mut self, env: &mut Env<'_>) {
        let image = self.committed.image();
        let id = SnapshotId { end_offset: image.end_offset(), epoch: image.epoch() };
        let (version, voters) = self.quorum.voters_at(id.end_offset);
        let written = snapshot(image, version, voters, env.wall(), env.wall())
            .map_err(|error| error.to_string())
            .and_then(|bytes| self.journal.write_snapshot(id, &bytes));
        match written {
            Ok(()) => {
                note!(env, "n{} snapshot {id}", env.node);
                self.policy.snapshot_taken();
            }
            Err(error) => note!(env, "n{} no snapshot: {error}", env.node),
        }
    }

    /// Ends cleanly: everything is written and synced.
    pub(crate) fn close(self) -> Result<(), String> {
        self.journal.close()
    }

    /// The time that a record of a snapshot has.
    pub(crate) fn is_active(&self) -> bool {
        self.active.is_some()
    }
}

fn forgive_full(written: Result<(), String>) -> Result<(), String> {
    match written {
        Err(error) if is_full(&error) => Ok(()),
        other => other,
    }
}

fn refuse(env: &mut Env<'_>, ticket: Ticket) {
    let error = naru_model::ErrorCode::NotController;
    env.answer(ticket, Response::Controller(Err(error)));
}

/// The time that a control record carries.
pub(crate) fn first_voters(count: i32) -> Result<Vec<u8>, String> {
    let voters: Vec<Voter> = (1..=count).map(|id| voter(id, directory(id))).collect();
    naru_controller::raft::initial_checkpoint(&voters, Timestamp(0)).map_err(|e| e.to_string())
}
