//! One group on one partition: which records are held, by whom, and which are done.
//!
//! Owns everything between the start offset (before it all is done) and the end (from there on
//! nothing has been delivered). Offsets between both that belong to no run are available and have
//! never been delivered.
//!
//! Invariants: `start <= end`; neither moves back; no offset has two holders; nothing is
//! delivered more often than the limit; what is done stays done.

use std::sync::Arc;

use naru_model::{Offset, Timestamp};

use crate::run::{Origin, Run, Runs, State};
use crate::state::{DeliveryState, Limits, StateBatch, Ticket, WriteId};
use crate::writes::{Change, StateWrite, Writes};

/// See the module.
#[derive(Debug, Clone)]
pub struct SharePartition {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) runs: Runs,
    pub(crate) writes: Writes,
}

impl SharePartition {
    /// The partition as its state was stored. Batches that make no sense are left out: their
    /// records are delivered again.
    #[must_use]
    pub fn load(start: Offset, batches: &[StateBatch]) -> Self {
        // No record is before zero, whatever an administrator set.
        let start = start.0.max(0);
        let mut partition =
            Self { start, end: start, runs: Runs::default(), writes: Writes::default() };
        for batch in batches {
            let (first, last) = (batch.first.0.max(start), batch.last.0);
            // Nothing could come behind the largest offset.
            let is_range = first <= last && last < i64::MAX;
            if !is_range || partition.runs.overlapping(first, last).next().is_some() {
                continue;
            }
            let (origin, deliveries) = (Origin::of(first, last), batch.deliveries);
            let state = State::At(batch.state);
            partition.runs.insert(first, Run { last, origin, state, deliveries });
            partition.end = partition.end.max(last + 1);
        }
        partition.advance();
        partition
    }

    /// Before it everything is done.
    #[must_use]
    pub fn start(&self) -> Offset {
        Offset(self.start)
    }

    /// From here on nothing has been delivered.
    #[must_use]
    pub fn end(&self) -> Offset {
        Offset(self.end)
    }

    /// Where to read next: the first offset that may be delivered.
    #[must_use]
    pub fn next_fetch_offset(&self) -> Offset {
        let mut at = self.start;
        for (first, run) in self.runs.iter() {
            if first > at || run.is_available() {
                break;
            }
            at = run.last + 1;
        }
        Offset(at)
    }

    /// Records between start and end that are not done.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        let done = self.runs.iter().filter(|(_, run)| run.is_complete());
        self.end - self.start - done.map(|(first, run)| run.last - first + 1).sum::<i64>()
    }

    /// Whether anything could be delivered, if the log has it.
    #[must_use]
    pub fn can_acquire(&self, limits: &Limits) -> bool {
        self.next_fetch_offset().0 < self.end || self.in_flight() < limits.in_flight_max
    }

    /// When holds end next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let holds = self.runs.iter().filter_map(|(_, run)| run.hold());
        holds.filter(|hold| hold.pending.is_none()).map(|hold| hold.until).min()
    }

    /// Takes records back from members whose time is over; whether there were any.
    pub fn tick(&mut self, now: Timestamp, limits: &Limits) -> bool {
        self.release_where(limits, |_, until| until <= now)
    }

    /// Takes back what a member holds, who is gone; whether there was anything. What is being
    /// stored goes on.
    pub fn release_member(&mut self, member: &str, limits: &Limits) -> bool {
        self.release_where(limits, |holder, _| holder == member)
    }

    fn release_where(
        &mut self,
        limits: &Limits,
        matches: impl Fn(&str, Timestamp) -> bool,
    ) -> bool {
        let mut changes = Vec::new();
        for (first, run) in self.runs.iter_mut() {
            let Some(hold) = run.hold() else { continue };
            if hold.pending.is_some() || !matches(&hold.member, hold.until) {
                continue;
            }
            let state = released(run.deliveries, limits);
            run.state = State::At(state);
            let (last, deliveries) = (run.last, run.deliveries);
            changes.push(Change { first, last, state, deliveries, ticket: None });
        }
        let any = !changes.is_empty();
        changes.into_iter().for_each(|change| self.writes.queue(change));
        self.advance();
        any
    }

    /// Follows the start of the log: records before it are gone.
    pub fn move_log_start(&mut self, log_start: Offset) {
        if log_start.0 > self.start {
            self.start = log_start.0;
            self.end = self.end.max(self.start);
            self.runs.drop_before(self.start);
            self.advance();
        }
    }

    /// What is to be stored now: nothing while a write is under way.
    pub fn begin_write(&mut self) -> Option<StateWrite> {
        let (id, batches) = self.writes.begin(self.start)?;
        let complete = self.end - self.start - self.in_flight();
        let complete = i32::try_from(complete).unwrap_or(i32::MAX);
        Some(StateWrite { id, start: Offset(self.start), complete, batches })
    }

    /// A write has ended: who waited for it. What could not be stored has not happened, except
    /// that holds which were taken back stay so.
    pub fn end_write(&mut self, id: WriteId, stored: bool) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        let changes = self.writes.end(id);
        for change in &changes {
            let Some(ticket) = change.ticket else { continue };
            if tickets.last() != Some(&ticket) {
                tickets.push(ticket);
            }
            for (_, run) in self.runs.within_mut(change.first, change.last) {
                let State::Acquired(hold) = &mut run.state else { continue };
                if hold.pending.is_none_or(|pending| pending.ticket != ticket) {
                    continue;
                }
                if stored {
                    run.state = State::At(change.state);
                } else {
                    hold.pending = None;
                }
            }
        }
        self.advance();
        // Behind a record that is held for long, what is done does not pile up.
        changes.iter().for_each(|change| self.runs.join_done(change.first, change.last));
        tickets
    }

    /// Whether all that has changed is stored.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.writes.is_idle()
    }

    /// Moves the start over what is done.
    pub(crate) fn advance(&mut self) {
        while let Some((first, run)) = self.runs.first() {
            if first > self.start || !run.is_terminal() {
                break;
            }
            self.start = self.start.max(run.last + 1);
            self.runs.pop_first();
        }
        self.end = self.end.max(self.start);
    }

    /// Members that hold records, for tests and for metrics.
    pub fn holders(&self) -> impl Iterator<Item = (Offset, Offset, &Arc<str>)> {
        let held = self.runs.iter().filter_map(|(first, run)| Some((first, run.last, run.hold()?)));
        held.map(|(first, last, hold)| (Offset(first), Offset(last), &hold.member))
    }

    /// # Panics
    /// If an invariant of the module does not hold.
    pub fn check_invariants(&self) {
        assert!(self.start <= self.end, "start {} end {}", self.start, self.end);
        let mut behind = self.start;
        for (first, run) in self.runs.iter() {
            assert!(first >= behind && first <= run.last, "run {first}..={} at {behind}", run.last);
            behind = run.last + 1;
        }
        assert!(behind <= self.end, "a run behind the end {}", self.end);
        let terminal_at_start =
            self.runs.first().is_some_and(|(first, run)| first == self.start && run.is_terminal());
        assert!(!terminal_at_start, "the start is done");
    }
}

/// What becomes of a record that is given back.
pub(crate) fn released(deliveries: u16, limits: &Limits) -> DeliveryState {
    if deliveries >= limits.deliveries_max {
        DeliveryState::Archived
    } else {
        DeliveryState::Available
    }
}
