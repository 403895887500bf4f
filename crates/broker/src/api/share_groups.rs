//! Share groups: ShareGroupHeartbeat (76, v1), ShareGroupDescribe (77, v1). KIP-932.
//!
//! The rules live in `naru_coordinators`; this file carries requests there and answers back, and
//! has share coordinators begin the state of partitions that a group is about to get.

use std::collections::BTreeSet;
use std::sync::Arc;

use naru_coordinators::{Command, Initialization, Reply};
use naru_model::ErrorCode;
use naru_protocol::messages::share_group_describe_request::ShareGroupDescribeRequest;
use naru_protocol::messages::share_group_describe_response::{
    DescribedGroup, ShareGroupDescribeResponse,
};
use naru_protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use naru_protocol::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;

use super::group_access::{Protocol, Refused, check_described, check_group, check_topics};
use super::groups::client;
use crate::coordination::unexpected;
use crate::dispatch::RequestContext;
use crate::node::Node;
use crate::peer::share_state_admin::initialize;
use crate::security::{Operation, Resource};

/// Longest id of a member that Kafka accepts.
const MEMBER_ID_MAX: usize = 36;

pub(crate) async fn heartbeat(
    context: RequestContext,
    request: ShareGroupHeartbeatRequest,
) -> ShareGroupHeartbeatResponse {
    let group = request.group_id.clone();
    if let Err(refused) = check(&context, &request) {
        return refuse(refused);
    }
    let command = Command::ShareGroupHeartbeat { context: client(&context), request };
    match context.node.coordination().ask(&group, command).await {
        Ok(Reply::ShareGroupHeartbeat { response, initialization }) => {
            if let Some(initialization) = initialization {
                let node = Arc::clone(&context.node);
                context.node.background().spawn(async move {
                    carry_out(&node, &initialization).await;
                });
            }
            response
        }
        other => refuse(ErrorCode::from_code(unexpected(other)).into()),
    }
}

fn refuse(Refused { error, text }: Refused) -> ShareGroupHeartbeatResponse {
    ShareGroupHeartbeatResponse {
        error_code: error.code(),
        error_message: Some(text),
        ..Default::default()
    }
}

fn check(context: &RequestContext, request: &ShareGroupHeartbeatRequest) -> Result<(), Refused> {
    Protocol::SHARE.check(context)?;
    check_group(context, Operation::Read, &request.group_id)?;
    if !(1..=MEMBER_ID_MAX).contains(&request.member_id.encode_utf16().count()) {
        let text = format!("The member id has to be 1 to {MEMBER_ID_MAX} characters long.");
        return Err(Refused::new(ErrorCode::InvalidRequest, text));
    }
    check_topics(context, request.subscribed_topic_names.iter().flatten().map(String::as_str))
}

/// Has share coordinators begin state, and tells the group what became of it: by partition its
/// error, if any.
pub(super) async fn carry_out(
    node: &Arc<Node>,
    initialization: &Initialization,
) -> crate::peer::share_state_admin::Parts<ErrorCode> {
    let Initialization { group, state_epoch, starts } = initialization;
    let results = initialize(node, group, *state_epoch, starts.clone()).await;
    let (begun, failed): (Vec<_>, Vec<_>) =
        results.iter().partition(|(_, error)| **error == ErrorCode::None);
    if let Some(((topic, partition), error)) = failed.first() {
        tracing::warn!(%group, %topic, partition, %error, "share state has not begun");
    }
    // Each counts for itself: what has begun must not begin anew because something else has not.
    for (parts, success) in [(begun, true), (failed, false)] {
        let partitions: BTreeSet<_> = parts.into_iter().map(|(part, _)| *part).collect();
        if partitions.is_empty() {
            continue;
        }
        let group_id = group.to_string();
        let command = Command::ShareStateInitialized { group_id, partitions, success };
        // What the group does not hear it asks for again.
        if let Err(error) = node.coordination().ask(group, command).await {
            tracing::debug!(%group, %error, "nobody to tell of share state");
        }
    }
    results
}

pub(crate) async fn describe(
    context: RequestContext,
    request: ShareGroupDescribeRequest,
) -> ShareGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let refuse = |Refused { error, text }, group_id: String| DescribedGroup {
            error_code: error.code(),
            error_message: Some(text),
            group_id,
            ..Default::default()
        };
        if let Err(refused) = check_described(&context, Protocol::SHARE, &group_id) {
            groups.push(refuse(refused, group_id));
            continue;
        }
        let command = Command::ShareGroupDescribe { group_id: group_id.clone() };
        let mut group = match context.node.coordination().ask(&group_id, command).await {
            Ok(Reply::ShareGroupDescribe(group)) => group,
            other => refuse(ErrorCode::from_code(unexpected(other)).into(), group_id),
        };
        if request.include_authorized_operations && group.error_code == ErrorCode::None.code() {
            group.authorized_operations = context.operations(Resource::Group(&group.group_id));
        }
        if !may_see_topics(&context, &group) {
            let error = ErrorCode::TopicAuthorizationFailed;
            group = refuse(Refused::new(error, UNSEEN_TOPICS), group.group_id);
        }
        groups.push(group);
    }
    ShareGroupDescribeResponse { groups, ..Default::default() }
}

/// Whether the client may know every topic that the group's members have.
fn may_see_topics(context: &RequestContext, group: &DescribedGroup) -> bool {
    let topics = group.members.iter().flat_map(|one| &one.assignment.topic_partitions);
    let names: BTreeSet<&str> = topics.map(|topic| topic.topic_name.as_str()).collect();
    names.into_iter().all(|name| context.may_see(Operation::Describe, Resource::Topic(name)))
}

const UNSEEN_TOPICS: &str =
    "The group has described topic(s) that the client is not authorized to describe.";
