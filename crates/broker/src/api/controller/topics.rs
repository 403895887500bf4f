//! CreateTopics (19), DeleteTopics (20), CreatePartitions (37), decided.

use naru_controller::controller::CreateTopics;
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::create_partitions_request::CreatePartitionsRequest;
use naru_protocol::messages::create_partitions_response::CreatePartitionsResponse;
use naru_protocol::messages::create_topics_request::CreateTopicsRequest;
use naru_protocol::messages::create_topics_response::CreateTopicsResponse;
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::delete_topics_response::DeleteTopicsResponse;

use super::Refuse as _;
use crate::dispatch::RequestContext;

/// First version whose clients know that topic deletion can be switched off.
const DELETION_DISABLED_SINCE: i16 = 3;

pub(crate) async fn create(
    context: RequestContext,
    request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, ErrorCode> {
    let node = context.node.clone();
    let decided = context.node.metadata().decide(move |deciding| {
        let topics = &node.config().topics;
        let settings = CreateTopics {
            default_partitions: topics.num_partitions,
            default_replication_factor: i16::try_from(topics.default_replication_factor)
                .unwrap_or(i16::MAX),
            new_id: || Uuid::from_random(node.random()),
        };
        deciding.controller.decide_create_topics(&request, settings)
    });
    decided.await
}

pub(crate) async fn delete(
    context: RequestContext,
    request: DeleteTopicsRequest,
) -> Result<DeleteTopicsResponse, ErrorCode> {
    if !context.node.config().topics.delete_enabled {
        return Ok(request.refuse(if context.version >= DELETION_DISABLED_SINCE {
            ErrorCode::TopicDeletionDisabled
        } else {
            ErrorCode::InvalidRequest
        }));
    }
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_delete_topics(&request));
    decided.await
}

pub(crate) async fn create_partitions(
    context: RequestContext,
    request: CreatePartitionsRequest,
) -> Result<CreatePartitionsResponse, ErrorCode> {
    let decided = context
        .node
        .metadata()
        .decide(move |deciding| deciding.controller.decide_create_partitions(&request));
    decided.await
}
