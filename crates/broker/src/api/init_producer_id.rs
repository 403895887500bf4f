//! InitProducerId (key 22, v0–v5). KIP-98, 360.
//!
//! Without a transactional id a producer gets the next id of a block that metadata has handed to
//! this broker; with one, the transaction coordinator says who the producer is.
//! v3 the producer's former id and epoch · v4 PRODUCER_FENCED.

use naru_coordinators::{Identity, TxnCommand, TxnReply};
use naru_model::{ErrorCode, ProducerEpoch};
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_protocol::messages::init_producer_id_response::InitProducerIdResponse;

use super::transactions::{check_may_write, for_version};
use crate::coordination::unexpected;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource, ResourceType};

/// First version that knows PRODUCER_FENCED.
const FENCED_SINCE: i16 = 4;

pub(crate) async fn handle(
    context: RequestContext,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let result = match check(&context, &request) {
        Ok(()) => initialise(&context, request).await,
        Err(error) => Err(error),
    };
    let (producer, error) = match result {
        Ok(producer) => (producer, ErrorCode::None),
        Err(error) => (Identity::NONE, for_version(error, context.version, FENCED_SINCE)),
    };
    InitProducerIdResponse {
        error_code: error.code(),
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0,
        ..Default::default()
    }
}

fn check(context: &RequestContext, request: &InitProducerIdRequest) -> Result<(), ErrorCode> {
    match request.transactional_id.as_deref() {
        Some(id) => check_may_write(context, id)?,
        None if context.may_on_any(Operation::Write, ResourceType::Topic)
            || context.may(Operation::IdempotentWrite, Resource::Cluster) => {}
        None => return Err(ErrorCode::ClusterAuthorizationFailed),
    }
    // Either both are known or neither is (-1).
    if (request.producer_id == -1) == (request.producer_epoch == -1) {
        Ok(())
    } else {
        Err(ErrorCode::InvalidRequest)
    }
}

async fn initialise(
    context: &RequestContext,
    request: InitProducerIdRequest,
) -> Result<Identity, ErrorCode> {
    let node = &context.node;
    let Some(id) = request.transactional_id.clone() else {
        let id = node.next_producer_id().await?;
        return Ok(Identity { id, epoch: ProducerEpoch(0) });
    };
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let mut spare = None;
    loop {
        let command = TxnCommand::InitProducerId { request: request.clone(), spare };
        match node.coordination().ask_transaction(&id, command).await {
            Ok(TxnReply::Initialised(producer)) => return Ok(producer),
            Ok(TxnReply::NeedsProducerId) if spare.is_none() => {
                spare = Some(node.next_producer_id().await?);
            }
            other => return Err(ErrorCode::from_code(unexpected(other))),
        }
    }
}
