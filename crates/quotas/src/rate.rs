//! A rate over the last windows, measured as Kafka measures it.
//!
//! A window begins with the first thing recorded in it. The time that the rate is taken over is
//! never less than that of all windows but the last, so that a first burst does not look like more
//! than it is.

use std::collections::VecDeque;

/// How rates are measured: `quota.window.num` and `quota.window.size.seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// How many windows count, the one being filled included.
    pub count: u32,
    /// How long each of them is.
    pub size_ms: i64,
}

impl Windows {
    /// Seconds that a token bucket holds the tokens of.
    pub(crate) fn seconds(self) -> f64 {
        f64::from(self.count) * to_seconds(self.size_ms)
    }

    /// As much as may come at once without the rate exceeding `bound` whatever came before.
    pub fn burst(self, bound: f64) -> f64 {
        bound * f64::from(self.count.saturating_sub(1)) * to_seconds(self.size_ms)
    }
}

#[expect(clippy::cast_precision_loss, reason = "times between now and 1970 fit")]
pub(crate) fn to_seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// Milliseconds, rounded as Java rounds; nothing negative, and nothing beyond an answer's field.
#[expect(clippy::cast_possible_truncation, reason = "it is clamped")]
pub(crate) fn to_millis(ms: f64) -> u32 {
    let rounded = (ms + 0.5).floor();
    rounded.clamp(0.0, f64::from(i32::MAX)) as i64 as u32
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began_ms: i64,
    last_ms: i64,
    sum: f64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    windows: VecDeque<Window>,
}

impl Rate {
    /// Counts `amount`; a negative one takes back what was counted.
    pub fn record(&mut self, windows: Windows, amount: f64, now_ms: i64) {
        self.forget_old(windows, now_ms);
        match self.windows.back_mut() {
            Some(last) if now_ms - last.began_ms < windows.size_ms => {
                last.sum += amount;
                last.last_ms = last.last_ms.max(now_ms);
            }
            _ => self.windows.push_back(Window { began_ms: now_ms, last_ms: now_ms, sum: amount }),
        }
    }

    /// What a second saw on average.
    pub fn measure(&mut self, windows: Windows, now_ms: i64) -> f64 {
        self.forget_old(windows, now_ms);
        let sum: f64 = self.windows.iter().map(|window| window.sum).sum();
        sum / to_seconds(self.elapsed_ms(windows, now_ms))
    }

    /// How long nothing may come for the rate to be `bound` again, 0 if it is not above.
    pub fn throttle_ms(&mut self, windows: Windows, bound: f64, now_ms: i64) -> u32 {
        let rate = self.measure(windows, now_ms);
        if rate <= bound {
            return 0;
        }
        let over = (rate - bound) / bound;
        to_millis(over * to_seconds(self.elapsed_ms(windows, now_ms)) * 1000.0)
    }

    /// When something was last recorded.
    pub(crate) fn last_ms(&self) -> i64 {
        self.windows.back().map_or(i64::MIN, |window| window.last_ms)
    }

    fn elapsed_ms(&self, windows: Windows, now_ms: i64) -> i64 {
        let began = self.windows.front().map_or(now_ms, |window| window.began_ms);
        let elapsed = (now_ms - began).max(0);
        let whole = elapsed / windows.size_ms.max(1);
        let missing = (i64::from(windows.count) - 1 - whole).max(0);
        (elapsed + missing * windows.size_ms).max(1)
    }

    fn forget_old(&mut self, windows: Windows, now_ms: i64) {
        let age = i64::from(windows.count) * windows.size_ms;
        while self.windows.front().is_some_and(|window| now_ms - window.last_ms >= age) {
            self.windows.pop_front();
        }
        // A clock that was set back must not add to what there is for ever.
        let most = usize::try_from(windows.count).unwrap_or(usize::MAX).saturating_add(1);
        while self.windows.len() > most {
            self.windows.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KAFKA: Windows = Windows { count: 11, size_ms: 1000 };

    #[test]
    fn a_first_burst_is_spread_over_all_windows_but_the_last() {
        let mut rate = Rate::default();
        rate.record(KAFKA, 5000.0, 0);
        assert!((rate.measure(KAFKA, 0) - 500.0).abs() < 1e-9);
        assert_eq!(rate.throttle_ms(KAFKA, 500.0, 0), 0);
        // Twice the quota: as long again as the windows are.
        assert_eq!(rate.throttle_ms(KAFKA, 250.0, 0), 10_000);
    }

    #[test]
    fn what_is_old_does_not_count() {
        let mut rate = Rate::default();
        rate.record(KAFKA, 5000.0, 0);
        assert!(rate.measure(KAFKA, 10_999) > 0.0);
        assert!(rate.measure(KAFKA, 11_000).abs() < 1e-9);
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut rate = Rate::default();
        rate.record(KAFKA, 100.0, 5);
        rate.record(KAFKA, 900.0, 6);
        rate.record(KAFKA, -900.0, 6);
        assert!((rate.measure(KAFKA, 6) - 100.0 / 10.001).abs() < 1e-9);
    }

    proptest! {
        /// Whoever sends small requests and waits as long as told stays near the bound.
        #[test]
        fn waiting_as_told_keeps_the_rate(
            bound in 10.0..1e6_f64,
            seconds in prop::collection::vec(0.0..1.0_f64, 1..300),
        ) {
            let (mut rate, mut now_ms, mut sum) = (Rate::default(), 0_i64, 0.0);
            for seconds in seconds {
                rate.record(KAFKA, seconds * bound, now_ms);
                sum += seconds * bound;
                now_ms += i64::from(rate.throttle_ms(KAFKA, bound, now_ms)) + 1;
            }
            prop_assert!(sum <= bound * (to_seconds(now_ms) * 1.2 + 11.0), "{sum} {now_ms}");
        }

        #[test]
        fn memory_is_bounded(times in prop::collection::vec(-50_000_i64..50_000, 1..200)) {
            let mut rate = Rate::default();
            for at in times {
                rate.record(KAFKA, 1.0, at);
                prop_assert!(rate.windows.len() <= 13);
                prop_assert!(rate.measure(KAFKA, at).is_finite());
            }
        }
    }
}
