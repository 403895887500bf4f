//! Token buckets, and how changes of the cluster are held to `controller_mutation_rate` (KIP-599).

use crate::rate::{Windows, to_millis, to_seconds};

/// Tokens that come back at a rate, up to a burst. What is taken may leave it below zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenBucket {
    tokens: f64,
    updated_ms: i64,
}

impl TokenBucket {
    /// A full one.
    pub fn full(windows: Windows, rate: f64, now_ms: i64) -> Self {
        Self { tokens: windows.seconds() * rate, updated_ms: now_ms }
    }

    fn refill(&mut self, windows: Windows, rate: f64, now_ms: i64) {
        let passed = to_seconds((now_ms - self.updated_ms).max(0));
        self.tokens = (self.tokens + passed * rate).min(windows.seconds() * rate);
        self.updated_ms = now_ms;
    }

    /// Takes `count` tokens, there or not.
    pub fn take(&mut self, windows: Windows, rate: f64, count: f64, now_ms: i64) {
        self.refill(windows, rate, now_ms);
        self.tokens -= count;
    }

    /// How long until it is not below zero any more.
    pub fn throttle_ms(&mut self, windows: Windows, rate: f64, now_ms: i64) -> u32 {
        self.refill(windows, rate, now_ms);
        if self.tokens < 0.0 { to_millis(-self.tokens / rate * 1000.0).max(1) } else { 0 }
    }

    /// Whether more was taken than was there.
    pub(crate) fn is_owed(&self) -> bool {
        self.tokens < 0.0
    }

    pub(crate) const fn updated_ms(&self) -> i64 {
        self.updated_ms
    }
}

/// What one request may change of the cluster, in partitions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MutationQuota {
    /// Nothing if there is no limit.
    limited: Option<Limited>,
    throttle_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Limited {
    bucket: TokenBucket,
    windows: Windows,
    rate: f64,
    now_ms: i64,
    /// Nothing is taken from an exhausted bucket; else more is taken, and whoever asked waits.
    strict: bool,
}

impl MutationQuota {
    /// No limit.
    pub const fn unlimited() -> Self {
        Self { limited: None, throttle_ms: 0 }
    }

    /// A limit of so many partitions a second. A `strict` one refuses what is too much, one that
    /// is not lets it pass and tells to wait.
    pub const fn new(
        bucket: TokenBucket,
        windows: Windows,
        rate: f64,
        strict: bool,
        now_ms: i64,
    ) -> Self {
        Self { limited: Some(Limited { bucket, windows, rate, now_ms, strict }), throttle_ms: 0 }
    }

    /// Counts a change of so many partitions; false if it must not be made.
    pub fn admit(&mut self, partitions: usize) -> bool {
        let Some(limited) = &mut self.limited else { return true };
        let Limited { bucket, windows, rate, now_ms, strict } = limited;
        #[expect(clippy::cast_precision_loss, reason = "a count of partitions")]
        let count = partitions as f64;
        if *strict {
            let wait = bucket.throttle_ms(*windows, *rate, *now_ms);
            if wait > 0 {
                self.throttle_ms = wait;
                return false;
            }
            bucket.take(*windows, *rate, count, *now_ms);
        } else {
            bucket.take(*windows, *rate, count, *now_ms);
            self.throttle_ms = bucket.throttle_ms(*windows, *rate, *now_ms);
        }
        true
    }

    /// How long whoever asked is to wait.
    pub const fn throttle_ms(&self) -> u32 {
        self.throttle_ms
    }

    /// What is left, if there is a limit.
    pub fn bucket(&self) -> Option<TokenBucket> {
        self.limited.map(|limited| limited.bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKA: Windows = Windows { count: 11, size_ms: 1000 };

    fn quota(bucket: TokenBucket, strict: bool, now_ms: i64) -> MutationQuota {
        MutationQuota::new(bucket, KAFKA, 2.0, strict, now_ms)
    }

    #[test]
    fn a_strict_quota_takes_one_change_beyond_it_and_no_other() {
        let mut quota = quota(TokenBucket::full(KAFKA, 2.0, 0), true, 0);
        // 22 tokens at first; the burst that empties it passes whole.
        assert!(quota.admit(30));
        assert_eq!(quota.throttle_ms(), 0);
        assert!(!quota.admit(1));
        assert_eq!(quota.throttle_ms(), 4000);
        let mut later = MutationQuota::new(quota.bucket().unwrap(), KAFKA, 2.0, true, 4000);
        assert!(later.admit(1));
    }

    #[test]
    fn a_permissive_quota_takes_everything_and_tells_to_wait() {
        let mut quota = quota(TokenBucket::full(KAFKA, 2.0, 0), false, 0);
        assert!(quota.admit(22));
        assert_eq!(quota.throttle_ms(), 0);
        assert!(quota.admit(2) && quota.admit(2));
        assert_eq!(quota.throttle_ms(), 2000);
    }

    #[test]
    fn without_a_limit_everything_passes() {
        let mut quota = MutationQuota::unlimited();
        assert!(quota.admit(1_000_000));
        assert_eq!((quota.throttle_ms(), quota.bucket()), (0, None));
    }

    #[test]
    fn tokens_come_back_up_to_the_burst() {
        let mut bucket = TokenBucket::full(KAFKA, 1.0, 0);
        bucket.take(KAFKA, 1.0, 20.0, 0);
        assert_eq!(bucket.throttle_ms(KAFKA, 1.0, 0), 9000);
        assert_eq!(bucket.throttle_ms(KAFKA, 1.0, 9000), 0);
        bucket.take(KAFKA, 1.0, 11.0, 1_000_000);
        assert_eq!(bucket.throttle_ms(KAFKA, 1.0, 1_000_000), 0);
        bucket.take(KAFKA, 1.0, 1.0, 1_000_000);
        assert_eq!(bucket.throttle_ms(KAFKA, 1.0, 1_000_000), 1000);
    }
}
