//! Envelope (58, v0): a client's request that a broker forwards. KIP-590.
//!
//! The answer to the request inside travels back as bytes, with its header. An error of the
//! envelope itself tells the broker to ask elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use naru_model::ErrorCode;
use naru_protocol::api::ApiKey;
use naru_protocol::frame::RequestHeader;
use naru_protocol::messages::default_principal_data::DefaultPrincipalData;
use naru_protocol::messages::envelope_request::EnvelopeRequest;
use naru_protocol::messages::envelope_response::EnvelopeResponse;
use naru_protocol::{Message as _, Reader};
use naru_security::Principal;

use crate::dispatch::{Decided, RequestContext, decide, is_forwardable};
use crate::listener::ConnectionInfo;

/// Bytes of a frame before its header.
const LENGTH: usize = 4;

pub(crate) async fn handle(context: RequestContext, request: EnvelopeRequest) -> EnvelopeResponse {
    let refused =
        |error: ErrorCode| EnvelopeResponse { response_data: None, error_code: error.code() };
    let Some(principal) = request.request_principal.as_ref().and_then(principal_of) else {
        return refused(ErrorCode::PrincipalDeserializationFailure);
    };
    let Some((inner, body)) = unpack(&context, &request, principal) else {
        return refused(ErrorCode::InvalidRequest);
    };
    if !is_forwardable(inner.api) {
        return refused(ErrorCode::InvalidRequest);
    }
    let Ok(deciding) = decide(inner, &body) else { return refused(ErrorCode::InvalidRequest) };
    let Decided { answer, not_controller } = deciding.await;
    if not_controller {
        return refused(ErrorCode::NotController);
    }
    EnvelopeResponse {
        response_data: answer.bytes.get(LENGTH..).map(Bytes::copy_from_slice),
        error_code: ErrorCode::None.code(),
    }
}

/// Who sent the request, as the broker tells: a version and Kafka's default serde.
fn principal_of(bytes: &Bytes) -> Option<Principal> {
    let version = i16::from_be_bytes(*bytes.first_chunk::<2>()?);
    if version != 0 {
        return None;
    }
    let data = DefaultPrincipalData::from_bytes(&bytes.slice(2..), version).ok()?;
    let token_authenticated = data.token_authenticated;
    Some(Principal { kind: data.type_, name: data.name, token_authenticated })
}

/// The request inside, as if its client had come to this node.
fn unpack(
    context: &RequestContext,
    request: &EnvelopeRequest,
    principal: Principal,
) -> Option<(RequestContext, Bytes)> {
    let mut reader = Reader::new(&request.request_data);
    let header = RequestHeader::read(&mut reader).ok()?;
    let ip = match request.client_host_address.len() {
        4 => std::net::IpAddr::from(*request.client_host_address.first_chunk::<4>()?),
        16 => std::net::IpAddr::from(*request.client_host_address.first_chunk::<16>()?),
        _ => return None,
    };
    let peer = std::net::SocketAddr::new(ip, 0);
    let inner = RequestContext {
        node: context.node.clone(),
        connection: Arc::new(ConnectionInfo {
            principal,
            forwarded: true,
            ..ConnectionInfo::anonymous(
                Arc::clone(&context.connection.listener),
                peer,
                context.connection.door.clone(),
            )
        }),
        api: ApiKey::from_key(header.api_key)?,
        version: header.api_version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
        metered: None,
    };
    Some((inner, reader.rest()))
}
