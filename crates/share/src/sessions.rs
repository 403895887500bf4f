//! Share sessions: what each member of a share group fetches from this broker, so that it need
//! not repeat it. A session lives as long as its connection.
//!
//! Invariant: there are never more than `group.share.max.share.sessions`.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::Uuid;

use crate::error::SessionError;

/// Ends a session.
const FINAL_EPOCH: i32 = -1;
/// Begins a session.
const INITIAL_EPOCH: i32 = 0;

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
    partitions: Vec<Followed>,
}

#[derive(Debug)]
struct Followed {
    of: Named,
    /// The next answer names it in any case.
    must_tell: bool,
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
        session.follow(fetch.added);
        session.partitions.retain(|known| !fetch.forgotten.contains(&known.of));
        session.epoch = next_epoch(session.epoch);
        let mut partitions: Vec<Named> =
            session.partitions.iter().map(|followed| followed.of).collect();
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
        self.sessions.remove(key);
        if self.sessions.len() >= self.max {
            return Err(SessionError::LimitReached);
        }
        let mut session =
            Session { epoch: 1, connection: fetch.connection, partitions: Vec::new() };
        session.follow(fetch.added);
        let partitions = session.partitions.iter().map(|followed| followed.of).collect();
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
        let followed = session
            .and_then(|session| session.partitions.iter_mut().find(|followed| followed.of == of));
        let Some(followed) = followed else { return true };
        let told = has_records || is_error || followed.must_tell;
        followed.must_tell = is_error;
        told
    }

    /// Ends a session; the partitions that it had fetched, none if there was no such session.
    pub fn remove(&mut self, key: &SessionKey) -> Option<Vec<Named>> {
        let session = self.sessions.remove(key)?;
        Some(session.partitions.into_iter().map(|followed| followed.of).collect())
    }

    /// The sessions of a connection, which has ended.
    #[must_use]
    pub fn of_connection(&self, connection: u64) -> Vec<SessionKey> {
        let of = self.sessions.iter().filter(|(_, session)| session.connection == connection);
        of.map(|(key, _)| key.clone()).collect()
    }
}

impl Session {
    fn follow(&mut self, added: &[Named]) {
        for of in added {
            if !self.partitions.iter().any(|known| known.of == *of) {
                self.partitions.push(Followed { of: *of, must_tell: true });
            }
        }
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}
