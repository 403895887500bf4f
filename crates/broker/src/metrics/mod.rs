//! What the node counts while it works. Reading is `http`'s business.

mod text;

use std::sync::atomic::{AtomicU64, Ordering};

use naru_protocol::api::ApiKey;

pub(crate) use text::{Kind, MetricsText};

/// A counter that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of one topic (`kafka.server:type=BrokerTopicMetrics`).
#[derive(Debug, Default)]
pub(crate) struct TopicMetrics {
    pub(crate) messages_in: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) bytes_rejected: Counter,
    pub(crate) total_produce_requests: Counter,
    pub(crate) total_fetch_requests: Counter,
    pub(crate) failed_produce_requests: Counter,
    pub(crate) failed_fetch_requests: Counter,
}

/// Counters of the whole node.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    requests: Vec<Counter>,
    /// Syncs of log files, and the batches' worth of appends they covered.
    pub(crate) log_flushes: Counter,
    pub(crate) log_flush_micros: Counter,
    /// Connections closed for what the client sent.
    pub(crate) refused_connections: Counter,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        let count = ApiKey::ALL.len();
        Self {
            requests: std::iter::repeat_with(Counter::default).take(count).collect(),
            log_flushes: Counter::default(),
            log_flush_micros: Counter::default(),
            refused_connections: Counter::default(),
        }
    }
}

impl NodeMetrics {
    pub(crate) fn count_request(&self, api: ApiKey) {
        // API keys are dense from 0, in the order of `ApiKey::ALL`.
        if let Some(counter) = self.requests.get(usize::from(api.key().unsigned_abs())) {
            counter.add(1);
        }
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = (ApiKey, u64)> {
        ApiKey::ALL.iter().copied().zip(self.requests.iter().map(Counter::total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_under_their_own_api() {
        let metrics = NodeMetrics::default();
        metrics.count_request(ApiKey::Fetch);
        metrics.count_request(ApiKey::DeleteShareGroupOffsets);
        let counted: Vec<_> = metrics.requests().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(ApiKey::Fetch, 1), (ApiKey::DeleteShareGroupOffsets, 1)]);
    }
}
