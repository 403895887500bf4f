//! DescribeLogDirs (key 35, v1–v5), AlterReplicaLogDirs (key 34, v1–v2). KIP-113, 784, 827, 1066.
//!
//! v3 top-level error · v4 bytes of the volume · v5 cordoned flag.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use naru_log::Health;
use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
use naru_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
};
use naru_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use naru_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::dispatch::RequestContext;
use crate::node::Node;
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
            topics: topics(&context.node, &here, &wanted, dir.path()),
            total_bytes: space.as_ref().map_or(-1, |vfs| bytes(vfs.f_blocks, vfs.f_frsize)),
            usable_bytes: space.as_ref().map_or(-1, |vfs| bytes(vfs.f_bavail, vfs.f_frsize)),
            is_cordoned: context.node.storage().is_cordoned(dir),
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

/// The replicas that lie in a directory, and those that move to it.
fn topics(
    node: &Node,
    partitions: &[&Arc<Partition>],
    all: &[&Arc<Partition>],
    dir: &Path,
) -> Vec<DescribeLogDirsTopic> {
    let mut by_topic: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in partitions {
        by_topic.entry(partition.topic()).or_default().push(DescribeLogDirsPartition {
            partition_index: partition.index(),
            partition_size: i64::try_from(partition.size()).unwrap_or(i64::MAX),
            offset_lag: 0,
            is_future_key: false,
        });
    }
    for partition in all {
        let Some(moving) = node.moves().of(partition).filter(|moving| moving.to == dir) else {
            continue;
        };
        let (behind, size) = moving.progress(partition.log_end());
        by_topic.entry(partition.topic()).or_default().push(DescribeLogDirsPartition {
            partition_index: partition.index(),
            partition_size: i64::try_from(size).unwrap_or(i64::MAX),
            offset_lag: behind,
            is_future_key: true,
        });
    }
    by_topic
        .into_iter()
        .map(|(name, partitions)| DescribeLogDirsTopic { name: name.to_owned(), partitions })
        .collect()
}

pub(crate) fn alter(
    context: &RequestContext,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let mut by_topic: BTreeMap<String, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for dir in request.dirs {
        for topic in dir.topics {
            for partition_index in topic.partitions {
                let asked = alter_one(context, Path::new(&dir.path), &topic.name, partition_index);
                let error_code = asked.err().unwrap_or(ErrorCode::None).code();
                by_topic
                    .entry(topic.name.clone())
                    .or_default()
                    .push(AlterReplicaLogDirPartitionResult { partition_index, error_code });
            }
        }
    }
    let results = by_topic
        .into_iter()
        .map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult { topic_name, partitions });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}

/// Has one replica move. One that is not here yet is made there when it comes.
fn alter_one(
    context: &RequestContext,
    to: &Path,
    topic: &str,
    index: i32,
) -> Result<(), ErrorCode> {
    let node = &context.node;
    if !context.may(Operation::Alter, Resource::Cluster) {
        return Err(ErrorCode::ClusterAuthorizationFailed);
    }
    if node.storage().unopened().iter().any(|dir| dir == to) {
        return Err(ErrorCode::KafkaStorageError);
    }
    let dir = node.storage().dir(to).ok_or(ErrorCode::LogDirNotFound)?;
    if dir.health().now() == Health::Failed {
        return Err(ErrorCode::KafkaStorageError);
    }
    if node.storage().is_cordoned(dir) {
        return Err(ErrorCode::InvalidReplicaAssignment);
    }
    match node.partitions().by_name(topic, index) {
        Ok(partition) => node.move_to_dir(&partition, to),
        Err(_) => {
            node.storage().prefer(TopicPartition::new(topic, index), to);
            let known = node.image().partition(topic, index).is_some();
            Err(if known {
                ErrorCode::ReplicaNotAvailable
            } else {
                ErrorCode::UnknownTopicOrPartition
            })
        }
    }
}
