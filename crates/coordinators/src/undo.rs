//! What takes a change back that could not be stored, of whatever kind of group.

use std::collections::BTreeSet;
use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp};

use crate::change::Replay;
use crate::consumer::ConsumerGroup;
use crate::error::append_error;
use crate::group::ClassicGroup;
use crate::kind::GroupKind;
use crate::reply::Outcome;
use crate::shard::GroupShard;
use crate::share::ShareGroup;
use crate::streams::StreamsGroup;

/// What takes a change of one group back.
#[derive(Debug)]
pub(crate) struct GroupUndo<G: Replay> {
    pub(crate) group: Arc<str>,
    /// To be replayed in this order.
    pub(crate) facts: Vec<G::Fact>,
    /// The classic group that became this one.
    pub(crate) classic: Option<Box<ClassicGroup>>,
    /// The group has ended; what has taken its place has to go.
    pub(crate) ended: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) enum Undo {
    Consumer(GroupUndo<ConsumerGroup>),
    Streams(GroupUndo<StreamsGroup>),
    Share(GroupUndo<ShareGroup>),
}

impl Undo {
    /// The group that was changed.
    pub(crate) fn group(&self) -> &Arc<str> {
        match self {
            Self::Consumer(undo) => &undo.group,
            Self::Streams(undo) => &undo.group,
            Self::Share(undo) => &undo.group,
        }
    }
}

impl GroupShard {
    /// Takes back what could not be stored because of `error`.
    pub(crate) fn take_back(
        &mut self,
        now: Timestamp,
        undo: Undo,
        error: ErrorCode,
        out: &mut Outcome,
    ) {
        match undo {
            Undo::Consumer(undo) => self.take_back_group(now, undo, error, out),
            Undo::Streams(undo) => self.take_back_group(now, undo, error, out),
            Undo::Share(undo) => self.take_back_group(now, undo, error, out),
        }
    }

    fn take_back_group<G: GroupKind>(
        &mut self,
        now: Timestamp,
        undo: GroupUndo<G>,
        error: ErrorCode,
        out: &mut Outcome,
    ) {
        let id = &undo.group;
        if undo.ended {
            self.displace_classic(now, id, append_error(error), out);
            G::all_mut(self).insert(Arc::clone(id), G::new(Arc::clone(id)));
        }
        let mut changed: BTreeSet<Arc<str>> = BTreeSet::new();
        if let Some(group) = G::all_mut(self).get_mut(id) {
            for fact in undo.facts {
                changed.extend(G::member_of(&fact).cloned());
                group.replay(fact);
            }
            group.expire_metadata();
        }
        self.drop_if_gone::<G>(id);
        for member in changed {
            G::restart_timers(self, now, id, &member);
        }
        if let Some(classic) = undo.classic
            && !self.groups.contains_key(&undo.group)
        {
            let mut classic = *classic;
            self.step(now, out).resume(&mut classic);
            self.groups.insert(undo.group, classic);
        }
    }

    /// Ends the classic group in the place of one that comes back: whoever waits in it is told
    /// `error`.
    pub(crate) fn displace_classic(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        error: ErrorCode,
        out: &mut Outcome,
    ) {
        let Some(classic) = self.groups.remove(id) else { return };
        let mut step = self.step(now, out);
        step.cancel_group_timers(&classic);
        for member in classic.members() {
            step.dismiss(member, error);
        }
    }
}
