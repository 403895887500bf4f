//! A rate that should not be exceeded (KIP-73): bytes per second over the last windows.
//!
//! As Kafka measures it: eleven windows of one second, the last of them being filled.

/// See the module.
#[derive(Debug, Clone)]
pub struct RateQuota {
    /// Bytes per second; none is without limit.
    rate_max: Option<u64>,
    windows: [u64; WINDOWS],
    /// Number of the current window, in seconds.
    current: i64,
}

const WINDOWS: usize = 11;
const WINDOW_MS: i64 = 1000;

impl RateQuota {
    /// A quota of so many bytes per second; none is without limit.
    pub fn new(rate_max: Option<u64>) -> Self {
        Self { rate_max, windows: [0; WINDOWS], current: 0 }
    }

    /// Puts another limit in force.
    pub fn set(&mut self, rate_max: Option<u64>) {
        self.rate_max = rate_max;
    }

    /// Counts bytes that count against the quota.
    pub fn record(&mut self, now_ms: i64, bytes: u64) {
        self.roll(now_ms);
        let at = self.slot();
        self.windows[at] += bytes;
    }

    /// Whether the rate is above the limit.
    pub fn is_exceeded(&mut self, now_ms: i64) -> bool {
        let Some(rate_max) = self.rate_max else { return false };
        self.roll(now_ms);
        let sum: u64 = self.windows.iter().sum();
        let part_ms = now_ms.rem_euclid(WINDOW_MS);
        let elapsed_ms = (WINDOWS as i64 - 1) * WINDOW_MS + part_ms;
        // Bytes a second over the time that the windows cover.
        u128::from(sum) * 1000 > u128::from(rate_max) * u128::from(elapsed_ms.unsigned_abs())
    }

    fn slot(&self) -> usize {
        usize::try_from(self.current.rem_euclid(WINDOWS as i64)).unwrap_or(0)
    }

    fn roll(&mut self, now_ms: i64) {
        let window = now_ms.div_euclid(WINDOW_MS);
        if window - self.current >= WINDOWS as i64 || window < self.current {
            self.windows = [0; WINDOWS];
            self.current = window;
        }
        while self.current < window {
            self.current += 1;
            let at = self.slot();
            self.windows[at] = 0;
        }
    }
}
