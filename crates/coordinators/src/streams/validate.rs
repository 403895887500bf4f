//! What of a StreamsGroupHeartbeat can be refused without looking at the group.

use naru_protocol::messages::streams_group_heartbeat_request::{
    StreamsGroupHeartbeatRequest, Topology,
};

use super::error::StreamsError;

/// The member leaves.
pub(super) const LEAVE: i32 = -1;
/// A static member leaves for a while; there are none yet.
pub(super) const LEAVE_STATIC: i32 = -2;

pub(super) fn validate(request: &StreamsGroupHeartbeatRequest) -> Result<(), StreamsError> {
    refuse_what_is_not_served(request)?;
    check(!is_blank(&request.member_id), "MemberId can't be empty.")?;
    check(!is_blank(&request.group_id), "GroupId can't be empty.")?;
    check(!request.rack_id.as_deref().is_some_and(is_blank), "RackId can't be empty.")?;
    match request.member_epoch {
        0 => check_first(request)?,
        LEAVE_STATIC => check(request.instance_id.is_some(), "InstanceId can't be null.")?,
        epoch if epoch < LEAVE_STATIC => {
            return Err(StreamsError::InvalidRequest(format!(
                "MemberEpoch is {epoch}, but must be greater than or equal to -2."
            )));
        }
        _ => {}
    }
    let given = [
        request.active_tasks.is_some(),
        request.standby_tasks.is_some(),
        request.warmup_tasks.is_some(),
    ];
    check(
        given.iter().all(|one| *one == given[0]),
        "If one task-type is non-null, all must be non-null.",
    )?;
    check(
        request.member_epoch == 0 || request.topology.is_none(),
        "Topology can only be provided when (re-)joining.",
    )
}

/// What Kafka 4.3 does not serve either.
fn refuse_what_is_not_served(request: &StreamsGroupHeartbeatRequest) -> Result<(), StreamsError> {
    check(request.instance_id.is_none(), "Static membership is not yet supported.")?;
    check(request.task_offsets.is_none(), "TaskOffsets are not supported yet.")?;
    check(request.task_end_offsets.is_none(), "TaskEndOffsets are not supported yet.")?;
    check(is_none_or_empty(request.warmup_tasks.as_deref()), "WarmupTasks are not supported yet.")?;
    let subtopologies = request.topology.iter().flat_map(|topology| &topology.subtopologies);
    check(
        subtopologies.into_iter().all(|one| one.source_topic_regex.is_empty()),
        "Regular expressions for source topics are not supported yet.",
    )
}

fn check_first(request: &StreamsGroupHeartbeatRequest) -> Result<(), StreamsError> {
    check(
        request.rebalance_timeout_ms != -1,
        "RebalanceTimeoutMs must be provided in first request.",
    )?;
    let is_empty = |tasks: &Option<Vec<_>>| tasks.as_ref().is_some_and(Vec::is_empty);
    check(is_empty(&request.active_tasks), "ActiveTasks must be empty when (re-)joining.")?;
    check(is_empty(&request.standby_tasks), "StandbyTasks must be empty when (re-)joining.")?;
    check(is_empty(&request.warmup_tasks), "WarmupTasks must be empty when (re-)joining.")?;
    let Some(topology) = &request.topology else {
        return check(false, "Topology must be non-null when (re-)joining.");
    };
    check_topology(topology)
}

fn check_topology(topology: &Topology) -> Result<(), StreamsError> {
    let changelogs = topology.subtopologies.iter().flat_map(|one| &one.state_changelog_topics);
    if let Some(changelog) = changelogs.into_iter().find(|changelog| changelog.partitions != 0) {
        return Err(StreamsError::InvalidTopology(format!(
            "Changelog topic {} must have an undefined partition count, but it is set to {}.",
            changelog.name, changelog.partitions
        )));
    }
    if topology.epoch < 0 {
        return Err(StreamsError::InvalidTopology(
            "Topology epoch must be non-negative.".to_owned(),
        ));
    }
    Ok(())
}

fn is_none_or_empty<T>(list: Option<&[T]>) -> bool {
    list.is_none_or(<[T]>::is_empty)
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn check(is_good: bool, text: &str) -> Result<(), StreamsError> {
    if is_good { Ok(()) } else { Err(StreamsError::InvalidRequest(text.to_owned())) }
}
