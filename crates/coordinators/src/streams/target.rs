//! The next epoch of a group and the assignment that goes with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use naru_model::Timestamp;

use super::assignor::{Problem, Work, Worker, assign};
use super::configure::Configured;
use super::facts::{StreamsFact, TargetEpoch};
use super::group::StreamsGroup;
use super::status::Status;
use super::tasks::Assignment;
use crate::change::Change;
use crate::config::{GroupConfig, StreamsSettings};
use crate::consumer::{TopicHashes, Topics};
use crate::timers::has_passed;

/// What deciding looks at besides the group.
pub(super) struct Scope<'a> {
    pub(super) now: Timestamp,
    pub(super) config: &'a GroupConfig,
    /// Of this group.
    pub(super) settings: StreamsSettings,
    pub(super) topics: &'a dyn Topics,
    pub(super) hashes: &'a mut TopicHashes,
    /// The first assignment waits for more members.
    pub(super) is_delayed: bool,
}

impl Scope<'_> {
    /// What the group is set to be assigned with, in Kafka's words.
    pub(super) fn assignment_configs(&self) -> BTreeMap<String, String> {
        let replicas = self.settings.standby_replicas.to_string();
        BTreeMap::from([("num.standby.replicas".to_owned(), replicas)])
    }

    /// Makes the assignment of the group's epoch if it is due. What keeps it from being made.
    pub(super) fn assign_if_due(
        &self,
        change: &mut Change<'_, StreamsGroup>,
        configured: &Configured,
    ) -> Option<Status> {
        let last = change.group.target_epoch();
        if self.is_delayed {
            return Some(Status::AssignmentDelayed(INITIAL_DELAY));
        }
        if last.epoch >= change.group.epoch() {
            return None;
        }
        let interval_ms = i64::from(self.settings.assignment_interval_ms);
        let is_due = last.timestamp == 0 || has_passed(last.timestamp, self.now, interval_ms);
        if !is_due {
            return Some(Status::AssignmentDelayed(INTERVAL));
        }
        self.assign(change, configured);
        None
    }

    fn assign(&self, change: &mut Change<'_, StreamsGroup>, configured: &Configured) {
        for (member, assignment) in self.assignment(change.group, configured) {
            if change.group.target(&member) != Some(&assignment) {
                change.apply(StreamsFact::Target(member, Some(assignment)));
            }
        }
        let (epoch, timestamp) = (change.group.epoch(), self.now.get());
        change.apply(StreamsFact::TargetEpoch(Some(TargetEpoch { epoch, timestamp })));
    }

    fn assignment(
        &self,
        group: &StreamsGroup,
        configured: &Configured,
    ) -> Vec<(Arc<str>, Assignment)> {
        let Some(subtopologies) =
            configured.subtopologies.as_ref().filter(|_| configured.is_ready())
        else {
            let ids = group.members().map(|member| Arc::clone(&member.id));
            return ids.map(|id| (id, Assignment::default())).collect();
        };
        let workers = group.members().map(|member| Worker {
            id: Arc::clone(&member.id),
            process_id: member.profile.process_id.clone(),
            last: group.target(&member.id).cloned().unwrap_or_default(),
        });
        let subtopologies = subtopologies.iter().map(|(id, one)| {
            (id.clone(), Work { tasks: one.tasks, is_stateful: !one.changelogs.is_empty() })
        });
        assign(&Problem {
            workers: workers.collect(),
            subtopologies: subtopologies.collect(),
            standby_replicas: usize::try_from(self.settings.standby_replicas).unwrap_or(0),
        })
    }
}

const INITIAL_DELAY: &str = "Assignment delayed due to the configured initial rebalance delay.";
const INTERVAL: &str = "Assignment delayed due to the configured assignment interval.";
