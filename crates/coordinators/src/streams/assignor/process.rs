//! Who has how much while tasks are being assigned.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::Worker;

/// A task: the index of its subtopology in order of ids, and its partition.
pub(super) type Task = (usize, i32);

/// Processes and their members, by index.
#[derive(Debug)]
pub(super) struct Processes {
    processes: Vec<Process>,
    members: Vec<Member>,
}

#[derive(Debug, Default)]
struct Process {
    members: Vec<usize>,
    tasks: HashSet<Task>,
    /// Tasks of any role.
    count: usize,
}

#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) process: usize,
    pub(super) active: Vec<Task>,
    pub(super) standby: Vec<Task>,
}

impl Member {
    pub(super) fn count(&self) -> usize {
        self.active.len() + self.standby.len()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Active,
    Standby,
}

impl Processes {
    pub(super) fn new(workers: &[Worker]) -> Self {
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut processes: Vec<Process> = Vec::new();
        let mut members = Vec::with_capacity(workers.len());
        for (at, worker) in workers.iter().enumerate() {
            let process = *known.entry(&worker.process_id).or_insert_with(|| {
                processes.push(Process::default());
                processes.len() - 1
            });
            processes[process].members.push(at);
            members.push(Member { process, ..Member::default() });
        }
        Self { processes, members }
    }

    pub(super) fn member(&self, at: usize) -> &Member {
        &self.members[at]
    }

    pub(super) fn into_members(self) -> Vec<Member> {
        self.members
    }

    /// Whether the member's process has the task in any role.
    pub(super) fn has(&self, member: usize, task: Task) -> bool {
        self.processes[self.members[member].process].tasks.contains(&task)
    }

    /// Load of the member's process, and its own.
    pub(super) fn load(&self, member: usize) -> (Load, usize) {
        (self.process_load(self.members[member].process), self.members[member].count())
    }

    fn process_load(&self, process: usize) -> Load {
        let process = &self.processes[process];
        Load { tasks: process.count, members: process.members.len() }
    }

    /// Gives a task to a member; how many it has now.
    pub(super) fn give(&mut self, at: usize, task: Task, role: Role) -> usize {
        let member = &mut self.members[at];
        match role {
            Role::Active => member.active.push(task),
            Role::Standby => member.standby.push(task),
        }
        let count = member.count();
        let process = &mut self.processes[member.process];
        process.tasks.insert(task);
        process.count += 1;
        count
    }

    /// The member of a process that has least.
    fn idlest(&self, process: usize) -> Option<usize> {
        let members = self.processes[process].members.iter().copied();
        members.min_by_key(|member| self.members[*member].count())
    }

    /// The processes, to take the idlest from.
    pub(super) fn by_load(&self) -> Queue {
        let all = 0..self.processes.len();
        Queue { heap: all.map(|at| Reverse((self.process_load(at), at))).collect() }
    }
}

/// Tasks for each member of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    tasks: usize,
    members: usize,
}

impl Ord for Load {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.tasks * other.members).cmp(&(other.tasks * self.members))
    }
}

impl PartialOrd for Load {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Load {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Load {}

/// Processes, the idlest first.
#[derive(Debug)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<(Load, usize)>>,
}

impl Queue {
    /// Gives a task to the idlest process that does not have it; how many its member has now.
    pub(super) fn give(
        &mut self,
        processes: &mut Processes,
        task: Task,
        role: Role,
    ) -> Option<usize> {
        let mut passed = Vec::new();
        let mut given = None;
        while let Some(Reverse((load, at))) = self.heap.pop() {
            if processes.processes[at].tasks.contains(&task) {
                passed.push(Reverse((load, at)));
                continue;
            }
            given = processes.idlest(at).map(|member| processes.give(member, task, role));
            passed.push(Reverse((processes.process_load(at), at)));
            break;
        }
        self.heap.extend(passed);
        given
    }
}
