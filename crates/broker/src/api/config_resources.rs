//! ListConfigResources (74, v0–v1). KIP-1142.
//!
//! v0 subscriptions of client metrics · v1 all kinds of resources.

use std::collections::BTreeSet;

use naru_controller::image::{MetadataImage, ResourceType};
use naru_model::ErrorCode;
use naru_protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use naru_protocol::messages::list_config_resources_response::{
    ConfigResource, ListConfigResourcesResponse,
};

use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

/// First version that asks for kinds.
const KINDS_SINCE: i16 = 1;
const KINDS: [ResourceType; 5] = [
    ResourceType::Topic,
    ResourceType::Broker,
    ResourceType::BrokerLogger,
    ResourceType::ClientMetrics,
    ResourceType::Group,
];

#[expect(clippy::needless_pass_by_value, reason = "the shape of every handler")]
pub(crate) fn list(
    context: &RequestContext,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let refused = |error: ErrorCode| ListConfigResourcesResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !context.may(Operation::DescribeConfigs, Resource::Cluster) {
        return refused(ErrorCode::ClusterAuthorizationFailed);
    }
    let asked: BTreeSet<i8> = request.resource_types.iter().copied().collect();
    let kinds: Vec<ResourceType> = if context.version < KINDS_SINCE {
        vec![ResourceType::ClientMetrics]
    } else if asked.is_empty() {
        KINDS.to_vec()
    } else {
        let kinds = asked.into_iter().map(ResourceType::from_id);
        match kinds.collect::<Option<Vec<ResourceType>>>() {
            Some(kinds) => kinds,
            None => return refused(ErrorCode::UnsupportedVersion),
        }
    };
    let image = context.node.image();
    let listener = &*context.connection.listener;
    let resources = kinds.into_iter().flat_map(|kind| {
        let names = names(&image, kind, listener).into_iter();
        names.map(move |resource_name| ConfigResource { resource_name, resource_type: kind.id() })
    });
    ListConfigResourcesResponse { config_resources: resources.collect(), ..Default::default() }
}

/// The resources of a kind, whether or not anything is set on those that are there anyway.
fn names(image: &MetadataImage, kind: ResourceType, listener: &str) -> Vec<String> {
    match kind {
        ResourceType::Topic => image.topics().map(|topic| topic.name.to_string()).collect(),
        ResourceType::Broker | ResourceType::BrokerLogger => image
            .brokers()
            .filter(|broker| !broker.fenced && broker.endpoint(listener).is_some())
            .map(|broker| broker.id.to_string())
            .collect(),
        ResourceType::ClientMetrics | ResourceType::Group => image
            .configs()
            .filter(|(resource, _)| resource.kind == kind)
            .map(|(resource, _)| resource.name.clone())
            .collect(),
    }
}
