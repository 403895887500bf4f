//! Consumer groups among the kinds of groups.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::Timestamp;

use super::facts::ConsumerFact;
use super::group::ConsumerGroup;
use crate::kind::GroupKind;
use crate::records::Fact;
use crate::shard::GroupShard;
use crate::timers::Timer;
use crate::undo::{GroupUndo, Undo};

impl GroupKind for ConsumerGroup {
    fn new(id: Arc<str>) -> Self {
        Self::new(id)
    }

    fn all(shard: &GroupShard) -> &HashMap<Arc<str>, Self> {
        &shard.consumers
    }

    fn all_mut(shard: &mut GroupShard) -> &mut HashMap<Arc<str>, Self> {
        &mut shard.consumers
    }

    fn fact(group: Arc<str>, fact: ConsumerFact) -> Fact {
        Fact::Consumer { group, fact }
    }

    fn undo(undo: GroupUndo<Self>) -> Undo {
        Undo::Consumer(undo)
    }

    fn is_tombstone(fact: &ConsumerFact) -> bool {
        match fact {
            ConsumerFact::Group(value) => value.is_none(),
            ConsumerFact::PartitionMetadata { present } => !present,
            ConsumerFact::Member(_, value) => value.is_none(),
            ConsumerFact::TargetEpoch(value) => value.is_none(),
            ConsumerFact::Target(_, value) => value.is_none(),
            ConsumerFact::Current(_, value) => value.is_none(),
            ConsumerFact::Regex(_, value) => value.is_none(),
        }
    }

    fn may_end_with(fact: &ConsumerFact) -> bool {
        *fact == ConsumerFact::Group(None)
    }

    fn member_of(fact: &ConsumerFact) -> Option<&Arc<str>> {
        if let ConsumerFact::Member(member, _) = fact { Some(member) } else { None }
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

    fn tombstones(&self) -> Vec<ConsumerFact> {
        self.tombstones()
    }

    fn expire_metadata(&mut self) {
        self.metadata_expired = true;
    }

    fn timer(id: &Arc<str>) -> Option<Timer> {
        Some(Timer::Patterns { group: Arc::clone(id) })
    }

    fn restart_timers(shard: &mut GroupShard, now: Timestamp, group: &Arc<str>, member: &Arc<str>) {
        let known = shard.consumers.get(group).and_then(|group| group.member(member));
        let Some(known) = known else { return shard.cancel_consumer_timers(group, member) };
        let classic = known.profile.classic.as_ref().map(|classic| classic.session_timeout_ms);
        let session_ms = classic.unwrap_or_else(|| shard.settings_of(group).session_timeout_ms);
        shard.set_member_timers(now, group, member, session_ms, classic.is_none());
    }
}
