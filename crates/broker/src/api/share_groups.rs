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

use super::groups::{client, not_a_reader};
use super::words::words;
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
    if !is_enabled(&context) {
        return refused(ErrorCode::UnsupportedVersion, None);
    }
    let group = request.group_id.clone();
    if not_a_reader(&context, &group).is_some() {
        return refused(ErrorCode::GroupAuthorizationFailed, None);
    }
    let id_len = request.member_id.encode_utf16().count();
    if !(1..=MEMBER_ID_MAX).contains(&id_len) {
        return refused(ErrorCode::InvalidRequest, None);
    }
    let names = request.subscribed_topic_names.iter().flatten();
    if !names.into_iter().all(|name| context.may(Operation::Describe, Resource::Topic(name))) {
        return refused(ErrorCode::TopicAuthorizationFailed, None);
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
        other => {
            let error = ErrorCode::from_code(unexpected(other));
            refused(error, Some(words(error).to_owned()))
        }
    }
}

fn refused(error: ErrorCode, text: Option<String>) -> ShareGroupHeartbeatResponse {
    ShareGroupHeartbeatResponse {
        error_code: error.code(),
        error_message: text,
        ..Default::default()
    }
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
        let refuse = |error: ErrorCode, group_id: String| DescribedGroup {
            error_code: error.code(),
            group_id,
            ..Default::default()
        };
        if !is_enabled(&context) {
            groups.push(refuse(ErrorCode::UnsupportedVersion, group_id));
            continue;
        }
        if !context.may(Operation::Describe, Resource::Group(&group_id)) {
            groups.push(refuse(ErrorCode::GroupAuthorizationFailed, group_id));
            continue;
        }
        if group_id.is_empty() {
            groups.push(refuse(ErrorCode::InvalidGroupId, group_id));
            continue;
        }
        let command = Command::ShareGroupDescribe { group_id: group_id.clone() };
        let mut group = match context.node.coordination().ask(&group_id, command).await {
            Ok(Reply::ShareGroupDescribe(group)) => group,
            other => refuse(ErrorCode::from_code(unexpected(other)), group_id),
        };
        if request.include_authorized_operations && group.error_code == ErrorCode::None.code() {
            group.authorized_operations = context.operations(Resource::Group(&group.group_id));
        }
        if !may_see_topics(&context, &group) {
            group = DescribedGroup {
                error_code: ErrorCode::TopicAuthorizationFailed.code(),
                error_message: Some(UNSEEN_TOPICS.to_owned()),
                group_id: group.group_id,
                ..Default::default()
            };
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

/// Whether the cluster offers share groups.
pub(super) fn is_enabled(context: &RequestContext) -> bool {
    context.node.image().feature_level(SHARE_VERSION) >= 1
}

/// The feature that brings share groups with level 1.
const SHARE_VERSION: &str = "share.version";
