//! The cluster as a controller tells it: ApiVersions (18) and DescribeCluster (60) of the
//! controller listener, UpdateFeatures (57), AllocateProducerIds (67). KIP-584, 730, 919.

use naru_controller::Decision;
use naru_model::ErrorCode;
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::api_versions_response::ApiVersionsResponse;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};

use super::Refuse as _;
use crate::api::cluster::{CONTROLLERS, OPERATIONS_OMITTED};
use crate::dispatch::{RequestContext, controller_advertised};
use crate::security::CLUSTER_OPERATIONS;

pub(crate) async fn api_versions(
    context: RequestContext,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    crate::api::api_versions::answer(&context, &request, controller_advertised().iter().copied())
}

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if request.endpoint_type != CONTROLLERS {
        let message = "The request was sent to an endpoint of type CONTROLLER, but we wanted an \
                       endpoint of type BROKER";
        return DescribeClusterResponse {
            error_code: ErrorCode::MismatchedEndpointType.code(),
            error_message: Some(message.to_owned()),
            ..Default::default()
        };
    }
    let node = &context.node;
    let image = node.image();
    let listener = &*context.connection.listener;
    let controllers = image.controllers().filter_map(|controller| {
        let endpoints = &controller.endpoints;
        let endpoint = endpoints.iter().find(|e| e.name == listener).or(endpoints.first())?;
        Some(DescribeClusterBroker {
            broker_id: controller.id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: None,
            is_fenced: false,
        })
    });
    DescribeClusterResponse {
        endpoint_type: CONTROLLERS,
        cluster_id: node.cluster_id().to_owned(),
        controller_id: node.metadata().leadership().borrow().leader.unwrap_or(-1),
        brokers: controllers.collect(),
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            OPERATIONS_OMITTED
        },
        ..Default::default()
    }
}

pub(crate) async fn allocate_producer_ids(
    context: RequestContext,
    request: AllocateProducerIdsRequest,
) -> Result<AllocateProducerIdsResponse, ErrorCode> {
    let decided = context.node.metadata().decide_only(move |deciding| {
        let (id, epoch) = (request.broker_id, request.broker_epoch);
        match deciding.controller.decide_producer_ids(id, epoch) {
            Ok(Decision { records, response }) => Decision {
                records,
                response: AllocateProducerIdsResponse {
                    producer_id_start: response.first,
                    producer_id_len: response.len,
                    ..Default::default()
                },
            },
            Err(error) => {
                tracing::error!("{error}");
                let response = request.refuse(ErrorCode::UnknownServerError);
                Decision { records: Vec::new(), response }
            }
        }
    });
    decided.await
}
