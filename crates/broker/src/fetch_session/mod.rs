//! Incremental fetch sessions (KIP-227): what a consumer follows, so that it need not repeat it.
//!
//! Pure: no clock, no randomness of its own. A session belongs to the connection's requests one
//! at a time; the cache has a fixed number of places (`max.incremental.fetch.session.cache.slots`)
//! and gives one away only when its session has been unused for [`EVICTION_AGE_MS`].

mod session;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use naru_model::{ErrorCode, Timestamp};

pub(crate) use session::{FetchTarget, Session, TopicKey, Wanted};

/// A session unused for this long may lose its place (Kafka: two minutes).
const EVICTION_AGE_MS: i64 = 120_000;

/// A follower's session that has not gone on for this long may lose its place to another's: its
/// first answer has not reached the follower, who would go on at once.
const FIRST_ANSWER_MAX_MS: i64 = 30_000;

/// Session epoch that asks for a full fetch and no session.
const FINAL_EPOCH: i32 = -1;
/// Session epoch that asks for a new session.
const INITIAL_EPOCH: i32 = 0;

/// The session part of a fetch request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionAsk {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    /// Whether topics are told by id (v13+).
    pub(crate) uses_topic_ids: bool,
    /// A follower's session: consumers' sessions make place for it.
    pub(crate) of_follower: bool,
}

/// How a fetch goes on.
#[derive(Debug)]
pub(crate) enum SessionPlan {
    /// Everything wanted stands in the request.
    Sessionless,
    /// The session holds what is wanted; `full` answers name every partition.
    Session { session: Arc<Mutex<Session>>, full: bool },
}

#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
    cache: Mutex<HashMap<i32, Cached>>,
}

#[derive(Debug)]
struct Cached {
    session: Arc<Mutex<Session>>,
    last_used: Timestamp,
    of_follower: bool,
    /// Whether whoever began it knows of it: it was asked for again.
    goes_on: bool,
}

impl FetchSessions {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, cache: Mutex::default() }
    }

    /// Sessions that live now, and the partitions they follow.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let partitions = cache.values().map(|cached| lock(&cached.session).len()).sum();
        (cache.len(), partitions)
    }

    /// Ends a session.
    pub(crate) fn forget(&self, id: i32) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Decides how to treat a request, updating the session with what it names and forgets.
    /// `new_id` is used if a session is made; it must be positive and hard to guess.
    pub(crate) fn plan(
        &self,
        ask: SessionAsk,
        targets: &[FetchTarget],
        forgotten: &[(TopicKey, i32)],
        now: Timestamp,
        new_id: i32,
    ) -> Result<SessionPlan, ErrorCode> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if ask.epoch == FINAL_EPOCH || ask.epoch == INITIAL_EPOCH {
            if ask.id != 0 {
                cache.remove(&ask.id);
            }
            if ask.epoch == FINAL_EPOCH || targets.is_empty() {
                return Ok(SessionPlan::Sessionless);
            }
            return Ok(self.create(&mut cache, ask, targets, now, new_id));
        }
        let cached = cache.get_mut(&ask.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let mut session = lock(&cached.session);
        if session.uses_topic_ids() != ask.uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if session.next_epoch() != ask.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.update(targets, forgotten);
        let emptied = session.len() == 0;
        drop(session);
        cached.last_used = now;
        cached.goes_on = true;
        if emptied {
            cache.remove(&ask.id);
            return Ok(SessionPlan::Sessionless);
        }
        Ok(SessionPlan::Session { session: Arc::clone(&cached.session), full: false })
    }

    fn create(
        &self,
        cache: &mut HashMap<i32, Cached>,
        ask: SessionAsk,
        targets: &[FetchTarget],
        now: Timestamp,
        new_id: i32,
    ) -> SessionPlan {
        if cache.len() >= self.slots {
            let oldest = cache.iter().min_by_key(|(_, c)| (c.of_follower, c.last_used));
            match oldest.map(|(id, cached)| (*id, cached.of_follower, cached.last_used)) {
                Some((id, _, used)) if now.0 - used.0 > EVICTION_AGE_MS => cache.remove(&id),
                Some((id, false, _)) if ask.of_follower => cache.remove(&id),
                Some(_) if ask.of_follower => match never_gone_on(cache, now) {
                    Some(id) => cache.remove(&id),
                    None => return SessionPlan::Sessionless,
                },
                _ => return SessionPlan::Sessionless,
            };
        }
        if cache.contains_key(&new_id) {
            return SessionPlan::Sessionless;
        }
        let session = Session::new(new_id, ask.uses_topic_ids, targets);
        let session = Arc::new(Mutex::new(session));
        cache.insert(
            new_id,
            Cached {
                session: Arc::clone(&session),
                last_used: now,
                of_follower: ask.of_follower,
                goes_on: false,
            },
        );
        SessionPlan::Session { session, full: true }
    }
}

/// A session that nobody knows of yet: it ends with a request that is given up before its answer
/// is made, as by a follower that has more to ask.
#[derive(Debug)]
pub(crate) struct BegunSession(Option<(Arc<FetchSessions>, i32)>);

impl BegunSession {
    pub(crate) fn new(sessions: &Arc<FetchSessions>, id: i32) -> Self {
        Self(Some((Arc::clone(sessions), id)))
    }

    /// The request begins no session.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// An answer tells of it: from now on it lives without the request.
    pub(crate) fn tell(&mut self) {
        self.0 = None;
    }
}

impl Drop for BegunSession {
    fn drop(&mut self) {
        if let Some((sessions, id)) = &self.0 {
            sessions.forget(*id);
        }
    }
}

/// The oldest session that nobody has gone on with for too long.
fn never_gone_on(cache: &HashMap<i32, Cached>, now: Timestamp) -> Option<i32> {
    let is_lost = |(_, cached): &(&i32, &Cached)| {
        !cached.goes_on && now.0 - cached.last_used.0 > FIRST_ANSWER_MAX_MS
    };
    cache.iter().filter(is_lost).min_by_key(|(_, cached)| cached.last_used).map(|(id, _)| *id)
}

pub(crate) fn lock(session: &Mutex<Session>) -> std::sync::MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
