//! Consumer groups among the kinds of groups.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::Timestamp;

use super::facts::ConsumerFact;
use super::group::ConsumerGroup;
use crate::kind::{GroupKind, as_every_kind};
use crate::records::Fact;
use crate::shard::GroupShard;
use crate::timers::Timer;
use crate::undo::{GroupUndo, Undo};

impl GroupKind for ConsumerGroup {
    as_every_kind!(consumers, Consumer, ConsumerFact);

    fn may_end_with(fact: &ConsumerFact) -> bool {
        *fact == ConsumerFact::Group(None)
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
