//! Share groups among the kinds of groups.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::Timestamp;

use super::facts::ShareFact;
use super::group::ShareGroup;
use super::shard::session;
use crate::kind::GroupKind;
use crate::records::Fact;
use crate::shard::GroupShard;
use crate::timers::Timer;
use crate::undo::{GroupUndo, Undo};

impl GroupKind for ShareGroup {
    fn new(id: Arc<str>) -> Self {
        Self::new(id)
    }

    fn all(shard: &GroupShard) -> &HashMap<Arc<str>, Self> {
        &shard.shares
    }

    fn all_mut(shard: &mut GroupShard) -> &mut HashMap<Arc<str>, Self> {
        &mut shard.shares
    }

    fn fact(group: Arc<str>, fact: ShareFact) -> Fact {
        Fact::Share { group, fact }
    }

    fn undo(undo: GroupUndo<Self>) -> Undo {
        Undo::Share(undo)
    }

    fn is_tombstone(fact: &ShareFact) -> bool {
        fact.is_tombstone()
    }

    fn may_end_with(fact: &ShareFact) -> bool {
        fact.is_tombstone()
    }

    fn member_of(fact: &ShareFact) -> Option<&Arc<str>> {
        if let ShareFact::Member(member, _) = fact { Some(member) } else { None }
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

    fn tombstones(&self) -> Vec<ShareFact> {
        self.tombstones()
    }

    fn expire_metadata(&mut self) {
        self.metadata_expired = true;
    }

    fn timer(_: &Arc<str>) -> Option<Timer> {
        None
    }

    fn restart_timers(shard: &mut GroupShard, now: Timestamp, group: &Arc<str>, member: &Arc<str>) {
        let is_there = shard.shares.get(group).is_some_and(|one| one.member(member).is_some());
        if is_there {
            shard.restart_share_session(now, group, member);
        } else {
            shard.timers.cancel(&session(group, member));
        }
    }
}
