//! The streams group protocol: StreamsGroupHeartbeat (88, v0), StreamsGroupDescribe (89, v0).
//! KIP-1071.
//!
//! The rules live in `naru_coordinators`; this file carries requests there and answers back, and
//! has the internal topics of an application created in its client's name.

use std::collections::BTreeSet;

use naru_controller::topic_name;
use naru_coordinators::{Command, MISSING_INTERNAL_TOPICS, Reply};
use naru_model::ErrorCode;
use naru_protocol::messages::create_topics_request::CreatableTopic;
use naru_protocol::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use naru_protocol::messages::streams_group_describe_response::{
    DescribedGroup, StreamsGroupDescribeResponse,
};
use naru_protocol::messages::streams_group_heartbeat_request::{
    StreamsGroupHeartbeatRequest, Topology,
};
use naru_protocol::messages::streams_group_heartbeat_response::{
    Status, StreamsGroupHeartbeatResponse,
};

use super::group_access::{Protocol, Refused, check_described, check_group, check_topics};
use super::groups::client;
use crate::coordination::{create_internal_topics, unexpected};
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

pub(crate) async fn heartbeat(
    context: RequestContext,
    request: StreamsGroupHeartbeatRequest,
) -> StreamsGroupHeartbeatResponse {
    let refuse = |Refused { error, text }| StreamsGroupHeartbeatResponse {
        error_code: error.code(),
        error_message: Some(text),
        status: Some(Vec::new()),
        ..Default::default()
    };
    let group = request.group_id.clone();
    if let Err(refused) = check(&context, &request) {
        return refuse(refused);
    }
    let command = Command::StreamsGroupHeartbeat { context: client(&context), request };
    match context.node.coordination().ask(&group, command).await {
        Ok(Reply::StreamsGroupHeartbeat { mut response, missing }) => {
            if !missing.is_empty() {
                create_missing(&context, &group, &mut response, missing);
            }
            response
        }
        other => refuse(ErrorCode::from_code(unexpected(other)).into()),
    }
}

fn check(context: &RequestContext, request: &StreamsGroupHeartbeatRequest) -> Result<(), Refused> {
    Protocol::STREAMS.check(context)?;
    check_group(context, Operation::Read, &request.group_id)?;
    request.topology.as_ref().map_or(Ok(()), |topology| check_topology(context, topology))
}

/// The topics of a topology must be such as an application may have, and known to the client.
fn check_topology(context: &RequestContext, topology: &Topology) -> Result<(), Refused> {
    let all = topology.subtopologies.iter().flat_map(|one| {
        let internal = one.repartition_source_topics.iter().chain(&one.state_changelog_topics);
        let named = one.source_topics.iter().chain(&one.repartition_sink_topics);
        named.chain(internal.map(|topic| &topic.name))
    });
    let mut seen = BTreeSet::new();
    let names: Vec<&str> = all.map(String::as_str).filter(|name| seen.insert(*name)).collect();
    let such = |is_bad: &dyn Fn(&str) -> bool| -> Option<String> {
        let bad: Vec<&str> = names.iter().copied().filter(|name| is_bad(name)).collect();
        (!bad.is_empty()).then(|| bad.join(","))
    };
    let invalid = |text: String| Err(Refused::new(ErrorCode::StreamsInvalidTopology, text));
    if let Some(bad) = such(&topic_name::is_internal) {
        return invalid(format!(
            "Use of Kafka internal topics {bad} in a Kafka Streams topology is prohibited."
        ));
    }
    if let Some(bad) = such(&|name| topic_name::validate(name).is_err()) {
        return invalid(format!("Topic names {bad} are not valid topic names."));
    }
    check_topics(context, names)
}

/// Has internal topics created if the client may, and says what is in the way.
fn create_missing(
    context: &RequestContext,
    group: &str,
    response: &mut StreamsGroupHeartbeatResponse,
    missing: Vec<CreatableTopic>,
) {
    let may_all = context.may_see(Operation::Create, Resource::Cluster);
    let may = |name: &str| may_all || context.may(Operation::Create, Resource::Topic(name));
    let forbidden: Vec<&str> =
        missing.iter().map(|topic| topic.name.as_str()).filter(|name| !may(name)).collect();
    let trouble = if forbidden.is_empty() {
        let failures = create_internal_topics(context, group, missing);
        failures.map(|failures| format!("Creation failed: {failures}."))
    } else {
        Some(format!("Unauthorized to CREATE on topics {}.", forbidden.join(", ")))
    };
    let Some(trouble) = trouble else { return };
    let statuses = response.status.get_or_insert_default();
    match statuses.iter_mut().find(|status| status.status_code == MISSING_INTERNAL_TOPICS) {
        Some(status) => status.status_detail = format!("{}; {trouble}", status.status_detail),
        None => {
            statuses.push(Status { status_code: MISSING_INTERNAL_TOPICS, status_detail: trouble })
        }
    }
}

pub(crate) async fn describe(
    context: RequestContext,
    request: StreamsGroupDescribeRequest,
) -> StreamsGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let refuse = |Refused { error, text }, group_id: String| DescribedGroup {
            error_code: error.code(),
            error_message: Some(text),
            group_id,
            ..Default::default()
        };
        if let Err(refused) = check_described(&context, Protocol::STREAMS, &group_id) {
            groups.push(refuse(refused, group_id));
            continue;
        }
        let command = Command::StreamsGroupDescribe { group_id: group_id.clone() };
        let mut group = match context.node.coordination().ask(&group_id, command).await {
            Ok(Reply::StreamsGroupDescribe(group)) => group,
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
    StreamsGroupDescribeResponse { groups, ..Default::default() }
}

/// Whether the client may know every topic of the group's topology.
fn may_see_topics(context: &RequestContext, group: &DescribedGroup) -> bool {
    let subtopologies = group.topology.iter().flat_map(|one| one.subtopologies.iter().flatten());
    let names: BTreeSet<&str> = subtopologies
        .flat_map(|one| {
            let internal = one.repartition_source_topics.iter().chain(&one.state_changelog_topics);
            let named = one.source_topics.iter().chain(&one.repartition_sink_topics);
            named.chain(internal.map(|topic| &topic.name)).map(String::as_str)
        })
        .collect();
    names.into_iter().all(|name| context.may_see(Operation::Describe, Resource::Topic(name)))
}

const UNSEEN_TOPICS: &str =
    "The described group uses topics that the client is not authorized to describe.";
