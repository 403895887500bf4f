//! Client quotas of this broker: the limits of the image in force, and what clients have used.
//!
//! Where nobody is limited in something, a request costs one look at an atomic; the rates are
//! behind one lock for each kind, held for a few additions. What is over its limit is answered at
//! once, with the time to wait, and its connection takes no further request for so long (KIP-219):
//! nothing of a throttled request is held.

mod metered;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use naru_model::config::QuotaConfig;
use naru_quotas::{Kind, Limits, Meter, MutationQuota, Mutations, Windows};

pub(crate) use metered::{Metered, Timed};

use crate::metrics::Counter;

/// See the module.
#[derive(Debug)]
pub(crate) struct Quotas {
    began: Instant,
    /// A bit for each kind that somebody is limited in.
    limited: AtomicU8,
    limits: RwLock<Arc<Limits>>,
    produce: Mutex<Meter>,
    fetch: Mutex<Meter>,
    request: Mutex<Meter>,
    mutations: Mutex<Mutations>,
    /// No time to wait for what is no bandwidth is longer.
    window_ms: u32,
    throttled: [Counter; Kind::ALL.len()],
    throttled_ms: [Counter; Kind::ALL.len()],
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn bit(kind: Kind) -> u8 {
    1 << kind as u8
}

/// How the rates of clients are measured.
pub(crate) fn client_windows(config: &QuotaConfig) -> Windows {
    Windows { count: config.windows, size_ms: config.window_ms }
}

impl Quotas {
    pub(crate) fn new(config: &QuotaConfig) -> Self {
        let windows = client_windows(config);
        let meter = || Mutex::new(Meter::new(windows));
        let controller =
            Windows { count: config.controller_windows, size_ms: config.controller_window_ms };
        Self {
            began: Instant::now(),
            limited: AtomicU8::new(0),
            limits: RwLock::default(),
            produce: meter(),
            fetch: meter(),
            request: meter(),
            mutations: Mutex::new(Mutations::new(controller)),
            window_ms: u32::try_from(windows.size_ms).unwrap_or(u32::MAX),
            throttled: Default::default(),
            throttled_ms: Default::default(),
        }
    }

    /// Milliseconds of a clock that nobody sets.
    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Puts other limits in force.
    pub(crate) fn adopt(&self, limits: Limits) {
        let bits = Kind::ALL.into_iter().filter(|kind| limits.has(*kind));
        let bits = bits.fold(0, |bits, kind| bits | bit(kind));
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
        self.limited.store(bits, Ordering::Release);
    }

    /// Whether anybody is limited in this.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.limited.load(Ordering::Acquire) & bit(kind) != 0
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn meter(&self, kind: Kind) -> MutexGuard<'_, Meter> {
        lock(match kind {
            Kind::Produce => &self.produce,
            Kind::Fetch => &self.fetch,
            Kind::Request | Kind::Mutation => &self.request,
        })
    }

    fn told(&self, kind: Kind, ms: u32) -> u32 {
        if ms > 0 {
            self.throttled[kind as usize].add(1);
            self.throttled_ms[kind as usize].add(u64::from(ms));
        }
        ms
    }

    /// Counts what a client has used; for how long it is to be left alone.
    pub(crate) fn record(&self, kind: Kind, who: Who<'_>, amount: f64) -> u32 {
        if !self.has(kind) {
            return 0;
        }
        let limits = self.limits();
        let Some(limit) = limits.find(kind, who.user, who.client_id) else { return 0 };
        let ms = self.meter(kind).record(&limit, amount, self.now_ms());
        let most = if kind == Kind::Request { self.window_ms } else { u32::MAX };
        self.told(kind, ms.min(most))
    }

    /// As much as a client may fetch at once.
    pub(crate) fn fetch_max(&self, who: Who<'_>) -> usize {
        if !self.has(Kind::Fetch) {
            return usize::MAX;
        }
        let limits = self.limits();
        let Some(limit) = limits.find(Kind::Fetch, who.user, who.client_id) else {
            return usize::MAX;
        };
        whole(self.meter(Kind::Fetch).burst(&limit))
    }

    /// Counts an answer to a fetch of so many bytes.
    pub(crate) fn fetched(&self, who: Who<'_>, bytes: usize) -> Fetched {
        let now = Fetched { send: true, throttle_ms: 0 };
        if !self.has(Kind::Fetch) {
            return now;
        }
        let limits = self.limits();
        let Some(limit) = limits.find(Kind::Fetch, who.user, who.client_id) else { return now };
        let now_ms = self.now_ms();
        #[expect(clippy::cast_precision_loss, reason = "a size")]
        let amount = bytes as f64;
        let mut meter = self.meter(Kind::Fetch);
        let throttle_ms = meter.record(&limit, amount, now_ms);
        let mut fetched = Fetched { send: throttle_ms == 0, throttle_ms };
        if throttle_ms > 0 {
            meter.unrecord(&limit, amount, now_ms);
            let before_ms = meter.record(&limit, 0.0, now_ms);
            // A batch that is larger than all windows together would never come through.
            if amount > meter.burst(&limit) && before_ms == 0 {
                meter.record(&limit, amount, now_ms);
                fetched.send = true;
            }
        }
        drop(meter);
        self.told(Kind::Fetch, throttle_ms);
        fetched
    }

    /// What a request may change of the cluster, and what is to be done with what it has left.
    pub(crate) fn mutations(&self, who: Who<'_>, strict: bool) -> MutationQuota {
        if !self.has(Kind::Mutation) {
            return MutationQuota::unlimited();
        }
        let limits = self.limits();
        let limit = limits.find(Kind::Mutation, who.user, who.client_id);
        let now_ms = self.now_ms();
        limit.map_or_else(MutationQuota::unlimited, |limit| {
            lock(&self.mutations).quota(&limit, strict, now_ms)
        })
    }

    /// Remembers what a request has left; how long whoever sent it is to wait.
    pub(crate) fn mutated(&self, who: Who<'_>, quota: &MutationQuota) -> i32 {
        let limits = self.limits();
        if let Some(limit) = limits.find(Kind::Mutation, who.user, who.client_id) {
            lock(&self.mutations).keep(&limit, quota);
        }
        let ms = self.told(Kind::Mutation, quota.throttle_ms());
        i32::try_from(ms).unwrap_or(i32::MAX)
    }

    /// Of each kind: requests that were throttled, milliseconds in all, clients that are measured.
    pub(crate) fn told_of(&self) -> [(Kind, u64, u64, usize); Kind::ALL.len()] {
        Kind::ALL.map(|kind| {
            let clients = if kind == Kind::Mutation { 0 } else { self.meter(kind).len() };
            let (count, ms) = (&self.throttled[kind as usize], &self.throttled_ms[kind as usize]);
            (kind, count.total(), ms.total(), clients)
        })
    }
}

/// Who sends a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) user: &'a str,
    pub(crate) client_id: &'a str,
}

/// What becomes of an answer to a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Whether the records go out; if not, the client asks again after its time.
    pub(crate) send: bool,
    pub(crate) throttle_ms: u32,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn whole(bytes: f64) -> usize {
    bytes.clamp(1.0, f64::from(i32::MAX)) as usize
}

#[cfg(test)]
mod tests {
    use naru_quotas::{Part, Scope};

    use super::*;

    const ALICE: Who<'_> = Who { user: "alice", client_id: "c" };

    fn quotas(key: &str, bound: f64) -> Quotas {
        let config = QuotaConfig {
            windows: 11,
            window_ms: 1000,
            controller_windows: 11,
            controller_window_ms: 1000,
            telemetry_bytes_max: 1000,
        };
        let quotas = Quotas::new(&config);
        let user = Some(Part::Named("alice".to_owned()));
        let scope = Scope::Client { user, client_id: None };
        quotas.adopt(Limits::new([(scope, key, bound)]));
        quotas
    }

    #[test]
    fn only_what_is_limited_is_measured() {
        let quotas = quotas("producer_byte_rate", 100.0);
        assert!(quotas.has(Kind::Produce) && !quotas.has(Kind::Fetch));
        let other = Who { user: "bob", ..ALICE };
        assert_eq!(quotas.record(Kind::Produce, other, 1e9), 0);
        assert_eq!(quotas.record(Kind::Fetch, ALICE, 1e9), 0);
        assert_eq!(quotas.record(Kind::Produce, ALICE, 1000.0), 0);
        assert!(quotas.record(Kind::Produce, ALICE, 1000.0) > 9000);
        quotas.adopt(Limits::default());
        assert_eq!(quotas.record(Kind::Produce, ALICE, 1e9), 0);
    }

    #[test]
    fn a_fetch_that_is_too_much_is_taken_back_but_for_a_batch_that_never_fits() {
        let quotas = quotas("consumer_byte_rate", 100.0);
        assert_eq!(quotas.fetch_max(ALICE), 1000);
        assert!(quotas.fetched(ALICE, 900).send);
        let refused = quotas.fetched(ALICE, 900);
        assert!(!refused.send && refused.throttle_ms > 0);
        assert!(quotas.fetched(ALICE, 50).send, "what was not sent does not count");
        let other = Quotas::fetched(&quotas, Who { client_id: "d", ..ALICE }, 5000);
        assert!(other.send && other.throttle_ms > 0, "larger than all windows");
        assert!(!quotas.fetched(ALICE, 1).send);
    }

    #[test]
    fn the_time_a_request_takes_is_throttled_for_a_window_at_most() {
        let quotas = quotas("request_percentage", 1.0);
        assert_eq!(quotas.record(Kind::Request, ALICE, 1e6), 1000);
    }
}
