//! Idempotent producers with acks=all, and consumers that read up to the high watermark.
//!
//! A producer behaves as Kafka's: batches of a partition go in order, up to five at a time; after
//! a failure one at a time until those that were on their way are through. Metadata is looked up
//! in any running node's image.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use naru_controller::topic_name::is_internal;
use naru_model::{
    ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, Uuid,
};
use naru_records::{BatchBuilder, BatchOptions, ProducerStamp};
use naru_replication::{Ask, FetchRequestPlan, PartitionKey};

use crate::facts::facts_in;
use crate::group_clients::GroupClients;
use crate::message::{
    Actor, ControllerResponse, FIRST_CLIENT, Failed, FetchAsk, Fetched, Lane, ProduceAsk, Request,
    Response, Rpc,
};
use crate::random::Random;
use crate::settings::{Settings, times};
use crate::trace::note;
use crate::txn_clients::TxnClients;
use crate::txn_judge::visible;
use crate::world::{Happening, World};

/// Batches of one partition on their way.
const IN_FLIGHT_MAX: usize = 5;
/// Pause before a request is sent again.
const RETRY_MS: i64 = 60;
/// Longest pause between two batches.
const PAUSE_MAX_MS: i64 = 60;
/// Pause of a consumer that has read everything.
const READ_PAUSE_MS: i64 = 80;

/// What a client does next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ClientEvent {
    /// A producer has something to write; a consumer reads.
    Go,
    /// A producer sends what it could not send.
    Retry(PartitionKey),
}

#[derive(Debug)]
struct Batch {
    sequence: i32,
    count: i32,
    bytes: Bytes,
    rpc: Option<Rpc>,
    /// Everything before it was acknowledged when it was sent.
    sent_first: bool,
}

/// What a producer has to do with one partition.
#[derive(Debug, Default)]
struct Outgoing {
    next_sequence: i32,
    batches: VecDeque<Batch>,
    /// One batch at a time, until everything before this sequence is acknowledged.
    careful_until: i32,
    acked_any: bool,
    retry_planned: bool,
}

#[derive(Debug)]
pub(crate) struct Producer {
    id: i64,
    partitions: BTreeMap<PartitionKey, Outgoing>,
    sent: BTreeMap<Rpc, (PartitionKey, i32)>,
    next_rpc: Rpc,
}

#[derive(Debug, Default)]
pub(crate) struct Consumer {
    positions: BTreeMap<PartitionKey, i64>,
    asked: Option<(Rpc, PartitionKey)>,
    /// Whether it asks who leads, as far as it knows.
    asks_leader: bool,
    /// Whether it reads only what is committed.
    committed: bool,
    next_rpc: Rpc,
    turn: usize,
}

/// All clients.
#[derive(Debug)]
pub(crate) struct Clients {
    producers: BTreeMap<Actor, Producer>,
    consumers: BTreeMap<Actor, Consumer>,
    /// The administrator's requests.
    pub(crate) admin_rpc: Rpc,
    /// The newest leader epoch that each client has heard of.
    epochs: BTreeMap<(Actor, PartitionKey), i32>,
    /// Whether producers still write something new.
    pub(crate) writing: bool,
}

/// The administrator.
pub(crate) const ADMIN: Actor = FIRST_CLIENT + 99;

impl Clients {
    pub(crate) fn new(settings: &Settings, random: &mut Random) -> Self {
        // Far from the ids that the controller gives out.
        let first = random.between(1 << 40, 1 << 41);
        let producer = |index: i32| {
            let producer = Producer {
                id: first + i64::from(index),
                partitions: BTreeMap::new(),
                sent: BTreeMap::new(),
                next_rpc: 0,
            };
            (FIRST_CLIENT + index, producer)
        };
        let consumer = |index| {
            let consumer = Consumer { committed: index > 0, ..Consumer::default() };
            (FIRST_CLIENT + 50 + index, consumer)
        };
        Self {
            producers: (0..settings.producers).map(producer).collect(),
            consumers: (0..2).map(consumer).collect(),
            admin_rpc: 0,
            epochs: BTreeMap::new(),
            writing: true,
        }
    }

    pub(crate) fn first_events(&self) -> Vec<(Actor, ClientEvent)> {
        let all = self.producers.keys().chain(self.consumers.keys());
        all.map(|actor| (*actor, ClientEvent::Go)).collect()
    }

    /// A batch that is not acknowledged yet: its partition and first sequence.
    pub(crate) fn outstanding(&self, deleted: &BTreeSet<Uuid>) -> Option<(PartitionKey, i32)> {
        let all = self.producers.values().flat_map(|producer| &producer.partitions);
        all.into_iter()
            .filter(|(key, _)| !deleted.contains(&key.topic))
            .find_map(|(key, out)| Some((*key, out.batches.front()?.sequence)))
    }

    /// How far consumers have read.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (PartitionKey, i64)> {
        self.consumers.values().flat_map(|consumer| consumer.positions.clone())
    }
}

impl World {
    /// The partitions of the topics that clients use, with their leaders, as a node knows them.
    /// As Kafka's clients, they never go back to an earlier leader epoch.
    pub(crate) fn known_partitions(&mut self, actor: Actor) -> Vec<(PartitionKey, Option<i32>)> {
        let nodes: Vec<i32> = self.running().into_iter().collect();
        let Some(id) = self.random.pick(&nodes) else { return Vec::new() };
        if self.network.cut.contains(&(actor, id)) || self.network.cut.contains(&(id, actor)) {
            return Vec::new();
        }
        let Some(process) = self.nodes.get(&id).and_then(|node| node.process.as_ref()) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for topic in process.metadata.image.topics() {
            if is_internal(&topic.name) {
                continue;
            }
            for (index, state) in topic.partitions.iter() {
                let key = PartitionKey { topic: topic.id, partition: *index };
                let newest = self.clients.epochs.entry((actor, key)).or_insert(state.leader_epoch);
                *newest = state.leader_epoch.max(*newest);
                found.push((key, state.leader.filter(|_| state.leader_epoch == *newest)));
            }
        }
        found
    }

    fn leader_of(&mut self, actor: Actor, key: PartitionKey) -> Option<i32> {
        let known = self.known_partitions(actor);
        known.into_iter().find(|(other, _)| *other == key)?.1
    }

    pub(crate) fn at_client(&mut self, actor: Actor, event: ClientEvent) {
        match event {
            ClientEvent::Go if GroupClients::is_one(actor) => self.use_group(actor),
            ClientEvent::Go if TxnClients::is_one(actor) => self.use_transactions(actor),
            ClientEvent::Go if self.clients.consumers.contains_key(&actor) => self.consume(actor),
            ClientEvent::Go => self.produce(actor),
            ClientEvent::Retry(key) => {
                if let Some(out) = self.outgoing(actor, key) {
                    out.retry_planned = false;
                }
                self.send_batches(actor, key);
            }
        }
    }

    fn outgoing(&mut self, actor: Actor, key: PartitionKey) -> Option<&mut Outgoing> {
        self.clients.producers.get_mut(&actor)?.partitions.get_mut(&key)
    }

    fn produce(&mut self, actor: Actor) {
        if !self.clients.writing {
            return;
        }
        let pause = self.random.between(1, PAUSE_MAX_MS);
        self.after(pause, Happening::Client(actor, ClientEvent::Go));
        let known = self.known_partitions(actor);
        let Some((key, _)) = self.random.pick(&known) else { return };
        let count = i32::try_from(self.random.between(1, 4)).unwrap_or(1);
        let time = Timestamp(1_700_000_000_000 + self.now);
        let Some(producer) = self.clients.producers.get_mut(&actor) else { return };
        let id = producer.id;
        let out = producer.partitions.entry(key).or_default();
        if out.batches.len() >= IN_FLIGHT_MAX {
            return;
        }
        let sequence = out.next_sequence;
        out.next_sequence += count;
        let bytes = batch(id, sequence, count, time);
        out.batches.push_back(Batch { sequence, count, bytes, rpc: None, sent_first: false });
        self.send_batches(actor, key);
    }

    /// Sends what may be sent, in order.
    fn send_batches(&mut self, actor: Actor, key: PartitionKey) {
        let Some(out) = self.outgoing(actor, key) else { return };
        let Some(first) = out.batches.front() else { return };
        let careful = first.sequence < out.careful_until || !out.acked_any;
        let most = if careful { 1 } else { IN_FLIGHT_MAX };
        // A later one may not be under way while an earlier one is not.
        if !out.batches.iter().take(most).any(|batch| batch.rpc.is_none()) {
            return;
        }
        let Some(leader) = self.leader_of(actor, key) else {
            return self.retry_later(actor, key);
        };
        let Some(producer) = self.clients.producers.get_mut(&actor) else { return };
        let Some(out) = producer.partitions.get_mut(&key) else { return };
        let mut requests = Vec::new();
        for (place, batch) in out.batches.iter_mut().take(most).enumerate() {
            if batch.rpc.is_some() {
                continue;
            }
            producer.next_rpc += 1;
            batch.rpc = Some(producer.next_rpc);
            batch.sent_first = place == 0;
            producer.sent.insert(producer.next_rpc, (key, batch.sequence));
            requests.push((producer.next_rpc, batch.sequence, batch.bytes.clone()));
        }
        for (rpc, sequence, bytes) in requests {
            let (topic, index) = crate::broker::short(key);
            note!(self, "c{actor} sends ({topic}, {index}) {sequence} to n{leader}, rpc {rpc}");
            let ask = ProduceAsk { key, batch: bytes, transaction: None };
            let ask = Box::new(Request::Produce(ask));
            self.send(actor, 0, leader, Lane::Client, rpc, ask, times::CLIENT_TIMEOUT_MS);
        }
    }

    fn retry_later(&mut self, actor: Actor, key: PartitionKey) {
        let Some(out) = self.outgoing(actor, key) else { return };
        if !std::mem::replace(&mut out.retry_planned, true) {
            self.after(RETRY_MS, Happening::Client(actor, ClientEvent::Retry(key)));
        }
    }

    pub(crate) fn client_answered(
        &mut self,
        actor: Actor,
        rpc: Rpc,
        result: Result<Box<Response>, Failed>,
    ) {
        if actor == ADMIN {
            return self.administrator_answered(result);
        }
        if GroupClients::is_one(actor) {
            return self.group_answered(actor, rpc, result);
        }
        if TxnClients::is_one(actor) {
            return self.transaction_answered(actor, rpc, result);
        }
        if self.clients.consumers.contains_key(&actor) {
            return self.consumed(actor, rpc, result);
        }
        let Some(producer) = self.clients.producers.get_mut(&actor) else { return };
        let Some((key, sequence)) = producer.sent.remove(&rpc) else { return };
        let id = producer.id;
        let Some(out) = producer.partitions.get_mut(&key) else { return };
        let place = out
            .batches
            .iter()
            .position(|batch| batch.sequence == sequence && batch.rpc == Some(rpc));
        let Some(place) = place else { return };
        let answer = match result.map(|response| *response) {
            Ok(Response::Produce(answer)) => Ok(answer),
            Ok(_) => return,
            Err(failed) => Err(failed),
        };
        match answer {
            Ok(answer) if answer.error == ErrorCode::None => {
                out.acked_any = true;
                if let Some(batch) = out.batches.remove(place) {
                    note!(
                        self,
                        "c{actor} rpc {rpc} acked {sequence}+{} at {}",
                        batch.count,
                        answer.base_offset
                    );
                    let base = answer.base_offset;
                    self.judge.acked(key, (id, 0), sequence, batch.count, base);
                }
                self.send_batches(actor, key);
            }
            Ok(answer) => {
                let first = place == 0 && out.batches.front().is_some_and(|b| b.sent_first);
                if first && answer.error == ErrorCode::OutOfOrderSequenceNumber {
                    note!(self, "c{actor} {sequence} is out of order, rpc {rpc}");
                    if self.judge.is_committed(key, id, sequence) {
                        // Kafka's snapshots of producers remember one batch each: a leader that
                        // has started anew cannot tell that it has an earlier one.
                        self.judge.met.forgotten += 1;
                        out.batches.pop_front();
                        return self.send_batches(actor, key);
                    }
                    if self.judge.forgotten.contains(&(key, id, sequence)) {
                        return self.send_again(actor, key, rpc);
                    }
                    let what = format!(
                        "{key:?}: producer {id} sequence {sequence} follows what is acknowledged, \
                         and is refused as out of order"
                    );
                    self.judge.broken("what is acknowledged is never lost", what);
                }
                self.send_again(actor, key, rpc);
            }
            Err(_) => self.send_again(actor, key, rpc),
        }
    }

    /// A batch has failed: it is sent again, alone, and so are those behind it.
    fn send_again(&mut self, actor: Actor, key: PartitionKey, rpc: Rpc) {
        let Some(out) = self.outgoing(actor, key) else { return };
        out.careful_until = out.next_sequence;
        for batch in out.batches.iter_mut().filter(|batch| batch.rpc == Some(rpc)) {
            batch.rpc = None;
        }
        self.retry_later(actor, key);
    }

    fn consume(&mut self, actor: Actor) {
        let mut known = self.known_partitions(actor);
        known.retain(|(_, leader)| leader.is_some());
        let Some(consumer) = self.clients.consumers.get_mut(&actor) else { return };
        if known.is_empty() || consumer.asked.is_some() {
            self.after(RETRY_MS, Happening::Client(actor, ClientEvent::Go));
            return;
        }
        consumer.turn += 1;
        let (key, known_leader) = known[consumer.turn % known.len()];
        let mut leader = known_leader;
        // A consumer that told its rack may be sent to a follower, in sync or not (KIP-392).
        if self.random.percent(25) {
            leader = Some(
                i32::try_from(self.random.between(1, i64::from(self.settings.nodes))).unwrap_or(1),
            );
        }
        let Some(consumer) = self.clients.consumers.get_mut(&actor) else { return };
        let position = *consumer.positions.entry(key).or_insert(0);
        consumer.next_rpc += 1;
        let rpc = consumer.next_rpc;
        consumer.asked = Some((rpc, key));
        consumer.asks_leader = known_leader == leader;
        let ask = Ask {
            leader_epoch: LeaderEpoch(-1),
            offset: Offset(position),
            last_fetched_epoch: None,
            log_start: Offset(-1),
        };
        let plan = FetchRequestPlan { asked: vec![(key, ask)], ..FetchRequestPlan::default() };
        let max_wait_ms = self.random.between(0, 100);
        let committed = consumer.committed;
        let max_bytes = 4096;
        let ask = FetchAsk { follower: None, plan, max_wait_ms, max_bytes, committed };
        let (leader, timeout) = (leader.unwrap_or(0), times::CLIENT_TIMEOUT_MS);
        self.send(actor, 0, leader, Lane::Client, rpc, Box::new(Request::Fetch(ask)), timeout);
    }

    fn consumed(&mut self, actor: Actor, rpc: Rpc, result: Result<Box<Response>, Failed>) {
        let Some(consumer) = self.clients.consumers.get_mut(&actor) else { return };
        let Some((_, key)) = consumer.asked.take_if(|(asked, _)| *asked == rpc) else { return };
        let mut pause = READ_PAUSE_MS;
        if let Ok(Response::Fetch(answer)) = result.map(|response| *response) {
            let mine = answer.partitions.into_iter().find(|(other, _)| *other == key);
            if let Some((_, Fetched { error, records, aborted, .. })) = mine {
                let position = consumer.positions.get(&key).copied().unwrap_or(0);
                let mut found = Vec::new();
                match (error, facts_in(&records, &mut found)) {
                    (ErrorCode::None, Ok(Some(next))) => {
                        consumer.positions.insert(key, next);
                        pause = 5;
                        if !consumer.asks_leader {
                            self.judge.met.read_from_followers += 1;
                        }
                        if consumer.committed {
                            let given = visible(&found, position, aborted);
                            self.judge.read_committed(key, (position, next), &given);
                        }
                        self.judge.consumed(key, position, &found);
                    }
                    // A follower that lags does not have it yet.
                    (ErrorCode::OffsetOutOfRange, _) if consumer.asks_leader => {
                        let what = format!("{key:?}: a consumer has read up to {position}");
                        self.judge.broken("what was read is never lost", what);
                    }
                    (_, Err(error)) => {
                        let what = format!("{key:?} at {position}: {error}");
                        self.judge.broken("no reader sees what is not committed", what);
                    }
                    _ => {}
                }
            }
        }
        self.after(pause, Happening::Client(actor, ClientEvent::Go));
    }

    /// Sends an administrator's request to a node.
    pub(crate) fn ask_as_administrator(&mut self, to: i32, request: Request) {
        self.clients.admin_rpc += 1;
        let rpc = self.clients.admin_rpc;
        let timeout = times::CLIENT_TIMEOUT_MS;
        self.send(ADMIN, 0, to, Lane::Client, rpc, Box::new(request), timeout);
    }

    fn administrator_answered(&mut self, result: Result<Box<Response>, Failed>) {
        if let Ok(response) = result {
            match *response {
                Response::Controller(Ok(ControllerResponse::Done(error))) => {
                    note!(self, "administrator: {error}");
                }
                Response::Controller(Err(error)) => note!(self, "administrator: {error}"),
                _ => {}
            }
        }
    }
}

/// A batch of a producer.
fn batch(id: i64, sequence: i32, count: i32, time: Timestamp) -> Bytes {
    let mut builder = BatchBuilder::new();
    for index in 0..count {
        let value = format!("{id}/{}", sequence + index);
        builder.append_plain(time, None, Some(value.as_bytes()));
    }
    let producer = Some(ProducerStamp {
        id: ProducerId(id),
        epoch: ProducerEpoch(0),
        base_sequence: Sequence(sequence),
    });
    let options = BatchOptions { producer, ..BatchOptions::default() };
    // Without a codec there is nothing that could fail.
    builder.build(&options).unwrap_or_default().into()
}
