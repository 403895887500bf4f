//! The consumer group protocol: ConsumerGroupHeartbeat (68, v0–v1), ConsumerGroupDescribe (69,
//! v0–v1). KIP-848, 1082.
//!
//! The rules live in `naru_coordinators`; this file carries requests there and answers back.

use std::collections::BTreeSet;

use naru_coordinators::{Command, Reply};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use naru_protocol::messages::consumer_group_describe_response::{
    ConsumerGroupDescribeResponse, DescribedGroup,
};
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

use super::groups::{client, not_a_reader};
use crate::coordination::unexpected;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

pub(crate) async fn heartbeat(
    context: RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    if !is_enabled(&context) {
        return ConsumerGroupHeartbeatResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            ..Default::default()
        };
    }
    let group = request.group_id.clone();
    if let Some(error_code) = not_a_reader(&context, &group) {
        return ConsumerGroupHeartbeatResponse { error_code, ..Default::default() };
    }
    let names = request.subscribed_topic_names.iter().flatten();
    if !names.into_iter().all(|name| context.may(Operation::Describe, Resource::Topic(name))) {
        return ConsumerGroupHeartbeatResponse {
            error_code: ErrorCode::TopicAuthorizationFailed.code(),
            ..Default::default()
        };
    }
    let member_uuid = Uuid::from_random(context.node.random());
    let command =
        Command::ConsumerGroupHeartbeat { context: client(&context), request, member_uuid };
    match context.node.coordination().ask(&group, command).await {
        Ok(Reply::ConsumerGroupHeartbeat(response)) => response,
        other => {
            ConsumerGroupHeartbeatResponse { error_code: unexpected(other), ..Default::default() }
        }
    }
}

pub(crate) async fn describe(
    context: RequestContext,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        if !context.may(Operation::Describe, Resource::Group(&group_id)) {
            let error_code = ErrorCode::GroupAuthorizationFailed.code();
            groups.push(DescribedGroup { error_code, group_id, ..Default::default() });
            continue;
        }
        if group_id.is_empty() {
            let error_code = ErrorCode::InvalidGroupId.code();
            groups.push(DescribedGroup { error_code, group_id, ..Default::default() });
            continue;
        }
        let command = Command::ConsumerGroupDescribe { group_id: group_id.clone() };
        let answer = if is_enabled(&context) {
            context.node.coordination().ask(&group_id, command).await
        } else {
            Err(ErrorCode::UnsupportedVersion)
        };
        let mut group = match answer {
            Ok(Reply::ConsumerGroupDescribe(group)) => group,
            other => {
                DescribedGroup { error_code: unexpected(other), group_id, ..Default::default() }
            }
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
    ConsumerGroupDescribeResponse { groups, ..Default::default() }
}

/// Whether the client may know every topic that the group's members have.
fn may_see_topics(context: &RequestContext, group: &DescribedGroup) -> bool {
    let assignments =
        group.members.iter().flat_map(|one| [&one.assignment, &one.target_assignment]);
    let topics = assignments.flat_map(|assignment| &assignment.topic_partitions);
    let names: BTreeSet<&str> = topics.map(|topic| topic.topic_name.as_str()).collect();
    names.into_iter().all(|name| context.may_see(Operation::Describe, Resource::Topic(name)))
}

const UNSEEN_TOPICS: &str =
    "The group has described topic(s) that the client is not authorized to describe.";

/// Whether the cluster and this broker offer the protocol.
fn is_enabled(context: &RequestContext) -> bool {
    let node = &context.node;
    let protocols = &node.config().groups.rebalance_protocols;
    node.image().feature_level(GROUP_VERSION) >= 1 && protocols.iter().any(|one| one == "consumer")
}

/// The feature that brings the consumer protocol with level 1.
const GROUP_VERSION: &str = "group.version";
