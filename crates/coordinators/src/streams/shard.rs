//! Streams groups in their shard: requests, timers and metadata reach them here, and what they
//! decide is handed to the log.

use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp};
use naru_protocol::messages::streams_group_describe_response::DescribedGroup;
use naru_protocol::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use naru_protocol::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;

use super::describe::{describe, unknown_group};
use super::error::StreamsError;
use super::facts::{GroupEpoch, StreamsFact};
use super::group::StreamsGroup;
use super::heartbeat::{Beaten, Heartbeat};
use super::member::MemberState;
use super::target::Scope;
use super::validate::{LEAVE, LEAVE_STATIC, validate};
use crate::change::{Change, Changed};
use crate::command::ClientContext;
use crate::consumer::Topics;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::shard::GroupShard;
use crate::state::GroupState;
use crate::timers::Timer;

impl GroupShard {
    pub(super) fn set_streams_timers(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        member: &Arc<str>,
        progressed: bool,
    ) {
        let session_ms = self.streams_settings_of(group).session_timeout_ms;
        let Some(known) = self.streams.get(group).and_then(|group| group.member(member)) else {
            return;
        };
        let (group, member) = (|| Arc::clone(group), || Arc::clone(member));
        let session = Timer::StreamsSession { group: group(), member: member() };
        self.timers.set(session, after(now, session_ms));
        if progressed {
            let timer = Timer::StreamsRevocation { group: group(), member: member() };
            if known.progress.state == MemberState::UnrevokedTasks {
                self.timers.set(timer, after(now, known.profile.rebalance_timeout_ms));
            } else {
                self.timers.cancel(&timer);
            }
        }
    }

    pub(super) fn cancel_streams_timers(&mut self, group: &Arc<str>, member: &Arc<str>) {
        let (group, member) = (|| Arc::clone(group), || Arc::clone(member));
        self.timers.cancel(&Timer::StreamsSession { group: group(), member: member() });
        self.timers.cancel(&Timer::StreamsRevocation { group: group(), member: member() });
    }

    /// Runs a decision on a group that exists. What it refuses leaves no trace.
    fn decide_streams<R>(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        act: impl FnOnce(&mut Scope<'_>, &mut Change<'_, StreamsGroup>) -> Result<R, StreamsError>,
    ) -> Result<(R, Changed<StreamsGroup>), StreamsError> {
        let settings = self.streams_settings_of(group);
        let waits = self.timers.is_set(&Timer::StreamsFirst { group: Arc::clone(group) });
        let Self { config, topics, topic_hashes, streams, .. } = self;
        let Some(group) = streams.get_mut(group) else {
            return Err(StreamsError::GroupIdNotFound(group.to_string()));
        };
        let is_delayed = waits || group.is_empty() && settings.initial_rebalance_delay_ms > 0;
        let topics: &dyn Topics = &**topics;
        let mut scope = Scope { now, config, settings, topics, hashes: topic_hashes, is_delayed };
        Change::run(group, |change| act(&mut scope, change))
    }

    pub(crate) fn streams_heartbeat(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        (context, request): (&ClientContext, &StreamsGroupHeartbeatRequest),
        out: &mut Outcome,
    ) {
        let result = validate(request).and_then(|()| match request.member_epoch {
            LEAVE | LEAVE_STATIC => self.leave_streams_group(now, token, request, out),
            _ => self.beat_streams(now, token, (context, request), out),
        });
        if let Err(error) = result {
            let response = StreamsGroupHeartbeatResponse {
                error_code: ErrorCode::from(&error).code(),
                error_message: Some(error.to_string()),
                status: Some(Vec::new()),
                ..Default::default()
            };
            let missing = Vec::new();
            out.reply(token, Reply::StreamsGroupHeartbeat { response, missing });
        }
    }

    fn beat_streams(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        (context, request): (&ClientContext, &StreamsGroupHeartbeatRequest),
        out: &mut Outcome,
    ) -> Result<(), StreamsError> {
        let id: Arc<str> = request.group_id.as_str().into();
        let is_first = self.enter_streams(&id, request.member_epoch == 0)?;
        let was_empty = self.streams.get(&id).is_some_and(StreamsGroup::is_empty);
        let heartbeat = Heartbeat { context, request, is_first };
        let decided =
            self.decide_streams(now, &id, |scope, change| heartbeat.decide(scope, change));
        let (beaten, changed) = decided.inspect_err(|_| self.drop_if_gone::<StreamsGroup>(&id))?;
        let classic = if is_first { self.end_classic(now, &id, out) } else { None };
        let delay_ms = self.streams_settings_of(&id).initial_rebalance_delay_ms;
        let first = Timer::StreamsFirst { group: Arc::clone(&id) };
        if was_empty && delay_ms > 0 && !self.timers.is_set(&first) {
            self.timers.set(first, after(now, delay_ms));
        }
        let Beaten { member, response, missing, progressed } = beaten;
        self.set_streams_timers(now, &id, &member, progressed);
        let reply = Reply::StreamsGroupHeartbeat { response, missing };
        self.store_change(now, out, &id, changed, classic, Some((token, reply)));
        Ok(())
    }

    /// Makes sure that there is a streams group of this id to decide on; whether it is new. A
    /// classic group without members stays until the decision is made.
    fn enter_streams(&mut self, id: &Arc<str>, create: bool) -> Result<bool, StreamsError> {
        if self.streams.contains_key(id) {
            return Ok(false);
        }
        let classic = self.groups.get(id);
        let is_free = classic
            .is_none_or(|one| one.state == GroupState::Empty && one.pending_joins.is_empty());
        let is_other = self.consumers.contains_key(id) || self.shares.contains_key(id);
        let is_known = classic.is_some() || is_other;
        if is_other || !is_free || is_known && !create {
            return Err(StreamsError::NotStreams(id.to_string()));
        }
        if !create {
            return Err(StreamsError::GroupIdNotFound(id.to_string()));
        }
        self.streams.insert(Arc::clone(id), StreamsGroup::new(Arc::clone(id)));
        Ok(true)
    }

    fn leave_streams_group(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        request: &StreamsGroupHeartbeatRequest,
        out: &mut Outcome,
    ) -> Result<(), StreamsError> {
        let group_id = request.group_id.as_str();
        let is_known = self.has_group(group_id);
        let group = self.streams.get_mut(group_id).ok_or_else(|| {
            let id = group_id.to_owned();
            if is_known { StreamsError::NotStreams(id) } else { StreamsError::GroupNotFound(id) }
        })?;
        let member = Arc::clone(&group.member_or_refuse(&request.member_id)?.id);
        if request.shutdown_application {
            group.shut_down(Arc::clone(&member));
        }
        let id = Arc::clone(&group.id);
        let response = StreamsGroupHeartbeatResponse {
            member_id: request.member_id.clone(),
            member_epoch: request.member_epoch,
            status: Some(Vec::new()),
            ..Default::default()
        };
        let reply = Reply::StreamsGroupHeartbeat { response, missing: Vec::new() };
        self.fence_streams_member(now, &id, &member, Some((token, reply)), out);
        Ok(())
    }

    /// Takes a member away and begins the group's next epoch without it.
    fn fence_streams_member(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        member: &Arc<str>,
        answer: Option<(ReplyToken, Reply)>,
        out: &mut Outcome,
    ) {
        self.cancel_streams_timers(group, member);
        let decided = self.decide_streams(now, group, |_, change| {
            let last = change.group.last_epoch();
            change.apply(StreamsFact::Current(Arc::clone(member), None));
            change.apply(StreamsFact::Target(Arc::clone(member), None));
            change.apply(StreamsFact::Member(Arc::clone(member), None));
            let next = GroupEpoch { epoch: last.epoch.saturating_add(1), ..last };
            change.apply(StreamsFact::Group(Some(next)));
            Ok(())
        });
        if let Ok(((), changed)) = decided {
            self.store_change(now, out, group, changed, None, answer);
        }
    }

    /// A timer of a streams group is up.
    pub(crate) fn on_streams_timer(&mut self, now: Timestamp, timer: Timer, out: &mut Outcome) {
        match timer {
            Timer::StreamsSession { group, member } => {
                let group_now = self.streams.get(&group);
                if group_now.is_some_and(|one| one.member(&member).is_some()) {
                    self.fence_streams_member(now, &group, &member, None, out);
                }
            }
            Timer::StreamsRevocation { group, member } => {
                let known = self.streams.get(&group).and_then(|group| group.member(&member));
                // Every other step takes the timer away.
                if known.is_some_and(|one| one.progress.state == MemberState::UnrevokedTasks) {
                    self.fence_streams_member(now, &group, &member, None, out);
                }
            }
            Timer::StreamsFirst { group } => self.assign_first(now, &group, out),
            _ => {}
        }
    }

    /// Whoever wanted to be there first is there: the first assignment is made.
    fn assign_first(&mut self, now: Timestamp, id: &Arc<str>, out: &mut Outcome) {
        let Some(group) = self.streams.get(id) else { return };
        let Some(configured) = group.configured.clone() else { return };
        if group.is_empty() || group.epoch() <= group.target_epoch().epoch {
            return;
        }
        let decided = self.decide_streams(now, id, |scope, change| {
            scope.assign_if_due(change, &configured);
            Ok(())
        });
        if let Ok(((), changed)) = decided {
            self.store_change(now, out, id, changed, None, None);
        }
    }

    pub(crate) fn describe_streams_group(&self, group_id: String) -> DescribedGroup {
        match self.streams.get(group_id.as_str()) {
            Some(group) => describe(group),
            None => {
                let exists = self.has_group(&group_id);
                unknown_group(group_id, exists)
            }
        }
    }
}

fn after(now: Timestamp, milliseconds: i32) -> Timestamp {
    // Never for now: a tick that sets it must not find it due.
    Timestamp(now.get().saturating_add(i64::from(milliseconds.max(1))))
}
