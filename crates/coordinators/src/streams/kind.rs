//! Streams groups among the kinds of groups.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::Timestamp;

use super::facts::StreamsFact;
use super::group::StreamsGroup;
use crate::kind::{GroupKind, as_every_kind};
use crate::records::Fact;
use crate::shard::GroupShard;
use crate::timers::Timer;
use crate::undo::{GroupUndo, Undo};

impl GroupKind for StreamsGroup {
    as_every_kind!(streams, Streams, StreamsFact);

    fn may_end_with(fact: &StreamsFact) -> bool {
        *fact == StreamsFact::Group(None)
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
