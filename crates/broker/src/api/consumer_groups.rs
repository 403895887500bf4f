//! The consumer group protocol: ConsumerGroupHeartbeat (68, v0–v1), ConsumerGroupDescribe (69,
//! v0–v1). KIP-848, 1082.
//!
//! The rules live in `naru_coordinators`; this file carries requests there and answers back.

use std::collections::BTreeSet;

use naru_coordinators::{ClientContext, Command, Reply, Viewer};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use naru_protocol::messages::consumer_group_describe_response::{
    ConsumerGroupDescribeResponse, DescribedGroup,
};
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

use super::group_access::{Protocol, Refused, check_described, check_group, check_topics};
use super::groups::client;
use crate::coordination::unexpected;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

pub(crate) async fn heartbeat(
    context: RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let refuse = |Refused { error, text }| ConsumerGroupHeartbeatResponse {
        error_code: error.code(),
        error_message: Some(text),
        ..Default::default()
    };
    let group = request.group_id.clone();
    if let Err(refused) = check(&context, &request) {
        return refuse(refused);
    }
    let member_uuid = Uuid::from_random(context.node.random());
    let client = ClientContext { viewer: viewer(&context), ..client(&context) };
    let command = Command::ConsumerGroupHeartbeat { context: client, request, member_uuid };
    match context.node.coordination().ask(&group, command).await {
        Ok(Reply::ConsumerGroupHeartbeat(response)) => response,
        other => refuse(ErrorCode::from_code(unexpected(other)).into()),
    }
}

fn check(context: &RequestContext, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refused> {
    Protocol::CONSUMER.check(context)?;
    check_group(context, Operation::Read, &request.group_id)?;
    check_topics(context, request.subscribed_topic_names.iter().flatten().map(String::as_str))
}

/// Whose rights decide on what a pattern stands for; nobody's where everything is allowed.
fn viewer(context: &RequestContext) -> Option<Viewer> {
    context.is_judged().then(|| Viewer {
        principal: context.connection.principal.clone(),
        host: context.connection.host.clone(),
    })
}

pub(crate) async fn describe(
    context: RequestContext,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let refuse = |Refused { error, text }, group_id: String| DescribedGroup {
            error_code: error.code(),
            error_message: Some(text),
            group_id,
            ..Default::default()
        };
        if let Err(refused) = check_described(&context, Protocol::CONSUMER, &group_id) {
            groups.push(refuse(refused, group_id));
            continue;
        }
        let command = Command::ConsumerGroupDescribe { group_id: group_id.clone() };
        let mut group = match context.node.coordination().ask(&group_id, command).await {
            Ok(Reply::ConsumerGroupDescribe(group)) => group,
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
