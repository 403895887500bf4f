//! The steps of the sticky assignor.

use std::collections::HashMap;
use std::sync::Arc;

use super::process::{Processes, Role, Task};
use super::{Problem, Worker};
use crate::streams::tasks::{Assignment, Tasks, collect};

/// How much each member should have at most, given who is not full yet.
#[derive(Debug)]
struct Quota {
    tasks: usize,
    members: usize,
    per_member: usize,
}

impl Quota {
    fn new(tasks: usize, members: usize) -> Self {
        let per_member = if members == 0 { 0 } else { tasks.div_ceil(members) };
        Self { tasks, members, per_member }
    }

    /// A member has `count` tasks now: if it is full, the others share what is left.
    fn note(&mut self, count: usize) {
        if count == self.per_member {
            let (tasks, members) =
                (self.tasks.saturating_sub(count), self.members.saturating_sub(1));
            *self = Self::new(tasks, members);
        }
    }
}

struct Sticky<'p> {
    problem: &'p Problem,
    processes: Processes,
    ran: HashMap<Task, usize>,
    kept: HashMap<Task, Vec<usize>>,
    active: Quota,
    total: Quota,
}

/// An assignment for every worker.
pub(crate) fn assign(problem: &Problem) -> Vec<(Arc<str>, Assignment)> {
    let mut sticky = Sticky::new(problem);
    if !problem.workers.is_empty() {
        sticky.assign_active();
        if problem.standby_replicas > 0 {
            sticky.assign_standby();
        }
    }
    let ids: Vec<&String> = problem.subtopologies.keys().collect();
    let named = |tasks: &[Task]| -> Tasks {
        collect(tasks.iter().map(|(subtopology, at)| (ids[*subtopology].clone(), vec![*at])))
    };
    let members = sticky.processes.into_members();
    let workers = problem.workers.iter().zip(members);
    workers
        .map(|(worker, member)| {
            let assignment = Assignment {
                active: named(&member.active),
                standby: named(&member.standby),
                warmup: Tasks::new(),
            };
            (Arc::clone(&worker.id), assignment)
        })
        .collect()
}

impl<'p> Sticky<'p> {
    fn new(problem: &'p Problem) -> Self {
        let index: HashMap<&str, usize> =
            problem.subtopologies.keys().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
        let (mut ran, mut kept) = (HashMap::new(), HashMap::<Task, Vec<usize>>::new());
        for (at, Worker { last, .. }) in problem.workers.iter().enumerate() {
            for task in known(&last.active, &index) {
                ran.insert(task, at);
            }
            for task in known(&last.standby, &index) {
                kept.entry(task).or_default().push(at);
            }
        }
        let tasks = |stateful_only: bool| -> usize {
            let all = problem.subtopologies.values();
            let wanted = all.filter(|work| work.is_stateful || !stateful_only);
            wanted.map(|work| usize::try_from(work.tasks).unwrap_or(0)).sum()
        };
        let members = problem.workers.len();
        let total = tasks(false) + tasks(true) * problem.standby_replicas;
        Self {
            problem,
            processes: Processes::new(&problem.workers),
            ran,
            kept,
            active: Quota::new(tasks(false), members),
            total: Quota::new(total, members),
        }
    }

    /// All tasks, or those with state, by partition first: neighbours go to different members.
    fn tasks(&self, stateful_only: bool) -> Vec<Task> {
        let all = self.problem.subtopologies.values().enumerate();
        let wanted = all.filter(|(_, work)| work.is_stateful || !stateful_only);
        let mut tasks: Vec<Task> =
            wanted.flat_map(|(at, work)| (0..work.tasks).map(move |task| (at, task))).collect();
        tasks.sort_unstable_by_key(|(subtopology, at)| (*at, *subtopology));
        tasks
    }

    fn give_active(&mut self, member: usize, task: Task) {
        let count = self.processes.give(member, task, Role::Active);
        self.active.note(count);
        self.total.note(count);
    }

    fn assign_active(&mut self) {
        let mut left = Vec::new();
        for task in self.tasks(false) {
            match self.ran.get(&task).copied() {
                Some(member) if self.processes.member(member).count() < self.active.per_member => {
                    self.give_active(member, task);
                }
                _ => left.push(task),
            }
        }
        let mut homeless = Vec::new();
        for task in left {
            let member = self.idlest_keeper(task, false);
            match member {
                Some(member) if self.processes.member(member).count() < self.active.per_member => {
                    self.give_active(member, task);
                }
                _ => homeless.push(task),
            }
        }
        homeless.sort_unstable();
        let mut queue = self.processes.by_load();
        for task in homeless {
            if let Some(count) = queue.give(&mut self.processes, task, Role::Active) {
                self.active.note(count);
                self.total.note(count);
            }
        }
    }

    /// Of the members that kept the task's state the one with least load.
    fn idlest_keeper(&self, task: Task, must_not_have: bool) -> Option<usize> {
        let kept = self.kept.get(&task)?.iter().copied();
        let free = kept.filter(|member| !must_not_have || !self.processes.has(*member, task));
        free.min_by_key(|member| self.processes.load(*member))
    }

    fn assign_standby(&mut self) {
        let mut tasks = self.tasks(true);
        tasks.reverse();
        let mut homeless: Vec<(Task, usize)> = Vec::new();
        for task in tasks {
            for replica in 0..self.problem.standby_replicas {
                let ran = self.ran.get(&task).copied();
                let ran = ran.filter(|member| self.can_keep(*member, task));
                let keeper = || {
                    let keeper = self.idlest_keeper(task, true);
                    keeper.filter(|member| self.can_keep(*member, task))
                };
                if let Some(member) = ran.or_else(keeper) {
                    let count = self.processes.give(member, task, Role::Standby);
                    self.total.note(count);
                } else {
                    homeless.push((task, self.problem.standby_replicas - replica));
                    break;
                }
            }
        }
        homeless.sort_unstable();
        homeless.reverse();
        let mut queue = self.processes.by_load();
        for (task, replicas) in homeless {
            for _ in 0..replicas {
                // Every process has the task: there is no room for more copies.
                if queue.give(&mut self.processes, task, Role::Standby).is_none() {
                    break;
                }
            }
        }
    }

    fn can_keep(&self, member: usize, task: Task) -> bool {
        !self.processes.has(member, task)
            && self.processes.member(member).count() < self.total.per_member
    }
}

fn known<'t>(tasks: &'t Tasks, index: &'t HashMap<&str, usize>) -> impl Iterator<Item = Task> + 't {
    tasks
        .iter()
        .filter_map(|(id, set)| index.get(id.as_str()).map(|at| (*at, set)))
        .flat_map(|(at, set)| set.iter().map(move |partition| (at, *partition)))
}
