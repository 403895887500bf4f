//! DescribeGroups (15, v0–v6), ListGroups (16, v0–v5), DeleteGroups (42, v0–v2).
//! KIP-88, 430, 518, 848, 1043.

use std::collections::{BTreeSet, HashSet};

use naru_coordinators::{Command, Reply};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use naru_protocol::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use naru_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use naru_protocol::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup};
use naru_protocol::messages::list_groups_request::ListGroupsRequest;
use naru_protocol::messages::list_groups_response::ListGroupsResponse;

use super::group_access::{Refused, check_group};
use crate::coordination::unexpected;
use crate::dispatch::RequestContext;
use crate::peer::share_state_admin;
use crate::security::{Operation, Resource};

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group_id in request.groups {
        if let Err(Refused { error, text }) = check_group(&context, Operation::Describe, &group_id)
        {
            let (error_code, error_message) = (error.code(), Some(text));
            groups.push(DescribedGroup {
                error_code,
                error_message,
                group_id,
                ..Default::default()
            });
            continue;
        }
        let command =
            Command::DescribeGroup { api_version: context.version, group_id: group_id.clone() };
        let mut group = match context.node.coordination().ask(&group_id, command).await {
            Ok(Reply::DescribeGroup(group)) => group,
            other => {
                DescribedGroup { error_code: unexpected(other), group_id, ..Default::default() }
            }
        };
        if request.include_authorized_operations && group.error_code == ErrorCode::None.code() {
            group.authorized_operations = context.operations(Resource::Group(&group.group_id));
        }
        groups.push(group);
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}

pub(crate) async fn list(
    context: RequestContext,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let mut response = ListGroupsResponse::default();
    let command = Command::ListGroups {
        states_filter: request.states_filter,
        types_filter: request.types_filter,
    };
    for answer in context.node.coordination().ask_all(&command).await {
        match answer {
            Ok(Reply::ListGroups(groups)) => response.groups.extend(groups),
            other => response.error_code = unexpected(other),
        }
    }
    if context.is_judged() && !context.may_see(Operation::Describe, Resource::Cluster) {
        let seen = |id: &str| context.may_see(Operation::Describe, Resource::Group(id));
        response.groups.retain(|group| seen(&group.group_id));
    }
    response
}

pub(crate) async fn delete(
    context: RequestContext,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    let mut seen = HashSet::new();
    for group_id in request.groups_names {
        if !seen.insert(group_id.clone()) {
            continue;
        }
        if !context.may(Operation::Delete, Resource::Group(&group_id)) {
            let error_code = ErrorCode::GroupAuthorizationFailed.code();
            results.push(DeletableGroupResult { group_id, error_code });
            continue;
        }
        // What share coordinators keep for it goes first.
        let topics = match delete_share_state(&context, &group_id).await {
            Ok(topics) => topics,
            Err(error_code) => {
                results.push(DeletableGroupResult { group_id, error_code });
                continue;
            }
        };
        let command = Command::DeleteGroup { group_id: group_id.clone() };
        let result = match context.node.coordination().ask(&group_id, command).await {
            Ok(Reply::DeleteGroup(result)) => result,
            other => {
                let group_id = group_id.clone();
                DeletableGroupResult { error_code: unexpected(other), group_id }
            }
        };
        if result.error_code != ErrorCode::None.code() && !topics.is_empty() {
            // Somebody has joined meanwhile: state may begin anew at once.
            let command = Command::ShareStateDeleted { group_id: group_id.clone(), topics };
            if let Err(error) = context.node.coordination().ask(&group_id, command).await {
                tracing::debug!(group = group_id, %error, "nobody to tell of share state");
            }
        }
        results.push(result);
    }
    DeleteGroupsResponse { results, ..Default::default() }
}

/// Has share coordinators forget a group, if it is a share group; of which topics they have.
async fn delete_share_state(
    context: &RequestContext,
    group_id: &str,
) -> Result<BTreeSet<Uuid>, i16> {
    let command = Command::PrepareShareGroupDeletion { group_id: group_id.to_owned() };
    let deletion = match context.node.coordination().ask(group_id, command).await {
        Ok(Reply::StateDeletion(Ok(Some(deletion)))) => deletion,
        Ok(Reply::StateDeletion(Ok(None))) => return Ok(BTreeSet::new()),
        Ok(Reply::StateDeletion(Err(error))) => return Err(error.code()),
        other => return Err(unexpected(other)),
    };
    let results = share_state_admin::delete(&context.node, group_id, deletion.partitions).await;
    let failed = results.into_values().find(|error| *error != ErrorCode::None);
    failed.map_or_else(|| Ok(deletion.names.into_keys().collect()), |error| Err(error.code()))
}
