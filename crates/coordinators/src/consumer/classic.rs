//! Members of a consumer group that still speak the classic protocol: JoinGroup, SyncGroup,
//! Heartbeat and LeaveGroup (KIP-848's online migration).
//!
//! Such a member joins to take a step: the generation it is told is its member epoch, and the
//! assignment it syncs is what the coordinator gave it. Heartbeats tell it when to join again.

use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp};
use naru_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as OwnedTopic;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::heartbeat_response::HeartbeatResponse;
use naru_protocol::messages::join_group_response::JoinGroupResponse;
use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use naru_protocol::messages::leave_group_response::MemberResponse;
use naru_protocol::messages::sync_group_request::SyncGroupRequest;
use naru_protocol::messages::sync_group_response::SyncGroupResponse;

use super::assignment::partitions_of;
use super::convert::{read_subscription, write_assignment};
use super::error::ConsumerError;
use super::group::ConsumerGroup;
use super::heartbeat::{PatternChange, check_instance, check_room, replace, step, update_profile};
use super::member::{Classic, ConsumerMember, MemberState, Profile};
use super::reconcile::{Reconcile, waits_for_others};
use super::shard::{after, session};
use super::target::{Change, Scope};
use super::topics::Topics;
use crate::join::Join;
use crate::member::owned_protocols;
use crate::membership::{leave_response, leaving_members};
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::shard::GroupShard;
use crate::step::join_error;
use crate::subscription::CONSUMER_PROTOCOL;
use crate::timers::Timer;

/// From this version on a dynamic member must first learn its id (KIP-394).
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;

impl GroupShard {
    pub(crate) fn join_consumer_group(
        &mut self,
        now: Timestamp,
        join: &Join<'_>,
        out: &mut Outcome,
    ) {
        if let Err(error) = self.try_join(now, join, out) {
            let refused = join_error("", ErrorCode::from(&error));
            out.reply(join.token, Reply::JoinGroup(refused));
        }
    }

    fn try_join(
        &mut self,
        now: Timestamp,
        join: &Join<'_>,
        out: &mut Outcome,
    ) -> Result<(), ConsumerError> {
        let request = &join.request;
        let Some(group) = self.consumers.get(request.group_id.as_str()) else { return Ok(()) };
        let group_id = Arc::clone(&group.id);
        if self.config.consumer.migration.is_disabled() {
            return Err(ConsumerError::InconsistentGroupProtocol);
        }
        if !supports(group, join) {
            return Err(ConsumerError::InconsistentGroupProtocol);
        }
        let is_unknown = request.member_id.is_empty();
        let needs_id = is_unknown
            && request.group_instance_id.is_none()
            && join.context.api_version >= MEMBER_ID_REQUIRED_SINCE;
        let id: Arc<str> =
            if is_unknown { join.new_member_id() } else { request.member_id.as_str().into() };
        if needs_id {
            let response = join_error(&id, ErrorCode::MemberIdRequired);
            out.reply(join.token, Reply::JoinGroup(response));
            return Ok(());
        }
        let replaced = request.group_instance_id.as_deref().and_then(|id| group.static_member(id));
        let takes_over = replaced.is_some_and(|owner| !owner.uses_classic_protocol());
        let (member, changed) =
            self.decide(now, &group_id, |scope, change| decide_join(scope, change, join, &id))?;
        let Some(group) = self.consumers.get(&group_id) else { return Ok(()) };
        let Some(member) = group.member(&member) else { return Ok(()) };
        let classic = member.profile.classic.as_ref();
        let protocol = classic.and_then(|classic| classic.protocols.first());
        let response = JoinGroupResponse {
            member_id: member.id.to_string(),
            generation_id: member.progress.epoch,
            protocol_type: Some(CONSUMER_PROTOCOL.to_owned()),
            protocol_name: protocol.map(|(name, _)| name.clone()),
            ..Default::default()
        };
        let answer = Some((join.token, Reply::JoinGroup(response)));
        let (id, rebalance_ms) = (Arc::clone(&member.id), member.profile.rebalance_timeout_ms);
        if takes_over && let Some(classic) = self.classic_without(now, &group_id, &[]) {
            self.become_classic(now, &group_id, classic, Some(changed), answer, out);
            return Ok(());
        }
        let timer = |member: &Arc<str>| (Arc::clone(&group_id), Arc::clone(member));
        let (group, member) = timer(&id);
        self.timers.cancel(&Timer::MemberJoin { group, member });
        self.timers.set(session(&group_id, &id), after(now, request.session_timeout_ms));
        let (group, member) = timer(&id);
        self.timers.set(Timer::MemberSync { group, member }, after(now, rebalance_ms));
        self.store_change(now, out, &group_id, changed, None, answer);
        Ok(())
    }

    pub(crate) fn sync_consumer_group(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        request: &SyncGroupRequest,
        out: &mut Outcome,
    ) {
        let response = self.try_sync(now, request).unwrap_or_else(|error| SyncGroupResponse {
            error_code: ErrorCode::from(&error).code(),
            ..Default::default()
        });
        let id: Arc<str> = request.group_id.as_str().into();
        self.writes.answer_behind(&id, token, Reply::SyncGroup(response), out);
    }

    fn try_sync(
        &mut self,
        now: Timestamp,
        request: &SyncGroupRequest,
    ) -> Result<SyncGroupResponse, ConsumerError> {
        let Some(group) = self.consumers.get(request.group_id.as_str()) else {
            return Err(ConsumerError::unknown_member(&request.member_id, &request.group_id));
        };
        let instance = request.group_instance_id.as_deref();
        let (member, classic) = classic_member(group, &request.member_id, instance)?;
        if member.progress.epoch != request.generation_id {
            return Err(ConsumerError::IllegalGeneration);
        }
        let first = classic.protocols.first();
        let differs = |asked: &Option<String>, known: Option<&str>| {
            asked.as_deref().is_some_and(|asked| Some(asked) != known)
        };
        if differs(&request.protocol_type, Some(CONSUMER_PROTOCOL))
            || differs(&request.protocol_name, first.map(|(name, _)| name.as_str()))
        {
            return Err(ConsumerError::InconsistentGroupProtocol);
        }
        let (group_id, id) = (Arc::clone(&group.id), Arc::clone(&member.id));
        // A member that gives partitions up has joined already and joins again when it is done.
        if group.epoch() > member.progress.epoch
            && member.progress.state != MemberState::UnrevokedPartitions
        {
            let rebalance_ms = member.profile.rebalance_timeout_ms;
            self.expect_join(now, &group_id, &id, rebalance_ms);
            return Err(ConsumerError::RebalanceInProgress);
        }
        let assigned = partitions_of(&member.progress.assigned);
        let assignment = write_assignment(&assigned, first.map(|(_, bytes)| bytes), &*self.topics);
        let response = SyncGroupResponse {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment,
            ..Default::default()
        };
        let session_ms = classic.session_timeout_ms;
        self.timers.set(session(&group_id, &id), after(now, session_ms));
        self.timers.cancel(&Timer::MemberSync { group: group_id, member: id });
        Ok(response)
    }

    /// The member has been told to join: it has its rebalance timeout for that.
    fn expect_join(&mut self, now: Timestamp, group: &Arc<str>, id: &Arc<str>, rebalance_ms: i32) {
        let timer = Timer::MemberJoin { group: Arc::clone(group), member: Arc::clone(id) };
        if !self.timers.is_set(&timer) {
            self.timers.set(timer, after(now, rebalance_ms));
        }
    }

    pub(crate) fn heartbeat_consumer_group(
        &mut self,
        now: Timestamp,
        request: &HeartbeatRequest,
    ) -> HeartbeatResponse {
        let result = self.try_heartbeat(now, request);
        let error = result.err().map_or(ErrorCode::None, |error| ErrorCode::from(&error));
        HeartbeatResponse { error_code: error.code(), ..Default::default() }
    }

    fn try_heartbeat(
        &mut self,
        now: Timestamp,
        request: &HeartbeatRequest,
    ) -> Result<(), ConsumerError> {
        let Some(group) = self.consumers.get(request.group_id.as_str()) else {
            return Err(ConsumerError::unknown_member(&request.member_id, &request.group_id));
        };
        let instance = request.group_instance_id.as_deref();
        let (member, classic) = classic_member(group, &request.member_id, instance)?;
        if member.progress.epoch != request.generation_id {
            return Err(ConsumerError::IllegalGeneration);
        }
        let must_join = member.progress.epoch < group.epoch()
            || match member.progress.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !waits_for_others(group, member),
                MemberState::Stable | MemberState::Unknown => false,
            };
        let (group_id, id) = (Arc::clone(&group.id), Arc::clone(&member.id));
        let (session_ms, rebalance_ms) =
            (classic.session_timeout_ms, member.profile.rebalance_timeout_ms);
        self.timers.set(session(&group_id, &id), after(now, session_ms));
        if must_join {
            self.expect_join(now, &group_id, &id, rebalance_ms);
            return Err(ConsumerError::RebalanceInProgress);
        }
        Ok(())
    }

    /// LeaveGroup of a consumer group: classic members leave, an administrator removes static ones
    /// of both kinds.
    pub(crate) fn leave_as_classic(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        api_version: i16,
        request: LeaveGroupRequest,
        out: &mut Outcome,
    ) {
        let Some(group) = self.consumers.get(request.group_id.as_str()) else { return };
        let group_id = Arc::clone(&group.id);
        let mut gone: Vec<Arc<str>> = Vec::new();
        let responses = leaving_members(api_version, request)
            .into_iter()
            .map(|member| {
                let found = find_leaving(group, &member);
                let error = match &found {
                    Ok(id) => {
                        if !gone.contains(id) {
                            gone.push(Arc::clone(id));
                        }
                        ErrorCode::None
                    }
                    Err(error) => error.into(),
                };
                MemberResponse {
                    member_id: member.member_id,
                    group_instance_id: member.group_instance_id,
                    error_code: error.code(),
                }
            })
            .collect();
        let reply = Reply::LeaveGroup(leave_response(api_version, responses));
        if gone.is_empty() {
            return out.reply(token, reply);
        }
        self.fence_members(now, &group_id, &gone, Some((token, reply)), out);
    }
}

fn find_leaving(group: &ConsumerGroup, member: &MemberIdentity) -> Result<Arc<str>, ConsumerError> {
    let instance = member.group_instance_id.as_deref();
    if member.member_id.is_empty() {
        let owner = instance.and_then(|instance| group.static_member(instance));
        let owner = owner.ok_or_else(|| ConsumerError::unknown_member("", &group.id))?;
        return Ok(Arc::clone(&owner.id));
    }
    let (found, _) = classic_member(group, &member.member_id, instance)?;
    Ok(Arc::clone(&found.id))
}

/// The classic member that a request names.
fn classic_member<'g>(
    group: &'g ConsumerGroup,
    id: &str,
    instance: Option<&str>,
) -> Result<(&'g ConsumerMember, &'g Classic), ConsumerError> {
    let member = match instance {
        Some(instance) => {
            let owner = group.static_member(instance);
            let owner =
                owner.ok_or_else(|| ConsumerError::UnknownInstanceId(instance.to_owned()))?;
            check_instance(owner, id, instance)?;
            owner
        }
        None => group.member(id).ok_or_else(|| ConsumerError::unknown_member(id, &group.id))?,
    };
    match &member.profile.classic {
        Some(classic) => Ok((member, classic)),
        None => Err(ConsumerError::NotClassic(id.to_owned())),
    }
}

/// Whether the member's protocols go with those of the group's other classic members.
fn supports(group: &ConsumerGroup, join: &Join<'_>) -> bool {
    let request = &join.request;
    let offered = |name: &str| {
        group.members().filter(|member| *member.id != *request.member_id).all(|member| {
            let classic = member.profile.classic.as_ref();
            classic.is_none_or(|classic| classic.protocols.iter().any(|(own, _)| own == name))
        })
    };
    request.protocol_type == CONSUMER_PROTOCOL
        && request.protocols.iter().any(|protocol| offered(&protocol.name))
}

fn decide_join(
    scope: &mut Scope<'_>,
    change: &mut Change<'_>,
    join: &Join<'_>,
    id: &Arc<str>,
) -> Result<Arc<str>, ConsumerError> {
    let request = &join.request;
    check_room(scope, change.group, id)?;
    match request.group_instance_id.as_deref() {
        None => {}
        Some(instance) => match change.group.static_member(instance).cloned() {
            None if request.member_id.is_empty() => {}
            None => return Err(ConsumerError::UnknownInstanceId(instance.to_owned())),
            Some(owner) if request.member_id.is_empty() => replace(change, &owner, id),
            Some(owner) => check_instance(&owner, id, instance)?,
        },
    }
    let metadata = request.protocols.first().map(|protocol| protocol.metadata.clone());
    let subscription = read_subscription(&metadata.unwrap_or_default())
        .map_err(|_| ConsumerError::InconsistentGroupProtocol)?;
    let claimed = owned_topics(&subscription.owned_partitions, scope.topics);
    let known = change.group.member(id).map(|member| member.profile.clone());
    let before = known.clone().unwrap_or_default();
    let rack_id = subscription.rack_id.filter(|rack| !rack.is_empty());
    let profile = Profile {
        instance_id: request.group_instance_id.clone().or_else(|| before.instance_id.clone()),
        rack_id: rack_id.or_else(|| before.rack_id.clone()),
        client_id: join.context.client_id.clone(),
        client_host: join.context.client_host.clone(),
        topics: subscription.topics.into_iter().collect(),
        regex: String::new(),
        rebalance_timeout_ms: join.rebalance_timeout_ms(),
        assignor: None,
        classic: Some(Classic {
            session_timeout_ms: request.session_timeout_ms,
            protocols: owned_protocols(&request.protocols),
        }),
    };
    let names_changed = before.topics != profile.topics;
    let pattern = if known.as_ref() == Some(&profile) {
        PatternChange::None
    } else {
        update_profile(change, id, profile)?
    };
    let bump = names_changed || pattern != PatternChange::None;
    if bump || change.group.metadata_expired {
        scope.next_epoch(change, bump);
    }
    scope.assign_if_due(change);
    let reconcile =
        Reconcile { topics: scope.topics, claimed: Some(&claimed), subscription_changed: bump };
    step(change, id, &reconcile)?;
    Ok(Arc::clone(id))
}

fn owned_topics(
    owned: &[naru_protocol::messages::consumer_protocol_subscription::TopicPartition],
    topics: &dyn Topics,
) -> Vec<OwnedTopic> {
    let known = owned.iter().filter_map(|topic| {
        let topic_id = topics.by_name(&topic.topic)?.id;
        Some(OwnedTopic { topic_id, partitions: topic.partitions.clone() })
    });
    known.collect()
}
