//! BrokerRegistration (key 62, v0-v4) and ControllerRegistration (key 70, v0). KIP-631, 919.
//!
//! v2 log directories (KIP-858) · v3 the epoch of the last clean stop (KIP-966) · v4 cordoned
//! directories are told by heartbeats only. A broker's epoch is the offset at which the records
//! of its registration begin.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::Uuid;
use naru_protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use naru_protocol::messages::broker_registration_response::BrokerRegistrationResponse;
use naru_protocol::messages::controller_registration_request::ControllerRegistrationRequest;
use naru_protocol::messages::controller_registration_response::ControllerRegistrationResponse;

use super::changes::{BrokerEvent, Changes};
use super::{BrokerError, BrokerSessions, Controller};
use crate::image::{BrokerImage, ControllerImage, Endpoint, METADATA_VERSION, VersionRange};
use crate::records::{CONTROLLER_REGISTRATION, DIRECTORIES, Decision};

/// What a broker's registration depends on besides the request.
#[derive(Debug, Clone, Copy)]
pub struct RegisterBroker<'a> {
    /// The version of the request.
    pub version: i16,
    /// The cluster that this controller belongs to.
    pub cluster_id: &'a str,
    /// The finalized `kraft.version`, which the quorum keeps.
    pub kraft_version: i16,
    /// The offset that the next record gets.
    pub next_offset: i64,
    /// A probe has shown that the process which is registered is dead: it is replaced at once.
    pub previous_process_is_gone: bool,
    /// Milliseconds.
    pub now_ms: i64,
}

/// The first version that tells whether the last stop was clean.
const CLEAN_SHUTDOWN_SINCE: i16 = 3;

impl Controller {
    /// Decides a BrokerRegistration request. A new process is fenced, and out of every ISR; if it
    /// does not know the epoch of the process before it, that one did not stop cleanly, and it is
    /// out of every ELR too.
    pub fn decide_broker_registration(
        &self,
        sessions: &mut BrokerSessions,
        request: &BrokerRegistrationRequest,
        context: RegisterBroker<'_>,
    ) -> Decision<BrokerRegistrationResponse> {
        if let Err(error) = self.check_registration(sessions, request, context) {
            let error_code = error.code().code();
            let response =
                BrokerRegistrationResponse { error_code, ..BrokerRegistrationResponse::default() };
            return Decision { records: Vec::new(), response };
        }
        let before = self.image.broker(request.broker_id);
        let again = before.filter(|before| before.incarnation_id == request.incarnation_id);
        let mut changes = Changes::new(self);
        if again.is_none() {
            let knows_its_epoch = context.version >= CLEAN_SHUTDOWN_SINCE
                && before.is_some_and(|before| before.epoch == request.previous_broker_epoch);
            self.leave_everything(request.broker_id, knows_its_epoch, &mut changes);
        }
        let broker = BrokerImage {
            id: request.broker_id,
            epoch: again.map_or(context.next_offset, |broker| broker.epoch),
            incarnation_id: request.incarnation_id,
            endpoints: request.listeners.iter().map(Endpoint::from).collect(),
            features: request
                .features
                .iter()
                .map(|f| (f.name.clone(), VersionRange::from(f)))
                .collect(),
            rack: request.rack.clone(),
            fenced: again.is_none_or(|broker| broker.fenced),
            in_controlled_shutdown: again.is_some_and(|broker| broker.in_controlled_shutdown),
            log_dirs: request.log_dirs.clone(),
            cordoned_log_dirs: again.and_then(|broker| broker.cordoned_log_dirs.clone()),
        };
        changes.add(self.versioned(broker.to_record()));
        sessions.register(broker.id, broker.epoch, context.now_ms);
        let response = BrokerRegistrationResponse {
            broker_epoch: broker.epoch,
            ..BrokerRegistrationResponse::default()
        };
        Decision { records: changes.records, response }
    }

    /// Takes what is left of an earlier process out of ISRs, and out of ELRs if it may have lost
    /// something.
    fn leave_everything(&self, broker: i32, stopped_cleanly: bool, changes: &mut Changes<'_>) {
        if stopped_cleanly || self.image.feature_level(super::changes::ELR_VERSION) == 0 {
            changes.follow(BrokerEvent::Leaves(broker), self.index.in_isr(broker));
        } else {
            let event = BrokerEvent::StoppedUncleanly(broker);
            changes.follow(event, self.index.in_isr(broker));
            changes.follow(event, self.index.in_elr(broker));
        }
    }

    /// Why a registration is refused, for the log: the response carries only a code.
    ///
    /// # Errors
    /// When it is refused.
    pub fn check_registration(
        &self,
        sessions: &BrokerSessions,
        request: &BrokerRegistrationRequest,
        context: RegisterBroker<'_>,
    ) -> Result<(), BrokerError> {
        if context.cluster_id != request.cluster_id {
            let (expected, given) = (context.cluster_id.to_owned(), request.cluster_id.clone());
            return Err(BrokerError::WrongCluster { expected, given });
        }
        if let Some(registered) = self.image.broker(request.broker_id) {
            // A fenced broker has nothing that a second one of its id could break.
            let lives = !registered.fenced
                && !context.previous_process_is_gone
                && sessions.is_alive(registered.id, registered.epoch, context.now_ms);
            if lives && registered.incarnation_id != request.incarnation_id {
                return Err(BrokerError::DuplicateRegistration);
            }
        }
        if request.is_migrating_zk_broker {
            return Err(BrokerError::ZooKeeperBroker);
        }
        if self.image.feature_level(METADATA_VERSION) >= DIRECTORIES {
            self.check_directories(request)?;
        }
        self.check_features(request, context.kraft_version)
    }

    fn check_directories(&self, request: &BrokerRegistrationRequest) -> Result<(), BrokerError> {
        if request.log_dirs.is_empty() {
            return Err(BrokerError::NoDirectories);
        }
        // Kafka keeps the ids below 100 for itself.
        if request.log_dirs.iter().any(|dir| dir.0 < RESERVED_DIRECTORY_IDS) {
            return Err(BrokerError::ReservedDirectory);
        }
        let once: BTreeSet<Uuid> = request.log_dirs.iter().copied().collect();
        if once.len() != request.log_dirs.len() {
            return Err(BrokerError::DuplicateDirectory);
        }
        for broker in self.image.brokers().filter(|broker| broker.id != request.broker_id) {
            if let Some(directory) = broker.log_dirs.iter().find(|dir| once.contains(dir)) {
                return Err(BrokerError::DirectoryTaken {
                    broker: broker.id,
                    directory: *directory,
                });
            }
        }
        Ok(())
    }

    /// A broker must support what is finalized.
    fn check_features(
        &self,
        request: &BrokerRegistrationRequest,
        kraft_version: i16,
    ) -> Result<(), BrokerError> {
        let kraft = (super::KRAFT_VERSION.to_owned(), kraft_version);
        let finalized: BTreeMap<String, i16> = self
            .image
            .features()
            .iter()
            .map(|(name, level)| (name.clone(), *level))
            .chain([kraft])
            .collect();
        let check = |feature: &str, min: i16, max: i16| {
            let finalized = finalized.get(feature).copied().unwrap_or(0);
            if (min..=max).contains(&finalized) {
                return Ok(());
            }
            let feature = feature.to_owned();
            Err(BrokerError::UnsupportedFeature { feature, finalized, min, max })
        };
        let mut told = BTreeSet::new();
        for feature in &request.features {
            check(&feature.name, feature.min_supported_version, feature.max_supported_version)?;
            told.insert(feature.name.as_str());
        }
        if !told.contains(METADATA_VERSION) {
            return Err(BrokerError::NoMetadataVersion);
        }
        finalized
            .iter()
            .filter(|(name, _)| !told.contains(name.as_str()))
            .try_for_each(|(name, _)| check(name, 0, 0))
    }

    /// Refuses a request of a process that is not the registered one.
    pub(super) fn check_broker_epoch(
        &self,
        broker: i32,
        epoch: i64,
    ) -> Result<&BrokerImage, BrokerError> {
        let registered = self.image.broker(broker).ok_or(BrokerError::NotRegistered(broker))?;
        if registered.epoch != epoch {
            let (registered, given) = (registered.epoch, epoch);
            return Err(BrokerError::StaleEpoch { registered, given });
        }
        Ok(registered)
    }

    /// Decides a ControllerRegistration request. A process that is registered already writes
    /// nothing, if it says the same.
    pub fn decide_controller_registration(
        &self,
        request: &ControllerRegistrationRequest,
    ) -> Decision<ControllerRegistrationResponse> {
        let level = self.image.feature_level(METADATA_VERSION);
        if level != 0 && level < CONTROLLER_REGISTRATION {
            let error = BrokerError::NoControllerRegistrations;
            let response = ControllerRegistrationResponse {
                error_code: error.code().code(),
                error_message: Some(error.to_string()),
                ..ControllerRegistrationResponse::default()
            };
            return Decision { records: Vec::new(), response };
        }
        let controller = ControllerImage {
            id: request.controller_id,
            incarnation_id: request.incarnation_id,
            zk_migration_ready: false,
            endpoints: request.listeners.iter().map(Endpoint::from).collect(),
            features: request
                .features
                .iter()
                .map(|f| (f.name.clone(), VersionRange::from(f)))
                .collect(),
        };
        let known = self.image.controller(controller.id);
        let records = if known.is_some_and(|known| **known == controller) {
            Vec::new()
        } else {
            vec![self.versioned(controller.to_record())]
        };
        Decision { records, response: ControllerRegistrationResponse::default() }
    }
}

/// Directory ids below this one are reserved (KIP-858).
const RESERVED_DIRECTORY_IDS: u128 = 100;
