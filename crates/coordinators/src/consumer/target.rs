//! The next epoch of a group and the assignment that goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::{Timestamp, Uuid};

use super::assignor::{Problem, Subscriber};
use super::facts::{ConsumerFact, GroupEpoch, TargetEpoch};
use super::group::ConsumerGroup;
use super::hash::TopicHashes;
use super::member::ConsumerMember;
use super::topics::Topics;
use crate::config::{ConsumerSettings, GroupConfig};
use crate::timers::has_passed;

/// A change of a consumer group in the making.
pub(super) type Change<'g> = crate::change::Change<'g, ConsumerGroup>;

/// What deciding looks at besides the group.
pub(crate) struct Scope<'a> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'a GroupConfig,
    /// Of this group.
    pub(crate) settings: ConsumerSettings,
    pub(crate) topics: &'a dyn Topics,
    pub(crate) hashes: &'a mut TopicHashes,
}

impl Scope<'_> {
    pub(super) fn hash(&mut self, group: &ConsumerGroup) -> i64 {
        self.hashes.of_group(group.subscribed().into_iter(), self.topics)
    }

    /// Begins the next epoch if there is a reason: `bump`, or topics that have changed.
    pub(super) fn next_epoch(&mut self, change: &mut Change<'_>, bump: bool) {
        let metadata_hash = self.hash(change.group);
        if bump || metadata_hash != change.group.metadata_hash() {
            let epoch = change.group.epoch().saturating_add(1);
            change.apply(ConsumerFact::Group(Some(GroupEpoch { epoch, metadata_hash })));
        }
        if change.group.has_partition_metadata {
            change.apply(ConsumerFact::PartitionMetadata { present: false });
        }
        change.group.metadata_expired = false;
    }

    /// Makes the assignment of the group's epoch, if it is not made yet and the last one is old
    /// enough.
    pub(super) fn assign_if_due(&self, change: &mut Change<'_>) {
        let last = change.group.target_epoch();
        let interval_ms = i64::from(self.settings.assignment_interval_ms);
        let is_due = last.timestamp == 0 || has_passed(last.timestamp, self.now, interval_ms);
        if change.group.epoch() > last.epoch && is_due {
            self.assign(change);
        }
    }

    fn assign(&self, change: &mut Change<'_>) {
        let consumer = &self.config.consumer;
        let preferred = change.group.preferred_assignor().and_then(|name| consumer.assignor(name));
        let assignor = preferred.unwrap_or_else(|| consumer.default_assignor());
        let assigned = assignor.assign(&problem(change.group, self.topics));
        for (member, partitions) in assigned {
            if change.group.target(&member) != Some(&partitions) {
                change.apply(ConsumerFact::Target(member, Some(partitions)));
            }
        }
        let (epoch, timestamp) = (change.group.epoch(), self.now.get());
        change.apply(ConsumerFact::TargetEpoch(Some(TargetEpoch { epoch, timestamp })));
    }
}

fn problem(group: &ConsumerGroup, topics: &dyn Topics) -> Problem {
    let mut last: Option<(&ConsumerMember, BTreeSet<Uuid>)> = None;
    let mut members = Vec::with_capacity(group.len());
    for member in group.members() {
        // Most groups subscribe to one set of topics: it is looked up once.
        let subscribed = match &last {
            Some((other, subscribed)) if same_subscription(other, member) => subscribed.clone(),
            _ => {
                let subscribed = group.topics_of(member, topics);
                last = Some((member, subscribed.clone()));
                subscribed
            }
        };
        members.push(Subscriber {
            id: Arc::clone(&member.id),
            instance_id: member.profile.instance_id.clone(),
            topics: subscribed,
            current: group.target(&member.id).cloned().unwrap_or_default(),
        });
    }
    let known = group.subscribed().into_iter().filter_map(|name| topics.by_name(name));
    let topics: BTreeMap<Uuid, i32> = known.map(|topic| (topic.id, topic.partitions)).collect();
    Problem { members, topics }
}

fn same_subscription(a: &ConsumerMember, b: &ConsumerMember) -> bool {
    a.profile.topics == b.profile.topics && a.profile.regex == b.profile.regex
}
