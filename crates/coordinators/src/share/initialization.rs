//! State that share coordinators are to begin before partitions can be assigned.
//!
//! Invariant: while a topic's state is being begun nobody has it ended, nor the other way round:
//! between brokers one could overtake the other. What is not heard of for long was interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::{Timestamp, Uuid};

use super::facts::{NamedPartitions, ShareFact, StatePartitions};
use super::group::ShareGroup;
use super::target::{Scope, ShareChange};
use crate::timers::has_passed;

/// State that the shell is to have begun; the shard is told what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialization {
    /// For which group.
    pub group: Arc<str>,
    /// Its epoch.
    pub state_epoch: i32,
    /// Where each partition begins; -1 if its leader is to find out.
    pub starts: BTreeMap<(Uuid, i32), i64>,
}

impl Scope<'_> {
    /// Has the state of partitions begun that the group subscribes to and nobody keeps state of,
    /// or has for too long been asked to begin.
    pub(super) fn initialize_missing(
        &self,
        change: &mut ShareChange<'_>,
    ) -> Option<Initialization> {
        let missing = self.missing(change.group);
        if missing.is_empty() {
            return None;
        }
        let starts = missing.iter().flat_map(|(topic, named)| {
            named.partitions.iter().map(|partition| ((*topic, *partition), UNKNOWN_START))
        });
        let starts = starts.collect();
        Some(self.begin(change, missing, starts))
    }

    /// Notes that the state of partitions is being begun.
    pub(super) fn begin(
        &self,
        change: &mut ShareChange<'_>,
        topics: BTreeMap<Uuid, NamedPartitions>,
        starts: BTreeMap<(Uuid, i32), i64>,
    ) -> Initialization {
        for topic in topics.keys() {
            change.group.asked_at.insert(*topic, self.now);
        }
        let mut state = change.group.state_partitions().cloned().unwrap_or_default();
        for (topic, named) in topics {
            state.deleting.remove(&topic);
            change.group.ended_at.remove(&topic);
            let known = state.initializing.entry(topic).or_default();
            known.name = named.name;
            known.partitions.extend(named.partitions);
        }
        change.apply(ShareFact::State(Some(Box::new(state))));
        let group = Arc::clone(&change.group.id);
        Initialization { group, state_epoch: change.group.epoch(), starts }
    }

    fn missing(&self, group: &ShareGroup) -> BTreeMap<Uuid, NamedPartitions> {
        let nothing = StatePartitions::default();
        let state = group.state_partitions().unwrap_or(&nothing);
        let mut missing = BTreeMap::new();
        for name in group.subscribed() {
            let Some(topic) = self.topics.by_name(name) else { continue };
            if self.is_ending(group, topic.id) {
                continue;
            }
            let initialized = state.initialized.get(&topic.id);
            let is_asked = self.is_recent(group.asked_at.get(&topic.id).copied());
            let initializing = state.initializing.get(&topic.id).filter(|_| is_asked);
            let kept: BTreeSet<i32> = [initialized, initializing]
                .into_iter()
                .flatten()
                .flat_map(|kept| kept.partitions.iter().copied())
                .collect();
            let partitions: BTreeSet<i32> =
                (0..topic.partitions).filter(|one| !kept.contains(one)).collect();
            if !partitions.is_empty() {
                missing.insert(topic.id, NamedPartitions { name: name.to_owned(), partitions });
            }
        }
        missing
    }

    fn is_recent(&self, at: Option<Timestamp>) -> bool {
        let retry_ms = i64::from(self.config.initialize_retry_interval_ms);
        at.is_some_and(|at| !has_passed(at.get(), self.now, retry_ms))
    }

    /// Whether share coordinators may be beginning a topic's state now.
    pub(super) fn is_beginning(&self, group: &ShareGroup, topic: Uuid) -> bool {
        let state = group.state_partitions();
        let is_noted = state.is_some_and(|state| state.initializing.contains_key(&topic));
        let asked_at = group.asked_at.get(&topic).copied();
        is_noted && (self.is_recent(asked_at) || self.is_recent(self.loaded_at))
    }

    /// Whether share coordinators may be ending a topic's state now.
    pub(super) fn is_ending(&self, group: &ShareGroup, topic: Uuid) -> bool {
        let state = group.state_partitions();
        let is_noted = state.is_some_and(|state| state.deleting.contains_key(&topic));
        let asked_at = group.ended_at.get(&topic).copied();
        is_noted && (self.is_recent(asked_at) || self.is_recent(self.loaded_at))
    }

    /// The state of partitions has begun, or has not. What has been ended since does not count.
    pub(super) fn initialized(
        &self,
        change: &mut ShareChange<'_>,
        partitions: &BTreeSet<(Uuid, i32)>,
        success: bool,
    ) {
        let Some(mut state) = change.group.state_partitions().cloned() else { return };
        for (topic, partition) in partitions {
            let Some(initializing) = state.initializing.get_mut(topic) else { continue };
            if !initializing.partitions.remove(partition) {
                continue;
            }
            if initializing.partitions.is_empty() {
                state.initializing.remove(topic);
            }
            // Of a topic that is gone by now share coordinators keep nothing.
            if success && let Some(name) = self.topics.name(*topic) {
                let kept = state.initialized.entry(*topic).or_default();
                kept.name = name.to_string();
                kept.partitions.insert(*partition);
            }
        }
        if change.group.state_partitions() != Some(&state) {
            change.apply(ShareFact::State(Some(Box::new(state))));
        }
    }
}

/// The leader of a partition finds out where the group begins.
const UNKNOWN_START: i64 = -1;
