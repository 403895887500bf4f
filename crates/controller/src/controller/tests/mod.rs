//! A controller in a box: records it decides get offsets and are replayed at once.

mod brokers;
mod configs;
mod directories;
mod features;
mod isr;
mod life;
mod property;
mod reassign;
mod start;
mod topics;

use std::sync::Arc;

use naru_model::Uuid;
use naru_model::config::Props;
use naru_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use naru_protocol::messages::create_topics_response::CreatableTopicResult;
use naru_protocol::metadata::MetadataRecord;

use super::*;
use crate::image::Endpoint;
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

    pub(super) fn start_broker(&mut self, id: i32) -> i64 {
        let registration = BrokerRegistration {
            id,
            incarnation_id: self.new_id(),
            endpoints: vec![Endpoint {
                name: "PLAINTEXT".to_owned(),
                host: "localhost".to_owned(),
                port: 9092,
                security_protocol: 0,
            }],
            rack: None,
            log_dirs: vec![Uuid(500)],
        };
        let decision = self.controller.decide_register_broker(registration, self.end());
        self.commit(decision.records);
        self.commit(self.controller.decide_unfence_broker(id, decision.response));
        decision.response
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
        let context = CreateTopics {
            default_partitions: 1,
            default_replication_factor: 1,
            new_id: || {
                next_id += 1;
                Uuid(next_id)
            },
        };
        let decision = self.controller.decide_create_topics(request, context);
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
