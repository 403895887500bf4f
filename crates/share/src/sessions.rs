//! Share sessions: what each member of a share group fetches from this broker, so that it need
//! not repeat it. A session lives as long as its connection.
//!
//! Invariants: there are never more than `group.share.max.share.sessions`, and none has more
//! than [`PARTITIONS_MAX`] partitions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use naru_model::Uuid;

use crate::error::SessionError;

/// Ends a session.
const FINAL_EPOCH: i32 = -1;
/// Begins a session.
const INITIAL_EPOCH: i32 = 0;
/// Most partitions in one session: whatever a member names is remembered, whether it exists or not.
pub(crate) const PARTITIONS_MAX: usize = 10_000;

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The group.
    pub group: Arc<str>,
    /// Its member.
    pub member: Arc<str>,
}

/// A partition: topic and index.
type Named = (Uuid, i32);

#[derive(Debug)]
struct Session {
    epoch: i32,
    connection: u64,
    /// In the order in which they were added, each once.
    partitions: Vec<Named>,
    /// Of each of them, whether the next answer names it in any case.
    must_tell: HashMap<Named, bool>,
}

/// What a fetch says of its session.
#[derive(Debug, Clone, Copy)]
pub struct SessionFetch<'a> {
    /// The epoch.
    pub epoch: i32,
    /// Partitions to be fetched from now on.
    pub added: &'a [Named],
    /// Partitions not to be fetched any more.
    pub forgotten: &'a [Named],
    /// Whether records are acknowledged with it.
    pub has_acknowledgements: bool,
    /// The connection it came by.
    pub connection: u64,
}

/// How a fetch goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchPlan {
    /// The session ends: nothing is fetched.
    Final,
    /// These are fetched.
    Fetch(Vec<Named>),
}

/// The sessions of one broker.
#[derive(Debug)]
pub struct ShareSessions {
    max: usize,
    sessions: HashMap<SessionKey, Session>,
}

impl ShareSessions {
    /// At most `max` sessions (`group.share.max.share.sessions`).
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, sessions: HashMap::new() }
    }

    /// Sessions now, and the partitions that they fetch.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let partitions = self.sessions.values().map(|session| session.partitions.len()).sum();
        (self.sessions.len(), partitions)
    }

    /// Whether a group has a session here.
    #[must_use]
    pub fn has_group(&self, group: &str) -> bool {
        self.sessions.keys().any(|key| *key.group == *group)
    }

    /// Decides how a fetch goes on. A session that ends stays until [`Self::remove`].
    ///
    /// # Errors
    /// The fetch does not fit its session.
    pub fn plan_fetch(
        &mut self,
        key: &SessionKey,
        fetch: &SessionFetch<'_>,
    ) -> Result<FetchPlan, SessionError> {
        if fetch.epoch == FINAL_EPOCH {
            return match self.sessions.get(key) {
                Some(_) => Ok(FetchPlan::Final),
                None => Err(SessionError::NotFound),
            };
        }
        if fetch.epoch == INITIAL_EPOCH {
            return self.begin(key, fetch);
        }
        let session = self.sessions.get_mut(key).ok_or(SessionError::NotFound)?;
        if session.epoch != fetch.epoch {
            return Err(SessionError::InvalidEpoch);
        }
        session.follow(fetch.added, fetch.forgotten)?;
        session.epoch = next_epoch(session.epoch);
        let mut partitions = session.partitions.clone();
        // Each takes its turn at being the first.
        if !partitions.is_empty() {
            let turn = usize::try_from(fetch.epoch).unwrap_or(0) % partitions.len();
            partitions.rotate_left(turn);
        }
        Ok(FetchPlan::Fetch(partitions))
    }

    fn begin(
        &mut self,
        key: &SessionKey,
        fetch: &SessionFetch<'_>,
    ) -> Result<FetchPlan, SessionError> {
        if fetch.has_acknowledgements {
            return Err(SessionError::AcknowledgesTooEarly);
        }
        let mut session = Session {
            epoch: 1,
            connection: fetch.connection,
            partitions: Vec::new(),
            must_tell: HashMap::new(),
        };
        session.follow(fetch.added, &[])?;
        // A refusal changes nothing: what a member holds is given back with its session.
        if !self.sessions.contains_key(key) && self.sessions.len() >= self.max {
            return Err(SessionError::LimitReached);
        }
        let partitions = session.partitions.clone();
        self.sessions.insert(key.clone(), session);
        Ok(FetchPlan::Fetch(partitions))
    }

    /// Takes in a ShareAcknowledge; whether the session ends with it.
    ///
    /// # Errors
    /// The request does not fit its session.
    pub fn acknowledge(&mut self, key: &SessionKey, epoch: i32) -> Result<bool, SessionError> {
        if epoch == INITIAL_EPOCH {
            return Err(SessionError::InvalidEpoch);
        }
        let session = self.sessions.get_mut(key).ok_or(SessionError::NotFound)?;
        if epoch == FINAL_EPOCH {
            return Ok(true);
        }
        if session.epoch != epoch {
            return Err(SessionError::InvalidEpoch);
        }
        session.epoch = next_epoch(epoch);
        Ok(false)
    }

    /// Whether the answer names a partition; notes that it does.
    pub fn tell(&mut self, key: &SessionKey, of: Named, has_records: bool, is_error: bool) -> bool {
        let session = self.sessions.get_mut(key);
        let followed = session.and_then(|session| session.must_tell.get_mut(&of));
        let Some(must_tell) = followed else { return true };
        let told = has_records || is_error || *must_tell;
        *must_tell = is_error;
        told
    }

    /// Ends a session; the partitions that it had fetched, none if there was no such session.
    pub fn remove(&mut self, key: &SessionKey) -> Option<Vec<Named>> {
        self.sessions.remove(key).map(|session| session.partitions)
    }

    /// The sessions of a connection, which has ended.
    #[must_use]
    pub fn of_connection(&self, connection: u64) -> Vec<SessionKey> {
        let of = self.sessions.iter().filter(|(_, session)| session.connection == connection);
        of.map(|(key, _)| key.clone()).collect()
    }
}

impl Session {
    /// Takes partitions in and others out: all of it, or nothing if there were too many then. What
    /// is in both is taken out.
    fn follow(&mut self, added: &[Named], forgotten: &[Named]) -> Result<(), SessionError> {
        let forgotten: HashSet<Named> = forgotten.iter().copied().collect();
        let mut seen = HashSet::new();
        let is_new = |of: &Named| {
            !forgotten.contains(of) && !self.must_tell.contains_key(of) && seen.insert(*of)
        };
        let new: Vec<Named> = added.iter().copied().filter(is_new).collect();
        let gone = forgotten.iter().filter(|of| self.must_tell.contains_key(*of)).count();
        if self.partitions.len() - gone + new.len() > PARTITIONS_MAX {
            return Err(SessionError::TooManyPartitions);
        }
        if gone > 0 {
            self.partitions.retain(|known| !forgotten.contains(known));
            self.must_tell.retain(|known, _| !forgotten.contains(known));
        }
        self.must_tell.extend(new.iter().map(|of| (*of, true)));
        self.partitions.extend(new);
        Ok(())
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}
