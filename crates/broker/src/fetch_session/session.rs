//! One session: the partitions it follows and what its client was told of each.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::{Timestamp, Uuid};

use crate::partition::Feed;

/// How often a follower's fetch looks at all it follows, to be sure that no news gets lost.
const FULL_LOOK_EVERY_MS: i64 = 1000;

/// A topic as the client names it: by id from v13 on, by name before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Name(String),
    Id(Uuid),
}

/// What a client wants of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) partition: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) fetch_offset: i64,
    pub(crate) last_fetched_epoch: i32,
    /// The log start of a follower that fetches.
    pub(crate) log_start: i64,
    pub(crate) bytes_max: i32,
}

/// A partition to fetch from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchTarget {
    pub(crate) topic: TopicKey,
    pub(crate) wanted: Wanted,
}

#[derive(Debug)]
struct Followed {
    target: FetchTarget,
    told_high_watermark: i64,
    told_log_start: i64,
    told_error: bool,
}

#[derive(Debug)]
pub(crate) struct Session {
    id: i32,
    next_epoch: i32,
    uses_topic_ids: bool,
    /// In the order in which they are to be read next.
    followed: Vec<Followed>,
    index: HashMap<(TopicKey, i32), usize>,
    /// What a follower's session has to look at.
    feed: Arc<Feed>,
    /// When all of it was looked at.
    looked: Option<Timestamp>,
}

impl Session {
    pub(super) fn new(id: i32, uses_topic_ids: bool, targets: &[FetchTarget]) -> Self {
        let mut session = Self {
            id,
            next_epoch: 1,
            uses_topic_ids,
            followed: Vec::new(),
            index: HashMap::new(),
            feed: Arc::default(),
            looked: None,
        };
        session.set(targets);
        session
    }

    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    pub(super) fn next_epoch(&self) -> i32 {
        self.next_epoch
    }

    pub(super) fn uses_topic_ids(&self) -> bool {
        self.uses_topic_ids
    }

    /// Partitions followed.
    pub(crate) fn len(&self) -> usize {
        self.followed.len()
    }

    /// Takes in an incremental request.
    pub(super) fn update(&mut self, targets: &[FetchTarget], forgotten: &[(TopicKey, i32)]) {
        self.next_epoch = if self.next_epoch == i32::MAX { 1 } else { self.next_epoch + 1 };
        self.set(targets);
        if forgotten.is_empty() {
            return;
        }
        let gone: std::collections::HashSet<_> = forgotten.iter().cloned().collect();
        self.followed.retain(|followed| !gone.contains(&key(&followed.target)));
        self.reindex();
    }

    fn set(&mut self, targets: &[FetchTarget]) {
        for target in targets {
            match self.index.get(&key(target)) {
                Some(&at) => self.followed[at].target = target.clone(),
                None => {
                    self.index.insert(key(target), self.followed.len());
                    self.followed.push(Followed {
                        target: target.clone(),
                        told_high_watermark: -1,
                        told_log_start: -1,
                        told_error: false,
                    });
                }
            }
        }
    }

    fn reindex(&mut self) {
        self.index = self
            .followed
            .iter()
            .enumerate()
            .map(|(at, followed)| (key(&followed.target), at))
            .collect();
    }

    /// What to read, in order.
    pub(crate) fn targets(&self) -> Vec<FetchTarget> {
        self.followed.iter().map(|followed| followed.target.clone()).collect()
    }

    pub(crate) fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Whether it is time to look at everything, whatever the feed says; notes that it is done.
    pub(crate) fn is_full_look_due(&mut self, now: Timestamp) -> bool {
        let due = self.looked.is_none_or(|at| !(0..FULL_LOOK_EVERY_MS).contains(&(now.0 - at.0)));
        if due {
            self.looked = Some(now);
        }
        due
    }

    /// What the feed has news of, in its order, as far as it is followed.
    pub(crate) fn changed(&self) -> Vec<FetchTarget> {
        let target = |key: naru_replication::PartitionKey| {
            let at = self.index.get(&(TopicKey::Id(key.topic), key.partition))?;
            Some(self.followed[*at].target.clone())
        };
        self.feed.take().into_iter().filter_map(target).collect()
    }

    /// Whether an incremental answer must name this partition; notes what it tells. An error is
    /// told again until it is gone.
    pub(crate) fn tell(
        &mut self,
        target: &FetchTarget,
        high_watermark: i64,
        log_start: i64,
        has_records: bool,
        is_error: bool,
    ) -> bool {
        let Some(&at) = self.index.get(&key(target)) else { return true };
        let followed = &mut self.followed[at];
        let changed = followed.told_high_watermark != high_watermark
            || followed.told_log_start != log_start
            || followed.told_error != is_error;
        followed.told_high_watermark = high_watermark;
        followed.told_log_start = log_start;
        followed.told_error = is_error;
        changed || has_records || is_error
    }

    /// Puts the partitions that had records last, so that the next answer begins with others.
    pub(crate) fn rotate(&mut self, served: &[(TopicKey, i32)]) {
        if served.is_empty() || served.len() == self.followed.len() {
            return;
        }
        let served: std::collections::HashSet<_> = served.iter().cloned().collect();
        self.followed.sort_by_key(|followed| served.contains(&key(&followed.target)));
        self.reindex();
    }
}

fn key(target: &FetchTarget) -> (TopicKey, i32) {
    (target.topic.clone(), target.wanted.partition)
}
