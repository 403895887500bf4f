//! The time that a shard is told: milliseconds since 1970, because shards store them. Somebody may
//! set that clock, which must neither end sessions nor keep them alive: what it moves against the
//! clock that nobody sets is told, so that deadlines move along.

use std::time::Instant;

use naru_model::Timestamp;

use crate::node;

/// Less than this is not told: clocks that are slewed differ by half a millisecond a second.
const STEP_MIN_MS: i64 = 50;
/// Two looks at one clock may lie so far apart that what the other one says in between is taken to
/// be of the same moment.
const LOOK_MAX_MS: i64 = 10;

/// See the module.
#[derive(Debug)]
pub(super) struct ShardClock {
    began: Instant,
    /// How far the clock that may be set was ahead of the other one.
    ahead_ms: Option<i64>,
}

impl ShardClock {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), ahead_ms: None }
    }

    /// The time, and by how much the clock was set since the last look.
    pub(super) fn look(&mut self) -> (Timestamp, i64) {
        let before_ms = self.steady_ms();
        let now = node::now();
        let after_ms = self.steady_ms();
        self.judge(now, before_ms, after_ms)
    }

    fn steady_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn judge(&mut self, now: Timestamp, before_ms: i64, after_ms: i64) -> (Timestamp, i64) {
        let ahead_ms = now.0.saturating_sub(after_ms);
        if after_ms - before_ms > LOOK_MAX_MS {
            // This thread was stopped between the looks. If the clock was set meanwhile nobody
            // can tell by how much: it is as if it had not been, until the next look tells.
            let unset = |known: i64| Timestamp(known.saturating_add(after_ms));
            return (self.ahead_ms.map_or(now, unset), 0);
        }
        let step_ms = ahead_ms.saturating_sub(*self.ahead_ms.get_or_insert(ahead_ms));
        if step_ms.abs() < STEP_MIN_MS {
            return (now, 0);
        }
        self.ahead_ms = Some(ahead_ms);
        (now, step_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a look tells of a step that takes no time.
    fn step(clock: &mut ShardClock, now_ms: i64, steady_ms: i64) -> i64 {
        let (now, step_ms) = clock.judge(Timestamp(now_ms), steady_ms, steady_ms);
        assert_eq!(now, Timestamp(now_ms));
        step_ms
    }

    #[test]
    fn a_clock_that_is_set_is_told_once_and_one_that_runs_is_not() {
        let mut clock = ShardClock::new();
        assert_eq!(step(&mut clock, 1_000_000, 0), 0);
        assert_eq!(step(&mut clock, 1_005_000, 5_000), 0);
        // Set forward by an hour, half a second later.
        assert_eq!(step(&mut clock, 4_605_500, 5_500), 3_600_000);
        assert_eq!(step(&mut clock, 4_605_600, 5_600), 0);
        assert_eq!(step(&mut clock, 1_005_700, 5_700), -3_600_000);
        assert_eq!(step(&mut clock, 1_005_800, 5_800), 0);
    }

    #[test]
    fn a_slewed_clock_is_told_when_it_has_come_far() {
        let mut clock = ShardClock::new();
        let steps: Vec<i64> = (0..1_000)
            .map(|second| step(&mut clock, second * 1_001, second * 1_000))
            .filter(|step| *step != 0)
            .collect();
        assert_eq!(steps, vec![50; 19]);
    }

    #[test]
    fn a_thread_that_was_stopped_while_it_looked_sees_neither_a_step_nor_what_it_set() {
        let mut clock = ShardClock::new();
        // Nothing is known yet, and what this look says is not kept.
        assert_eq!(clock.judge(Timestamp(100), 0, 900), (Timestamp(100), 0));
        assert_eq!(step(&mut clock, 2_000, 1_000), 0);
        assert_eq!(clock.judge(Timestamp(3_000), 2_000, 4_000), (Timestamp(5_000), 0));
        assert_eq!(step(&mut clock, 5_001, 4_001), 0);
        // Set forward by an hour in such a look: told by the next one, and not by the time.
        assert_eq!(clock.judge(Timestamp(3_606_000), 5_000, 5_020), (Timestamp(6_020), 0));
        assert_eq!(step(&mut clock, 3_606_100, 5_100), 3_600_000);
        assert_eq!(step(&mut clock, 3_606_200, 5_200), 0);
    }
}
