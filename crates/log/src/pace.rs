//! How fast a background scrub may read.
//!
//! Pure; the clock is an argument. The first look through everything after a start goes as fast
//! as is allowed, as nobody knows what happened to the disk while the process was gone; after
//! that everything is looked at once in a period.

use naru_model::Timestamp;

/// The allowance is not saved up for longer than this, so that a pause brings no burst.
const SAVED_MS_MAX: i64 = 2_000;

/// An allowance of bytes that grows with time.
#[derive(Debug, Clone)]
pub struct ScrubPace {
    rate_max: u64,
    rate_min: u64,
    period_ms: u64,
    first_pass: bool,
    left: u64,
    last: Option<Timestamp>,
}

impl ScrubPace {
    /// At most `rate_max` bytes a second, at least `rate_min` if there is anything to look at,
    /// and in between so many that `period_ms` is enough for all.
    pub const fn new(rate_min: u64, rate_max: u64, period_ms: u64) -> Self {
        Self { rate_max, rate_min, period_ms, first_pass: true, left: 0, last: None }
    }

    /// How many bytes may be read now, when there are `total` in all logs.
    pub fn allowance(&mut self, now: Timestamp, total: u64) -> u64 {
        let elapsed = self.last.map_or(0, |last| now.0.saturating_sub(last.0));
        // A clock that jumps back gives nothing and takes nothing.
        let elapsed = elapsed.clamp(0, SAVED_MS_MAX).unsigned_abs();
        self.last = Some(now);
        let rate = self.rate(total);
        let saved_max = rate.saturating_mul(SAVED_MS_MAX.unsigned_abs()) / 1000;
        self.left = (self.left + rate.saturating_mul(elapsed) / 1000).min(saved_max);
        self.left
    }

    /// Takes note of what was read.
    pub const fn spent(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Everything was looked at once.
    pub const fn pass_done(&mut self) {
        self.first_pass = false;
    }

    fn rate(&self, total: u64) -> u64 {
        if self.first_pass {
            return self.rate_max;
        }
        let even = total.saturating_mul(1000) / self.period_ms.max(1);
        even.max(self.rate_min).min(self.rate_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK_MS: u64 = 7 * 86_400_000;

    fn spent_in(pace: &mut ScrubPace, from_ms: i64, seconds: i64, total: u64) -> u64 {
        let mut spent = 0;
        for tick in 0..=seconds * 10 {
            let may = pace.allowance(Timestamp(from_ms + tick * 100), total);
            pace.spent(may);
            spent += may;
        }
        spent
    }

    #[test]
    fn the_first_pass_is_fast_and_the_next_ones_take_a_period() {
        let mut pace = ScrubPace::new(1 << 10, 64_000_000, WEEK_MS);
        assert_eq!(spent_in(&mut pace, 0, 10, 1 << 40), 640_000_000);
        pace.pass_done();
        let total = 7 * 86_400 * 50_000;
        let spent = spent_in(&mut pace, 10_000, 100, total);
        assert!((4_900_000..=5_000_000).contains(&spent), "{spent}");
    }

    #[test]
    fn rates_keep_their_bounds_and_pauses_bring_no_burst() {
        let mut pace = ScrubPace::new(1000, 5000, WEEK_MS);
        pace.pass_done();
        assert_eq!(spent_in(&mut pace, 0, 10, 1), 10_000);
        assert_eq!(spent_in(&mut pace, 10_000, 10, u64::MAX), 50_000);
        assert_eq!(pace.allowance(Timestamp(900_000_000), 1), 2000);
        assert_eq!(pace.allowance(Timestamp(0), 1), 2000, "a clock that jumps back");
        pace.spent(u64::MAX);
        assert_eq!(pace.allowance(Timestamp(1000), 1), 1000);
    }

    #[test]
    fn nothing_is_read_at_rate_zero() {
        let mut pace = ScrubPace::new(1000, 0, WEEK_MS);
        assert_eq!(spent_in(&mut pace, 0, 10, 1 << 30), 0);
    }
}
