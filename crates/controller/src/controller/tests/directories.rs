//! AssignReplicasToDirs.

use naru_model::ErrorCode;
use naru_protocol::messages::assign_replicas_to_dirs_request::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};

use super::brokers::{Live, directory, seats};
use super::life::World;
use super::*;

impl Live {
    fn assignment(&self, broker: i32, topic: &str, directory: Uuid) -> AssignReplicasToDirsRequest {
        let image = self.cluster.controller.image();
        let topic_id = image.topic(topic).map(|topic| topic.id).unwrap_or_default();
        let partitions = vec![PartitionData { partition_index: 0 }];
        let topics = vec![TopicData { topic_id, partitions }];
        AssignReplicasToDirsRequest {
            broker_id: broker,
            broker_epoch: self.broker(broker).epoch,
            directories: vec![DirectoryData { id: directory, topics }],
        }
    }

    pub(super) fn assign(&mut self, broker: i32, topic: &str, directory: Uuid) -> ErrorCode {
        let request = self.assignment(broker, topic, directory);
        let decision = self.cluster.controller.decide_assign_replicas_to_dirs(&request);
        self.cluster.commit(decision.records);
        let directories = &decision.response.directories;
        ErrorCode::from_code(directories[0].topics[0].partitions[0].error_code)
    }
}

impl World {
    pub(super) fn assign_second(&mut self, broker: i32, topic_id: Uuid, directory: Uuid) {
        let partitions = vec![PartitionData { partition_index: 1 }];
        let topics = vec![TopicData { topic_id, partitions }];
        let request = AssignReplicasToDirsRequest {
            broker_id: broker,
            broker_epoch: self.live.broker(broker).epoch,
            directories: vec![DirectoryData { id: directory, topics }],
        };
        let controller = &self.live.cluster.controller;
        let records = controller.decide_assign_replicas_to_dirs(&request).records;
        self.live.cluster.commit(records);
    }
}

#[test]
fn a_replica_moves_to_the_directory_it_is_in() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1, 2], "1");
    assert_eq!(live.partition("t", 0).directories, [directory(1), directory(2)]);
    assert_eq!(live.assign(2, "t", Uuid(700)), ErrorCode::None);
    assert_eq!(live.assign(3, "t", Uuid(700)), ErrorCode::NotLeaderOrFollower);
    assert_eq!(live.assign(1, "nope", Uuid(700)), ErrorCode::UnknownTopicId);
    let mut stale = live.assignment(1, "t", directory(1));
    stale.broker_epoch -= 1;
    let decision = live.cluster.controller.decide_assign_replicas_to_dirs(&stale);
    assert_eq!(decision.response.error_code, ErrorCode::StaleBrokerEpoch.code());
}

#[test]
fn a_replica_in_a_directory_that_is_not_online_leaves_the_isr() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    assert_eq!(live.assign(1, "t", Uuid::DIR_LOST), ErrorCode::None);
    let partition = live.partition("t", 0);
    assert_eq!(partition.directories, [Uuid::DIR_LOST, directory(2)]);
    assert_eq!(seats(&partition), (Some(2), &[2][..], &[][..]));
}
