//! From a frame to its handler: the API table, versions, decoding, framing of the answer.
//!
//! [`table`] is the single registration of an API; ApiVersions is made from it. A version that is
//! advertised is served wholly; what is not is refused as Apache Kafka refuses it: the connection
//! closes, except for ApiVersions, which answers so that a client can step down (KIP-511).

mod context;
mod controller;
mod forward;
mod table;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use naru_protocol::api::ApiKey;
use naru_protocol::frame::RequestHeader;
use naru_protocol::{Message, Reader, Request};
use naru_quotas::Kind;

pub(crate) use context::RequestContext;
use context::finish;
pub(crate) use controller::{Decided, advertised as controller_advertised, decide};
pub(crate) use forward::{ask, unframe};
pub(crate) use table::{advertised, is_forwardable, served};

use crate::api;
use crate::listener::{Answer, ConnectionInfo, Door, Outgoing, Refusal};
use crate::node::Node;
use crate::quotas::{Metered, Timed};

/// Runs one request.
pub(crate) fn handle(node: &Arc<Node>, connection: &Arc<ConnectionInfo>, frame: &Bytes) -> Answer {
    let mut reader = Reader::new(frame);
    let header = match RequestHeader::read(&mut reader) {
        Ok(header) => header,
        Err(error) => return Answer::Close(Refusal::MalformedHeader(error)),
    };
    let Some(api) = ApiKey::from_key(header.api_key) else {
        return Answer::Close(Refusal::UnknownApi(header.api_key));
    };
    let mut context = RequestContext {
        node: Arc::clone(node),
        connection: Arc::clone(connection),
        api,
        version: header.api_version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
        metered: None,
    };
    tracing::debug!(target: "request",
        api = context.api.name(),
        version = context.version,
        correlation_id = context.correlation_id,
        client_id = context.client_id,
        host = &*connection.host,
        who = %connection.principal,
    );
    match connection.door {
        Door::Broker
            if node.quotas().has(Kind::Request) && !is_between_brokers(api, context.version) =>
        {
            let (user, client_id) = (&connection.principal.name, context.client_id());
            let metered = Metered::begin(node, user, client_id);
            context.metered = Some(Arc::clone(&metered));
            let answer = handle_as_broker(context, reader.rest());
            metered.pause();
            match answer {
                Answer::Later(later) => Answer::Later(Box::pin(Timed { later, metered })),
                known => known,
            }
        }
        Door::Broker => handle_as_broker(context, reader.rest()),
        Door::Controller(_) => handle_as_controller(context, &reader.rest()),
    }
}

/// APIs that only brokers ask each other.
const BETWEEN_BROKERS: [ApiKey; 6] = [
    ApiKey::WriteTxnMarkers,
    ApiKey::InitializeShareGroupState,
    ApiKey::ReadShareGroupState,
    ApiKey::WriteShareGroupState,
    ApiKey::DeleteShareGroupState,
    ApiKey::ReadShareGroupStateSummary,
];

/// First version of AddPartitionsToTxn in which brokers ask for many transactions (KIP-890).
const TRANSACTIONS_OF_BROKERS_SINCE: i16 = 4;

/// Whether a request takes no time of a client's. Kafka exempts what needs CLUSTER_ACTION from
/// `request_percentage`: a pause there would hold up the clients of another broker. Follower
/// fetches see to it themselves.
fn is_between_brokers(api: ApiKey, version: i16) -> bool {
    BETWEEN_BROKERS.contains(&api)
        || (api == ApiKey::AddPartitionsToTxn && version >= TRANSACTIONS_OF_BROKERS_SINCE)
}

fn handle_as_broker(context: RequestContext, body: Bytes) -> Answer {
    let Some(row) = table::row(context.api) else {
        return Answer::Close(Refusal::UnknownApi(context.api.key()));
    };
    context.node.metrics().count_request(row.api);
    if !row.versions.contains(&context.version) {
        return refuse_version(&context);
    }
    (row.handle)(context, body)
}

fn handle_as_controller(context: RequestContext, body: &Bytes) -> Answer {
    match controller::row(context.api) {
        None => Answer::Close(Refusal::UnknownApi(context.api.key())),
        Some(row) if !row.versions.contains(&context.version) => refuse_version(&context),
        Some(_) => controller::handle(context, body),
    }
}

fn refuse_version(context: &RequestContext) -> Answer {
    if context.api == ApiKey::ApiVersions {
        return Answer::Send(api::api_versions::unsupported_version(context));
    }
    let (api, version) = (context.api.name(), context.version);
    Answer::Close(Refusal::UnservedVersion { api, version })
}

/// Decodes a request, or says why the connection must close.
pub(crate) fn decode<R: Request>(context: &RequestContext, body: &Bytes) -> Result<R, Answer> {
    decode_request(context, body).map_err(Answer::Close)
}

/// Decodes a request.
fn decode_request<R: Request>(context: &RequestContext, body: &Bytes) -> Result<R, Refusal> {
    R::from_bytes(body, context.version)
        .map_err(|error| Refusal::Malformed { api: context.api.name(), error })
}

/// Runs a handler that answers at once.
fn now<R: Request>(
    context: &RequestContext,
    body: &Bytes,
    handler: impl FnOnce(&RequestContext, R) -> R::Response,
) -> Answer {
    match decode::<R>(context, body) {
        Ok(request) => Answer::Send(context.finish(handler(context, request), 0)),
        Err(refusal) => refusal,
    }
}

/// Runs a handler that may wait.
fn later<R, F>(
    context: RequestContext,
    body: &Bytes,
    handler: impl FnOnce(RequestContext, R) -> F + 'static,
) -> Answer
where
    R: Request + 'static,
    F: Future<Output = R::Response>,
{
    match decode::<R>(&context, body) {
        Ok(request) => Answer::Later(Box::pin(async move {
            let (reply, metered) = (context.reply(), context.metered.clone());
            let response = handler(context, request).await;
            Answer::Send(finish(reply, metered.as_deref(), response, 0))
        })),
        Err(refusal) => refusal,
    }
}

/// What the framing of an answer needs of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
}

impl Reply {
    /// Frames an answer, in which every error says what is wrong.
    pub(crate) fn frame<M: Message>(self, mut message: M) -> Outgoing {
        message.explain_errors();
        Outgoing::message(&message, self.api, self.version, self.correlation_id)
    }
}

#[cfg(test)]
mod tests {
    use naru_protocol::api::ApiKey;

    use super::is_between_brokers;

    #[test]
    fn only_what_brokers_ask_takes_no_time_of_a_client() {
        assert!(is_between_brokers(ApiKey::WriteTxnMarkers, 1));
        assert!(is_between_brokers(ApiKey::WriteShareGroupState, 0));
        assert!(is_between_brokers(ApiKey::AddPartitionsToTxn, 4));
        assert!(!is_between_brokers(ApiKey::AddPartitionsToTxn, 3));
        assert!(!is_between_brokers(ApiKey::Produce, 13));
    }
}
