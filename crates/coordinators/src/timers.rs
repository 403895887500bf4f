//! Deadlines of one shard.
//!
//! A deadline that moves later, as each heartbeat's does, costs one map write: the queue keeps
//! the old place and is corrected when it comes up. At most one queued place per timer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use naru_model::Timestamp;

/// What a deadline is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A member (also a pending one) must be heard of.
    Session { group: Arc<str>, member: Arc<str> },
    /// Members must have joined.
    Join { group: Arc<str> },
    /// Members must have asked for their assignment.
    Sync { group: Arc<str> },
    /// Expired offsets and empty groups are looked for.
    Expiry,
    /// A member of a consumer group must be heard of.
    MemberSession { group: Arc<str>, member: Arc<str> },
    /// It must give partitions up.
    Revocation { group: Arc<str>, member: Arc<str> },
    /// A classic member of a consumer group must join again.
    MemberJoin { group: Arc<str>, member: Arc<str> },
    /// It must ask for its assignment.
    MemberSync { group: Arc<str>, member: Arc<str> },
    /// Patterns of a consumer group are resolved.
    Patterns { group: Arc<str> },
    /// A member of a streams group must be heard of.
    StreamsSession { group: Arc<str>, member: Arc<str> },
    /// It must give tasks up.
    StreamsRevocation { group: Arc<str>, member: Arc<str> },
    /// A streams group's first assignment has waited for more members.
    StreamsFirst { group: Arc<str> },
    /// A member of a share group must be heard of.
    ShareSession { group: Arc<str>, member: Arc<str> },
}

/// Whether so much time has passed since something was stored. What was stored in the future was
/// so by a clock that has been set back since: nobody waits until it comes.
pub(crate) fn has_passed(since: i64, now: Timestamp, milliseconds: i64) -> bool {
    !(0..milliseconds).contains(&now.0.saturating_sub(since))
}

#[derive(Debug)]
struct Deadline {
    at: Timestamp,
    queued: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: HashMap<Timer, Deadline>,
    queue: BTreeSet<(Timestamp, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Timestamp) {
        if let Some(deadline) = self.deadlines.get_mut(&timer) {
            deadline.at = at;
            if deadline.queued <= at {
                return;
            }
            let queued = std::mem::replace(&mut deadline.queued, at);
            self.queue.remove(&(queued, timer.clone()));
        } else {
            self.deadlines.insert(timer.clone(), Deadline { at, queued: at });
        }
        self.queue.insert((at, timer));
    }

    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some(deadline) = self.deadlines.remove(timer) {
            self.queue.remove(&(deadline.queued, timer.clone()));
        }
    }

    pub(crate) fn is_set(&self, timer: &Timer) -> bool {
        self.deadlines.contains_key(timer)
    }

    /// When to look again; may be earlier than the next deadline, never later.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes a timer whose deadline is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        while self.next()? <= now {
            let (_, timer) = self.queue.pop_first()?;
            let deadline = self.deadlines.get_mut(&timer)?;
            if deadline.at <= now {
                self.deadlines.remove(&timer);
                return Some(timer);
            }
            deadline.queued = deadline.at;
            self.queue.insert((deadline.at, timer));
        }
        None
    }

    /// Moves every deadline; the queue keeps the old places until they come up.
    pub(crate) fn postpone(&mut self, by_ms: i64) {
        for deadline in self.deadlines.values_mut() {
            deadline.at = Timestamp(deadline.at.0.saturating_add(by_ms.max(0)));
        }
    }

    /// Moves every deadline, earlier or later, because the clock was set.
    pub(crate) fn move_by(&mut self, by_ms: i64) {
        self.queue.clear();
        for (timer, deadline) in &mut self.deadlines {
            deadline.at = Timestamp(deadline.at.0.saturating_add(by_ms));
            deadline.queued = deadline.at;
            self.queue.insert((deadline.at, timer.clone()));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.deadlines.clear();
        self.queue.clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.deadlines.len(), self.queue.len());
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(member: &str) -> Timer {
        Timer::Session { group: "g".into(), member: member.into() }
    }

    #[test]
    fn a_deadline_moved_later_fires_at_its_new_time_only() {
        let mut timers = Timers::default();
        timers.set(session("a"), Timestamp(10));
        timers.set(session("a"), Timestamp(30));
        assert_eq!(timers.next(), Some(Timestamp(10)));
        assert_eq!(timers.pop_due(Timestamp(29)), None);
        assert_eq!(timers.next(), Some(Timestamp(30)));
        assert_eq!(timers.pop_due(Timestamp(30)), Some(session("a")));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_deadline_moved_earlier_keeps_one_queued_place() {
        let mut timers = Timers::default();
        for at in (1..100).rev() {
            timers.set(session("a"), Timestamp(at));
        }
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.pop_due(Timestamp(1)), Some(session("a")));
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn postponed_deadlines_come_later_by_as_much() {
        let mut timers = Timers::default();
        timers.set(session("a"), Timestamp(10));
        timers.set(session("b"), Timestamp(20));
        timers.postpone(100);
        assert_eq!(timers.pop_due(Timestamp(109)), None);
        assert_eq!(timers.pop_due(Timestamp(110)), Some(session("a")));
        timers.set(session("b"), Timestamp(111));
        assert_eq!(timers.pop_due(Timestamp(111)), Some(session("b")));
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn deadlines_that_move_with_the_clock_come_after_the_same_time() {
        let mut timers = Timers::default();
        timers.set(session("a"), Timestamp(10));
        timers.set(session("b"), Timestamp(20));
        timers.set(session("b"), Timestamp(30));
        timers.move_by(-1_000);
        assert_eq!(timers.next(), Some(Timestamp(-990)));
        assert_eq!(timers.pop_due(Timestamp(-971)), Some(session("a")));
        assert_eq!(timers.pop_due(Timestamp(-971)), None);
        timers.move_by(5_000);
        assert_eq!(timers.pop_due(Timestamp(4_029)), None);
        assert_eq!(timers.pop_due(Timestamp(4_030)), Some(session("b")));
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn a_cancelled_timer_never_fires() {
        let mut timers = Timers::default();
        timers.set(session("a"), Timestamp(1));
        timers.set(session("b"), Timestamp(2));
        timers.cancel(&session("a"));
        assert_eq!(timers.pop_due(Timestamp(9)), Some(session("b")));
        assert_eq!(timers.pop_due(Timestamp(9)), None);
    }
}
