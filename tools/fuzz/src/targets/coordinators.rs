//! Records of the coordinators' internal topics: any sequence of them is replayed without a
//! panic, the shard then lives, and what it writes itself it can read.

use std::rc::Rc;

use bytes::Bytes;
use naru_coordinators::{
    GroupConfig, GroupShard, Outcome, Replayed, Shard, TransactionConfig, TransactionShard, Write,
    WriteKind,
};
use naru_model::{ProducerId, Timestamp};
use naru_schema::Schema;

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

/// `group-records` and `transaction-records`.
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
    let is_other = |name: &str| {
        ["TransactionLog", "ShareSnapshot", "ShareUpdate"].iter().any(|own| name.starts_with(own))
    };
    let groups = kinds.iter().filter(|kind| !is_other(&kind.key.name)).cloned().collect();
    let transactions =
        kinds.iter().filter(|kind| kind.key.name.starts_with("TransactionLog")).cloned().collect();
    vec![
        target("group-records", "records of __consumer_offsets", groups, |input| {
            replay(input, || GroupShard::new(GroupConfig::default()))
        }),
        target("transaction-records", "records of __transaction_state", transactions, |input| {
            replay(input, || TransactionShard::new(TransactionConfig::default()))
        }),
    ]
}

fn target(
    name: &'static str,
    about: &'static str,
    kinds: Vec<Kind>,
    take: fn(&[u8]) -> bool,
) -> Target {
    Target {
        name,
        about,
        make: Box::new(move |random| {
            let records: Vec<Vec<u8>> =
                (0..=random.below(24)).flat_map(|_| record(random, &kinds)).collect();
            joined(&records)
        }),
        repair: as_it_is,
        take: Box::new(take),
        memory: MEMORY,
    }
}

/// Three parts: what it has to do with a transaction, key, value. An empty value is none.
fn record(random: &mut Random, kinds: &[Kind]) -> [Vec<u8>; 3] {
    if random.once_in(10) {
        return [vec![MARKER + random.byte() % 2, random.byte() % 3], Vec::new(), Vec::new()];
    }
    let kind = &kinds[random.below(kinds.len())];
    let number = kind.key.key.unwrap_or_default();
    let mut key = number.to_be_bytes().to_vec();
    key.extend(schema_bytes::message(random, &kind.key, 0).bytes);
    let about = if random.once_in(4) { vec![TRANSACTIONAL, random.byte() % 3] } else { vec![0, 0] };
    let mut value = Vec::new();
    if !random.once_in(6) {
        let versions = kind.value.versions;
        let count = usize::try_from(versions.high - versions.low).unwrap_or(0) + 1;
        let version = versions.low + i16::try_from(random.below(count)).unwrap_or(0);
        value.extend_from_slice(&version.to_be_bytes());
        value.extend(schema_bytes::message(random, &kind.value, version).bytes);
    }
    [about, key, value]
}

const TRANSACTIONAL: u8 = 1;
const MARKER: u8 = 2;

fn replay<S: Shard>(input: &[u8], new: impl Fn() -> S) -> bool {
    let mut shard = new();
    let mut applied = 0;
    for record in parts(input).chunks(3) {
        let [about, key, value] = record else { break };
        let producer = ProducerId(about.get(1).copied().unwrap_or(0).into());
        match about.first() {
            Some(&kind @ (MARKER | 3)) => shard.replay_marker(producer, kind == MARKER),
            kind => {
                let producer = (kind == Some(&TRANSACTIONAL)).then_some(producer);
                let value = (!value.is_empty()).then(|| Bytes::copy_from_slice(value));
                let result = shard.replay(producer, &Bytes::copy_from_slice(key), value.as_ref());
                applied += usize::from(matches!(result, Ok(Replayed::Applied)));
            }
        }
    }
    live(&mut shard, &mut new());
    applied > 0
}

/// Lets the shard do what it wants to for a while; `mirror` replays what it writes.
fn live<S: Shard>(shard: &mut S, mirror: &mut S) {
    let mut now = NOW;
    let first = shard.on_loaded(now);
    carry_out(shard, mirror, now, first);
    for _ in 0..ROUNDS {
        let Some(due) = shard.next_deadline() else { break };
        now = Timestamp(now.0.max(due.0));
        let outcome = shard.tick(now);
        carry_out(shard, mirror, now, outcome);
    }
    let _ = mirror.on_loaded(now);
    let _ = shard.unload();
    assert!(shard.next_deadline().is_none(), "an empty shard waits for nothing");
}

fn carry_out<S: Shard>(
    shard: &mut S,
    mirror: &mut S,
    now: Timestamp,
    outcome: Outcome<S::Reply, S::Effect>,
) {
    let mut writes: Vec<Write> = outcome.writes;
    for _ in 0..ROUNDS {
        if writes.is_empty() {
            return;
        }
        let mut next = Vec::new();
        for write in writes {
            for record in &write.records {
                let (key, value) = (Bytes::from(record.key.clone()), record.value.clone());
                let producer = match write.kind {
                    WriteKind::Transactional(identity) => Some(identity.id),
                    WriteKind::Plain | WriteKind::Marker(_) => None,
                };
                let result = mirror.replay(producer, &key, value.map(Bytes::from).as_ref());
                assert!(
                    matches!(result, Ok(Replayed::Applied)),
                    "a shard reads what shards write: {result:?} for {record:?}"
                );
            }
            next.extend(shard.on_written(now, write.id, Ok(())).writes);
        }
        writes = next;
    }
}
