//! Sets of tasks, and what messages make of them.

use std::collections::{BTreeMap, BTreeSet};

use naru_protocol::messages::streams_group_current_member_assignment_value::TaskIds as CurrentTasks;
use naru_protocol::messages::streams_group_heartbeat_request::{
    StreamsGroupHeartbeatRequest, TaskIds as ClaimedTasks,
};

/// Tasks by subtopology, a task being the partition it reads; no subtopology is empty.
pub(crate) type Tasks = BTreeMap<String, BTreeSet<i32>>;
/// Tasks by subtopology, each with the epoch in which its owner got it (KIP-1251).
pub(crate) type OwnedTasks = BTreeMap<String, BTreeMap<i32, i32>>;

/// What a member is to have, or says that it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) active: Tasks,
    pub(crate) standby: Tasks,
    pub(crate) warmup: Tasks,
}

/// What a member has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) active: OwnedTasks,
    pub(crate) standby: Tasks,
    pub(crate) warmup: Tasks,
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }
}

impl Assignment {
    /// What a member says it has; nothing if it does not say.
    pub(crate) fn claimed(request: &StreamsGroupHeartbeatRequest) -> Option<Self> {
        Some(Self {
            active: from_claimed(request.active_tasks.as_deref()?),
            standby: from_claimed(request.standby_tasks.as_deref()?),
            warmup: from_claimed(request.warmup_tasks.as_deref()?),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }

    /// Whether it has any of these tasks in the same role.
    pub(crate) fn shares(&self, held: &Held) -> bool {
        let active = held.active.iter().any(|(id, tasks)| {
            self.active.get(id).is_some_and(|own| tasks.keys().any(|task| own.contains(task)))
        });
        active || meet(&self.standby, &held.standby) || meet(&self.warmup, &held.warmup)
    }
}

fn meet(a: &Tasks, b: &Tasks) -> bool {
    b.iter().any(|(id, tasks)| a.get(id).is_some_and(|own| !own.is_disjoint(tasks)))
}

fn from_claimed(claimed: &[ClaimedTasks]) -> Tasks {
    collect(claimed.iter().map(|one| (one.subtopology_id.clone(), one.partitions.clone())))
}

/// Whether a member that says so owns nothing but tasks of `held`; one that does not say may own
/// others.
pub(crate) fn is_subset(request: &StreamsGroupHeartbeatRequest, held: &Held) -> bool {
    let within = |claimed: &Option<Vec<ClaimedTasks>>, has: &dyn Fn(&str, i32) -> Option<bool>| {
        claimed.as_ref().is_some_and(|claimed| {
            claimed.iter().all(|one| {
                // One that names a subtopology it has nothing of is wrong, even without tasks.
                has(&one.subtopology_id, -1).is_some()
                    && one.partitions.iter().all(|at| has(&one.subtopology_id, *at) == Some(true))
            })
        })
    };
    let in_tasks = |tasks: &Tasks, id: &str, at: i32| tasks.get(id).map(|own| own.contains(&at));
    within(&request.active_tasks, &|id, at| held.active.get(id).map(|own| own.contains_key(&at)))
        && within(&request.standby_tasks, &|id, at| in_tasks(&held.standby, id, at))
        && within(&request.warmup_tasks, &|id, at| in_tasks(&held.warmup, id, at))
}

/// Tasks without their epochs.
pub(crate) fn without_epochs(owned: &OwnedTasks) -> Tasks {
    owned.iter().map(|(id, tasks)| (id.clone(), tasks.keys().copied().collect())).collect()
}

/// Tasks as a message has them.
pub(crate) fn to_message<T>(tasks: &Tasks, make: impl Fn(String, Vec<i32>) -> T) -> Vec<T> {
    let ids = |set: &BTreeSet<i32>| set.iter().copied().collect();
    tasks.iter().map(|(id, set)| make(id.clone(), ids(set))).collect()
}

/// Tasks out of a message.
pub(crate) fn collect(named: impl Iterator<Item = (String, Vec<i32>)>) -> Tasks {
    let mut tasks = Tasks::new();
    for (id, partitions) in named.filter(|(_, partitions)| !partitions.is_empty()) {
        tasks.entry(id).or_default().extend(partitions);
    }
    tasks
}

pub(crate) fn to_current(tasks: &Tasks) -> Vec<CurrentTasks> {
    to_message(tasks, |subtopology_id, partitions| CurrentTasks {
        subtopology_id,
        partitions,
        assignment_epochs: None,
    })
}

pub(crate) fn owned_to_current(owned: &OwnedTasks) -> Vec<CurrentTasks> {
    let all = owned.iter().map(|(id, tasks)| CurrentTasks {
        subtopology_id: id.clone(),
        partitions: tasks.keys().copied().collect(),
        assignment_epochs: Some(tasks.values().copied().collect()),
    });
    all.collect()
}

pub(crate) fn from_current(current: Vec<CurrentTasks>) -> Tasks {
    collect(current.into_iter().map(|one| (one.subtopology_id, one.partitions)))
}

/// Reads a record's active tasks. Records from before KIP-1251 have no epochs: the member's stands
/// in for them.
pub(crate) fn owned_from_current(current: Vec<CurrentTasks>, member_epoch: i32) -> OwnedTasks {
    let mut owned = OwnedTasks::new();
    for one in current.into_iter().filter(|one| !one.partitions.is_empty()) {
        let mut epochs = one.assignment_epochs.unwrap_or_default().into_iter();
        let tasks = owned.entry(one.subtopology_id).or_default();
        for partition in one.partitions {
            tasks.insert(partition, epochs.next().unwrap_or(member_epoch));
        }
    }
    owned
}
