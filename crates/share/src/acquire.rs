//! A member gets records.

use std::sync::Arc;

use naru_model::{Offset, Timestamp};

use crate::partition::SharePartition;
use crate::run::{Hold, Origin, Run, State};
use crate::state::{DeliveryState, Limits};
use crate::throttle::together_max;
use crate::writes::Change;

/// A batch of the log that was read, control batches too: members skip those by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBatch {
    /// First offset.
    pub first: Offset,
    /// Last offset.
    pub last: Offset,
    /// Its transaction was aborted and the group reads committed records only.
    pub aborted: bool,
}

/// How strictly the number of records is meant (KIP-1206).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcquireMode {
    /// Whole batches, even if that is more.
    BatchOptimized,
    /// Never more.
    RecordLimit,
}

/// What a member asks for.
#[derive(Debug, Clone, Copy)]
pub struct Acquire<'a> {
    /// Who.
    pub member: &'a Arc<str>,
    /// Where the log was read from; see [`SharePartition::next_fetch_offset`].
    pub fetch_offset: Offset,
    /// What was read there, in order.
    pub batches: &'a [ReadBatch],
    /// How many records.
    pub records_max: i64,
    /// Into ranges of how many records what is new is divided, at batches' ends.
    pub range_len: i64,
    /// How strictly.
    pub mode: AcquireMode,
}

/// A range that the member holds now; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acquired {
    /// First offset.
    pub first: Offset,
    /// Last offset.
    pub last: Offset,
    /// How often its records have been delivered, with this time.
    pub deliveries: u16,
}

/// A range that may be delivered.
struct Candidate {
    first: i64,
    last: i64,
    /// None if it has never been delivered.
    known: Option<(Origin, u16)>,
}

impl SharePartition {
    /// Gives the member what is available of what was read.
    pub fn acquire(&mut self, now: Timestamp, ask: &Acquire<'_>, limits: &Limits) -> Vec<Acquired> {
        let Some(last_read) = ask.batches.last().map(|batch| batch.last.0) else {
            return Vec::new();
        };
        if ask.records_max <= 0 || last_read < self.start {
            return Vec::new();
        }
        let from = ask.fetch_offset.0.max(self.start);
        let room = ask.records_max.min(limits.in_flight_max - self.in_flight());
        // With no more room, records from before the end can still be delivered again.
        let (upto, wanted) = match room {
            1.. => (last_read, room),
            _ if from < self.end => (last_read.min(self.end - 1), ask.records_max),
            _ => return Vec::new(),
        };
        self.archive_gaps(from, upto, ask.batches);
        let acquired = self.take(now, ask, limits, from, upto, wanted);
        self.advance();
        acquired
    }

    fn take(
        &mut self,
        now: Timestamp,
        ask: &Acquire<'_>,
        limits: &Limits,
        from: i64,
        upto: i64,
        wanted: i64,
    ) -> Vec<Acquired> {
        let mut acquired: Vec<Acquired> = Vec::new();
        let (mut taken, mut at) = (0, from);
        let until = Timestamp(now.0.saturating_add(limits.lock_duration_ms));
        while taken < wanted {
            let Some(candidate) = self.candidate(at, upto) else { break };
            let Candidate { first, mut last, known } = candidate;
            let left = wanted - taken;
            let deliveries = known.map_or(0, |(_, deliveries)| deliveries);
            if deliveries >= limits.deliveries_max {
                // The limit has been lowered since.
                self.give_up(first, last, deliveries);
                at = last + 1;
                continue;
            }
            let together = known.and_then(|(origin, deliveries)| {
                together_max(deliveries, limits.deliveries_max, origin)
            });
            if together.is_some() && taken > 0 {
                break;
            }
            if let Some(max) = together {
                last = last.min(first + max - 1);
            }
            let upto_here = last;
            if ask.mode == AcquireMode::RecordLimit {
                last = last.min(first + left - 1);
            } else if known.is_none() && last - first + 1 > left {
                last = last.min(batch_end(ask.batches, first + left - 1));
            }
            let hold = Hold { member: Arc::clone(ask.member), until, pending: None };
            let ranges = match known {
                Some(_) => vec![(first, last)],
                None => divided(ask.batches, first, last, ask.range_len),
            };
            for (first, last) in ranges {
                let state = State::Acquired(hold.clone());
                match known {
                    Some(_) => self.runs.within_mut(first, last).for_each(|(_, run)| {
                        run.state = state.clone();
                        run.deliveries += 1;
                    }),
                    None => {
                        let origin = Origin::of(first, last);
                        self.runs.insert(first, Run { last, origin, state, deliveries: 1 });
                    }
                }
                let (first, last) = (Offset(first), Offset(last));
                acquired.push(Acquired { first, last, deliveries: deliveries + 1 });
            }
            taken += last - first + 1;
            self.end = self.end.max(last + 1);
            if known.is_none() && last < upto_here && ask.mode == AcquireMode::RecordLimit {
                self.leave_rest(ask.batches, first, last, upto_here);
            }
            at = last + 1;
            if together.is_some() {
                break;
            }
        }
        acquired
    }

    /// Notes the rest of a batch that was cut at `last`: it is the next range that is delivered.
    fn leave_rest(&mut self, batches: &[ReadBatch], first: i64, last: i64, upto: i64) {
        let end = batch_end(batches, last).min(upto);
        if end > last {
            let (origin, state) = (Origin::of(first, end), State::At(DeliveryState::Available));
            self.runs.insert(last + 1, Run { last: end, origin, state, deliveries: 0 });
            self.end = self.end.max(end + 1);
        }
    }

    /// The next range at or after `at` that may be delivered.
    fn candidate(&self, mut at: i64, upto: i64) -> Option<Candidate> {
        while at <= upto {
            match self.runs.at(at) {
                None => {
                    let next = self.runs.next_after(at).map_or(upto, |next| next - 1);
                    return Some(Candidate { first: at, last: next.min(upto), known: None });
                }
                Some((_, run)) if run.is_available() => {
                    let last = run.last.min(upto);
                    let known = Some((run.origin, run.deliveries));
                    return Some(Candidate { first: at, last, known });
                }
                Some((_, run)) => at = run.last + 1,
            }
        }
        None
    }

    /// Takes out what can never be delivered: offsets where the log has no batch any more, and
    /// records of aborted transactions. It is found out anew after a restart, so it is not stored.
    fn archive_gaps(&mut self, from: i64, upto: i64, batches: &[ReadBatch]) {
        let mut at = from;
        for batch in batches {
            let (first, last) = (batch.first.0.max(from), batch.last.0.min(upto));
            if at < first {
                self.archive(at, (first - 1).min(upto));
            }
            if batch.aborted && first <= last {
                self.archive(first, last);
            }
            at = at.max(batch.last.0.saturating_add(1));
            if at > upto {
                break;
            }
        }
    }

    fn archive(&mut self, first: i64, last: i64) {
        if first > last {
            return;
        }
        for (_, run) in self.runs.within_mut(first, last) {
            if run.is_available() {
                run.state = State::At(DeliveryState::Archived);
            }
        }
        for (first, last) in self.runs.holes(first, last) {
            let state = State::At(DeliveryState::Archived);
            let origin = Origin::of(first, last);
            self.runs.insert(first, Run { last, origin, state, deliveries: 0 });
        }
        self.end = self.end.max(last + 1);
    }

    fn give_up(&mut self, first: i64, last: i64, deliveries: u16) {
        let state = DeliveryState::Archived;
        self.runs.within_mut(first, last).for_each(|(_, run)| run.state = State::At(state));
        self.writes.queue(Change { first, last, state, deliveries, ticket: None });
    }
}

/// The end of the batch with `offset` in it.
fn batch_end(batches: &[ReadBatch], offset: i64) -> i64 {
    let batch = batches.iter().find(|batch| batch.last.0 >= offset);
    batch.map_or(offset, |batch| batch.last.0.max(offset))
}

/// `first..=last` in ranges of about `len` records that end where batches end.
fn divided(batches: &[ReadBatch], first: i64, last: i64, len: i64) -> Vec<(i64, i64)> {
    let mut ranges = Vec::new();
    let mut begin = first;
    for batch in batches.iter().filter(|batch| batch.first.0 > first && batch.first.0 <= last) {
        if len > 0 && batch.first.0 - begin >= len {
            ranges.push((begin, batch.first.0 - 1));
            begin = batch.first.0;
        }
    }
    ranges.push((begin, last));
    ranges
}
