//! What ends: groups by DeleteGroups, offsets with their topics, both by time.

use std::collections::HashSet;
use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp};

use crate::admin::delete_result;
use crate::consumer::ConsumerGroup;
use crate::error::GroupError;
use crate::offset_api::{expired_offsets, tombstone};
use crate::records::Fact;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::shard::GroupShard;
use crate::share::ShareGroup;
use crate::state::GroupState;
use crate::step::Step;
use crate::streams::StreamsGroup;
use crate::timers::Timer;
use crate::writes::Completion;

impl GroupShard {
    pub(crate) fn delete_group(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        group_id: String,
        out: &mut Outcome,
    ) {
        if let Some(group) = self.consumers.get(group_id.as_str()) {
            let id = Arc::clone(&group.id);
            return self.delete_if_empty::<ConsumerGroup>(now, token, &id, out);
        }
        if let Some(group) = self.streams.get(group_id.as_str()) {
            let id = Arc::clone(&group.id);
            return self.delete_if_empty::<StreamsGroup>(now, token, &id, out);
        }
        if let Some(group) = self.shares.get(group_id.as_str()) {
            let id = Arc::clone(&group.id);
            return self.delete_if_empty::<ShareGroup>(now, token, &id, out);
        }
        let error = match self.groups.get(group_id.as_str()).map(|group| group.state) {
            None | Some(GroupState::Dead) => Some(GroupError::GroupIdNotFound),
            Some(GroupState::Empty) => None,
            Some(
                GroupState::Stable
                | GroupState::PreparingRebalance
                | GroupState::CompletingRebalance,
            ) => Some(GroupError::NonEmptyGroup),
        };
        if let Some(error) = error {
            let result = delete_result(group_id, error.into());
            return out.reply(token, Reply::DeleteGroup(result));
        }
        let reply = Reply::DeleteGroup(delete_result(group_id.clone(), ErrorCode::None));
        let facts = self.offset_tombstones(now, &group_id.as_str().into(), out);
        self.bury(now, &group_id, facts, Some((token, reply)), out);
    }

    /// Facts that end every offset of a group, those in flight and in transactions too.
    pub(crate) fn offset_tombstones(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        out: &mut Outcome,
    ) -> Vec<Fact> {
        let Self { config, timers, writes, offsets, pending, .. } = self;
        let step = Step { now, config, timers, writes, out };
        let mut known = step.known_offsets(id, offsets.group(id), |_| true);
        known.extend(pending.of_group(id));
        let mut known: Vec<(&str, i32)> = known.into_iter().collect();
        known.sort_unstable();
        known.into_iter().map(|(topic, at)| tombstone(id, topic, at)).collect()
    }

    /// Takes an empty group away and writes its tombstones behind those of its offsets.
    fn bury(
        &mut self,
        now: Timestamp,
        group_id: &str,
        mut facts: Vec<Fact>,
        reply: Option<(ReplyToken, Reply)>,
        out: &mut Outcome,
    ) {
        let Some(mut group) = self.groups.remove(group_id) else { return };
        facts.push(Fact::Group { group: Arc::clone(&group.id), value: None });
        let mut step = self.step(now, out);
        step.cancel_group_timers(&group);
        group.pending_joins.clear();
        step.write_all(facts, Completion::Deleted { group: Box::new(group), reply }, None);
    }

    pub(crate) fn delete_topics(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        topics: Vec<String>,
        out: &mut Outcome,
    ) {
        let topics: HashSet<String> = topics.into_iter().collect();
        let mut facts: Vec<Fact> = Vec::new();
        for (group, held) in self.offsets.iter() {
            for (topic, partitions) in held.iter().filter(|(topic, _)| topics.contains(*topic)) {
                facts.extend(partitions.keys().map(|at| tombstone(group, topic, *at)));
            }
        }
        for fact in self.writes.facts() {
            if let Fact::Offset { group, topic, partition, value: Some(_) } = fact
                && topics.contains(topic)
                && self.offsets.get(group, topic, *partition).is_none()
            {
                facts.push(tombstone(group, topic, *partition));
            }
        }
        self.step(now, out).write_all(facts, Completion::None, Some((token, Reply::Done)));
    }

    /// Drops offsets that nobody has needed for the retention time, and groups left with nothing.
    pub(crate) fn expire(&mut self, now: Timestamp, out: &mut Outcome) {
        let busy: HashSet<Arc<str>> =
            self.writes.facts().filter_map(|fact| fact.group().cloned()).collect();
        // What an open transaction has committed is not lost to the time it takes.
        let is_idle = |id: &&Arc<str>| !busy.contains(*id) && !self.pending.has_group(id);
        let ids: Vec<Arc<str>> = self.groups.keys().filter(is_idle).cloned().collect();
        for id in ids {
            let Some(group) = self.groups.get(&id) else { continue };
            let offsets = self.offsets.group(&id);
            let retention_ms = self.config.offsets_retention_ms;
            let (facts, nothing_left) = expired_offsets(group, offsets, now, retention_ms);
            let unused = group.state == GroupState::Empty && group.pending_joins.is_empty();
            if nothing_left && unused {
                self.bury(now, &id, facts, None, out);
            } else {
                self.step(now, out).write_all(facts, Completion::None, None);
            }
        }
        self.expire_groups::<ConsumerGroup>(now, &busy, out);
        self.expire_groups::<StreamsGroup>(now, &busy, out);
        self.schedule_expiry(now);
    }

    pub(crate) fn schedule_expiry(&mut self, now: Timestamp) {
        let interval_ms = self.config.offsets_retention_check_interval_ms.max(1);
        self.timers.set(Timer::Expiry, Timestamp(now.get().saturating_add(interval_ms)));
    }
}
