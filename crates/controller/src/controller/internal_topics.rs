//! Internal topics that were made when there were fewer brokers get the replicas they lack.
//!
//! Apache Kafka refuses to make `__consumer_offsets` before there are enough brokers; a single
//! Naru node makes it with what there is, and the active controller raises its replication
//! factor, by an ordinary reassignment, when the cluster grows. It is never lowered.

use naru_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};

use super::Controller;
use crate::image::PartitionImage;
use crate::records::RecordAndVersion;

/// Partitions begun in one decision.
const PARTITIONS_MAX: usize = 1_000;

impl Controller {
    /// Starts to give each of `topics` its replication factor, or as many replicas as there are
    /// active brokers. Nothing for partitions that are being reassigned.
    pub fn decide_raise_internal_topics(&self, topics: &[(&str, i16)]) -> Vec<RecordAndVersion> {
        let brokers: Vec<i32> =
            self.image.brokers().filter(|b| b.is_active()).map(|b| b.id).collect();
        let mut left = PARTITIONS_MAX;
        let topics = topics.iter().filter_map(|(name, wanted)| {
            let wanted = usize::try_from(*wanted).unwrap_or(0).min(brokers.len());
            let partitions: Vec<ReassignablePartition> = self
                .image
                .topic(name)?
                .partitions
                .iter()
                .filter(|(_, partition)| lacks_replicas(partition, wanted))
                .take(left)
                .map(|(&index, partition)| ReassignablePartition {
                    partition_index: index,
                    replicas: Some(extended(&partition.replicas, &brokers, index, wanted)),
                })
                .collect();
            left -= partitions.len();
            let name = (*name).to_owned();
            (!partitions.is_empty()).then_some(ReassignableTopic { name, partitions })
        });
        let request = AlterPartitionReassignmentsRequest {
            topics: topics.collect(),
            allow_replication_factor_change: true,
            ..AlterPartitionReassignmentsRequest::default()
        };
        self.decide_alter_reassignments(&request).records
    }
}

fn lacks_replicas(partition: &PartitionImage, wanted: usize) -> bool {
    partition.replicas.len() < wanted
        && partition.adding_replicas.is_empty()
        && partition.removing_replicas.is_empty()
}

/// `replicas` and, behind them, brokers that are not among them: others for each partition.
fn extended(replicas: &[i32], brokers: &[i32], index: i32, wanted: usize) -> Vec<i32> {
    let others: Vec<i32> = brokers.iter().copied().filter(|id| !replicas.contains(id)).collect();
    let first = usize::try_from(index).unwrap_or(0) % others.len().max(1);
    let turned = others.iter().cycle().skip(first).take(others.len());
    replicas.iter().chain(turned).copied().take(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_replicas_come_behind_the_old_and_differ_by_partition() {
        assert_eq!(extended(&[1], &[1, 2, 3, 4], 0, 3), [1, 2, 3]);
        assert_eq!(extended(&[1], &[1, 2, 3, 4], 1, 3), [1, 3, 4]);
        assert_eq!(extended(&[1], &[1, 2, 3, 4], 2, 3), [1, 4, 2]);
        assert_eq!(extended(&[2, 9], &[1, 2], 5, 3), [2, 9, 1]);
        assert_eq!(extended(&[1], &[1], 0, 1), [1]);
    }
}
