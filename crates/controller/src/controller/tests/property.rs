//! Random lives of a cluster: whatever is decided can be replayed, and gives the same state.

use naru_model::Timestamp;
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use naru_quotas::MutationQuota;
use proptest::prelude::*;

use super::*;
use crate::batch::{LogRecord, read_batch, snapshot};
use crate::quorum::KraftVersion;

#[derive(Debug, Clone, Copy)]
enum Step {
    Create { topic: u8, partitions: i32, replicas: i16 },
    Grow { topic: u8, count: i32 },
    Delete { topic: u8 },
    Configure { topic: u8, op: i8, key: &'static str, value: &'static str },
    RestartBroker(i32),
    StopBroker(i32),
    ProducerIds,
}

fn step() -> impl Strategy<Value = Step> {
    let key =
        prop::sample::select(vec!["retention.ms", "cleanup.policy", "min.insync.replicas", "nope"]);
    let value = prop::sample::select(vec!["1", "2", "compact", "delete", "-7"]);
    prop_oneof![
        (0..6u8, -2..5i32, -2..4i16).prop_map(|(topic, partitions, replicas)| Step::Create {
            topic,
            partitions,
            replicas
        }),
        (0..6u8, -1..9i32).prop_map(|(topic, count)| Step::Grow { topic, count }),
        (0..6u8).prop_map(|topic| Step::Delete { topic }),
        (0..6u8, -1..5i8, key, value).prop_map(|(topic, op, key, value)| Step::Configure {
            topic,
            op,
            key,
            value
        }),
        (1..4i32).prop_map(Step::RestartBroker),
        (1..4i32).prop_map(Step::StopBroker),
        Just(Step::ProducerIds),
    ]
}

/// Names of which some collide and one is reserved.
fn name(topic: u8) -> String {
    ["a.b", "a_b", "plain", "a-b", "__cluster_metadata", "x.y_z"][usize::from(topic)].to_owned()
}

fn run(cluster: &mut Cluster, step: Step) {
    match step {
        Step::Create { topic: index, partitions, replicas } => {
            cluster.create(&request(vec![topic(&name(index), partitions, replicas)]));
        }
        Step::Grow { topic, count } => {
            let topics =
                vec![CreatePartitionsTopic { name: name(topic), count, assignments: None }];
            let ask = CreatePartitionsRequest { topics, ..CreatePartitionsRequest::default() };
            let decision =
                cluster.controller.decide_create_partitions(&ask, &mut MutationQuota::unlimited());
            cluster.commit(decision.records);
        }
        Step::Delete { topic } => {
            let topic_names = vec![name(topic)];
            let ask = DeleteTopicsRequest { topic_names, ..DeleteTopicsRequest::default() };
            let decision =
                cluster.controller.decide_delete_topics(&ask, &mut MutationQuota::unlimited());
            cluster.commit(decision.records);
        }
        Step::Configure { topic, op, key, value } => {
            let config = AlterableConfig {
                name: key.to_owned(),
                config_operation: op,
                value: Some(value.to_owned()),
            };
            let resource = AlterConfigsResource {
                resource_type: 2,
                resource_name: name(topic),
                configs: vec![config],
            };
            let ask =
                IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
            let decision = cluster.controller.decide_incremental_alter_configs(&ask);
            cluster.commit(decision.records);
        }
        Step::RestartBroker(id) => {
            cluster.start_broker(id);
        }
        Step::StopBroker(id) => {
            cluster.stop_broker(id);
        }
        Step::ProducerIds => {
            let broker_epoch = cluster.controller.image().broker(1).map_or(-1, |b| b.epoch);
            let ask = AllocateProducerIdsRequest { broker_id: 1, broker_epoch };
            let decision = cluster.controller.decide_allocate_producer_ids(&ask);
            cluster.commit(decision.records);
        }
    }
}

/// What holds after every step.
fn check(controller: &Controller) {
    let image = controller.image();
    assert_eq!(image.topics().count(), image.topic_count());
    for topic in image.topics() {
        assert_eq!(image.topic_by_id(topic.id), Some(topic));
        assert_eq!(topic_name::validate(&topic.name), Ok(()));
        assert!(topic.partitions.keys().copied().eq((0..).take(topic.partitions.len())));
        for partition in topic.partitions.values() {
            assert_eq!(partition.directories.len(), partition.replicas.len());
            assert!(partition.isr.iter().all(|id| partition.replicas.contains(id)));
            assert!(partition.leader.is_none_or(|leader| partition.isr.contains(&leader)));
            assert!(partition.elr.iter().all(|id| !partition.isr.contains(id)));
            let fenced = |id: i32| image.broker(id).is_some_and(|broker| broker.fenced);
            assert!(!partition.leader.is_some_and(fenced));
        }
    }
    let named = |names: &BTreeSet<Arc<str>>| names.iter().all(|name| image.topic(name).is_some());
    assert!(controller.colliding_names.values().all(named));
}

fn replayed(records: impl IntoIterator<Item = (i64, MetadataRecord)>) -> Controller {
    let mut controller = Controller::new(1, Arc::new(Props::new()));
    for (offset, record) in records {
        controller.replay(offset, 1, &record).unwrap();
    }
    controller
}

proptest! {
    #[test]
    fn log_and_snapshot_give_the_state_that_was_decided(steps in prop::collection::vec(step(), 1..60)) {
        let mut cluster = Cluster::with_brokers(&[1]);
        for step in steps {
            run(&mut cluster, step);
            check(&cluster.controller);
        }
        let log = (0..).zip(cluster.log.iter().map(|record| record.record.clone()));
        prop_assert_eq!(&replayed(log), &cluster.controller);

        let image = cluster.controller.image();
        let bytes = snapshot(image, KraftVersion::Static, &[], Timestamp(5), Timestamp(6)).unwrap();
        let bytes = bytes::Bytes::from(bytes);
        let mut records = Vec::new();
        for batch in naru_records::batches(&bytes) {
            let (_, batch) = batch.unwrap();
            for record in read_batch(&bytes.slice_ref(batch)).unwrap().1 {
                if let LogRecord::Metadata { record, .. } = record {
                    records.push((image.end_offset() - 1, record));
                }
            }
        }
        prop_assert_eq!(&replayed(records), &cluster.controller);
    }
}
