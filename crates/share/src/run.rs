//! Ranges of offsets in one state.
//!
//! Invariants: runs do not overlap; none is empty. What lies between two runs has never been
//! delivered since the partition was loaded.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use naru_model::Timestamp;

use crate::state::{DeliveryState, Ticket};

/// One range, from its key in the map on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) last: i64,
    pub(crate) origin: Origin,
    pub(crate) state: State,
    pub(crate) deliveries: u16,
}

/// The range in which records were first delivered together: deliveries that fail often are
/// made smaller by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) first: i64,
    pub(crate) len: i64,
}

impl Origin {
    pub(crate) fn of(first: i64, last: i64) -> Self {
        Self { first, len: last - first + 1 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    At(DeliveryState),
    Acquired(Hold),
}

/// A member's hold on records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) member: Arc<str>,
    pub(crate) until: Timestamp,
    /// What is being stored.
    pub(crate) pending: Option<Pending>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) ticket: Ticket,
    pub(crate) to: DeliveryState,
}

impl Run {
    pub(crate) fn is_available(&self) -> bool {
        self.state == State::At(DeliveryState::Available)
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(&self.state, State::At(state) if state.is_terminal())
    }

    /// Terminal, or about to be.
    pub(crate) fn is_complete(&self) -> bool {
        match &self.state {
            State::At(state) => state.is_terminal(),
            State::Acquired(hold) => hold.pending.is_some_and(|pending| pending.to.is_terminal()),
        }
    }

    /// Offsets where the log has no record: they were never delivered.
    pub(crate) fn is_gap(&self) -> bool {
        self.state == State::At(DeliveryState::Archived) && self.deliveries == 0
    }

    /// Whether all that was delivered together has stayed together.
    pub(crate) fn is_whole(&self, first: i64) -> bool {
        self.origin == Origin::of(first, self.last)
    }

    /// Done, and there were records.
    fn is_done(&self) -> bool {
        self.is_terminal() && !self.is_gap()
    }

    fn adjoins(&self, next: i64) -> bool {
        self.last.checked_add(1) == Some(next)
    }

    /// Whether this and the one behind it, which begins at `next`, can be one. How records are
    /// done makes no difference any more: what was to be stored of it was handed out.
    fn joins(&self, behind: &Self, next: i64) -> bool {
        let are_done = self.is_terminal() && behind.is_terminal();
        are_done && self.adjoins(next) && self.is_gap() == behind.is_gap()
    }

    /// Makes this, which begins at `first`, as long as both.
    fn take_in(&mut self, first: i64, behind: &Self, next: i64) {
        let are_whole = self.is_whole(first) && behind.is_whole(next);
        self.last = behind.last;
        if are_whole {
            self.origin = Origin::of(first, self.last);
        }
    }

    pub(crate) fn hold(&self) -> Option<&Hold> {
        match &self.state {
            State::Acquired(hold) => Some(hold),
            State::At(_) => None,
        }
    }
}

/// The runs of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    map: BTreeMap<i64, Run>,
}

impl Runs {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Run)> {
        self.map.iter().map(|(first, run)| (*first, run))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (i64, &mut Run)> {
        self.map.iter_mut().map(|(first, run)| (*first, run))
    }

    pub(crate) fn first(&self) -> Option<(i64, &Run)> {
        self.map.first_key_value().map(|(first, run)| (*first, run))
    }

    pub(crate) fn pop_first(&mut self) {
        self.map.pop_first();
    }

    /// The last run that begins at `offset` or before it.
    pub(crate) fn floor(&self, offset: i64) -> Option<(i64, &Run)> {
        self.map.range(..=offset).next_back().map(|(first, run)| (*first, run))
    }

    /// The run with `offset` in it.
    pub(crate) fn at(&self, offset: i64) -> Option<(i64, &Run)> {
        self.floor(offset).filter(|(_, run)| run.last >= offset)
    }

    /// Where the first run behind `offset` begins.
    pub(crate) fn next_after(&self, offset: i64) -> Option<i64> {
        self.map.range(offset.checked_add(1)?..).next().map(|(first, _)| *first)
    }

    /// The runs that have offsets of `first..=last`.
    pub(crate) fn overlapping(
        &self,
        first: i64,
        last: i64,
    ) -> impl DoubleEndedIterator<Item = (i64, &Run)> {
        let from = self.at(first).map_or(first, |(begin, _)| begin);
        let range = (from <= last).then(|| self.map.range(from..=last));
        range.into_iter().flatten().map(|(first, run)| (*first, run))
    }

    /// The runs of exactly `first..=last`: those at the edges are split.
    pub(crate) fn within_mut(
        &mut self,
        first: i64,
        last: i64,
    ) -> impl Iterator<Item = (i64, &mut Run)> {
        self.split(first);
        if let Some(behind) = last.checked_add(1) {
            self.split(behind);
        }
        let range = (first <= last).then(|| self.map.range_mut(first..=last));
        range.into_iter().flatten().map(|(first, run)| (*first, run))
    }

    /// Adds a run where none is.
    pub(crate) fn insert(&mut self, first: i64, run: Run) {
        debug_assert!(first <= run.last && self.overlapping(first, run.last).next().is_none());
        self.map.insert(first, run);
    }

    /// Drops what lies before `offset`.
    pub(crate) fn drop_before(&mut self, offset: i64) {
        self.split(offset);
        self.map = self.map.split_off(&offset);
    }

    /// Makes one run of those in and next to `first..=last` that are done, with the gaps between
    /// them: whoever names such a gap and a record that is held names something done in any case.
    pub(crate) fn join_done(&mut self, first: i64, last: i64) {
        if first > last {
            return;
        }
        let near: Vec<i64> =
            self.map.range(self.near(first, last)).map(|(first, _)| *first).collect();
        let mut joined: Vec<(i64, Run)> = Vec::with_capacity(near.len());
        for first in near {
            if let Some(run) = self.map.remove(&first) {
                push_joined(&mut joined, first, run);
            }
        }
        self.map.extend(joined);
    }

    /// Where runs begin that are in or next to `first..=last`, or have only a gap in between.
    fn near(&self, first: i64, last: i64) -> RangeInclusive<i64> {
        let before = |offset: i64| {
            let (begin, run) = self.at(offset.checked_sub(1)?)?;
            Some((begin, run.is_gap()))
        };
        let from = match before(first) {
            Some((gap, true)) => before(gap).map_or(gap, |(begin, _)| begin),
            Some((begin, false)) => begin,
            None => first,
        };
        let behind = last.saturating_add(1);
        let gap = self.at(behind).filter(|(_, run)| run.is_gap());
        from..=gap.map_or(behind, |(_, run)| run.last.saturating_add(1))
    }

    /// Has a run begin at `offset` if one contains it.
    fn split(&mut self, offset: i64) {
        let Some((first, last)) = self.at(offset).map(|(first, run)| (first, run.last)) else {
            return;
        };
        if first == offset {
            return;
        }
        if let Some(run) = self.map.get_mut(&first) {
            run.last = offset - 1;
            let rest = Run { last, ..run.clone() };
            self.map.insert(offset, rest);
        }
    }

    /// The parts of `first..=last` that no run has.
    pub(crate) fn holes(&self, first: i64, last: i64) -> Vec<(i64, i64)> {
        let mut holes = Vec::new();
        let mut at = first;
        for (begin, run) in self.overlapping(first, last) {
            if begin > at {
                holes.push((at, begin - 1));
            }
            at = run.last.saturating_add(1);
        }
        if at <= last {
            holes.push((at, last));
        }
        holes
    }
}

/// Puts a run behind others, or makes it a part of the last of them.
fn push_joined(runs: &mut Vec<(i64, Run)>, next: i64, run: Run) {
    if let [.., (begin, before), (at, gap)] = runs.as_mut_slice()
        && gap.is_gap()
        && (before.is_done() && before.adjoins(*at))
        && (run.is_done() && gap.adjoins(next))
    {
        before.take_in(*begin, gap, *at);
        runs.pop();
    }
    match runs.last_mut() {
        Some((first, before)) if before.joins(&run, next) => before.take_in(*first, &run, next),
        _ => runs.push((next, run)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(of: &[(i64, i64, DeliveryState, u16)]) -> Runs {
        let mut runs = Runs::default();
        for (first, last, state, deliveries) in of.iter().copied() {
            let (origin, state) = (Origin::of(first, last), State::At(state));
            runs.insert(first, Run { last, origin, state, deliveries });
        }
        runs
    }

    fn ranges(runs: &Runs) -> Vec<(i64, i64)> {
        runs.iter().map(|(first, run)| (first, run.last)).collect()
    }

    #[test]
    fn neighbours_that_are_done_become_one_however_they_are_done() {
        use DeliveryState::{Acknowledged, Archived, Available};
        let mut known = runs(&[
            (0, 4, Acknowledged, 1),
            (5, 5, Archived, 2),
            (6, 9, Acknowledged, 1),
            (10, 10, Archived, 1),
            (11, 12, Archived, 0),
            (14, 15, Archived, 0),
            (16, 17, Available, 1),
            (18, 19, Available, 1),
        ]);
        known.join_done(5, 5);
        assert_eq!(ranges(&known)[..2], [(0, 9), (10, 10)]);
        known.join_done(0, 19);
        let left = [(0, 10), (11, 12), (14, 15), (16, 17), (18, 19)];
        assert_eq!(ranges(&known), left, "a gap next to what may be held stays apart");
        assert!(known.first().is_some_and(|(first, run)| run.is_whole(first)));
        known.join_done(i64::MIN, i64::MAX);
        known.join_done(1, 0);
        assert_eq!(ranges(&known), left);
    }

    #[test]
    fn a_gap_between_what_is_done_is_done() {
        use DeliveryState::{Acknowledged, Archived, Available};
        let known = [
            (0, 4, Acknowledged, 1),
            (5, 9, Archived, 0),
            (10, 14, Archived, 3),
            (15, 19, Archived, 0),
            (20, 24, Acknowledged, 1),
            (25, 29, Archived, 0),
            (30, 34, Available, 1),
        ];
        for (first, last) in [(10, 14), (0, 24)] {
            let mut known = runs(&known);
            known.join_done(first, last);
            assert_eq!(ranges(&known), [(0, 24), (25, 29), (30, 34)]);
        }
        let mut known = runs(&known);
        known.join_done(20, 24);
        assert_eq!(ranges(&known), [(0, 4), (5, 9), (10, 24), (25, 29), (30, 34)]);
    }
}
