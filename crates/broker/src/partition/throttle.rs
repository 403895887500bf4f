//! Replication throttles (KIP-73): moving replicas must not take the bandwidth of clients.
//!
//! Only replicas that a topic lists and that are not in sync are held back, and only while the
//! rate over the last seconds is above the broker's limit.

use std::sync::{Mutex, MutexGuard, PoisonError};

use naru_model::BrokerId;
use naru_model::config::ReplicationThrottle;
use naru_replication::RateQuota;

use super::Partition;

/// The rates of this broker.
#[derive(Debug)]
pub(crate) struct Throttles {
    leader: Mutex<RateQuota>,
    follower: Mutex<RateQuota>,
}

impl Default for Throttles {
    fn default() -> Self {
        let unlimited = || Mutex::new(RateQuota::new(None));
        Self { leader: unlimited(), follower: unlimited() }
    }
}

fn lock(quota: &Mutex<RateQuota>) -> MutexGuard<'_, RateQuota> {
    quota.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Throttles {
    /// Puts other limits in force.
    pub(crate) fn set(&self, limits: &ReplicationThrottle) {
        lock(&self.leader).set(limits.leader_rate);
        lock(&self.follower).set(limits.follower_rate);
    }
}

impl Partition {
    fn throttles(&self) -> &Throttles {
        self.services.replication.throttles()
    }

    fn now_ms(&self) -> i64 {
        self.services.replication.now_ms()
    }

    /// Whether this leader sends `replica` nothing for now.
    pub(crate) fn holds_back(&self, replica: BrokerId) -> bool {
        let here = self.services.replication.here();
        self.settings().leader_throttled.contains(self.index, here)
            && !self.replica().isr().contains(&replica)
            && lock(&self.throttles().leader).is_exceeded(self.now_ms())
    }

    /// Counts what was sent to a follower.
    pub(crate) fn note_sent(&self, bytes: usize) {
        let here = self.services.replication.here();
        if bytes > 0 && self.settings().leader_throttled.contains(self.index, here) {
            lock(&self.throttles().leader).record(self.now_ms(), bytes as u64);
        }
    }

    /// Counts what this follower has got; whether it gets no more for now, if it `lags`.
    pub(crate) fn note_got(&self, bytes: usize, lags: bool) -> bool {
        let here = self.services.replication.here();
        if !self.settings().follower_throttled.contains(self.index, here) {
            return false;
        }
        let now_ms = self.now_ms();
        let mut quota = lock(&self.throttles().follower);
        quota.record(now_ms, bytes as u64);
        lags && quota.is_exceeded(now_ms)
    }
}
