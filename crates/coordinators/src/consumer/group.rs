//! One consumer group as its records tell it, and what follows from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use naru_model::Uuid;

use super::assignment::{Owned, Partitions};
use super::facts::{ConsumerFact, GroupEpoch, ResolvedRegex, TargetEpoch};
use super::member::{ConsumerMember, Progress};
use super::topics::{Topics, Viewer};
use crate::change::Replay;

/// The state of a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsumerGroupState {
    /// No members; it may hold offsets.
    Empty,
    /// The members' subscriptions have changed and the next assignment is not made yet.
    Assigning,
    /// Members are on their way to the assignment.
    Reconciling,
    /// Every member has what the assignment gives it.
    Stable,
}

impl ConsumerGroupState {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

impl fmt::Display for ConsumerGroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    pub(crate) id: Arc<str>,
    epoch: Option<GroupEpoch>,
    target_epoch: Option<TargetEpoch>,
    members: BTreeMap<Arc<str>, ConsumerMember>,
    target: BTreeMap<Arc<str>, Partitions>,
    resolved: BTreeMap<Arc<str>, ResolvedRegex>,
    /// A record of Kafka before 4.1 is in the log and has to go.
    pub(crate) has_partition_metadata: bool,
    static_members: HashMap<String, Arc<str>>,
    /// Who has each partition, or has not given it up yet.
    owners: HashMap<Uuid, HashMap<i32, Arc<str>>>,
    /// How many members name each topic.
    named: BTreeMap<String, usize>,
    /// How many members have each pattern.
    patterns: BTreeMap<String, usize>,
    /// Topics that the members subscribe to have changed since the hash was taken. Not in the log:
    /// a group that was just loaded looks anyway.
    pub(crate) metadata_expired: bool,
    /// Topics were made since the patterns were resolved, or it is not known.
    pub(crate) new_topics_since_resolved: bool,
    /// Patterns are about to be resolved.
    pub(crate) resolving: bool,
    /// Who may hide topics from them then.
    pub(crate) resolving_for: Option<Viewer>,
}

impl Replay for ConsumerGroup {
    type Fact = ConsumerFact;

    fn replay(&mut self, fact: ConsumerFact) -> ConsumerFact {
        match fact {
            ConsumerFact::Group(value) => {
                ConsumerFact::Group(std::mem::replace(&mut self.epoch, value))
            }
            ConsumerFact::PartitionMetadata { present } => {
                let before = std::mem::replace(&mut self.has_partition_metadata, present);
                ConsumerFact::PartitionMetadata { present: before }
            }
            ConsumerFact::TargetEpoch(value) => {
                ConsumerFact::TargetEpoch(std::mem::replace(&mut self.target_epoch, value))
            }
            ConsumerFact::Target(member, value) => {
                let before = match value {
                    Some(value) => self.target.insert(Arc::clone(&member), value),
                    None => self.target.remove(&member),
                };
                ConsumerFact::Target(member, before)
            }
            ConsumerFact::Regex(regex, value) => {
                let before = match value {
                    Some(value) => self.resolved.insert(Arc::clone(&regex), value),
                    None => self.resolved.remove(&regex),
                };
                ConsumerFact::Regex(regex, before)
            }
            ConsumerFact::Member(id, value) => {
                let before = self.change(&id, |member| {
                    let known = std::mem::replace(&mut member.known, value.is_some());
                    let profile = value.map(|value| *value).unwrap_or_default();
                    let before = std::mem::replace(&mut member.profile, profile);
                    known.then(|| Box::new(before))
                });
                ConsumerFact::Member(id, before)
            }
            ConsumerFact::Current(id, value) => {
                let before = self.change(&id, |member| {
                    let value = value.map(|value| *value).unwrap_or_default();
                    let before = std::mem::replace(&mut member.progress, value);
                    (before != Progress::default()).then(|| Box::new(before))
                });
                ConsumerFact::Current(id, before)
            }
        }
    }
}

impl ConsumerGroup {
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            epoch: None,
            target_epoch: None,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            resolved: BTreeMap::new(),
            has_partition_metadata: false,
            static_members: HashMap::new(),
            owners: HashMap::new(),
            named: BTreeMap::new(),
            patterns: BTreeMap::new(),
            metadata_expired: true,
            new_topics_since_resolved: true,
            resolving: false,
            resolving_for: None,
        }
    }

    /// Changes a member, keeping what follows from members right. One of whom no record is left
    /// is gone.
    fn change<R>(&mut self, id: &Arc<str>, change: impl FnOnce(&mut ConsumerMember) -> R) -> R {
        let mut member =
            self.members.remove(id).unwrap_or_else(|| ConsumerMember::new(Arc::clone(id)));
        self.uncount(&member);
        let result = change(&mut member);
        if member.known || member.progress != Progress::default() {
            self.count(&member);
            self.members.insert(Arc::clone(id), member);
        }
        result
    }

    fn count(&mut self, member: &ConsumerMember) {
        if let Some(instance_id) = &member.profile.instance_id {
            self.static_members.insert(instance_id.clone(), Arc::clone(&member.id));
        }
        for topic in &member.profile.topics {
            *self.named.entry(topic.clone()).or_default() += 1;
        }
        if !member.profile.regex.is_empty() {
            *self.patterns.entry(member.profile.regex.clone()).or_default() += 1;
        }
        for (topic, partitions) in held(&member.progress) {
            let owners = self.owners.entry(*topic).or_default();
            for partition in partitions.keys() {
                owners.insert(*partition, Arc::clone(&member.id));
            }
        }
    }

    fn uncount(&mut self, member: &ConsumerMember) {
        if let Some(instance_id) = &member.profile.instance_id
            && self.static_members.get(instance_id) == Some(&member.id)
        {
            self.static_members.remove(instance_id);
        }
        for topic in &member.profile.topics {
            decrease(&mut self.named, topic);
        }
        decrease(&mut self.patterns, &member.profile.regex);
        for (topic, partitions) in held(&member.progress) {
            let Some(owners) = self.owners.get_mut(topic) else { continue };
            for partition in partitions.keys() {
                if owners.get(partition) == Some(&member.id) {
                    owners.remove(partition);
                }
            }
            if owners.is_empty() {
                self.owners.remove(topic);
            }
        }
    }

    /// Whether no record is left of the group.
    pub(crate) fn is_gone(&self) -> bool {
        self.epoch.is_none() && self.members.is_empty()
    }

    /// A group begins with its first epoch, which no record tells.
    pub(crate) fn epoch(&self) -> i32 {
        self.epoch.map_or(FIRST_EPOCH, |epoch| epoch.epoch)
    }

    pub(crate) fn metadata_hash(&self) -> i64 {
        self.epoch.map_or(0, |epoch| epoch.metadata_hash)
    }

    pub(crate) fn target_epoch(&self) -> TargetEpoch {
        self.target_epoch.unwrap_or_default()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &ConsumerMember> {
        self.members.values()
    }

    pub(crate) fn member(&self, id: &str) -> Option<&ConsumerMember> {
        self.members.get(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn static_member(&self, instance_id: &str) -> Option<&ConsumerMember> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    pub(crate) fn target(&self, member: &str) -> Option<&Partitions> {
        self.target.get(member)
    }

    pub(crate) fn resolved(&self, regex: &str) -> Option<&ResolvedRegex> {
        self.resolved.get(regex)
    }

    pub(crate) fn patterns(&self) -> impl Iterator<Item = &String> {
        self.patterns.keys()
    }

    pub(crate) fn pattern_count(&self) -> usize {
        self.patterns.len()
    }

    pub(crate) fn resolved_count(&self) -> usize {
        self.resolved.len()
    }

    pub(crate) fn members_with_pattern(&self, regex: &str) -> usize {
        self.patterns.get(regex).copied().unwrap_or(0)
    }

    /// When patterns were last resolved.
    pub(crate) fn patterns_resolved_at(&self) -> Option<i64> {
        self.resolved.values().map(|resolved| resolved.timestamp).max()
    }

    pub(crate) fn owner(&self, topic: Uuid, partition: i32) -> Option<&Arc<str>> {
        self.owners.get(&topic)?.get(&partition)
    }

    /// Every topic that a member names or that a pattern stands for.
    pub(crate) fn subscribed(&self) -> BTreeSet<&str> {
        let by_pattern =
            self.resolved.iter().filter(|(regex, _)| self.patterns.contains_key(&***regex));
        let by_pattern = by_pattern.flat_map(|(_, resolved)| resolved.topics.iter());
        self.named.keys().chain(by_pattern).map(String::as_str).collect()
    }

    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.named.contains_key(topic)
            || self.resolved.iter().any(|(regex, resolved)| {
                self.patterns.contains_key(&**regex) && resolved.topics.contains(topic)
            })
    }

    /// The ids of the topics that a member subscribes to, by name.
    pub(crate) fn topics_of(&self, member: &ConsumerMember, topics: &dyn Topics) -> BTreeSet<Uuid> {
        let by_pattern = self.resolved(&member.profile.regex).into_iter();
        let by_pattern = by_pattern.flat_map(|resolved| resolved.topics.iter());
        let names = member.profile.topics.iter().chain(by_pattern);
        names.filter_map(|name| topics.by_name(name)).map(|topic| topic.id).collect()
    }

    /// The assignor that most members ask for; none if nobody asks.
    pub(crate) fn preferred_assignor(&self) -> Option<&str> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.members.values().filter_map(|member| member.profile.assignor.as_deref()) {
            *votes.entry(name).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name)
    }

    pub(crate) fn state(&self) -> ConsumerGroupState {
        let target = self.target_epoch().epoch;
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch() > target {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(|member| member.is_reconciled_to(target)) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    /// Facts that take all records of the group away.
    pub(crate) fn tombstones(&self) -> Vec<ConsumerFact> {
        let ids = || self.members.keys().cloned();
        let mut facts: Vec<ConsumerFact> =
            ids().map(|id| ConsumerFact::Current(id, None)).collect();
        facts.extend(self.target.keys().cloned().map(|id| ConsumerFact::Target(id, None)));
        facts.push(ConsumerFact::TargetEpoch(None));
        facts.extend(ids().map(|id| ConsumerFact::Member(id, None)));
        facts.extend(self.resolved.keys().cloned().map(|regex| ConsumerFact::Regex(regex, None)));
        if self.has_partition_metadata {
            facts.push(ConsumerFact::PartitionMetadata { present: false });
        }
        facts.push(ConsumerFact::Group(None));
        facts
    }

    /// What the log would have to say, to compare groups.
    #[cfg(test)]
    pub(crate) fn as_facts(&self) -> Vec<ConsumerFact> {
        let mut facts =
            vec![ConsumerFact::Group(self.epoch), ConsumerFact::TargetEpoch(self.target_epoch)];
        for member in self.members.values() {
            let id = &member.id;
            facts
                .push(ConsumerFact::Member(Arc::clone(id), Some(Box::new(member.profile.clone()))));
            facts.push(ConsumerFact::Current(
                Arc::clone(id),
                Some(Box::new(member.progress.clone())),
            ));
        }
        let target = self
            .target
            .iter()
            .map(|(id, one)| ConsumerFact::Target(Arc::clone(id), Some(one.clone())));
        facts.extend(target);
        let resolved = self
            .resolved
            .iter()
            .map(|(id, one)| ConsumerFact::Regex(Arc::clone(id), Some(one.clone())));
        facts.extend(resolved);
        facts
    }

    /// Panics if the group contradicts itself.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        let mut seen = HashMap::new();
        for member in self.members.values() {
            for (topic, partitions) in held(&member.progress) {
                for partition in partitions.keys() {
                    let other = seen.insert((*topic, *partition), Arc::clone(&member.id));
                    assert_eq!(other, None, "{topic}-{partition} has two owners");
                    assert_eq!(self.owner(*topic, *partition), Some(&member.id));
                }
            }
            assert!(member.progress.epoch <= self.epoch());
        }
        assert_eq!(seen.len(), self.owners.values().map(HashMap::len).sum::<usize>());
        assert!(self.target_epoch().epoch <= self.epoch());
    }
}

/// What a member has or has not given up yet.
fn held(progress: &Progress) -> impl Iterator<Item = (&Uuid, &BTreeMap<i32, i32>)> {
    let Progress { assigned, pending_revocation, .. } = progress;
    let all: [&Owned; 2] = [assigned, pending_revocation];
    all.into_iter().flatten()
}

/// The epoch of a group before anything was subscribed to.
const FIRST_EPOCH: i32 = 1;

fn decrease(counts: &mut BTreeMap<String, usize>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
