//! AlterPartition and ElectLeaders.

use naru_model::ErrorCode;
use naru_protocol::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use naru_protocol::messages::alter_partition_response as answer;
use naru_protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use naru_protocol::messages::partition_change_record::PartitionChangeRecord;

use super::brokers::{Live, seats};
use super::*;

impl Live {
    /// What `leader` would ask for.
    fn isr_request(&self, topic: &str, leader: i32, isr: &[i32]) -> AlterPartitionRequest {
        let image = self.cluster.controller.image();
        let partition = self.partition(topic, 0);
        let epoch = |id: i32| image.broker(id).map_or(-1, |broker| broker.epoch);
        let state = |id: &i32| BrokerState { broker_id: *id, broker_epoch: epoch(*id) };
        let data = PartitionData {
            partition_index: 0,
            leader_epoch: partition.leader_epoch,
            new_isr: Vec::new(),
            new_isr_with_epochs: isr.iter().map(state).collect(),
            leader_recovery_state: 0,
            partition_epoch: partition.partition_epoch,
        };
        let topic_id = image.topic(topic).unwrap().id;
        AlterPartitionRequest {
            broker_id: leader,
            broker_epoch: epoch(leader),
            topics: vec![TopicData { topic_id, partitions: vec![data] }],
        }
    }

    fn alter(&mut self, request: &AlterPartitionRequest) -> answer::PartitionData {
        let decision = self.cluster.controller.decide_alter_partition(request, 3);
        assert_eq!(decision.response.error_code, 0);
        self.cluster.commit(decision.records);
        decision.response.topics[0].partitions[0].clone()
    }

    pub(super) fn alter_isr(&mut self, topic: &str, leader: i32, isr: &[i32]) {
        let request = self.isr_request(topic, leader, isr);
        assert_eq!(self.alter(&request).error_code, 0);
    }

    pub(super) fn try_isr(&mut self, topic: &str, leader: i32, isr: &[i32]) -> ErrorCode {
        let request = self.isr_request(topic, leader, isr);
        ErrorCode::from_code(self.alter(&request).error_code)
    }

    /// Makes this the ISR, led by its first, whatever led to that.
    pub(super) fn take_isr(&mut self, topic: &str, isr: &[i32]) {
        let topic_id = self.cluster.controller.image().topic(topic).unwrap().id;
        let record = PartitionChangeRecord {
            topic_id,
            partition_id: 0,
            isr: Some(isr.to_vec()),
            leader: isr[0],
            ..PartitionChangeRecord::default()
        };
        self.cluster.commit(vec![RecordAndVersion::newest(record)]);
    }

    fn elect(&mut self, kind: i8, topics: Option<&[(&str, i32)]>) -> Vec<(String, i32, i16)> {
        let topic_partitions = topics.map(|topics| {
            let asked = topics.iter().map(|(topic, partition)| TopicPartitions {
                topic: (*topic).to_owned(),
                partitions: vec![*partition],
            });
            asked.collect()
        });
        let ask = ElectLeadersRequest { election_type: kind, topic_partitions, timeout_ms: 1000 };
        let decision = self.cluster.controller.decide_elect_leaders(&ask);
        self.cluster.commit(decision.records);
        let results = decision.response.replica_election_results.into_iter().flat_map(|topic| {
            let name = topic.topic;
            let results = topic.partition_result.into_iter();
            results.map(move |r| (name.clone(), r.partition_id, r.error_code)).collect::<Vec<_>>()
        });
        results.collect()
    }
}

#[test]
fn a_leader_shrinks_and_grows_its_isr() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1, 2, 3], "2");
    let request = live.isr_request("t", 1, &[1, 2]);
    let now = live.alter(&request);
    assert_eq!((now.error_code, now.leader_id, now.leader_epoch), (0, 1, 0));
    assert_eq!((now.isr.as_slice(), now.partition_epoch), (&[1, 2][..], 1));
    live.alter_isr("t", 1, &[1]);
    assert_eq!(seats(&live.partition("t", 0)), (Some(1), &[1][..], &[2][..]));
    live.alter_isr("t", 1, &[1, 3]);
    assert_eq!(seats(&live.partition("t", 0)), (Some(1), &[1, 3][..], &[][..]));
}

#[test]
fn what_a_leader_may_not_ask_for_is_refused() {
    let mut live = Live::with_brokers(&[1, 2, 3, 4]);
    live.topic_on("t", &[1, 2, 3], "1");
    live.gone(3);
    live.start(3, 2);
    live.gone(2);
    let good = live.isr_request("t", 1, &[1, 3]);
    let partition = live.partition("t", 0);
    let before = live.cluster.controller.image().clone();
    let mut check = |change: &dyn Fn(&mut AlterPartitionRequest), code| {
        let mut request = good.clone();
        change(&mut request);
        let refused = live.alter(&request);
        assert_eq!(ErrorCode::from_code(refused.error_code), code);
        assert_eq!(*live.cluster.controller.image(), before);
    };
    let data = |request: &mut AlterPartitionRequest, change: &dyn Fn(&mut PartitionData)| {
        change(&mut request.topics[0].partitions[0]);
    };
    check(&|r| r.topics[0].topic_id = Uuid(3), ErrorCode::UnknownTopicId);
    check(&|r| data(r, &|p| p.partition_index = 1), ErrorCode::UnknownTopicOrPartition);
    check(&|r| data(r, &|p| p.leader_epoch += 1), ErrorCode::NotController);
    check(&|r| data(r, &|p| p.partition_epoch += 1), ErrorCode::NotController);
    check(&|r| data(r, &|p| p.leader_epoch -= 1), ErrorCode::FencedLeaderEpoch);
    check(&|r| data(r, &|p| p.partition_epoch -= 1), ErrorCode::InvalidUpdateVersion);
    assert!(partition.partition_epoch > 0);
    let isr = |ids: &[i32]| {
        let with = live_epochs(&before, ids);
        move |r: &mut AlterPartitionRequest| {
            r.topics[0].partitions[0].new_isr_with_epochs.clone_from(&with);
        }
    };
    check(&isr(&[3]), ErrorCode::InvalidRequest);
    check(&isr(&[1, 4]), ErrorCode::InvalidRequest);
    check(&isr(&[1, 1]), ErrorCode::InvalidRequest);
    check(&isr(&[]), ErrorCode::InvalidRequest);
    // Broker 2 is fenced; broker 3 is not the process that the leader saw.
    check(&isr(&[1, 2]), ErrorCode::IneligibleReplica);
    let old = |r: &mut AlterPartitionRequest| {
        r.topics[0].partitions[0].new_isr_with_epochs[1].broker_epoch -= 1;
    };
    check(&old, ErrorCode::IneligibleReplica);
    check(&|r| data(r, &|p| p.leader_recovery_state = 1), ErrorCode::InvalidRequest);
    check(&|r| data(r, &|p| p.leader_recovery_state = 9), ErrorCode::InvalidRequest);
    let epoch_of = |id| before.broker(id).unwrap().epoch;
    let other = |r: &mut AlterPartitionRequest| {
        r.broker_id = 3;
        r.broker_epoch = epoch_of(3);
    };
    check(&other, ErrorCode::InvalidRequest);
}

fn live_epochs(image: &MetadataImage, ids: &[i32]) -> Vec<BrokerState> {
    let epoch = |id: i32| image.broker(id).map_or(-1, |broker| broker.epoch);
    ids.iter().map(|id| BrokerState { broker_id: *id, broker_epoch: epoch(*id) }).collect()
}

#[test]
fn a_stale_process_alters_nothing() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    let mut request = live.isr_request("t", 1, &[1]);
    request.broker_epoch -= 1;
    let decision = live.cluster.controller.decide_alter_partition(&request, 3);
    assert_eq!(decision.records, []);
    assert_eq!(decision.response.error_code, ErrorCode::StaleBrokerEpoch.code());
}

#[test]
fn version_2_tells_no_epochs() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    let mut request = live.isr_request("t", 1, &[]);
    request.topics[0].partitions[0].new_isr = vec![1];
    let decision = live.cluster.controller.decide_alter_partition(&request, 2);
    live.cluster.commit(decision.records);
    assert_eq!(live.partition("t", 0).isr, [1]);
}

#[test]
fn a_recovering_leader_says_when_it_has_recovered() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    live.configure("t", "unclean.leader.election.enable", "true");
    live.alter_isr("t", 1, &[1]);
    live.gone(1);
    let partition = live.partition("t", 0);
    assert_eq!((partition.leader, partition.leader_recovery_state), (Some(2), 1));
    let request = live.isr_request("t", 2, &[2]);
    assert_eq!(live.alter(&request).leader_recovery_state, 0);
    assert_eq!(live.partition("t", 0).leader_epoch, partition.leader_epoch);
}

#[test]
fn elections_say_what_they_did() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("a", &[1, 2], "1");
    live.topic_on("b", &[2, 1], "1");
    let not_needed = ErrorCode::ElectionNotNeeded.code();
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(
        live.elect(0, Some(&[("a", 0), ("a", 7), ("x", 0)])),
        [
            ("a".to_owned(), 0, not_needed),
            ("a".to_owned(), 7, unknown),
            ("x".to_owned(), 0, unknown)
        ]
    );
    live.gone(1);
    let unavailable = ErrorCode::PreferredLeaderNotAvailable.code();
    assert_eq!(live.elect(0, None), [("a".to_owned(), 0, unavailable)]);
    live.start(1, 2);
    live.alter_isr("a", 2, &[2, 1]);
    assert_eq!(live.elect(0, None), [("a".to_owned(), 0, 0)]);
    assert_eq!(live.partition("a", 0).leader, Some(1));
    assert_eq!(live.elect(0, None), []);
}

#[test]
fn an_unclean_election_that_is_asked_for_happens() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    live.gone(2);
    live.gone(1);
    let nobody = ErrorCode::EligibleLeadersNotAvailable.code();
    assert_eq!(live.elect(1, Some(&[("t", 0)])), [("t".to_owned(), 0, nobody)]);
    live.beat(2, |_| {});
    assert_eq!(live.partition("t", 0).leader, None);
    assert_eq!(live.elect(1, Some(&[("t", 0)])), [("t".to_owned(), 0, 0)]);
    let partition = live.partition("t", 0);
    assert_eq!((partition.leader, partition.leader_recovery_state), (Some(2), 1));
    let not_needed = ErrorCode::ElectionNotNeeded.code();
    assert_eq!(live.elect(1, Some(&[("t", 0)])), [("t".to_owned(), 0, not_needed)]);
}
