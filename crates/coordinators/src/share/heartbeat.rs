//! ShareGroupHeartbeat (key 76, v1). KIP-932.
//!
//! A member that is in its group and says nothing new writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use naru_protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use naru_protocol::messages::share_group_heartbeat_response::{
    Assignment, ShareGroupHeartbeatResponse, TopicPartitions,
};

use super::error::ShareGroupError;
use super::facts::ShareFact;
use super::group::ShareGroup;
use super::initialization::Initialization;
use super::member::{ShareMember, ShareProfile};
use super::target::{Scope, ShareChange};
use crate::command::ClientContext;
use crate::consumer::Partitions;

/// What a heartbeat comes to, besides the facts.
pub(super) struct Beaten {
    pub(super) member: Arc<str>,
    pub(super) response: ShareGroupHeartbeatResponse,
    pub(super) initialization: Option<Initialization>,
}

/// The epoch of a member that leaves.
pub(super) const LEAVE: i32 = -1;

pub(super) fn validate(request: &ShareGroupHeartbeatRequest) -> Result<(), ShareGroupError> {
    let no = |text| Err(ShareGroupError::InvalidRequest(text));
    if request.member_id.trim().is_empty() {
        return no("MemberId can't be empty.");
    }
    if request.group_id.trim().is_empty() {
        return no("GroupId can't be empty.");
    }
    if request.rack_id.as_ref().is_some_and(|rack| rack.trim().is_empty()) {
        return no("RackId can't be empty.");
    }
    if request.member_epoch == 0 {
        if request.subscribed_topic_names.as_ref().is_none_or(Vec::is_empty) {
            return no("SubscribedTopicNames must be set in first request.");
        }
    } else if request.member_epoch < LEAVE {
        return no("MemberEpoch is invalid.");
    }
    Ok(())
}

pub(super) fn beat(
    scope: &mut Scope<'_>,
    change: &mut ShareChange<'_>,
    context: &ClientContext,
    request: &ShareGroupHeartbeatRequest,
) -> Result<Beaten, ShareGroupError> {
    let max = scope.config.max_size;
    if change.group.len() >= max && change.group.member(&request.member_id).is_none() {
        return Err(ShareGroupError::GroupMaxSizeReached(max));
    }
    let known = known_member(change.group, request)?;
    let id = known.map_or_else(|| request.member_id.as_str().into(), |one| Arc::clone(&one.id));
    let old = known.map(|member| &member.profile);
    let new = profile(old, context, request);
    let subscription_changed = match old {
        Some(old) => old.topics != new.topics,
        None => !new.topics.is_empty(),
    };
    if old != Some(&new) {
        change.apply(ShareFact::Member(Arc::clone(&id), Some(Box::new(new))));
    }
    let bump = subscription_changed || scope.is_assignment_pending(change.group);
    if bump || change.group.metadata_expired {
        scope.next_epoch(change, bump);
    }
    scope.assign_if_due(change);
    let assigned_changed = scope.reconcile(change, &id, bump);
    let initialization = scope.initialize_missing(change);
    let progress = change.group.member(&id).map(|member| &member.progress);
    let is_full = request.subscribed_topic_names.is_some();
    let tell = request.member_epoch == 0 || is_full || assigned_changed;
    let response = ShareGroupHeartbeatResponse {
        member_id: Some(id.to_string()),
        member_epoch: progress.map_or(0, |progress| progress.epoch),
        heartbeat_interval_ms: scope.settings.heartbeat_interval_ms,
        assignment: progress.filter(|_| tell).map(|progress| answered(&progress.assigned)),
        ..Default::default()
    };
    Ok(Beaten { member: id, response, initialization })
}

/// The member that a heartbeat is from; none if it joins.
fn known_member<'g>(
    group: &'g ShareGroup,
    request: &ShareGroupHeartbeatRequest,
) -> Result<Option<&'g ShareMember>, ShareGroupError> {
    let received = request.member_epoch;
    let Some(member) = group.member(&request.member_id) else {
        if received == 0 {
            return Ok(None);
        }
        let (member, group) = (request.member_id.clone(), group.id.to_string());
        return Err(ShareGroupError::UnknownMemberId { member, group });
    };
    let (known, previous) = (member.progress.epoch, member.progress.previous_epoch);
    // Who begins anew is taken as it is.
    if received == 0 {
        return Ok(Some(member));
    }
    if received > known {
        return Err(ShareGroupError::EpochAhead { received, known });
    }
    // One epoch behind is good: the answer may have got lost.
    if received < known && received != previous {
        return Err(ShareGroupError::EpochBehind { received, known, previous });
    }
    Ok(Some(member))
}

fn profile(
    old: Option<&ShareProfile>,
    context: &ClientContext,
    request: &ShareGroupHeartbeatRequest,
) -> ShareProfile {
    let topics = match &request.subscribed_topic_names {
        Some(names) => names.iter().cloned().collect(),
        None => old.map_or_else(BTreeSet::new, |old| old.topics.clone()),
    };
    ShareProfile {
        rack_id: request.rack_id.clone().or_else(|| old.and_then(|old| old.rack_id.clone())),
        client_id: context.client_id.clone(),
        client_host: context.client_host.clone(),
        topics,
    }
}

/// Takes a member away and begins the group's next epoch without it.
pub(super) fn fence(scope: &mut Scope<'_>, change: &mut ShareChange<'_>, id: &Arc<str>) {
    change.apply(ShareFact::Current(Arc::clone(id), None));
    change.apply(ShareFact::Target(Arc::clone(id), None));
    change.apply(ShareFact::Member(Arc::clone(id), None));
    scope.next_epoch(change, true);
}

fn answered(assigned: &Partitions) -> Assignment {
    let topics = assigned.iter().map(|(topic_id, partitions)| TopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
    });
    Assignment { topic_partitions: topics.collect() }
}
