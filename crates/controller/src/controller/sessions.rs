//! What the active controller knows of brokers and no log says: when each was heard last, how far
//! it has read the metadata, and when its chores are due.
//!
//! Soft state: a new active controller starts with a session for every broker, of which only the
//! lease is left. Time is an argument, in milliseconds of a clock that never goes back.

use std::collections::BTreeMap;

use super::Controller;

/// How long brokers may be silent, and how often the chores are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// `broker.session.timeout.ms`.
    pub session_timeout_ms: i64,
    /// `leader.imbalance.check.interval.seconds`, in milliseconds; none if
    /// `auto.leader.rebalance.enable` is off.
    pub leader_imbalance_check_interval_ms: Option<i64>,
    /// `unclean.leader.election.interval.ms`.
    pub unclean_election_interval_ms: i64,
}

impl SessionSettings {
    /// See [`broker_lease_ms`].
    pub fn lease_ms(self) -> i64 {
        broker_lease_ms(self.session_timeout_ms)
    }
}

/// How long a broker that no controller answers may go on as if nobody had taken its place: two
/// thirds of `broker.session.timeout.ms`.
///
/// It is also what a new active controller gives each broker to be heard. A living one is heard
/// within a second or two (one of Apache Kafka may first wait half a session for the answer of
/// the old controller), and what was cut off together with the old controller has been silent
/// for as long as the election took: its partitions move within the session all the same.
pub fn broker_lease_ms(session_timeout_ms: i64) -> i64 {
    session_timeout_ms.saturating_sub(session_timeout_ms / 3)
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms: 9_000,
            leader_imbalance_check_interval_ms: Some(300_000),
            unclean_election_interval_ms: 300_000,
        }
    }
}

/// A tick this late says that this node stood still.
const STALL_MS: i64 = 1_000;
/// Time to read the heartbeats that arrived meanwhile.
const STALL_GRACE_MS: i64 = 1_000;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSessions {
    pub(super) settings: SessionSettings,
    brokers: BTreeMap<i32, Session>,
    /// When preferred leaders are looked after next.
    pub(super) balance_due_ms: i64,
    /// When partitions without a leader are looked after next.
    pub(super) unclean_due_ms: i64,
    /// The state of the settings for unclean elections that the last look has seen.
    pub(super) unclean_settings_seen: u64,
}

/// One broker's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    /// The registration it belongs to.
    epoch: i64,
    /// When it was heard last.
    last_contact_ms: i64,
    /// How far it has read the metadata log, the last offset included.
    metadata_offset: i64,
    /// It was given time once because this node itself had stood still.
    graced: bool,
    /// The last offset of what moved its leaders away: when the others have read it, it may stop.
    pub(super) shutdown_offset: Option<i64>,
}

impl BrokerSessions {
    /// The registration of a broker counts as a contact.
    pub(super) fn register(&mut self, broker: i32, epoch: i64, now_ms: i64) {
        let session = Session {
            epoch,
            last_contact_ms: now_ms,
            metadata_offset: -1,
            graced: false,
            shutdown_offset: None,
        };
        self.brokers.insert(broker, session);
    }

    /// Notes a heartbeat.
    pub(super) fn touch(&mut self, broker: i32, epoch: i64, metadata_offset: i64, now_ms: i64) {
        if self.session(broker, epoch).is_none() {
            self.register(broker, epoch, now_ms);
        }
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.last_contact_ms = session.last_contact_ms.max(now_ms);
            session.metadata_offset = metadata_offset;
            session.graced = false;
        }
    }

    /// If the end of a session is noticed much too late, this node has stood still (it was
    /// stopped, or its machine slept), and what brokers sent meanwhile is yet to be read: each
    /// session that has ended gets a little more time, once. `broker` is whose session ended
    /// first of all that count; whether it got more time.
    pub(super) fn forgive_stall(&mut self, broker: i32, now_ms: i64) -> bool {
        let timeout_ms = self.settings.session_timeout_ms;
        let late = |session: &Session| {
            now_ms.saturating_sub(session.last_contact_ms.saturating_add(timeout_ms))
        };
        let first = self.brokers.get(&broker);
        if !first.is_some_and(|session| late(session) > STALL_MS && !session.graced) {
            return false;
        }
        for session in self.brokers.values_mut() {
            if late(session) > 0 && !session.graced {
                session.graced = true;
                session.last_contact_ms = now_ms.saturating_add(STALL_GRACE_MS) - timeout_ms;
            }
        }
        true
    }

    /// Notes what the others have to read before the broker may stop; the first word counts.
    pub(super) fn begin_shutdown(&mut self, broker: i32, offset: i64) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.shutdown_offset.get_or_insert(offset);
        }
    }

    pub(super) fn end_shutdown(&mut self, broker: i32) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.shutdown_offset = None;
        }
    }

    pub(super) fn forget(&mut self, broker: i32) {
        self.brokers.remove(&broker);
    }

    pub(super) fn session(&self, broker: i32, epoch: i64) -> Option<&Session> {
        self.brokers.get(&broker).filter(|session| session.epoch == epoch)
    }

    /// Whether the broker was heard within the session timeout.
    pub(super) fn is_alive(&self, broker: i32, epoch: i64, now_ms: i64) -> bool {
        self.session(broker, epoch).is_some_and(|session| self.expires_at(session) >= now_ms)
    }

    fn expires_at(&self, session: &Session) -> i64 {
        session.last_contact_ms.saturating_add(self.settings.session_timeout_ms)
    }
}

impl Controller {
    /// Sessions for a node that has just become the active controller: each broker has its lease
    /// to be heard.
    pub fn start_sessions(&self, settings: SessionSettings, now_ms: i64) -> BrokerSessions {
        let mut sessions = BrokerSessions {
            settings,
            brokers: BTreeMap::new(),
            balance_due_ms: settings
                .leader_imbalance_check_interval_ms
                .map_or(i64::MAX, |interval| now_ms.saturating_add(interval)),
            unclean_due_ms: now_ms,
            unclean_settings_seen: 0,
        };
        let spent_ms = settings.session_timeout_ms.saturating_sub(settings.lease_ms());
        for broker in self.image.brokers() {
            sessions.register(broker.id, broker.epoch, now_ms.saturating_sub(spent_ms));
        }
        sessions
    }

    /// When [`Controller::decide_tick`] is to be called at the latest.
    pub fn next_deadline(&self, sessions: &BrokerSessions) -> Option<i64> {
        let expiry = self.first_to_expire(sessions).map(|(_, at)| at.saturating_add(1));
        let balance = self.index.without_preferred_leader().next().map(|_| sessions.balance_due_ms);
        let unclean = self.index.without_leader().next().map(|_| {
            let changed = sessions.unclean_settings_seen != self.unclean_settings;
            if changed { i64::MIN } else { sessions.unclean_due_ms }
        });
        let balance = balance.filter(|due| *due != i64::MAX);
        [expiry, balance, unclean].into_iter().flatten().min()
    }

    /// The unfenced broker whose session ends first, and when.
    pub(super) fn first_to_expire(&self, sessions: &BrokerSessions) -> Option<(i32, i64)> {
        let unfenced = self.image.brokers().filter(|broker| !broker.fenced);
        let expiries = unfenced.map(|broker| {
            let session = sessions.session(broker.id, broker.epoch);
            (broker.id, session.map_or(i64::MIN, |session| sessions.expires_at(session)))
        });
        expiries.min_by_key(|(id, at)| (*at, *id))
    }

    /// The least that an active broker has read of the metadata log.
    pub(super) fn lowest_active_offset(&self, sessions: &BrokerSessions) -> i64 {
        let active = self.image.brokers().filter(|broker| broker.is_active());
        let offsets = active.filter_map(|broker| {
            sessions.session(broker.id, broker.epoch).map(|session| session.metadata_offset)
        });
        offsets.min().unwrap_or(i64::MAX)
    }
}
