//! Consumer groups in their shard: requests, timers and metadata reach them here, and what they
//! decide is handed to the log.

use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp, Uuid};
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

use super::convert::Upgrade;
use super::describe::{describe, unknown_group};
use super::error::ConsumerError;
use super::facts::ConsumerFact;
use super::group::ConsumerGroup;
use super::heartbeat::{Beaten, Heartbeat};
use super::leave::{Leaving, fence, leave_for_a_while, leaving};
use super::member::MemberState;
use super::patterns;
use super::target::{Change, Scope};
use super::topics::{Topics, Viewer};
use super::validate::{LEAVE, LEAVE_STATIC, validate};
use crate::change::Changed;
use crate::command::ClientContext;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::shard::GroupShard;
use crate::state::GroupState;
use crate::timers::Timer;

impl GroupShard {
    /// Takes over the cluster's topics. `changed` names those that were made, deleted, given more
    /// partitions or moved; with `racks_too` brokers may have other racks.
    pub fn on_metadata(&mut self, topics: Arc<dyn Topics>, changed: &[Arc<str>], racks_too: bool) {
        if racks_too {
            self.topic_hashes.clear();
        }
        changed.iter().for_each(|topic| self.topic_hashes.forget(topic));
        let id = |topics: &dyn Topics, name: &str| topics.by_name(name).map(|topic| topic.id);
        let any_new = changed.iter().any(|name| id(&*self.topics, name) != id(&*topics, name));
        self.topics = topics;
        self.expire_share_metadata(changed, racks_too);
        for group in self.streams.values_mut() {
            group.metadata_expired |=
                racks_too || changed.iter().any(|topic| group.requires(topic));
        }
        for group in self.consumers.values_mut() {
            group.new_topics_since_resolved |= any_new;
            group.metadata_expired |=
                racks_too || changed.iter().any(|topic| group.is_subscribed(topic));
        }
    }

    pub(super) fn set_member_timers(
        &mut self,
        now: Timestamp,
        group: &str,
        id: &str,
        session_timeout_ms: i32,
        revocation_too: bool,
    ) {
        let Some(group) = self.consumers.get(group) else { return };
        let Some(member) = group.member(id) else { return };
        let (group, member_id) = (Arc::clone(&group.id), Arc::clone(&member.id));
        let at = after(now, session_timeout_ms);
        self.timers.set(session(&group, &member_id), at);
        if revocation_too {
            let timer = Timer::Revocation { group, member: member_id };
            if member.progress.state == MemberState::UnrevokedPartitions {
                self.timers.set(timer, after(now, member.profile.rebalance_timeout_ms));
            } else {
                self.timers.cancel(&timer);
            }
        }
    }

    pub(crate) fn cancel_consumer_timers(&mut self, group: &Arc<str>, member: &Arc<str>) {
        let (g, m) = (|| Arc::clone(group), || Arc::clone(member));
        self.timers.cancel(&session(group, member));
        self.timers.cancel(&Timer::Revocation { group: g(), member: m() });
        self.timers.cancel(&Timer::MemberJoin { group: g(), member: m() });
        self.timers.cancel(&Timer::MemberSync { group: g(), member: m() });
    }

    /// Runs a decision on a group that exists. What it refuses leaves no trace.
    pub(super) fn decide<R>(
        &mut self,
        now: Timestamp,
        group: &str,
        act: impl FnOnce(&mut Scope<'_>, &mut Change<'_>) -> Result<R, ConsumerError>,
    ) -> Result<(R, Changed<ConsumerGroup>), ConsumerError> {
        let settings = self.settings_of(group);
        let Self { config, topics, topic_hashes, consumers, .. } = self;
        let Some(group) = consumers.get_mut(group) else {
            let text = format!("Consumer group {group} not found.");
            return Err(ConsumerError::GroupIdNotFound(text));
        };
        let topics: &dyn Topics = &**topics;
        let mut scope = Scope { now, config, settings, topics, hashes: topic_hashes };
        Change::run(group, |change| act(&mut scope, change))
    }

    pub(crate) fn consumer_heartbeat(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        (context, request): (&ClientContext, &ConsumerGroupHeartbeatRequest),
        member_uuid: Uuid,
        out: &mut Outcome,
    ) {
        let checked = validate(&self.config.consumer, context.api_version, request);
        let result = checked.and_then(|()| match request.member_epoch {
            LEAVE | LEAVE_STATIC => self.leave_consumer_group(now, token, request, out),
            _ => {
                let heartbeat = Heartbeat { context, request, member_uuid };
                self.beat(now, token, &heartbeat, out)
            }
        });
        if let Err(error) = result {
            out.reply(token, Reply::ConsumerGroupHeartbeat(refusal(&error)));
        }
    }

    fn beat(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        heartbeat: &Heartbeat<'_>,
        out: &mut Outcome,
    ) -> Result<(), ConsumerError> {
        let request = heartbeat.request;
        let group_id = request.group_id.as_str();
        let entered = self.enter(group_id, request.member_epoch == 0)?;
        let upgrade = entered.as_ref().and_then(|entered| entered.upgrade.clone());
        let decided = self.decide(now, group_id, |scope, change| {
            if let Some(upgrade) = &upgrade {
                upgrade.apply(scope, change);
            }
            heartbeat.decide(scope, change)
        });
        let (beaten, changed) =
            decided.inspect_err(|_| self.drop_if_gone::<ConsumerGroup>(group_id))?;
        let classic = entered.and_then(|_| self.end_classic(now, group_id, out));
        let Beaten { member, response, progressed } = beaten;
        let session_ms = self.settings_of(group_id).session_timeout_ms;
        self.set_member_timers(now, group_id, &member, session_ms, progressed);
        if let Some(upgrade) = upgrade {
            for (id, session_ms) in upgrade.sessions() {
                self.set_member_timers(now, group_id, &id, session_ms, false);
            }
        }
        let Some(id) = self.consumers.get(group_id).map(|group| Arc::clone(&group.id)) else {
            return Ok(());
        };
        let reply = Reply::ConsumerGroupHeartbeat(response);
        self.store_change(now, out, &id, changed, classic, Some((token, reply)));
        self.resolve_if_due(now, &id, heartbeat.context.viewer.as_ref());
        Ok(())
    }

    /// Makes sure that there is a consumer group of this id to decide on. A classic group stays
    /// until the decision is made.
    fn enter(&mut self, group: &str, create: bool) -> Result<Option<Entered>, ConsumerError> {
        if self.consumers.contains_key(group) {
            return Ok(None);
        }
        let not_found = |text: String| Err(ConsumerError::GroupIdNotFound(text));
        if self.streams.contains_key(group) || self.shares.contains_key(group) {
            return not_found(format!("Group {group} is not a consumer group."));
        }
        let upgrade = match self.groups.get(group) {
            None if !create => return not_found(format!("Consumer group {group} not found.")),
            None => None,
            Some(classic) if classic.state == GroupState::Empty && classic.len() == 0 => {
                if !create {
                    return not_found(format!("Group {group} is not a consumer group."));
                }
                None
            }
            Some(_) if !create => {
                return not_found(format!("Group {group} is not a consumer group."));
            }
            Some(classic) => Some(Upgrade::of(classic, &self.config.consumer, &*self.topics)?),
        };
        let id: Arc<str> = group.into();
        self.consumers.insert(Arc::clone(&id), ConsumerGroup::new(id));
        Ok(Some(Entered { upgrade }))
    }

    fn leave_consumer_group(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        request: &ConsumerGroupHeartbeatRequest,
        out: &mut Outcome,
    ) -> Result<(), ConsumerError> {
        let group_id = request.group_id.as_str();
        let Some(group) = self.consumers.get(group_id) else {
            let is_other = self.streams.contains_key(group_id);
            let text = if is_other || self.groups.contains_key(group_id) {
                format!("Group {group_id} is not a consumer group.")
            } else {
                format!("Group {group_id} not found.")
            };
            return Err(ConsumerError::GroupIdNotFound(text));
        };
        let id = Arc::clone(&group.id);
        let response = ConsumerGroupHeartbeatResponse {
            member_id: Some(request.member_id.clone()),
            member_epoch: request.member_epoch,
            ..Default::default()
        };
        let answer = Some((token, Reply::ConsumerGroupHeartbeat(response)));
        match leaving(group, request)? {
            Leaving::ForGood(member) => self.fence_members(now, &id, &[member], answer, out),
            Leaving::ForAWhile(member) => {
                let ((), changed) = self.decide(now, &id, |_, change| {
                    leave_for_a_while(change, &member);
                    Ok(())
                })?;
                self.store_change(now, out, &id, changed, None, answer);
            }
        }
        Ok(())
    }

    /// Takes members away; if only classic ones are left the group becomes a classic one.
    pub(super) fn fence_members(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        members: &[Arc<str>],
        answer: Option<(ReplyToken, Reply)>,
        out: &mut Outcome,
    ) {
        for member in members {
            self.cancel_consumer_timers(group, member);
        }
        if let Some(classic) = self.classic_without(now, group, members) {
            return self.become_classic(now, group, classic, None, answer, out);
        }
        let decided = self.decide(now, group, |scope, change| {
            fence(scope, change, members);
            Ok(())
        });
        if let Ok(((), changed)) = decided {
            self.store_change(now, out, group, changed, None, answer);
        }
    }

    /// A timer of a consumer group is up.
    pub(crate) fn on_consumer_timer(&mut self, now: Timestamp, timer: Timer, out: &mut Outcome) {
        match timer {
            Timer::MemberSession { group, member }
            | Timer::MemberJoin { group, member }
            | Timer::MemberSync { group, member } => self.fence_if_there(now, &group, &member, out),
            Timer::Revocation { group, member } => {
                let state = self.consumers.get(&group).and_then(|group| group.member(&member));
                // Every other step takes the timer away.
                if state.is_some_and(|m| m.progress.state == MemberState::UnrevokedPartitions) {
                    self.fence_if_there(now, &group, &member, out);
                }
            }
            Timer::Patterns { group } => self.resolve_patterns(now, &group, out),
            _ => {}
        }
    }

    fn fence_if_there(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        id: &Arc<str>,
        out: &mut Outcome,
    ) {
        if self.consumers.get(group).is_some_and(|group| group.member(id).is_some()) {
            self.fence_members(now, group, std::slice::from_ref(id), None, out);
        }
    }

    /// Has patterns resolved soon, beside the request, if there is a reason: new ones, new topics,
    /// or that it was long ago. Not more often than every ten seconds. `viewer` is whose heartbeat
    /// it is.
    pub(super) fn resolve_if_due(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        viewer: Option<&Viewer>,
    ) {
        let Some(group) = self.consumers.get_mut(id) else { return };
        if group.pattern_count() == 0 || group.resolving {
            return;
        }
        let last = group.patterns_resolved_at();
        // Patterns that are resolved in the future were so by a clock that was set back since.
        let age = last.map(|last| now.get().saturating_sub(last)).filter(|age| *age >= 0);
        let age = age.unwrap_or(i64::MAX);
        let interval_ms = i64::from(self.config.consumer.regex_refresh_interval_ms);
        let wanted = group.pattern_count() != group.resolved_count()
            || group.new_topics_since_resolved
            || age > interval_ms;
        if wanted && age > RESOLVE_INTERVAL_MIN_MS {
            group.resolving = true;
            group.resolving_for = viewer.cloned();
            self.timers.set(Timer::Patterns { group: Arc::clone(id) }, now);
        }
    }

    fn resolve_patterns(&mut self, now: Timestamp, id: &Arc<str>, out: &mut Outcome) {
        let decided = self.decide(now, id, |scope, change| {
            let viewer = change.group.resolving_for.take();
            let regexes = change.group.patterns();
            let resolved = patterns::resolve(regexes, scope.topics, viewer.as_ref(), now);
            let mut bump = false;
            for (regex, resolved) in resolved {
                let before = change.group.resolved(&regex);
                bump |= before.is_none_or(|before| before.topics != resolved.topics)
                    && !(before.is_none() && resolved.topics.is_empty());
                change.apply(ConsumerFact::Regex(regex, Some(resolved)));
            }
            change.group.resolving = false;
            change.group.new_topics_since_resolved = false;
            scope.next_epoch(change, bump);
            Ok(())
        });
        if let Ok(((), changed)) = decided {
            self.store_change(now, out, id, changed, None, None);
        }
    }

    pub(crate) fn describe_consumer_group(
        &self,
        group_id: String,
    ) -> naru_protocol::messages::consumer_group_describe_response::DescribedGroup {
        match self.consumers.get(group_id.as_str()) {
            Some(group) => describe(group, &self.config.consumer, &*self.topics),
            None => {
                let exists = self.has_group(&group_id);
                unknown_group(group_id, exists)
            }
        }
    }
}

/// A group of another kind, or none, has been made a consumer group.
struct Entered {
    upgrade: Option<Upgrade>,
}

pub(super) fn session(group: &Arc<str>, member: &Arc<str>) -> Timer {
    Timer::MemberSession { group: Arc::clone(group), member: Arc::clone(member) }
}

pub(super) fn after(now: Timestamp, milliseconds: i32) -> Timestamp {
    // Never for now: a tick that sets it must not find it due.
    Timestamp(now.get().saturating_add(i64::from(milliseconds.max(1))))
}

fn refusal(error: &ConsumerError) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: ErrorCode::from(error).code(),
        error_message: Some(error.to_string()),
        ..Default::default()
    }
}

/// How often patterns are resolved at most.
const RESOLVE_INTERVAL_MIN_MS: i64 = 10_000;
