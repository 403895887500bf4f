//! The time of a thread that a request takes, where that is limited (`request_percentage`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use naru_quotas::Kind;

use super::Who;
use crate::listener::Answer;
use crate::node::Node;

/// Percent of a thread in a nanosecond.
const PERCENT_PER_NANOSECOND: f64 = 100.0 / 1e9;

/// One request's time. It stands still while the request waits.
#[derive(Debug)]
pub(crate) struct Metered {
    node: Arc<Node>,
    user: String,
    client_id: String,
    epoch: Instant,
    /// Nanoseconds of the turns that are over.
    spent: AtomicU64,
    /// When the turn began that is not over, in nanoseconds.
    resumed: AtomicU64,
}

impl Metered {
    /// Begins with the first turn.
    pub(crate) fn begin(node: &Arc<Node>, user: &str, client_id: &str) -> Arc<Self> {
        Arc::new(Self {
            node: Arc::clone(node),
            user: user.to_owned(),
            client_id: client_id.to_owned(),
            epoch: Instant::now(),
            spent: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn resume(&self) {
        self.resumed.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn pause(&self) {
        let turn = self.now().saturating_sub(self.resumed.load(Ordering::Relaxed));
        self.spent.fetch_add(turn, Ordering::Relaxed);
    }

    /// Counts the time up to now; for how long the client is to be left alone. Asked once, in the
    /// turn in which the answer is made.
    pub(crate) fn throttle_ms(&self) -> u32 {
        let turn = self.now().saturating_sub(self.resumed.load(Ordering::Relaxed));
        let nanos = self.spent.load(Ordering::Relaxed).saturating_add(turn);
        #[expect(clippy::cast_precision_loss, reason = "a time")]
        let percent = nanos as f64 * PERCENT_PER_NANOSECOND;
        let who = Who { user: &self.user, client_id: &self.client_id };
        self.node.quotas().record(Kind::Request, who, percent)
    }
}

/// An answer that is not known yet, whose turns are timed.
pub(crate) struct Timed {
    pub(crate) later: Pin<Box<dyn Future<Output = Answer>>>,
    pub(crate) metered: Arc<Metered>,
}

impl Future for Timed {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.metered.resume();
        let polled = self.later.as_mut().poll(cx);
        self.metered.pause();
        polled
    }
}
