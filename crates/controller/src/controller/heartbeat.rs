//! BrokerHeartbeat (key 63, v0-v2): who lives, who may lead, who may stop. KIP-631, 841.
//!
//! v1 offline log directories (KIP-858) · v2 cordoned ones (KIP-1066). A broker that wants to stop
//! first loses its leaders, and may stop once the others have read of that.

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use naru_protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use naru_protocol::messages::unregister_broker_record::UnregisterBrokerRecord;
use naru_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use naru_protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

use super::changes::{BrokerEvent, Changes};
use super::{BrokerError, BrokerSessions, Controller};
use crate::image::{BrokerImage, METADATA_VERSION};
use crate::records::{CORDONED_DIRECTORIES, DIRECTORIES, Decision, RecordAndVersion};

/// Where a broker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BrokerState {
    Fenced,
    Unfenced,
    /// Loses its leaders, and waits until all know.
    ControlledShutdown,
    /// May stop; fenced.
    ShutdownNow,
}

impl Controller {
    /// Decides a BrokerHeartbeat request.
    pub fn decide_broker_heartbeat(
        &self,
        sessions: &mut BrokerSessions,
        now_ms: i64,
        request: &BrokerHeartbeatRequest,
    ) -> Decision<BrokerHeartbeatResponse> {
        let (id, epoch) = (request.broker_id, request.broker_epoch);
        let broker = match self.check_broker_epoch(id, epoch) {
            Ok(broker) => broker,
            Err(error) => return refused(error.code()),
        };
        sessions.touch(id, epoch, request.current_metadata_offset, now_ms);
        let current = self.state(sessions, broker);
        let next = self.next_state(sessions, broker, current, request);
        let mut changes = Changes::new(self);
        if current != next {
            match next {
                BrokerState::Fenced | BrokerState::ShutdownNow if !broker.fenced => {
                    self.fence(broker, &mut changes);
                }
                BrokerState::Fenced | BrokerState::ShutdownNow => {}
                BrokerState::Unfenced => self.unfence(broker, &mut changes),
                BrokerState::ControlledShutdown => self.shut_down(broker, &mut changes),
            }
        }
        let level = self.image.feature_level(METADATA_VERSION);
        if level >= DIRECTORIES {
            self.take_offline(broker, &request.offline_log_dirs, &mut changes);
        }
        if level >= CORDONED_DIRECTORIES
            && let Some(cordoned) = &request.cordoned_log_dirs
        {
            cordon(broker, cordoned, &mut changes);
        }
        if next == BrokerState::ControlledShutdown {
            let written = i64::try_from(changes.records.len()).unwrap_or(i64::MAX);
            sessions.begin_shutdown(id, self.image.end_offset().saturating_add(written) - 1);
        } else {
            sessions.end_shutdown(id);
        }
        let response = BrokerHeartbeatResponse {
            is_caught_up: self.is_caught_up(id, request.current_metadata_offset),
            is_fenced: matches!(next, BrokerState::Fenced | BrokerState::ShutdownNow),
            should_shut_down: next == BrokerState::ShutdownNow,
            ..BrokerHeartbeatResponse::default()
        };
        Decision { records: changes.records, response }
    }

    /// Fences a broker whose process a probe found dead. Nothing if it is unknown, registered
    /// with another epoch, or fenced already.
    pub fn decide_broker_gone(
        &self,
        sessions: &mut BrokerSessions,
        id: i32,
        epoch: i64,
    ) -> Decision<()> {
        let mut changes = Changes::new(self);
        if let Ok(broker) = self.check_broker_epoch(id, epoch)
            && !broker.fenced
        {
            self.fence(broker, &mut changes);
            sessions.end_shutdown(id);
        }
        Decision { records: changes.records, response: () }
    }

    /// Decides an UnregisterBroker request: the broker is not expected back.
    pub fn decide_unregister_broker(
        &self,
        sessions: &mut BrokerSessions,
        request: &UnregisterBrokerRequest,
    ) -> Decision<UnregisterBrokerResponse> {
        let id = request.broker_id;
        let Some(broker) = self.image.broker(id) else {
            let error = BrokerError::UnknownBroker(id);
            let response = UnregisterBrokerResponse {
                error_code: error.code().code(),
                error_message: Some(error.to_string()),
                ..UnregisterBrokerResponse::default()
            };
            return Decision { records: Vec::new(), response };
        };
        let mut changes = Changes::new(self);
        let keys = self.index.in_isr(id).into_iter().chain(self.index.in_elr(id));
        changes.follow(BrokerEvent::Leaves(id), keys);
        let record = UnregisterBrokerRecord { broker_id: id, broker_epoch: broker.epoch };
        changes.add(self.versioned(record));
        sessions.forget(id);
        // An empty text, not none: so Kafka answers.
        let error_message = Some(String::new());
        let response =
            UnregisterBrokerResponse { error_message, ..UnregisterBrokerResponse::default() };
        Decision { records: changes.records, response }
    }

    fn state(&self, sessions: &BrokerSessions, broker: &BrokerImage) -> BrokerState {
        let stopping = sessions.session(broker.id, broker.epoch).and_then(|s| s.shutdown_offset);
        if broker.fenced {
            BrokerState::Fenced
        } else if stopping.is_some() {
            BrokerState::ControlledShutdown
        } else {
            BrokerState::Unfenced
        }
    }

    fn next_state(
        &self,
        sessions: &BrokerSessions,
        broker: &BrokerImage,
        current: BrokerState,
        request: &BrokerHeartbeatRequest,
    ) -> BrokerState {
        let (wants_fence, wants_stop) = (request.want_fence, request.want_shut_down);
        match current {
            BrokerState::Fenced if wants_stop => BrokerState::ShutdownNow,
            // A process that was about to stop does not come back: only a new one does.
            BrokerState::Fenced if wants_fence || broker.in_controlled_shutdown => {
                BrokerState::Fenced
            }
            BrokerState::Fenced => {
                if self.is_caught_up(broker.id, request.current_metadata_offset) {
                    BrokerState::Unfenced
                } else {
                    BrokerState::Fenced
                }
            }
            BrokerState::Unfenced => match (wants_fence, wants_stop) {
                (true, true) => BrokerState::ShutdownNow,
                (true, false) => BrokerState::Fenced,
                (false, true) if self.index.leads_any(broker.id) => BrokerState::ControlledShutdown,
                (false, true) => BrokerState::ShutdownNow,
                (false, false) => BrokerState::Unfenced,
            },
            BrokerState::ControlledShutdown => {
                let session = sessions.session(broker.id, broker.epoch);
                let offset = session.and_then(|session| session.shutdown_offset);
                let all_know = offset <= Some(self.lowest_active_offset(sessions));
                if !self.index.leads_any(broker.id) && all_know {
                    BrokerState::ShutdownNow
                } else {
                    BrokerState::ControlledShutdown
                }
            }
            BrokerState::ShutdownNow => BrokerState::ShutdownNow,
        }
    }

    /// Whether a broker has read its own registration.
    fn is_caught_up(&self, id: i32, metadata_offset: i64) -> bool {
        self.registered_at.get(&id).is_some_and(|offset| metadata_offset >= *offset)
    }

    /// Takes a broker out of every ISR and from every lead, and fences it.
    pub(super) fn fence(&self, broker: &BrokerImage, changes: &mut Changes<'_>) {
        changes.follow(BrokerEvent::Leaves(broker.id), self.index.in_isr(broker.id));
        let record = BrokerRegistrationChangeRecord { fenced: 1, ..change_of(broker) };
        changes.add(RecordAndVersion::at(0, record));
    }

    /// Unfences a broker, and lets it lead what nobody leads, where it may.
    fn unfence(&self, broker: &BrokerImage, changes: &mut Changes<'_>) {
        let record = BrokerRegistrationChangeRecord { fenced: -1, ..change_of(broker) };
        changes.add(RecordAndVersion::at(0, record));
        changes.follow(BrokerEvent::Returns(broker.id), self.index.without_leader());
    }

    /// Moves a broker's leaders away.
    fn shut_down(&self, broker: &BrokerImage, changes: &mut Changes<'_>) {
        if !broker.in_controlled_shutdown {
            let change =
                BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..change_of(broker) };
            changes.add(RecordAndVersion::at(1, change));
        }
        changes.follow(BrokerEvent::Leaves(broker.id), self.index.in_isr(broker.id));
    }

    /// Takes the replicas in lost log directories out of their ISRs.
    fn take_offline(&self, broker: &BrokerImage, offline: &[Uuid], changes: &mut Changes<'_>) {
        let (lost, online): (Vec<Uuid>, Vec<Uuid>) =
            broker.log_dirs.iter().partition(|dir| offline.contains(dir));
        if lost.is_empty() {
            return;
        }
        for directory in lost {
            changes.follow(BrokerEvent::Leaves(broker.id), self.index.in_directory(directory));
        }
        // An empty list in the record means no change. A broker without directories stops anyway.
        if !online.is_empty() {
            let record = BrokerRegistrationChangeRecord { log_dirs: online, ..change_of(broker) };
            changes.add(RecordAndVersion::at(2, record));
        }
    }
}

/// Notes which log directories take no new partitions.
fn cordon(broker: &BrokerImage, cordoned: &[Uuid], changes: &mut Changes<'_>) {
    let sorted = |dirs: &[Uuid]| {
        let mut dirs = dirs.to_vec();
        dirs.sort_unstable();
        dirs
    };
    // The first word counts, also that there are none.
    if broker.cordoned_log_dirs.as_ref().is_some_and(|before| sorted(before) == sorted(cordoned)) {
        return;
    }
    let record = BrokerRegistrationChangeRecord {
        cordoned_log_dirs: Some(cordoned.to_vec()),
        ..change_of(broker)
    };
    changes.add(RecordAndVersion::at(3, record));
}

fn change_of(broker: &BrokerImage) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id,
        broker_epoch: broker.epoch,
        ..BrokerRegistrationChangeRecord::default()
    }
}

fn refused(code: ErrorCode) -> Decision<BrokerHeartbeatResponse> {
    let response =
        BrokerHeartbeatResponse { error_code: code.code(), ..BrokerHeartbeatResponse::default() };
    Decision { records: Vec::new(), response }
}
