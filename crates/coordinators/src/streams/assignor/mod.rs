//! The sticky task assignor (KIP-1071): tasks stay where they were as long as the load is even.
//!
//! Active tasks first go back to who had them, then to who kept their state, then to the process
//! with least load; standby tasks likewise, never twice into one process. Load is the number of
//! tasks for each member, so a process with more threads takes more.

mod process;
mod sticky;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use sticky::assign;

use super::tasks::Assignment;

/// A member to assign tasks to.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) id: Arc<str>,
    pub(crate) process_id: String,
    /// Its last target assignment.
    pub(crate) last: Assignment,
}

/// What there is to assign.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// By id.
    pub(crate) workers: Vec<Worker>,
    pub(crate) subtopologies: BTreeMap<String, Work>,
    pub(crate) standby_replicas: usize,
}

/// A subtopology's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) tasks: i32,
    /// Its tasks have state that standby tasks can keep.
    pub(crate) is_stateful: bool,
}

#[cfg(test)]
mod tests;
