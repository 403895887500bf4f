//! The invariants of transactions: each is there whole or not at all, as its producer was told,
//! and readers of committed records see what is committed and nothing else.
//!
//! What the committed logs say is held against what the clients have sent and heard. A transaction
//! is known by a number; a record of it by its producer, epoch and sequence in a partition.

use std::collections::{BTreeMap, BTreeSet};

use naru_coordinators::{Identity, TxnCommand};
use naru_log::{AbortedTxn, LogReader};
use naru_replication::PartitionKey;

use crate::facts::{Fact, Kind, facts_of};
use crate::judge::Judge;
use crate::message::Request;

/// What became of a record in the committed log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is not part of a transaction.
    Plain,
    Open,
    Committed,
    Aborted,
    Marker,
}

/// What became of the records of one partition.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    fates: Vec<Fate>,
    /// Offsets of the records of each producer whose transaction has not ended.
    open: BTreeMap<i64, Vec<usize>>,
    /// The newest epoch of each producer.
    epochs: BTreeMap<i64, i16>,
    /// The last stable offset that each process has told.
    pub(crate) stable: BTreeMap<(i32, u32), i64>,
    /// Up to where somebody has told more than is decided by what is committed.
    early: i64,
    /// Whether records were given to a reader whose markers are not committed.
    given_early: BTreeMap<usize, bool>,
}

/// What is known of one transaction's records in one partition.
#[derive(Debug, Default, Clone, Copy)]
struct Part {
    sent: u32,
    committed: u32,
    aborted: u32,
}

/// One transaction.
#[derive(Debug)]
struct Txn {
    producer: Identity,
    parts: BTreeMap<PartitionKey, Part>,
    /// Its producer has asked for the commit.
    asked_commit: bool,
    /// What its producer was told: committed or aborted.
    told: Option<bool>,
    /// Its number was committed as an offset with it.
    has_offset: bool,
}

/// All transactions.
#[derive(Debug, Default)]
pub(crate) struct TxnBook {
    all: BTreeMap<u64, Txn>,
    records: BTreeMap<(PartitionKey, i64, i16, i32), u64>,
    /// Producer, newest epoch that was given out by InitProducerId, and when, by transactional id.
    begun: BTreeMap<&'static str, (Identity, i64)>,
    /// Who was given an identity.
    given: BTreeMap<(i64, i16), i32>,
    /// Producers of whom something came late that an old protocol cannot tell from what is on time.
    excused: BTreeSet<(i64, i16)>,
}

impl TxnBook {
    /// A producer sends records of its transaction.
    pub(crate) fn sends(
        &mut self,
        number: u64,
        producer: Identity,
        key: PartitionKey,
        sequence: i32,
        count: i32,
    ) {
        let txn = self.all.entry(number).or_insert_with(|| Txn {
            producer,
            parts: BTreeMap::new(),
            asked_commit: false,
            told: None,
            has_offset: false,
        });
        let part = txn.parts.entry(key).or_default();
        for index in 0..count {
            let record = (key, producer.id.0, producer.epoch.0, sequence + index);
            // It may be sent again.
            part.sent += u32::from(self.records.insert(record, number).is_none());
        }
    }

    /// A request is delivered that its sender has given up. Before version 2 the end of one
    /// transaction, or its marker, cannot be told from that of the next one, so it may end that
    /// (KIP-890).
    pub(crate) fn comes_late(&mut self, request: &Request) {
        let (producer, version) = match request {
            Request::Marker(ask) => (ask.marker.producer, ask.marker.version),
            Request::Transaction(command) => match &**command {
                TxnCommand::EndTxn { producer, version, .. } => (*producer, *version),
                _ => return,
            },
            _ => return,
        };
        if !version.bumps_epoch() {
            self.excused.insert((producer.id.0, producer.epoch.0));
        }
    }

    fn is_excused(&self, producer: Identity) -> bool {
        self.excused.contains(&(producer.id.0, producer.epoch.0))
    }

    /// A producer's transaction has its number as a group's offset.
    pub(crate) fn has_offset(&mut self, number: u64) {
        if let Some(txn) = self.all.get_mut(&number) {
            txn.has_offset = true;
        }
    }

    /// The newest transaction of a producer id whose commit and offset are promised.
    pub(crate) fn promised_offset(&self, producer: i64) -> i64 {
        let promised = self.all.iter().rev().find(|(_, txn)| {
            txn.producer.id.0 == producer && txn.has_offset && txn.told == Some(true)
        });
        promised.map_or(-1, |(number, _)| i64::try_from(*number).unwrap_or(i64::MAX))
    }

    /// A producer is about to ask for the commit.
    pub(crate) fn asks_commit(&mut self, number: u64) {
        if let Some(txn) = self.all.get_mut(&number) {
            txn.asked_commit = true;
        }
    }
}

impl Judge {
    /// A record has become committed in its log.
    pub(crate) fn settle(&mut self, key: PartitionKey, fact: Fact) {
        let facts = self.partitions.entry(key).or_default();
        let fates = &mut facts.fates;
        let at = fates.fates.len();
        let fate = match fact.kind {
            Kind::Plain | Kind::Own => Fate::Plain,
            Kind::Transactional | Kind::TransactionalOwn => Fate::Open,
            Kind::Commit | Kind::Abort => Fate::Marker,
        };
        fates.fates.push(fate);
        if fate == Fate::Plain {
            return;
        }
        let newest = fates.epochs.entry(fact.producer).or_insert(fact.producer_epoch);
        let before = std::mem::replace(newest, fact.producer_epoch);
        if fact.producer_epoch < before {
            let what = format!("{key:?} at {at}: {fact:?} after epoch {before}");
            return self.broken("epochs of producers never go back", what);
        }
        if fate == Fate::Open {
            fates.open.entry(fact.producer).or_default().push(at);
            let begun = self.transactions.begun.values();
            let newer = begun.map(|(identity, _)| *identity).find(|identity| {
                identity.id.0 == fact.producer && identity.epoch.0 > fact.producer_epoch
            });
            if let Some(newer) = newer
                && !self.deleted.contains(&key.topic)
            {
                let what = format!("{key:?} at {at}: {fact:?} after {newer:?} has begun");
                self.broken("nothing of a fenced producer is stored", what);
            }
            return;
        }
        let ended = fates.open.remove(&fact.producer).unwrap_or_default();
        let (fate, commit) = match fact.kind {
            Kind::Commit => (Fate::Committed, true),
            _ => (Fate::Aborted, false),
        };
        for offset in ended {
            let facts = self.partitions.entry(key).or_default();
            facts.fates.fates[offset] = fate;
            let record = facts.committed[offset];
            let given = facts.fates.given_early.remove(&offset);
            if given.is_some_and(|given| given != commit) {
                let what = format!("{key:?} at {offset}: {fate:?}, given: {given:?}");
                return self.broken("readers of committed records see these and no others", what);
            }
            if record.kind == Kind::Transactional {
                self.decided(key, record, commit);
            }
        }
    }

    /// A record of a transaction is committed or aborted.
    fn decided(&mut self, key: PartitionKey, record: Fact, commit: bool) {
        let name = (key, record.producer, record.producer_epoch, record.sequence);
        let number = self.transactions.records.get(&name).copied();
        let Some((number, txn)) =
            number.and_then(|number| Some((number, self.transactions.all.get_mut(&number)?)))
        else {
            let what = format!("{key:?}: {record:?} was never sent");
            return self.broken("records are those that were sent", what);
        };
        let excused = self.transactions.excused.contains(&(record.producer, record.producer_epoch));
        let part = txn.parts.entry(key).or_default();
        if commit {
            part.committed += 1;
        } else {
            part.aborted += 1;
        }
        let torn = part.committed > 0 && part.aborted > 0
            || txn.parts.values().any(|part| part.committed > 0)
                && txn.parts.values().any(|part| part.aborted > 0);
        if excused {
            return;
        }
        let what = format!("transaction {number}: {txn:?}");
        if torn {
            self.broken("transactions are committed as a whole", what);
        } else if commit && (!txn.asked_commit || txn.told == Some(false)) {
            self.broken("only what its producer commits is committed", what);
        } else if !commit && txn.told == Some(true) {
            self.broken("an acknowledged commit is a promise", what);
        }
    }

    /// A producer was told how its transaction ends; it had asked at `asked`.
    pub(crate) fn ended(
        &mut self,
        transactional_id: &'static str,
        number: u64,
        commit: bool,
        asked: i64,
    ) {
        let Some(txn) = self.transactions.all.get_mut(&number) else { return };
        txn.told = Some(commit);
        let producer = txn.producer;
        let what = format!("transaction {number}: {txn:?}");
        let contrary = txn
            .parts
            .values()
            .any(|part| if commit { part.aborted > 0 } else { part.committed > 0 });
        if commit {
            self.met.txns_committed += 1;
        } else {
            self.met.txns_aborted += 1;
        }
        if self.transactions.is_excused(producer) {
            return;
        }
        if contrary {
            self.broken("producers are told what became of their transactions", what);
        } else if let Some((newer, since)) = self.transactions.begun.get(transactional_id)
            && newer.epoch > producer.epoch
            && asked > *since
        {
            let what = format!("{what}, {newer:?} had begun at {since}");
            self.broken("a fenced producer ends nothing", what);
        }
    }

    /// InitProducerId was answered: earlier producers of the transactional id are done with.
    pub(crate) fn begins(&mut self, actor: i32, transactional_id: &'static str, now: Identity) {
        let given = self.transactions.given.insert((now.id.0, now.epoch.0), actor);
        let before = self.transactions.begun.get(transactional_id).copied();
        if given.is_some_and(|other| other != actor) {
            let what = format!("{now:?} was given to {given:?} and to {actor}");
            return self.broken("no two producers are the same", what);
        }
        if before.is_some_and(|(before, _)| before.id != now.id) {
            let what = format!("{transactional_id}: {before:?}, then {now:?}");
            return self.broken("a transactional id keeps its producer id", what);
        }
        if before.is_none_or(|(before, _)| before.epoch < now.epoch) {
            self.transactions.begun.insert(transactional_id, (now, self.now));
        }
        let left = self.partitions.iter().find_map(|(key, facts)| {
            let at = *facts.fates.open.get(&now.id.0)?.last()?;
            let record = facts.committed[at];
            let is_old = record.producer_epoch < now.epoch.0;
            (is_old && !self.deleted.contains(&key.topic)).then_some((*key, at, record))
        });
        if let Some((key, at, record)) = left {
            let what = format!("{now:?} begins, {record:?} at {at} of {key:?} is still open");
            self.broken("who begins finds no transaction of its predecessor", what);
        }
    }

    /// A process tells its last stable offset: everything before it is decided, and it never goes
    /// back. One that has stopped cleanly forgets, as Kafka's do, which markers of its log were not
    /// committed; what these say is decided, too.
    pub(crate) fn last_stable(&mut self, key: PartitionKey, stable: i64, reader: &LogReader) {
        let of = (self.node, self.life);
        let fates = &mut self.partitions.entry(key).or_default().fates;
        let before = fates.stable.insert(of, stable).unwrap_or(stable);
        let open = fates.open.values().filter_map(|offsets| offsets.first()).min();
        let open = open.map_or(i64::MAX, |first| i64::try_from(*first).unwrap_or(i64::MAX));
        if stable < before {
            let what = format!("broker {} {key:?}: from {before} to {stable}", of.0);
            self.broken("last stable offset never goes back", what);
        } else if stable > open && has_markers(reader, stable, &undecided(fates, stable)) {
            fates.early = fates.early.max(stable);
        } else if stable > open {
            let what = format!("broker {} {key:?}: {stable}, {open} is not decided", of.0);
            self.broken("everything before the last stable offset is decided", what);
        }
    }

    /// A reader of committed records has read from one offset to another, and was given these.
    pub(crate) fn read_committed(
        &mut self,
        key: PartitionKey,
        (from, next): (i64, i64),
        given: &[i64],
    ) {
        let fates = &mut self.partitions.entry(key).or_default().fates;
        let mut given = given.iter().copied().peekable();
        let mut skipped = 0;
        for offset in from..next {
            let fate = usize::try_from(offset).ok().and_then(|at| fates.fates.get(at)).copied();
            let is_given = given.next_if_eq(&offset).is_some();
            let good = match fate {
                Some(Fate::Plain | Fate::Committed) => is_given,
                Some(Fate::Marker) => !is_given,
                Some(Fate::Aborted) => {
                    skipped += 1;
                    !is_given
                }
                Some(Fate::Open) => {
                    fates.given_early.extend(usize::try_from(offset).map(|at| (at, is_given)));
                    offset < fates.early
                }
                None => false,
            };
            if !good {
                let what = format!("{key:?} at {offset}: {fate:?}, given: {is_given}");
                return self.broken("readers of committed records see these and no others", what);
            }
        }
        self.met.skipped += skipped;
    }

    /// A group's offset was looked up: it is that of a transaction which is committed.
    pub(crate) fn offset_found(&mut self, producer: i64, found: i64) {
        let number = u64::try_from(found).ok();
        let txn = number.and_then(|number| self.transactions.all.get(&number));
        let Some(txn) = txn else {
            if found >= 0 {
                let what = format!("producer {producer}: {found}");
                self.broken("offsets of transactions are those that were sent", what);
            }
            return;
        };
        let aborted = txn.parts.values().any(|part| part.aborted > 0);
        let own = txn.producer.id.0 == producer;
        let good = own && txn.asked_commit && txn.told != Some(false) && !aborted;
        if !good && !self.transactions.is_excused(txn.producer) {
            let what = format!("offset {found}: {txn:?}");
            self.broken("only what its producer commits is committed", what);
        }
    }

    /// A transaction that is open in a log of a topic that is there still.
    pub(crate) fn open_somewhere(&self) -> Option<(PartitionKey, i64)> {
        let there = self.partitions.iter().filter(|(key, _)| !self.deleted.contains(&key.topic));
        there.into_iter().find_map(|(key, facts)| {
            facts.fates.open.keys().next().map(|producer| (*key, *producer))
        })
    }

    /// At the end every transaction is there whole, or not at all.
    pub(crate) fn transactions_are_whole(&mut self) {
        let mut wrong = None;
        for (number, txn) in &self.transactions.all {
            let there = txn.parts.iter().filter(|(key, _)| !self.deleted.contains(&key.topic));
            let whole = there.clone().all(|(_, part)| part.committed == part.sent);
            let none = there.clone().all(|(_, part)| part.committed == 0);
            let good = match txn.told {
                Some(true) => whole,
                Some(false) => none,
                None => whole || none,
            };
            if !good && self.transactions.is_excused(txn.producer) {
                self.met.txns_excused += 1;
            } else if !good {
                wrong = Some(format!("transaction {number}: {txn:?}"));
            }
            if txn.told.is_none() {
                self.met.txns_left += 1;
            }
        }
        if let Some(what) = wrong {
            self.broken("transactions are committed as a whole", what);
        }
    }
}

/// The producers with records before an offset whose fate is not known.
fn undecided(fates: &Fates, before: i64) -> BTreeSet<i64> {
    let is_before = |first: &usize| i64::try_from(*first).is_ok_and(|first| first < before);
    let open = fates.open.iter().filter(|(_, offsets)| offsets.first().is_some_and(is_before));
    open.map(|(producer, _)| *producer).collect()
}

/// Whether a log has markers of all these producers from an offset on.
fn has_markers(reader: &LogReader, from: i64, producers: &BTreeSet<i64>) -> bool {
    let found = facts_of(reader, from, reader.log_end().0).unwrap_or_default();
    let markers = found.iter().filter(|(_, fact)| matches!(fact.kind, Kind::Commit | Kind::Abort));
    let ended: BTreeSet<i64> = markers.map(|(_, fact)| fact.producer).collect();
    ended.is_superset(producers)
}

/// The offsets that a consumer hands to its application of what it has fetched from `from` on, as
/// Kafka's consumers filter.
pub(crate) fn visible(found: &[(i64, Fact)], from: i64, mut aborted: Vec<AbortedTxn>) -> Vec<i64> {
    aborted.sort_by_key(|txn| txn.first_offset);
    let mut aborted = aborted.into_iter().peekable();
    let mut hidden = BTreeSet::new();
    let mut given = Vec::new();
    for (offset, fact) in found {
        while let Some(txn) = aborted.next_if(|txn| txn.first_offset.0 <= *offset) {
            hidden.insert(txn.producer_id.0);
        }
        match fact.kind {
            Kind::Commit => {}
            Kind::Abort => {
                hidden.remove(&fact.producer);
            }
            Kind::Transactional | Kind::TransactionalOwn if hidden.contains(&fact.producer) => {}
            _ if *offset >= from => given.push(*offset),
            _ => {}
        }
    }
    given
}
