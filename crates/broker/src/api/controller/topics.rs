//! CreateTopics (19), DeleteTopics (20), CreatePartitions (37), decided.

use naru_controller::controller::CreateTopics;
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::create_partitions_request::CreatePartitionsRequest;
use naru_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use naru_protocol::messages::create_topics_request::CreateTopicsRequest;
use naru_protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};

use super::Refuse as _;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

/// What goes with TOPIC_AUTHORIZATION_FAILED.
const NOT_AUTHORIZED: &str = "Topic authorization failed.";
/// First versions whose clients understand THROTTLING_QUOTA_EXCEEDED (KIP-599).
const STRICT_CREATION_SINCE: i16 = 6;
const STRICT_DELETION_SINCE: i16 = 5;
const STRICT_PARTITIONS_SINCE: i16 = 3;
/// First version whose clients know that topic deletion can be switched off.
const DELETION_DISABLED_SINCE: i16 = 3;

pub(crate) async fn create(
    context: RequestContext,
    mut request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, ErrorCode> {
    let refused = keep_creatable(&context, &mut request);
    let node = context.node.clone();
    let asking = context.clone();
    let decided = context.node.metadata().decide(move |deciding| {
        let topics = &node.config().topics;
        let mut settings = CreateTopics {
            quota: asking.mutations(asking.version >= STRICT_CREATION_SINCE),
            default_partitions: topics.num_partitions,
            default_replication_factor: i16::try_from(topics.default_replication_factor)
                .unwrap_or(i16::MAX),
            new_id: || Uuid::from_random(node.random()),
        };
        let mut decision = deciding.controller.decide_create_topics(&request, &mut settings);
        decision.response.throttle_time_ms = asking.mutated(&settings.quota);
        decision
    });
    let mut response = decided.await?;
    for topic in response.topics.iter_mut().filter(|topic| topic.error_code == 0) {
        if !context.may_see(Operation::DescribeConfigs, Resource::Topic(&topic.name)) {
            topic.topic_config_error_code = ErrorCode::TopicAuthorizationFailed.code();
            topic.num_partitions = -1;
            topic.replication_factor = -1;
            topic.configs = Some(Vec::new());
        }
    }
    response.topics.extend(refused);
    Ok(response)
}

/// Takes out the topics that the sender may not create.
fn keep_creatable(
    context: &RequestContext,
    request: &mut CreateTopicsRequest,
) -> Vec<CreatableTopicResult> {
    if !context.is_judged() || context.may_see(Operation::Create, Resource::Cluster) {
        return Vec::new();
    }
    let refused = request
        .topics
        .extract_if(.., |topic| !context.may(Operation::Create, Resource::Topic(&topic.name)));
    let refused = refused.map(|topic| CreatableTopicResult {
        name: topic.name,
        error_code: ErrorCode::TopicAuthorizationFailed.code(),
        error_message: Some("Authorization failed.".to_owned()),
        configs: Some(Vec::new()),
        ..Default::default()
    });
    refused.collect()
}

/// Takes out the topics that the sender may not delete, and does not tell whether they are there
/// if it may not know.
fn keep_deletable(
    context: &RequestContext,
    request: &mut DeleteTopicsRequest,
) -> Vec<DeletableTopicResult> {
    if !context.is_judged() || context.may_see(Operation::Delete, Resource::Cluster) {
        return Vec::new();
    }
    let error = ErrorCode::TopicAuthorizationFailed;
    let refuse = |name: Option<String>, topic_id: Uuid| DeletableTopicResult {
        name,
        topic_id,
        error_code: error.code(),
        error_message: Some(NOT_AUTHORIZED.to_owned()),
    };
    // Who may not describe a topic is not told whether it is there.
    let is_refused = |name: &str| {
        let there = context.node.image().topic(name).is_some();
        let may = |operation| context.may(operation, Resource::Topic(name));
        !may(Operation::Describe) || (there && !may(Operation::Delete))
    };
    let mut refused: Vec<DeletableTopicResult> = Vec::new();
    let names = request.topic_names.extract_if(.., |name| is_refused(name));
    refused.extend(names.map(|name| refuse(Some(name), Uuid::ZERO)));
    let image = context.node.image();
    request.topics.retain(|topic| match (&topic.name, image.topic_by_id(topic.topic_id)) {
        (Some(name), _) if is_refused(name) => {
            refused.push(refuse(Some(name.clone()), Uuid::ZERO));
            false
        }
        (None, Some(known)) if !context.may(Operation::Delete, Resource::Topic(&known.name)) => {
            let is_seen = context.may_see(Operation::Describe, Resource::Topic(&known.name));
            refused.push(refuse(is_seen.then(|| known.name.to_string()), topic.topic_id));
            false
        }
        _ => true,
    });
    refused
}

pub(crate) async fn delete(
    context: RequestContext,
    mut request: DeleteTopicsRequest,
) -> Result<DeleteTopicsResponse, ErrorCode> {
    if !context.node.config().topics.delete_enabled {
        return Ok(request.refuse(if context.version >= DELETION_DISABLED_SINCE {
            ErrorCode::TopicDeletionDisabled
        } else {
            ErrorCode::InvalidRequest
        }));
    }
    let refused = keep_deletable(&context, &mut request);
    let asking = context.clone();
    let decided = context.node.metadata().decide(move |deciding| {
        let strict = asking.version >= STRICT_DELETION_SINCE;
        let mut quota = asking.mutations(strict);
        let mut decision = deciding.controller.decide_delete_topics(&request, &mut quota);
        decision.response.throttle_time_ms = asking.mutated(&quota);
        decision
    });
    let mut response = decided.await?;
    response.responses.extend(refused);
    Ok(response)
}

pub(crate) async fn create_partitions(
    context: RequestContext,
    mut request: CreatePartitionsRequest,
) -> Result<CreatePartitionsResponse, ErrorCode> {
    let refused: Vec<CreatePartitionsTopicResult> = request
        .topics
        .extract_if(.., |topic| !context.may(Operation::Alter, Resource::Topic(&topic.name)))
        .map(|topic| CreatePartitionsTopicResult {
            name: topic.name,
            error_code: ErrorCode::TopicAuthorizationFailed.code(),
            ..Default::default()
        })
        .collect();
    let asking = context.clone();
    let decided = context.node.metadata().decide(move |deciding| {
        let strict = asking.version >= STRICT_PARTITIONS_SINCE;
        let mut quota = asking.mutations(strict);
        let mut decision = deciding.controller.decide_create_partitions(&request, &mut quota);
        decision.response.throttle_time_ms = asking.mutated(&quota);
        decision
    });
    let mut response = decided.await?;
    response.results.extend(refused);
    Ok(response)
}
