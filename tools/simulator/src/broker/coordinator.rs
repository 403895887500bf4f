//! Coordinators of a simulated broker: production shards, each on the one partition of its
//! simulated internal topic, hosted as `broker::coordination::host` does.

use std::collections::{BTreeMap, VecDeque};

use naru_controller::controller::broker_lease_ms;
use naru_coordinators::{Outcome, ReplyToken, Shard, Write, WriteId, WriteKind};
use naru_log::{Origin, Verification};
use naru_model::{ErrorCode, Offset, Sequence, Timestamp};
use naru_records::{BatchBuilder, BatchOptions, EndTxnMarker, ProducerStamp};
use naru_replication::PartitionKey;

use super::Broker;
use super::append::Place;
use crate::env::{Env, NodeEvent};
use crate::message::{Response, Ticket};
use crate::settings::{Mutation, times};
use crate::trace::note;

/// Longest time that loading takes.
const LOAD_MAX_MS: i64 = 60;
const INFLATED_MAX: u64 = 1 << 20;
/// Pause before a coordinator that answers nobody looks whether it may again.
const AWAY_PAUSE_MS: i64 = 200;
/// After so long without contact who waits for a write is sent away.
const DOUBT_AFTER_MS: i64 = 1000;

/// What one kind of shard needs of its shell.
pub(super) trait Hosted: Shard + Sized {
    /// The internal topic.
    const TOPIC: &'static str;

    /// A shard to be loaded.
    fn empty() -> Self;

    /// Where the broker has it.
    fn place(broker: &mut Broker) -> &mut Option<Coordinator<Self>>;

    /// An answer on its way.
    fn response(reply: Result<Self::Reply, ErrorCode>) -> Response;

    /// Does what is neither an answer nor a write; `load` says of which time the shard wants it.
    fn carry_out(broker: &mut Broker, env: &mut Env<'_>, load: u64, effect: Self::Effect);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    NotYet,
    /// What it holds is not committed up to here.
    Waits(Offset),
    Yes,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Coordinator<S> {
    key: PartitionKey,
    instance: u64,
    epoch: i32,
    /// Tells it from earlier ones of this process, and from itself before it was read again.
    number: u64,
    pub(super) shard: S,
    loaded: Loaded,
    waiting: BTreeMap<ReplyToken, Ticket>,
    last_token: u64,
    /// Writes whose fate is not known, in order.
    unsettled: VecDeque<(WriteId, Offset)>,
    tick_at: Option<i64>,
    /// How far the clock was off when it was last looked at.
    skew: i64,
    /// Since when nobody is answered.
    away_since: Option<Timestamp>,
}

impl<S: Shard> Coordinator<S> {
    /// The time. What waits does not notice that the clock was set.
    fn look(&mut self, env: &Env<'_>) -> Timestamp {
        let set_by = env.skew - std::mem::replace(&mut self.skew, env.skew);
        if set_by != 0 {
            self.away_since = self.away_since.map(|since| Timestamp(since.0 + set_by));
            self.shard.clock_was_set(set_by);
        }
        env.wall()
    }

    /// While nobody is answered nobody can be late.
    fn keep_time(&mut self, env: &Env<'_>, contact: bool) {
        let now = self.look(env);
        match self.away_since {
            None if !contact => self.away_since = Some(now),
            Some(since) if contact => {
                self.away_since = None;
                self.shard.postpone((now.0 - since.0).max(0));
            }
            _ => {}
        }
    }

    /// The leader epoch of its partition, if it was not read again since.
    pub(super) fn leads_in(&self, load: u64) -> Option<i32> {
        (self.number == load && self.loaded == Loaded::Yes).then_some(self.epoch)
    }
}

impl Broker {
    fn is_of<S: Hosted>(&self, key: PartitionKey) -> bool {
        self.image.topic_by_id(key.topic).is_some_and(|topic| &*topic.name == S::TOPIC)
    }

    /// This broker leads a partition in that epoch.
    pub(super) fn lead_shard<S: Hosted>(
        &mut self,
        env: &mut Env<'_>,
        key: PartitionKey,
        epoch: i32,
    ) {
        if !self.is_of::<S>(key) {
            return;
        }
        let Some(instance) = self.partitions.get(&key).map(|partition| partition.instance) else {
            return;
        };
        if let Some(known) = S::place(self) {
            let before = std::mem::replace(&mut known.epoch, epoch);
            if known.instance == instance && epoch - before <= 1 {
                return;
            }
        }
        self.unload_shard::<S>(env, key);
        let number = self.number();
        *S::place(self) = Some(Coordinator {
            key,
            instance,
            epoch,
            number,
            shard: S::empty(),
            loaded: Loaded::NotYet,
            waiting: BTreeMap::new(),
            last_token: 0,
            unsettled: VecDeque::new(),
            tick_at: None,
            skew: env.skew,
            away_since: None,
        });
        let takes = env.random.between(0, LOAD_MAX_MS);
        env.later(takes, NodeEvent::CoordinatorLoad { number });
    }

    /// Gives the shard up if it is this partition's.
    pub(super) fn unload_shard<S: Hosted>(&mut self, env: &mut Env<'_>, key: PartitionKey) {
        let Some(mut gone) = S::place(self).take_if(|known| known.key == key) else { return };
        note!(env, "n{} gives up {}", env.node, S::TOPIC);
        let outcome = gone.shard.unload();
        for (token, reply) in outcome.replies {
            if let Some(ticket) = gone.waiting.remove(&token) {
                env.answer(ticket, S::response(Ok(reply)));
            }
        }
        for ticket in gone.waiting.into_values() {
            env.answer(ticket, S::response(Err(ErrorCode::NotCoordinator)));
        }
    }

    /// Reads the partition into the shard.
    pub(super) fn load_shard<S: Hosted>(&mut self, env: &mut Env<'_>, number: u64) {
        let known = S::place(self).as_ref().filter(|host| host.number == number);
        let Some(key) = known.map(|host| host.key) else { return };
        let Some(partition) = self.partitions.get(&key) else { return };
        let reader = partition.reader.clone();
        let Some(host) = S::place(self) else { return };
        let (mut next, end) = (reader.log_start(), reader.log_end());
        while next < end {
            let Ok(slice) = reader.read(next, 64 << 10, true, end) else { return };
            let Ok(bytes) = slice.read_bytes() else { return };
            let bytes = bytes::Bytes::from(bytes);
            let before = next;
            for (header, batch) in naru_records::batches(&bytes).flatten() {
                next = header.next_offset();
                if header.is_control() {
                    let commit = match naru_records::end_txn_marker(batch) {
                        Some(EndTxnMarker::Commit { .. }) => true,
                        Some(EndTxnMarker::Abort { .. }) => false,
                        None => continue,
                    };
                    host.shard.replay_marker(header.producer_id, commit);
                    continue;
                }
                let Ok(records) = naru_records::read_records(&bytes.slice_ref(batch), INFLATED_MAX)
                else {
                    return;
                };
                let producer = header.is_transactional().then_some(header.producer_id);
                for record in records.flatten() {
                    let Some(key) = record.key else { continue };
                    // What it cannot read a shard skips.
                    let _ = host.shard.replay(producer, &key, record.value.as_ref());
                }
            }
            if next == before {
                return;
            }
        }
        note!(env, "n{} has read {} up to {next}", env.node, S::TOPIC);
        host.loaded = Loaded::Waits(next);
        self.tend_shard::<S>(env);
    }

    /// Takes a request of a client or of another broker.
    pub(super) fn ask_shard<S: Hosted>(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        command: S::Command,
        verification: Verification,
    ) {
        let contact = self.is_in_contact(env);
        if let Some(host) = S::place(self) {
            host.keep_time(env, contact);
        }
        let image = std::sync::Arc::clone(&self.published);
        let leads = |key: PartitionKey| {
            let topic = image.topic_by_id(key.topic);
            let state = topic.and_then(|topic| topic.partitions.get(&key.partition));
            state.is_some_and(|state| state.leader == Some(env.node))
        };
        let refused = match S::place(self) {
            Some(host) if contact && leads(host.key) => match host.loaded {
                Loaded::Yes => None,
                Loaded::NotYet | Loaded::Waits(_) => Some(ErrorCode::CoordinatorLoadInProgress),
            },
            _ => Some(ErrorCode::NotCoordinator),
        };
        match refused {
            Some(error) => env.answer(ticket, S::response(Err(error))),
            None => self.hand_over::<S>(env, Some(ticket), command, verification),
        }
    }

    /// Tells the shard what came of something it wanted, unless it was read again since.
    pub(super) fn tell_shard<S: Hosted>(
        &mut self,
        env: &mut Env<'_>,
        load: u64,
        command: S::Command,
    ) {
        if S::place(self).as_ref().is_some_and(|host| host.leads_in(load).is_some()) {
            self.hand_over::<S>(env, None, command, Verification::NotNeeded);
        }
    }

    fn hand_over<S: Hosted>(
        &mut self,
        env: &mut Env<'_>,
        ticket: Option<Ticket>,
        command: S::Command,
        verification: Verification,
    ) {
        let Some(host) = S::place(self) else { return };
        host.last_token += 1;
        let token = ReplyToken(host.last_token);
        host.waiting.extend(ticket.map(|ticket| (token, ticket)));
        let now = host.look(env);
        let outcome = host.shard.handle(now, token, command);
        self.carry_out_verified::<S>(env, outcome, verification);
    }

    /// Whether nobody can have taken this broker's place.
    fn is_in_contact(&self, env: &Env<'_>) -> bool {
        if env.settings.has(Mutation::CoordinatorWithoutLease) {
            return true;
        }
        let lease = broker_lease_ms(times::SESSION_MS);
        let heard = env.now - self.registration.contact < lease;
        heard && self.metadata_current_at.is_some_and(|at| env.steady() - at < lease)
    }

    fn carry_out_shard<S: Hosted>(
        &mut self,
        env: &mut Env<'_>,
        outcome: Outcome<S::Reply, S::Effect>,
    ) {
        self.carry_out_verified::<S>(env, outcome, Verification::NotNeeded);
    }

    /// What the shard writes at once as part of a transaction brings `verification`.
    fn carry_out_verified<S: Hosted>(
        &mut self,
        env: &mut Env<'_>,
        outcome: Outcome<S::Reply, S::Effect>,
        verification: Verification,
    ) {
        let (mut outcomes, mut in_doubt) = (vec![outcome], false);
        while let Some(outcome) = outcomes.pop() {
            let Some(host) = S::place(self) else { return };
            let load = host.number;
            in_doubt |= outcome.in_doubt;
            for (token, reply) in outcome.replies {
                if let Some(ticket) = host.waiting.remove(&token) {
                    env.answer(ticket, S::response(Ok(reply)));
                }
            }
            for write in outcome.writes {
                if let Err(error) = self.append_of::<S>(env, &write, verification)
                    && let Some(host) = S::place(self)
                {
                    outcomes.push(host.shard.on_written(env.wall(), write.id, Err(error)));
                }
            }
            for effect in outcome.effects {
                S::carry_out(self, env, load, effect);
            }
        }
        if in_doubt {
            return self.doubt_shard::<S>(env);
        }
        self.plan_tick::<S>(env);
    }

    fn append_of<S: Hosted>(
        &mut self,
        env: &mut Env<'_>,
        write: &Write,
        verification: Verification,
    ) -> Result<(), ErrorCode> {
        let Some(host) = S::place(self) else { return Err(ErrorCode::NotCoordinator) };
        let (key, instance) = (host.key, host.instance);
        let partition = self
            .partitions
            .get_mut(&key)
            .filter(|partition| partition.instance == instance)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        let mut options = BatchOptions::default();
        if let WriteKind::Transactional(producer) = write.kind {
            let (id, epoch) = (producer.id, producer.epoch);
            options.producer = Some(ProducerStamp { id, epoch, base_sequence: Sequence(-1) });
            options.transactional = true;
        }
        let appended = if let WriteKind::Marker(marker) = write.kind {
            partition.place_marker(env, &self.brokers, marker)?
        } else {
            let mut builder = BatchBuilder::new();
            for record in &write.records {
                builder.append_plain(record.timestamp, Some(&record.key), record.value.as_deref());
            }
            let batch = builder.build(&options).map_err(|_| ErrorCode::MessageTooLarge)?;
            let place = Place { origin: Origin::Coordinator, verification };
            let appended = partition.place(env, &batch, place)?;
            partition.after_append(env, &self.brokers);
            appended
        };
        if let Some(host) = S::place(self) {
            host.unsettled.push_back((write.id, appended.last_offset.plus(1)));
        }
        Ok(())
    }

    /// Gives the shard the results of its writes, in order, and lets it be asked when all that it
    /// has read is committed.
    pub(super) fn tend_shard<S: Hosted>(&mut self, env: &mut Env<'_>) {
        while let Some(host) = S::place(self) {
            let (key, instance) = (host.key, host.instance);
            let found = self.partitions.get(&key).filter(|p| p.instance == instance);
            let Some(partition) = found else { return };
            let mark = partition.high_watermark;
            let is_gone = !partition.replica.is_leader() || partition.offline;
            let early = env.settings.has(Mutation::CoordinatorReadsUncommitted);
            let Some(host) = S::place(self) else { return };
            let now = host.look(env);
            let outcome = match (host.loaded, host.unsettled.front()) {
                (Loaded::Waits(end), _) if end <= mark || early => {
                    note!(env, "n{} has {}", env.node, S::TOPIC);
                    host.loaded = Loaded::Yes;
                    host.shard.on_loaded(now)
                }
                (_, Some(&(id, end))) if end <= mark => {
                    host.unsettled.pop_front();
                    host.shard.on_written(now, id, Ok(()))
                }
                (_, Some(&(id, _))) if is_gone => {
                    host.unsettled.pop_front();
                    let error = ErrorCode::NotLeaderOrFollower;
                    host.shard.on_written(now, id, Err(error))
                }
                _ => return,
            };
            self.carry_out_shard::<S>(env, outcome);
        }
    }

    fn plan_tick<S: Hosted>(&mut self, env: &mut Env<'_>) {
        let Some(host) = S::place(self) else { return };
        let Some(deadline) = host.shard.next_deadline() else { return };
        let pause = if host.away_since.is_some() { AWAY_PAUSE_MS } else { 0 };
        let at = env.now + (deadline.0 - env.wall().0).clamp(pause, 60_000);
        if host.tick_at.is_none_or(|planned| at < planned) {
            host.tick_at = Some(at);
            env.later((at - env.now).max(1), NodeEvent::CoordinatorTick { number: host.number });
        }
    }

    pub(super) fn tick_shard<S: Hosted>(&mut self, env: &mut Env<'_>, number: u64) {
        let contact = self.is_in_contact(env);
        let Some(host) = S::place(self).as_mut().filter(|host| host.number == number) else {
            return;
        };
        host.tick_at = None;
        let now = env.wall();
        host.keep_time(env, contact);
        let gone_ms = host.away_since.map_or(0, |since| now.0 - since.0);
        if gone_ms > DOUBT_AFTER_MS && !host.unsettled.is_empty() {
            return self.doubt_shard::<S>(env);
        }
        let outcome = if host.loaded == Loaded::Yes && contact {
            host.shard.tick(now)
        } else {
            Outcome::default()
        };
        self.carry_out_shard::<S>(env, outcome);
    }

    /// Who waits for a write is sent away by a leader that may have been replaced. What it wrote
    /// may be kept or lost: the partition is read again.
    fn doubt_shard<S: Hosted>(&mut self, env: &mut Env<'_>) {
        let number = self.number();
        let Some(host) = S::place(self) else { return };
        note!(
            env,
            "n{} reads {} again: {} writes are in doubt",
            env.node,
            S::TOPIC,
            host.unsettled.len()
        );
        host.unsettled.clear();
        for (token, reply) in host.shard.unload().replies {
            if let Some(ticket) = host.waiting.remove(&token) {
                env.answer(ticket, S::response(Ok(reply)));
            }
        }
        host.number = number;
        host.loaded = Loaded::NotYet;
        let takes = env.random.between(0, LOAD_MAX_MS);
        env.later(takes, NodeEvent::CoordinatorLoad { number });
    }
}
