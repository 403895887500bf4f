//! The invariants. What was promised so far is kept here, and everything that happens is held
//! against it; the first thing that breaks a promise ends the run.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use naru_controller::Controller;
use naru_controller::batch::{LogRecord, read_batch};
use naru_controller::controller::broker_lease_ms;
use naru_controller::topic_name::CONSUMER_OFFSETS;
use naru_log::LogReader;
use naru_model::{LeaderEpoch, Offset, Uuid};
use naru_replication::PartitionKey;

use crate::facts::{Fact, Kind, facts_of};
use crate::met::Met;
use crate::settings::times;
use crate::txn_judge::{Fates, TxnBook};

/// A promise that was broken.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The invariant's name.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
    /// When, in milliseconds of the run.
    pub at: i64,
}

/// A decision is on its way for a moment before the judge hears of it.
const LEASE_SLACK_MS: i64 = 100;

/// What was promised of one partition.
#[derive(Debug, Default)]
pub(crate) struct PartitionFacts {
    /// Below somebody's high watermark, by offset.
    pub(crate) committed: Vec<Fact>,
    /// The leader epoch in which each of them was committed.
    committed_in: Vec<i32>,
    leaders: BTreeMap<i32, i32>,
    /// High watermark of each process, and its leader epoch if it leads.
    marks: BTreeMap<(i32, u32), i64>,
    /// The next sequence of each producer, in each of its epochs.
    next: BTreeMap<(i64, i16), i32>,
    pub(crate) fates: Fates,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Judge {
    /// Of whom it is told.
    pub(crate) node: i32,
    pub(crate) life: u32,
    pub(crate) now: i64,
    pub(crate) violation: Option<Violation>,
    pub(crate) met: Met,
    quorum_leaders: BTreeMap<i32, i32>,
    /// Committed batches of metadata by first offset: the offset behind, epoch, bytes.
    metadata: BTreeMap<i64, (i64, i32, Bytes)>,
    /// Up to where metadata was committed at the end of each quorum epoch.
    metadata_ends: BTreeMap<i32, i64>,
    pub(crate) metadata_end: i64,
    metadata_marks: BTreeMap<(i32, u32), i64>,
    /// What the committed metadata comes to.
    pub(crate) reference: Controller,
    pub(crate) partitions: BTreeMap<PartitionKey, PartitionFacts>,
    /// Who leads the partition of groups, since when.
    coordinators: Vec<(i64, Option<i32>)>,
    /// Topics that are gone for good.
    pub(crate) deleted: BTreeSet<Uuid>,
    /// Batches that leaders have, but refused as out of order when they were sent again.
    pub(crate) forgotten: BTreeSet<(PartitionKey, i64, i32)>,
    pub(crate) transactions: TxnBook,
}

impl Judge {
    pub(crate) fn new() -> Self {
        Self {
            node: 0,
            life: 0,
            now: 0,
            violation: None,
            met: Met::default(),
            quorum_leaders: BTreeMap::new(),
            metadata: BTreeMap::new(),
            metadata_ends: BTreeMap::new(),
            metadata_end: 0,
            metadata_marks: BTreeMap::new(),
            reference: Controller::new(0, std::sync::Arc::default()),
            partitions: BTreeMap::new(),
            coordinators: Vec::new(),
            deleted: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            transactions: TxnBook::default(),
        }
    }

    pub(crate) fn broken(&mut self, invariant: &'static str, what: String) {
        let at = self.now;
        self.violation.get_or_insert(Violation { invariant, what, at });
    }

    /// One leader in each epoch of the quorum, and it has all that is committed.
    pub(crate) fn leads_quorum(&mut self, node: i32, epoch: i32, end: i64) {
        self.met.quorum_leaders += 1;
        let leader = *self.quorum_leaders.entry(epoch).or_insert(node);
        if leader != node {
            let what = format!("nodes {leader} and {node} lead the quorum in epoch {epoch}");
            self.broken("one leader per quorum epoch", what);
        }
        // One that was frozen may begin to lead when its epoch is over.
        let committed = self.metadata_ends.range(..epoch).next_back().map_or(0, |(_, end)| *end);
        if end < committed {
            let what = format!(
                "node {node} leads epoch {epoch} with metadata up to {end}, committed is {committed}"
            );
            self.broken("committed metadata is never lost", what);
        }
    }

    pub(crate) fn metadata_cut(&mut self, node: i32, offset: i64) {
        self.met.cuts += 1;
        let mark = self.metadata_marks.get(&(node, self.life)).copied().unwrap_or(0);
        if offset < mark {
            let what = format!("node {node} cuts metadata at {offset}, below its mark {mark}");
            self.broken("committed metadata is never lost", what);
        }
    }

    /// The committed part of the metadata log is the same everywhere.
    pub(crate) fn metadata_committed(
        &mut self,
        (node, in_epoch): (i32, i32),
        to: i64,
        end: i64,
        batches: &[(i64, i64, i32, Bytes)],
    ) {
        if to > end {
            let what = format!("node {node}: high watermark {to}, metadata ends at {end}");
            self.broken("high watermark within the log", what);
            return;
        }
        let mark = self.metadata_marks.entry((node, self.life)).or_insert(to);
        let before = std::mem::replace(mark, to);
        if to < before {
            let what = format!("node {node}: metadata high watermark from {before} to {to}");
            self.broken("high watermark never goes back", what);
        }
        for (first, next, epoch, bytes) in batches {
            match self.metadata.get(first) {
                Some((known_next, known_epoch, known)) => {
                    if (known_next, known_epoch, known) != (next, epoch, bytes) {
                        let what = format!(
                            "node {node} has another batch at metadata offset {first}: epoch \
                             {epoch} to {next}, committed was epoch {known_epoch} to {known_next}"
                        );
                        return self.broken("metadata logs agree up to the committed offset", what);
                    }
                }
                None if *first == self.metadata_end => {
                    self.metadata.insert(*first, (*next, *epoch, bytes.clone()));
                    self.metadata_end = *next;
                    self.metadata_ends.insert(in_epoch, *next);
                    self.replay(*next, *epoch, bytes);
                }
                None => {
                    let what = format!(
                        "node {node} has a batch at metadata offset {first}, where none begins"
                    );
                    return self.broken("metadata logs agree up to the committed offset", what);
                }
            }
        }
    }

    fn replay(&mut self, next: i64, epoch: i32, batch: &Bytes) {
        let records = match read_batch(batch) {
            Ok((_, records)) => records,
            Err(error) => return self.broken("committed metadata can be read", error.to_string()),
        };
        for record in records {
            if let LogRecord::Metadata { offset, record } = record
                && let Err(error) = self.reference.replay(offset, epoch, &record)
            {
                return self.broken("committed metadata can be replayed", error.to_string());
            }
        }
        self.reference.advance_to(next, epoch);
        let published = self.reference.publish();
        for topic in published.delta.topics_deleted.keys() {
            self.met.topics_deleted += 1;
            self.deleted.insert(*topic);
        }
        for (topic, index) in &published.delta.partitions_changed {
            self.met.partition_changes += 1;
            let topic = published.image.topic_by_id(*topic);
            if let Some(topic) = topic.filter(|topic| &*topic.name == CONSUMER_OFFSETS)
                && let Some(state) = topic.partitions.get(index)
                && self.coordinators.last().map(|(_, leader)| *leader) != Some(state.leader)
            {
                self.coordinators.push((self.now, state.leader));
            }
            let Some(state) = topic.and_then(|topic| topic.partitions.get(index)) else {
                continue;
            };
            let what = || format!("metadata offset {next}: {state:?}");
            if let Some(stray) = state.isr.iter().find(|id| !state.replicas.contains(id)) {
                self.broken("ISR within the replicas", format!("{stray} in {}", what()));
            }
            if let Some(leader) = state.leader
                && !state.isr.contains(&leader)
            {
                self.broken("the leader is in the ISR", what());
            }
        }
    }

    /// Whether a coordinator that was asked at that time may have answered with what was true
    /// before: one that does not know yet that another leads. With its lease that is over.
    pub(crate) fn may_be_stale(&self, coordinator: i32, asked_at: i64) -> bool {
        let reigns = self.coordinators.iter().enumerate();
        let Some((last, (since, _))) =
            reigns.rev().find(|(_, (_, leader))| *leader == Some(coordinator))
        else {
            return false;
        };
        let ended = match self.coordinators.get(last + 1) {
            Some((end, _)) => *end,
            // It leads: this reign, if it was asked in it, or the one before.
            None if asked_at >= *since => return false,
            None => *since,
        };
        asked_at < ended + broker_lease_ms(times::SESSION_MS) + LEASE_SLACK_MS
    }

    /// Replaying what is committed gives the same everywhere, and what was decided.
    pub(crate) fn replayed(
        &mut self,
        node: i32,
        committed: &Controller,
        active: Option<&Controller>,
    ) {
        let end = committed.image().end_offset();
        if end == self.reference.image().end_offset() && *committed != self.reference {
            let what = format!("node {node} at {end}");
            self.broken("replaying the same metadata gives the same", what);
        }
        if let Some(active) = active
            && active.image().end_offset() == end
            && active != committed
        {
            let what = format!("node {node} at {end}: what was decided is not what is committed");
            self.broken("replaying the same metadata gives the same", what);
        }
    }

    /// A snapshot has taken the place of the metadata log.
    pub(crate) fn installed(&mut self, node: i32, state: &Controller) {
        self.met.snapshots += 1;
        let end = state.image().end_offset();
        if end > self.metadata_end {
            let what =
                format!("node {node}: a snapshot of {end}, committed is {}", self.metadata_end);
            self.broken("snapshots hold what is committed", what);
        }
        self.metadata_marks.insert((node, self.life), end);
        self.replayed(node, state, None);
    }

    /// One leader in each epoch of a partition, and it has all that is committed.
    pub(crate) fn leads_partition(&mut self, key: PartitionKey, epoch: LeaderEpoch, end: Offset) {
        self.met.partition_leaders += 1;
        let node = self.node;
        let facts = self.partitions.entry(key).or_default();
        let leader = *facts.leaders.entry(epoch.0).or_insert(node);
        // A broker that hears late may begin to lead when its epoch is over.
        let earlier = facts.committed_in.partition_point(|of| *of < epoch.0);
        let committed = length(&facts.committed[..earlier]);
        if leader != node {
            let what = format!("brokers {leader} and {node} lead {key:?} in epoch {epoch}");
            self.broken("one leader per partition epoch", what);
        }
        if end.0 < committed {
            let what = format!(
                "broker {node} leads {key:?} in epoch {epoch} with a log up to {end}, committed \
                 is {committed}"
            );
            self.broken("what is committed is never lost", what);
        }
    }

    /// A follower cuts nothing that it knows to be committed.
    pub(crate) fn partition_cut(&mut self, key: PartitionKey, node: i32, life: u32, end: Offset) {
        self.met.cuts += 1;
        let facts = self.partitions.entry(key).or_default();
        if let Some(mark) = facts.marks.get_mut(&(node, life))
            && *mark > end.0
        {
            let what = format!("broker {node} cuts {key:?} at {end}, below its mark {mark}");
            *mark = end.0;
            self.broken("what is committed is never lost", what);
        }
    }

    /// High watermarks stay within the log, never go back in a process, and what is below them is
    /// the same everywhere, once, and in order.
    pub(crate) fn high_watermark(
        &mut self,
        key: PartitionKey,
        epoch: LeaderEpoch,
        leads: bool,
        to: Offset,
        reader: &LogReader,
    ) {
        let node = self.node;
        if to > reader.log_end() {
            let what = format!(
                "broker {node} {key:?} epoch {epoch}: {to}, the log ends at {}",
                reader.log_end()
            );
            return self.broken("high watermark within the log", what);
        }
        let facts = self.partitions.entry(key).or_default();
        let before = facts.marks.insert((node, self.life), to.0).unwrap_or(0);
        if to.0 < before {
            let what = format!("broker {node} {key:?} epoch {epoch}: from {before} to {to}");
            return self.broken("high watermark never goes back", what);
        }
        let committed = length(&facts.committed);
        if !leads && to.0 > committed {
            let what = format!(
                "broker {node} follows {key:?} with {to}, no leader has passed {committed}"
            );
            return self.broken("followers follow the high watermark", what);
        }
        let from = before.min(committed).max(reader.log_start().0);
        match facts_of(reader, from, to.0) {
            Ok(found) => self.agree(key, epoch, from, &found),
            Err(error) => {
                let what = format!("broker {node} {key:?} from {from} to {to}: {error}");
                self.broken("what is committed can be read", what);
            }
        }
    }

    /// Holds records from `from` on against what is committed, and takes over what is new.
    fn agree(&mut self, key: PartitionKey, epoch: LeaderEpoch, from: i64, found: &[(i64, Fact)]) {
        let node = self.node;
        for (offset, fact) in found.iter().filter(|(offset, _)| *offset >= from) {
            let facts = self.partitions.entry(key).or_default();
            let at = usize::try_from(*offset).unwrap_or(usize::MAX);
            match facts.committed.get(at) {
                Some(known) if known == fact => {}
                Some(known) => {
                    let what = format!(
                        "broker {node} {key:?} at {offset}: {fact:?}, committed was {known:?}"
                    );
                    return self.broken("logs agree up to the high watermark", what);
                }
                None if at == facts.committed.len() => {
                    facts.committed.push(*fact);
                    facts.committed_in.push(epoch.0);
                    let Fact { producer, producer_epoch, sequence, kind, .. } = *fact;
                    self.met.committed += 1;
                    self.settle(key, *fact);
                    if !matches!(kind, Kind::Plain | Kind::Transactional) {
                        continue;
                    }
                    let facts = self.partitions.entry(key).or_default();
                    let next = facts.next.entry((producer, producer_epoch)).or_insert(0);
                    let expected = std::mem::replace(next, sequence.wrapping_add(1));
                    if sequence != expected {
                        let what = format!(
                            "broker {node} {key:?} at {offset}: producer {producer} sequence \
                             {sequence}, the next is {expected}"
                        );
                        return self.broken("each record once, and in order", what);
                    }
                }
                None => {
                    let what = format!("broker {node} {key:?}: nothing before {offset}");
                    return self.broken("logs agree up to the high watermark", what);
                }
            }
        }
    }

    /// What is acknowledged is committed, where the acknowledgement says.
    pub(crate) fn acked(
        &mut self,
        key: PartitionKey,
        (producer, epoch): (i64, i16),
        sequence: i32,
        count: i32,
        base: i64,
    ) {
        self.met.acked += 1;
        let facts = self.partitions.entry(key).or_default();
        for index in 0..count {
            let at = usize::try_from(base + i64::from(index)).unwrap_or(usize::MAX);
            let found = facts.committed.get(at);
            let found = found.map(|fact| (fact.producer, fact.producer_epoch, fact.sequence));
            if found != Some((producer, epoch, sequence + index)) {
                let what = format!(
                    "{key:?}: producer {producer} sequence {} is acknowledged at {at}, where \
                     {found:?} is committed of {}",
                    sequence + index,
                    facts.committed.len()
                );
                return self.broken("what is acknowledged is committed", what);
            }
        }
    }

    /// Whether this record is committed.
    pub(crate) fn is_committed(&self, key: PartitionKey, producer: i64, sequence: i32) -> bool {
        let facts = self.partitions.get(&key);
        facts.and_then(|facts| facts.next.get(&(producer, 0))).is_some_and(|next| *next > sequence)
    }

    /// Readers see what is committed and nothing else.
    pub(crate) fn consumed(&mut self, key: PartitionKey, from: i64, found: &[(i64, Fact)]) {
        let facts = self.partitions.entry(key).or_default();
        let mut wrong = None;
        let new = found.iter().filter(|(offset, _)| *offset >= from);
        for (next, (offset, fact)) in (from..).zip(new) {
            let at = usize::try_from(*offset).unwrap_or(usize::MAX);
            let known = facts.committed.get(at);
            if *offset != next || known != Some(fact) {
                wrong = Some(format!(
                    "{key:?}: {fact:?} at {offset} instead of {next}; committed is {known:?} of {}",
                    facts.committed.len()
                ));
                break;
            }
            self.met.read += 1;
        }
        if let Some(what) = wrong {
            self.broken("no reader sees what is not committed", what);
        }
    }

    /// A leader sent what its follower cannot append.
    pub(crate) fn sent_damaged(&mut self, key: PartitionKey, error: &str) {
        let what = format!("broker {} {key:?}: {error}", self.node);
        self.broken("leaders send what followers can append", what);
    }

    /// A broker has given a replica up: what it knew of it is gone.
    pub(crate) fn dropped(&mut self, key: PartitionKey) {
        let of = (self.node, self.life);
        let facts = self.partitions.entry(key).or_default();
        facts.marks.remove(&of);
        facts.fates.stable.remove(&of);
    }
}

fn length(facts: &[Fact]) -> i64 {
    i64::try_from(facts.len()).unwrap_or(i64::MAX)
}
