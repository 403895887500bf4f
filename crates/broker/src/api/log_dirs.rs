//! DescribeLogDirs (key 35, v1–v5). KIP-113, 784, 827, 1066.
//!
//! v3 top-level error · v4 bytes of the volume · v5 cordoned flag.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use naru_log::Health;
use naru_model::ErrorCode;
use naru_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use naru_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::dispatch::RequestContext;
use crate::partition::Partition;
use crate::security::{Operation, Resource};

pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    if !context.may(Operation::Describe, Resource::Cluster) {
        return DescribeLogDirsResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            ..Default::default()
        };
    }
    let asked: Option<HashSet<(String, i32)>> = request.topics.map(|topics| {
        topics
            .into_iter()
            .flat_map(|topic| {
                topic.partitions.into_iter().map(move |index| (topic.topic.clone(), index))
            })
            .collect()
    });
    let partitions = context.node.partitions().all();
    let wanted: Vec<&Arc<Partition>> = partitions
        .iter()
        .filter(|partition| {
            let name = || (partition.topic().to_owned(), partition.index());
            asked.as_ref().is_none_or(|asked| asked.contains(&name()))
        })
        .collect();
    let dirs = context.node.log_dirs().iter().map(|dir| {
        if dir.health().now() == Health::Failed {
            return offline(dir.path());
        }
        let here: Vec<_> =
            wanted.iter().filter(|partition| partition.is_in(dir.path())).copied().collect();
        let space = rustix::fs::statvfs(dir.path()).ok();
        let bytes = |blocks: u64, size: u64| i64::try_from(blocks * size).unwrap_or(i64::MAX);
        DescribeLogDirsResult {
            error_code: ErrorCode::None.code(),
            log_dir: dir.path().display().to_string(),
            topics: topics(&here),
            total_bytes: space.as_ref().map_or(-1, |vfs| bytes(vfs.f_blocks, vfs.f_frsize)),
            usable_bytes: space.as_ref().map_or(-1, |vfs| bytes(vfs.f_bavail, vfs.f_frsize)),
            is_cordoned: false,
        }
    });
    let unopened = context.node.storage().unopened().iter().map(|dir| offline(dir));
    DescribeLogDirsResponse { results: dirs.chain(unopened).collect(), ..Default::default() }
}

fn offline(dir: &Path) -> DescribeLogDirsResult {
    DescribeLogDirsResult {
        error_code: ErrorCode::KafkaStorageError.code(),
        log_dir: dir.display().to_string(),
        total_bytes: -1,
        usable_bytes: -1,
        ..Default::default()
    }
}

fn topics(partitions: &[&Arc<Partition>]) -> Vec<DescribeLogDirsTopic> {
    let mut by_topic: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in partitions {
        by_topic.entry(partition.topic()).or_default().push(DescribeLogDirsPartition {
            partition_index: partition.index(),
            partition_size: i64::try_from(partition.size()).unwrap_or(i64::MAX),
            offset_lag: 0,
            is_future_key: false,
        });
    }
    by_topic
        .into_iter()
        .map(|(name, partitions)| DescribeLogDirsTopic { name: name.to_owned(), partitions })
        .collect()
}
