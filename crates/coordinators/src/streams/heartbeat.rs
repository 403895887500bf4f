//! StreamsGroupHeartbeat (key 88, v0). KIP-1071.
//!
//! A member that is in its group and says nothing new writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use naru_protocol::messages::create_topics_request::CreatableTopic;
use naru_protocol::messages::streams_group_heartbeat_request::{
    StreamsGroupHeartbeatRequest, TaskIds as ClaimedTasks,
};
use naru_protocol::messages::streams_group_heartbeat_response::{
    StreamsGroupHeartbeatResponse, TaskIds,
};

use super::configure::{Configured, ConfiguredSubtopology, InternalTopic};
use super::endpoints::partitions_by_endpoint;
use super::error::StreamsError;
use super::facts::{GroupEpoch, StreamsFact};
use super::group::StreamsGroup;
use super::member::{Profile, StreamsMember};
use super::reconcile::Reconcile;
use super::status::Status;
use super::target::Scope;
use super::tasks::{Assignment, Held, Tasks, is_subset, to_message, without_epochs};
use super::topology::Topology;
use crate::command::ClientContext;

type Change<'g> = crate::change::Change<'g, StreamsGroup>;

/// A heartbeat on its way through the group.
pub(super) struct Heartbeat<'a> {
    pub(super) context: &'a ClientContext,
    pub(super) request: &'a StreamsGroupHeartbeatRequest,
    /// The group is made by this heartbeat.
    pub(super) is_first: bool,
}

/// What a heartbeat comes to, besides the facts.
pub(super) struct Beaten {
    pub(super) member: Arc<str>,
    pub(super) response: StreamsGroupHeartbeatResponse,
    /// Internal topics that have to be created.
    pub(super) missing: Vec<CreatableTopic>,
    /// The member took a step.
    pub(super) progressed: bool,
}

impl Heartbeat<'_> {
    pub(super) fn decide(
        &self,
        scope: &mut Scope<'_>,
        change: &mut Change<'_>,
    ) -> Result<Beaten, StreamsError> {
        let request = self.request;
        let joins = request.member_epoch == 0;
        let max = scope.config.streams.max_size;
        if joins && change.group.len() >= max {
            return Err(StreamsError::GroupMaxSizeReached(max));
        }
        let id: Arc<str> = if joins && change.group.member(&request.member_id).is_none() {
            request.member_id.as_str().into()
        } else {
            let member = change.group.member_or_refuse(&request.member_id)?;
            self.check_epoch(member)?;
            Arc::clone(&member.id)
        };
        let before = change.group.member(&id).map(|member| member.progress.assigned.clone());
        let before = before.unwrap_or_default();
        let mut bump = self.update_profile(change, &id);
        let is_described = change.group.topology().is_some();
        let topology = self.describe(change)?;
        let mut statuses = Vec::new();
        let known = change.group.member(&id).map_or(-1, |member| member.profile.topology_epoch);
        if known < topology.epoch {
            statuses.push(Status::StaleTopology(format!(
                "The member's topology epoch {known} is behind the group's topology epoch {}.",
                topology.epoch
            )));
        }
        let (configured, hash) = configure(scope, change, &topology, is_described, &mut bump)?;
        let validated_topology_epoch = match &configured.subtopologies {
            Some(subtopologies) if configured.is_ready() => {
                self.check_tasks(subtopologies)?;
                topology.epoch
            }
            _ => -1,
        };
        let last = change.group.last_epoch();
        let configs = scope.assignment_configs();
        if bump
            || validated_topology_epoch != last.validated_topology_epoch
            || configs != last.configs
        {
            let epoch = last.epoch.saturating_add(1);
            let metadata_hash = hash;
            change.apply(StreamsFact::Group(Some(GroupEpoch {
                epoch,
                metadata_hash,
                validated_topology_epoch,
                configs,
            })));
        }
        statuses.extend(scope.assign_if_due(change, &configured));
        let progressed = self.reconcile(scope, change, &id)?;
        if request.shutdown_application {
            change.group.shut_down(Arc::clone(&id));
        }
        let mut response = StreamsGroupHeartbeatResponse {
            member_id: id.to_string(),
            heartbeat_interval_ms: scope.settings.heartbeat_interval_ms,
            ..Default::default()
        };
        let group = &mut *change.group;
        if let Some(member) = group.member(&id) {
            let assigned = &member.progress.assigned;
            response.member_epoch = member.progress.epoch;
            let changed = joins || *assigned != before;
            // One that says it has something else has not got the answer which told it. Kafka
            // 4.3 leaves it without its tasks.
            let is_mistaken =
                Assignment::claimed(request).is_some_and(|claimed| claimed != assigned.tasks());
            if changed || is_mistaken {
                tell(&mut response, assigned);
            }
            let has_endpoint = member.profile.user_endpoint.is_some();
            group.endpoint_epoch += i32::from(changed && has_endpoint);
        }
        if group.endpoint_epoch != request.endpoint_information_epoch {
            response.partitions_by_user_endpoint =
                Some(partitions_by_endpoint(group, &id, scope.topics));
        }
        if self.is_first {
            // Kafka forgets of a group's first heartbeat what is not in its records.
            (group.endpoint_epoch, group.configured) = (0, None);
        } else {
            response.endpoint_information_epoch = group.endpoint_epoch;
        }
        statuses.extend(configured.problem.clone());
        statuses.extend(group.shutdown_by().map(|by| {
            Status::ShutdownApplication(format!(
                "Streams group member {by} encountered a fatal error and requested a shutdown \
                 for the entire application."
            ))
        }));
        response.status = Some(statuses.iter().map(Into::into).collect());
        let missing = configured.missing.values().take(MISSING_MAX);
        let missing = missing.map(InternalTopic::creatable).collect();
        Ok(Beaten { member: id, response, missing, progressed })
    }

    /// Whether the member is where the coordinator thinks it is. One epoch behind is good if the
    /// answer may have got lost.
    fn check_epoch(&self, member: &StreamsMember) -> Result<(), StreamsError> {
        let received = self.request.member_epoch;
        let known = member.progress.epoch;
        let fenced = |size| Err(StreamsError::FencedMemberEpoch { size, received, known });
        if received == 0 || received == known {
            Ok(())
        } else if received > known {
            fenced("greater")
        } else if received == member.progress.previous_epoch
            && is_subset(self.request, &member.progress.assigned)
        {
            Ok(())
        } else {
            fenced("smaller")
        }
    }

    /// Takes over what the member says of itself; whether that is new.
    fn update_profile(&self, change: &mut Change<'_>, id: &Arc<str>) -> bool {
        let Self { context, request, .. } = self;
        let known = change.group.member(id);
        let mut profile = known.map(|member| member.profile.clone()).unwrap_or_default();
        if request.rack_id.is_some() {
            profile.rack_id.clone_from(&request.rack_id);
        }
        if request.rebalance_timeout_ms != -1 {
            profile.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        if let Some(topology) = &request.topology {
            profile.topology_epoch = topology.epoch;
        }
        if let Some(process_id) = &request.process_id {
            profile.process_id.clone_from(process_id);
        }
        if let Some(tags) = &request.client_tags {
            let tags = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
            profile.client_tags = tags.collect();
        }
        if let Some(endpoint) = &request.user_endpoint {
            profile.user_endpoint = Some((endpoint.host.clone(), endpoint.port));
        }
        profile.client_id.clone_from(&context.client_id);
        profile.client_host.clone_from(&context.client_host);
        let is_new = known.is_none_or(|member| !member.known || member.profile != profile);
        if is_new {
            change.apply(StreamsFact::Member(Arc::clone(id), Some(Box::<Profile>::new(profile))));
        }
        is_new
    }

    /// The group's topology: the first member's, which no other may change.
    fn describe(&self, change: &mut Change<'_>) -> Result<Arc<Topology>, StreamsError> {
        let known = change.group.topology().cloned();
        let Some(said) = &self.request.topology else {
            return known.ok_or_else(|| {
                let text = "The topology is null and the group topology is also null.";
                StreamsError::InvalidTopology(text.to_owned())
            });
        };
        match known {
            Some(known) if known.epoch > said.epoch => Ok(known),
            Some(known) if *known == Topology::from_request(said)? => Ok(known),
            Some(_) => {
                let text = "Topology updates are not supported yet.";
                Err(StreamsError::InvalidRequest(text.to_owned()))
            }
            None => {
                let topology = Arc::new(Topology::from_request(said)?);
                change.apply(StreamsFact::Topology(Some(Arc::clone(&topology))));
                Ok(topology)
            }
        }
    }

    /// A member may only say that it has tasks which exist.
    fn check_tasks(
        &self,
        subtopologies: &BTreeMap<String, ConfiguredSubtopology>,
    ) -> Result<(), StreamsError> {
        let Self { request, .. } = self;
        let roles = [&request.active_tasks, &request.standby_tasks, &request.warmup_tasks];
        for ClaimedTasks { subtopology_id: id, partitions } in roles.into_iter().flatten().flatten()
        {
            let Some(subtopology) = subtopologies.get(id) else {
                let text = format!("Subtopology {id} does not exist in the topology.");
                return Err(StreamsError::InvalidRequest(text));
            };
            let count = subtopology.tasks;
            if let Some(task) = partitions.iter().find(|task| !(0..count).contains(*task)) {
                return Err(StreamsError::InvalidRequest(format!(
                    "Task {task} for subtopology {id} is invalid. Number of tasks for this \
                     subtopology: {count}"
                )));
            }
        }
        Ok(())
    }

    /// Lets the member take a step; whether it did.
    fn reconcile(
        &self,
        scope: &Scope<'_>,
        change: &mut Change<'_>,
        id: &Arc<str>,
    ) -> Result<bool, StreamsError> {
        let Some(member) = change.group.member(id) else { return Ok(false) };
        let target = change.group.target(id).filter(|_| !scope.is_delayed);
        let target = target.cloned().unwrap_or_default();
        let claimed = Assignment::claimed(self.request);
        let epoch = change.group.target_epoch().epoch;
        let reconcile = Reconcile { epoch, target: &target, claimed: claimed.as_ref() };
        let Some(next) = reconcile.step(change.group, member)? else { return Ok(false) };
        change.apply(StreamsFact::Current(Arc::clone(id), Some(Box::new(next))));
        Ok(true)
    }
}

/// The topology over the topics of now, and their hash.
fn configure(
    scope: &mut Scope<'_>,
    change: &mut Change<'_>,
    topology: &Arc<Topology>,
    is_described: bool,
    bump: &mut bool,
) -> Result<(Arc<Configured>, i64), StreamsError> {
    let known = change.group.configured.clone();
    let last = change.group.last_epoch().metadata_hash;
    let known = match known {
        Some(known) if is_described && !change.group.metadata_expired => return Ok((known, last)),
        known => known,
    };
    let hash = scope.hashes.of_group(topology.required_topics().into_iter(), scope.topics);
    *bump |= hash != last;
    let configured = match known {
        Some(known) if is_described && hash == last => known,
        _ => Arc::new(Configured::of(topology, scope.topics)?),
    };
    change.group.configured = Some(Arc::clone(&configured));
    change.group.metadata_expired = false;
    Ok((configured, hash))
}

/// Tells a member what it has.
fn tell(response: &mut StreamsGroupHeartbeatResponse, assigned: &Held) {
    let ids = |tasks: &Tasks| {
        Some(to_message(tasks, |subtopology_id, partitions| TaskIds { subtopology_id, partitions }))
    };
    response.active_tasks = ids(&without_epochs(&assigned.active));
    response.standby_tasks = ids(&assigned.standby);
    response.warmup_tasks = ids(&assigned.warmup);
}

/// Missing topics that an answer has created; later ones have the others created. The broker
/// remembers no more that it has asked for.
const MISSING_MAX: usize = 1_000;
