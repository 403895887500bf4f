//! One step of a shard: everything that deciding needs besides the group it is about.

use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp};
use naru_protocol::messages::join_group_response::JoinGroupResponse;
use naru_protocol::messages::sync_group_response::SyncGroupResponse;

use crate::config::GroupConfig;
use crate::group::ClassicGroup;
use crate::member::Member;
use crate::records::{CoordinatorRecord, Fact};
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::timers::{Timer, Timers};
use crate::writes::{Completion, Write, WriteId, WriteKind, Writes};

pub(crate) struct Step<'a> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'a GroupConfig,
    pub(crate) timers: &'a mut Timers,
    pub(crate) writes: &'a mut Writes,
    pub(crate) out: &'a mut Outcome,
}

impl Step<'_> {
    pub(crate) fn after(&self, milliseconds: impl Into<i64>) -> Timestamp {
        Timestamp(self.now.get().saturating_add(milliseconds.into()))
    }

    /// Asks for `facts` to be appended as one batch; `completion` follows its fate.
    pub(crate) fn write(&mut self, facts: Vec<Fact>, completion: Completion) -> WriteId {
        debug_assert!(!facts.is_empty(), "an empty batch would never be answered");
        self.write_as(WriteKind::Plain, facts, completion)
    }

    /// As [`Self::write`], in or at the end of a producer's transaction.
    pub(crate) fn write_as(
        &mut self,
        kind: WriteKind,
        facts: Vec<Fact>,
        completion: Completion,
    ) -> WriteId {
        let now = self.now;
        let records: Vec<CoordinatorRecord> =
            facts.iter().filter_map(|fact| fact.to_record(now)).collect();
        let id = self.writes.push(kind, facts, completion);
        self.out.writes.push(Write { id, records, kind });
        id
    }

    pub(crate) fn answer_join(&mut self, token: ReplyToken, response: JoinGroupResponse) {
        self.out.reply(token, Reply::JoinGroup(response));
    }

    pub(crate) fn refuse_join(
        &mut self,
        token: ReplyToken,
        member_id: &str,
        error: impl Into<ErrorCode>,
    ) {
        self.answer_join(token, join_error(member_id, error.into()));
    }

    pub(crate) fn refuse_sync(&mut self, token: ReplyToken, error: impl Into<ErrorCode>) {
        let error_code = error.into().code();
        let response = SyncGroupResponse { error_code, ..Default::default() };
        self.out.reply(token, Reply::SyncGroup(response));
    }

    /// Answers whatever a member that is no more was waiting for.
    pub(crate) fn dismiss(&mut self, member: &Member, error: ErrorCode) {
        if let Some(token) = member.awaiting_join {
            self.refuse_join(token, "", error);
        }
        if let Some(token) = member.awaiting_sync {
            self.refuse_sync(token, error);
        }
    }

    /// Removes a member or a pending one from the group and from the timers.
    pub(crate) fn drop_member(&mut self, group: &mut ClassicGroup, id: &str) {
        self.timers.cancel(&session(group, &Arc::from(id)));
        if let Some(member) = group.remove(id) {
            self.dismiss(&member, ErrorCode::UnknownMemberId);
        }
    }

    pub(crate) fn restart_session(&mut self, group: &ClassicGroup, id: &str) {
        if let Some(member) = group.member(id) {
            let at = self.after(member.session_timeout_ms);
            self.timers.set(session(group, &member.id), at);
        }
    }

    pub(crate) fn cancel_group_timers(&mut self, group: &ClassicGroup) {
        for id in group.members().map(|member| &member.id).chain(&group.pending_joins) {
            self.timers.cancel(&session(group, id));
        }
        self.timers.cancel(&join_timer(group));
        self.timers.cancel(&sync_timer(group));
    }
}

pub(crate) fn join_error(member_id: &str, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.code(),
        member_id: member_id.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn session(group: &ClassicGroup, member: &Arc<str>) -> Timer {
    Timer::Session { group: Arc::clone(&group.id), member: Arc::clone(member) }
}

pub(crate) fn join_timer(group: &ClassicGroup) -> Timer {
    Timer::Join { group: Arc::clone(&group.id) }
}

pub(crate) fn sync_timer(group: &ClassicGroup) -> Timer {
    Timer::Sync { group: Arc::clone(&group.id) }
}
