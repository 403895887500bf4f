//! One step of a member towards its target assignment.
//!
//! A member gives up first what it must (`UnrevokedPartitions`), then takes its target's epoch with
//! all partitions that nobody else holds, and the others as they become free
//! (`UnreleasedPartitions`).

use std::collections::{BTreeMap, BTreeSet};

use naru_model::Uuid;
use naru_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as OwnedTopic;

use super::assignment::{Owned, Partitions, contains, still_owns};
use super::error::ConsumerError;
use super::group::ConsumerGroup;
use super::member::{ConsumerMember, MemberState, Progress};
use super::topics::Topics;

/// What one step looks at besides the group.
pub(crate) struct Reconcile<'a> {
    pub(crate) topics: &'a dyn Topics,
    /// What the member says it owns.
    pub(crate) claimed: Option<&'a [OwnedTopic]>,
    /// Its subscription is new: what it does not want any more goes at once.
    pub(crate) subscription_changed: bool,
}

impl Reconcile<'_> {
    /// How far the member comes now; `None` if it stays where it is.
    pub(crate) fn step(
        &self,
        group: &ConsumerGroup,
        member: &ConsumerMember,
    ) -> Result<Option<Progress>, ConsumerError> {
        let target_epoch = group.target_epoch().epoch;
        if !self.subscription_changed && member.is_reconciled_to(target_epoch) {
            return Ok(None);
        }
        let progress = &member.progress;
        let next = match progress.state {
            MemberState::Stable if progress.epoch == target_epoch => {
                self.without_unsubscribed(group, member)
            }
            MemberState::UnrevokedPartitions
                if still_owns(self.claimed, &progress.pending_revocation) =>
            {
                if self.subscription_changed {
                    self.without_unsubscribed(group, member)
                } else {
                    None
                }
            }
            MemberState::Unknown if self.claimed.is_none_or(|claimed| !claimed.is_empty()) => {
                return Err(ConsumerError::FencedUnknownState);
            }
            MemberState::Unknown
            | MemberState::Stable
            | MemberState::UnrevokedPartitions
            | MemberState::UnreleasedPartitions => Some(self.towards_target(group, member)),
        };
        Ok(next.filter(|next| next != progress))
    }

    /// Takes away what the member is not subscribed to any more.
    fn without_unsubscribed(
        &self,
        group: &ConsumerGroup,
        member: &ConsumerMember,
    ) -> Option<Progress> {
        let subscribed = group.topics_of(member, self.topics);
        let progress = &member.progress;
        if progress.assigned.keys().all(|topic| subscribed.contains(topic)) {
            return None;
        }
        let mut assigned = progress.assigned.clone();
        let mut pending = progress.pending_revocation.clone();
        assigned.retain(|topic, partitions| {
            let keep = subscribed.contains(topic);
            if !keep {
                pending.entry(*topic).or_default().append(partitions);
            }
            keep
        });
        let previous_epoch = progress.epoch;
        Some(if still_owns(self.claimed, &pending) {
            let state = MemberState::UnrevokedPartitions;
            Progress {
                epoch: progress.epoch,
                previous_epoch,
                state,
                assigned,
                pending_revocation: pending,
            }
        } else {
            Progress { previous_epoch, assigned, ..progress.clone() }
        })
    }

    fn towards_target(&self, group: &ConsumerGroup, member: &ConsumerMember) -> Progress {
        let target_epoch = group.target_epoch().epoch;
        let subscribed = group.topics_of(member, self.topics);
        let wanted = wanted(group.target(&member.id), &subscribed);
        let progress = &member.progress;
        let mut assigned = Owned::new();
        let mut revoked = Owned::new();
        for (topic, partitions) in &progress.assigned {
            for (partition, epoch) in partitions {
                let keep = wanted.get(topic).is_some_and(|set| set.contains(partition));
                let into = if keep { &mut assigned } else { &mut revoked };
                into.entry(*topic).or_default().insert(*partition, *epoch);
            }
        }
        let previous_epoch = progress.epoch;
        if !revoked.is_empty() && still_owns(self.claimed, &revoked) {
            return Progress {
                epoch: progress.epoch,
                previous_epoch,
                state: MemberState::UnrevokedPartitions,
                assigned,
                pending_revocation: revoked,
            };
        }
        let mut waits = false;
        for (topic, set) in &wanted {
            for partition in set
                .iter()
                .filter(|one| !contains(&assigned, *topic, **one))
                .copied()
                .collect::<BTreeSet<i32>>()
            {
                // What this member is about to give up is nobody else's.
                let free = group.owner(*topic, partition).is_none_or(|owner| *owner == member.id);
                if free {
                    assigned.entry(*topic).or_default().insert(partition, target_epoch);
                } else {
                    waits = true;
                }
            }
        }
        let state = if waits { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        Progress {
            epoch: target_epoch,
            previous_epoch,
            state,
            assigned,
            pending_revocation: Owned::new(),
        }
    }
}

/// The target without what the member does not subscribe to any more.
fn wanted(
    target: Option<&Partitions>,
    subscribed: &BTreeSet<Uuid>,
) -> BTreeMap<Uuid, BTreeSet<i32>> {
    let target = target.into_iter().flatten();
    target
        .filter(|(topic, _)| subscribed.contains(topic))
        .map(|(topic, set)| (*topic, set.clone()))
        .collect()
}

/// Whether a partition of its target that the member waits for is still another's.
pub(crate) fn waits_for_others(group: &ConsumerGroup, member: &ConsumerMember) -> bool {
    let target = group.target(&member.id).into_iter().flatten();
    target
        .flat_map(|(topic, set)| set.iter().map(move |partition| (*topic, *partition)))
        .filter(|(topic, partition)| !contains(&member.progress.assigned, *topic, *partition))
        .any(|(topic, partition)| group.owner(topic, partition).is_some())
}
