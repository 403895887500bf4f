//! The next epoch of a share group, the assignment that goes with it, and what a member gets.

use std::collections::BTreeSet;
use std::sync::Arc;

use naru_model::Timestamp;

use super::assignor::{Problem, Subscriber, assign};
use super::config::{ShareConfig, ShareSettings};
use super::facts::ShareFact;
use super::group::ShareGroup;
use super::member::ShareProgress;
use crate::change::Change;
use crate::consumer::{GroupEpoch, Partitions, TargetEpoch, TopicHashes, Topics};
use crate::timers::has_passed;

pub(super) type ShareChange<'g> = Change<'g, ShareGroup>;

/// What deciding looks at besides the group.
pub(super) struct Scope<'a> {
    pub(super) now: Timestamp,
    pub(super) loaded_at: Option<Timestamp>,
    pub(super) config: &'a ShareConfig,
    /// Of this group.
    pub(super) settings: ShareSettings,
    pub(super) topics: &'a dyn Topics,
    pub(super) hashes: &'a mut TopicHashes,
}

impl Scope<'_> {
    /// Begins the next epoch if there is a reason: `bump`, or topics that have changed.
    pub(super) fn next_epoch(&mut self, change: &mut ShareChange<'_>, bump: bool) {
        let metadata_hash = self.hashes.of_group(change.group.subscribed(), self.topics);
        if bump || metadata_hash != change.group.metadata_hash() {
            let epoch = change.group.epoch().saturating_add(1);
            change.apply(ShareFact::Group(Some(GroupEpoch { epoch, metadata_hash })));
        }
        change.group.metadata_expired = false;
    }

    /// Whether partitions have been initialized that nobody is assigned.
    pub(super) fn is_assignment_pending(&self, group: &ShareGroup) -> bool {
        let Some(state) = group.state_partitions() else { return false };
        if group.is_empty() || group.epoch() > group.target_epoch().epoch {
            return false;
        }
        state.initialized.iter().any(|(topic, kept)| {
            // A topic that is gone, or was made anew, is assigned to nobody.
            let is_there = self.topics.by_name(&kept.name).is_some_and(|known| known.id == *topic);
            if !is_there || !group.is_subscribed(&kept.name) {
                return false;
            }
            let assigned = group.targets().filter_map(|target| target.get(topic)).flatten();
            let assigned: BTreeSet<i32> = assigned.copied().collect();
            assigned != kept.partitions
        })
    }

    /// Makes the assignment of the group's epoch, if it is not made yet and the last one is old
    /// enough.
    pub(super) fn assign_if_due(&self, change: &mut ShareChange<'_>) {
        let last = change.group.target_epoch();
        let interval_ms = i64::from(self.settings.assignment_interval_ms);
        let is_due = last.timestamp == 0 || has_passed(last.timestamp, self.now, interval_ms);
        if change.group.epoch() <= last.epoch || !is_due {
            return;
        }
        for (member, partitions) in assign(&self.problem(change.group)) {
            if change.group.target(&member) != Some(&partitions) {
                change.apply(ShareFact::Target(member, Some(partitions)));
            }
        }
        let (epoch, timestamp) = (change.group.epoch(), self.now.get());
        change.apply(ShareFact::TargetEpoch(Some(TargetEpoch { epoch, timestamp })));
    }

    fn problem(&self, group: &ShareGroup) -> Problem {
        let members = group.members().map(|member| Subscriber {
            id: Arc::clone(&member.id),
            topics: group.topics_of(member, self.topics),
            current: group.target(&member.id).cloned().unwrap_or_default(),
        });
        let initialized = group.state_partitions().into_iter().flat_map(|state| &state.initialized);
        let partitions = initialized.map(|(topic, kept)| (*topic, kept.partitions.clone()));
        Problem {
            members: members.collect(),
            partitions: partitions.collect(),
            is_homogeneous: group.is_homogeneous(),
        }
    }

    /// Takes a member to the target's epoch; whether it has other partitions now.
    pub(super) fn reconcile(
        &self,
        change: &mut ShareChange<'_>,
        id: &Arc<str>,
        subscription_changed: bool,
    ) -> bool {
        let group = &*change.group;
        let Some(member) = group.member(id) else { return false };
        let epoch = group.target_epoch().epoch;
        let progress = &member.progress;
        if progress.epoch == epoch && !subscription_changed {
            return false;
        }
        let subscribed = group.topics_of(member, self.topics);
        let target = group.target(id).into_iter().flatten();
        let assigned: Partitions = target
            .filter(|(topic, _)| subscribed.contains(topic))
            .map(|(topic, partitions)| (*topic, partitions.clone()))
            .collect();
        let previous_epoch =
            if progress.epoch == epoch { progress.previous_epoch } else { progress.epoch };
        let next = ShareProgress { epoch, previous_epoch, state: progress.state, assigned };
        let assigned_changed = next.assigned != progress.assigned;
        if next != *progress {
            change.apply(ShareFact::Current(Arc::clone(id), Some(Box::new(next))));
        }
        assigned_changed
    }
}
