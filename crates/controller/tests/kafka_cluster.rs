//! The metadata log of an Apache Kafka 4.3.1 cluster, decision by decision.
//!
//! One controller and three brokers lived through this: topics made; broker 3 killed, then 2, then
//! 1; 2, 3 and 1 started again; preferred leaders elected; partitions reassigned; 1 stopped
//! cleanly and started; 2 stopped cleanly and 3 killed; 3 and 2 started; a topic deleted. At each
//! of the controller's decisions ours is asked, in the state that Kafka's was in, what Kafka's was
//! asked. The records have to be the same.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use naru_controller::batch::{LogRecord, read_batch};
use naru_controller::controller::{BrokerSessions, RegisterBroker, SessionSettings};
use naru_controller::image::PartitionImage;
use naru_controller::{Controller, RecordAndVersion};
use naru_model::config::Props;
use naru_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use naru_protocol::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_registration_request::{
    BrokerRegistrationRequest, Feature, Listener,
};
use naru_protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use naru_protocol::messages::partition_change_record::PartitionChangeRecord;
use naru_protocol::messages::register_broker_record::RegisterBrokerRecord;
use naru_protocol::metadata::MetadataRecord;

const LOG: &[u8] = include_bytes!("golden/cluster-4.3.1.log");

/// The records by offset; where control records are there is none.
fn records() -> BTreeMap<i64, MetadataRecord> {
    let bytes = Bytes::from_static(LOG);
    let mut all = BTreeMap::new();
    for batch in naru_records::batches(&bytes) {
        for record in read_batch(&bytes.slice_ref(batch.unwrap().1)).unwrap().1 {
            if let LogRecord::Metadata { offset, record } = record {
                all.insert(offset, record);
            }
        }
    }
    all
}

/// Kafka's log, and our controller as of the record before `offset`.
struct Story {
    records: BTreeMap<i64, MetadataRecord>,
    /// The kind of decision that explains a record.
    explained: BTreeMap<i64, &'static str>,
}

impl Story {
    fn before(&self, offset: i64) -> Controller {
        let mut controller = Controller::new(100, Arc::new(Props::new()));
        for (at, record) in self.records.range(..offset) {
            controller.replay(*at, 1, record).unwrap();
        }
        controller.advance_to(offset, 1);
        controller
    }

    /// Holds our records against Kafka's from `first` on.
    fn compare(&mut self, kind: &'static str, first: i64, ours: &[RecordAndVersion]) {
        let last = first + i64::try_from(ours.len()).unwrap();
        let kafkas = self.records.range(first..last);
        let ours = texts(ours.iter().map(|record| &record.record));
        assert!(!ours.is_empty(), "{kind} at offset {first}: {:?}", self.records.get(&first));
        assert_eq!(ours, texts(kafkas.map(|(_, record)| record)), "{kind} at offset {first}");
        self.explained.extend((first..last).map(|offset| (offset, kind)));
    }

    fn count(&self, kind: &str) -> usize {
        self.explained.values().filter(|explained| **explained == kind).count()
    }

    /// A decision whose last record is at `last`: as many records as ours are Kafka's too.
    fn compare_back(
        &mut self,
        kind: &'static str,
        last: i64,
        decide: impl Fn(&Controller) -> Vec<RecordAndVersion>,
    ) {
        // It begins as early as the number of its records allows: later, less is left to do.
        let found = (0..=last).find(|first| {
            let ours = decide(&self.before(*first));
            i64::try_from(ours.len()).unwrap() == last - first + 1
        });
        let first = found.unwrap_or_else(|| panic!("{kind} that ends at {last} begins nowhere"));
        let ours = decide(&self.before(first));
        self.compare(kind, first, &ours);
    }
}

/// Records as texts, in an order of their own: topics have none in Kafka, nor have features.
fn texts<'a>(records: impl Iterator<Item = &'a MetadataRecord>) -> Vec<String> {
    let mut texts: Vec<String> = records
        .map(|record| match record {
            MetadataRecord::RegisterBrokerRecord(record) => {
                let mut record = record.clone();
                record.features.sort_by(|a, b| a.name.cmp(&b.name));
                format!("{record:?}")
            }
            other => format!("{other:?}"),
        })
        .collect();
    texts.sort();
    texts
}

fn sessions(controller: &Controller) -> BrokerSessions {
    controller.start_sessions(SessionSettings::default(), 0)
}

fn heartbeat(controller: &Controller, id: i32, stop: bool) -> Vec<RecordAndVersion> {
    let request = BrokerHeartbeatRequest {
        broker_id: id,
        broker_epoch: controller.image().broker(id).map_or(-1, |broker| broker.epoch),
        current_metadata_offset: controller.image().end_offset() - 1,
        want_shut_down: stop,
        ..BrokerHeartbeatRequest::default()
    };
    controller.decide_broker_heartbeat(&mut sessions(controller), 0, &request).records
}

/// A broker that is not ready yet tells that no directory is cordoned.
fn cordon(controller: &Controller, id: i32) -> Vec<RecordAndVersion> {
    let request = BrokerHeartbeatRequest {
        broker_id: id,
        broker_epoch: controller.image().broker(id).map_or(-1, |broker| broker.epoch),
        current_metadata_offset: controller.image().end_offset() - 1,
        want_fence: controller.image().broker(id).is_some_and(|broker| broker.fenced),
        cordoned_log_dirs: Some(Vec::new()),
        ..BrokerHeartbeatRequest::default()
    };
    controller.decide_broker_heartbeat(&mut sessions(controller), 0, &request).records
}

fn fence(controller: &Controller, id: i32) -> Vec<RecordAndVersion> {
    let epoch = controller.image().broker(id).map_or(-1, |broker| broker.epoch);
    controller.decide_broker_gone(&mut sessions(controller), id, epoch).records
}

/// What a broker asked for that then was registered so.
fn register(
    controller: &Controller,
    record: &RegisterBrokerRecord,
    stopped_cleanly: bool,
) -> Vec<RecordAndVersion> {
    let registered = controller.image().broker(record.broker_id).map(|broker| broker.epoch);
    let request = BrokerRegistrationRequest {
        broker_id: record.broker_id,
        cluster_id: "c".to_owned(),
        incarnation_id: record.incarnation_id,
        listeners: record
            .end_points
            .iter()
            .map(|endpoint| Listener {
                name: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
                security_protocol: endpoint.security_protocol,
            })
            .collect(),
        features: record
            .features
            .iter()
            .map(|feature| Feature {
                name: feature.name.clone(),
                min_supported_version: feature.min_supported_version,
                max_supported_version: feature.max_supported_version,
            })
            .collect(),
        rack: record.rack.clone(),
        log_dirs: record.log_dirs.clone(),
        previous_broker_epoch: registered.filter(|_| stopped_cleanly).unwrap_or(-1),
        ..BrokerRegistrationRequest::default()
    };
    let context = RegisterBroker {
        version: 4,
        cluster_id: "c",
        kraft_version: 0,
        next_offset: record.broker_epoch,
        previous_process_is_gone: false,
        now_ms: 100_000,
    };
    controller.decide_broker_registration(&mut sessions(controller), &request, context).records
}

#[test]
fn brokers_come_and_go_as_in_kafka() {
    let mut story = Story { records: records(), explained: BTreeMap::new() };
    let mut stopped: BTreeMap<i32, bool> = BTreeMap::new();
    for (offset, record) in story.records.clone() {
        match record {
            MetadataRecord::RegisterBrokerRecord(record) => {
                let clean = stopped.get(&record.broker_id) == Some(&true);
                let kind = if clean { "clean start" } else { "start" };
                let ours = register(&story.before(record.broker_epoch), &record, clean);
                assert_eq!(ours.len(), usize::try_from(offset - record.broker_epoch).unwrap() + 1);
                story.compare(kind, record.broker_epoch, &ours);
            }
            MetadataRecord::BrokerRegistrationChangeRecord(change) => {
                let id = change.broker_id;
                if change.fenced == -1 {
                    let ours = heartbeat(&story.before(offset), id, false);
                    story.compare("unfence", offset, &ours);
                } else if change.in_controlled_shutdown == 1 {
                    let ours = heartbeat(&story.before(offset), id, true);
                    story.compare("controlled shutdown", offset, &ours);
                } else if change.cordoned_log_dirs.is_some() {
                    let ours = cordon(&story.before(offset), id);
                    story.compare("cordon", offset, &ours);
                } else if story.before(offset).image().broker(id).unwrap().fenced {
                    // A stopping broker that asks again is fenced again; ours is told to stop.
                    assert_eq!(heartbeat(&story.before(offset), id, true), []);
                    story.explained.insert(offset, "fence again");
                } else {
                    story.compare_back("fence", offset, |controller| fence(controller, id));
                    let image = story.before(offset);
                    let broker = image.image().broker(id).unwrap();
                    stopped.insert(id, broker.in_controlled_shutdown);
                }
            }
            _ => {}
        }
    }
    assert_eq!(
        ["start", "clean start", "unfence", "fence", "controlled shutdown", "cordon"]
            .map(|kind| story.count(kind)),
        [28, 2, 27, 56, 25, 9]
    );
    partitions_change_as_in_kafka(&mut story);
}

/// The changes of partitions that no broker's coming or going explains.
fn partitions_change_as_in_kafka(story: &mut Story) {
    for (offset, record) in story.records.clone() {
        let MetadataRecord::PartitionChangeRecord(change) = record else { continue };
        if story.explained.contains_key(&offset) {
            continue;
        }
        let controller = story.before(offset);
        let topic = controller.image().topic_by_id(change.topic_id).unwrap();
        let before = topic.partitions.get(&change.partition_id).unwrap();
        if begins_reassignment(&change) {
            let ours = reassign(&controller, &topic.name, &change);
            story.compare("reassignment", offset, &ours);
        } else if let Some(isr) = &change.isr {
            // Whoever a reassignment takes away at its end was in the ISR that was asked for.
            let removed = before.removing_replicas.iter().filter(|id| before.isr.contains(id));
            let removed = removed.filter(|_| change.removing_replicas.is_some());
            let asked: Vec<i32> = isr.iter().chain(removed).copied().collect();
            let ends = change.adding_replicas.is_some() || change.removing_replicas.is_some();
            let kind = if ends { "end of a reassignment" } else { "new ISR" };
            let ours = alter_isr(&controller, &change, before, &asked);
            story.compare(kind, offset, &sorted_isr(ours, isr));
        } else {
            let ours = elect(&controller, &topic.name, change.partition_id);
            story.compare("election", offset, &ours);
        }
    }
    assert_eq!(
        ["reassignment", "end of a reassignment", "new ISR", "election"]
            .map(|kind| story.count(kind)),
        [4, 2, 32, 7]
    );
    let changes = |record: &MetadataRecord| {
        let name = record.name();
        name == "PartitionChangeRecord"
            || name == "RegisterBrokerRecord"
            || name == "BrokerRegistrationChangeRecord"
    };
    let all = story.records.values().filter(|record| changes(record)).count();
    assert_eq!(story.explained.len(), all, "every change is explained");
}

fn begins_reassignment(change: &PartitionChangeRecord) -> bool {
    let some = |list: &Option<Vec<i32>>| list.as_ref().is_some_and(|list| !list.is_empty());
    some(&change.adding_replicas)
        || some(&change.removing_replicas)
        || (change.replicas.is_some() && change.removing_replicas.is_none())
}

fn reassign(
    controller: &Controller,
    topic: &str,
    change: &PartitionChangeRecord,
) -> Vec<RecordAndVersion> {
    let removing = change.removing_replicas.clone().unwrap_or_default();
    let mut target = change.replicas.clone().unwrap();
    target.retain(|id| !removing.contains(id));
    let partition =
        ReassignablePartition { partition_index: change.partition_id, replicas: Some(target) };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic { name: topic.to_owned(), partitions: vec![partition] }],
        allow_replication_factor_change: true,
        ..AlterPartitionReassignmentsRequest::default()
    };
    controller.decide_alter_reassignments(&request).records
}

fn alter_isr(
    controller: &Controller,
    change: &PartitionChangeRecord,
    before: &PartitionImage,
    isr: &[i32],
) -> Vec<RecordAndVersion> {
    let leader = before.leader.unwrap();
    let image = controller.image();
    let epoch = |id: i32| image.broker(id).map_or(-1, |broker| broker.epoch);
    let state = |id: &i32| BrokerState { broker_id: *id, broker_epoch: epoch(*id) };
    // A leader has recovered when it asks for more.
    let data = PartitionData {
        partition_index: change.partition_id,
        leader_epoch: before.leader_epoch,
        new_isr: Vec::new(),
        new_isr_with_epochs: isr.iter().map(state).collect(),
        leader_recovery_state: 0,
        partition_epoch: before.partition_epoch,
    };
    let request = AlterPartitionRequest {
        broker_id: leader,
        broker_epoch: epoch(leader),
        topics: vec![TopicData { topic_id: change.topic_id, partitions: vec![data] }],
    };
    controller.decide_alter_partition(&request, 3).records
}

/// The ISR in Kafka's order if it is the same: the request's own order is not known.
fn sorted_isr(mut ours: Vec<RecordAndVersion>, kafkas: &[i32]) -> Vec<RecordAndVersion> {
    for record in &mut ours {
        if let MetadataRecord::PartitionChangeRecord(change) = &mut record.record
            && let Some(isr) = &mut change.isr
        {
            let sorted = |list: &[i32]| {
                let mut list = list.to_vec();
                list.sort_unstable();
                list
            };
            if sorted(isr) == sorted(kafkas) {
                *isr = kafkas.to_vec();
            }
        }
    }
    ours
}

fn elect(controller: &Controller, topic: &str, partition: i32) -> Vec<RecordAndVersion> {
    let asked = TopicPartitions { topic: topic.to_owned(), partitions: vec![partition] };
    let request = ElectLeadersRequest {
        election_type: 0,
        topic_partitions: Some(vec![asked]),
        timeout_ms: 1000,
    };
    controller.decide_elect_leaders(&request).records
}
