//! Quorum, reassignments, elections and features, against a scripted broker or controller.

mod fake;

use fake::{Asked, FakeBroker, Reply, all_versions};
use naru_client::admin::{AlterOp, ConfigResource, ElectionType, UpgradeType};
use naru_client::{Admin, Error, TopicPartition};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::api::ApiKey;
use naru_protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use naru_protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use naru_protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};
use naru_protocol::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use naru_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use naru_protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use naru_protocol::messages::update_features_response::UpdateFeaturesResponse;

fn quorum() -> DescribeQuorumResponse {
    let replica = |replica_id: i32, log_end_offset: i64| ReplicaState {
        replica_id,
        replica_directory_id: Uuid(9),
        log_end_offset,
        last_fetch_timestamp: log_end_offset,
        last_caught_up_timestamp: -1,
    };
    let partition = PartitionData {
        partition_index: 0,
        leader_id: 1,
        leader_epoch: 4,
        high_watermark: 17,
        current_voters: vec![replica(1, 18), replica(2, 17)],
        observers: vec![replica(3, -1)],
        ..Default::default()
    };
    let listener = Listener { name: "CONTROLLER".to_owned(), host: "h".to_owned(), port: 9093 };
    DescribeQuorumResponse {
        topics: vec![TopicData {
            topic_name: "__cluster_metadata".to_owned(),
            partitions: vec![partition],
        }],
        nodes: vec![Node { node_id: 1, listeners: vec![listener] }],
        ..Default::default()
    }
}

#[tokio::test]
async fn the_quorum_is_described_and_a_leader_that_moved_is_asked_again() {
    let mut asked_before = false;
    let broker = FakeBroker::start(move |asked| {
        if asked.api != ApiKey::DescribeQuorum {
            return Reply::Usual;
        }
        let mut answer = quorum();
        if !std::mem::replace(&mut asked_before, true) {
            answer.topics[0].partitions[0].error_code = ErrorCode::NotLeaderOrFollower.code();
        }
        asked.answer(&answer)
    })
    .await;
    let described = Admin::new(broker.client()).describe_quorum().await.unwrap();
    assert_eq!((described.leader, described.leader_epoch, described.high_watermark), (1, 4, 17));
    assert_eq!(described.voters.len(), 2);
    assert_eq!(described.observers[0].last_fetch_ms, None);
    assert_eq!(described.voters[0].last_fetch_ms, Some(18));
    assert_eq!(described.endpoints[0].listeners[0].port, 9093);
    assert_eq!(broker.count(ApiKey::DescribeQuorum), 2);
}

/// A controller: it knows DescribeCluster of controllers, and no Metadata.
fn as_controller(asked: &Asked, port: u16) -> Option<Reply> {
    match asked.api {
        ApiKey::Metadata => Some(Reply::Close),
        ApiKey::DescribeCluster => {
            assert_eq!(asked.read::<DescribeClusterRequest>().endpoint_type, 2);
            Some(asked.answer(&DescribeClusterResponse {
                cluster_id: "c".to_owned(),
                controller_id: 3,
                endpoint_type: 2,
                brokers: vec![DescribeClusterBroker {
                    broker_id: 3,
                    host: "127.0.0.1".to_owned(),
                    port: i32::from(port),
                    ..Default::default()
                }],
                ..Default::default()
            }))
        }
        _ => None,
    }
}

#[tokio::test]
async fn controllers_are_found_through_their_own_description() {
    let port = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(0));
    let own = std::sync::Arc::clone(&port);
    let broker = FakeBroker::start(move |asked| {
        let port = own.load(std::sync::atomic::Ordering::Relaxed);
        if let Some(reply) = as_controller(asked, port) {
            return reply;
        }
        match asked.api {
            ApiKey::DescribeQuorum => asked.answer(&quorum()),
            ApiKey::IncrementalAlterConfigs => {
                asked.answer(&IncrementalAlterConfigsResponse::default())
            }
            _ => Reply::Usual,
        }
    })
    .await;
    port.store(broker.port, std::sync::atomic::Ordering::Relaxed);
    let mut config = broker.client();
    config.set("bootstrap.controllers", &format!("127.0.0.1:{}", broker.port)).unwrap();
    let admin = Admin::new(config);
    let cluster = admin.describe_cluster().await.unwrap();
    assert_eq!((cluster.controller, cluster.brokers[0].id), (Some(3), 3));
    admin.describe_quorum().await.unwrap();
    // A broker's configuration goes to the controller too: brokers are not known here.
    let change = [("leader.replication.throttled.rate".to_owned(), AlterOp::Delete)];
    admin.alter_configs(&ConfigResource::broker(1), &change, false).await.unwrap();
    assert_eq!(broker.count(ApiKey::Metadata), 0);
}

#[tokio::test]
async fn reassignments_are_grouped_by_topic_and_answered_one_by_one() {
    let broker = FakeBroker::start(|asked| {
        if asked.api != ApiKey::AlterPartitionReassignments {
            return Reply::Usual;
        }
        let request: AlterPartitionReassignmentsRequest = asked.read();
        assert!(!request.allow_replication_factor_change);
        let topics: Vec<(String, usize)> =
            request.topics.iter().map(|t| (t.name.clone(), t.partitions.len())).collect();
        assert_eq!(topics, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        assert_eq!(request.topics[0].partitions[1].replicas, None);
        let response = |index: i32, code: ErrorCode| ReassignablePartitionResponse {
            partition_index: index,
            error_code: code.code(),
            error_message: None,
        };
        let topic = |name: &str, partitions| ReassignableTopicResponse {
            name: name.to_owned(),
            partitions,
        };
        asked.answer(&AlterPartitionReassignmentsResponse {
            responses: vec![
                topic(
                    "a",
                    vec![
                        response(0, ErrorCode::None),
                        response(1, ErrorCode::NoReassignmentInProgress),
                    ],
                ),
                topic("b", vec![response(0, ErrorCode::None)]),
            ],
            ..Default::default()
        })
    })
    .await;
    let targets = [
        (TopicPartition::new("a", 0), Some(vec![1, 2])),
        (TopicPartition::new("b", 0), Some(vec![2])),
        (TopicPartition::new("a", 1), None),
    ];
    let admin = Admin::new(broker.client());
    let outcomes = admin.alter_partition_reassignments(&targets, false).await.unwrap();
    let codes: Vec<ErrorCode> = outcomes
        .iter()
        .map(|(_, outcome)| outcome.as_ref().map_or_else(Error::code, |()| ErrorCode::None))
        .collect();
    let expect = [ErrorCode::None, ErrorCode::NoReassignmentInProgress, ErrorCode::None];
    assert_eq!(codes, expect);
}

#[tokio::test]
async fn elections_answer_for_each_partition() {
    let broker = FakeBroker::start(|asked| {
        if asked.api != ApiKey::ElectLeaders {
            return Reply::Usual;
        }
        let result = |partition_id: i32, code: ErrorCode| PartitionResult {
            partition_id,
            error_code: code.code(),
            error_message: None,
        };
        asked.answer(&ElectLeadersResponse {
            replica_election_results: vec![ReplicaElectionResult {
                topic: "a".to_owned(),
                partition_result: vec![
                    result(0, ErrorCode::None),
                    result(1, ErrorCode::ElectionNotNeeded),
                ],
            }],
            ..Default::default()
        })
    })
    .await;
    let admin = Admin::new(broker.client());
    let outcomes = admin.elect_leaders(ElectionType::Preferred, None).await.unwrap();
    assert!(outcomes[0].1.is_ok());
    let error = outcomes[1].1.as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::ElectionNotNeeded);
}

#[tokio::test]
async fn one_refused_feature_refuses_all_of_them() {
    let broker = FakeBroker::start(|asked| match asked.api {
        ApiKey::ApiVersions => {
            let mut versions = all_versions();
            versions.supported_features = vec![SupportedFeatureKey {
                name: "group.version".to_owned(),
                min_version: 0,
                max_version: 1,
            }];
            versions.finalized_features = vec![FinalizedFeatureKey {
                name: "group.version".to_owned(),
                max_version_level: 1,
                min_version_level: 1,
            }];
            versions.finalized_features_epoch = 12;
            asked.answer(&versions)
        }
        ApiKey::UpdateFeatures => asked.answer(&UpdateFeaturesResponse {
            error_code: ErrorCode::InvalidUpdateVersion.code(),
            error_message: Some("no".to_owned()),
            ..Default::default()
        }),
        _ => Reply::Usual,
    })
    .await;
    let admin = Admin::new(broker.client());
    let features = admin.describe_features(None).await.unwrap();
    assert_eq!(features.supported["group.version"], (0, 1));
    assert_eq!((features.finalized["group.version"], features.epoch), (1, Some(12)));
    let levels = [("group.version".to_owned(), 7), ("share.version".to_owned(), 1)];
    let outcomes = admin.update_features(&levels, UpgradeType::Upgrade, true).await.unwrap();
    assert_eq!(outcomes.len(), 2);
    for (_, outcome) in outcomes {
        assert_eq!(outcome.unwrap_err().to_string(), "no");
    }
}
