//! The token buckets of clients that change the cluster.

use std::collections::HashMap;

use crate::bucket::{MutationQuota, TokenBucket};
use crate::limits::Limit;
use crate::rate::Windows;

/// Buckets that are kept at most; beyond it, all that are full again are forgotten, and then all.
const BUCKETS_MAX: usize = 10_000;

type Key = (Box<str>, Box<str>);

fn key(limit: &Limit<'_>) -> Key {
    (limit.user.into(), limit.client_id.into())
}

/// See the module.
#[derive(Debug)]
pub struct Mutations {
    windows: Windows,
    buckets: HashMap<Key, TokenBucket>,
}

impl Mutations {
    /// All buckets are full.
    pub fn new(windows: Windows) -> Self {
        Self { windows, buckets: HashMap::new() }
    }

    /// What one request may do. Give it back with [`Self::keep`].
    pub fn quota(&mut self, limit: &Limit<'_>, strict: bool, now_ms: i64) -> MutationQuota {
        let (windows, rate) = (self.windows, limit.bound);
        let known = self.buckets.get(&key(limit)).copied();
        let bucket = known.unwrap_or_else(|| TokenBucket::full(windows, rate, now_ms));
        MutationQuota::new(bucket, windows, rate, strict, now_ms)
    }

    /// Remembers what a request has left.
    pub fn keep(&mut self, limit: &Limit<'_>, quota: &MutationQuota) {
        let Some(bucket) = quota.bucket() else { return };
        if self.buckets.len() >= BUCKETS_MAX {
            let now_ms = bucket.updated_ms();
            let full_after_ms = i64::from(self.windows.count) * self.windows.size_ms;
            self.buckets
                .retain(|_, one| one.is_owed() || now_ms - one.updated_ms() < full_after_ms);
            if self.buckets.len() >= BUCKETS_MAX {
                self.buckets.clear();
            }
        }
        self.buckets.insert(key(limit), bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKA: Windows = Windows { count: 11, size_ms: 1000 };

    #[test]
    fn what_a_request_took_is_missing_for_the_next() {
        let mut mutations = Mutations::new(KAFKA);
        let limit = Limit { bound: 1.0, user: "a", client_id: "" };
        let mut quota = mutations.quota(&limit, true, 0);
        assert!(quota.admit(13));
        mutations.keep(&limit, &quota);
        let mut quota = mutations.quota(&limit, true, 1000);
        assert!(!quota.admit(1));
        assert_eq!(quota.throttle_ms(), 1000);
        let other = Limit { user: "b", ..limit };
        assert!(mutations.quota(&other, true, 1000).admit(1));
    }

    #[test]
    fn buckets_are_bounded() {
        let mut mutations = Mutations::new(KAFKA);
        for n in 0..BUCKETS_MAX + 5 {
            let id = n.to_string();
            let limit = Limit { bound: 1.0, user: "", client_id: &id };
            let mut quota = mutations.quota(&limit, true, 0);
            quota.admit(100);
            mutations.keep(&limit, &quota);
            assert!(mutations.buckets.len() <= BUCKETS_MAX);
        }
    }
}
