//! What a node writes when it starts, compared with what Apache Kafka 4.3.1 wrote.

use naru_model::ErrorCode;
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::controller_registration_request::ControllerRegistrationRequest;

use super::*;
use crate::image::ConfigResource;

fn names(records: &[RecordAndVersion]) -> Vec<(&'static str, i16)> {
    records.iter().map(|record| (record.record.name(), record.version)).collect()
}

#[test]
fn an_empty_log_gets_the_bootstrap_records_in_one_transaction() {
    let cluster = Cluster::with_brokers(&[1]);
    let feature = ("FeatureLevelRecord", 0);
    assert_eq!(
        names(&cluster.log),
        [
            ("BeginTransactionRecord", 0),
            feature,
            feature,
            feature,
            feature,
            feature,
            feature,
            ("ConfigRecord", 0),
            ("EndTransactionRecord", 0),
            ("RegisterBrokerRecord", 4),
            ("BrokerRegistrationChangeRecord", 0),
        ]
    );
    let image = cluster.controller.image();
    let levels: Vec<_> =
        image.features().iter().map(|(name, level)| (name.as_str(), *level)).collect();
    assert_eq!(
        levels,
        [
            ("eligible.leader.replicas.version", 1),
            ("group.version", 1),
            ("metadata.version", 30),
            ("share.version", 1),
            ("streams.version", 1),
            ("transaction.version", 2),
        ]
    );
    let cluster_default = ConfigResource::cluster();
    assert_eq!(image.config_value(&cluster_default, "min.insync.replicas"), Some("1"));
    let broker = image.broker(1).unwrap();
    assert_eq!((broker.epoch, broker.fenced), (9, false));
}

#[test]
fn a_second_start_writes_no_bootstrap_records() {
    let cluster = Cluster::with_brokers(&[1]);
    let settings = BootstrapSettings { min_insync_replicas: 1 };
    assert_eq!(cluster.controller.decide_activate(&bootstrap_records(), settings), []);
}

#[test]
fn a_torn_bootstrap_is_aborted_and_written_again() {
    let settings = BootstrapSettings { min_insync_replicas: 1 };
    let mut cluster = Cluster::empty();
    let mut records = cluster.controller.decide_activate(&bootstrap_records(), settings);
    records.truncate(4);
    cluster.commit(records);
    assert_eq!(*cluster.controller.image().features(), BTreeMap::new());

    let records = cluster.controller.decide_activate(&bootstrap_records(), settings);
    assert_eq!(names(&records)[0], ("AbortTransactionRecord", 0));
    cluster.commit(records);
    assert_eq!(cluster.controller.image().feature_level("metadata.version"), 30);
}

#[test]
fn a_restarted_broker_registers_at_once_and_leads_in_new_epochs() {
    let mut cluster = Cluster::with_brokers(&[1]);
    cluster.create(&request(vec![topic("t", 2, 1)]));
    let first = cluster.controller.image().broker(1).unwrap().epoch;
    let second = cluster.start_broker(1);
    assert!(second > first);
    let image = cluster.controller.image();
    assert_eq!(image.broker(1).unwrap().epoch, second);
    let partition = image.partition("t", 0).unwrap();
    // Lost with the old process, taken up by the new one.
    assert_eq!((partition.leader, partition.leader_epoch), (Some(1), 2));
}

#[test]
fn a_fenced_broker_gets_no_topics() {
    let mut cluster = Cluster::with_brokers(&[1]);
    cluster.stop_broker(1);
    assert!(cluster.controller.image().broker(1).unwrap().fenced);
    let [result] = cluster.create(&request(vec![topic("t", 1, 1)])).try_into().unwrap();
    assert_eq!(
        result.error_message.as_deref(),
        Some(
            "Unable to replicate the partition 1 time(s): All brokers are currently fenced, or \
             have all their log directories cordoned."
        )
    );
}

#[test]
fn a_controller_registers_when_it_has_something_new_to_say() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let request = ControllerRegistrationRequest {
        controller_id: 1,
        incarnation_id: Uuid(8),
        ..ControllerRegistrationRequest::default()
    };
    let records = cluster.controller.decide_controller_registration(&request).records;
    assert_eq!(names(&records), [("RegisterControllerRecord", 0)]);
    cluster.commit(records);
    assert_eq!(cluster.controller.decide_controller_registration(&request).records, []);
    let next = ControllerRegistrationRequest { incarnation_id: Uuid(9), ..request };
    assert_eq!(cluster.controller.decide_controller_registration(&next).records.len(), 1);
}

#[test]
fn producer_id_blocks_never_overlap_and_go_to_registered_processes() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let broker_epoch = cluster.controller.image().broker(1).unwrap().epoch;
    let ask = AllocateProducerIdsRequest { broker_id: 1, broker_epoch };
    let mut blocks = Vec::new();
    for _ in 0..3 {
        let decision = cluster.controller.decide_allocate_producer_ids(&ask);
        assert_eq!(decision.response.error_code, 0);
        blocks.push((decision.response.producer_id_start, decision.response.producer_id_len));
        cluster.commit(decision.records);
    }
    assert_eq!(blocks, [(0, 1000), (1000, 1000), (2000, 1000)]);
    assert_eq!(cluster.controller.image().next_producer_id(), 3000);
    let stale = AllocateProducerIdsRequest { broker_epoch: broker_epoch - 1, ..ask };
    let refused = cluster.controller.decide_allocate_producer_ids(&stale);
    assert_eq!(refused.records, []);
    assert_eq!(refused.response.error_code, ErrorCode::StaleBrokerEpoch.code());
}
