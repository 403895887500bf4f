//! One shard and what surrounds it: its partition, who waits for it, its timer. `load` fills it
//! with what its log has, `write` appends what it writes and tells it what became of that.

mod load;
mod write;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use naru_controller::controller::broker_lease_ms;
use naru_coordinators::{Identity, Outcome, ReplyToken, Shard};
use naru_log::{Verification, VerificationGuard};
use naru_model::{ErrorCode, Timestamp};
use naru_records::Compression;
use tokio::sync::{Notify, mpsc, oneshot};

use super::clock::ShardClock;
use crate::node::{self, Node, millis};
use crate::partition::Partition;
use write::{Pending, stamp};

/// Requests that may wait in one shard; more are told to come back.
const WAITING_MAX: usize = 100_000;
/// What nobody waits for may wait for the shard's loading; more is dropped.
const TOLD_EARLY_MAX: usize = 10_000;
/// Pause before a coordinator that answers nobody looks whether it may again.
const AWAY_PAUSE: Duration = Duration::from_millis(200);

/// What one kind of shard needs of its shell.
pub(crate) trait Hosted:
    Shard<Command: Debug + Send, Reply: Debug + Send, Effect: Debug + Send>
    + Debug
    + Send
    + Sized
    + 'static
{
    /// The internal topic.
    const TOPIC: &'static str;

    /// A shard with the node's settings, to be loaded.
    fn empty(node: &Node, partition: &Partition) -> Self;

    /// The codec of its batches.
    fn compression(node: &Node) -> Compression;

    /// Takes over what brokers are configured with now.
    fn reconfigure_from(&mut self, node: &Node, partition: &Partition);

    /// Gives a loaded shard the metadata of now, if it needs any; what changes from now on it is
    /// told.
    fn prepare(&mut self, _node: &Node) {}

    /// Does what is neither an answer nor a write. The shard's lock is held.
    /// `load` says of which time the shard wants it.
    fn carry_out(host: &Arc<ShardHost<Self>>, node: &Arc<Node>, effect: Self::Effect, load: Load);
}

/// How often a shard has been loaded: what was begun for it before it was read again is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load(u64);

/// Hosts one shard.
#[derive(Debug)]
pub(crate) struct ShardHost<S: Hosted> {
    partition: Arc<Partition>,
    leader_epoch: AtomicI32,
    compression: Compression,
    /// For the tasks that bring back the results of writes, and for effects.
    node: Weak<Node>,
    this: Weak<Self>,
    core: Mutex<Core<S>>,
    timer_moved: Notify,
    /// Results of writes on their way back to the shard, in the order of the writes.
    pending: mpsc::UnboundedSender<Pending>,
}

#[derive(Debug)]
struct Core<S: Hosted> {
    shard: S,
    clock: ShardClock,
    loaded: Result<(), ErrorCode>,
    waiting: HashMap<ReplyToken, oneshot::Sender<S::Reply>>,
    last_token: u64,
    /// Writes handed to `pending` and not given back.
    unsettled: usize,
    /// What the log has may be more than the shard knew of: it is read again when all is settled.
    reloads: bool,
    /// A timer of an earlier time ends.
    load: Load,
    /// Since when nobody is answered, because another broker may have taken this one's place.
    away_since: Option<Timestamp>,
    /// What the shard was told while it was loading.
    told_early: Vec<S::Command>,
}

impl<S: Hosted> ShardHost<S> {
    pub(super) fn new(node: &Arc<Node>, partition: Arc<Partition>, leader_epoch: i32) -> Arc<Self> {
        let shard = S::empty(node, &partition);
        let (pending, results) = mpsc::unbounded_channel();
        let host = Arc::new_cyclic(|this| Self {
            partition,
            leader_epoch: AtomicI32::new(leader_epoch),
            compression: S::compression(node),
            node: Arc::downgrade(node),
            this: Weak::clone(this),
            core: Mutex::new(Core {
                shard,
                clock: ShardClock::new(),
                loaded: Err(ErrorCode::CoordinatorLoadInProgress),
                waiting: HashMap::new(),
                last_token: 0,
                unsettled: 0,
                reloads: false,
                load: Load(0),
                away_since: None,
                told_early: Vec::new(),
            }),
            timer_moved: Notify::new(),
            pending,
        });
        node.background().spawn(Self::settle_writes(Arc::downgrade(&host), results));
        host
    }

    /// Whether this is the shard of `partition`, which this broker has led without a break up to
    /// `leader_epoch`: every change of leaders counts the epoch up.
    pub(super) fn hosts(&self, partition: &Arc<Partition>, leader_epoch: i32) -> bool {
        let known = self.leader_epoch.swap(leader_epoch, Ordering::AcqRel);
        Arc::ptr_eq(&self.partition, partition) && leader_epoch - known <= 1
    }

    pub(super) fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    fn core(&self) -> MutexGuard<'_, Core<S>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leader epoch of the partition, which is the coordinator's in what it decides; none if
    /// the shard has been given up or read again since `load`.
    pub(super) fn leads_in(&self, load: Load) -> Option<i32> {
        let core = self.core();
        let is_same = core.loaded.is_ok() && core.load == load;
        is_same.then(|| self.leader_epoch.load(Ordering::Acquire))
    }

    /// Lets the shard know something that it neither writes nor answers.
    pub(super) fn teach(&self, teach: impl FnOnce(&mut S)) {
        teach(&mut self.core().shard);
    }

    /// Takes over what brokers are configured with now.
    pub(super) fn reconfigure(&self, node: &Node) {
        self.core().shard.reconfigure_from(node, &self.partition);
    }

    /// Gives the shard up: whoever waits is told to look for the coordinator again.
    pub(super) fn unload(&self) {
        let mut core = self.core();
        let now = core.now();
        core.loaded = Err(ErrorCode::NotCoordinator);
        let outcome = core.shard.unload();
        self.carry_out(&mut core, now, outcome);
    }

    /// Asks the shard and waits for its answer.
    pub(super) async fn ask(&self, command: S::Command) -> Result<S::Reply, ErrorCode> {
        let answer = self.submit(command)?;
        // A sender is dropped unanswered only when the node stops.
        answer.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }

    /// Tells the shard something, as soon as it is loaded; nobody waits for an answer.
    pub(super) fn tell(&self, command: S::Command) {
        let mut core = self.core();
        match core.loaded {
            Ok(()) => self.hand_over(&mut core, command, Verification::NotNeeded, None),
            Err(ErrorCode::CoordinatorLoadInProgress) => {
                if core.told_early.len() < TOLD_EARLY_MAX {
                    core.told_early.push(command);
                }
            }
            Err(_) => {}
        }
    }

    /// Tells the shard what came of something it wanted, unless it was read again since `load`.
    pub(super) fn tell_in(&self, load: Load, command: S::Command) {
        let mut core = self.core();
        if core.loaded.is_ok() && core.load == load {
            self.hand_over(&mut core, command, Verification::NotNeeded, None);
        }
    }

    /// The guard that a write has to bring which begins this producer's transaction in the shard's
    /// partition, once its coordinator has said yes; none if it has begun there.
    pub(super) fn begin_verification(
        &self,
        producer: Identity,
        bumps_epochs: bool,
    ) -> Result<Option<VerificationGuard>, ErrorCode> {
        self.partition.begin_verification(stamp(producer), bumps_epochs, node::now())
    }

    /// Hands a command to the shard; the answer comes through the channel.
    pub(super) fn submit(
        &self,
        command: S::Command,
    ) -> Result<oneshot::Receiver<S::Reply>, ErrorCode> {
        self.submit_verified(command, Verification::NotNeeded)
    }

    /// The same; what the shard writes at once as part of a transaction brings `verification`.
    pub(super) fn submit_verified(
        &self,
        command: S::Command,
        verification: Verification,
    ) -> Result<oneshot::Receiver<S::Reply>, ErrorCode> {
        let contact = self.check_contact();
        let mut core = self.core();
        core.keep_time(contact.is_ok());
        contact?;
        core.loaded?;
        if core.waiting.len() >= WAITING_MAX {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let (sender, receiver) = oneshot::channel();
        self.hand_over(&mut core, command, verification, Some(sender));
        Ok(receiver)
    }

    fn hand_over(
        &self,
        core: &mut Core<S>,
        command: S::Command,
        verification: Verification,
        waiting: Option<oneshot::Sender<S::Reply>>,
    ) {
        core.last_token += 1;
        let token = ReplyToken(core.last_token);
        if let Some(sender) = waiting {
            core.waiting.insert(token, sender);
        }
        let now = core.now();
        let deadline = core.shard.next_deadline();
        let outcome = core.shard.handle(now, token, command);
        self.carry_out_verified(core, now, outcome, verification);
        if core.shard.next_deadline() != deadline {
            self.timer_moved.notify_one();
        }
    }

    /// A broker whose lease is over is coordinator no longer: another may have gone on from what
    /// this one knows. Heard again, it first has to learn whether one has, and to have seen that
    /// itself.
    fn check_contact(&self) -> Result<(), ErrorCode> {
        let node = self.node.upgrade().ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let session_ms = node.config().cluster.session_timeout_ms;
        let lease = millis(broker_lease_ms(session_ms));
        let leads = || {
            let image = node.image();
            let partition = image.partition(self.partition.topic(), self.partition.index());
            partition.is_some_and(|partition| partition.leader == Some(node.id()))
        };
        let metadata = node.metadata();
        if node.registration().is_in_contact(session_ms) && metadata.is_current(lease) && leads() {
            Ok(())
        } else {
            Err(ErrorCode::NotCoordinator)
        }
    }

    /// Does what a step of the shard asks for, and what follows from it.
    fn carry_out(&self, core: &mut Core<S>, now: Timestamp, outcome: Outcome<S::Reply, S::Effect>) {
        self.carry_out_verified(core, now, outcome, Verification::NotNeeded);
    }

    fn carry_out_verified(
        &self,
        core: &mut Core<S>,
        now: Timestamp,
        outcome: Outcome<S::Reply, S::Effect>,
        verification: Verification,
    ) {
        let mut outcomes = vec![outcome];
        while let Some(outcome) = outcomes.pop() {
            for (token, reply) in outcome.replies {
                if let Some(sender) = core.waiting.remove(&token) {
                    // A client that hung up does not hear its answer.
                    let _ = sender.send(reply);
                }
            }
            for write in outcome.writes {
                if let Some(result) = self.append(core, &write, verification, now) {
                    outcomes.push(core.shard.on_written(now, write.id, result));
                }
            }
            for effect in outcome.effects {
                if let (Some(this), Some(node)) = (self.this.upgrade(), self.node.upgrade()) {
                    S::carry_out(&this, &node, effect, core.load);
                }
            }
            if outcome.in_doubt && core.loaded.is_ok() {
                outcomes.push(self.give_up_in_doubt(core));
            }
        }
        self.read_again_when_settled(core);
    }

    /// The shard may differ from the log, and is read again when all its writes are settled.
    fn give_up_in_doubt(&self, core: &mut Core<S>) -> Outcome<S::Reply, S::Effect> {
        tracing::warn!(partition = %self.partition.name(), "read again: a write is in doubt");
        core.loaded = Err(ErrorCode::CoordinatorLoadInProgress);
        core.reloads = true;
        core.shard.unload()
    }

    fn read_again_when_settled(&self, core: &mut Core<S>) {
        if core.reloads && core.unsettled == 0 {
            core.reloads = false;
            if let (Some(host), Some(node)) = (self.this.upgrade(), self.node.upgrade()) {
                Self::load(&host, &node);
            }
        }
    }

    /// Does what is due, if anybody could have been heard of; whether that was so.
    fn tick(&self) -> bool {
        let contact = self.check_contact().is_ok();
        let mut core = self.core();
        let now = core.keep_time(contact);
        if contact {
            let outcome = core.shard.tick(now);
            self.carry_out(&mut core, now, outcome);
        }
        contact
    }

    /// Ticks the shard whenever its next deadline has come, as long as the node lives and has it.
    async fn run_timer(host: Arc<Self>, load: Load) {
        /// How long a shard without deadlines sleeps at most.
        const IDLE: Duration = Duration::from_secs(60);
        while host.node.strong_count() > 0 {
            let (now, deadline) = {
                let mut core = host.core();
                if core.loaded.is_err() || core.load != load {
                    return;
                }
                (core.now(), core.shard.next_deadline())
            };
            let wait = deadline.map_or(IDLE, |deadline| millis(deadline.0 - now.0).min(IDLE));
            if wait.is_zero() {
                if host.tick() {
                    // A deadline that a tick cannot clear must not keep the thread.
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(AWAY_PAUSE).await;
                }
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = host.timer_moved.notified() => {}
            }
        }
    }
}

impl<S: Hosted> Core<S> {
    /// The time. What waits does not notice that the clock was set.
    fn now(&mut self) -> Timestamp {
        let (now, step_ms) = self.clock.look();
        if step_ms != 0 {
            tracing::info!(step_ms, "the clock was set: deadlines of a coordinator move along");
            self.shard.clock_was_set(step_ms);
            self.away_since = self.away_since.map(|at| Timestamp(at.0.saturating_add(step_ms)));
        }
        now
    }

    /// While nobody is answered nobody can be late: deadlines move by as much. The time.
    fn keep_time(&mut self, contact: bool) -> Timestamp {
        let now = self.now();
        match self.away_since {
            None if !contact => self.away_since = Some(now),
            Some(since) if contact => {
                self.away_since = None;
                self.shard.postpone(now.0.saturating_sub(since.0).max(0));
            }
            _ => {}
        }
        now
    }
}
