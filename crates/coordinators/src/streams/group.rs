//! One streams group as its records tell it, and what follows from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use super::configure::Configured;
use super::facts::{GroupEpoch, StreamsFact, TargetEpoch};
use super::member::{Progress, StreamsMember};
use super::tasks::{Assignment, Held};
use super::topology::Topology;
use crate::change::Replay;

/// The state of a streams group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamsGroupState {
    /// No members; it may hold offsets.
    Empty,
    /// Topics of the topology are missing or not as wide as they must be.
    NotReady,
    /// The next assignment is not made yet.
    Assigning,
    /// Members are on their way to the assignment.
    Reconciling,
    /// Every member has what the assignment gives it.
    Stable,
}

impl StreamsGroupState {
    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::NotReady => "NotReady",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

impl fmt::Display for StreamsGroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who has each task of one role, or has not given it up yet.
type Owners = HashMap<String, HashMap<i32, BTreeSet<Arc<str>>>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct StreamsGroup {
    pub(crate) id: Arc<str>,
    epoch: Option<GroupEpoch>,
    topology: Option<Arc<Topology>>,
    target_epoch: Option<TargetEpoch>,
    members: BTreeMap<Arc<str>, StreamsMember>,
    target: BTreeMap<Arc<str>, Assignment>,
    active: Owners,
    standby: Owners,
    warmup: Owners,
    /// The topology over the topics of some time ago. Not in the log, nor is what follows.
    pub(crate) configured: Option<Arc<Configured>>,
    /// Topics that the topology needs have changed since then.
    pub(crate) metadata_expired: bool,
    /// Who asked that the whole application ends.
    shutdown_by: Option<Arc<str>>,
    /// Counts changes of what members with endpoints have.
    pub(crate) endpoint_epoch: i32,
}

impl Replay for StreamsGroup {
    type Fact = StreamsFact;

    fn replay(&mut self, fact: StreamsFact) -> StreamsFact {
        match fact {
            StreamsFact::Group(value) => {
                StreamsFact::Group(std::mem::replace(&mut self.epoch, value))
            }
            StreamsFact::Topology(value) => {
                self.configured = None;
                StreamsFact::Topology(std::mem::replace(&mut self.topology, value))
            }
            StreamsFact::TargetEpoch(value) => {
                StreamsFact::TargetEpoch(std::mem::replace(&mut self.target_epoch, value))
            }
            StreamsFact::Target(member, value) => {
                let before = match value {
                    Some(value) => self.target.insert(Arc::clone(&member), value),
                    None => self.target.remove(&member),
                };
                StreamsFact::Target(member, before)
            }
            StreamsFact::Member(id, value) => {
                let before = self.change(&id, |member| {
                    let known = std::mem::replace(&mut member.known, value.is_some());
                    let profile = value.map(|value| *value).unwrap_or_default();
                    let before = std::mem::replace(&mut member.profile, profile);
                    known.then(|| Box::new(before))
                });
                StreamsFact::Member(id, before)
            }
            StreamsFact::Current(id, value) => {
                let before = self.change(&id, |member| {
                    let value = value.map(|value| *value).unwrap_or_default();
                    let before = std::mem::replace(&mut member.progress, value);
                    (before != Progress::default()).then(|| Box::new(before))
                });
                StreamsFact::Current(id, before)
            }
        }
    }
}

impl StreamsGroup {
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            epoch: None,
            topology: None,
            target_epoch: None,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            active: Owners::new(),
            standby: Owners::new(),
            warmup: Owners::new(),
            configured: None,
            metadata_expired: true,
            shutdown_by: None,
            endpoint_epoch: 0,
        }
    }

    /// Changes a member, keeping what follows from members right. One of whom no record is left
    /// is gone.
    fn change<R>(&mut self, id: &Arc<str>, change: impl FnOnce(&mut StreamsMember) -> R) -> R {
        let mut member =
            self.members.remove(id).unwrap_or_else(|| StreamsMember::new(Arc::clone(id)));
        self.count(&member, false);
        let result = change(&mut member);
        if member.known || member.progress != Progress::default() {
            self.count(&member, true);
            self.members.insert(Arc::clone(id), member);
        } else if self.members.is_empty() {
            self.shutdown_by = None;
        }
        result
    }

    fn count(&mut self, member: &StreamsMember, is_there: bool) {
        for Held { active, standby, warmup } in held(&member.progress) {
            for (id, tasks) in active {
                own(&mut self.active, id, tasks.keys(), &member.id, is_there);
            }
            for (id, tasks) in standby {
                own(&mut self.standby, id, tasks.iter(), &member.id, is_there);
            }
            for (id, tasks) in warmup {
                own(&mut self.warmup, id, tasks.iter(), &member.id, is_there);
            }
        }
    }

    /// Whether no record is left of the group.
    pub(crate) fn is_gone(&self) -> bool {
        self.epoch.is_none() && self.members.is_empty()
    }

    /// A group begins with its first epoch, which no record tells.
    pub(crate) fn epoch(&self) -> i32 {
        self.epoch.as_ref().map_or(FIRST_EPOCH, |epoch| epoch.epoch)
    }

    /// Everything that goes with the epoch.
    pub(crate) fn last_epoch(&self) -> GroupEpoch {
        self.epoch
            .clone()
            .unwrap_or_else(|| GroupEpoch { epoch: FIRST_EPOCH, ..GroupEpoch::default() })
    }

    pub(crate) fn topology(&self) -> Option<&Arc<Topology>> {
        self.topology.as_ref()
    }

    pub(crate) fn target_epoch(&self) -> TargetEpoch {
        self.target_epoch.unwrap_or(TargetEpoch { epoch: FIRST_EPOCH, timestamp: 0 })
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &StreamsMember> {
        self.members.values()
    }

    pub(crate) fn member(&self, id: &str) -> Option<&StreamsMember> {
        self.members.get(id)
    }

    pub(crate) fn member_or_refuse(
        &self,
        id: &str,
    ) -> Result<&StreamsMember, super::error::StreamsError> {
        self.member(id).ok_or_else(|| super::error::StreamsError::unknown_member(id, &self.id))
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn target(&self, member: &str) -> Option<&Assignment> {
        self.target.get(member)
    }

    /// Whether any member has the task as an active one.
    pub(crate) fn is_active(&self, subtopology: &str, task: i32) -> bool {
        owners(&self.active, subtopology, task).next().is_some()
    }

    /// Whether a member of the process has the task as an active one.
    pub(crate) fn is_active_in(&self, process: &str, subtopology: &str, task: i32) -> bool {
        self.is_in(&self.active, process, subtopology, task)
    }

    /// Whether a member of the process keeps the task's state without running it.
    pub(crate) fn is_kept_in(&self, process: &str, subtopology: &str, task: i32) -> bool {
        self.is_in(&self.standby, process, subtopology, task)
            || self.is_in(&self.warmup, process, subtopology, task)
    }

    fn is_in(&self, roles: &Owners, process: &str, subtopology: &str, task: i32) -> bool {
        owners(roles, subtopology, task)
            .any(|id| self.member(id).is_some_and(|member| member.profile.process_id == process))
    }

    pub(crate) fn requires(&self, topic: &str) -> bool {
        self.topology.as_ref().is_some_and(|topology| topology.requires(topic))
    }

    /// Whether offsets of `topic` are in use.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        !self.is_empty() && self.topology.as_ref().is_some_and(|one| one.reader(topic).is_some())
    }

    /// A member asks that the whole application ends.
    pub(crate) fn shut_down(&mut self, by: Arc<str>) {
        self.shutdown_by.get_or_insert(by);
    }

    pub(crate) fn shutdown_by(&self) -> Option<&Arc<str>> {
        self.shutdown_by.as_ref()
    }

    pub(crate) fn state(&self) -> StreamsGroupState {
        let target = self.target_epoch().epoch;
        let validated = self.last_epoch().validated_topology_epoch;
        let is_ready = self.topology.as_ref().is_some_and(|topology| topology.epoch == validated);
        if self.members.is_empty() {
            StreamsGroupState::Empty
        } else if !is_ready {
            StreamsGroupState::NotReady
        } else if self.epoch() > target {
            StreamsGroupState::Assigning
        } else if self.members.values().all(|member| member.is_reconciled_to(target)) {
            StreamsGroupState::Stable
        } else {
            StreamsGroupState::Reconciling
        }
    }

    /// Facts that take all records of the group away.
    pub(crate) fn tombstones(&self) -> Vec<StreamsFact> {
        let ids = || self.members.keys().cloned();
        let mut facts: Vec<StreamsFact> = ids().map(|id| StreamsFact::Current(id, None)).collect();
        facts.extend(self.target.keys().cloned().map(|id| StreamsFact::Target(id, None)));
        facts.push(StreamsFact::TargetEpoch(None));
        facts.extend(ids().map(|id| StreamsFact::Member(id, None)));
        facts.push(StreamsFact::Topology(None));
        facts.push(StreamsFact::Group(None));
        facts
    }

    /// What the log would have to say, to compare groups.
    #[cfg(test)]
    pub(crate) fn as_facts(&self) -> Vec<StreamsFact> {
        let mut facts = vec![
            StreamsFact::Group(self.epoch.clone()),
            StreamsFact::Topology(self.topology.clone()),
            StreamsFact::TargetEpoch(self.target_epoch),
        ];
        for member in self.members.values() {
            let id = || Arc::clone(&member.id);
            facts.push(StreamsFact::Member(id(), Some(Box::new(member.profile.clone()))));
            facts.push(StreamsFact::Current(id(), Some(Box::new(member.progress.clone()))));
        }
        let target = self.target.iter();
        facts
            .extend(target.map(|(id, one)| StreamsFact::Target(Arc::clone(id), Some(one.clone()))));
        facts
    }

    /// Panics if the group contradicts itself.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        let mut count = 0;
        for member in self.members.values() {
            for one in held(&member.progress) {
                for (id, task) in all(&one.tasks().active) {
                    let owners: Vec<_> = owners(&self.active, id, task).collect();
                    assert_eq!(owners, [&member.id], "{id}-{task} has not one owner");
                    count += 1;
                }
            }
            assert!(member.progress.epoch <= self.epoch());
        }
        let known = self.active.values().flat_map(HashMap::values).map(BTreeSet::len);
        assert_eq!(known.sum::<usize>(), count);
        assert!(self.target_epoch().epoch <= self.epoch());
        let mut targets = BTreeSet::new();
        for (id, task) in self.target.values().flat_map(|one| all(&one.active)) {
            assert!(targets.insert((id, task)), "{id}-{task} is meant for two members");
        }
    }
}

/// What a member has or has not given up yet.
fn held(progress: &Progress) -> [&Held; 2] {
    [&progress.assigned, &progress.pending_revocation]
}

/// Every task, named.
#[cfg(test)]
fn all(tasks: &super::tasks::Tasks) -> impl Iterator<Item = (&str, i32)> {
    tasks.iter().flat_map(|(id, set)| set.iter().map(move |task| (id.as_str(), *task)))
}

fn owners<'o>(
    roles: &'o Owners,
    subtopology: &str,
    task: i32,
) -> impl Iterator<Item = &'o Arc<str>> {
    roles.get(subtopology).and_then(|tasks| tasks.get(&task)).into_iter().flatten()
}

fn own<'t>(
    roles: &mut Owners,
    subtopology: &str,
    tasks: impl Iterator<Item = &'t i32>,
    member: &Arc<str>,
    is_there: bool,
) {
    if is_there {
        let owners = roles.entry(subtopology.to_owned()).or_default();
        for task in tasks {
            owners.entry(*task).or_default().insert(Arc::clone(member));
        }
        return;
    }
    let Some(owners) = roles.get_mut(subtopology) else { return };
    for task in tasks {
        if let Some(of_task) = owners.get_mut(task) {
            of_task.remove(member);
            if of_task.is_empty() {
                owners.remove(task);
            }
        }
    }
    if owners.is_empty() {
        roles.remove(subtopology);
    }
}

/// The epoch of a group before anything was described.
const FIRST_EPOCH: i32 = 1;
