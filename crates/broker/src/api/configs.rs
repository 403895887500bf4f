//! DescribeConfigs (32, v1–v4), AlterConfigs (33, v0–v2), IncrementalAlterConfigs (44, v0–v1).
//! KIP-133, 226, 339, 412, 524, 569, 1000.
//!
//! What the values are and where they come from is `naru_model::config`'s; whether a change may
//! be is the controller's.

use std::sync::Arc;

use naru_controller::image::{ConfigResource, ResourceType};
use naru_controller::topic_name;
use naru_model::ErrorCode;
use naru_model::config::Described;
use naru_protocol::messages::alter_configs_request::AlterConfigsRequest;
use naru_protocol::messages::alter_configs_response::{self, AlterConfigsResponse};
use naru_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use naru_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use naru_protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use naru_protocol::messages::incremental_alter_configs_response::{
    self, IncrementalAlterConfigsResponse,
};

use crate::dispatch::RequestContext;

pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let results = request.resources.into_iter().map(|resource| {
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        };
        match entries(context, &resource) {
            Ok(entries) => {
                let wanted = |entry: &Described| {
                    let keys = resource.configuration_keys.as_ref();
                    keys.is_none_or(|keys| keys.contains(&entry.name))
                };
                result.configs = entries
                    .into_iter()
                    .filter(wanted)
                    .map(|entry| answer(entry, synonyms, documentation))
                    .collect();
            }
            Err((error, message)) => {
                result.error_code = error.code();
                result.error_message = message;
            }
        }
        result
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

type Refusal = (ErrorCode, Option<String>);

fn entries(
    context: &RequestContext,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Described>, Refusal> {
    let node = &context.node;
    let name = &resource.resource_name;
    let refuse = |error: ErrorCode, text: String| Err((error, Some(text)));
    match ResourceType::from_id(resource.resource_type) {
        Some(ResourceType::Topic) => {
            if let Err(error) = topic_name::validate(name) {
                return refuse(ErrorCode::InvalidTopicException, error.to_string());
            }
            if node.image().topic(name).is_none() {
                return Err((ErrorCode::UnknownTopicOrPartition, None));
            }
            let own = node.metadata().topic_props(name);
            Ok(node.layers(|layers| layers.describe_topic(&own)))
        }
        Some(ResourceType::Broker) if name.is_empty() => {
            Ok(node.layers(|layers| layers.describe_cluster_default()))
        }
        Some(ResourceType::Broker) => match name.parse::<i32>() {
            Ok(id) if id == node.id() => Ok(node.layers(|layers| layers.describe_broker())),
            Ok(_) => {
                let id = node.id();
                let text = format!(
                    "Unexpected broker id, expected {id} or empty string, but received {name}"
                );
                refuse(ErrorCode::InvalidRequest, text)
            }
            Err(_) => refuse(
                ErrorCode::InvalidRequest,
                format!("Broker id must be an integer, but it is: {name}"),
            ),
        },
        Some(ResourceType::Group) if !name.is_empty() => {
            let own = node.image().config(&ConfigResource::new(ResourceType::Group, name));
            Ok(node.layers(|layers| layers.describe_group(&own)))
        }
        Some(ResourceType::Group) => {
            refuse(ErrorCode::InvalidRequest, "Group name must not be empty".to_owned())
        }
        Some(ResourceType::BrokerLogger) => {
            refuse(ErrorCode::InvalidRequest, "broker loggers are not served yet".to_owned())
        }
        Some(ResourceType::ClientMetrics) => {
            refuse(ErrorCode::InvalidRequest, "client metrics are not served yet".to_owned())
        }
        None => refuse(
            ErrorCode::InvalidRequest,
            format!("Unsupported resource type: {}", resource.resource_type),
        ),
    }
}

fn answer(entry: Described, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        config_source: entry.source.code(),
        config_type: entry.kind.map_or(0, |kind| kind.code()),
        documentation: entry.doc.filter(|_| documentation).map(str::to_owned),
        synonyms: if synonyms {
            entry
                .synonyms
                .into_iter()
                .map(|synonym| DescribeConfigsSynonym {
                    name: synonym.name,
                    value: synonym.value,
                    source: synonym.source.code(),
                })
                .collect()
        } else {
            Vec::new()
        },
        name: entry.name,
        value: entry.value,
        read_only: entry.read_only,
        is_sensitive: entry.sensitive,
    }
}

pub(crate) async fn alter(
    context: RequestContext,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let node = Arc::clone(&context.node);
    let decided =
        node.metadata().decide(&node, |controller| controller.decide_alter_configs(&request)).await;
    decided.unwrap_or_else(|error| AlterConfigsResponse {
        responses: request
            .resources
            .iter()
            .map(|resource| alter_configs_response::AlterConfigsResourceResponse {
                error_code: error.code(),
                error_message: None,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            })
            .collect(),
        ..Default::default()
    })
}

pub(crate) async fn alter_incrementally(
    context: RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let node = Arc::clone(&context.node);
    let decided = node
        .metadata()
        .decide(&node, |controller| controller.decide_incremental_alter_configs(&request))
        .await;
    decided.unwrap_or_else(|error| IncrementalAlterConfigsResponse {
        responses: request
            .resources
            .iter()
            .map(|resource| incremental_alter_configs_response::AlterConfigsResourceResponse {
                error_code: error.code(),
                error_message: None,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            })
            .collect(),
        ..Default::default()
    })
}
