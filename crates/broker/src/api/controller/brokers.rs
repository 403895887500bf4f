//! What brokers and controllers tell of themselves: BrokerRegistration (62), BrokerHeartbeat (63),
//! UnregisterBroker (64), ControllerRegistration (70). KIP-631, 858, 919, 966.

use naru_controller::controller::RegisterBroker;
use naru_controller::image::{BrokerImage, Endpoint};
use naru_model::ErrorCode;
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use naru_protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Listener};
use naru_protocol::messages::broker_registration_response::BrokerRegistrationResponse;
use naru_protocol::messages::controller_registration_request::ControllerRegistrationRequest;
use naru_protocol::messages::controller_registration_response::ControllerRegistrationResponse;
use naru_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use naru_protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

use crate::dispatch::RequestContext;

pub(crate) async fn register(
    context: RequestContext,
    request: BrokerRegistrationRequest,
) -> Result<BrokerRegistrationResponse, ErrorCode> {
    let (node, version, id) = (context.node.clone(), context.version, request.broker_id);
    let decided = context.node.metadata().decide_only(move |deciding| {
        let image = deciding.controller.image();
        let registered = image.broker(id).map_or(-1, |broker| broker.epoch);
        let settings = RegisterBroker {
            version,
            cluster_id: node.cluster_id(),
            kraft_version: deciding.quorum.kraft_version().level(),
            next_offset: deciding.next_offset,
            // This node's own earlier process is gone: this one holds its directories' locks.
            // So is one whose very address another process listens on now.
            previous_process_is_gone: id == node.id()
                || node.metadata().has_lost(id, registered)
                || image.broker(id).is_some_and(|before| listens_there(&request, before)),
            now_ms: deciding.now,
        };
        deciding.controller.decide_broker_registration(deciding.sessions, &request, settings)
    });
    let response = decided.await?;
    if response.error_code == 0 {
        context.connection.hears_broker(id, response.broker_epoch);
    } else {
        let error = ErrorCode::from_code(response.error_code);
        tracing::info!(broker = id, %error, "not registered");
    }
    Ok(response)
}

/// Whether the request comes from a process that advertises what `before` advertised.
fn listens_there(request: &BrokerRegistrationRequest, before: &BrokerImage) -> bool {
    let same = |(new, old): (&Listener, &Endpoint)| {
        new.name == old.name && new.host == old.host && new.port == old.port
    };
    !request.listeners.is_empty()
        && request.listeners.len() == before.endpoints.len()
        && request.listeners.iter().zip(&before.endpoints).all(same)
}

pub(crate) async fn heartbeat(
    context: RequestContext,
    request: BrokerHeartbeatRequest,
) -> Result<BrokerHeartbeatResponse, ErrorCode> {
    context.connection.hears_broker(request.broker_id, request.broker_epoch);
    let decided = context.node.metadata().decide_only(move |deciding| {
        let now = deciding.now;
        let mut decision =
            deciding.controller.decide_broker_heartbeat(deciding.sessions, now, &request);
        // The broker counts on this answer for its lease. A controller that its voters may have
        // left already must not extend it.
        if decision.records.is_empty() && !deciding.quorum.hears_majority(now) {
            decision.response = BrokerHeartbeatResponse {
                error_code: ErrorCode::NotController.code(),
                ..BrokerHeartbeatResponse::default()
            };
        }
        decision
    });
    decided.await
}

pub(crate) async fn unregister(
    context: RequestContext,
    request: UnregisterBrokerRequest,
) -> Result<UnregisterBrokerResponse, ErrorCode> {
    let decided = context.node.metadata().decide_only(move |deciding| {
        deciding.controller.decide_unregister_broker(deciding.sessions, &request)
    });
    decided.await
}

pub(crate) async fn register_controller(
    context: RequestContext,
    request: ControllerRegistrationRequest,
) -> Result<ControllerRegistrationResponse, ErrorCode> {
    let decided = context
        .node
        .metadata()
        .decide_only(move |deciding| deciding.controller.decide_controller_registration(&request));
    decided.await
}
