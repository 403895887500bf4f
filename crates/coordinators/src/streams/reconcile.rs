//! One step of a member towards its target assignment.
//!
//! A member gives up first what it must (`UnrevokedTasks`), then takes its target's epoch with all
//! tasks that are free, and the others as they become free (`UnreleasedTasks`). An active task is
//! free when nobody runs it; and no process has a task in two roles, because its members share the
//! task's state on disk.

use std::collections::{BTreeMap, BTreeSet};

use super::error::StreamsError;
use super::group::StreamsGroup;
use super::member::{MemberState, Progress, StreamsMember};
use super::tasks::{Assignment, Held, OwnedTasks, Tasks};

/// What one step looks at besides the group.
pub(super) struct Reconcile<'a> {
    /// The epoch that the member is to reach, and what it has there.
    pub(super) epoch: i32,
    pub(super) target: &'a Assignment,
    /// What the member says it has.
    pub(super) claimed: Option<&'a Assignment>,
}

impl Reconcile<'_> {
    /// How far the member comes now; `None` if it stays where it is.
    pub(super) fn step(
        &self,
        group: &StreamsGroup,
        member: &StreamsMember,
    ) -> Result<Option<Progress>, StreamsError> {
        if member.is_reconciled_to(self.epoch) {
            return Ok(None);
        }
        let progress = &member.progress;
        let from = match progress.state {
            MemberState::UnrevokedTasks => {
                let has = |claimed: &Assignment| claimed.shares(&progress.pending_revocation);
                if self.claimed.is_none_or(has) {
                    return Ok(None);
                }
                progress.epoch.saturating_add(1)
            }
            MemberState::Unknown => {
                if self.claimed.is_none_or(|claimed| !claimed.is_empty()) {
                    return Err(StreamsError::FencedUnknownState);
                }
                self.epoch
            }
            MemberState::Stable | MemberState::UnreleasedTasks => progress.epoch,
        };
        let next = self.towards_target(group, member, from);
        Ok(Some(next).filter(|next| next != progress))
    }

    fn towards_target(&self, group: &StreamsGroup, member: &StreamsMember, from: i32) -> Progress {
        let process = member.profile.process_id.as_str();
        let Held { active, standby, warmup } = &member.progress.assigned;
        let active = split_owned(active, &self.target.active, self.epoch, &|id, task| {
            group.is_active(id, task) || group.is_kept_in(process, id, task)
        });
        let in_process = |id: &str, task: i32| {
            group.is_active_in(process, id, task) || group.is_kept_in(process, id, task)
        };
        let standby = split(standby, &self.target.standby, &in_process);
        let warmup = split(warmup, &self.target.warmup, &in_process);
        let revoked = Held { active: active.gone, standby: standby.gone, warmup: warmup.gone };
        let previous_epoch = member.progress.epoch;
        if !revoked.is_empty() && self.claimed.is_none_or(|claimed| claimed.shares(&revoked)) {
            return Progress {
                epoch: from,
                previous_epoch,
                state: MemberState::UnrevokedTasks,
                assigned: Held {
                    active: active.stays,
                    standby: standby.stays,
                    warmup: warmup.stays,
                },
                pending_revocation: revoked,
            };
        }
        let waits = active.waits || standby.waits || warmup.waits;
        let state = if waits { MemberState::UnreleasedTasks } else { MemberState::Stable };
        Progress {
            epoch: self.epoch,
            previous_epoch,
            state,
            assigned: Held {
                active: merged(active.stays, active.comes),
                standby: merged(standby.stays, standby.comes),
                warmup: merged(warmup.stays, warmup.comes),
            },
            pending_revocation: Held::default(),
        }
    }
}

/// What becomes of a member's tasks of one role.
struct Split<T> {
    stays: BTreeMap<String, T>,
    gone: BTreeMap<String, T>,
    comes: BTreeMap<String, T>,
    /// Some tasks of the target are not free yet.
    waits: bool,
}

fn split(
    has: &Tasks,
    target: &Tasks,
    is_taken: &dyn Fn(&str, i32) -> bool,
) -> Split<BTreeSet<i32>> {
    let epochless = |tasks: &Tasks| -> OwnedTasks {
        tasks
            .iter()
            .map(|(id, set)| (id.clone(), set.iter().map(|one| (*one, 0)).collect()))
            .collect()
    };
    let plain = |tasks: OwnedTasks| super::tasks::without_epochs(&tasks);
    let Split { stays, gone, comes, waits } = split_owned(&epochless(has), target, 0, is_taken);
    Split { stays: plain(stays), gone: plain(gone), comes: plain(comes), waits }
}

fn split_owned(
    has: &OwnedTasks,
    target: &Tasks,
    epoch: i32,
    is_taken: &dyn Fn(&str, i32) -> bool,
) -> Split<BTreeMap<i32, i32>> {
    let (mut stays, mut gone) = (OwnedTasks::new(), OwnedTasks::new());
    for (id, tasks) in has {
        for (task, since) in tasks {
            let keep = target.get(id).is_some_and(|wanted| wanted.contains(task));
            let into = if keep { &mut stays } else { &mut gone };
            into.entry(id.clone()).or_default().insert(*task, *since);
        }
    }
    let (mut comes, mut waits) = (OwnedTasks::new(), false);
    for (id, wanted) in target {
        for task in
            wanted.iter().filter(|task| !has.get(id).is_some_and(|own| own.contains_key(*task)))
        {
            if is_taken(id, *task) {
                waits = true;
            } else {
                comes.entry(id.clone()).or_default().insert(*task, epoch);
            }
        }
    }
    Split { stays, gone, comes, waits }
}

fn merged<T: Extend<I> + IntoIterator<Item = I> + Default, I>(
    mut into: BTreeMap<String, T>,
    more: BTreeMap<String, T>,
) -> BTreeMap<String, T> {
    for (id, tasks) in more {
        into.entry(id).or_default().extend(tasks);
    }
    into
}
