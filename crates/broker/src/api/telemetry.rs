//! GetTelemetrySubscriptions (71, v0) and PushTelemetry (72, v0). KIP-714.

use naru_model::Uuid;
use naru_protocol::messages::get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
use naru_protocol::messages::get_telemetry_subscriptions_response::GetTelemetrySubscriptionsResponse;
use naru_protocol::messages::push_telemetry_request::PushTelemetryRequest;
use naru_protocol::messages::push_telemetry_response::PushTelemetryResponse;
use naru_telemetry::{Client, PushHead};

use crate::dispatch::RequestContext;

/// Codecs that a push may be compressed with, dearest first: zstd, lz4, gzip, snappy.
const CODECS: [i8; 4] = [4, 3, 1, 2];
/// What is kept of a client id, in bytes: each client instance that is known holds it.
const CLIENT_ID_MAX: usize = 256;

/// What a subscription's patterns look at.
fn client_of(context: &RequestContext) -> Client {
    let connection = &context.connection;
    let software = connection.software.get();
    Client {
        instance_id: String::new(),
        client_id: context.client_id.as_deref().map(|id| beginning(id).to_owned()),
        software_name: software.map(|software| software.name.clone()),
        software_version: software.map(|software| software.version.clone()),
        address: connection.host.clone(),
        port: connection.peer.port(),
    }
}

/// As many whole characters of a client id as are kept.
fn beginning(id: &str) -> &str {
    let most = id.len().min(CLIENT_ID_MAX);
    let end = (0..=most).rev().find(|at| id.is_char_boundary(*at)).unwrap_or(0);
    &id[..end]
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of every handler")]
pub(crate) fn subscriptions(
    context: &RequestContext,
    request: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let node = &context.node;
    let new_id = Uuid::from_random(node.random());
    let asking = request.client_instance_id;
    match node.telemetry().get(asking, client_of(context), new_id, node.now()) {
        Ok(granted) => GetTelemetrySubscriptionsResponse {
            client_instance_id: granted.instance,
            subscription_id: granted.subscription,
            accepted_compression_types: CODECS.to_vec(),
            push_interval_ms: granted.interval_ms,
            telemetry_max_bytes: i32::try_from(node.config().quotas.telemetry_bytes_max)
                .unwrap_or(i32::MAX),
            delta_temporality: true,
            requested_metrics: granted.metrics,
            ..Default::default()
        },
        Err(error) => GetTelemetrySubscriptionsResponse {
            error_code: error.code().code(),
            ..Default::default()
        },
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of every handler")]
pub(crate) fn push(
    context: &RequestContext,
    request: PushTelemetryRequest,
) -> PushTelemetryResponse {
    let node = &context.node;
    let head = PushHead {
        instance: request.client_instance_id,
        subscription: request.subscription_id,
        terminating: request.terminating,
        compression: request.compression_type,
        len: request.metrics.len(),
    };
    let bytes_max = node.config().quotas.telemetry_bytes_max;
    let pushed =
        node.telemetry().push(&head, client_of(context), &request.metrics, bytes_max, node.now());
    let error_code = pushed.map_or_else(|error| error.code().code(), |()| 0);
    PushTelemetryResponse { error_code, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::{CLIENT_ID_MAX, beginning};

    #[test]
    fn a_long_client_id_is_cut_between_characters() {
        assert_eq!(beginning(""), "");
        assert_eq!(beginning("app"), "app");
        assert_eq!(beginning(&"a".repeat(CLIENT_ID_MAX + 1)), "a".repeat(CLIENT_ID_MAX));
        let odd = format!("a{}", "\u{e4}".repeat(CLIENT_ID_MAX));
        assert_eq!(beginning(&odd).len(), CLIENT_ID_MAX - 1);
    }
}
