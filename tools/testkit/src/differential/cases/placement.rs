//! ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments, UnregisterBroker.
//!
//! A second broker is registered at the controller and never runs: it is a place for replicas
//! that never come.

use naru_model::Uuid;
use naru_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::broker_registration_request::{
    BrokerRegistrationRequest, Feature, Listener,
};
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use naru_protocol::messages::list_partition_reassignments_request::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use naru_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use naru_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;

use crate::broker::NODE_ID;
use crate::differential::session::{CONTROLLER, Session};

/// The broker that never runs.
const SECOND: i32 = 2;
/// A broker that nobody knows.
const STRANGER: i32 = 9;
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

fn register_second(s: &mut Session) {
    let cluster_id = s.quiet(0, &DescribeClusterRequest::default()).cluster_id;
    let client = ApiVersionsRequest {
        client_software_name: "a-client".to_owned(),
        client_software_version: "1.0".to_owned(),
    };
    let supported = s.quiet(4, &client).supported_features;
    let features = supported.into_iter().map(|feature| Feature {
        name: feature.name,
        min_supported_version: feature.min_version,
        max_supported_version: feature.max_version,
    });
    let listener = Listener {
        name: "PLAINTEXT".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 9,
        security_protocol: 0,
    };
    let request = BrokerRegistrationRequest {
        broker_id: SECOND,
        cluster_id,
        incarnation_id: Uuid(0x1234_5678_9abc_4ef0_8234_5678_9abc_def1),
        listeners: vec![listener],
        features: features.collect(),
        log_dirs: vec![Uuid(0x1234_5678_9abc_4ef0_8234_5678_9abc_def2)],
        ..BrokerRegistrationRequest::default()
    };
    // Its epoch is an offset, so its answer is not compared; unregistering it is.
    s.quiet_on(CONTROLLER, 4, &request);
}

/// Partitions of a topic.
type Of<'a> = (&'a str, &'a [i32]);

fn elect(kind: i8, partitions: Option<&[Of<'_>]>) -> ElectLeadersRequest {
    let topic = |&(topic, partitions): &Of<'_>| TopicPartitions {
        topic: topic.to_owned(),
        partitions: partitions.to_vec(),
    };
    ElectLeadersRequest {
        election_type: kind,
        topic_partitions: partitions.map(|all| all.iter().map(topic).collect()),
        timeout_ms: 10_000,
    }
}

pub fn elections(s: &mut Session) {
    s.topic("elected", 3, &[]);
    s.topic("elected-2", 1, &[]);
    for version in 0..=2 {
        s.ask("all", version, &elect(PREFERRED, None));
        s.ask("nothing to do", version, &elect(PREFERRED, Some(&[("elected", &[0, 1])])));
        s.ask("an unknown topic", version, &elect(PREFERRED, Some(&[("nowhere", &[0])])));
        s.ask("an unknown partition", version, &elect(PREFERRED, Some(&[("elected", &[3, -1])])));
        s.ask("none", version, &elect(PREFERRED, Some(&[])));
        if version > 0 {
            s.ask("all uncleanly", version, &elect(UNCLEAN, None));
            s.ask("uncleanly", version, &elect(UNCLEAN, Some(&[("elected", &[0])])));
            s.ask("an election of no kind", version, &elect(7, Some(&[("elected", &[0])])));
            s.ask("an election of negative kind", version, &elect(-1, None));
        }
    }
    let cases: &[(&str, &[Of<'_>])] = &[
        ("no partition", &[("elected", &[])]),
        ("two topics", &[("elected", &[0]), ("elected-2", &[0])]),
        ("one unknown", &[("elected", &[0, 8]), ("nowhere", &[0])]),
        ("a topic twice", &[("elected", &[0]), ("elected", &[1])]),
        ("a partition twice", &[("elected", &[0, 0])]),
        ("an empty name", &[("", &[0])]),
        ("a bad name", &[("a b", &[0])]),
        ("the metadata log", &[("__cluster_metadata", &[0])]),
    ];
    for (label, partitions) in cases {
        s.ask(label, 2, &elect(PREFERRED, Some(partitions)));
        s.ask(&format!("{label}, uncleanly"), 2, &elect(UNCLEAN, Some(partitions)));
    }
}

/// A partition and where its replicas are to be; `None` ends what is going on.
type Move<'a> = (i32, Option<&'a [i32]>);

fn alter(topics: &[(&str, &[Move<'_>])]) -> AlterPartitionReassignmentsRequest {
    let partition = |&(index, replicas): &Move<'_>| ReassignablePartition {
        partition_index: index,
        replicas: replicas.map(<[i32]>::to_vec),
    };
    let topic = |&(name, partitions): &(&str, &[Move<'_>])| ReassignableTopic {
        name: name.to_owned(),
        partitions: partitions.iter().map(partition).collect(),
    };
    AlterPartitionReassignmentsRequest {
        timeout_ms: 10_000,
        allow_replication_factor_change: true,
        topics: topics.iter().map(topic).collect(),
    }
}

fn list(topics: Option<&[Of<'_>]>) -> ListPartitionReassignmentsRequest {
    let topic = |&(name, partitions): &Of<'_>| ListPartitionReassignmentsTopics {
        name: name.to_owned(),
        partition_indexes: partitions.to_vec(),
    };
    let topics = topics.map(|all| all.iter().map(topic).collect());
    ListPartitionReassignmentsRequest { timeout_ms: 10_000, topics }
}

pub fn reassignments(s: &mut Session) {
    s.topic("moved", 4, &[]);
    s.topic("moved-2", 2, &[]);
    s.ask("nothing goes on", 0, &list(None));
    for version in 0..=1 {
        let ask = |s: &mut Session, label: &str, moves: &[Move<'_>]| {
            s.ask(label, version, &alter(&[("moved", moves)]));
        };
        ask(s, "to where it is", &[(0, Some(&[1]))]);
        ask(s, "to a stranger", &[(0, Some(&[STRANGER]))]);
        ask(s, "to itself and a stranger", &[(0, Some(&[1, STRANGER]))]);
        ask(s, "to nobody", &[(0, Some(&[]))]);
        ask(s, "to itself twice", &[(0, Some(&[1, 1]))]);
        ask(s, "to a negative broker", &[(0, Some(&[-1]))]);
        ask(s, "ends nothing", &[(0, None)]);
        ask(s, "an unknown partition", &[(8, Some(&[1])), (-1, Some(&[1]))]);
        ask(s, "one of two", &[(0, Some(&[1])), (1, Some(&[STRANGER]))]);
        ask(s, "no partition", &[]);
        s.ask("an unknown topic", version, &alter(&[("nowhere", &[(0, Some(&[1])), (1, None)])]));
        s.ask("nothing", version, &alter(&[]));
    }
    s.ask("an empty name", 1, &alter(&[("", &[(0, Some(&[1]))])]));
    register_second(s);
    going_on(s);
    let request = UnregisterBrokerRequest { broker_id: SECOND };
    s.ask("with replicas on it", 0, &request);
    s.settle();
    s.ask("what is left", 0, &list(None));
    placed(s, "what is left", "moved");
}

/// What a reassignment that waits for its replica looks like, and how it ends.
fn going_on(s: &mut Session) {
    let one = |moves: &[Move<'_>]| alter(&[("moved", moves)]);
    s.ask("to a fenced one", 1, &one(&[(0, Some(&[SECOND]))]));
    s.ask("to both", 1, &one(&[(1, Some(&[NODE_ID, SECOND]))]));
    s.ask("to both, the other first", 1, &one(&[(2, Some(&[SECOND, NODE_ID]))]));
    let fixed = AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: false,
        ..one(&[(1, Some(&[NODE_ID])), (3, Some(&[NODE_ID, SECOND]))])
    };
    s.ask("the size stays", 1, &fixed);
    s.settle();
    s.ask("all", 0, &list(None));
    s.ask("some", 0, &list(Some(&[("moved", &[0, 2, 3, 77])])));
    s.ask("none", 0, &list(Some(&[])));
    s.ask("of no partition", 0, &list(Some(&[("moved", &[])])));
    s.ask("of an idle topic", 0, &list(Some(&[("moved-2", &[0])])));
    s.ask("of an unknown topic", 0, &list(Some(&[("nowhere", &[0]), ("moved", &[1])])));
    s.ask("of a topic twice", 0, &list(Some(&[("moved", &[1]), ("moved", &[1, 2])])));
    placed(s, "on its way", "moved");
    // The first replica of partition 2 is the one that never comes.
    s.ask("preferred, not there", 2, &elect(PREFERRED, Some(&[("moved", &[0, 1, 2])])));
    s.ask("all, one not there", 2, &elect(PREFERRED, None));
    s.ask("again", 1, &one(&[(0, Some(&[SECOND]))]));
    s.ask("another way", 1, &one(&[(1, Some(&[SECOND]))]));
    s.settle();
    s.ask("all, changed", 0, &list(None));
    for version in 0..=1 {
        s.ask("ends", version, &one(&[(i32::from(version), None), (3, None)]));
    }
    s.ask("ends again", 1, &one(&[(0, None)]));
    s.settle();
    s.ask("all, ended", 0, &list(None));
    placed(s, "ended", "moved");
    s.ask("once more to both", 1, &one(&[(3, Some(&[NODE_ID, SECOND]))]));
    s.settle();
}

/// A reassignment that takes back what another one adds.
pub fn taken_back(s: &mut Session) {
    s.topic("returned", 1, &[]);
    register_second(s);
    s.ask("to both", 1, &alter(&[("returned", &[(0, Some(&[NODE_ID, SECOND]))])]));
    s.settle();
    s.ask("back", 1, &alter(&[("returned", &[(0, Some(&[NODE_ID]))])]));
    s.settle();
    s.ask("back", 0, &list(None));
    placed(s, "back", "returned");
    s.ask("ends", 1, &alter(&[("returned", &[(0, None)])]));
    s.settle();
    s.ask("ended", 0, &list(None));
    s.quiet(0, &UnregisterBrokerRequest { broker_id: SECOND });
    s.settle();
}

/// Where the replicas of a topic are.
fn placed(s: &mut Session, label: &str, name: &str) {
    let topic = MetadataRequestTopic { name: Some(name.to_owned()), topic_id: Uuid::ZERO };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    s.ask(label, 12, &request);
}

pub fn unregistered(s: &mut Session) {
    let of = |broker_id: i32| UnregisterBrokerRequest { broker_id };
    s.ask("a stranger", 0, &of(STRANGER));
    s.ask("a negative one", 0, &of(-1));
    register_second(s);
    s.ask("one that does not run", 0, &of(SECOND));
    s.ask("it again", 0, &of(SECOND));
}
