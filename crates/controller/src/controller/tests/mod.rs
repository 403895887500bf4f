//! A controller in a box: records it decides get offsets and are replayed at once.

mod acls;
mod brokers;
mod client_quotas;
mod configs;
mod directories;
mod features;
mod isr;
mod life;
mod property;
mod reassign;
mod scram;
mod start;
mod tokens;
mod topics;

use std::sync::Arc;

use naru_model::Uuid;
use naru_model::config::Props;
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use naru_protocol::messages::create_topics_response::CreatableTopicResult;
use naru_protocol::metadata::MetadataRecord;
use naru_quotas::MutationQuota;

use super::*;
use crate::records::RecordAndVersion;

/// A controller and the log it wrote.
pub(super) struct Cluster {
    pub(super) controller: Controller,
    pub(super) log: Vec<RecordAndVersion>,
    next_id: u128,
}

impl Cluster {
    /// Before the first record.
    pub(super) fn empty() -> Self {
        let controller = Controller::new(1, Arc::new(Props::new()));
        Self { controller, log: Vec::new(), next_id: 1000 }
    }

    /// One activated node with these brokers unfenced.
    pub(super) fn with_brokers(ids: &[i32]) -> Self {
        let mut cluster = Self::empty();
        let settings = BootstrapSettings { min_insync_replicas: 1 };
        let records = cluster.controller.decide_activate(&bootstrap_records(), settings);
        cluster.commit(records);
        for id in ids {
            cluster.start_broker(*id);
        }
        cluster
    }

    /// A new process of a broker whose earlier one is gone; unfenced.
    pub(super) fn start_broker(&mut self, id: i32) -> i64 {
        let mut sessions = self.controller.start_sessions(SessionSettings::default(), 0);
        let incarnation = self.new_id().0;
        let context = RegisterBroker {
            version: 4,
            cluster_id: brokers::CLUSTER_ID,
            kraft_version: 1,
            next_offset: self.end(),
            previous_process_is_gone: true,
            now_ms: 0,
        };
        let request = brokers::registration(id, incarnation);
        let decision = self.controller.decide_broker_registration(&mut sessions, &request, context);
        assert_eq!(decision.response.error_code, 0);
        self.commit(decision.records);
        self.heartbeat(&mut sessions, id, false);
        decision.response.broker_epoch
    }

    /// Stops a broker cleanly, whoever has read of it or not.
    pub(super) fn stop_broker(&mut self, id: i32) {
        let mut sessions = self.controller.start_sessions(SessionSettings::default(), 0);
        for _ in 0..2 {
            self.heartbeat(&mut sessions, id, true);
        }
    }

    fn heartbeat(&mut self, sessions: &mut BrokerSessions, id: i32, want_shut_down: bool) {
        let request = BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: self.controller.image().broker(id).map_or(-1, |broker| broker.epoch),
            current_metadata_offset: self.end() - 1,
            want_shut_down,
            ..BrokerHeartbeatRequest::default()
        };
        let decision = self.controller.decide_broker_heartbeat(sessions, 0, &request);
        self.commit(decision.records);
    }

    pub(super) fn end(&self) -> i64 {
        i64::try_from(self.log.len()).unwrap()
    }

    pub(super) fn new_id(&mut self) -> Uuid {
        self.next_id += 1;
        Uuid(self.next_id)
    }

    pub(super) fn commit(&mut self, records: Vec<RecordAndVersion>) {
        for record in records {
            let offset = self.end();
            // What a restart reads is what was written.
            let bytes = bytes::Bytes::from(record.to_bytes());
            assert_eq!(MetadataRecord::from_bytes(&bytes).as_ref(), Ok(&record.record));
            self.controller.replay(offset, 1, &record.record).unwrap();
            self.log.push(record);
        }
    }

    pub(super) fn create(&mut self, request: &CreateTopicsRequest) -> Vec<CreatableTopicResult> {
        let mut next_id = self.next_id;
        let mut context = CreateTopics {
            quota: MutationQuota::unlimited(),
            default_partitions: 1,
            default_replication_factor: 1,
            new_id: || {
                next_id += 1;
                Uuid(next_id)
            },
        };
        let decision = self.controller.decide_create_topics(request, &mut context);
        self.next_id = next_id;
        self.commit(decision.records);
        decision.response.topics
    }
}

pub(super) fn topic(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: replicas,
        ..CreatableTopic::default()
    }
}

pub(super) fn with_config(name: &str, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: value.map(str::to_owned),
    });
    CreatableTopic { configs: configs.collect(), ..topic(name, 1, 1) }
}

pub(super) fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments.iter().map(|(partition_index, brokers)| {
        let partition_index = *partition_index;
        CreatableReplicaAssignment { partition_index, broker_ids: brokers.to_vec() }
    });
    CreatableTopic { assignments: assignments.collect(), ..topic(name, -1, -1) }
}

pub(super) fn request(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 1000, validate_only: false }
}
