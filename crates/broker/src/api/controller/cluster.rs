//! The cluster as a controller tells it: ApiVersions (18) and DescribeCluster (60) of the
//! controller listener, UpdateFeatures (57), AllocateProducerIds (67). KIP-584, 730, 919.

use naru_controller::Decision;
use naru_controller::controller::UpdateFeatures;
use naru_controller::raft::KraftUpgradeError;
use naru_model::ErrorCode;
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::api_versions_response::ApiVersionsResponse;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};
use naru_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use naru_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use naru_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use naru_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use naru_protocol::messages::update_features_request::UpdateFeaturesRequest;
use naru_protocol::messages::update_features_response::UpdateFeaturesResponse;

use crate::api::cluster::{BROKERS, CONTROLLERS, OPERATIONS_OMITTED, cluster_operations};
use crate::dispatch::{RequestContext, controller_advertised};

pub(crate) async fn api_versions(
    context: RequestContext,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    crate::api::api_versions::answer(&context, &request, controller_advertised().iter().copied())
}

pub(crate) async fn sasl_handshake(
    context: RequestContext,
    request: SaslHandshakeRequest,
) -> SaslHandshakeResponse {
    crate::api::sasl::handshake(&context, request)
}

pub(crate) async fn sasl_authenticate(
    context: RequestContext,
    request: SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    crate::api::sasl::authenticate(&context, request)
}

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let refused = |error: ErrorCode, message: &str| DescribeClusterResponse {
        error_code: error.code(),
        error_message: Some(message.to_owned()),
        ..Default::default()
    };
    match request.endpoint_type {
        CONTROLLERS => {}
        BROKERS => {
            let message = "The request was sent to an endpoint of type CONTROLLER, but we wanted \
                           an endpoint of type BROKER";
            // Version 0 knows no types of endpoints, nor their error.
            return match context.version {
                0 => refused(ErrorCode::InvalidRequest, message),
                _ => refused(ErrorCode::MismatchedEndpointType, message),
            };
        }
        other => {
            let message = format!("Unsupported endpoint type {other}");
            return refused(ErrorCode::UnsupportedEndpointType, &message);
        }
    }
    let node = &context.node;
    let image = node.image();
    let listener = &*context.connection.listener;
    let controllers = image.controllers().filter_map(|controller| {
        let endpoints = &controller.endpoints;
        let endpoint =
            endpoints.iter().find(|e| e.name == listener).or_else(|| endpoints.first())?;
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
            cluster_operations(&context)
        } else {
            OPERATIONS_OMITTED
        },
        ..Default::default()
    }
}

pub(crate) async fn update_features(
    context: RequestContext,
    request: UpdateFeaturesRequest,
) -> Result<UpdateFeaturesResponse, ErrorCode> {
    let version = context.version;
    let decided = context.node.metadata().decide_only(move |deciding| {
        let voters: Vec<i32> = deciding.quorum.voters().iter().map(|voter| voter.id).collect();
        let kraft_version = deciding.quorum.kraft_version().level();
        let settings = UpdateFeatures { version, voters: &voters, kraft_version };
        let Decision { records, response } =
            deciding.controller.decide_update_features(&request, settings);
        if response.kraft_version.is_some() {
            if let Err(error) = deciding.quorum.check_kraft_version_upgrade() {
                let response = refuse_kraft_version(&error);
                return Decision { records: Vec::new(), response };
            }
            deciding.raise_kraft_version = true;
        }
        Decision { records, response: response.response }
    });
    decided.await
}

fn refuse_kraft_version(error: &KraftUpgradeError) -> UpdateFeaturesResponse {
    UpdateFeaturesResponse {
        error_code: ErrorCode::from(error).code(),
        error_message: Some(format!("kraft.version is not raised: {error}")),
        ..Default::default()
    }
}

pub(crate) async fn allocate_producer_ids(
    context: RequestContext,
    request: AllocateProducerIdsRequest,
) -> Result<AllocateProducerIdsResponse, ErrorCode> {
    let decided = context
        .node
        .metadata()
        .decide_only(move |deciding| deciding.controller.decide_allocate_producer_ids(&request));
    decided.await
}
