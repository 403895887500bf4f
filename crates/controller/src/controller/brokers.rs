//! Registration of nodes: who they are, where they listen, whether they may lead.
//!
//! A broker's epoch is the offset of its registration record. A node registers anew at every
//! start, at once: the shell vouches that the earlier process of the same node is gone (it holds
//! the data directory's lock), so no session has to expire first.

use std::collections::BTreeMap;

use naru_model::Uuid;
use naru_protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;

use super::Controller;
use super::features::FEATURES;
use crate::image::{BrokerImage, ControllerImage, Endpoint, VersionRange};
use crate::records::{Decision, RecordAndVersion};

/// What a broker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Its `node.id`.
    pub id: i32,
    /// A random id of this process.
    pub incarnation_id: Uuid,
    /// Its advertised listeners, controller listeners left out.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Directory ids of its online log directories.
    pub log_dirs: Vec<Uuid>,
}

/// What a controller says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerRegistration {
    /// Its `node.id`.
    pub id: i32,
    /// A random id of this process.
    pub incarnation_id: Uuid,
    /// Its advertised controller listeners.
    pub endpoints: Vec<Endpoint>,
}

impl Controller {
    /// Registers a broker, fenced. `next_offset` is the offset its record will get: the broker
    /// epoch, which is the response.
    pub fn decide_register_broker(
        &self,
        registration: BrokerRegistration,
        next_offset: i64,
    ) -> Decision<i64> {
        let broker = BrokerImage {
            id: registration.id,
            epoch: next_offset,
            incarnation_id: registration.incarnation_id,
            endpoints: registration.endpoints,
            features: supported_features(),
            rack: registration.rack,
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: registration.log_dirs,
            cordoned_log_dirs: None,
        };
        Decision {
            records: vec![RecordAndVersion::newest(broker.to_record())],
            response: next_offset,
        }
    }

    /// Unfences a registered broker, and lets it lead what only it can lead. No records if it is
    /// unknown, registered with another epoch, or not fenced.
    pub fn decide_unfence_broker(&self, id: i32, epoch: i64) -> Vec<RecordAndVersion> {
        let fenced =
            self.image.broker(id).is_some_and(|broker| broker.epoch == epoch && broker.fenced);
        if !fenced {
            return Vec::new();
        }
        let change = BrokerRegistrationChangeRecord {
            broker_id: id,
            broker_epoch: epoch,
            fenced: -1,
            ..BrokerRegistrationChangeRecord::default()
        };
        let mut records = vec![RecordAndVersion::at(0, change)];
        records.extend(self.elections_after_unfencing(id));
        records
    }

    /// Takes a broker out before a clean stop: nobody asks it for anything it led, and its next
    /// start, also as an Apache Kafka node, waits for no session. No records if it is unknown,
    /// registered with another epoch, or fenced already.
    pub fn decide_stop_broker(&self, id: i32, epoch: i64) -> Vec<RecordAndVersion> {
        let known = self.image.broker(id).filter(|broker| broker.epoch == epoch && !broker.fenced);
        if known.is_none() {
            return Vec::new();
        }
        let change = BrokerRegistrationChangeRecord {
            broker_id: id,
            broker_epoch: epoch,
            ..BrokerRegistrationChangeRecord::default()
        };
        let stopping =
            BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..change.clone() };
        let mut records = vec![RecordAndVersion::at(1, stopping)];
        records.extend(self.departures(id));
        let fenced = BrokerRegistrationChangeRecord { fenced: 1, ..change };
        records.push(RecordAndVersion::at(0, fenced));
        records
    }

    /// Registers a controller; no record if this process is registered already.
    pub fn decide_register_controller(
        &self,
        registration: ControllerRegistration,
    ) -> Vec<RecordAndVersion> {
        let registered = self.image.controller(registration.id);
        if registered.is_some_and(|image| image.incarnation_id == registration.incarnation_id) {
            return Vec::new();
        }
        let controller = ControllerImage {
            id: registration.id,
            incarnation_id: registration.incarnation_id,
            zk_migration_ready: false,
            endpoints: registration.endpoints,
            features: supported_features(),
        };
        vec![RecordAndVersion::newest(controller.to_record())]
    }
}

fn supported_features() -> BTreeMap<String, VersionRange> {
    let range = |f: &super::Feature| VersionRange { min: f.min, max: f.max };
    FEATURES.iter().map(|feature| (feature.name.to_owned(), range(feature))).collect()
}
