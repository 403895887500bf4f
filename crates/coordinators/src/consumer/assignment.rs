//! Sets of partitions, and what messages make of them.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::Uuid;
use naru_protocol::messages::consumer_group_current_member_assignment_value::TopicPartitions as CurrentTopic;
use naru_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as OwnedTopic;
use naru_protocol::messages::consumer_group_heartbeat_response as answer;
use naru_protocol::messages::consumer_group_target_assignment_member_value::TopicPartition as TargetTopic;

/// Partitions by topic; no topic is empty.
pub(crate) type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;
/// Partitions by topic, each with the epoch in which its owner got it (KIP-1251).
pub(crate) type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// The partitions without their epochs.
pub(crate) fn partitions_of(owned: &Owned) -> Partitions {
    owned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect()
}

/// All partitions, each given in `epoch`.
pub(crate) fn owned_since(partitions: &Partitions, epoch: i32) -> Owned {
    let with_epoch =
        |set: &BTreeSet<i32>| set.iter().map(|partition| (*partition, epoch)).collect();
    partitions.iter().map(|(topic, set)| (*topic, with_epoch(set))).collect()
}

pub(crate) fn contains(owned: &Owned, topic: Uuid, partition: i32) -> bool {
    owned.get(&topic).is_some_and(|partitions| partitions.contains_key(&partition))
}

/// Whether a member that says what it owns owns nothing but `assigned`.
pub(crate) fn is_subset(claimed: Option<&[OwnedTopic]>, assigned: &Owned) -> bool {
    claimed.is_some_and(|topics| {
        topics.iter().all(|topic| {
            let assigned = assigned.get(&topic.topic_id);
            assigned.is_some_and(|held| topic.partitions.iter().all(|p| held.contains_key(p)))
        })
    })
}

/// Whether a member still owns some of `revoked`; one that does not say may.
pub(crate) fn still_owns(claimed: Option<&[OwnedTopic]>, revoked: &Owned) -> bool {
    claimed.is_none_or(|topics| {
        topics.iter().any(|topic| {
            topic.partitions.iter().any(|partition| contains(revoked, topic.topic_id, *partition))
        })
    })
}

/// What a heartbeat's answer says of an assignment.
pub(crate) fn answered(owned: &Owned) -> answer::Assignment {
    let topics = owned.iter().map(|(topic_id, partitions)| answer::TopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
    });
    answer::Assignment { topic_partitions: topics.collect() }
}

pub(crate) fn to_current(owned: &Owned) -> Vec<CurrentTopic> {
    owned
        .iter()
        .map(|(topic_id, partitions)| CurrentTopic {
            topic_id: *topic_id,
            partitions: partitions.keys().copied().collect(),
            assignment_epochs: Some(partitions.values().copied().collect()),
        })
        .collect()
}

/// Reads a record's assignment. Records from before KIP-1251 have no epochs: the member's stands
/// in for them.
pub(crate) fn from_current(topics: Vec<CurrentTopic>, member_epoch: i32) -> Owned {
    let mut owned = Owned::new();
    for topic in topics {
        let epochs = topic.assignment_epochs.unwrap_or_default();
        let mut epochs = epochs.into_iter();
        let held = owned.entry(topic.topic_id).or_default();
        for partition in topic.partitions {
            held.insert(partition, epochs.next().unwrap_or(member_epoch));
        }
    }
    owned.retain(|_, partitions| !partitions.is_empty());
    owned
}

pub(crate) fn to_target(partitions: &Partitions) -> Vec<TargetTopic> {
    partitions
        .iter()
        .map(|(topic_id, set)| TargetTopic {
            topic_id: *topic_id,
            partitions: set.iter().copied().collect(),
        })
        .collect()
}

pub(crate) fn from_target(topics: Vec<TargetTopic>) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        partitions.entry(topic.topic_id).or_default().extend(topic.partitions);
    }
    partitions
}
