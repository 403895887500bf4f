//! What ends: empty consumer groups by DeleteGroups or by a classic member, and by time.

use std::collections::HashSet;
use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp};

use super::change::ConsumerUndo;
use super::facts::ConsumerFact;
use crate::admin::delete_result;
use crate::change::Replay as _;
use crate::error::GroupError;
use crate::offset_api::tombstone;
use crate::records::Fact;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::shard::GroupShard;
use crate::timers::Timer;
use crate::writes::Completion;

impl GroupShard {
    pub(crate) fn delete_consumer_group(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        id: &Arc<str>,
        out: &mut Outcome,
    ) {
        let group_id = id.to_string();
        if self.consumers.get(id).is_some_and(|group| !group.is_empty()) {
            let result = delete_result(group_id, GroupError::NonEmptyGroup.into());
            return out.reply(token, Reply::DeleteGroup(result));
        }
        let reply = Reply::DeleteGroup(delete_result(group_id, ErrorCode::None));
        let offsets = self.offset_tombstones(now, id, out);
        self.bury_empty(now, id, offsets, Some((token, reply)), out);
    }

    /// A classic member makes the empty group its own; offsets stay.
    pub(crate) fn end_empty_consumer_group(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        out: &mut Outcome,
    ) {
        if self.consumers.contains_key(id) {
            self.bury_empty(now, id, Vec::new(), None, out);
        }
    }

    fn bury_empty(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        offsets: Vec<Fact>,
        answer: Option<(ReplyToken, Reply)>,
        out: &mut Outcome,
    ) {
        self.step(now, out).write_all(offsets, Completion::None, None);
        let (facts, undo) = self.bury_consumer_group(id);
        let completion =
            answer.map_or(Completion::None, |(token, reply)| Completion::Reply(token, reply));
        let write = self.step(now, out).write(facts, completion);
        if let Some(undo) = undo {
            self.writes.undo_with(write, undo.into());
        }
    }

    /// Takes an empty consumer group out: facts for the log, and what takes them back.
    pub(super) fn bury_consumer_group(
        &mut self,
        id: &Arc<str>,
    ) -> (Vec<Fact>, Option<ConsumerUndo>) {
        let Some(mut group) = self.consumers.remove(id) else { return (Vec::new(), None) };
        self.timers.cancel(&Timer::Patterns { group: Arc::clone(id) });
        let tombstones = group.tombstones();
        let mut undo: Vec<ConsumerFact> =
            tombstones.iter().map(|fact| group.replay(fact.clone())).collect();
        undo.reverse();
        let facts = tombstones
            .into_iter()
            .map(|fact| Fact::Consumer { group: Arc::clone(id), fact })
            .collect();
        let undo = ConsumerUndo { group: Arc::clone(id), facts: undo, classic: None, ended: true };
        (facts, Some(undo))
    }

    /// Drops offsets that nobody has needed for the retention time, and empty groups without any.
    pub(crate) fn expire_consumer_groups(
        &mut self,
        now: Timestamp,
        busy: &HashSet<Arc<str>>,
        out: &mut Outcome,
    ) {
        let is_idle = |id: &&Arc<str>| !busy.contains(*id) && !self.pending.has_group(id);
        let ids: Vec<Arc<str>> = self.consumers.keys().filter(is_idle).cloned().collect();
        let retention_ms = self.config.offsets_retention_ms;
        for id in ids {
            let Some(group) = self.consumers.get(&id) else { continue };
            let mut facts = Vec::new();
            let mut held = 0;
            for (topic, partitions) in self.offsets.group(&id).into_iter().flatten() {
                held += partitions.len();
                if group.is_subscribed(topic) {
                    continue;
                }
                let expired = partitions.iter().filter(|(_, value)| match value.expire_timestamp {
                    Some(at) => now >= at,
                    None => now.get().saturating_sub(value.commit_timestamp.get()) >= retention_ms,
                });
                facts.extend(expired.map(|(partition, _)| tombstone(&id, topic, *partition)));
            }
            if group.is_empty() && facts.len() == held {
                self.bury_empty(now, &id, facts, None, out);
            } else {
                self.step(now, out).write_all(facts, Completion::None, None);
            }
        }
    }
}
