//! AlterPartitionReassignments and ListPartitionReassignments. Texts are Apache Kafka 4.3.1's.

use naru_model::ErrorCode;
use naru_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::list_partition_reassignments_request::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use naru_quotas::MutationQuota;

use super::brokers::{Live, directory, seats};

/// Topic, replicas, adding, removing.
type Ongoing = (String, Vec<i32>, Vec<i32>, Vec<i32>);

impl Live {
    pub(super) fn reassign(
        &mut self,
        topic: &str,
        target: Option<&[i32]>,
        may_resize: bool,
    ) -> (ErrorCode, String) {
        self.reassign_partition(topic, 0, target, may_resize)
    }

    pub(super) fn reassign_partition(
        &mut self,
        topic: &str,
        partition_index: i32,
        target: Option<&[i32]>,
        allow_replication_factor_change: bool,
    ) -> (ErrorCode, String) {
        let replicas = target.map(<[i32]>::to_vec);
        let partitions = vec![ReassignablePartition { partition_index, replicas }];
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![ReassignableTopic { name: topic.to_owned(), partitions }],
            allow_replication_factor_change,
            ..AlterPartitionReassignmentsRequest::default()
        };
        let decision = self.cluster.controller.decide_alter_reassignments(&request);
        self.cluster.commit(decision.records);
        let answer = decision.response.responses[0].partitions[0].clone();
        (ErrorCode::from_code(answer.error_code), answer.error_message.unwrap_or_default())
    }

    /// Topic, replicas, adding, removing of each partition on its way.
    fn ongoing(&self, topics: Option<&[&str]>) -> Vec<Ongoing> {
        let topics = topics.map(|topics| {
            let named = topics.iter().map(|name| ListPartitionReassignmentsTopics {
                name: (*name).to_owned(),
                partition_indexes: vec![0, 1],
            });
            named.collect()
        });
        let request = ListPartitionReassignmentsRequest { topics, timeout_ms: 1000 };
        let response = self.cluster.controller.list_reassignments(&request);
        let ongoing = response.topics.into_iter().flat_map(|topic| {
            let name = topic.name;
            let partitions = topic
                .partitions
                .into_iter()
                .map(move |p| (name.clone(), p.replicas, p.adding_replicas, p.removing_replicas));
            partitions.collect::<Vec<_>>()
        });
        ongoing.collect()
    }
}

#[test]
fn a_partition_moves_and_its_old_leader_is_told() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1, 2], "1");
    assert_eq!(live.reassign("t", Some(&[3, 2]), false).0, ErrorCode::None);
    let expected = ("t".to_owned(), vec![3, 2, 1], vec![3], vec![1]);
    assert_eq!(live.ongoing(None), std::slice::from_ref(&expected));
    assert_eq!(live.ongoing(Some(&["t", "x"])), [expected]);
    let on_the_way = live.partition("t", 0);
    assert_eq!((on_the_way.leader, on_the_way.leader_epoch), (Some(1), 0));
    assert_eq!(on_the_way.directories, [directory(3), directory(2), directory(1)]);
    // The leader's own request ends its lead.
    assert_eq!(live.try_isr("t", 1, &[1, 2, 3]), ErrorCode::NewLeaderElected);
    let moved = live.partition("t", 0);
    assert_eq!((moved.replicas.as_slice(), moved.leader_epoch), (&[3, 2][..], 1));
    assert_eq!(seats(&moved), (Some(3), &[2, 3][..], &[][..]));
    assert_eq!(live.ongoing(None), []);
}

#[test]
fn a_new_order_is_there_at_once() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1, 2], "1");
    assert_eq!(live.reassign("t", Some(&[2, 1]), false).0, ErrorCode::None);
    let partition = live.partition("t", 0);
    assert_eq!((partition.replicas.as_slice(), partition.leader), (&[2, 1][..], Some(1)));
    assert_eq!(partition.directories, [directory(2), directory(1)]);
    assert_eq!(live.ongoing(None), []);
}

#[test]
fn the_replication_factor_grows_and_shrinks() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1], "1");
    assert_eq!(live.reassign("t", Some(&[1, 2, 3]), true).0, ErrorCode::None);
    live.alter_isr("t", 1, &[1, 2]);
    assert_eq!(live.ongoing(None).len(), 1);
    live.alter_isr("t", 1, &[1, 2, 3]);
    assert_eq!(live.ongoing(None), []);
    assert_eq!(live.reassign("t", Some(&[2]), true).0, ErrorCode::None);
    let partition = live.partition("t", 0);
    assert_eq!((partition.replicas.as_slice(), partition.leader), (&[2][..], Some(2)));
    assert_eq!(seats(&partition), (Some(2), &[2][..], &[][..]));
}

#[test]
fn what_cannot_be_is_refused_in_kafkas_words() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1, 2], "1");
    let before = live.cluster.controller.image().clone();
    let mut check = |topic: &str, partition, target: Option<&[i32]>, code, text: &str| {
        let told = live.reassign_partition(topic, partition, target, false);
        assert_eq!(told, (code, text.to_owned()));
        assert_eq!(*live.cluster.controller.image(), before);
    };
    let unknown = ErrorCode::UnknownTopicOrPartition;
    check("x", 0, None, unknown, "Unable to find a topic named x.");
    check("t", 4, None, unknown, "Unable to find partition t:4.");
    let none = ErrorCode::NoReassignmentInProgress;
    check("t", 0, None, none, "No partition reassignment is in progress.");
    let invalid = ErrorCode::InvalidReplicaAssignment;
    let empty = "The manual partition assignment includes an empty replica list.";
    check("t", 0, Some(&[]), invalid, empty);
    let nobody =
        "The manual partition assignment includes broker 9, but no such broker is registered.";
    check("t", 0, Some(&[1, 9]), invalid, nobody);
    let twice = "The manual partition assignment includes the broker 1 more than once.";
    check("t", 0, Some(&[1, 1]), invalid, twice);
    let factor = "The replication factor is changed from 2 to 3";
    check("t", 0, Some(&[1, 2, 3]), ErrorCode::InvalidReplicationFactor, factor);
}

#[test]
fn a_reassignment_is_given_up() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1, 2], "1");
    live.reassign("t", Some(&[3, 2]), true);
    assert_eq!(live.reassign("t", None, true).0, ErrorCode::None);
    let partition = live.partition("t", 0);
    // The order of the target stays, as in Kafka.
    assert_eq!((partition.replicas.as_slice(), partition.leader), (&[2, 1][..], Some(1)));
    assert_eq!(seats(&partition), (Some(1), &[1, 2][..], &[][..]));
    assert_eq!(live.ongoing(None), []);
}

#[test]
fn giving_up_loses_nothing_unless_that_is_allowed() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1], "1");
    live.reassign("t", Some(&[2]), true);
    live.take_isr("t", &[2]);
    let told = live.reassign("t", None, true);
    let text = "Unable to revert partition assignment for t:0 because it would require an \
                unclean leader election.";
    assert_eq!(told, (ErrorCode::InvalidReplicaAssignment, text.to_owned()));
    live.configure("t", "unclean.leader.election.enable", "true");
    assert_eq!(live.reassign("t", None, true).0, ErrorCode::None);
    assert_eq!(live.partition("t", 0).leader, Some(1));
}

#[test]
fn a_second_thought_replaces_the_first() {
    let mut live = Live::with_brokers(&[1, 2, 3, 4]);
    live.topic_on("t", &[1, 2], "1");
    live.reassign("t", Some(&[3, 2]), false);
    live.reassign("t", Some(&[4, 2]), false);
    let (_, replicas, adding, removing) = live.ongoing(None).remove(0);
    assert_eq!((replicas, adding, removing), (vec![4, 2, 1, 3], vec![4], vec![1, 3]));
    assert_eq!(live.try_isr("t", 1, &[1, 2, 4]), ErrorCode::NewLeaderElected);
    assert_eq!(live.partition("t", 0).replicas, [4, 2]);
}

#[test]
fn a_target_that_is_all_there_is_removes_nobody() {
    let mut live = Live::with_brokers(&[1, 2, 3]);
    live.topic_on("t", &[1, 2], "1");
    live.reassign("t", Some(&[3, 2]), false);
    live.reassign("t", Some(&[1, 2, 3]), true);
    let expected = ("t".to_owned(), vec![1, 2, 3], vec![3], vec![]);
    assert_eq!(live.ongoing(None), [expected]);
    live.alter_isr("t", 1, &[1, 2, 3]);
    assert_eq!((live.partition("t", 0).replicas, live.ongoing(None)), (vec![1, 2, 3], vec![]));
}

#[test]
fn a_topic_is_deleted_on_its_way() {
    let mut live = Live::with_brokers(&[1, 2]);
    live.topic_on("t", &[1], "1");
    live.reassign("t", Some(&[2]), true);
    let topic_names = vec!["t".to_owned()];
    let ask = DeleteTopicsRequest { topic_names, ..DeleteTopicsRequest::default() };
    let records =
        live.cluster.controller.decide_delete_topics(&ask, &mut MutationQuota::unlimited()).records;
    live.cluster.commit(records);
    assert_eq!(live.ongoing(None), []);
}
