//! Requests that the active controller answers, wherever it is (KIP-590).

use std::sync::Arc;

use bytes::Bytes;
use naru_model::ErrorCode;
use naru_protocol::Request;
use naru_quotas::Kind;

use super::{RequestContext, decode_request, finish};
use crate::api::controller::Refuse;
use crate::listener::{Answer, Outgoing};
use crate::node::Node;

/// Sends a client's request on to the active controller and its answer back.
pub(super) fn forward<R>(context: RequestContext, body: &Bytes) -> Answer
where
    R: Refuse + Send + Sync + 'static,
{
    // What is malformed ends here, at the client's own connection.
    let request = match decode_request::<R>(&context, body) {
        Ok(request) => request,
        Err(refusal) => return Answer::Close(refusal),
    };
    let body = body.clone();
    Answer::Later(Box::pin(async move {
        let reply = context.reply();
        let node = Arc::clone(&context.node);
        let metered = context.metered.clone();
        match node.controller_link().forward(context, body).await {
            // What another node has put together says only in itself how long to wait.
            Ok(answer) if metered.is_some() || node.quotas().has(Kind::Mutation) => {
                Answer::Send(match unframe::<R>(&answer, reply.version) {
                    Some(message) => finish(reply, metered.as_deref(), message, 0),
                    None => answer,
                })
            }
            Ok(answer) => Answer::Send(answer),
            Err(error) => Answer::Send(reply.frame(request.refuse(error))),
        }
    }))
}

/// Asks the active controller what a handler of this broker has put together for it.
pub(crate) async fn ask<R>(node: &Arc<Node>, context: &RequestContext, request: R) -> R::Response
where
    R: Refuse + Send + Sync + 'static,
{
    let body = Bytes::from(request.to_bytes(context.version));
    match node.controller_link().forward(context.clone(), body).await {
        Ok(answer) => unframe::<R>(&answer, context.version)
            .unwrap_or_else(|| request.refuse(ErrorCode::UnknownServerError)),
        Err(error) => request.refuse(error),
    }
}

/// The message in a framed answer.
pub(crate) fn unframe<R: Request>(answer: &Outgoing, version: i16) -> Option<R::Response> {
    let frame = Bytes::copy_from_slice(answer.bytes.get(4..)?);
    naru_protocol::frame::read_response::<R>(&frame, version).ok().map(|(_, message)| message)
}
