//! What a follower's fetch session has to look at again.
//!
//! A follower follows thousands of partitions in one session, of which few have news at a time.
//! Each partition tells the feeds that subscribed to it; a fetch looks only at those. A feed lives
//! with its session: partitions hold it weakly.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use naru_model::BrokerId;
use naru_replication::PartitionKey;
use tokio::sync::Notify;

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Higher for the feed whose session began or was used last.
    number: AtomicU64,
    changed: Mutex<Changed>,
    news: Notify,
}

/// Each partition once, the one that waits longest first.
#[derive(Debug, Default)]
struct Changed {
    order: VecDeque<PartitionKey>,
    known: HashSet<PartitionKey>,
}

/// The number that was given last.
static LAST: AtomicU64 = AtomicU64::new(0);

fn next_number() -> u64 {
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl Default for Feed {
    fn default() -> Self {
        let number = AtomicU64::new(next_number());
        Self { number, changed: Mutex::default(), news: Notify::new() }
    }
}

impl Feed {
    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session goes on, so its follower has had an answer: it is this one that the follower
    /// uses, whatever others have begun since.
    pub(crate) fn renew(&self) {
        self.number.store(next_number(), Ordering::Relaxed);
    }

    fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// Has a partition looked at with the next answer.
    pub(crate) fn note(&self, key: PartitionKey) {
        let mut changed = self.changed();
        if changed.known.insert(key) {
            changed.order.push_back(key);
        }
    }

    /// Has a partition looked at now.
    pub(super) fn tell(&self, key: PartitionKey) {
        self.note(key);
        self.news.notify_one();
    }

    /// What is to be looked at, longest waiting first.
    pub(crate) fn take(&self) -> Vec<PartitionKey> {
        let mut changed = self.changed();
        changed.known.clear();
        changed.order.drain(..).collect()
    }

    /// Waits for something to look at now.
    pub(crate) async fn told(&self) {
        self.news.notified().await;
    }
}

/// The feeds of a partition's followers, one each, with the number it had when it subscribed.
#[derive(Debug, Default)]
pub(super) struct Feeds(Vec<(BrokerId, u64, Weak<Feed>)>);

impl Feeds {
    /// Tells `feed` from now on, and none of the same follower that began or was used earlier: a
    /// request whose connection is gone may still be waiting, and must not take the news of the one
    /// that came after it. A request that opens a session and is overtaken by the next one does,
    /// until the session that is used goes on.
    pub(super) fn subscribe(&mut self, replica: BrokerId, feed: &Arc<Feed>) {
        let number = feed.number();
        match self.0.iter_mut().find(|(known, ..)| *known == replica) {
            Some((_, at, known)) => {
                if *at < number || known.strong_count() == 0 {
                    (*at, *known) = (number, Arc::downgrade(feed));
                }
            }
            None => self.0.push((replica, number, Arc::downgrade(feed))),
        }
    }

    /// There is something to fetch or to be told at once.
    pub(super) fn tell(&mut self, key: PartitionKey) {
        self.each(|feed| feed.tell(key));
    }

    /// There is something to be told on the next occasion.
    pub(super) fn note(&mut self, key: PartitionKey) {
        self.each(|feed| feed.note(key));
    }

    fn each(&mut self, tell: impl Fn(&Feed)) {
        self.0.retain(|(_, _, feed)| {
            let feed = feed.upgrade();
            feed.iter().for_each(|feed| tell(feed));
            feed.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use naru_model::Uuid;

    use super::*;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic: Uuid(1), partition }
    }

    #[test]
    fn each_partition_is_looked_at_once_in_the_order_of_its_first_news() {
        let feed = Arc::new(Feed::default());
        let mut feeds = Feeds::default();
        feeds.subscribe(BrokerId(2), &feed);
        feeds.tell(key(1));
        feeds.note(key(0));
        feeds.tell(key(1));
        assert_eq!(feed.take(), [key(1), key(0)]);
        assert_eq!(feed.take(), []);
    }

    #[test]
    fn a_follower_has_one_feed_and_lost_ones_are_forgotten() {
        let (old, new) = (Arc::new(Feed::default()), Arc::new(Feed::default()));
        let mut feeds = Feeds::default();
        feeds.subscribe(BrokerId(2), &old);
        feeds.subscribe(BrokerId(2), &new);
        feeds.subscribe(BrokerId(2), &old);
        feeds.tell(key(1));
        assert_eq!((old.take(), new.take()), (vec![], vec![key(1)]));
        drop(new);
        feeds.tell(key(1));
        assert!(feeds.0.is_empty());
    }

    #[test]
    fn the_session_that_is_used_gets_the_news_not_one_that_came_late() {
        let (used, late) = (Arc::new(Feed::default()), Arc::new(Feed::default()));
        let mut feeds = Feeds::default();
        feeds.subscribe(BrokerId(2), &used);
        feeds.subscribe(BrokerId(2), &late);
        used.renew();
        feeds.subscribe(BrokerId(2), &used);
        feeds.subscribe(BrokerId(2), &late);
        feeds.tell(key(1));
        assert_eq!((used.take(), late.take()), (vec![key(1)], vec![]));
    }

    #[test]
    fn a_partition_that_changes_between_sessions_in_use_is_told_to_its_own() {
        let (left, joined) = (Arc::new(Feed::default()), Arc::new(Feed::default()));
        let mut feeds = Feeds::default();
        left.renew();
        feeds.subscribe(BrokerId(2), &left);
        joined.renew();
        feeds.subscribe(BrokerId(2), &joined);
        left.renew();
        feeds.subscribe(BrokerId(2), &joined);
        feeds.tell(key(1));
        assert_eq!((left.take(), joined.take()), (vec![], vec![key(1)]));
    }
}
