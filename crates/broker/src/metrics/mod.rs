//! What the node counts while it works. Reading is `http`'s business.

mod text;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// Lets one message of a kind through every few seconds, and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    const EVERY: Duration = Duration::from_secs(10);

    /// How many were left out since the last one, if this one is to be said.
    pub(crate) fn note(&self, now: Instant) -> Option<u64> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, left_out) = &mut *guard;
        if said.is_some_and(|said| now.duration_since(said) < Self::EVERY) {
            *left_out += 1;
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(left_out))
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
    pub(crate) replication_bytes_in: Counter,
    pub(crate) replication_bytes_out: Counter,
    /// Messages about appends that the disk refused.
    pub(crate) storage_failures: Seldom,
}

/// What one topic counts, by the names of Kafka's metrics.
pub(crate) type TopicRow = (&'static str, &'static str, fn(&TopicMetrics) -> &Counter);
/// Every counter of a topic.
pub(crate) const TOPIC_ROWS: &[TopicRow] = &[
    ("messagesin", "Records appended.", |m| &m.messages_in),
    ("bytesin", "Bytes appended.", |m| &m.bytes_in),
    ("bytesout", "Bytes sent to consumers.", |m| &m.bytes_out),
    ("bytesrejected", "Bytes of refused batches.", |m| &m.bytes_rejected),
    ("totalproducerequests", "Batches asked to append.", |m| &m.total_produce_requests),
    ("totalfetchrequests", "Partition reads answered.", |m| &m.total_fetch_requests),
    ("failedproducerequests", "Batches refused.", |m| &m.failed_produce_requests),
    ("failedfetchrequests", "Reads refused.", |m| &m.failed_fetch_requests),
    ("replicationbytesin", "Bytes fetched from leaders.", |m| &m.replication_bytes_in),
    ("replicationbytesout", "Bytes sent to followers.", |m| &m.replication_bytes_out),
];

impl TopicMetrics {
    /// Adds what another topic has counted: totals must not fall when that one is deleted.
    pub(crate) fn absorb(&self, other: &Self) {
        for (_, _, counter) in TOPIC_ROWS {
            counter(self).add(counter(other).total());
        }
    }
}

/// Counters of the whole node.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    requests: Vec<Counter>,
    /// Syncs of log files, and the batches' worth of appends they covered.
    pub(crate) log_flushes: Counter,
    pub(crate) log_flush_micros: Counter,
    /// Changes of ISRs of partitions led here.
    pub(crate) isr_shrinks: Counter,
    pub(crate) isr_expands: Counter,
    /// Connections closed for what the client sent.
    pub(crate) refused_connections: Counter,
    /// What topics that are deleted have counted.
    pub(crate) deleted_topics: TopicMetrics,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        let count = ApiKey::ALL.len();
        Self {
            requests: std::iter::repeat_with(Counter::default).take(count).collect(),
            log_flushes: Counter::default(),
            log_flush_micros: Counter::default(),
            isr_shrinks: Counter::default(),
            isr_expands: Counter::default(),
            refused_connections: Counter::default(),
            deleted_topics: TopicMetrics::default(),
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

    #[test]
    fn totals_keep_what_deleted_topics_counted() {
        let (all, gone) = (TopicMetrics::default(), TopicMetrics::default());
        gone.bytes_in.add(7);
        all.bytes_in.add(1);
        all.absorb(&gone);
        assert_eq!((all.bytes_in.total(), all.bytes_out.total()), (8, 0));
    }

    #[test]
    fn a_message_that_comes_often_is_said_seldom() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.note(start), Some(0));
        assert_eq!(seldom.note(start + Duration::from_secs(1)), None);
        assert_eq!(seldom.note(start + Duration::from_secs(2)), None);
        assert_eq!(seldom.note(start + Duration::from_secs(11)), Some(2));
    }
}
