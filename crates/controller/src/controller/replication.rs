//! Who leads a partition when a broker comes back, or goes.

use naru_model::Uuid;
use naru_protocol::messages::partition_change_record::PartitionChangeRecord;

use super::Controller;
use crate::image::{NO_LEADER, PartitionImage};
use crate::records::RecordAndVersion;

/// The leader was elected from outside the ISR and has to find its end first.
const RECOVERING: i8 = 1;

impl Controller {
    /// The changes of partitions that a broker's return brings about.
    ///
    /// A partition it led gets a new leader epoch, because its log may have lost its tail since:
    /// an offset of the old epoch then never means two records. A partition without a leader is
    /// led by it if it is in the ISR, in the ELR, or holds the only copy.
    pub(super) fn elections_after_unfencing(
        &self,
        broker: i32,
    ) -> impl Iterator<Item = RecordAndVersion> {
        let partitions = self.image.topics().flat_map(|topic| {
            topic.partitions.iter().map(|(index, partition)| (topic.id, *index, partition))
        });
        partitions.filter_map(move |(topic_id, partition_id, partition)| {
            let change = election(broker, partition)?;
            let change = PartitionChangeRecord { topic_id, partition_id, ..change };
            Some(RecordAndVersion::newest(change))
        })
    }

    /// The changes of partitions that take a broker out of every ISR and from every lead.
    pub(super) fn departures(&self, broker: i32) -> impl Iterator<Item = RecordAndVersion> {
        let partitions = self.image.topics().flat_map(|topic| {
            topic.partitions.iter().map(|(index, partition)| (topic.id, *index, partition))
        });
        partitions.filter_map(move |(topic_id, partition_id, partition)| {
            let change = self.departure(broker, partition)?;
            let change = PartitionChangeRecord { topic_id, partition_id, ..change };
            Some(RecordAndVersion::newest(change))
        })
    }

    /// The change that takes `broker` out; none if the partition does not count on it.
    fn departure(&self, broker: i32, partition: &PartitionImage) -> Option<PartitionChangeRecord> {
        if !partition.isr.contains(&broker) {
            return None;
        }
        let isr: Vec<i32> = partition.isr.iter().copied().filter(|id| *id != broker).collect();
        let mut change = PartitionChangeRecord::default();
        if isr.is_empty() {
            // It has everything: it stays eligible, and is remembered as the last that was.
            change.leader = NO_LEADER;
            change.eligible_leader_replicas = Some(vec![broker]);
            change.last_known_elr = Some(vec![broker]);
        } else if partition.leader == Some(broker) {
            let active = |id: &&i32| self.image.broker(**id).is_some_and(|b| b.is_active());
            let by_preference = partition.replicas.iter().filter(|id| isr.contains(*id));
            change.leader = by_preference.copied().find(|id| active(&id)).unwrap_or(NO_LEADER);
        }
        change.isr = Some(isr);
        Some(change)
    }
}

/// The change that makes `broker` lead; none if it should not.
fn election(broker: i32, partition: &PartitionImage) -> Option<PartitionChangeRecord> {
    let unchanged =
        PartitionChangeRecord { topic_id: Uuid::ZERO, ..PartitionChangeRecord::default() };
    let in_isr = partition.isr.contains(&broker);
    match partition.leader {
        Some(leader) if leader == broker => {
            Some(PartitionChangeRecord { leader: broker, ..unchanged })
        }
        Some(_) => None,
        None if in_isr => Some(PartitionChangeRecord { leader: broker, ..unchanged }),
        None if partition.elr.contains(&broker) => {
            let rest = partition.elr.iter().copied().filter(|id| *id != broker);
            Some(PartitionChangeRecord {
                leader: broker,
                isr: Some(vec![broker]),
                eligible_leader_replicas: Some(rest.collect()),
                last_known_elr: Some(Vec::new()),
                ..unchanged
            })
        }
        // Nothing better exists than the only copy, or than the one that led last when no
        // replica is known to be complete (KIP-966).
        None if partition.replicas == [broker]
            || (partition.isr.is_empty()
                && partition.elr.is_empty()
                && partition.last_known_elr == [broker]) =>
        {
            let alone = partition.replicas == [broker];
            Some(PartitionChangeRecord {
                leader: broker,
                isr: Some(vec![broker]),
                leader_recovery_state: if alone { 0 } else { RECOVERING },
                eligible_leader_replicas: Some(Vec::new()),
                last_known_elr: Some(Vec::new()),
                ..unchanged
            })
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(
        replicas: &[i32],
        isr: &[i32],
        elr: &[i32],
        leader: Option<i32>,
    ) -> PartitionImage {
        PartitionImage {
            replicas: replicas.to_vec(),
            directories: vec![Uuid::DIR_UNASSIGNED; replicas.len()],
            isr: isr.to_vec(),
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            elr: elr.to_vec(),
            last_known_elr: Vec::new(),
            leader,
            leader_recovery_state: 0,
            leader_epoch: 4,
            partition_epoch: 7,
        }
    }

    fn after(partition: &PartitionImage) -> Option<PartitionImage> {
        Some(partition.changed_by(&election(1, partition)?))
    }

    #[test]
    fn a_leader_that_returns_leads_in_a_new_epoch() {
        let next = after(&partition(&[1], &[1], &[], Some(1))).unwrap();
        assert_eq!((next.leader, next.leader_epoch, next.partition_epoch), (Some(1), 5, 8));
    }

    #[test]
    fn what_apache_kafka_left_without_a_leader_is_led_again() {
        // A clean stop of a single Kafka node leaves the ISR empty and itself in the ELR.
        let next = after(&partition(&[1], &[], &[1], None)).unwrap();
        assert_eq!((next.leader, next.isr, next.elr), (Some(1), vec![1], vec![]));
    }

    #[test]
    fn a_replica_that_may_miss_records_does_not_lead() {
        assert_eq!(after(&partition(&[1, 2], &[2], &[], None)), None);
        assert_eq!(after(&partition(&[1, 2], &[2], &[], Some(2))), None);
    }
}
