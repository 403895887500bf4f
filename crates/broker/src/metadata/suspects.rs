//! Brokers whose process may have just died: a connection to them has ended.
//!
//! Whoever tells clients where leaders are waits a moment for the controller's verdict, instead of
//! sending them to a broker that is not there. librdkafka asks once, at once, when a connection
//! breaks; an answer that comes before the failover costs it a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use naru_controller::MetadataImage;

/// How long a verdict is waited for. A broker that hangs is judged by its session timeout.
pub(super) const VERDICT_MAX: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// How many there are: looked at before each answer, without the lock.
    count: AtomicUsize,
    /// By broker: its epoch, and since when.
    brokers: Mutex<HashMap<i32, (i64, Instant)>>,
}

impl Suspects {
    fn brokers(&self) -> MutexGuard<'_, HashMap<i32, (i64, Instant)>> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the broker has ended.
    pub(super) fn add(&self, image: &MetadataImage, id: i32) {
        let Some(broker) = image.broker(id).filter(|broker| !broker.fenced) else { return };
        let mut brokers = self.brokers();
        brokers.entry(id).or_insert_with(|| (broker.epoch, Instant::now()));
        self.count.store(brokers.len(), Ordering::Release);
    }

    /// The broker answers again.
    pub(super) fn clear(&self, id: i32) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut brokers = self.brokers();
        brokers.remove(&id);
        self.count.store(brokers.len(), Ordering::Release);
    }

    /// Whether a verdict is still to come; takes those off the list about whom there is one.
    pub(super) fn any(&self, image: &MetadataImage) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut brokers = self.brokers();
        brokers.retain(|id, (epoch, since)| {
            let same = image.broker(*id).is_some_and(|b| b.epoch == *epoch && !b.fenced);
            same && since.elapsed() < VERDICT_MAX
        });
        self.count.store(brokers.len(), Ordering::Release);
        !brokers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_unknown_is_suspected() {
        let (suspects, image) = (Suspects::default(), MetadataImage::default());
        suspects.add(&image, 7);
        assert!(!suspects.any(&image));
    }
}
