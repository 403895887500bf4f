//! Share groups among the kinds of groups.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::Timestamp;

use super::facts::ShareFact;
use super::group::ShareGroup;
use super::shard::session;
use crate::kind::{GroupKind, as_every_kind};
use crate::records::Fact;
use crate::shard::GroupShard;
use crate::timers::Timer;
use crate::undo::{GroupUndo, Undo};

impl GroupKind for ShareGroup {
    as_every_kind!(shares, Share, ShareFact);

    fn may_end_with(fact: &ShareFact) -> bool {
        fact.is_tombstone()
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
