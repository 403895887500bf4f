//! DescribeCluster (key 60, v0–v2). KIP-700, 919, 1073.
//!
//! v1 endpoint type · v2 fenced brokers. Controller endpoints are asked for at the controller
//! listener only, as in Kafka.

use naru_model::ErrorCode;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};

use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

pub(crate) const BROKERS: i8 = 1;
pub(super) const CONTROLLERS: i8 = 2;
/// "Not asked for."
pub(super) const OPERATIONS_OMITTED: i32 = i32::MIN;

/// What the sender may do with the cluster; nothing is told to who may not describe it.
pub(super) fn cluster_operations(context: &RequestContext) -> i32 {
    if context.may_see(Operation::Describe, Resource::Cluster) {
        context.operations(Resource::Cluster)
    } else {
        0
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of every handler")]
pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let refused = |error: ErrorCode, message: &str| DescribeClusterResponse {
        error_code: error.code(),
        error_message: Some(message.to_owned()),
        ..Default::default()
    };
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an \
                           endpoint of type CONTROLLER";
            return refused(ErrorCode::MismatchedEndpointType, message);
        }
        other => {
            let message = format!("Unsupported endpoint type {other}");
            return refused(ErrorCode::UnsupportedEndpointType, &message);
        }
    }
    let node = &context.node;
    let image = node.image();
    let listener = &*context.connection.listener;
    let brokers = image
        .brokers()
        .filter(|broker| !broker.fenced || request.include_fenced_brokers)
        .filter_map(|broker| {
            let endpoint = broker.endpoint(listener)?;
            Some(DescribeClusterBroker {
                broker_id: broker.id,
                host: endpoint.host.clone(),
                port: i32::from(endpoint.port),
                rack: broker.rack.clone(),
                is_fenced: broker.fenced,
            })
        });
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: node.cluster_id().to_owned(),
        controller_id: node.controller_for_clients(),
        brokers: brokers.collect(),
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            cluster_operations(context)
        } else {
            OPERATIONS_OMITTED
        },
        ..Default::default()
    }
}
