//! The share coordinator of one partition of `__share_group_state`.
//!
//! Invariants: the state is what the log says with everything in flight replayed; what cannot be
//! stored is taken back; nothing before the oldest snapshot that is needed stays in the log.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use naru_model::{ErrorCode, Offset, ProducerId, Timestamp, Uuid};

use super::command::{ShareCommand, ShareReply, ShareState, ShareSummary, StateWrite};
use super::config::ShareStateConfig;
use super::error::ShareStateError;
use super::facts::{SharePartition, ShareStateFact, Snapshot};
use super::state::Tracked;
use crate::consumer::{NoTopics, Topics};
use crate::error::{ReplayError, append_error};
use crate::reply::{Outcome, ReplyToken};
use crate::runtime::{Replayed, Shard};
use crate::timers::has_passed;
use crate::writes::{Write, WriteId, WriteKind};

type ShareOutcome = Outcome<ShareReply, Prune>;

/// Records before this offset are needed no more: the log may begin there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// The oldest snapshot that is needed.
    pub before: Offset,
}

/// A record in flight.
#[derive(Debug)]
struct Change {
    partition: SharePartition,
    fact: ShareStateFact,
    /// The share partition without it.
    before: Option<Tracked>,
    /// It was taken back, because a record before it could not be stored.
    undone: bool,
}

#[derive(Debug)]
struct InFlight {
    id: WriteId,
    changes: Vec<Change>,
    answer: Option<(ReplyToken, ShareReply)>,
    /// Where its first record was put.
    at: Option<Offset>,
    /// Answers that tell what this write says, of requests that wrote nothing themselves.
    behind: Vec<(ReplyToken, ShareReply)>,
}

/// See the module.
#[derive(Debug)]
pub struct ShareShard {
    config: ShareStateConfig,
    partitions: HashMap<SharePartition, Tracked>,
    topics: Arc<dyn Topics>,
    writes: VecDeque<InFlight>,
    last_write: WriteId,
    /// Where the last record lies that ended a share partition.
    last_end: Option<Offset>,
    pruned: Option<Offset>,
    /// The next record of the log that is being read.
    next_offset: Option<Offset>,
    prune_due: Option<Timestamp>,
    snapshot_due: Option<Timestamp>,
    skipped: u64,
}

impl ShareShard {
    /// An empty shard, to be filled by `replay`.
    pub fn new(config: ShareStateConfig) -> Self {
        Self {
            config,
            partitions: HashMap::new(),
            topics: Arc::new(NoTopics),
            writes: VecDeque::new(),
            last_write: WriteId::default(),
            last_end: None,
            pruned: None,
            next_offset: None,
            prune_due: None,
            snapshot_due: None,
            skipped: 0,
        }
    }

    /// Changes the configuration; deadlines already set stay.
    pub fn reconfigure(&mut self, config: ShareStateConfig) {
        self.config = config;
    }

    /// Takes over the cluster's topics.
    pub fn on_metadata(&mut self, topics: Arc<dyn Topics>) {
        self.topics = topics;
    }

    /// How many share partitions there are, for metrics.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Records of types this version does not know.
    pub fn skipped_records(&self) -> u64 {
        self.skipped
    }

    fn set_deadlines(&mut self, now: Timestamp) {
        let after = |ms: i64| Timestamp(now.get().saturating_add(ms.max(1)));
        let (prune, cold) =
            (after(self.config.prune_interval_ms), after(self.config.cold_snapshot_interval_ms));
        self.prune_due.get_or_insert(prune);
        self.snapshot_due.get_or_insert(cold);
    }

    fn dispatch(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        command: ShareCommand,
        out: &mut ShareOutcome,
    ) -> Result<(), ShareStateError> {
        match command {
            ShareCommand::Initialize { partition, state_epoch, start_offset } => {
                if self.has_begun(&partition, state_epoch, start_offset) {
                    self.check_exists(&partition)?;
                    self.answer_behind(&partition, token, ShareReply::Done, out);
                    return Ok(());
                }
                let fact = self.initialized(now, &partition, state_epoch, start_offset)?;
                self.write(now, vec![(partition, fact)], Some((token, ShareReply::Done)), out);
            }
            ShareCommand::Read { partition, leader_epoch } => {
                self.read(now, token, partition, leader_epoch, out)?;
            }
            ShareCommand::Write { partition, write } => {
                let known = self.writable(&partition, &write)?;
                let fact = known.written(&write, None, self.config.updates_per_snapshot, now);
                self.write(now, vec![(partition, fact)], Some((token, ShareReply::Done)), out);
            }
            ShareCommand::Delete { partition } => {
                check_number(&partition)?;
                self.check_exists(&partition)?;
                if self.partitions.contains_key(&partition) {
                    let change = (partition, ShareStateFact::Gone);
                    self.write(now, vec![change], Some((token, ShareReply::Done)), out);
                } else {
                    self.answer_behind(&partition, token, ShareReply::Done, out);
                }
            }
            ShareCommand::Summary { partition } => {
                check_number(&partition)?;
                self.check_exists(&partition)?;
                let summary =
                    self.partitions.get(&partition).map_or(NOTHING, |known| ShareSummary {
                        state_epoch: known.now.state_epoch,
                        leader_epoch: known.now.leader_epoch,
                        start_offset: known.now.start_offset,
                        delivery_complete_count: known.now.delivery_complete_count,
                    });
                self.answer_behind(&partition, token, ShareReply::Summary(summary), out);
            }
            ShareCommand::TopicsDeleted { topics } => {
                self.end_topics(now, &topics.into_iter().collect(), out);
                out.reply(token, ShareReply::Done);
            }
        }
        Ok(())
    }

    /// Whether a share partition has begun in this epoch already, wherever that was: a request
    /// that was held up, or made twice, must not take back what has become of records since. An
    /// administrator says where, which counts each time.
    fn has_begun(&self, partition: &SharePartition, state_epoch: i32, start_offset: i64) -> bool {
        let known = self.partitions.get(partition);
        start_offset == UNKNOWN && known.is_some_and(|known| known.now.state_epoch == state_epoch)
    }

    fn initialized(
        &self,
        now: Timestamp,
        partition: &SharePartition,
        state_epoch: i32,
        start_offset: i64,
    ) -> Result<ShareStateFact, ShareStateError> {
        check_number(partition)?;
        let known = self.partitions.get(partition);
        if state_epoch != -1 && known.is_some_and(|known| known.state_epoch_seen > state_epoch) {
            return Err(ShareStateError::FencedStateEpoch);
        }
        self.check_exists(partition)?;
        Ok(ShareStateFact::Snapshot(Snapshot {
            epoch: known.map_or(0, |known| known.now.epoch.saturating_add(1)),
            state_epoch,
            leader_epoch: 0,
            start_offset,
            // Nothing is done behind a start that is known.
            delivery_complete_count: if start_offset == UNKNOWN { -1 } else { 0 },
            created: now,
            written: now,
            batches: Vec::new(),
        }))
    }

    fn read(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        partition: SharePartition,
        leader_epoch: i32,
        out: &mut ShareOutcome,
    ) -> Result<(), ShareStateError> {
        check_number(&partition)?;
        let known = self.partitions.get(&partition).ok_or(ShareStateError::ReadUninitialized)?;
        if leader_epoch != -1 && known.leader_epoch_seen > leader_epoch {
            return Err(ShareStateError::FencedLeaderEpoch);
        }
        self.check_exists(&partition)?;
        let state = ShareState {
            state_epoch: known.now.state_epoch,
            start_offset: known.now.start_offset,
            batches: known.now.batches.clone(),
        };
        let reply = ShareReply::State(state);
        if leader_epoch == -1 || known.leader_epoch_seen == leader_epoch {
            self.answer_behind(&partition, token, reply, out);
            return Ok(());
        }
        // A new leader fences those before it.
        let write = StateWrite {
            state_epoch: known.now.state_epoch,
            leader_epoch,
            start_offset: known.now.start_offset,
            delivery_complete_count: known.now.delivery_complete_count,
            batches: Vec::new(),
        };
        let limit = self.config.updates_per_snapshot;
        let fact = known.written(&write, Some(leader_epoch), limit, now);
        self.write(now, vec![(partition, fact)], Some((token, reply)), out);
        Ok(())
    }

    fn writable(
        &self,
        partition: &SharePartition,
        write: &StateWrite,
    ) -> Result<&Tracked, ShareStateError> {
        check_number(partition)?;
        let known = self.partitions.get(partition).ok_or(ShareStateError::WriteUninitialized)?;
        if write.leader_epoch != -1 && known.leader_epoch_seen > write.leader_epoch {
            return Err(ShareStateError::FencedLeaderEpoch);
        }
        if write.state_epoch != -1 && known.state_epoch_seen > write.state_epoch {
            return Err(ShareStateError::FencedStateEpoch);
        }
        self.check_exists(partition)?;
        Ok(known)
    }

    fn check_exists(&self, partition: &SharePartition) -> Result<(), ShareStateError> {
        let topic = self.topics.name(partition.topic_id);
        let topic = topic.and_then(|name| self.topics.by_name(&name));
        if topic.is_some_and(|topic| partition.partition < topic.partitions) {
            Ok(())
        } else {
            Err(ShareStateError::UnknownTopicOrPartition)
        }
    }

    /// Ends what groups had of topics.
    fn end_topics(&mut self, now: Timestamp, topics: &HashSet<Uuid>, out: &mut ShareOutcome) {
        let gone = self.partitions.keys().filter(|one| topics.contains(&one.topic_id));
        let mut gone: Vec<SharePartition> = gone.cloned().collect();
        gone.sort_unstable();
        self.write_many(now, gone.into_iter().map(|one| (one, ShareStateFact::Gone)), out);
    }

    /// Writes anew what has not changed for long, so that the log can be cut off behind it.
    fn snapshot_cold(&mut self, now: Timestamp, out: &mut ShareOutcome) {
        // Where nothing happens anywhere nothing needs to be cut off.
        if self.partitions.values().all(Tracked::is_cold) {
            return;
        }
        let interval_ms = self.config.cold_snapshot_interval_ms;
        // A record's time may be any.
        let is_old = |known: &Tracked| has_passed(known.now.written.get(), now, interval_ms);
        let cold = self.partitions.iter().filter(|(_, known)| is_old(known));
        let mut cold: Vec<(SharePartition, ShareStateFact)> =
            cold.map(|(one, known)| (one.clone(), known.snapshot(now))).collect();
        cold.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.write_many(now, cold.into_iter(), out);
    }

    /// Where the log may begin; none if that is where it was told to begin last.
    fn prune(&mut self) -> Option<Prune> {
        let in_flight = self.writes.iter().flat_map(|write| &write.changes);
        let needed = in_flight.filter_map(|change| change.before.as_ref());
        let needed = self.partitions.values().chain(needed);
        let oldest = needed.filter_map(|known| known.snapshot_at).min().or(self.last_end)?;
        if oldest <= Offset(0) || self.pruned == Some(oldest) {
            return None;
        }
        self.pruned = Some(oldest);
        Some(Prune { before: oldest })
    }

    fn write_many(
        &mut self,
        now: Timestamp,
        changes: impl Iterator<Item = (SharePartition, ShareStateFact)>,
        out: &mut ShareOutcome,
    ) {
        let mut room = BATCH_BYTES;
        let mut batch = Vec::new();
        for (partition, fact) in changes {
            let size = fact.size_max(&partition);
            if size > room && !batch.is_empty() {
                self.write(now, std::mem::take(&mut batch), None, out);
                room = BATCH_BYTES;
            }
            room = room.saturating_sub(size);
            batch.push((partition, fact));
        }
        if !batch.is_empty() {
            self.write(now, batch, None, out);
        }
    }

    /// Makes facts part of the state and hands them to the log.
    fn write(
        &mut self,
        now: Timestamp,
        facts: Vec<(SharePartition, ShareStateFact)>,
        answer: Option<(ReplyToken, ShareReply)>,
        out: &mut ShareOutcome,
    ) {
        self.last_write = WriteId(self.last_write.0 + 1);
        let id = self.last_write;
        let records = facts.iter().map(|(one, fact)| fact.to_record(one, now)).collect();
        let changes = facts
            .into_iter()
            .map(|(partition, fact)| {
                let before = self.partitions.get(&partition).cloned();
                self.apply(&partition, fact.clone());
                Change { partition, fact, before, undone: false }
            })
            .collect();
        self.writes.push_back(InFlight { id, changes, answer, at: None, behind: Vec::new() });
        out.writes.push(Write { id, records, kind: WriteKind::Plain });
        self.set_deadlines(now);
    }

    fn apply(&mut self, partition: &SharePartition, fact: ShareStateFact) {
        let before = self.partitions.remove(partition);
        let after = Tracked::replayed(before, fact, self.config.updates_per_snapshot);
        if let Some(after) = after {
            self.partitions.insert(partition.clone(), after);
        }
    }

    /// Answers now, or when the last record about the share partition is stored.
    fn answer_behind(
        &mut self,
        partition: &SharePartition,
        token: ReplyToken,
        reply: ShareReply,
        out: &mut ShareOutcome,
    ) {
        let about = |write: &&mut InFlight| write.changes.iter().any(|c| c.partition == *partition);
        match self.writes.iter_mut().rev().find(about) {
            Some(write) => write.behind.push((token, reply)),
            None => out.reply(token, reply),
        }
    }

    /// A record is committed at `at`.
    fn settle(&mut self, change: &Change, at: Option<Offset>) {
        if change.undone {
            self.apply(&change.partition, change.fact.clone());
        }
        match &change.fact {
            ShareStateFact::Snapshot(_) => {
                if let Some(known) = self.partitions.get_mut(&change.partition) {
                    known.snapshot_at = at;
                }
            }
            ShareStateFact::Gone => self.last_end = self.last_end.max(at),
            ShareStateFact::Update(_) => {}
        }
    }

    /// A record is not in the log: the share partition is as it was, and what was decided on top
    /// of it counts only if the log has it.
    fn take_back(&mut self, change: Change) {
        if change.undone {
            return;
        }
        let later = self.writes.iter_mut().flat_map(|write| &mut write.changes);
        later
            .filter(|later| later.partition == change.partition)
            .for_each(|later| later.undone = true);
        match change.before {
            Some(before) => self.partitions.insert(change.partition, before),
            None => self.partitions.remove(&change.partition),
        };
    }

    /// What the log alone decides, however much of it was cut off.
    #[cfg(test)]
    pub(super) fn settled(&self) -> std::collections::BTreeMap<String, Snapshot> {
        let partitions = self.partitions.iter();
        partitions.map(|(one, known)| (one.to_string(), known.now.clone())).collect()
    }
}

impl Shard for ShareShard {
    type Command = ShareCommand;
    type Reply = ShareReply;
    type Effect = Prune;

    fn replay(
        &mut self,
        _producer: Option<ProducerId>,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Replayed, ReplayError> {
        let at = self.next_offset.take();
        let Some((partition, fact)) = ShareStateFact::from_bytes(key, value)? else {
            self.skipped += 1;
            return Ok(Replayed::Skipped);
        };
        self.apply(&partition, fact.clone());
        self.settle(&Change { partition, fact, before: None, undone: false }, at);
        Ok(Replayed::Applied)
    }

    fn replay_marker(&mut self, _producer: ProducerId, _commit: bool) {}

    fn replay_from(&mut self, offset: Offset) {
        self.next_offset = Some(offset);
    }

    fn on_loaded(&mut self, now: Timestamp) -> ShareOutcome {
        if !self.partitions.is_empty() {
            self.set_deadlines(now);
        }
        ShareOutcome::default()
    }

    fn handle(&mut self, now: Timestamp, token: ReplyToken, command: ShareCommand) -> ShareOutcome {
        let mut out = ShareOutcome::default();
        if let Err(error) = self.dispatch(now, token, command, &mut out) {
            out.reply(token, ShareReply::Refused(error));
        }
        out
    }

    fn on_appended(&mut self, id: WriteId, first: Offset) {
        if let Ok(at) = self.writes.binary_search_by_key(&id, |write| write.id) {
            self.writes[at].at = Some(first);
        }
    }

    fn on_written(
        &mut self,
        _now: Timestamp,
        id: WriteId,
        result: Result<(), ErrorCode>,
    ) -> ShareOutcome {
        let mut out = ShareOutcome::default();
        let Ok(index) = self.writes.binary_search_by_key(&id, |write| write.id) else { return out };
        let Some(write) = self.writes.remove(index) else { return out };
        for (index, change) in (0_i64..).zip(write.changes) {
            match result {
                Ok(()) => self.settle(&change, write.at.map(|first| Offset(first.0 + index))),
                Err(_) => self.take_back(change),
            }
        }
        for (token, reply) in write.answer.into_iter().chain(write.behind) {
            let refused = |error| ShareReply::Refused(ShareStateError::Log(append_error(error)));
            out.reply(token, result.err().map_or(reply, refused));
        }
        out
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        [self.prune_due, self.snapshot_due].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Timestamp) -> ShareOutcome {
        let mut out = ShareOutcome::default();
        let due = |at: &mut Option<Timestamp>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.snapshot_due) {
            self.snapshot_cold(now, &mut out);
        }
        if due(&mut self.prune_due) {
            out.effects.extend(self.prune());
        }
        self.set_deadlines(now);
        out
    }

    fn clock_was_set(&mut self, by_ms: i64) {
        for due in [&mut self.prune_due, &mut self.snapshot_due].into_iter().flatten() {
            *due = Timestamp(due.0.saturating_add(by_ms));
        }
    }

    fn unload(&mut self) -> ShareOutcome {
        let mut out = ShareOutcome::default();
        let refused = ShareReply::Refused(ShareStateError::Log(ErrorCode::NotCoordinator));
        for write in self.writes.drain(..) {
            for (token, _) in write.answer.into_iter().chain(write.behind) {
                out.reply(token, refused.clone());
            }
        }
        self.partitions.clear();
        (self.prune_due, self.snapshot_due) = (None, None);
        out
    }
}

fn check_number(partition: &SharePartition) -> Result<(), ShareStateError> {
    if partition.partition < 0 { Err(ShareStateError::NegativePartition) } else { Ok(()) }
}

/// The leader of the partition is to find out where the group begins.
const UNKNOWN: i64 = -1;

/// What is told of a share partition that has no state.
const NOTHING: ShareSummary =
    ShareSummary { state_epoch: 0, leader_epoch: 0, start_offset: -1, delivery_complete_count: -1 };

/// Bytes that records of several share partitions in one batch may have: far below the
/// `max.message.bytes` of the topic.
const BATCH_BYTES: usize = 256 << 10;
