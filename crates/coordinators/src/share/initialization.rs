//! State that share coordinators are to begin before partitions can be assigned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::Uuid;

use super::facts::{NamedPartitions, ShareFact, StatePartitions};
use super::group::ShareGroup;
use super::target::{Scope, ShareChange};

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
        let retry_ms = i64::from(self.config.initialize_retry_interval_ms);
        let is_fresh = |topic: &Uuid| {
            group.asked_at.get(topic).is_some_and(|at| self.now.get() - at.get() < retry_ms)
        };
        let mut missing = BTreeMap::new();
        for name in group.subscribed() {
            let Some(topic) = self.topics.by_name(name) else { continue };
            let initialized = state.initialized.get(&topic.id);
            let initializing = state.initializing.get(&topic.id).filter(|_| is_fresh(&topic.id));
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

    /// The state of partitions has begun, or has not.
    pub(super) fn initialized(
        &self,
        change: &mut ShareChange<'_>,
        partitions: &BTreeSet<(Uuid, i32)>,
        success: bool,
    ) {
        let Some(mut state) = change.group.state_partitions().cloned() else { return };
        for (topic, partition) in partitions {
            if let Some(initializing) = state.initializing.get_mut(topic) {
                initializing.partitions.remove(partition);
                if initializing.partitions.is_empty() {
                    state.initializing.remove(topic);
                }
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
