//! ApiVersions, DescribeCluster, FindCoordinator, DescribeLogDirs.

use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_log_dirs_request::{
    DescribableLogDirTopic, DescribeLogDirsRequest,
};
use naru_protocol::messages::find_coordinator_request::FindCoordinatorRequest;

use super::pair::Pair;

/// The first version that asks for many coordinators at once.
const MANY_SINCE: i16 = 4;

pub(super) fn compare(pair: &mut Pair<'_>) {
    let software = |name: &str| ApiVersionsRequest {
        client_software_name: name.to_owned(),
        client_software_version: "1.0".to_owned(),
    };
    pair.good("a client with a name", |_, _| software("naru-differential"));
    pair.bad("a name that cannot be", |_, _| software("not a name!"));

    let cluster = |endpoint_type: i8| DescribeClusterRequest {
        include_cluster_authorized_operations: true,
        endpoint_type,
        include_fenced_brokers: false,
    };
    pair.good("the brokers", |_, _| cluster(1));
    pair.bad("an unknown kind of endpoint", |_, _| cluster(9));

    let coordinator = |version: i16, key: &str, key_type: i8| FindCoordinatorRequest {
        key: if version < MANY_SINCE { key.to_owned() } else { String::new() },
        key_type,
        coordinator_keys: if version < MANY_SINCE { Vec::new() } else { vec![key.to_owned()] },
    };
    // The first look-up makes the offsets topic; it is there when both answer.
    for side in pair.sides() {
        side.wait_for(&coordinator(MANY_SINCE, "diff-group", 0), |answer| {
            answer.coordinators.iter().all(|found| found.error_code == 0)
        });
    }
    pair.good("a group", |_, version| coordinator(version, "diff-group", 0));
    pair.bad("an unknown kind", |_, version| coordinator(version, "diff-group", 9));
    pair.bad("an empty group", |_, version| coordinator(version, "", 0));

    let dirs = |topic: &str| DescribeLogDirsRequest {
        topics: Some(vec![DescribableLogDirTopic { topic: topic.to_owned(), partitions: vec![0] }]),
    };
    pair.good("a partition", |_, _| dirs("diff"));
    pair.bad("an unknown topic", |_, _| dirs("diff-none"));
}
