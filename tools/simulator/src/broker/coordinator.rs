//! The group coordinator of a simulated broker: the production [`GroupShard`] on the one partition
//! of a simulated `__consumer_offsets`, hosted as `broker::coordination::host` does.

use std::collections::{BTreeMap, VecDeque};

use naru_controller::controller::broker_lease_ms;
use naru_coordinators::Shard as _;
use naru_coordinators::{
    Command, GroupConfig, GroupShard, Outcome, Reply, ReplyToken, Write, WriteId,
};
use naru_model::{ErrorCode, Offset, Timestamp};
use naru_records::{BatchBuilder, BatchOptions};
use naru_replication::PartitionKey;

use super::Broker;
use crate::env::{Env, NodeEvent};
use crate::message::{Response, Ticket};
use crate::settings::{Mutation, times};
use crate::trace::note;

/// The topic of groups and their offsets.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Longest time that loading takes.
const LOAD_MAX_MS: i64 = 60;
const INFLATED_MAX: u64 = 1 << 20;
/// Pause before a coordinator that answers nobody looks whether it may again.
const AWAY_PAUSE_MS: i64 = 200;
/// After so long without contact who waits for a write is sent away.
const DOUBT_AFTER_MS: i64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    NotYet,
    /// What it holds is not committed up to here.
    Waits(Offset),
    Yes,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Coordinator {
    key: PartitionKey,
    instance: u64,
    epoch: i32,
    /// Tells it from earlier ones of this process.
    number: u64,
    shard: GroupShard,
    loaded: Loaded,
    waiting: BTreeMap<ReplyToken, Ticket>,
    last_token: u64,
    /// Writes whose fate is not known, in order.
    unsettled: VecDeque<(WriteId, Offset)>,
    tick_at: Option<i64>,
    /// Since when nobody is answered.
    away_since: Option<Timestamp>,
}

impl Coordinator {
    /// While nobody is answered nobody can be late.
    fn keep_time(&mut self, now: Timestamp, contact: bool) {
        match self.away_since {
            None if !contact => self.away_since = Some(now),
            Some(since) if contact => {
                self.away_since = None;
                self.shard.postpone((now.0 - since.0).max(0));
            }
            _ => {}
        }
    }
}

impl Broker {
    fn is_of_groups(&self, key: PartitionKey) -> bool {
        self.image.topic_by_id(key.topic).is_some_and(|topic| &*topic.name == OFFSETS_TOPIC)
    }

    /// This broker leads a partition in that epoch.
    pub(super) fn lead_groups(&mut self, env: &mut Env<'_>, key: PartitionKey, epoch: i32) {
        if !self.is_of_groups(key) {
            return;
        }
        let Some(instance) = self.partitions.get(&key).map(|partition| partition.instance) else {
            return;
        };
        if let Some(known) = &mut self.coordinator {
            let before = std::mem::replace(&mut known.epoch, epoch);
            if known.instance == instance && epoch - before <= 1 {
                return;
            }
        }
        self.unload_groups(env, key);
        let number = self.number();
        let config = GroupConfig { initial_rebalance_delay_ms: 100, ..GroupConfig::default() };
        self.coordinator = Some(Coordinator {
            key,
            instance,
            epoch,
            number,
            shard: GroupShard::new(config),
            loaded: Loaded::NotYet,
            waiting: BTreeMap::new(),
            last_token: 0,
            unsettled: VecDeque::new(),
            tick_at: None,
            away_since: None,
        });
        let takes = env.random.between(0, LOAD_MAX_MS);
        env.later(takes, NodeEvent::GroupsLoad { number });
    }

    /// Gives the groups up if they are this partition's.
    pub(super) fn unload_groups(&mut self, env: &mut Env<'_>, key: PartitionKey) {
        let Some(mut gone) = self.coordinator.take_if(|known| known.key == key) else { return };
        note!(env, "n{} gives up the groups", env.node);
        let outcome = gone.shard.unload();
        for (token, reply) in outcome.replies {
            if let Some(ticket) = gone.waiting.remove(&token) {
                env.answer(ticket, Response::Group(Ok(reply)));
            }
        }
        for ticket in gone.waiting.into_values() {
            env.answer(ticket, Response::Group(Err(ErrorCode::NotCoordinator)));
        }
    }

    /// Reads the partition into the shard.
    pub(super) fn load_groups(&mut self, env: &mut Env<'_>, number: u64) {
        let Some(host) = self.coordinator.as_mut().filter(|host| host.number == number) else {
            return;
        };
        let Some(partition) = self.partitions.get(&host.key) else { return };
        let reader = &partition.reader;
        let (mut next, end) = (reader.log_start(), reader.log_end());
        while next < end {
            let Ok(slice) = reader.read(next, 64 << 10, true, end) else { return };
            let Ok(bytes) = slice.read_bytes() else { return };
            let bytes = bytes::Bytes::from(bytes);
            let before = next;
            for (header, batch) in naru_records::batches(&bytes).flatten() {
                next = header.next_offset();
                let Ok(records) = naru_records::read_records(&bytes.slice_ref(batch), INFLATED_MAX)
                else {
                    return;
                };
                for record in records.flatten() {
                    let Some(key) = record.key else { continue };
                    // What it cannot read a shard skips.
                    let _ = host.shard.replay(None, &key, record.value.as_ref());
                }
            }
            if next == before {
                return;
            }
        }
        note!(env, "n{} has read the groups up to {next}", env.node);
        host.loaded = Loaded::Waits(next);
        self.tend_groups(env);
    }

    /// Takes a request of a client.
    pub(super) fn ask_groups(&mut self, env: &mut Env<'_>, ticket: Ticket, command: Command) {
        let now = env.wall();
        let contact = self.is_in_contact(env);
        if let Some(host) = &mut self.coordinator {
            host.keep_time(now, contact);
        }
        let (image, node) = (&self.published, env.node);
        let leads = |key: PartitionKey| {
            let topic = image.topic_by_id(key.topic);
            let state = topic.and_then(|topic| topic.partitions.get(&key.partition));
            state.is_some_and(|state| state.leader == Some(node))
        };
        let refused = match &self.coordinator {
            Some(host) if contact && leads(host.key) => match host.loaded {
                Loaded::Yes => None,
                Loaded::NotYet | Loaded::Waits(_) => Some(ErrorCode::CoordinatorLoadInProgress),
            },
            _ => Some(ErrorCode::NotCoordinator),
        };
        let Some(host) = self.coordinator.as_mut().filter(|_| refused.is_none()) else {
            let error = refused.unwrap_or(ErrorCode::NotCoordinator);
            return env.answer(ticket, Response::Group(Err(error)));
        };
        host.last_token += 1;
        let token = ReplyToken(host.last_token);
        host.waiting.insert(token, ticket);
        let outcome = host.shard.handle(now, token, command);
        self.carry_out_groups(env, outcome);
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

    fn carry_out_groups(&mut self, env: &mut Env<'_>, outcome: Outcome) {
        let mut outcomes = vec![outcome];
        while let Some(outcome) = outcomes.pop() {
            let Some(host) = &mut self.coordinator else { return };
            for (token, reply) in outcome.replies {
                if let Some(ticket) = host.waiting.remove(&token) {
                    env.answer(ticket, Response::Group(Ok(reply)));
                }
            }
            for write in outcome.writes {
                if let Err(error) = self.append_of_groups(env, &write)
                    && let Some(host) = &mut self.coordinator
                {
                    outcomes.push(host.shard.on_written(env.wall(), write.id, Err(error)));
                }
            }
        }
        self.plan_tick(env);
    }

    fn append_of_groups(&mut self, env: &mut Env<'_>, write: &Write) -> Result<(), ErrorCode> {
        let Some(host) = &mut self.coordinator else { return Err(ErrorCode::NotCoordinator) };
        let mut builder = BatchBuilder::new();
        for record in &write.records {
            builder.append_plain(record.timestamp, Some(&record.key), record.value.as_deref());
        }
        let batch =
            builder.build(&BatchOptions::default()).map_err(|_| ErrorCode::MessageTooLarge)?;
        let partition = self
            .partitions
            .get_mut(&host.key)
            .filter(|partition| partition.instance == host.instance)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        let end = partition.append_own(env, &self.brokers, &batch)?;
        host.unsettled.push_back((write.id, end));
        Ok(())
    }

    /// Gives the shard the results of its writes, in order, and lets it be asked when all that it
    /// has read is committed.
    pub(super) fn tend_groups(&mut self, env: &mut Env<'_>) {
        while let Some(host) = &mut self.coordinator {
            let found = self.partitions.get(&host.key).filter(|p| p.instance == host.instance);
            let Some(partition) = found else { return };
            let mark = partition.high_watermark;
            let early = env.settings.has(Mutation::CoordinatorReadsUncommitted);
            let outcome = match (host.loaded, host.unsettled.front()) {
                (Loaded::Waits(end), _) if end <= mark || early => {
                    note!(env, "n{} has the groups", env.node);
                    host.loaded = Loaded::Yes;
                    host.shard.on_loaded(env.wall())
                }
                (_, Some(&(id, end))) if end <= mark => {
                    host.unsettled.pop_front();
                    host.shard.on_written(env.wall(), id, Ok(()))
                }
                (_, Some(&(id, _))) if !partition.replica.is_leader() || partition.offline => {
                    host.unsettled.pop_front();
                    let error = ErrorCode::NotLeaderOrFollower;
                    host.shard.on_written(env.wall(), id, Err(error))
                }
                _ => return,
            };
            self.carry_out_groups(env, outcome);
        }
    }

    fn plan_tick(&mut self, env: &mut Env<'_>) {
        let Some(host) = &mut self.coordinator else { return };
        let Some(deadline) = host.shard.next_deadline() else { return };
        let pause = if host.away_since.is_some() { AWAY_PAUSE_MS } else { 0 };
        let at = env.now + (deadline.0 - env.wall().0).clamp(pause, 60_000);
        if host.tick_at.is_none_or(|planned| at < planned) {
            host.tick_at = Some(at);
            env.later((at - env.now).max(1), NodeEvent::GroupsTick { number: host.number });
        }
    }

    pub(super) fn tick_groups(&mut self, env: &mut Env<'_>, number: u64) {
        let Some(host) = self.coordinator.as_mut().filter(|host| host.number == number) else {
            return;
        };
        host.tick_at = None;
        let contact = self.is_in_contact(env);
        let now = env.wall();
        let Some(host) = &mut self.coordinator else { return };
        host.keep_time(now, contact);
        let gone_ms = host.away_since.map_or(0, |since| now.0 - since.0);
        if gone_ms > DOUBT_AFTER_MS && !host.unsettled.is_empty() {
            return self.doubt_groups(env);
        }
        let outcome = if host.loaded == Loaded::Yes && contact {
            host.shard.tick(now)
        } else {
            Outcome::default()
        };
        self.carry_out_groups(env, outcome);
    }

    /// Who waits for a write is sent away by a leader that may have been replaced. What it wrote
    /// may be kept or lost: the groups are read again.
    fn doubt_groups(&mut self, env: &mut Env<'_>) {
        let Some(mut host) = self.coordinator.take() else { return };
        note!(
            env,
            "n{} reads the groups again: {} writes are in doubt",
            env.node,
            host.unsettled.len()
        );
        host.unsettled.clear();
        for (token, reply) in host.shard.unload().replies {
            if let Some(ticket) = host.waiting.remove(&token) {
                env.answer(ticket, Response::Group(Ok(reply)));
            }
        }
        host.number = self.number();
        host.loaded = Loaded::NotYet;
        let takes = env.random.between(0, LOAD_MAX_MS);
        env.later(takes, NodeEvent::GroupsLoad { number: host.number });
        self.coordinator = Some(host);
    }
}

/// What a client's commit or look came to: the offset that is committed, or nothing.
pub(crate) fn committed_offset(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::OffsetFetch(group) if group.error_code == 0 => {
            let partition = group.topics.first()?.partitions.first()?;
            (partition.error_code == 0).then_some(partition.committed_offset)
        }
        _ => None,
    }
}
