//! Who waits for a partition to move on: producers for their batch to be stored as promised,
//! consumers for more to read.
//!
//! A waiter lives with the partition it waits for and is woken when, and only when, something it
//! waits for may have come. There is no global list and no timer scan.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use naru_model::{ErrorCode, LeaderEpoch, Offset};
use naru_replication::PartitionKey;
use tokio::sync::{Notify, oneshot};

use super::feed::Feeds;

/// Result of waiting for a batch: stored, or why it will not be.
pub(crate) type Stored = Result<(), ErrorCode>;

/// Consumers registered before dead ones among them are swept out.
const SWEEP_MIN: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Ascending by offset.
    producers: VecDeque<(Offset, oneshot::Sender<Stored>)>,
    consumers: Vec<Weak<Notify>>,
    sweep_at: usize,
    /// Fetches of followers without a feed, which wait for the log end.
    followers: Vec<Weak<Notify>>,
    pub(super) feeds: Feeds,
    /// First epoch of this broker's leadership that has not been interrupted since; none on a
    /// follower.
    leading_since: Option<LeaderEpoch>,
}

impl Waiters {
    /// Notes that this broker leads. What was appended in an earlier epoch may be waited for if it
    /// has led ever since.
    pub(crate) fn lead_since(&mut self, epoch: LeaderEpoch) {
        self.leading_since.get_or_insert(epoch);
    }

    /// Ends the waits that only a leader can end well.
    pub(crate) fn lead_no_more(&mut self, key: PartitionKey) {
        self.leading_since = None;
        self.fail(key, ErrorCode::NotLeaderOrFollower);
    }

    /// Whether what was appended in `epoch` is in the log still for certain.
    pub(crate) fn has_led_since(&self, epoch: LeaderEpoch) -> bool {
        self.leading_since.is_some_and(|since| since <= epoch)
    }

    /// Waits until the high watermark reaches `end`, the offset after the batch.
    pub(crate) fn park_producer(&mut self, end: Offset) -> oneshot::Receiver<Stored> {
        let (sender, receiver) = oneshot::channel();
        // Nearly always the last: appends are in order, only threads can overtake each other.
        let after = self.producers.iter().rposition(|(other, _)| *other <= end);
        self.producers.insert(after.map_or(0, |at| at + 1), (end, sender));
        receiver
    }

    /// Wakes `consumer` at the next change of what can be read, once however often it asks.
    pub(crate) fn park_consumer(&mut self, consumer: &Arc<Notify>) {
        let it = Arc::as_ptr(consumer);
        // Who asks again has mostly asked not long ago; twice in the list does no harm.
        if self.consumers.iter().rev().take(SWEEP_MIN).any(|waiting| waiting.as_ptr() == it) {
            return;
        }
        if self.consumers.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.consumers.retain(|waiting| waiting.strong_count() > 0);
            self.sweep_at = self.consumers.len() * 2;
        }
        self.consumers.push(Arc::downgrade(consumer));
    }

    /// Wakes `follower` at the next append.
    pub(crate) fn park_follower(&mut self, follower: &Arc<Notify>) {
        // A broker has few fetches under way at a time: dead ones go with the next append.
        self.followers.retain(|waiting| waiting.strong_count() > 0);
        self.followers.push(Arc::downgrade(follower));
    }

    /// Wakes followers: there is more to fetch.
    pub(crate) fn wake_followers(&mut self, key: PartitionKey) {
        self.feeds.tell(key);
        for follower in self.followers.drain(..) {
            if let Some(follower) = follower.upgrade() {
                follower.notify_one();
            }
        }
    }

    /// Wakes everybody whose wait is over at this high watermark.
    pub(crate) fn release(&mut self, key: PartitionKey, high_watermark: Offset) {
        self.feeds.note(key);
        while self.producers.front().is_some_and(|(end, _)| *end <= high_watermark) {
            if let Some((_, sender)) = self.producers.pop_front() {
                // A producer that hung up does not hear it; its batch is stored all the same.
                let _ = sender.send(Ok(()));
            }
        }
        self.wake_consumers();
    }

    /// Tells consumers that something other than the high watermark changed.
    pub(crate) fn wake_consumers(&mut self) {
        for consumer in self.consumers.drain(..) {
            if let Some(consumer) = consumer.upgrade() {
                consumer.notify_one();
            }
        }
    }

    /// Whether a producer waits.
    pub(super) fn has_producers(&self) -> bool {
        !self.producers.is_empty()
    }

    /// Tells producers to look for another leader. Their batches may be stored all the same.
    pub(super) fn send_producers_away(&mut self) {
        for (_, sender) in self.producers.drain(..) {
            let _ = sender.send(Err(ErrorCode::NotLeaderOrFollower));
        }
    }

    /// Ends every wait, because the partition is gone or broken.
    pub(crate) fn fail(&mut self, key: PartitionKey, error: ErrorCode) {
        for (_, sender) in self.producers.drain(..) {
            let _ = sender.send(Err(error));
        }
        self.wake_consumers();
        self.wake_followers(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PartitionKey = PartitionKey { topic: naru_model::Uuid(1), partition: 0 };

    #[test]
    fn producers_are_released_in_order_up_to_the_high_watermark() {
        let mut waiters = Waiters::default();
        let mut first = waiters.park_producer(Offset(5));
        let mut second = waiters.park_producer(Offset(9));
        waiters.release(KEY, Offset(8));
        assert_eq!(first.try_recv(), Ok(Ok(())));
        assert!(second.try_recv().is_err());
        waiters.fail(KEY, ErrorCode::KafkaStorageError);
        assert_eq!(second.try_recv(), Ok(Err(ErrorCode::KafkaStorageError)));
    }

    #[test]
    fn producers_are_sent_away_and_consumers_stay() {
        let mut waiters = Waiters::default();
        assert!(!waiters.has_producers());
        let mut producer = waiters.park_producer(Offset(5));
        let consumer = Arc::new(Notify::new());
        waiters.park_consumer(&consumer);
        assert!(waiters.has_producers());
        waiters.send_producers_away();
        assert_eq!(producer.try_recv(), Ok(Err(ErrorCode::NotLeaderOrFollower)));
        assert!(!waiters.has_producers());
        assert_eq!(waiters.consumers.len(), 1);
    }

    #[test]
    fn a_producer_that_was_overtaken_is_not_held_back() {
        let mut waiters = Waiters::default();
        let mut late = waiters.park_producer(Offset(9));
        let mut early = waiters.park_producer(Offset(5));
        waiters.release(KEY, Offset(5));
        assert_eq!(early.try_recv(), Ok(Ok(())));
        assert!(late.try_recv().is_err());
    }

    #[test]
    fn a_consumer_that_asks_again_waits_once() {
        let mut waiters = Waiters::default();
        let (one, other) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        for _ in 0..100 {
            waiters.park_consumer(&one);
            waiters.park_consumer(&other);
        }
        assert_eq!(waiters.consumers.len(), 2);
        waiters.wake_consumers();
        waiters.park_consumer(&one);
        assert_eq!(waiters.consumers.len(), 1);
    }

    #[test]
    fn consumers_that_went_away_are_swept_out() {
        let mut waiters = Waiters::default();
        for _ in 0..10_000 {
            waiters.park_consumer(&Arc::new(Notify::new()));
        }
        assert!(waiters.consumers.len() <= SWEEP_MIN);
    }
}
