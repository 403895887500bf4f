//! CreateTopics (19, v2–v7), DeleteTopics (20, v1–v6), CreatePartitions (37, v0–v3).
//! KIP-4, 195, 464, 516, 525, 599.
//!
//! The controller decides; an answer leaves when the change is on the disk and the partitions
//! take records. `delete.topic.enable` is checked here.

use naru_model::ErrorCode;
use naru_protocol::messages::create_partitions_request::CreatePartitionsRequest;
use naru_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use naru_protocol::messages::create_topics_request::CreateTopicsRequest;
use naru_protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};

use crate::dispatch::RequestContext;

/// First version whose clients know that topic deletion can be switched off.
const DELETION_DISABLED_SINCE: i16 = 3;

pub(crate) async fn create(
    context: RequestContext,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    match context.node.create_topics(&request).await {
        Ok(response) => response,
        Err(error) => CreateTopicsResponse {
            topics: request
                .topics
                .into_iter()
                .map(|topic| CreatableTopicResult {
                    name: topic.name,
                    error_code: error.code(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        },
    }
}

pub(crate) async fn delete(
    context: RequestContext,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    if !context.node.config().topics.delete_enabled {
        let error = if context.version >= DELETION_DISABLED_SINCE {
            ErrorCode::TopicDeletionDisabled
        } else {
            ErrorCode::InvalidRequest
        };
        return all_refused(&request, error);
    }
    let decided = context
        .node
        .metadata()
        .decide(&context.node, |controller| controller.decide_delete_topics(&request))
        .await;
    decided.unwrap_or_else(|error| all_refused(&request, error))
}

fn all_refused(request: &DeleteTopicsRequest, error: ErrorCode) -> DeleteTopicsResponse {
    let by_name = request.topic_names.iter().map(|name| DeletableTopicResult {
        name: Some(name.clone()),
        error_code: error.code(),
        ..Default::default()
    });
    let by_state = request.topics.iter().map(|topic| DeletableTopicResult {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        error_code: error.code(),
        ..Default::default()
    });
    DeleteTopicsResponse { responses: by_name.chain(by_state).collect(), ..Default::default() }
}

pub(crate) async fn create_partitions(
    context: RequestContext,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let decided = context
        .node
        .metadata()
        .decide(&context.node, |controller| controller.decide_create_partitions(&request))
        .await;
    decided.unwrap_or_else(|error| CreatePartitionsResponse {
        results: request
            .topics
            .iter()
            .map(|topic| CreatePartitionsTopicResult {
                name: topic.name.clone(),
                error_code: error.code(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    })
}
