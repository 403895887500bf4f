//! Which partitions a broker, a directory, or a chore has to do with, without looking at all.
//!
//! Owns sets of partitions, sorted, kept by replay: a heartbeat of one broker of a cluster with
//! 10,000 partitions reads only what that broker has. Says nothing that the image does not say.

use std::collections::BTreeSet;

use naru_model::Uuid;

use super::reassignment::in_progress;
use crate::image::{PartitionImage, SharedMap, TopicImage};

/// A partition: its topic and its index.
pub(super) type PartitionKey = (Uuid, i32);

/// Pairs of an owner and a partition.
type Owned<O> = SharedMap<(O, PartitionKey), ()>;
type Keys = SharedMap<PartitionKey, ()>;

/// Less than every partition.
const FIRST: PartitionKey = (Uuid::ZERO, i32::MIN);

/// See the module. Copies share what does not change.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PartitionIndex {
    in_isr: Owned<i32>,
    in_elr: Owned<i32>,
    led_by: Owned<i32>,
    in_directory: Owned<Uuid>,
    without_leader: Keys,
    without_preferred_leader: Keys,
    reassigning: Keys,
}

impl PartitionIndex {
    /// Notes a change; `before` is none for a new partition.
    pub(super) fn change(
        &mut self,
        key: PartitionKey,
        before: Option<&PartitionImage>,
        after: &PartitionImage,
    ) {
        if let Some(before) = before {
            self.forget(key, before, Some(after));
        }
        let list = |owned: &mut Owned<i32>, brokers: &[i32]| {
            for broker in brokers {
                owned.insert((*broker, key), ());
            }
        };
        list(&mut self.in_isr, &after.isr);
        list(&mut self.in_elr, &after.elr);
        list(&mut self.led_by, after.leader.as_slice());
        if before.is_none_or(|before| before.directories != after.directories) {
            for directory in after.directories.iter().filter(|dir| is_real(**dir)) {
                self.in_directory.insert((*directory, key), ());
            }
        }
        set(&mut self.without_leader, key, after.leader.is_none());
        let preferred = after.leader.is_some() && after.replicas.first() == after.leader.as_ref();
        set(&mut self.without_preferred_leader, key, !preferred);
        set(&mut self.reassigning, key, in_progress(after));
    }

    /// Forgets all partitions of a topic.
    pub(super) fn remove_topic(&mut self, topic: &TopicImage) {
        for (index, partition) in topic.partitions.iter() {
            let key = (topic.id, *index);
            self.forget(key, partition, None);
            self.without_leader.remove(&key);
            self.without_preferred_leader.remove(&key);
            self.reassigning.remove(&key);
        }
    }

    /// Takes out what `after` does not say again.
    fn forget(
        &mut self,
        key: PartitionKey,
        before: &PartitionImage,
        after: Option<&PartitionImage>,
    ) {
        let list = |owned: &mut Owned<i32>, gone: &[i32], stays: Option<&[i32]>| {
            for broker in gone.iter().filter(|id| !stays.unwrap_or_default().contains(id)) {
                owned.remove(&(*broker, key));
            }
        };
        list(&mut self.in_isr, &before.isr, after.map(|after| after.isr.as_slice()));
        list(&mut self.in_elr, &before.elr, after.map(|after| after.elr.as_slice()));
        let leader = after.map(|after| after.leader.as_slice());
        list(&mut self.led_by, before.leader.as_slice(), leader);
        if after.is_none_or(|after| after.directories != before.directories) {
            for directory in before.directories.iter().filter(|dir| is_real(**dir)) {
                self.in_directory.remove(&(*directory, key));
            }
        }
    }

    /// Partitions whose ISR a broker is in.
    pub(super) fn in_isr(&self, broker: i32) -> Vec<PartitionKey> {
        owned_by(&self.in_isr, broker)
    }

    /// Partitions whose ELR a broker is in.
    pub(super) fn in_elr(&self, broker: i32) -> Vec<PartitionKey> {
        owned_by(&self.in_elr, broker)
    }

    /// Partitions with an ELR.
    pub(super) fn with_elr(&self) -> BTreeSet<PartitionKey> {
        self.in_elr.keys().map(|(_, key)| *key).collect()
    }

    /// Partitions with a replica in a log directory.
    pub(super) fn in_directory(&self, directory: Uuid) -> Vec<PartitionKey> {
        owned_by(&self.in_directory, directory)
    }

    /// Whether a broker leads anything.
    pub(super) fn leads_any(&self, broker: i32) -> bool {
        let from = (broker, FIRST);
        let first = self.led_by.iter_from(&from).next();
        first.is_some_and(|((leader, _), ())| *leader == broker)
    }

    /// Partitions that nobody leads.
    pub(super) fn without_leader(&self) -> impl Iterator<Item = PartitionKey> {
        self.without_leader.keys().copied()
    }

    /// Partitions that their preferred replica does not lead.
    pub(super) fn without_preferred_leader(&self) -> impl Iterator<Item = PartitionKey> {
        self.without_preferred_leader.keys().copied()
    }

    /// Partitions that are being reassigned.
    pub(super) fn reassigning(&self) -> impl Iterator<Item = PartitionKey> {
        self.reassigning.keys().copied()
    }
}

fn owned_by<O: Ord + Copy>(owned: &Owned<O>, owner: O) -> Vec<PartitionKey> {
    let first = (owner, FIRST);
    let from = owned.iter_from(&first).map(|((owner, key), ())| (*owner, *key));
    from.take_while(|(other, _)| *other == owner).map(|(_, key)| key).collect()
}

fn set(keys: &mut Keys, key: PartitionKey, member: bool) {
    if member {
        keys.insert(key, ());
    } else {
        keys.remove(&key);
    }
}

/// Whether an id is a directory's, not one of those that stand for none.
fn is_real(directory: Uuid) -> bool {
    ![Uuid::DIR_UNASSIGNED, Uuid::DIR_LOST, Uuid::DIR_MIGRATING].contains(&directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(isr: &[i32], leader: Option<i32>, directory: u128) -> PartitionImage {
        PartitionImage {
            replicas: vec![1, 2],
            directories: vec![Uuid(directory), Uuid::DIR_UNASSIGNED],
            isr: isr.to_vec(),
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader,
            leader_recovery_state: 0,
            leader_epoch: 0,
            partition_epoch: 0,
        }
    }

    #[test]
    fn a_change_moves_a_partition_from_set_to_set() {
        let mut index = PartitionIndex::default();
        let (a, b) = ((Uuid(7), 0), (Uuid(7), 1));
        let first = partition(&[1, 2], Some(1), 100);
        index.change(a, None, &first);
        index.change(b, None, &first);
        assert_eq!(index.in_isr(2), [a, b]);
        assert!(index.leads_any(1) && !index.leads_any(2));
        assert_eq!(index.in_directory(Uuid(100)), [a, b]);
        assert_eq!(index.in_directory(Uuid::DIR_UNASSIGNED), []);

        let second = partition(&[2], Some(2), 101);
        index.change(a, Some(&first), &second);
        assert_eq!((index.in_isr(1), index.in_isr(2)), (vec![b], vec![a, b]));
        assert!(index.leads_any(1) && index.leads_any(2));
        assert_eq!(index.in_directory(Uuid(100)), [b]);
        assert_eq!(index.in_directory(Uuid(101)), [a]);
        assert!(index.without_preferred_leader().eq([a]));

        let third = partition(&[], None, 101);
        index.change(a, Some(&second), &third);
        assert!(index.without_leader().eq([a]));
        assert!(!index.leads_any(2));
    }

    #[test]
    fn changing_back_gives_an_equal_index() {
        let mut index = PartitionIndex::default();
        let key = (Uuid(7), 0);
        let first = partition(&[1, 2], Some(1), 100);
        index.change(key, None, &first);
        let before = index.clone();
        let second = partition(&[2], None, 101);
        index.change(key, Some(&first), &second);
        assert_ne!(index, before);
        index.change(key, Some(&second), &first);
        assert_eq!(index, before);
    }
}
