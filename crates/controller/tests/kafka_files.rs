//! Files that an Apache Kafka 4.3.1 node wrote: a standalone node formatted, started, given
//! topics and configurations, stopped cleanly, started and stopped again.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

use std::sync::Arc;

use bytes::Bytes;
use naru_controller::batch::{BatchPlace, LogRecord, control_batch, read_batch};
use naru_controller::controller::{RegisterBroker, SessionSettings, bootstrap_records};
use naru_controller::image::ConfigResource;
use naru_controller::quorum::{
    ControlRecord, KraftVersion, Voter, VoterEndpoint, bootstrap_checkpoint, initial_checkpoint,
};
use naru_controller::raft::VoterLog;
use naru_controller::{Controller, RecordAndVersion};
use naru_model::config::Props;
use naru_model::{Timestamp, Uuid};
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_registration_request::{
    BrokerRegistrationRequest, Feature, Listener,
};
use naru_protocol::messages::register_broker_record::RegisterBrokerRecord;
use naru_protocol::metadata::MetadataRecord;
use naru_records::BatchHeader;

const LOG: &[u8] = include_bytes!("golden/metadata-4.3.1.log");
const STANDALONE: &[u8] = include_bytes!("golden/standalone-4.3.1.checkpoint");
const BOOTSTRAP: &[u8] = include_bytes!("golden/bootstrap-4.3.1.checkpoint");
const DIRECTORY_ID: &str = "O19iLID_T8iGlakiP8EHXg";

fn batches(file: &'static [u8]) -> Vec<(BatchHeader, Vec<LogRecord>)> {
    let bytes = Bytes::from_static(file);
    let batches = naru_records::batches(&bytes);
    batches.map(|batch| read_batch(&bytes.slice_ref(batch.unwrap().1)).unwrap()).collect()
}

fn voter() -> Voter {
    let endpoint =
        VoterEndpoint { name: "CONTROLLER".to_owned(), host: "localhost".to_owned(), port: 23093 };
    Voter { id: 1, directory_id: DIRECTORY_ID.parse().unwrap(), endpoints: vec![endpoint] }
}

/// A file whose batches have other times than Kafka's: times, and so CRCs, are blanked.
fn without_times(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for batch in naru_records::batches(file) {
        let mut batch = batch.unwrap().1.to_vec();
        batch[17..21].fill(0);
        batch[27..43].fill(0);
        out.extend(batch);
    }
    out
}

#[test]
fn the_metadata_log_of_a_real_node_is_read_whole() {
    let mut controller = Controller::new(1, Arc::new(Props::new()));
    let mut voters = VoterLog::new();
    for (header, records) in batches(LOG) {
        for record in records {
            match record {
                LogRecord::Metadata { offset, record } => {
                    let epoch = header.partition_leader_epoch.0;
                    controller.replay(offset, epoch, &record).unwrap();
                }
                LogRecord::Control { offset, record } => voters.read_log(offset, &record),
            }
        }
        controller.advance_to(header.next_offset().0, header.partition_leader_epoch.0);
    }
    assert_eq!((voters.kraft_version(), voters.voters()), (KraftVersion::Dynamic, &[voter()][..]));
    let image = controller.image();
    let names: Vec<&str> = image.topics().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["a.b", "c1", "m1"]);
    assert_eq!(image.topic("m1").unwrap().partitions.len(), 3);
    // Stopped cleanly: nobody leads, the only replica is eligible.
    let partition = image.partition("m1", 0).unwrap();
    assert_eq!((partition.leader, partition.elr.as_slice()), (None, &[1][..]));
    assert_eq!((partition.leader_epoch, partition.partition_epoch), (3, 3));
    let config = image.config(&ConfigResource::topic("m1"));
    let expected =
        [("cleanup.policy", "compact"), ("min.insync.replicas", "9"), ("retention.ms", "1000")];
    assert!(config.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
    assert_eq!(image.feature_level("metadata.version"), 30);
    let broker = image.broker(1).unwrap();
    assert!(broker.fenced && broker.in_controlled_shutdown);
    assert_eq!(image.epoch(), 2);

    // And a node of ours takes over from there.
    let registered =
        batches(LOG).into_iter().flat_map(|(_, records)| records).rev().find_map(|record| {
            match record {
                LogRecord::Metadata { record: MetadataRecord::RegisterBrokerRecord(r), .. } => {
                    Some(r)
                }
                _ => None,
            }
        });
    let request = registration_of(&registered.unwrap(), broker.epoch);
    let request = BrokerRegistrationRequest { incarnation_id: Uuid(9), ..request };
    let mut sessions = controller.start_sessions(SessionSettings::default(), 0);
    let context = register_at(controller.image().end_offset());
    let decision = controller.decide_broker_registration(&mut sessions, &request, context);
    replay(&mut controller, &decision.records);
    let alive = heartbeat(&controller);
    let decision = controller.decide_broker_heartbeat(&mut sessions, 0, &alive);
    replay(&mut controller, &decision.records);
    let partition = controller.image().partition("m1", 0).unwrap();
    assert_eq!((partition.leader, partition.isr.as_slice()), (Some(1), &[1][..]));
}

/// The controller as of the record before `end`, and the records of the log.
fn replayed_to(end: i64) -> (Controller, Vec<(i64, MetadataRecord)>) {
    let mut controller = Controller::new(1, Arc::new(Props::new()));
    let mut records = Vec::new();
    for (header, batch) in batches(LOG) {
        for record in batch {
            let LogRecord::Metadata { offset, record } = record else { continue };
            if offset < end {
                controller.replay(offset, header.partition_leader_epoch.0, &record).unwrap();
            }
            records.push((offset, record));
        }
    }
    (controller, records)
}

/// What Kafka wrote from `offsets`, in the order of topics that names, not ids, give.
fn kafka_wrote(records: &[(i64, MetadataRecord)], offsets: std::ops::Range<i64>) -> Vec<String> {
    let mut texts: Vec<String> = records
        .iter()
        .filter(|(offset, record)| offsets.contains(offset) && record.name() != "NoOpRecord")
        .map(|(_, record)| format!("{record:?}"))
        .collect();
    texts.sort();
    texts
}

fn texts(records: &[RecordAndVersion]) -> Vec<String> {
    let mut texts: Vec<String> = records.iter().map(|r| format!("{:?}", r.record)).collect();
    texts.sort();
    texts
}

fn heartbeat(controller: &Controller) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest {
        broker_id: 1,
        broker_epoch: controller.image().broker(1).unwrap().epoch,
        current_metadata_offset: controller.image().end_offset() - 1,
        ..BrokerHeartbeatRequest::default()
    }
}

#[test]
fn a_clean_stop_writes_the_records_kafka_wrote() {
    let (mut controller, records) = replayed_to(175);
    let mut sessions = controller.start_sessions(SessionSettings::default(), 0);
    let mut ours = Vec::new();
    for _ in 0..2 {
        let stop = BrokerHeartbeatRequest { want_shut_down: true, ..heartbeat(&controller) };
        let decision = controller.decide_broker_heartbeat(&mut sessions, 0, &stop);
        replay(&mut controller, &decision.records);
        assert_eq!(decision.response.should_shut_down, !ours.is_empty());
        ours.extend(decision.records);
    }
    assert_eq!(texts(&ours), kafka_wrote(&records, 175..183));
}

#[test]
fn a_start_after_a_clean_stop_writes_the_records_kafka_wrote() {
    let (controller, records) = replayed_to(185);
    let mut sessions = controller.start_sessions(SessionSettings::default(), 0);
    let kafkas = records.iter().find(|(offset, _)| *offset == 185).unwrap();
    let MetadataRecord::RegisterBrokerRecord(registered) = &kafkas.1 else {
        panic!("{kafkas:?} is no registration");
    };
    let request = registration_of(registered, controller.image().broker(1).unwrap().epoch);
    let context = register_at(185);
    let decision = controller.decide_broker_registration(&mut sessions, &request, context);
    let [ours] = decision.records.try_into().unwrap();
    let MetadataRecord::RegisterBrokerRecord(mut ours) = ours.record else {
        panic!("{ours:?} is no registration");
    };
    // Kafka's features have no order.
    let mut kafkas = registered.clone();
    kafkas.features.sort_by(|a, b| a.name.cmp(&b.name));
    ours.features.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(ours, kafkas);

    let (controller, _) = replayed_to(187);
    let mut sessions = controller.start_sessions(SessionSettings::default(), 0);
    let decision = controller.decide_broker_heartbeat(&mut sessions, 0, &heartbeat(&controller));
    assert_eq!(texts(&decision.records), kafka_wrote(&records, 187..193));
}

fn replay(controller: &mut Controller, records: &[RecordAndVersion]) {
    for record in records {
        let offset = controller.image().end_offset();
        controller.replay(offset, 3, &record.record).unwrap();
    }
}

fn register_at(next_offset: i64) -> RegisterBroker<'static> {
    RegisterBroker {
        version: 4,
        cluster_id: "c",
        kraft_version: 1,
        next_offset,
        previous_process_is_gone: false,
        now_ms: 0,
    }
}

/// The request that led to a registration.
fn registration_of(
    record: &RegisterBrokerRecord,
    previous_broker_epoch: i64,
) -> BrokerRegistrationRequest {
    let listeners = record.end_points.iter().map(|endpoint| Listener {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    });
    let features = record.features.iter().map(|feature| Feature {
        name: feature.name.clone(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
    });
    BrokerRegistrationRequest {
        broker_id: record.broker_id,
        cluster_id: "c".to_owned(),
        incarnation_id: record.incarnation_id,
        listeners: listeners.collect(),
        features: features.collect(),
        rack: record.rack.clone(),
        log_dirs: record.log_dirs.clone(),
        previous_broker_epoch,
        ..BrokerRegistrationRequest::default()
    }
}

#[test]
fn every_record_is_written_back_as_kafkas_bytes() {
    let bytes = Bytes::from_static(LOG);
    let mut seen = 0;
    for batch in naru_records::batches(&bytes) {
        let (header, batch) = batch.unwrap();
        if header.is_control() {
            continue;
        }
        for record in naru_records::read_records(&bytes.slice_ref(batch), 0).unwrap() {
            let value = record.unwrap().value.unwrap();
            // Frame version, type and version are one byte each here.
            let version = i16::from(value[2]);
            let record = MetadataRecord::from_bytes(&value).unwrap();
            assert_eq!(record.to_bytes(version), value, "{record:?}");
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn control_batches_are_kafkas_bytes() {
    let (header, records) = batches(LOG).swap_remove(0);
    let records: Vec<ControlRecord> = records
        .into_iter()
        .map(|record| match record {
            LogRecord::Control { record, .. } => record,
            LogRecord::Metadata { .. } => panic!("the first batch holds control records"),
        })
        .collect();
    let place = BatchPlace { base_offset: 0, epoch: 1, timestamp: header.base_timestamp };
    let ours = control_batch(place, &records).unwrap();
    assert_eq!(ours, LOG[..header.size()]);
}

#[test]
fn formatted_files_are_kafkas_bytes_but_for_times() {
    let header = BatchHeader::parse(STANDALONE).unwrap();
    let ours = bootstrap_checkpoint(Timestamp(0)).unwrap();
    assert_eq!(without_times(&ours), without_times(BOOTSTRAP));
    // The header record holds a time of its own, a little before that of its batch.
    let ours = initial_checkpoint(&[voter()], header.base_timestamp).unwrap();
    let differing = without_times(&ours)
        .iter()
        .zip(without_times(STANDALONE))
        .filter(|(a, b)| **a != *b)
        .count();
    assert_eq!(ours.len(), STANDALONE.len());
    assert!(differing <= 8, "{differing} bytes differ, the header's time has 8");
    let contents: Vec<_> =
        batches(BOOTSTRAP).into_iter().flat_map(|(_, records)| records).collect();
    let features = bootstrap_records().into_iter().map(|record| record.record);
    let kafkas = contents.into_iter().filter_map(|record| match record {
        LogRecord::Metadata { record, .. } => Some(record),
        LogRecord::Control { .. } => None,
    });
    assert!(features.eq(kafkas));
}
