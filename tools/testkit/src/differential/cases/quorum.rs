//! DescribeQuorum, AddRaftVoter, RemoveRaftVoter. The one voter is named in the properties, so
//! that the voters cannot change until the last scenario raises `kraft.version`.

use naru_model::Uuid;
use naru_protocol::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData, TopicData,
};
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use naru_protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};

use crate::differential::session::{CONTROLLER, Session};

const METADATA: &str = "__cluster_metadata";
const DIRECTORY: Uuid = Uuid(0x1234_5678_9abc_4ef0_8234_5678_9abc_def0);

fn describe(topics: &[(&str, &[i32])]) -> DescribeQuorumRequest {
    let partition = |index: &i32| PartitionData { partition_index: *index };
    let topic = |&(name, partitions): &(&str, &[i32])| TopicData {
        topic_name: name.to_owned(),
        partitions: partitions.iter().map(partition).collect(),
    };
    DescribeQuorumRequest { topics: topics.iter().map(topic).collect() }
}

pub fn run(s: &mut Session) {
    for version in 0..=2 {
        s.ask("the quorum", version, &describe(&[(METADATA, &[0])]));
        s.ask("an unknown topic", version, &describe(&[("nowhere", &[0])]));
        s.ask("an unknown partition", version, &describe(&[(METADATA, &[1])]));
        let one = describe(&[(METADATA, &[0])]);
        s.ask_on(CONTROLLER, "of the controller", version, &one);
    }
    s.ask("nothing", 2, &describe(&[]));
    s.ask("no partition", 2, &describe(&[(METADATA, &[])]));
    s.ask("two partitions", 2, &describe(&[(METADATA, &[0, 1])]));
    s.ask("the same twice", 2, &describe(&[(METADATA, &[0, 0])]));
    s.ask("two topics", 2, &describe(&[(METADATA, &[0]), ("nowhere", &[0])]));
    voters(s);
}

/// What a controller listener tells of itself.
pub fn listener(s: &mut Session) {
    let client = ApiVersionsRequest {
        client_software_name: "a-client".to_owned(),
        client_software_version: "1.0".to_owned(),
    };
    for version in 0..=4 {
        s.ask_on(CONTROLLER, "named", version, &client);
    }
    let unnamed = ApiVersionsRequest::default();
    s.ask_on(CONTROLLER, "no name", 3, &unnamed);
    for version in 0..=2 {
        for endpoint_type in [1, 2, 99] {
            if version == 0 && endpoint_type != 1 {
                continue;
            }
            let request = DescribeClusterRequest {
                endpoint_type,
                include_cluster_authorized_operations: true,
                ..DescribeClusterRequest::default()
            };
            let label = format!("endpoint type {endpoint_type}");
            s.ask_on(CONTROLLER, &label, version, &request);
        }
    }
}

/// The same questions to a quorum whose voters may change. Nobody comes to be a voter.
pub fn raised(s: &mut Session) {
    let raise = FeatureUpdateKey {
        feature: "kraft.version".to_owned(),
        max_version_level: 1,
        allow_downgrade: false,
        upgrade_type: 1,
    };
    let request = UpdateFeaturesRequest {
        timeout_ms: 10_000,
        feature_updates: vec![raise],
        validate_only: false,
    };
    s.ask("raise", 2, &request);
    s.sleep(1000);
    s.ask("raise again", 2, &request);
    let mut lower = request;
    lower.feature_updates[0].max_version_level = 0;
    s.ask("lower", 2, &lower);
    lower.feature_updates[0].upgrade_type = 2;
    s.ask("lower safely", 2, &lower);
    s.ask("the quorum", 2, &describe(&[(METADATA, &[0])]));
    voters(s);
}

fn voters(s: &mut Session) {
    let cluster = s.quiet(0, &DescribeClusterRequest::default()).cluster_id;
    let listener =
        |name: &str| Listener { name: name.to_owned(), host: "127.0.0.1".to_owned(), port: 9 };
    let add = AddRaftVoterRequest {
        cluster_id: Some(cluster.clone()),
        timeout_ms: 1000,
        voter_id: 7,
        voter_directory_id: DIRECTORY,
        listeners: vec![listener("CONTROLLER")],
        ack_when_committed: true,
    };
    let other = || Some("another-cluster-of-ids".to_owned());
    for version in 0..=1 {
        let ask = |s: &mut Session, label: &str, request: AddRaftVoterRequest| {
            s.ask(label, version, &request);
        };
        ask(s, "a stranger", add.clone());
        ask(s, "another cluster", AddRaftVoterRequest { cluster_id: other(), ..add.clone() });
        ask(s, "no cluster", AddRaftVoterRequest { cluster_id: None, ..add.clone() });
        ask(s, "a negative id", AddRaftVoterRequest { voter_id: -1, ..add.clone() });
        ask(s, "itself", AddRaftVoterRequest { voter_id: 1, ..add.clone() });
        let nowhere = AddRaftVoterRequest { voter_directory_id: Uuid::ZERO, ..add.clone() };
        ask(s, "no directory", nowhere);
        ask(s, "no listener", AddRaftVoterRequest { listeners: vec![], ..add.clone() });
        let strange = vec![listener("PLAINTEXT")];
        ask(s, "another listener", AddRaftVoterRequest { listeners: strange, ..add.clone() });
    }
    let remove = RemoveRaftVoterRequest {
        cluster_id: Some(cluster),
        voter_id: 7,
        voter_directory_id: DIRECTORY,
    };
    s.ask("a stranger", 0, &remove);
    s.ask("another cluster", 0, &RemoveRaftVoterRequest { cluster_id: other(), ..remove.clone() });
    s.ask("no cluster", 0, &RemoveRaftVoterRequest { cluster_id: None, ..remove.clone() });
    s.ask("a negative id", 0, &RemoveRaftVoterRequest { voter_id: -1, ..remove.clone() });
    s.ask("itself", 0, &RemoveRaftVoterRequest { voter_id: 1, ..remove.clone() });
    let nowhere = RemoveRaftVoterRequest { voter_directory_id: Uuid::ZERO, ..remove };
    s.ask("no directory", 0, &nowhere);
}
