//! What consumer, streams and share groups have in common: they are what their facts say, a change
//! is made before its facts are stored, and what could not be stored is taken back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp};

use crate::admin::delete_result;
use crate::change::{Change, Changed, Replay};
use crate::error::GroupError;
use crate::group::ClassicGroup;
use crate::offset_api::expired_of;
use crate::records::Fact;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::shard::GroupShard;
use crate::timers::Timer;
use crate::undo::{GroupUndo, Undo};
use crate::writes::Completion;

/// See the module.
pub(crate) trait GroupKind: Replay + Sized {
    fn new(id: Arc<str>) -> Self;

    /// All groups of this kind.
    fn all(shard: &GroupShard) -> &HashMap<Arc<str>, Self>;

    /// The same, to change them.
    fn all_mut(shard: &mut GroupShard) -> &mut HashMap<Arc<str>, Self>;

    fn fact(group: Arc<str>, fact: Self::Fact) -> Fact;

    fn undo(undo: GroupUndo<Self>) -> Undo;

    fn is_tombstone(fact: &Self::Fact) -> bool;

    /// Whether the group may be gone with this fact.
    fn may_end_with(fact: &Self::Fact) -> bool;

    /// Whose coming, going or next step it is.
    fn member_of(fact: &Self::Fact) -> Option<&Arc<str>>;

    /// Whether no record is left of the group.
    fn is_gone(&self) -> bool;

    fn member_ids(&self) -> Vec<Arc<str>>;

    /// Whether a member needs the offsets of `topic`.
    fn reads(&self, topic: &str) -> bool;

    /// Facts that take all records of the group away.
    fn tombstones(&self) -> Vec<Self::Fact>;

    /// The topics that the group needs are looked at again.
    fn expire_metadata(&mut self);

    /// The timer of the group itself, if the kind has one.
    fn timer(id: &Arc<str>) -> Option<Timer>;

    /// Begins a member's timers, or ends those of one who is not there.
    fn restart_timers(shard: &mut GroupShard, now: Timestamp, group: &Arc<str>, member: &Arc<str>);
}

/// What of [`GroupKind`] is the same for every kind but for names: where the shard has the groups,
/// the variant of facts and of what takes them back, the facts' type.
macro_rules! as_every_kind {
    ($groups:ident, $kind:ident, $fact:ident) => {
        fn new(id: Arc<str>) -> Self {
            Self::new(id)
        }

        fn all(shard: &GroupShard) -> &HashMap<Arc<str>, Self> {
            &shard.$groups
        }

        fn all_mut(shard: &mut GroupShard) -> &mut HashMap<Arc<str>, Self> {
            &mut shard.$groups
        }

        fn fact(group: Arc<str>, fact: $fact) -> Fact {
            Fact::$kind { group, fact }
        }

        fn undo(undo: GroupUndo<Self>) -> Undo {
            Undo::$kind(undo)
        }

        fn is_tombstone(fact: &$fact) -> bool {
            fact.is_tombstone()
        }

        fn member_of(fact: &$fact) -> Option<&Arc<str>> {
            match fact {
                $fact::Member(member, _) | $fact::Current(member, _) => Some(member),
                _ => None,
            }
        }

        fn is_gone(&self) -> bool {
            self.is_gone()
        }

        fn member_ids(&self) -> Vec<Arc<str>> {
            self.members().map(|member| Arc::clone(&member.id)).collect()
        }

        fn reads(&self, topic: &str) -> bool {
            self.is_subscribed(topic)
        }

        fn tombstones(&self) -> Vec<$fact> {
            self.tombstones()
        }

        fn expire_metadata(&mut self) {
            self.metadata_expired = true;
        }
    };
}
pub(crate) use as_every_kind;

impl GroupShard {
    /// Takes in a record of a group.
    pub(crate) fn replay_group<G: GroupKind>(&mut self, id: &Arc<str>, fact: G::Fact) {
        let may_end = G::may_end_with(&fact);
        if !G::all(self).contains_key(id) {
            if G::is_tombstone(&fact) {
                return;
            }
            // Offsets that came first have made it a group without a protocol.
            self.groups.remove(id);
        }
        let group = G::all_mut(self).entry(Arc::clone(id));
        group.or_insert_with(|| G::new(Arc::clone(id))).replay(fact);
        if may_end {
            self.drop_if_gone::<G>(id);
        }
    }

    /// The log is read: sessions begin.
    pub(crate) fn load_groups<G: GroupKind>(&mut self, now: Timestamp) {
        let ids = |(id, group): (&Arc<str>, &G)| (Arc::clone(id), group.member_ids());
        let groups: Vec<(Arc<str>, Vec<Arc<str>>)> = G::all(self).iter().map(ids).collect();
        for (group, members) in groups {
            for member in members {
                G::restart_timers(self, now, &group, &member);
            }
        }
    }

    /// Hands facts that are part of the state already to the log, behind the end of the classic
    /// group `was` that became this one.
    pub(crate) fn store_change<G: GroupKind>(
        &mut self,
        now: Timestamp,
        out: &mut Outcome,
        group: &Arc<str>,
        Changed { facts, undo }: Changed<G>,
        was: Option<Box<ClassicGroup>>,
        answer: Option<(ReplyToken, Reply)>,
    ) {
        let ended = was.iter().map(|one| Fact::Group { group: Arc::clone(&one.id), value: None });
        let facts = facts.into_iter().map(|fact| G::fact(Arc::clone(group), fact));
        let facts: Vec<Fact> = ended.chain(facts).collect();
        if facts.is_empty() {
            // What the answer says may not be stored yet.
            if let Some((token, reply)) = answer {
                self.writes.answer_behind(group, token, reply, out);
            }
            return;
        }
        let id = self.step(now, out).write(facts, answer.into());
        let undo = GroupUndo { group: Arc::clone(group), facts: undo, classic: was, ended: false };
        self.writes.undo_with(id, G::undo(undo));
    }

    /// A classic group has become another kind of group: whoever waits in it must join again.
    pub(crate) fn end_classic(
        &mut self,
        now: Timestamp,
        group: &str,
        out: &mut Outcome,
    ) -> Option<Box<ClassicGroup>> {
        let mut classic = self.groups.remove(group)?;
        let mut step = self.step(now, out);
        step.cancel_group_timers(&classic);
        for id in classic.member_ids() {
            if let Some(token) = classic.take_join(&id) {
                step.refuse_join(token, &id, ErrorCode::RebalanceInProgress);
            }
            if let Some(token) = classic.take_sync(&id) {
                step.refuse_sync(token, ErrorCode::RebalanceInProgress);
            }
        }
        classic.pending_joins.clear();
        Some(Box::new(classic))
    }

    pub(crate) fn drop_if_gone<G: GroupKind>(&mut self, id: &str) {
        let all = G::all_mut(self);
        if all.get(id).is_some_and(G::is_gone)
            && let Some((id, _)) = all.remove_entry(id)
            && let Some(timer) = G::timer(&id)
        {
            self.timers.cancel(&timer);
        }
    }

    /// Takes a group out: facts for the log, and what takes them back.
    pub(crate) fn take_out<G: GroupKind>(
        &mut self,
        id: &Arc<str>,
    ) -> Option<(Vec<Fact>, GroupUndo<G>)> {
        let mut group = G::all_mut(self).remove(id)?;
        if let Some(timer) = G::timer(id) {
            self.timers.cancel(&timer);
        }
        let Changed { facts, undo } = Change::bury(&mut group);
        let facts = facts.into_iter().map(|fact| G::fact(Arc::clone(id), fact)).collect();
        let undo = GroupUndo { group: Arc::clone(id), facts: undo, classic: None, ended: true };
        Some((facts, undo))
    }

    /// Takes an empty group away and writes its tombstones behind those of its offsets.
    fn bury_group<G: GroupKind>(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        offsets: Vec<Fact>,
        answer: Option<(ReplyToken, Reply)>,
        out: &mut Outcome,
    ) {
        let Some((facts, undo)) = self.take_out::<G>(id) else { return };
        let mut step = self.step(now, out);
        step.write_all(offsets, Completion::None, None);
        let write = step.write(facts, answer.into());
        self.writes.undo_with(write, G::undo(undo));
    }

    /// DeleteGroups of a group that there is.
    pub(crate) fn delete_if_empty<G: GroupKind>(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        id: &Arc<str>,
        out: &mut Outcome,
    ) {
        let group_id = id.to_string();
        if G::all(self).get(id).is_some_and(|group| !group.member_ids().is_empty()) {
            let result = delete_result(group_id, GroupError::NonEmptyGroup.into());
            return out.reply(token, Reply::DeleteGroup(result));
        }
        let reply = Reply::DeleteGroup(delete_result(group_id, ErrorCode::None));
        let offsets = self.offset_tombstones(now, id, out);
        self.bury_group::<G>(now, id, offsets, Some((token, reply)), out);
    }

    /// A classic member makes the empty group its own; offsets stay.
    pub(crate) fn end_empty<G: GroupKind>(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        out: &mut Outcome,
    ) {
        self.bury_group::<G>(now, id, Vec::new(), None, out);
    }

    /// Drops offsets that nobody has needed for the retention time, and empty groups without any.
    pub(crate) fn expire_groups<G: GroupKind>(
        &mut self,
        now: Timestamp,
        busy: &HashSet<Arc<str>>,
        out: &mut Outcome,
    ) {
        let is_idle = |id: &&Arc<str>| !busy.contains(*id) && !self.pending.has_group(id);
        let ids: Vec<Arc<str>> = G::all(self).keys().filter(is_idle).cloned().collect();
        let retention_ms = self.config.offsets_retention_ms;
        for id in ids {
            let Some(group) = G::all(self).get(&id) else { continue };
            let (facts, nothing_left) = expired_of(
                &id,
                self.offsets.group(&id),
                |topic| group.reads(topic),
                |value| value.is_expired(now, value.commit_timestamp, retention_ms),
            );
            if nothing_left && group.member_ids().is_empty() {
                self.bury_group::<G>(now, &id, facts, None, out);
            } else {
                self.step(now, out).write_all(facts, Completion::None, None);
            }
        }
    }
}
