//! What clients have used of one kind: a rate for each user and client id that are limited.

use std::collections::HashMap;

use crate::limits::Limit;
use crate::rate::{Rate, Windows};

/// Clients whose rates are kept at most. Beyond it, those that have done nothing for longest are
/// forgotten: a client that changes its id with every request must not fill the memory.
pub const METERED_MAX: usize = 50_000;
/// How long a client may do nothing before it is forgotten.
const IDLE_MAX_MS: i64 = 3_600_000;

type Key = (Box<str>, Box<str>);

/// See the module.
#[derive(Debug)]
pub struct Meter {
    windows: Windows,
    rates: HashMap<Key, Rate>,
    /// When idle clients are looked for again.
    sweep_at_ms: i64,
}

impl Meter {
    /// Nobody has used anything.
    pub fn new(windows: Windows) -> Self {
        Self { windows, rates: HashMap::new(), sweep_at_ms: i64::MIN }
    }

    /// Counts `amount` against a limit; for how long the client is to be left alone.
    pub fn record(&mut self, limit: &Limit<'_>, amount: f64, now_ms: i64) -> u32 {
        let windows = self.windows;
        let rate = self.rate(limit, now_ms);
        rate.record(windows, amount, now_ms);
        rate.throttle_ms(windows, limit.bound, now_ms)
    }

    /// Takes back what was counted.
    pub fn unrecord(&mut self, limit: &Limit<'_>, amount: f64, now_ms: i64) {
        let windows = self.windows;
        self.rate(limit, now_ms).record(windows, -amount, now_ms);
    }

    /// More than this at once is above the limit whatever came before.
    pub fn burst(&self, limit: &Limit<'_>) -> f64 {
        self.windows.burst(limit.bound)
    }

    /// Clients whose rates are kept.
    pub fn len(&self) -> usize {
        self.rates.len()
    }

    /// Whether no client's rate is kept.
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty()
    }

    fn rate(&mut self, limit: &Limit<'_>, now_ms: i64) -> &mut Rate {
        let key = (limit.user.into(), limit.client_id.into());
        if !self.rates.contains_key(&key) {
            self.make_room(now_ms);
        }
        self.rates.entry(key).or_default()
    }

    fn make_room(&mut self, now_ms: i64) {
        if self.rates.len() < METERED_MAX && now_ms < self.sweep_at_ms {
            return;
        }
        self.sweep_at_ms = now_ms.saturating_add(IDLE_MAX_MS / 4);
        self.rates.retain(|_, rate| now_ms - rate.last_ms() < IDLE_MAX_MS);
        if self.rates.len() >= METERED_MAX {
            // The older half goes, so that this is not done for every new client.
            let mut times: Vec<i64> = self.rates.values().map(Rate::last_ms).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            self.rates.retain(|_, rate| rate.last_ms() > median);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKA: Windows = Windows { count: 11, size_ms: 1000 };

    #[test]
    fn clients_are_told_apart_by_what_their_limit_says() {
        let mut meter = Meter::new(KAFKA);
        let limit = |user, client_id| Limit { bound: 100.0, user, client_id };
        assert_eq!(meter.record(&limit("a", ""), 1000.0, 0), 0);
        assert_eq!(meter.record(&limit("b", ""), 1000.0, 0), 0);
        assert_eq!(meter.record(&limit("a", ""), 500.0, 0), 5000);
        meter.unrecord(&limit("a", ""), 500.0, 0);
        assert_eq!(meter.record(&limit("a", ""), 0.0, 0), 0);
        assert!((meter.burst(&limit("a", "")) - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn memory_is_bounded_by_the_number_of_clients() {
        let mut meter = Meter::new(KAFKA);
        for n in 0..i64::try_from(METERED_MAX).unwrap() + 10 {
            let id = n.to_string();
            meter.record(&Limit { bound: 1.0, user: "", client_id: &id }, 1.0, n);
        }
        assert!(meter.len() <= METERED_MAX, "{}", meter.len());
        let last = Limit { bound: 1.0, user: "", client_id: "x" };
        meter.record(&last, 1.0, i64::from(u32::MAX));
        assert_eq!(meter.len(), 1, "the others have been idle");
    }
}
