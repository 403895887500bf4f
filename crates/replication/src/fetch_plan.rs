//! What one fetcher asks of one leader next, as an incremental fetch session (KIP-227).
//!
//! Work per request is proportional to what has changed, not to the partitions followed.
//!
//! Invariants: a partition is asked for only while it is ready, which it is not while what it got
//! is being stored, nor during the pause after an error; what the leader's session holds is what
//! was asked of it last.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::{LeaderEpoch, Offset, Uuid};

/// A partition by topic id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    /// The topic.
    pub topic: Uuid,
    /// Index within the topic.
    pub partition: i32,
}

/// What is asked of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The epoch in which this replica follows.
    pub leader_epoch: LeaderEpoch,
    /// Where it fetches on.
    pub offset: Offset,
    /// Epoch of the record before that, if there is one.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// Its log start.
    pub log_start: Offset,
}

/// A fetch request to send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchRequestPlan {
    /// Session id; 0 is none.
    pub session_id: i32,
    /// Session epoch; 0 begins a session.
    pub session_epoch: i32,
    /// Partitions that are new or have changed.
    pub asked: Vec<(PartitionKey, Ask)>,
    /// Partitions to be taken out of the session.
    pub forgotten: Vec<PartitionKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    Ready,
    /// What it got is being stored.
    Storing,
    /// Not before that time, because of an error or a quota.
    PausedUntil(i64),
}

#[derive(Debug)]
struct Followed {
    ask: Ask,
    readiness: Readiness,
    /// What the leader's session holds.
    in_session: Option<Ask>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct FetchPlan {
    followed: BTreeMap<PartitionKey, Followed>,
    ready: usize,
    /// Where the session may differ from what is wanted.
    changed: BTreeSet<PartitionKey>,
    paused: BTreeSet<(i64, PartitionKey)>,
    /// Unfollowed, but in the session still.
    gone: BTreeSet<PartitionKey>,
    session_id: i32,
    session_epoch: i32,
}

impl FetchPlan {
    /// A plan that follows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Partitions followed.
    pub fn len(&self) -> usize {
        self.followed.len()
    }

    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.followed.is_empty()
    }

    /// Whether anything can be asked for now.
    pub fn has_ready(&self) -> bool {
        self.ready > 0
    }

    /// Whether this partition is followed.
    pub fn follows(&self, key: PartitionKey) -> bool {
        self.followed.contains_key(&key)
    }

    /// What is asked of a partition.
    pub fn ask_of(&self, key: PartitionKey) -> Option<Ask> {
        self.followed.get(&key).map(|followed| followed.ask)
    }

    /// Follows a partition from here on, or goes on with it from here.
    pub fn follow(&mut self, key: PartitionKey, ask: Ask) {
        self.gone.remove(&key);
        let in_session = self.followed.get(&key).and_then(|known| known.in_session);
        self.set_readiness(key, Readiness::Ready);
        let before =
            self.followed.insert(key, Followed { ask, readiness: Readiness::Ready, in_session });
        if before.is_none() {
            self.ready += 1;
        }
        self.changed.insert(key);
    }

    /// Asks no more of a partition until [`FetchPlan::follow`] is called again.
    pub fn hold(&mut self, key: PartitionKey) {
        self.set_readiness(key, Readiness::Storing);
    }

    /// Asks no more of a partition until `until_ms`.
    pub fn pause(&mut self, key: PartitionKey, until_ms: i64) {
        if self.followed.contains_key(&key) {
            self.set_readiness(key, Readiness::PausedUntil(until_ms));
            self.paused.insert((until_ms, key));
        }
    }

    /// Forgets a partition.
    pub fn unfollow(&mut self, key: PartitionKey) {
        self.set_readiness(key, Readiness::Storing);
        if let Some(followed) = self.followed.remove(&key)
            && followed.in_session.is_some()
        {
            self.gone.insert(key);
        }
        self.changed.remove(&key);
    }

    fn set_readiness(&mut self, key: PartitionKey, readiness: Readiness) {
        let Some(followed) = self.followed.get_mut(&key) else { return };
        match followed.readiness {
            Readiness::Ready => self.ready -= 1,
            Readiness::PausedUntil(until) => drop(self.paused.remove(&(until, key))),
            Readiness::Storing => {}
        }
        if readiness == Readiness::Ready {
            self.ready += 1;
        }
        followed.readiness = readiness;
        self.changed.insert(key);
    }

    /// Ends the pauses that are over.
    pub fn resume(&mut self, now_ms: i64) {
        while let Some(&(until, key)) = self.paused.first() {
            if until > now_ms {
                return;
            }
            self.set_readiness(key, Readiness::Ready);
            self.paused.remove(&(until, key));
        }
    }

    /// When the next pause ends.
    pub fn next_resume_ms(&self) -> Option<i64> {
        self.paused.first().map(|(until, _)| *until)
    }

    /// The next request; none while nothing can be asked for.
    pub fn next_request(&mut self, now_ms: i64) -> Option<FetchRequestPlan> {
        self.resume(now_ms);
        if self.ready == 0 {
            return None;
        }
        let mut plan = FetchRequestPlan {
            session_id: self.session_id,
            session_epoch: self.session_epoch,
            ..FetchRequestPlan::default()
        };
        let changed = std::mem::take(&mut self.changed);
        if self.session_epoch == 0 {
            self.gone.clear();
            for (key, followed) in &mut self.followed {
                let ready = followed.readiness == Readiness::Ready;
                followed.in_session = ready.then_some(followed.ask);
                if ready {
                    plan.asked.push((*key, followed.ask));
                }
            }
            return Some(plan);
        }
        plan.forgotten.extend(std::mem::take(&mut self.gone));
        for key in changed {
            let Some(followed) = self.followed.get_mut(&key) else { continue };
            if followed.readiness != Readiness::Ready {
                if followed.in_session.take().is_some() {
                    plan.forgotten.push(key);
                }
            } else if followed.in_session != Some(followed.ask) {
                followed.in_session = Some(followed.ask);
                plan.asked.push((key, followed.ask));
            }
        }
        Some(plan)
    }

    /// The leader has answered without a session error.
    pub fn answered(&mut self, session_id: i32) {
        if session_id == 0 {
            // It has no place for a session: everything is asked for each time.
            (self.session_id, self.session_epoch) = (0, 0);
        } else if self.session_epoch == 0 {
            (self.session_id, self.session_epoch) = (session_id, 1);
        } else {
            self.session_epoch =
                if self.session_epoch == i32::MAX { 1 } else { self.session_epoch + 1 };
        }
    }

    /// The session is lost: the next request begins another one, closing this one if it lives.
    pub fn restart_session(&mut self, is_known_to_leader: bool) {
        if !is_known_to_leader {
            self.session_id = 0;
        }
        self.session_epoch = 0;
    }
}
