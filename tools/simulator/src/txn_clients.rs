//! Transactional producers: those that share a transactional id fence each other, some give their
//! transactions up, and all begin anew when they have been replaced.
//!
//! A producer behaves as Kafka's, of version 2 (each transaction has an epoch of its own, leaders
//! add partitions) or before (the client adds partitions): it commits what is acknowledged as a
//! whole, asks again until it hears how a transaction has ended, and after an abort with batches
//! of unknown fate a producer of before version 2 has its epoch raised (KIP-360).

mod offsets;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use naru_controller::topic_name::{CONSUMER_OFFSETS, TRANSACTION_STATE, is_internal};
use naru_coordinators::{Identity, Participants, Reply, TransactionVersion, TxnCommand, TxnReply};
use naru_model::{ErrorCode, Sequence, Timestamp, TopicPartition};
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_records::{BatchBuilder, BatchOptions, ProducerStamp};
use naru_replication::PartitionKey;

use crate::clients::ClientEvent;
use crate::message::{
    Actor, FIRST_CLIENT, Failed, InTransaction, Lane, ProduceAsk, Request, Response, Rpc,
};
use crate::settings::times;
use crate::trace::note;
use crate::world::{Happening, World};

/// The first of them.
const FIRST: Actor = FIRST_CLIENT + 80;
/// Transactional id and version of each: the first two are one after the other, or at once.
const PRODUCERS: [(&str, TransactionVersion); 4] = [
    ("shared", TransactionVersion::V2),
    ("shared", TransactionVersion::V2),
    ("alone", TransactionVersion::V2),
    ("old", TransactionVersion::V0),
];
/// The group whose offsets go with transactions.
pub(crate) const GROUP: &str = "transactional";
pub(crate) const TOPIC: &str = "topic";
const PAUSE_MAX_MS: i64 = 40;
const RETRY_MS: i64 = 60;
/// How long a producer that was replaced, or has given up, does nothing.
const AWAY_MAX_MS: i64 = 5000;
/// Times of a hundred that a producer at work gives up, without a word or with an abort.
const GIVES_UP_PERCENT: i64 = 1;
const ABORTS_PERCENT: i64 = 20;

#[derive(Debug)]
struct Batch {
    sequence: i32,
    count: i32,
    bytes: Bytes,
}

/// What is left to be written to one partition: one batch after the other.
#[derive(Debug)]
struct Part {
    key: PartitionKey,
    batches: VecDeque<Batch>,
    rpc: Option<Rpc>,
}

#[derive(Debug)]
struct Txn {
    number: u64,
    parts: Vec<Part>,
    /// How it is to end, if nothing comes between.
    commit: bool,
    /// The fate of a batch is not known.
    unsure: bool,
    /// The coordinator knows its partitions (before version 2).
    is_added: bool,
    rpc: Option<Rpc>,
    asked_at: i64,
    /// Offsets go with it, and are not acknowledged.
    offsets: Offsets,
}

/// Where a transaction is with the offsets that go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offsets {
    None,
    ToSend,
    Sent(Rpc),
    Stored,
}

#[derive(Debug)]
enum Doing {
    /// It needs an identity; it is this one still if it only wants another epoch.
    Begins {
        was: Option<Identity>,
        rpc: Option<Rpc>,
    },
    Nothing,
    Writes(Txn),
    Ends(Txn),
}

#[derive(Debug)]
struct Producer {
    transactional_id: &'static str,
    version: TransactionVersion,
    identity: Identity,
    sequences: BTreeMap<PartitionKey, i32>,
    doing: Doing,
    next_rpc: Rpc,
    /// It is going to look what to do.
    planned: bool,
    /// It has committed something in the calm.
    content: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct TxnClients {
    producers: BTreeMap<Actor, Producer>,
    last_number: u64,
}

impl TxnClients {
    pub(crate) fn new() -> Self {
        let producer = |(actor, (transactional_id, version))| {
            let producer = Producer {
                transactional_id,
                version,
                identity: Identity::NONE,
                sequences: BTreeMap::new(),
                doing: Doing::Begins { was: None, rpc: None },
                next_rpc: 0,
                planned: true,
                content: false,
            };
            (actor, producer)
        };
        Self { producers: (FIRST..).zip(PRODUCERS).map(producer).collect(), last_number: 0 }
    }

    pub(crate) fn is_one(actor: Actor) -> bool {
        (FIRST_CLIENT + 80..FIRST_CLIENT + 90).contains(&actor)
    }

    pub(crate) fn actors(&self) -> Vec<Actor> {
        self.producers.keys().copied().collect()
    }

    /// The producer ids that are known.
    pub(crate) fn ids(&self) -> Vec<i64> {
        let ids = self.producers.values().map(|producer| producer.identity.id.0);
        ids.filter(|id| *id >= 0).collect()
    }

    /// A producer that is not done.
    pub(crate) fn busy(&self) -> Option<String> {
        let busy = |one: &&Producer| !one.content || !matches!(one.doing, Doing::Nothing);
        self.producers.values().find(busy).map(|one| format!("{one:?}"))
    }
}

impl World {
    fn plan_transaction(&mut self, actor: Actor, pause: i64) {
        let Some(producer) = self.txn_clients.producers.get_mut(&actor) else { return };
        if !std::mem::replace(&mut producer.planned, true) {
            self.after(pause, Happening::Client(actor, ClientEvent::Go));
        }
    }

    fn soon(&mut self, actor: Actor) {
        let pause = self.random.between(1, PAUSE_MAX_MS);
        self.plan_transaction(actor, pause);
    }

    /// A producer looks what to do next.
    pub(crate) fn use_transactions(&mut self, actor: Actor) {
        let Some(producer) = self.txn_clients.producers.get_mut(&actor) else { return };
        producer.planned = false;
        match std::mem::replace(&mut producer.doing, Doing::Nothing) {
            Doing::Begins { was, rpc: None } => self.begin_producer(actor, was),
            Doing::Nothing => self.begin_transaction(actor),
            Doing::Writes(txn) => self.write_transaction(actor, txn),
            Doing::Ends(txn) if txn.rpc.is_none() => self.end_transaction(actor, txn),
            waits @ (Doing::Begins { .. } | Doing::Ends(_)) => producer.doing = waits,
        }
    }

    fn set(&mut self, actor: Actor, doing: Doing) {
        if let Some(producer) = self.txn_clients.producers.get_mut(&actor) {
            producer.doing = doing;
        }
    }

    /// Sends a command to the coordinator, as any running node that can be reached knows it.
    fn ask_coordinator(&mut self, actor: Actor, command: TxnCommand) -> Option<Rpc> {
        let coordinator = self.coordinator_for(actor, TRANSACTION_STATE)?;
        let request = Request::Transaction(Box::new(command));
        self.send_as(actor, coordinator, request)
    }

    fn send_as(&mut self, actor: Actor, to: i32, request: Request) -> Option<Rpc> {
        let producer = self.txn_clients.producers.get_mut(&actor)?;
        producer.next_rpc += 1;
        let (rpc, request) = (producer.next_rpc, Box::new(request));
        self.send(actor, 0, to, Lane::Client, rpc, request, times::CLIENT_TIMEOUT_MS);
        Some(rpc)
    }

    fn begin_producer(&mut self, actor: Actor, was: Option<Identity>) {
        let Some(producer) = self.txn_clients.producers.get(&actor) else { return };
        let known = was.unwrap_or(Identity::NONE);
        let request = InitProducerIdRequest {
            transactional_id: Some(producer.transactional_id.to_owned()),
            transaction_timeout_ms: times::TRANSACTION_TIMEOUT_MS,
            producer_id: known.id.0,
            producer_epoch: known.epoch.0,
            ..InitProducerIdRequest::default()
        };
        let command = TxnCommand::InitProducerId { request, spare: None };
        let rpc = self.ask_coordinator(actor, command);
        self.set(actor, Doing::Begins { was, rpc });
        if rpc.is_none() {
            self.plan_transaction(actor, RETRY_MS);
        }
    }

    fn begin_transaction(&mut self, actor: Actor) {
        let calm = self.calm;
        let Some(producer) = self.txn_clients.producers.get(&actor) else { return };
        if !self.clients.writing && producer.content {
            return;
        }
        let known = self.known_partitions(actor);
        let mut keys = BTreeSet::new();
        for _ in 0..self.random.between(1, 3) {
            keys.extend(self.random.pick(&known).map(|(key, _)| key));
        }
        if keys.is_empty() {
            // All topics may have been deleted.
            let image = self.judge.reference.image();
            let nothing = image.topics().all(|topic| is_internal(&topic.name));
            if let Some(producer) = self.txn_clients.producers.get_mut(&actor) {
                producer.content |= calm && nothing;
            }
            return self.plan_transaction(actor, RETRY_MS);
        }
        let commit = calm || !self.random.percent(ABORTS_PERCENT);
        let with_offsets = self.random.percent(40);
        self.txn_clients.last_number += 1;
        let number = self.txn_clients.last_number;
        let time = Timestamp(1_700_000_000_000 + self.now);
        let mut parts = Vec::new();
        for key in keys {
            let batches: Vec<i64> = (0..self.random.between(1, 3)).collect();
            let counts = batches.iter().map(|_| self.random.between(1, 3)).collect::<Vec<_>>();
            let Some(producer) = self.txn_clients.producers.get_mut(&actor) else { return };
            let identity = producer.identity;
            let next = producer.sequences.entry(key).or_insert(0);
            let mut part = Part { key, batches: VecDeque::new(), rpc: None };
            for count in counts {
                let count = i32::try_from(count).unwrap_or(1);
                let bytes = batch(identity, *next, count, time);
                part.batches.push_back(Batch { sequence: *next, count, bytes });
                *next += count;
            }
            parts.push(part);
        }
        let Some(producer) = self.txn_clients.producers.get(&actor) else { return };
        let is_added = producer.version.bumps_epoch();
        let offsets = if with_offsets { Offsets::ToSend } else { Offsets::None };
        note!(self, "c{actor} begins transaction {number} as {:?}", producer.identity);
        let txn =
            Txn { number, parts, commit, unsure: false, is_added, rpc: None, asked_at: 0, offsets };
        self.write_transaction(actor, txn);
    }

    /// Sends what is to be sent; ends the transaction when all is acknowledged, or before.
    fn write_transaction(&mut self, actor: Actor, mut txn: Txn) {
        if !self.calm && self.random.percent(GIVES_UP_PERCENT) {
            note!(self, "c{actor} gives transaction {} up", txn.number);
            return self.go_away(actor);
        }
        let has_offsets = matches!(txn.offsets, Offsets::None | Offsets::Stored);
        if has_offsets && txn.parts.iter().all(|part| part.batches.is_empty()) {
            return self.end_transaction(actor, txn);
        }
        if !txn.commit && txn.is_added && self.random.percent(GIVES_UP_PERCENT * 10) {
            // Whatever is on its way.
            return self.end_transaction(actor, txn);
        }
        if !txn.is_added {
            return self.add_partitions(actor, txn);
        }
        let Some(producer) = self.txn_clients.producers.get(&actor) else { return };
        let (identity, id, adds) =
            (producer.identity, producer.transactional_id, producer.version.bumps_epoch());
        let known = self.known_partitions(actor);
        let mut waits = false;
        if txn.offsets == Offsets::ToSend {
            txn.offsets = self.commit_offsets(actor, txn.number);
            waits |= txn.offsets == Offsets::ToSend;
        }
        for part in txn.parts.iter_mut().filter(|part| part.rpc.is_none()) {
            let Some(batch) = part.batches.front() else { continue };
            if self.judge.deleted.contains(&part.key.topic) {
                // What is written elsewhere cannot be whole any more.
                (txn.commit, txn.unsure) = (false, true);
                part.batches.clear();
                waits = true;
                continue;
            }
            let leader = known.iter().find(|(key, _)| *key == part.key).and_then(|(_, one)| *one);
            let Some(leader) = leader else {
                waits = true;
                continue;
            };
            let (key, sequence, count) = (part.key, batch.sequence, batch.count);
            self.judge.transactions.sends(txn.number, identity, key, sequence, count);
            let transaction = Some(InTransaction { transactional_id: id, adds });
            let ask = ProduceAsk { key, batch: batch.bytes.clone(), transaction };
            part.rpc = self.send_as(actor, leader, Request::Produce(ask));
            let (topic, index) = crate::broker::short(key);
            note!(
                self,
                "c{actor} sends ({topic}, {index}) {sequence} to n{leader}, rpc {:?}",
                part.rpc
            );
        }
        self.set(actor, Doing::Writes(txn));
        if waits {
            self.plan_transaction(actor, RETRY_MS);
        }
    }

    fn add_partitions(&mut self, actor: Actor, mut txn: Txn) {
        let Some(producer) = self.txn_clients.producers.get(&actor) else { return };
        let image = self.judge.reference.image();
        let partitions = txn.parts.iter().filter_map(|part| {
            let topic = image.topic_by_id(part.key.topic)?;
            Some(TopicPartition::new(topic.name.to_string(), part.key.partition))
        });
        let mut partitions: BTreeSet<TopicPartition> = partitions.collect();
        let is_whole = partitions.len() == txn.parts.len();
        if txn.offsets != Offsets::None {
            partitions.insert(TopicPartition::new(CONSUMER_OFFSETS, 0));
        }
        let participants = Participants {
            transactional_id: producer.transactional_id.to_owned(),
            producer: producer.identity,
            partitions,
        };
        if !is_whole {
            // A topic is gone: nothing has been written yet.
            return self.go_away(actor);
        }
        let (version, via) = (producer.version, None);
        if txn.rpc.is_none() {
            let command = TxnCommand::AddPartitions { participants, version, via };
            txn.rpc = self.ask_coordinator(actor, command);
        }
        let waits = txn.rpc.is_none();
        self.set(actor, Doing::Writes(txn));
        if waits {
            self.plan_transaction(actor, RETRY_MS);
        }
    }

    fn end_transaction(&mut self, actor: Actor, mut txn: Txn) {
        let Some(producer) = self.txn_clients.producers.get(&actor) else { return };
        if !self.calm && self.random.percent(GIVES_UP_PERCENT) {
            note!(self, "c{actor} does not end transaction {}", txn.number);
            return self.go_away(actor);
        }
        if txn.commit {
            self.judge.transactions.asks_commit(txn.number);
        }
        let command = TxnCommand::EndTxn {
            transactional_id: producer.transactional_id.to_owned(),
            producer: producer.identity,
            commit: txn.commit,
            version: producer.version,
            via: None,
            spare: None,
        };
        txn.asked_at = self.now;
        txn.rpc = self.ask_coordinator(actor, command);
        let (number, commit, rpc) = (txn.number, txn.commit, txn.rpc);
        self.set(actor, Doing::Ends(txn));
        match rpc {
            Some(rpc) => note!(self, "c{actor} ends {number}, commits: {commit}, rpc {rpc}"),
            None => self.plan_transaction(actor, RETRY_MS),
        }
    }

    /// Nobody ends its transaction; another producer, as it were, begins after a while.
    fn go_away(&mut self, actor: Actor) {
        self.set(actor, Doing::Begins { was: None, rpc: None });
        let pause = self.random.between(1, if self.calm { AWAY_MAX_MS / 2 } else { AWAY_MAX_MS });
        self.plan_transaction(actor, pause);
    }

    pub(crate) fn transaction_answered(
        &mut self,
        actor: Actor,
        rpc: Rpc,
        result: Result<Box<Response>, Failed>,
    ) {
        let Some(producer) = self.txn_clients.producers.get_mut(&actor) else { return };
        let (code, reply) = match result.map(|response| *response) {
            Ok(Response::Transaction(Ok(TxnReply::Refused(error)) | Err(error))) => (error, None),
            Ok(Response::Transaction(Ok(reply))) => (ErrorCode::None, Some(reply)),
            Ok(Response::Produce(answer)) => {
                return self.produced_in_transaction(actor, rpc, answer.error, answer.base_offset);
            }
            Ok(Response::Group(Ok(Reply::TxnOffsetCommit(response)))) => {
                let partition = response.topics.first().and_then(|topic| topic.partitions.first());
                let code = partition.map_or(-1, |partition| partition.error_code);
                (ErrorCode::from_code(code), None)
            }
            Ok(Response::Group(Err(error))) => (error, None),
            Ok(_) => return,
            Err(_) => (ErrorCode::NetworkException, None),
        };
        match std::mem::replace(&mut producer.doing, Doing::Nothing) {
            Doing::Begins { rpc: asked, was } if asked == Some(rpc) => {
                self.begun(actor, was, code, reply.as_ref());
            }
            Doing::Writes(mut txn) if txn.rpc == Some(rpc) => {
                txn.rpc = None;
                self.added(actor, txn, code);
            }
            Doing::Writes(txn) if txn.offsets == Offsets::Sent(rpc) => {
                producer.doing = Doing::Writes(txn);
                self.offsets_answered(actor, code);
            }
            Doing::Writes(txn) if code != ErrorCode::None => {
                producer.doing = Doing::Writes(txn);
                self.produced_in_transaction(actor, rpc, code, -1);
            }
            Doing::Ends(mut txn) if txn.rpc == Some(rpc) => {
                txn.rpc = None;
                self.ended(actor, txn, code, reply.as_ref());
            }
            other => producer.doing = other,
        }
    }

    fn begun(
        &mut self,
        actor: Actor,
        was: Option<Identity>,
        code: ErrorCode,
        reply: Option<&TxnReply>,
    ) {
        let Some(producer) = self.txn_clients.producers.get_mut(&actor) else { return };
        if let Some(&TxnReply::Initialised(identity)) = reply {
            producer.identity = identity;
            producer.sequences.clear();
            let id = producer.transactional_id;
            note!(self, "c{actor} is {identity:?} of {id}");
            self.judge.begins(actor, id, identity);
            return self.soon(actor);
        }
        let was = was.filter(|_| !is_fencing(code));
        producer.doing = Doing::Begins { was, rpc: None };
        self.plan_transaction(actor, RETRY_MS);
    }

    fn added(&mut self, actor: Actor, mut txn: Txn, code: ErrorCode) {
        if is_fencing(code) {
            return self.replaced(actor, txn.number);
        }
        if matches!(code, ErrorCode::UnknownTopicOrPartition | ErrorCode::InvalidTxnState) {
            return self.go_away(actor);
        }
        txn.is_added = code == ErrorCode::None;
        let pause = if txn.is_added { 1 } else { RETRY_MS };
        self.set(actor, Doing::Writes(txn));
        self.plan_transaction(actor, pause);
    }

    fn produced_in_transaction(&mut self, actor: Actor, rpc: Rpc, code: ErrorCode, base: i64) {
        let Some(producer) = self.txn_clients.producers.get_mut(&actor) else { return };
        let Doing::Writes(txn) = &mut producer.doing else { return };
        let Some(part) = txn.parts.iter_mut().find(|part| part.rpc == Some(rpc)) else { return };
        part.rpc = None;
        let (key, identity, number) = (part.key, producer.identity, txn.number);
        let mut pause = RETRY_MS;
        match code {
            ErrorCode::None => {
                if let Some(Batch { sequence, count, .. }) = part.batches.pop_front() {
                    let producer = (identity.id.0, identity.epoch.0);
                    note!(self, "c{actor} rpc {rpc} acked {sequence}+{count} at {base}");
                    self.judge.acked(key, producer, sequence, count, base);
                }
                pause = 1;
            }
            code if is_fencing(code) => return self.replaced(actor, number),
            ErrorCode::TransactionAbortable
            | ErrorCode::InvalidTxnState
            | ErrorCode::OutOfOrderSequenceNumber => {
                note!(self, "c{actor} aborts {number}: {code}");
                txn.commit = false;
                let doing = std::mem::replace(&mut producer.doing, Doing::Nothing);
                if let Doing::Writes(txn) = doing {
                    self.set(actor, Doing::Ends(txn));
                }
            }
            _ => {}
        }
        self.plan_transaction(actor, pause);
    }

    fn ended(&mut self, actor: Actor, txn: Txn, code: ErrorCode, reply: Option<&TxnReply>) {
        let calm = self.calm;
        let Some(producer) = self.txn_clients.producers.get_mut(&actor) else { return };
        if let Some(&TxnReply::Ended(next)) = reply {
            let (id, commit) = (producer.transactional_id, txn.commit);
            let unsure = txn.unsure
                || txn.offsets == Offsets::ToSend
                || txn.parts.iter().any(|part| !part.batches.is_empty());
            producer.content |= calm && commit;
            if producer.version.bumps_epoch() {
                producer.identity = next;
                producer.sequences.clear();
            } else if unsure {
                let was = Some(producer.identity);
                producer.doing = Doing::Begins { was, rpc: None };
            }
            note!(self, "c{actor} has ended {}, committed: {commit}", txn.number);
            self.judge.ended(id, txn.number, commit, txn.asked_at);
            return self.soon(actor);
        }
        match code {
            code if is_fencing(code) => self.replaced(actor, txn.number),
            ErrorCode::InvalidTxnState => {
                if txn.commit && producer.version.bumps_epoch() {
                    let what = format!("{producer:?}: {txn:?}");
                    self.judge.broken("a transaction is known until it has ended", what);
                }
                self.go_away(actor);
            }
            _ => {
                self.set(actor, Doing::Ends(txn));
                self.plan_transaction(actor, RETRY_MS);
            }
        }
    }

    /// Another producer has taken its place, or the coordinator has lost patience.
    fn replaced(&mut self, actor: Actor, number: u64) {
        note!(self, "c{actor} has been replaced in {number}");
        self.judge.met.txns_fenced += 1;
        self.go_away(actor);
    }
}

/// What a producer hears that has been replaced.
fn is_fencing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ProducerFenced
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidProducerIdMapping
    )
}

/// A transactional batch.
fn batch(producer: Identity, sequence: i32, count: i32, time: Timestamp) -> Bytes {
    let mut builder = BatchBuilder::new();
    for index in 0..count {
        let value = format!("{producer:?}/{}", sequence + index);
        builder.append_plain(time, None, Some(value.as_bytes()));
    }
    let (id, epoch) = (producer.id, producer.epoch);
    let producer = Some(ProducerStamp { id, epoch, base_sequence: Sequence(sequence) });
    let options = BatchOptions { producer, transactional: true, ..BatchOptions::default() };
    // Without a codec there is nothing that could fail.
    builder.build(&options).unwrap_or_default().into()
}
