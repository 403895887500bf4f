//! ListGroups (key 16, v0–v5), DescribeGroups (key 15, v0–v6), DeleteGroups (key 42, v0–v2).
//! List v4 states, v5 types · Describe v6 GROUP_ID_NOT_FOUND.

use std::collections::HashSet;

use bytes::Bytes;
use naru_model::ErrorCode;
use naru_protocol::messages::delete_groups_response::DeletableGroupResult;
use naru_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use naru_protocol::messages::list_groups_response::ListedGroup;

use crate::consumer::ConsumerGroup;
use crate::group::ClassicGroup;
use crate::share::ShareGroup;
use crate::state::GroupState;
use crate::streams::StreamsGroup;

const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";
const STREAMS: &str = "streams";
const SHARE: &str = "share";

/// The groups whose state and type are asked for, by name.
pub(crate) fn list_groups<'g>(
    classic: impl Iterator<Item = &'g ClassicGroup>,
    consumer: impl Iterator<Item = &'g ConsumerGroup>,
    streams: impl Iterator<Item = &'g StreamsGroup>,
    share: impl Iterator<Item = &'g ShareGroup>,
    states: &[String],
    types: &[String],
) -> Vec<ListedGroup> {
    let names = |filter: &[String]| -> HashSet<String> {
        filter.iter().map(|name| name.trim().to_lowercase()).collect()
    };
    let (states, types) = (names(states), names(types));
    let classic = classic.map(|group| ListedGroup {
        group_id: group.id.to_string(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        group_state: group.state.name().to_owned(),
        group_type: CLASSIC.to_owned(),
    });
    let consumer = consumer.map(|group| ListedGroup {
        group_id: group.id.to_string(),
        protocol_type: CONSUMER.to_owned(),
        group_state: group.state().name().to_owned(),
        group_type: CONSUMER.to_owned(),
    });
    let streams = streams.map(|group| ListedGroup {
        group_id: group.id.to_string(),
        protocol_type: STREAMS.to_owned(),
        group_state: group.state().name().to_owned(),
        group_type: STREAMS.to_owned(),
    });
    let share = share.map(|group| ListedGroup {
        group_id: group.id.to_string(),
        protocol_type: SHARE.to_owned(),
        group_state: group.state().name().to_owned(),
        group_type: SHARE.to_owned(),
    });
    let mut listed: Vec<ListedGroup> = classic
        .chain(consumer)
        .chain(streams)
        .chain(share)
        .filter(|group| types.is_empty() || types.contains(&group.group_type))
        .filter(|group| states.is_empty() || states.contains(&group.group_state.to_lowercase()))
        .collect();
    listed.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    listed
}

/// A group as `api_version` shows it; authorized operations are the caller's.
pub(crate) fn describe_group(
    group: Option<&ClassicGroup>,
    is_of_another_type: bool,
    api_version: i16,
    group_id: String,
) -> DescribedGroup {
    let Some(group) = group else {
        let dead = DescribedGroup {
            group_state: GroupState::Dead.name().to_owned(),
            ..Default::default()
        };
        return if api_version >= NOT_FOUND_SINCE {
            DescribedGroup {
                error_code: ErrorCode::GroupIdNotFound.code(),
                error_message: Some(if is_of_another_type {
                    format!("Group {group_id} is not a classic group.")
                } else {
                    format!("Group {group_id} not found.")
                }),
                group_id,
                ..dead
            }
        } else {
            DescribedGroup { group_id, ..dead }
        };
    };
    // Between generations members' metadata is in doubt, so nobody is shown it.
    let is_stable = group.state == GroupState::Stable;
    let protocol = group.protocol.as_deref().filter(|_| is_stable);
    DescribedGroup {
        group_id,
        group_state: group.state.name().to_owned(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol_data: protocol.unwrap_or_default().to_owned(),
        members: group
            .members()
            .map(|member| DescribedGroupMember {
                member_id: member.id.to_string(),
                group_instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                member_metadata: if is_stable { member.metadata(protocol) } else { Bytes::new() },
                member_assignment: member.assignment.clone(),
            })
            .collect(),
        ..Default::default()
    }
}

pub(crate) fn delete_result(group_id: String, error: ErrorCode) -> DeletableGroupResult {
    DeletableGroupResult { group_id, error_code: error.code() }
}

/// From this version on an unknown group is an error (KIP-1043).
const NOT_FOUND_SINCE: i16 = 6;
