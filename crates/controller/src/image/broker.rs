//! Registered brokers and controllers.

use std::collections::BTreeMap;

use naru_model::Uuid;
use naru_protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use naru_protocol::messages::register_broker_record::{
    BrokerEndpoint, BrokerFeature, RegisterBrokerRecord,
};
use naru_protocol::messages::register_controller_record::{
    ControllerEndpoint, ControllerFeature, RegisterControllerRecord,
};
use naru_protocol::messages::{broker_registration_request, controller_registration_request};

/// One listener of a broker or controller, as others reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Listener name, such as `PLAINTEXT`.
    pub name: String,
    /// Advertised host.
    pub host: String,
    /// Advertised port.
    pub port: u16,
    /// Kafka's security protocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// The versions of a feature that a node supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    /// Lowest.
    pub min: i16,
    /// Highest.
    pub max: i16,
}

/// Kafka's messages of registration have types of their own for the same endpoints and features.
macro_rules! same_endpoints {
    ($($theirs:ty)*) => {
        $(impl From<&$theirs> for Endpoint {
            fn from(theirs: &$theirs) -> Self {
                Self {
                    name: theirs.name.clone(),
                    host: theirs.host.clone(),
                    port: theirs.port,
                    security_protocol: theirs.security_protocol,
                }
            }
        }

        impl From<&Endpoint> for $theirs {
            fn from(ours: &Endpoint) -> Self {
                Self {
                    name: ours.name.clone(),
                    host: ours.host.clone(),
                    port: ours.port,
                    security_protocol: ours.security_protocol,
                }
            }
        })*
    };
}

macro_rules! same_ranges {
    ($($theirs:ty)*) => {
        $(impl From<&$theirs> for VersionRange {
            fn from(theirs: &$theirs) -> Self {
                Self { min: theirs.min_supported_version, max: theirs.max_supported_version }
            }
        })*
    };
}

same_endpoints! {
    BrokerEndpoint
    ControllerEndpoint
    broker_registration_request::Listener
    controller_registration_request::Listener
}

same_ranges! {
    BrokerFeature
    ControllerFeature
    broker_registration_request::Feature
    controller_registration_request::Feature
}

/// A broker's registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its `node.id`.
    pub id: i32,
    /// Offset of the registration record.
    pub epoch: i64,
    /// The process that registered.
    pub incarnation_id: Uuid,
    /// Where it listens.
    pub endpoints: Vec<Endpoint>,
    /// What it supports.
    pub features: BTreeMap<String, VersionRange>,
    /// Its rack, if configured.
    pub rack: Option<String>,
    /// A fenced broker leads nothing.
    pub fenced: bool,
    /// Whether it is about to stop.
    pub in_controlled_shutdown: bool,
    /// Its online log directories.
    pub log_dirs: Vec<Uuid>,
    /// Log directories that take no new partitions; none if the broker never said.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

impl BrokerImage {
    /// Whether it may lead and be in an ISR.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether a replica's directory serves. An id that stands for no directory does, but for the
    /// one of a lost directory; so does any while the broker tells no directories.
    pub fn has_online_dir(&self, directory: Uuid) -> bool {
        match directory {
            Uuid::DIR_UNASSIGNED | Uuid::DIR_MIGRATING => true,
            Uuid::DIR_LOST => false,
            _ => self.log_dirs.is_empty() || self.log_dirs.contains(&directory),
        }
    }

    /// The endpoint of a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name == listener)
    }

    /// The directory for a new replica: its only one, or to be chosen by the broker itself.
    pub(crate) fn default_dir(&self) -> Uuid {
        match self.log_dirs.as_slice() {
            [] => Uuid::DIR_MIGRATING,
            [only] => *only,
            _ => Uuid::DIR_UNASSIGNED,
        }
    }

    pub(crate) fn from_record(record: &RegisterBrokerRecord) -> Self {
        let features = record.features.iter();
        Self {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(Endpoint::from).collect(),
            features: features.map(|f| (f.name.clone(), VersionRange::from(f))).collect(),
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
        }
    }

    pub(crate) fn to_record(&self) -> RegisterBrokerRecord {
        RegisterBrokerRecord {
            broker_id: self.id,
            is_migrating_zk_broker: false,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch,
            end_points: self.endpoints.iter().map(BrokerEndpoint::from).collect(),
            features: self
                .features
                .iter()
                .map(|(name, range)| BrokerFeature {
                    name: name.clone(),
                    min_supported_version: range.min,
                    max_supported_version: range.max,
                })
                .collect(),
            rack: self.rack.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: self.log_dirs.clone(),
            cordoned_log_dirs: self.cordoned_log_dirs.clone(),
        }
    }

    /// This registration after a change: `fenced` is 1 to fence, -1 to unfence, 0 to leave.
    pub(crate) fn changed_by(&self, record: &BrokerRegistrationChangeRecord) -> Self {
        let mut next = self.clone();
        match record.fenced {
            1 => next.fenced = true,
            -1 => next.fenced = false,
            _ => {}
        }
        if record.in_controlled_shutdown == 1 {
            next.in_controlled_shutdown = true;
        }
        if !record.log_dirs.is_empty() {
            next.log_dirs.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            next.cordoned_log_dirs.clone_from(&record.cordoned_log_dirs);
        }
        next
    }
}

/// A controller's registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerImage {
    /// Its `node.id`.
    pub id: i32,
    /// The process that registered.
    pub incarnation_id: Uuid,
    /// Left from migrations; always false in new records.
    pub zk_migration_ready: bool,
    /// Where it listens.
    pub endpoints: Vec<Endpoint>,
    /// What it supports.
    pub features: BTreeMap<String, VersionRange>,
}

impl ControllerImage {
    pub(crate) fn from_record(record: &RegisterControllerRecord) -> Self {
        let features = record.features.iter();
        Self {
            id: record.controller_id,
            incarnation_id: record.incarnation_id,
            zk_migration_ready: record.zk_migration_ready,
            endpoints: record.end_points.iter().map(Endpoint::from).collect(),
            features: features.map(|f| (f.name.clone(), VersionRange::from(f))).collect(),
        }
    }

    pub(crate) fn to_record(&self) -> RegisterControllerRecord {
        RegisterControllerRecord {
            controller_id: self.id,
            incarnation_id: self.incarnation_id,
            zk_migration_ready: self.zk_migration_ready,
            end_points: self.endpoints.iter().map(ControllerEndpoint::from).collect(),
            features: self
                .features
                .iter()
                .map(|(name, range)| ControllerFeature {
                    name: name.clone(),
                    min_supported_version: range.min,
                    max_supported_version: range.max,
                })
                .collect(),
        }
    }
}
