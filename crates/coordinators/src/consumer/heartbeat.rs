//! ConsumerGroupHeartbeat (key 68, v0–v1). KIP-848, 1082, 1101.
//! v1 members make their own ids · patterns.
//!
//! A member that is in its group and says nothing new costs no allocation and writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use naru_model::Uuid;
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

use super::assignment::{answered, is_subset};
use super::error::ConsumerError;
use super::facts::ConsumerFact;
use super::group::ConsumerGroup;
use super::member::{ConsumerMember, Profile, Progress};
use super::patterns;
use super::reconcile::Reconcile;
use super::target::{Change, Scope};
use crate::command::ClientContext;

/// A heartbeat on its way through the group.
pub(super) struct Heartbeat<'a> {
    pub(super) context: &'a ClientContext,
    pub(super) request: &'a ConsumerGroupHeartbeatRequest,
    /// The id of a member that brings none.
    pub(super) member_uuid: Uuid,
}

/// What a heartbeat comes to, besides the facts.
pub(super) struct Beaten {
    pub(super) member: Arc<str>,
    pub(super) response: ConsumerGroupHeartbeatResponse,
    /// The member took a step.
    pub(super) progressed: bool,
}

/// What became of a member's pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatternChange {
    None,
    /// Changed, and what it stands for is not known yet.
    Unresolved,
    /// Changed, and what it stands for is known.
    Resolved,
}

impl Heartbeat<'_> {
    pub(super) fn decide(
        &self,
        scope: &mut Scope<'_>,
        change: &mut Change<'_>,
    ) -> Result<Beaten, ConsumerError> {
        let request = self.request;
        check_room(scope, change.group, &request.member_id)?;
        let id = self.find_or_create(change)?;
        let known = change.group.member(&id);
        let new_profile = self.new_profile(known.map(|member| &member.profile));
        let names_changed = new_profile.as_ref().is_some_and(|profile| match known {
            Some(member) => member.profile.topics != profile.topics,
            None => !profile.topics.is_empty(),
        });
        let pattern = match new_profile {
            Some(profile) => update_profile(change, &id, profile)?,
            None => PatternChange::None,
        };
        let bump = names_changed || pattern == PatternChange::Resolved;
        if bump || change.group.metadata_expired {
            scope.next_epoch(change, bump);
        }
        scope.assign_if_due(change);
        let reconcile = Reconcile {
            topics: scope.topics,
            claimed: request.topic_partitions.as_deref(),
            subscription_changed: names_changed || pattern != PatternChange::None,
        };
        let (progressed, assigned_changed) = step(change, &id, &reconcile)?;
        let progress = change.group.member(&id).map(|member| &member.progress);
        let is_full = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some()
                || request.subscribed_topic_regex.is_some())
            && request.topic_partitions.is_some();
        let tell = request.member_epoch == 0 || is_full || assigned_changed;
        let response = ConsumerGroupHeartbeatResponse {
            member_id: Some(id.to_string()),
            member_epoch: progress.map_or(0, |progress| progress.epoch),
            heartbeat_interval_ms: scope.settings.heartbeat_interval_ms,
            assignment: progress.filter(|_| tell).map(|progress| answered(&progress.assigned)),
            ..Default::default()
        };
        Ok(Beaten { member: id, response, progressed })
    }

    /// The member this is about; one that joins may not be there yet.
    fn find_or_create(&self, change: &mut Change<'_>) -> Result<Arc<str>, ConsumerError> {
        let request = self.request;
        let joins = request.member_epoch == 0;
        let id = request.member_id.as_str();
        let new_id = || -> Arc<str> {
            if id.is_empty() { self.member_uuid.to_string().into() } else { id.into() }
        };
        let Some(instance) = request.instance_id.as_deref() else {
            return match change.group.member(id) {
                Some(member) => {
                    self.check_epoch(member)?;
                    Ok(Arc::clone(&member.id))
                }
                None if joins => Ok(new_id()),
                None => Err(ConsumerError::unknown_member(id, &change.group.id)),
            };
        };
        match change.group.static_member(instance) {
            None if joins => Ok(new_id()),
            None => Err(ConsumerError::UnknownInstanceId(instance.to_owned())),
            Some(owner) if joins => {
                let has_left = owner.progress.epoch == super::validate::LEAVE_STATIC;
                if !has_left && !owner.uses_classic_protocol() {
                    return Err(ConsumerError::UnreleasedInstanceId {
                        member: id.to_owned(),
                        instance: instance.to_owned(),
                        owner: owner.id.to_string(),
                    });
                }
                let (old, new) = (owner.clone(), new_id());
                replace(change, &old, &new);
                Ok(new)
            }
            Some(owner) => {
                check_instance(owner, id, instance)?;
                self.check_epoch(owner)?;
                Ok(Arc::clone(&owner.id))
            }
        }
    }

    /// Whether the member is where the coordinator thinks it is. One epoch behind is good if the
    /// answer may have got lost.
    fn check_epoch(&self, member: &ConsumerMember) -> Result<(), ConsumerError> {
        let received = self.request.member_epoch;
        let Progress { epoch: known, previous_epoch, ref assigned, .. } = member.progress;
        let claimed = self.request.topic_partitions.as_deref();
        let fenced = |size| Err(ConsumerError::FencedMemberEpoch { size, received, known });
        if received == 0 || received == known {
            Ok(())
        } else if received > known {
            fenced("greater")
        } else if received == previous_epoch && is_subset(claimed, assigned) {
            Ok(())
        } else {
            fenced("smaller")
        }
    }

    /// The member's profile if this request changes it.
    fn new_profile(&self, known: Option<&Profile>) -> Option<Profile> {
        let Self { context, request, .. } = self;
        let names = request.subscribed_topic_names.as_ref();
        if let Some(profile) = known
            && keeps(&profile.instance_id, &request.instance_id)
            && keeps(&profile.rack_id, &request.rack_id)
            && keeps(&profile.assignor, &request.server_assignor)
            && request.subscribed_topic_regex.as_ref().is_none_or(|regex| *regex == profile.regex)
            && names.is_none_or(|names| same_names(names, &profile.topics))
            && [-1, profile.rebalance_timeout_ms].contains(&request.rebalance_timeout_ms)
            && profile.client_id == context.client_id
            && profile.client_host == context.client_host
            && profile.classic.is_none()
        {
            return None;
        }
        let mut profile = known
            .cloned()
            .unwrap_or_else(|| Profile { rebalance_timeout_ms: -1, ..Profile::default() });
        update(&mut profile.instance_id, &request.instance_id);
        update(&mut profile.rack_id, &request.rack_id);
        update(&mut profile.assignor, &request.server_assignor);
        if let Some(names) = names {
            profile.topics = names.iter().cloned().collect();
        }
        if let Some(regex) = &request.subscribed_topic_regex {
            profile.regex.clone_from(regex);
        }
        if request.rebalance_timeout_ms != -1 {
            profile.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        profile.client_id.clone_from(&context.client_id);
        profile.client_host.clone_from(&context.client_host);
        profile.classic = None;
        Some(profile)
    }
}

/// Whether there is room for the member, or it is there already.
pub(super) fn check_room(
    scope: &Scope<'_>,
    group: &ConsumerGroup,
    member: &str,
) -> Result<(), ConsumerError> {
    let max = scope.config.consumer.max_size;
    if group.len() >= max && group.member(member).is_none() {
        return Err(ConsumerError::GroupMaxSizeReached(max));
    }
    Ok(())
}

/// Whether the static member is who it says.
pub(super) fn check_instance(
    owner: &ConsumerMember,
    member: &str,
    instance: &str,
) -> Result<(), ConsumerError> {
    if *owner.id == *member {
        return Ok(());
    }
    Err(ConsumerError::FencedInstanceId {
        member: member.to_owned(),
        instance: instance.to_owned(),
        owner: owner.id.to_string(),
    })
}

/// A static member is back under a new id and takes over what the old one had.
pub(super) fn replace(change: &mut Change<'_>, old: &ConsumerMember, new: &Arc<str>) {
    let target = change.group.target(&old.id).cloned().unwrap_or_default();
    remove(change, &old.id);
    change.apply(ConsumerFact::Member(Arc::clone(new), Some(Box::new(old.profile.clone()))));
    change.apply(ConsumerFact::Target(Arc::clone(new), Some(target)));
    let progress = Progress { epoch: 0, previous_epoch: 0, ..old.progress.clone() };
    change.apply(ConsumerFact::Current(Arc::clone(new), Some(Box::new(progress))));
}

/// Takes a member away, what it owns first.
pub(super) fn remove(change: &mut Change<'_>, id: &Arc<str>) {
    change.apply(ConsumerFact::Current(Arc::clone(id), None));
    change.apply(ConsumerFact::Target(Arc::clone(id), None));
    change.apply(ConsumerFact::Member(Arc::clone(id), None));
}

/// Stores the profile, and forgets a pattern that nobody has any more.
pub(super) fn update_profile(
    change: &mut Change<'_>,
    id: &Arc<str>,
    profile: Profile,
) -> Result<PatternChange, ConsumerError> {
    let old =
        change.group.member(id).map(|member| member.profile.regex.clone()).unwrap_or_default();
    let new = profile.regex.clone();
    let was_new = change.group.members_with_pattern(&new) == 0;
    change.apply(ConsumerFact::Member(Arc::clone(id), Some(Box::new(profile))));
    if old == new {
        return Ok(PatternChange::None);
    }
    if !old.is_empty()
        && change.group.members_with_pattern(&old) == 0
        && change.group.resolved(&old).is_some()
    {
        change.apply(ConsumerFact::Regex(old.into(), None));
    }
    if new.is_empty() {
        return Ok(PatternChange::Resolved);
    }
    if was_new {
        patterns::validate(&new)?;
    }
    let is_resolved = !was_new && change.group.resolved(&new).is_some();
    Ok(if is_resolved { PatternChange::Resolved } else { PatternChange::Unresolved })
}

/// Lets a member take a step; whether it did, and whether it has other partitions now.
pub(super) fn step(
    change: &mut Change<'_>,
    id: &Arc<str>,
    reconcile: &Reconcile<'_>,
) -> Result<(bool, bool), ConsumerError> {
    let Some(member) = change.group.member(id) else { return Ok((false, false)) };
    let Some(next) = reconcile.step(change.group, member)? else { return Ok((false, false)) };
    let assigned_changed = next.assigned != member.progress.assigned;
    change.apply(ConsumerFact::Current(Arc::clone(id), Some(Box::new(next))));
    Ok((true, assigned_changed))
}

fn keeps(known: &Option<String>, said: &Option<String>) -> bool {
    said.is_none() || said == known
}

fn update(known: &mut Option<String>, said: &Option<String>) {
    if said.is_some() {
        known.clone_from(said);
    }
}

fn same_names(said: &[String], known: &BTreeSet<String>) -> bool {
    // Names said twice count as a change, which is then found to be none.
    said.len() == known.len() && said.iter().all(|name| known.contains(name))
}
