//! One share group as its records tell it, and what follows from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use naru_model::{Timestamp, Uuid};

use super::facts::{ShareFact, StatePartitions};
use super::member::{ShareMember, ShareProgress};
use crate::change::Replay;
use crate::consumer::{GroupEpoch, Partitions, TargetEpoch, Topics};

/// The state of a share group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShareGroupState {
    /// No members; share coordinators may keep its state.
    Empty,
    /// It has members.
    Stable,
}

impl ShareGroupState {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Stable => "Stable",
        }
    }
}

impl fmt::Display for ShareGroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ShareGroup {
    pub(crate) id: Arc<str>,
    epoch: Option<GroupEpoch>,
    target_epoch: Option<TargetEpoch>,
    members: BTreeMap<Arc<str>, ShareMember>,
    target: BTreeMap<Arc<str>, Partitions>,
    state: Option<StatePartitions>,
    /// How many members name each topic.
    named: BTreeMap<String, usize>,
    /// Topics that the members subscribe to have changed since the hash was taken. Not in the log:
    /// a group that was just loaded looks anyway.
    pub(crate) metadata_expired: bool,
    /// When share coordinators were last asked to begin a topic's state. Not in the log: a group
    /// that was just loaded asks again.
    pub(crate) asked_at: BTreeMap<Uuid, Timestamp>,
    /// When share coordinators were last asked to end a topic's state. Not in the log either.
    pub(crate) ended_at: BTreeMap<Uuid, Timestamp>,
}

impl Replay for ShareGroup {
    type Fact = ShareFact;

    /// Takes a fact in and returns the one that takes it back.
    fn replay(&mut self, fact: ShareFact) -> ShareFact {
        match fact {
            ShareFact::Group(value) => ShareFact::Group(std::mem::replace(&mut self.epoch, value)),
            ShareFact::TargetEpoch(value) => {
                ShareFact::TargetEpoch(std::mem::replace(&mut self.target_epoch, value))
            }
            ShareFact::Target(member, value) => {
                let before = match value {
                    Some(value) => self.target.insert(Arc::clone(&member), value),
                    None => self.target.remove(&member),
                };
                ShareFact::Target(member, before)
            }
            ShareFact::State(value) => {
                let before = std::mem::replace(&mut self.state, value.map(|value| *value));
                ShareFact::State(before.map(Box::new))
            }
            ShareFact::Member(id, value) => {
                let before = self.change(&id, |member| {
                    let known = std::mem::replace(&mut member.known, value.is_some());
                    let profile = value.map(|value| *value).unwrap_or_default();
                    let before = std::mem::replace(&mut member.profile, profile);
                    known.then(|| Box::new(before))
                });
                ShareFact::Member(id, before)
            }
            ShareFact::Current(id, value) => {
                let before = self.change(&id, |member| {
                    let value = value.map(|value| *value).unwrap_or_default();
                    let before = std::mem::replace(&mut member.progress, value);
                    (before != ShareProgress::default()).then(|| Box::new(before))
                });
                ShareFact::Current(id, before)
            }
        }
    }
}

impl ShareGroup {
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            epoch: None,
            target_epoch: None,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            state: None,
            named: BTreeMap::new(),
            metadata_expired: true,
            asked_at: BTreeMap::new(),
            ended_at: BTreeMap::new(),
        }
    }

    /// Changes a member, keeping what follows from members right. One of whom no record is left
    /// is gone.
    fn change<R>(&mut self, id: &Arc<str>, change: impl FnOnce(&mut ShareMember) -> R) -> R {
        let mut member =
            self.members.remove(id).unwrap_or_else(|| ShareMember::new(Arc::clone(id)));
        for topic in &member.profile.topics {
            if let Some(count) = self.named.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    self.named.remove(topic);
                }
            }
        }
        let result = change(&mut member);
        if member.known || member.progress != ShareProgress::default() {
            for topic in &member.profile.topics {
                *self.named.entry(topic.clone()).or_default() += 1;
            }
            self.members.insert(Arc::clone(id), member);
        }
        result
    }

    /// Whether no record is left of the group.
    pub(crate) fn is_gone(&self) -> bool {
        self.epoch.is_none() && self.members.is_empty() && self.state.is_none()
    }

    /// A group begins with its first epoch, which no record tells.
    pub(crate) fn epoch(&self) -> i32 {
        self.epoch.map_or(FIRST_EPOCH, |epoch| epoch.epoch)
    }

    pub(crate) fn metadata_hash(&self) -> i64 {
        self.epoch.map_or(0, |epoch| epoch.metadata_hash)
    }

    pub(crate) fn target_epoch(&self) -> TargetEpoch {
        self.target_epoch.unwrap_or(TargetEpoch { epoch: FIRST_EPOCH, timestamp: 0 })
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &ShareMember> {
        self.members.values()
    }

    pub(crate) fn member(&self, id: &str) -> Option<&ShareMember> {
        self.members.get(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn target(&self, member: &str) -> Option<&Partitions> {
        self.target.get(member)
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Partitions> {
        self.target.values()
    }

    pub(crate) fn state_partitions(&self) -> Option<&StatePartitions> {
        self.state.as_ref()
    }

    /// The topics that members name.
    pub(crate) fn subscribed(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.named.contains_key(topic)
    }

    /// Whether all members name the same topics.
    pub(crate) fn is_homogeneous(&self) -> bool {
        self.named.values().all(|count| *count == self.members.len())
    }

    /// The ids of the topics that a member subscribes to.
    pub(crate) fn topics_of(&self, member: &ShareMember, topics: &dyn Topics) -> BTreeSet<Uuid> {
        let names = member.profile.topics.iter();
        names.filter_map(|name| topics.by_name(name)).map(|topic| topic.id).collect()
    }

    pub(crate) fn state(&self) -> ShareGroupState {
        if self.members.is_empty() { ShareGroupState::Empty } else { ShareGroupState::Stable }
    }

    /// Facts that take all records of the group away.
    pub(crate) fn tombstones(&self) -> Vec<ShareFact> {
        let ids = || self.members.keys().cloned();
        let mut facts: Vec<ShareFact> = ids().map(|id| ShareFact::Current(id, None)).collect();
        facts.extend(self.target.keys().cloned().map(|id| ShareFact::Target(id, None)));
        facts.push(ShareFact::TargetEpoch(None));
        facts.extend(ids().map(|id| ShareFact::Member(id, None)));
        facts.push(ShareFact::State(None));
        facts.push(ShareFact::Group(None));
        facts
    }

    /// What the log would have to say, to compare groups.
    #[cfg(test)]
    pub(crate) fn as_facts(&self) -> Vec<ShareFact> {
        let mut facts = vec![
            ShareFact::Group(self.epoch),
            ShareFact::TargetEpoch(self.target_epoch),
            ShareFact::State(self.state.clone().map(Box::new)),
        ];
        for member in self.members.values() {
            let (profile, progress) = (member.profile.clone(), member.progress.clone());
            facts.push(ShareFact::Member(Arc::clone(&member.id), Some(Box::new(profile))));
            facts.push(ShareFact::Current(Arc::clone(&member.id), Some(Box::new(progress))));
        }
        let target = self.target.iter();
        facts.extend(target.map(|(id, one)| ShareFact::Target(Arc::clone(id), Some(one.clone()))));
        facts
    }

    /// Panics if the group contradicts itself.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        assert!(self.target_epoch().epoch <= self.epoch());
        let mut named: BTreeMap<String, usize> = BTreeMap::new();
        for member in self.members.values() {
            assert!(member.progress.epoch <= self.epoch());
            assert!(member.progress.previous_epoch <= member.progress.epoch);
            for topic in &member.profile.topics {
                *named.entry(topic.clone()).or_default() += 1;
            }
        }
        assert_eq!(named, self.named);
    }
}

/// The epoch of a group before anything was subscribed to.
const FIRST_EPOCH: i32 = 1;
