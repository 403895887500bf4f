//! Opening the logs of the partitions that metadata places here when the node starts.

use std::collections::HashSet;
use std::sync::Arc;

use naru_controller::MetadataImage;
use naru_controller::image::PartitionImage;
use naru_log::{Checkpoint, OffsetCheckpoint, Recovery, StorageError};
use naru_model::TopicPartition;

use super::start::{Progress, available_cores};
use super::{Node, StartError};
use crate::storage::{LogToOpen, open_all};

/// Opens the logs of every partition that metadata places here, and begins to lead or follow.
pub(super) fn open_known_partitions(
    node: &Arc<Node>,
    image: &MetadataImage,
    progress: Progress<'_>,
) -> Result<Recovery, StartError> {
    node.replication().learn_brokers(image);
    node.layers(|layers| node.live().take(layers));
    node.set_throttles();
    node.cordon();
    node.cleaner().configure(node);
    node.begin_security();
    node.adopt_quotas(image);
    node.telemetry().adopt(image);
    let read = |which| -> Result<OffsetCheckpoint, StorageError> {
        let mut all = OffsetCheckpoint::new();
        for dir in node.log_dirs() {
            all.extend(dir.read_checkpoint(which)?);
        }
        Ok(all)
    };
    let points = read(Checkpoint::RecoveryPoint)?;
    let starts = read(Checkpoint::LogStart)?;
    let marks = read(Checkpoint::Replication)?;
    let cleaned = read(Checkpoint::Cleaner)?;
    let clean = node.log_dirs().iter().all(|dir| dir.clean_shutdown().is_some());

    let mut places = Vec::new();
    let mut logs = Vec::new();
    for topic in image.topics() {
        let settings = node.partition_settings(&topic.name);
        for (&index, partition) in topic.partitions.iter() {
            let is_here = partition.replicas.contains(&node.id());
            if !is_here || node.lies_in_unopened(partition) {
                continue;
            }
            let name = TopicPartition::new(&*topic.name, index);
            logs.push(LogToOpen {
                topic_id: topic.id,
                config: settings.log.clone(),
                recovery_point: points.get(&name).copied(),
                log_start: starts.get(&name).copied(),
                clean,
                partition: name,
            });
            places.push((topic, index, Arc::clone(&settings), partition));
        }
    }
    node.storage().set_strays_aside(|name, id| {
        let topic = image.topic_by_id(id).filter(|topic| *topic.name == *name.topic);
        let partition = topic.and_then(|topic| topic.partitions.get(&name.partition));
        partition.is_some_and(|partition| partition.replicas.contains(&node.id()))
    });
    let missing = tell_missing(node, &logs);
    let per_dir = node.config().log.recovery_threads_per_data_dir;
    let threads = (per_dir * node.log_dirs().len()).min(available_cores()).max(1);
    let opened = open_all(node.storage(), &logs, threads, node.now(), progress);
    let mut recovery = Recovery::default();
    let mut partitions = Vec::new();
    for (((topic, index, settings, state), log), wanted) in
        places.into_iter().zip(opened).zip(&logs)
    {
        let mut log = log.map_err(|source| StartError::Log {
            path: wanted.partition.to_string().into(),
            source,
        })?;
        recovery.add(&log.recovery);
        if let Some(upto) = cleaned.get(&wanted.partition) {
            log.log.set_cleaned_upto(*upto);
        }
        let mark = marks.get(&wanted.partition).copied();
        let lost = log.recovery.lost;
        let partition = node.partition(topic, index, settings, log, mark);
        lost.into_iter().for_each(|lost| partition.note_lost(lost));
        if log_is_gone(state) && missing.contains(&wanted.partition) {
            partition.note_wiped();
        }
        partitions.push((partition, state));
    }
    node.partitions().insert(partitions.iter().map(|(one, _)| Arc::clone(one)).collect());
    for (partition, state) in &partitions {
        node.take_role(partition, state);
    }
    let misplaced = partitions.iter().filter_map(|(one, state)| node.misplaced(one, state));
    node.assign_dirs(misplaced.collect());
    Ok(recovery)
}

/// Says which partitions have no folder: a crash while a topic was made leaves a few; many mean
/// that a disk is not mounted or a directory was emptied.
fn tell_missing(node: &Node, logs: &[LogToOpen]) -> HashSet<TopicPartition> {
    let names = logs.iter().map(|log| &log.partition);
    let missing: HashSet<TopicPartition> =
        names.filter(|name| !node.storage().knows(name)).cloned().collect();
    if let Some(first) = missing.iter().next() {
        tracing::warn!(
            "{} of {} partitions ({first}, ...) have no folder in any data directory and begin \
             empty; if that is not expected, stop the node and look at its disks",
            missing.len(),
            logs.len()
        );
    }
    missing
}

/// Whether a partition without a folder must have had one: a partition that has just been made
/// has had one leader, and one replica has nothing to fetch from.
fn log_is_gone(state: &PartitionImage) -> bool {
    state.leader_epoch > 0 && state.replicas.len() > 1
}
