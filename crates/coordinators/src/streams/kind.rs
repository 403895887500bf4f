//! Streams groups among the kinds of groups.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::Timestamp;

use super::facts::StreamsFact;
use super::group::StreamsGroup;
use crate::kind::GroupKind;
use crate::records::Fact;
use crate::shard::GroupShard;
use crate::timers::Timer;
use crate::undo::{GroupUndo, Undo};

impl GroupKind for StreamsGroup {
    fn new(id: Arc<str>) -> Self {
        Self::new(id)
    }

    fn all(shard: &GroupShard) -> &HashMap<Arc<str>, Self> {
        &shard.streams
    }

    fn all_mut(shard: &mut GroupShard) -> &mut HashMap<Arc<str>, Self> {
        &mut shard.streams
    }

    fn fact(group: Arc<str>, fact: StreamsFact) -> Fact {
        Fact::Streams { group, fact }
    }

    fn undo(undo: GroupUndo<Self>) -> Undo {
        Undo::Streams(undo)
    }

    fn is_tombstone(fact: &StreamsFact) -> bool {
        fact.is_tombstone()
    }

    fn may_end_with(fact: &StreamsFact) -> bool {
        *fact == StreamsFact::Group(None)
    }

    fn member_of(fact: &StreamsFact) -> Option<&Arc<str>> {
        if let StreamsFact::Member(member, _) = fact { Some(member) } else { None }
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

    fn tombstones(&self) -> Vec<StreamsFact> {
        self.tombstones()
    }

    fn expire_metadata(&mut self) {
        self.metadata_expired = true;
    }

    fn timer(id: &Arc<str>) -> Option<Timer> {
        Some(Timer::StreamsFirst { group: Arc::clone(id) })
    }

    fn restart_timers(shard: &mut GroupShard, now: Timestamp, group: &Arc<str>, member: &Arc<str>) {
        let is_there = shard.streams.get(group).is_some_and(|one| one.member(member).is_some());
        if is_there {
            shard.set_streams_timers(now, group, member, true);
        } else {
            shard.cancel_streams_timers(group, member);
        }
    }
}
