//! The coordinators: any sequence of records of their internal topics is replayed without a panic;
//! the shard then lives, answers any requests, each once, and what it writes itself it can read.

mod requests;
mod shares;
mod topics;
mod transactions;

use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use naru_coordinators::{Outcome, Replayed, ReplyToken, Shard, Write, WriteId, WriteKind};
use naru_model::{ErrorCode, Offset, ProducerId, Timestamp};
use naru_schema::Schema;

use self::requests::{Asked, GROUP_REQUESTS, Groups};
use self::shares::{SHARE_REQUESTS, Shares};
use self::transactions::{TRANSACTION_REQUESTS, Transactions};
use super::{Memory, Target, as_it_is, joined, parts};
use crate::random::Random;
use crate::schema_bytes;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// Ticks, and rounds of writes, that a shard is given to settle.
const ROUNDS: usize = 32;
/// A shard's state and the decoder's budget.
const MEMORY: Memory = Memory { factor: 256, floor: 8 << 20 };

/// A kind of record: key and value, by Kafka's schemas.
#[derive(Clone)]
struct Kind {
    key: Rc<Schema>,
    value: Rc<Schema>,
}

/// What the inputs of a target are made of.
struct Parts {
    records: Vec<Kind>,
    requests: Vec<Schema>,
}

/// `group-records`, `transaction-records` and `share-state-records`.
pub(super) fn targets(schemas: &[Schema]) -> Vec<Target> {
    let keys = schemas.iter().filter(|schema| schema.kind == "coordinator-key");
    let kinds: Vec<Kind> = keys
        .filter_map(|key| {
            let name = key.name.strip_suffix("Key")?;
            let value = schemas.iter().find(|value| value.name == format!("{name}Value"));
            // The offsets of old have the value of the new ones.
            let value = value.or_else(|| schemas.iter().find(|v| v.name == "OffsetCommitValue"))?;
            Some(Kind { key: Rc::new(key.clone()), value: Rc::new(value.clone()) })
        })
        .collect();
    let is_any_of =
        |kind: &&Kind, prefixes: &[&str]| prefixes.iter().any(|own| kind.key.name.starts_with(own));
    let of = |prefixes: &[&str], requests: &[&str]| Parts {
        records: kinds.iter().filter(|kind| is_any_of(kind, prefixes)).cloned().collect(),
        requests: requests.iter().map(|name| schema(schemas, name).clone()).collect(),
    };
    let (transactions, shares) = (["TransactionLog"], ["ShareSnapshot", "ShareUpdate"]);
    let others = [&transactions[..], &shares].concat();
    let groups = Parts {
        records: kinds.iter().filter(|kind| !is_any_of(kind, &others)).cloned().collect(),
        ..of(&[], &GROUP_REQUESTS)
    };
    vec![
        target::<Groups>(
            "group-records",
            "records of __consumer_offsets, and requests about groups",
            groups,
        ),
        target::<Transactions>(
            "transaction-records",
            "records of __transaction_state, and requests about transactions",
            of(&transactions, &TRANSACTION_REQUESTS),
        ),
        target::<Shares>(
            "share-state-records",
            "records of __share_group_state, and requests about share partitions",
            of(&shares, &SHARE_REQUESTS),
        ),
    ]
}

fn schema<'s>(schemas: &'s [Schema], name: &str) -> &'s Schema {
    let found = schemas.iter().find(|schema| schema.name == name);
    found.unwrap_or_else(|| panic!("there is no message {name}"))
}

fn target<A: Asked>(name: &'static str, about: &'static str, made_of: Parts) -> Target {
    Target {
        name,
        about,
        make: Box::new(move |random| {
            let mut all: Vec<[Vec<u8>; 3]> = (0..=random.below(24))
                .map(|_| match random.below(10) {
                    0 => marker(random),
                    1..=3 => request(random, &made_of.requests),
                    _ => record(random, &made_of.records),
                })
                .collect();
            if random.once_in(4) {
                all[0][0][1] |= WRITES_FAIL;
            }
            joined(&all.concat())
        }),
        repair: as_it_is,
        take: Box::new(take::<A>),
        memory: MEMORY,
    }
}

// Three parts each: kind and a number; two things, by kind.

fn marker(random: &mut Random) -> [Vec<u8>; 3] {
    [vec![MARKER + random.byte() % 2, random.byte() % 3], Vec::new(), Vec::new()]
}

/// Its version, and its bytes.
fn request(random: &mut Random, kinds: &[Schema]) -> [Vec<u8>; 3] {
    let index = random.below(kinds.len());
    let (version, bytes) = versioned(random, &kinds[index]);
    let index = u8::try_from(index).expect("a few kinds of requests");
    [vec![REQUEST, index], version.to_vec(), bytes]
}

/// Key and value. An empty value is none.
fn record(random: &mut Random, kinds: &[Kind]) -> [Vec<u8>; 3] {
    let kind = &kinds[random.below(kinds.len())];
    let number = kind.key.key.unwrap_or_default();
    let mut key = number.to_be_bytes().to_vec();
    key.extend(schema_bytes::message(random, &kind.key, 0).bytes);
    let about = if random.once_in(4) { vec![TRANSACTIONAL, random.byte() % 3] } else { vec![0, 0] };
    let mut value = Vec::new();
    if !random.once_in(6) {
        let (version, bytes) = versioned(random, &kind.value);
        value = [version.as_slice(), &bytes].concat();
    }
    [about, key, value]
}

fn versioned(random: &mut Random, schema: &Schema) -> ([u8; 2], Vec<u8>) {
    let versions = schema.versions;
    let count = usize::try_from(versions.high - versions.low).unwrap_or(0) + 1;
    let version = versions.low + i16::try_from(random.below(count)).unwrap_or(0);
    (version.to_be_bytes(), schema_bytes::message(random, schema, version).bytes)
}

const TRANSACTIONAL: u8 = 1;
/// This, and one more for an abort.
const MARKER: u8 = 2;
const REQUEST: u8 = 4;
/// A bit of the first number: every third write fails.
const WRITES_FAIL: u8 = 0x80;

fn take<A: Asked>(input: &[u8]) -> bool {
    let parts = parts(input);
    let (mut shard, mut mirror) = (A::new(), A::new());
    let mut applied = 0;
    let mut commands = Vec::new();
    for (offset, record) in (0..).zip(parts.chunks(3)) {
        let [about, first, second] = record else { break };
        let number = about.get(1).copied().unwrap_or(0) & !WRITES_FAIL;
        let producer = ProducerId(number.into());
        match about.first() {
            Some(&kind @ (MARKER | 3)) => {
                for shard in [&mut shard, &mut mirror] {
                    shard.replay_marker(producer, kind == MARKER);
                }
            }
            Some(&REQUEST) => {
                let version = first.first_chunk().map_or(0, |bytes| i16::from_be_bytes(*bytes));
                commands.extend(A::commands(number.into(), version, second));
            }
            kind => {
                let producer = (kind == Some(&TRANSACTIONAL)).then_some(producer);
                let (key, value) = (Bytes::copy_from_slice(first), Bytes::copy_from_slice(second));
                let value = (!value.is_empty()).then_some(&value);
                for shard in [&mut shard, &mut mirror] {
                    shard.replay_from(Offset(offset));
                    let result = shard.replay(producer, &key, value);
                    applied += usize::from(matches!(result, Ok(Replayed::Applied)));
                }
            }
        }
    }
    let fails = parts.first().and_then(|about| about.get(1)).is_some_and(|n| n & WRITES_FAIL != 0);
    let asked = commands.len();
    let mut life = Life::<A> { shard, mirror, now: NOW, fails, answers: HashMap::new() };
    life.live(commands);
    applied > 0 || asked > 0
}

/// A shard that is loaded, and another that replays what the first one writes.
struct Life<A: Asked> {
    shard: A::Shard,
    mirror: A::Shard,
    now: Timestamp,
    fails: bool,
    /// How often each request was answered.
    answers: HashMap<ReplyToken, usize>,
}

type OutcomeOf<A> =
    Outcome<<<A as Asked>::Shard as Shard>::Reply, <<A as Asked>::Shard as Shard>::Effect>;

impl<A: Asked> Life<A> {
    /// Asks it, then lets it do what it wants to for a while.
    fn live(&mut self, commands: Vec<<A::Shard as Shard>::Command>) {
        let first = self.shard.on_loaded(self.now);
        self.carry_out(first);
        for (token, command) in (0..).map(ReplyToken).zip(commands) {
            self.answers.insert(token, 0);
            self.now.0 += 7;
            let outcome = self.shard.handle(self.now, token, command);
            self.carry_out(outcome);
        }
        for _ in 0..ROUNDS {
            let Some(due) = self.shard.next_deadline() else { break };
            self.now = Timestamp(self.now.0.max(due.0));
            let outcome = self.shard.tick(self.now);
            self.carry_out(outcome);
        }
        let _ = self.mirror.on_loaded(self.now);
        let last = self.shard.unload();
        self.count(&last);
        assert!(self.shard.next_deadline().is_none(), "an empty shard waits for nothing");
        let odd = self.answers.iter().find(|(_, count)| **count != 1);
        assert!(odd.is_none(), "every request is answered once: {odd:?}");
    }

    fn count(&mut self, outcome: &OutcomeOf<A>) {
        for (token, _) in &outcome.replies {
            *self.answers.entry(*token).or_default() += 1;
        }
    }

    fn carry_out(&mut self, outcome: OutcomeOf<A>) {
        let mut outcome = outcome;
        for _ in 0..ROUNDS {
            self.count(&outcome);
            let mut next = OutcomeOf::<A>::default();
            for write in outcome.writes {
                let result = self.append(&write);
                join(&mut next, self.shard.on_written(self.now, write.id, result));
            }
            for effect in outcome.effects {
                let Some(command) = A::answer(effect) else { continue };
                join(&mut next, self.shard.handle(self.now, NOBODY, command));
            }
            next.replies.retain(|(token, _)| *token != NOBODY);
            let is_over = next.writes.is_empty() && next.effects.is_empty();
            outcome = next;
            if is_over {
                break;
            }
        }
        // What is left is in flight for ever.
        self.count(&outcome);
    }

    /// The fate of a batch; the mirror reads it if it is in the log.
    fn append(&mut self, write: &Write) -> Result<(), ErrorCode> {
        let WriteId(number) = write.id;
        if self.fails && number % 3 == 1 {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        let at = i64::try_from(number).unwrap_or(i64::MAX);
        self.shard.on_appended(write.id, Offset(at));
        let producer = match write.kind {
            WriteKind::Transactional(identity) => Some(identity.id),
            WriteKind::Marker(marker) => {
                self.mirror.replay_marker(marker.producer.id, marker.commit);
                None
            }
            WriteKind::Plain => None,
        };
        for record in &write.records {
            let (key, value) = (Bytes::from(record.key.clone()), record.value.clone());
            let result = self.mirror.replay(producer, &key, value.map(Bytes::from).as_ref());
            assert!(
                matches!(result, Ok(Replayed::Applied)),
                "a shard reads what shards write: {result:?} for {record:?}"
            );
        }
        Ok(())
    }
}

/// Whoever asks for what an effect wants done.
const NOBODY: ReplyToken = ReplyToken(u64::MAX);

fn join<R, E>(all: &mut Outcome<R, E>, more: Outcome<R, E>) {
    all.replies.extend(more.replies);
    all.writes.extend(more.writes);
    all.effects.extend(more.effects);
}
