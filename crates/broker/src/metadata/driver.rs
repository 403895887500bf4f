//! The metadata loop: one thread that owns the metadata log, this node's part in the quorum, and,
//! while this node is the active controller, the decisions.
//!
//! A turn takes what has arrived, lets the cores decide, writes, syncs once for all of it, and
//! carries out effects. Two states are kept: what is committed, which is published, and, at the
//! active controller, what the log's end will be, which decisions read. A decision is answered
//! when its records are committed.

mod follow;
mod lead;
mod room;
mod tend;

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use naru_controller::controller::{BootstrapSettings, BrokerSessions, SessionSettings};
use naru_controller::raft::{
    Effect, Event, Quorum, RaftRequest, RaftResponse, SnapshotPolicy, Unreachable,
};
use naru_controller::topic_name::{CONSUMER_OFFSETS, SHARE_GROUP_STATE, TRANSACTION_STATE};
use naru_controller::{Controller, RecordAndVersion};
use naru_model::{ErrorCode, Timestamp};
use naru_protocol::Records;
use tokio::sync::oneshot;

use super::journal::{Journal, JournalError, Retention};
use super::transport::Transport;
use super::{Leadership, Reaction, Shared};
use crate::metrics::Seldom;
use crate::node::{millis, now};
use room::NoRoom;
use tend::Tending;

/// Inputs taken in one turn, which one sync pays for.
const TURN_MAX: usize = 256;
/// Decisions that may wait for this controller to become active, or to commit.
const WAITING_MAX: usize = 10_000;
/// How long after brokers came or went internal topics are looked after.
const BROKERS_SETTLE_MS: i64 = 3_000;
/// How long the loop sleeps at most.
const IDLE: Duration = Duration::from_secs(1);

/// What the loop is told.
pub(super) enum Input {
    /// Decide something, if this node is the active controller.
    Decide(Job),
    /// A request of the quorum's protocol.
    Raft { version: i16, request: RaftRequest, reply: oneshot::Sender<RaftResponse> },
    /// What came of a request that this node sent.
    Response { request_id: u64, result: Result<RaftResponse, Unreachable> },
    /// The process of this voter is gone.
    PeerGone { id: i32 },
    /// The connection over which this broker's heartbeats came has ended.
    BrokerGone { id: i32, epoch: i64 },
    /// Hand leadership over: the node is about to stop.
    Resign,
    /// The directory of the metadata log has failed: vouch for nothing any more.
    GiveUp(String),
    /// Close the log and end. Whether everything is on the disk.
    Stop(std::sync::mpsc::Sender<bool>),
}

/// What decisions are made from.
pub(crate) struct Deciding<'a> {
    pub(crate) controller: &'a Controller,
    pub(crate) sessions: &'a mut BrokerSessions,
    /// Milliseconds since 1970.
    pub(crate) now: i64,
    /// The offset that the first record of the decision will get.
    pub(crate) next_offset: i64,
    /// Its voters, its `kraft.version`, and whether it could become dynamic.
    pub(crate) quorum: &'a Quorum,
    /// Set if the quorum is to become dynamic before this is answered.
    pub(crate) raise_kraft_version: bool,
}

/// Called when a decision is committed, or will not be.
pub(super) type Done = Box<dyn FnOnce(Result<(), ErrorCode>) + Send>;

/// Makes a decision: the records, and whom to tell.
type Run = Box<dyn FnOnce(&mut Deciding<'_>) -> (Vec<RecordAndVersion>, Done) + Send>;

/// A decision to be made.
pub(super) struct Job {
    pub(super) run: Run,
    /// Told instead, if it cannot be decided here.
    pub(super) refuse: Box<dyn FnOnce(ErrorCode) + Send>,
    /// Whether the answer waits until this node itself has reacted.
    pub(super) after_reaction: bool,
}

/// A decision whose records are not committed yet.
struct Waiting {
    end: i64,
    done: Done,
    after_reaction: bool,
}

/// What the active controller has besides.
struct Active {
    controller: Controller,
    sessions: BrokerSessions,
}

/// See the module.
pub(super) struct Driver {
    journal: Journal,
    quorum: Quorum,
    committed: Controller,
    policy: SnapshotPolicy,
    shared: Arc<Shared>,
    transport: Transport,
    bootstrap: Vec<RecordAndVersion>,
    settings: DriverSettings,
    active: Option<Active>,
    /// Leads, but has not committed anything in its epoch yet.
    leading: bool,
    waiting: VecDeque<Waiting>,
    /// Arrived while this node leads but is not active yet.
    early: VecDeque<Job>,
    replies: HashMap<u64, oneshot::Sender<RaftResponse>>,
    last_token: u64,
    /// Appended since the last sync.
    unsynced: bool,
    clock: Clock,
    /// When internal topics are looked after next: a moment after the brokers have changed.
    internal_topics_due: Option<i64>,
    /// The log cannot be trusted any more; nothing is done but to end.
    failed: bool,
    /// Messages about metadata that the disk refused.
    not_appended: Seldom,
    /// The disk has refused a batch, and no space was found since.
    no_room: Option<NoRoom>,
    tending: Tending,
}

/// A clock that never goes back, near the time of day it began at: people see it in
/// DescribeQuorum, sessions and elections are measured by it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began_ms: i64,
    began: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { began_ms: now().0, began: Instant::now() }
    }

    /// Milliseconds.
    pub(super) fn now(&self) -> i64 {
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.began_ms.saturating_add(passed)
    }
}

/// What the loop is configured with.
#[derive(Debug, Clone)]
pub(super) struct DriverSettings {
    pub(super) node_id: i32,
    pub(super) bootstrap: BootstrapSettings,
    pub(super) sessions: SessionSettings,
    /// `offsets.topic.replication.factor`.
    pub(super) offsets_replication_factor: i16,
    /// `transaction.state.log.replication.factor`.
    pub(super) transactions_replication_factor: i16,
    /// `share.coordinator.state.topic.replication.factor`.
    pub(super) share_state_replication_factor: i16,
    /// `metadata.max.idle.interval.ms`; none writes no NoOpRecords.
    pub(super) idle_interval_ms: Option<i64>,
    /// `delegation.token.expiry.check.interval.ms`; none if there are no tokens.
    pub(super) token_check_interval_ms: Option<i64>,
    /// `metadata.max.retention.*`.
    pub(super) retention: Retention,
}

/// What a loop is made of.
pub(super) struct DriverParts {
    pub(super) journal: Journal,
    pub(super) quorum: Quorum,
    pub(super) committed: Controller,
    pub(super) policy: SnapshotPolicy,
    pub(super) shared: Arc<Shared>,
    pub(super) transport: Transport,
    pub(super) bootstrap: Vec<RecordAndVersion>,
    pub(super) settings: DriverSettings,
    pub(super) clock: Clock,
}

impl Driver {
    pub(super) fn new(parts: DriverParts) -> Self {
        Self {
            journal: parts.journal,
            quorum: parts.quorum,
            committed: parts.committed,
            policy: parts.policy,
            shared: parts.shared,
            transport: parts.transport,
            bootstrap: parts.bootstrap,
            settings: parts.settings,
            active: None,
            leading: false,
            waiting: VecDeque::new(),
            early: VecDeque::new(),
            replies: HashMap::new(),
            last_token: 0,
            unsynced: false,
            clock: parts.clock,
            internal_topics_due: None,
            failed: false,
            not_appended: Seldom::default(),
            no_room: None,
            tending: Tending::new(parts.clock.now()),
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self, inbox: &Receiver<Input>) {
        loop {
            let mut next = match inbox.recv_timeout(self.sleep()) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut taken = 0;
            // A node that stood still must learn that it leads no more before it answers anybody.
            let mut failed = self.tick_if_due();
            while failed.is_ok()
                && let Some(input) = next
            {
                if let Input::Stop(stopped) = input {
                    // Nobody listens if the stop took too long.
                    let _ = stopped.send(self.close());
                    return;
                }
                failed = self.take(input).and_then(|()| self.tell_room());
                taken += 1;
                next = match &failed {
                    Ok(()) if taken < TURN_MAX => inbox.try_recv().ok(),
                    _ => None,
                };
            }
            if let Err(error) = failed.and_then(|()| self.end_turn()) {
                self.fail(&error);
            }
        }
    }

    /// Carries out what the start of the quorum asks for.
    pub(super) fn begin(&mut self, effects: Vec<Effect>) -> Result<(), JournalError> {
        self.execute(effects)?;
        if self.no_room.is_some() {
            return Err(JournalError::storage(&"the disk is full"));
        }
        self.end_turn()
    }

    fn sleep(&self) -> Duration {
        let sessions = self
            .active
            .as_ref()
            .and_then(|active| active.controller.next_deadline(&active.sessions));
        let next = [self.quorum.next_deadline(), sessions, self.next_no_op()];
        let next = next.into_iter().flatten().min();
        let wait = next.map_or(IDLE, |at| millis(at.saturating_sub(self.clock.now())));
        wait.min(IDLE)
    }

    fn take(&mut self, input: Input) -> Result<(), JournalError> {
        if self.failed {
            if let Input::Decide(job) = input {
                (job.refuse)(ErrorCode::KafkaStorageError);
            }
            return Ok(());
        }
        match input {
            Input::Decide(job) => self.decide(job),
            Input::Raft { version, request, reply } => {
                self.last_token += 1;
                let token = self.last_token;
                self.replies.insert(token, reply);
                self.step(Event::Request { token, version, request })
            }
            Input::Response { request_id, result } => {
                self.step(Event::Response { request_id, result })
            }
            Input::PeerGone { id } => self.step(Event::PeerGone { id }),
            Input::BrokerGone { id, epoch } => {
                let Some(active) = &mut self.active else { return Ok(()) };
                let decision =
                    active.controller.decide_broker_gone(&mut active.sessions, id, epoch);
                self.write_or_wait(&decision.records)
            }
            Input::Resign => self.step(Event::Resign),
            Input::GiveUp(reason) => Err(JournalError::storage(&reason)),
            Input::Stop(_) => Ok(()),
        }
    }

    fn tick_if_due(&mut self) -> Result<(), JournalError> {
        let due = self.quorum.next_deadline().is_some_and(|at| at <= self.clock.now());
        if due && !self.failed { self.step(Event::Tick) } else { Ok(()) }
    }

    /// What is due, then one sync for all that was appended.
    fn end_turn(&mut self) -> Result<(), JournalError> {
        if self.failed {
            return Ok(());
        }
        self.step(Event::Tick)?;
        self.tell_room()?;
        if let Some(active) = &mut self.active {
            let time = self.clock.now();
            let decision = active.controller.decide_tick(&mut active.sessions, time);
            self.write_or_wait(&decision.records)?;
        }
        self.look_after_internal_topics()?;
        self.sweep_tokens()?;
        self.show_life()?;
        self.tend();
        self.tell_room()?;
        while self.unsynced {
            self.unsynced = false;
            let end = self.journal.sync()?;
            self.step(Event::Synced { end })?;
        }
        // Voters, and where they are, change without a change of leaders too.
        self.tell_leadership();
        self.tell_age();
        self.drop_unheard();
        Ok(())
    }

    /// Gives internal topics the replicas that they lacked when there were fewer brokers.
    fn look_after_internal_topics(&mut self) -> Result<(), JournalError> {
        let Some(active) = &self.active else { return Ok(()) };
        if self.internal_topics_due.is_none_or(|due| due > self.clock.now()) {
            return Ok(());
        }
        self.internal_topics_due = None;
        let wanted = [
            (CONSUMER_OFFSETS, self.settings.offsets_replication_factor),
            (TRANSACTION_STATE, self.settings.transactions_replication_factor),
            (SHARE_GROUP_STATE, self.settings.share_state_replication_factor),
        ];
        let records = active.controller.decide_raise_internal_topics(&wanted);
        if !records.is_empty() {
            tracing::info!(partitions = records.len(), "internal topics get more replicas");
        }
        self.write_or_wait(&records)
    }

    /// Requests whose connection has gone need no answer.
    fn drop_unheard(&mut self) {
        if self.replies.len() > WAITING_MAX {
            self.replies.retain(|_, reply| !reply.is_closed());
        }
    }

    fn step(&mut self, event: Event) -> Result<(), JournalError> {
        let mut effects = Vec::new();
        self.quorum.step(self.clock.now(), &self.journal, event, &mut effects);
        self.execute(effects)
    }

    fn execute(&mut self, effects: Vec<Effect>) -> Result<(), JournalError> {
        for effect in effects {
            self.carry_out(effect)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), JournalError> {
        match effect {
            Effect::SaveState(state) => {
                let text = self.quorum.state_json(&state);
                let written = self.journal.folder().write_state(&text);
                written.map_err(|error| JournalError::file(&error))
            }
            Effect::Send { request_id, to, version, request } => {
                self.transport.send(request_id, to, version, request);
                Ok(())
            }
            Effect::Reply { token, response } => {
                self.reply(token, response);
                Ok(())
            }
            Effect::ReplyFetch { token, mut response, read } => {
                if let Some(plan) = read {
                    let max = usize::try_from(plan.max_bytes).unwrap_or(0);
                    let bytes = self.journal.read(plan.from, max)?;
                    let partition =
                        response.responses.first_mut().and_then(|t| t.partitions.first_mut());
                    if let Some(partition) = partition {
                        partition.records = Records::Inline(bytes);
                    }
                }
                self.reply(token, RaftResponse::Fetch(response));
                Ok(())
            }
            Effect::ReplySnapshot { token, mut response, read } => {
                if let Some(plan) = read {
                    let max = usize::try_from(plan.max_bytes).unwrap_or(0);
                    let position = u64::try_from(plan.position).unwrap_or(u64::MAX);
                    let part = self.journal.read_snapshot(plan.id, position, max)?;
                    let partition =
                        response.topics.first_mut().and_then(|t| t.partitions.first_mut());
                    if let Some(partition) = partition {
                        match part {
                            Some((bytes, size)) => {
                                partition.size = i64::try_from(size).unwrap_or(i64::MAX);
                                partition.unaligned_records = Records::Inline(bytes);
                            }
                            None => partition.error_code = ErrorCode::SnapshotNotFound.code(),
                        }
                    }
                }
                self.reply(token, RaftResponse::FetchSnapshot(response));
                Ok(())
            }
            Effect::AppendControl { epoch, records } => {
                let log_end = match self.journal.append_control(epoch, &records) {
                    Ok(log_end) => log_end,
                    Err(error) => return self.mind_full(Err(error), true),
                };
                if let Some(active) = &mut self.active {
                    active.controller.advance_to(log_end, epoch);
                }
                self.unsynced = true;
                self.step(Event::Appended { log_end })
            }
            Effect::AppendFetched { records } => self.follow(&records),
            Effect::TruncateTo { offset } => self.journal.truncate(offset),
            Effect::SnapshotChunk { id, position, bytes, last } => {
                self.take_chunk(id, position, &bytes, last)
            }
            Effect::BecameLeader { epoch } => {
                tracing::info!(epoch, "this node leads the metadata quorum");
                self.leading = true;
                Ok(())
            }
            Effect::LostLeadership { epoch } => {
                tracing::info!(epoch, "this node no longer leads the metadata quorum");
                self.step_down();
                Ok(())
            }
            Effect::LeaderChanged { .. } => {
                self.tell_leadership();
                Ok(())
            }
            Effect::AdvanceHighWatermark { to } => self.commit(to),
        }
    }

    fn reply(&mut self, token: u64, response: RaftResponse) {
        if let Some(reply) = self.replies.remove(&token) {
            // A peer that hung up does not hear its answer.
            let _ = reply.send(response);
        }
    }

    /// Takes over what is committed now, publishes it, and answers who waited for it.
    fn commit(&mut self, to: i64) -> Result<(), JournalError> {
        let policy = &mut self.policy;
        let mut last_time = None;
        self.journal.replay(&mut self.committed, to, |bytes, time: Timestamp| {
            policy.record_committed(bytes as u64, now().0);
            last_time = Some(time);
        })?;
        self.release(to);
        self.tending.committed = last_time.or(self.tending.committed);
        self.take_snapshot_if_due();
        if self.leading && self.active.is_none() {
            self.activate()?;
        }
        Ok(())
    }

    /// Publishes the committed state together with the answers that may go out.
    fn release(&mut self, committed: i64) {
        let mut done = Vec::new();
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.end <= committed) {
            if waiting.after_reaction {
                done.push(waiting.done);
            } else {
                (waiting.done)(Ok(()));
            }
        }
        let published = self.committed.publish();
        if !published.delta.brokers_changed.is_empty() {
            self.internal_topics_due = Some(self.clock.now() + BROKERS_SETTLE_MS);
        }
        self.shared.publish(Reaction {
            image: published.image,
            delta: published.delta,
            again: false,
            done,
        });
    }

    fn tell_leadership(&self) {
        self.shared.tell(Leadership {
            leader: self.quorum.leader(),
            epoch: self.quorum.epoch(),
            endpoint: self.quorum.leader_endpoint().map(|(host, port)| (host.to_owned(), port)),
            active_here: self.active.is_some(),
            voters: self.quorum.voters().len(),
            kraft_version: self.quorum.kraft_version().level(),
        });
    }

    /// Everything committed that this node has heard of is published.
    fn tell_age(&self) {
        let now = self.clock.now();
        if let Some(at) = self.quorum.current_at(now) {
            let at = Instant::now().checked_sub(millis(now.saturating_sub(at)));
            *self.shared.current_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
        }
    }

    /// The metadata log cannot be written: this node cannot vouch for anything any more.
    fn fail(&mut self, error: &JournalError) {
        tracing::error!("the metadata log cannot be used: {error}");
        self.failed = true;
        self.step_down();
        self.shared.fail(format!("the metadata log cannot be used: {error}"));
    }

    fn close(&mut self) -> bool {
        self.step_down();
        match self.journal.close() {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("the metadata log is not closed: {error}");
                false
            }
        }
    }
}
