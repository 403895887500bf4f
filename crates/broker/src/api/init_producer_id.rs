//! InitProducerId (key 22, v0–v5). KIP-98, 360.
//!
//! Idempotent producers get the next id of a block that metadata has handed to this broker.
//! Transactional ids are refused until transactions are served.

use naru_model::ErrorCode;
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_protocol::messages::init_producer_id_response::InitProducerIdResponse;

use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource, ResourceType};

pub(crate) async fn handle(
    context: RequestContext,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let failed = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    match request.transactional_id.as_deref() {
        Some("") => return failed(ErrorCode::InvalidRequest),
        // No text goes with this answer; clients end with this code at once instead of retrying.
        Some(_) => return failed(ErrorCode::UnsupportedVersion),
        None => {}
    }
    if !(context.may_on_any(Operation::Write, ResourceType::Topic)
        || context.may(Operation::IdempotentWrite, Resource::Cluster))
    {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    // Either both are known or neither is (-1).
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return failed(ErrorCode::InvalidRequest);
    }
    match context.node.next_producer_id().await {
        Ok(id) => InitProducerIdResponse { producer_id: id.0, ..Default::default() },
        Err(error) => failed(error),
    }
}
