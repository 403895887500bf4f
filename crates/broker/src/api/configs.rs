//! DescribeConfigs (32, v1–v4), AlterConfigs (33, v0–v2), IncrementalAlterConfigs (44, v0–v1).
//! KIP-133, 226, 339, 412, 524, 569, 1000.
//!
//! What the values are and where they come from is `naru_model::config`'s; whether a change may
//! be is the controller's.

use std::collections::HashMap;
use std::sync::Arc;

use naru_controller::image::{ConfigResource, ResourceType};
use naru_controller::topic_name;
use naru_model::ErrorCode;
use naru_model::config::{ConfigChange, ConfigOp, ConfigSource, Described};
use naru_protocol::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use naru_protocol::messages::alter_configs_response::{self, AlterConfigsResponse};
use naru_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use naru_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use naru_protocol::messages::incremental_alter_configs_request::{
    self, AlterableConfig, IncrementalAlterConfigsRequest,
};
use naru_protocol::messages::incremental_alter_configs_response::{
    self, IncrementalAlterConfigsResponse,
};

use super::own_configs::{self, Named, Wanted};
use super::{INVALID_REQUEST, loggers};
use crate::dispatch::{RequestContext, ask};
use crate::security::{Operation, Resource};

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
                result.error_message = Some(String::new());
                let wanted = |entry: &Described| {
                    let keys = resource.configuration_keys.as_ref();
                    keys.is_none_or(|keys| keys.is_empty() || keys.contains(&entry.name))
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
    if let Some((error, text)) = may_not_describe(context, resource.resource_type, name) {
        return Err((error, Some(text.to_owned())));
    }
    let refuse = |error: ErrorCode, text: String| Err((error, Some(text)));
    match ResourceType::from_id(resource.resource_type) {
        Some(ResourceType::Topic) => {
            if let Err(error) = topic_name::validate(name) {
                return refuse(ErrorCode::InvalidTopicException, error.to_string());
            }
            if node.image().topic(name).is_none() {
                return refuse(ErrorCode::UnknownTopicOrPartition, String::new());
            }
            let own = node.metadata().topic_props(name);
            Ok(node.layers(|layers| layers.describe_topic(&own)))
        }
        Some(ResourceType::Broker) if name.is_empty() => {
            Ok(node.layers(|layers| layers.describe_cluster_default()))
        }
        Some(ResourceType::Broker) => match Named::by(name, node.id()) {
            Named::This => Ok(node.layers(|layers| layers.describe_broker())),
            Named::Other(_) => {
                let id = node.id();
                let text = format!(
                    "Unexpected broker id, expected {id} or empty string, but received {name}"
                );
                refuse(ErrorCode::InvalidRequest, text)
            }
            Named::NoNumber => refuse(
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
            loggers::described(node, name).map_err(|text| (ErrorCode::InvalidRequest, Some(text)))
        }
        Some(ResourceType::ClientMetrics) if name.is_empty() => refuse(
            ErrorCode::InvalidRequest,
            "Client metrics subscription name must not be empty".to_owned(),
        ),
        Some(ResourceType::ClientMetrics) => {
            let own = node.image().config(&ConfigResource::new(ResourceType::ClientMetrics, name));
            Ok(node.layers(|layers| layers.describe_client_metrics(&own)))
        }
        None => refuse(ErrorCode::InvalidRequest, INVALID_REQUEST.to_owned()),
    }
}

fn may_not_describe(
    context: &RequestContext,
    kind: i8,
    name: &str,
) -> Option<(ErrorCode, &'static str)> {
    may_not(context, Operation::DescribeConfigs, kind, name)
}

/// Why the sender may not do this with a resource's configuration.
pub(crate) fn may_not(
    context: &RequestContext,
    operation: Operation,
    kind: i8,
    name: &str,
) -> Option<(ErrorCode, &'static str)> {
    let (resource, error, text) = match ResourceType::from_id(kind)? {
        ResourceType::Topic => (
            Resource::Topic(name),
            ErrorCode::TopicAuthorizationFailed,
            "Topic authorization failed.",
        ),
        ResourceType::Group => (
            Resource::Group(name),
            ErrorCode::GroupAuthorizationFailed,
            "Group authorization failed.",
        ),
        ResourceType::Broker | ResourceType::BrokerLogger | ResourceType::ClientMetrics => (
            Resource::Cluster,
            ErrorCode::ClusterAuthorizationFailed,
            "Cluster authorization failed.",
        ),
    };
    (!context.may(operation, resource)).then_some((error, text))
}

fn answer(entry: Described, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        config_source: entry.source.code(),
        config_type: entry.kind.map_or(0, |kind| kind.code()),
        documentation: match entry.source {
            ConfigSource::DynamicBrokerLogger => Some(String::new()),
            _ => entry.doc.filter(|_| documentation).map(str::to_owned),
        },
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

/// A resource that is refused before the controller is asked.
struct RefusedHere {
    resource_type: i8,
    resource_name: String,
    message: String,
}

/// Takes out what a broker itself refuses, in Kafka's words: resources named more than once, kinds
/// that are none, brokers other than this one, and changes to itself with an objection.
fn refuse_here<R>(
    node_id: i32,
    resources: Vec<R>,
    key: impl Fn(&R) -> (i8, &str),
    own: Option<&str>,
) -> (Vec<R>, Vec<RefusedHere>) {
    let mut times: HashMap<(i8, String), usize> = HashMap::new();
    for resource in &resources {
        let (kind, name) = key(resource);
        *times.entry((kind, name.to_owned())).or_default() += 1;
    }
    let mut refused = Vec::new();
    let mut left = Vec::with_capacity(resources.len());
    for resource in resources {
        let (resource_type, name) = key(&resource);
        let resource_name = name.to_owned();
        let twice = times.get(&(resource_type, resource_name.clone())).is_some_and(|n| *n > 1);
        let message = if twice {
            Some("Each resource must appear at most once.".to_owned())
        } else {
            let is_own = is_own_broker(node_id, resource_type, &resource_name);
            objection(node_id, resource_type, &resource_name)
                .or_else(|| own.filter(|_| is_own).map(str::to_owned))
        };
        match message {
            Some(message) => refused.push(RefusedHere { resource_type, resource_name, message }),
            None => left.push(resource),
        }
    }
    (left, refused)
}

/// What a broker has to say of changes to configurations before the controller is asked.
struct Judged<R> {
    /// What the controller is asked.
    left: Vec<R>,
    refused: Vec<RefusedHere>,
    /// Whether it is asked to change how this broker's listeners find out who somebody is.
    is_about_security: bool,
}

async fn judge<R>(
    context: &RequestContext,
    resources: Vec<R>,
    key: impl Fn(&R) -> (i8, &str),
    wanted: impl Fn(&R) -> Option<Wanted>,
) -> Judged<R> {
    let id = context.node.id();
    let is_own = |one: &&R| {
        let (kind, name) = key(one);
        is_own_broker(id, kind, name)
    };
    let wanted = resources.iter().find(is_own).and_then(wanted);
    let is_about_security = wanted.as_ref().is_some_and(Wanted::is_about_security);
    let own = match wanted {
        Some(wanted) => own_configs::objection(context, wanted).await,
        None => None,
    };
    let (left, refused) = refuse_here(id, resources, key, own.as_deref());
    Judged { left, refused, is_about_security: is_about_security && own.is_none() }
}

fn is_own_broker(node_id: i32, resource_type: i8, name: &str) -> bool {
    resource_type == ResourceType::Broker.id() && Named::by(name, node_id) == Named::This
}

fn objection(node_id: i32, resource_type: i8, name: &str) -> Option<String> {
    match ResourceType::from_id(resource_type) {
        None => Some(format!("Unknown resource type {resource_type}")),
        Some(ResourceType::Broker) if !name.is_empty() => match Named::by(name, node_id) {
            Named::NoNumber => Some(format!("Node id must be an integer, but it is: {name}")),
            Named::Other(_) => {
                Some(format!("Unexpected broker id, expected {node_id}, but received {name}"))
            }
            Named::This => None,
        },
        Some(_) => None,
    }
}

pub(crate) async fn alter(
    context: RequestContext,
    mut request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let node = Arc::clone(&context.node);
    let all = |one: &AlterConfigsResource| {
        let set = one.configs.iter();
        let set = set.map(|one| (one.name.clone(), one.value.clone().unwrap_or_default()));
        Some(Wanted::All(set.collect()))
    };
    let Judged { left, refused, is_about_security } =
        judge(&context, request.resources, |one| (one.resource_type, &one.resource_name), all)
            .await;
    request.resources = left;
    // Levels are changed one by one only.
    let logger = ResourceType::BrokerLogger.id();
    let about_loggers = request.resources.extract_if(.., |one| one.resource_type == logger);
    let refused: Vec<RefusedHere> = about_loggers
        .map(|one| RefusedHere {
            resource_type: logger,
            resource_name: one.resource_name,
            message: format!("Unknown resource type {logger}"),
        })
        .chain(refused)
        .collect();
    let mut response = ask(&node, &context, request).await;
    if is_about_security {
        node.security_settled().await;
    }
    response.responses.extend(refused.into_iter().map(|refused| {
        alter_configs_response::AlterConfigsResourceResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            error_message: Some(refused.message),
            resource_type: refused.resource_type,
            resource_name: refused.resource_name,
        }
    }));
    response
}

pub(crate) async fn alter_incrementally(
    context: RequestContext,
    mut request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let node = Arc::clone(&context.node);
    let change = |one: &AlterableConfig| {
        let op = ConfigOp::from_code(one.config_operation)?;
        Some(ConfigChange { name: one.name.clone(), op, value: one.value.clone() })
    };
    let changes = |one: &incremental_alter_configs_request::AlterConfigsResource| {
        let changes: Option<Vec<ConfigChange>> = one.configs.iter().map(change).collect();
        changes.map(Wanted::Changes)
    };
    let Judged { left, refused, is_about_security } = judge(
        &context,
        request.resources,
        |one: &incremental_alter_configs_request::AlterConfigsResource| {
            (one.resource_type, one.resource_name.as_str())
        },
        changes,
    )
    .await;
    request.resources = left;
    let (answering, validate_only) = (loggers::As::Broker, request.validate_only);
    let changed = loggers::change_in(&context, answering, &mut request.resources, validate_only);
    // What is about loggers alone is nothing for the controller.
    let mut response = if request.resources.is_empty() && !changed.is_empty() {
        IncrementalAlterConfigsResponse::default()
    } else {
        ask(&node, &context, request).await
    };
    if is_about_security {
        node.security_settled().await;
    }
    response.responses.extend(changed);
    response.responses.extend(refused.into_iter().map(|refused| {
        incremental_alter_configs_response::AlterConfigsResourceResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            error_message: Some(refused.message),
            resource_type: refused.resource_type,
            resource_name: refused.resource_name,
        }
    }));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(resources: &[(i8, &str)]) -> Vec<String> {
        let (_, refused) = refuse_here(1, resources.to_vec(), |&(kind, name)| (kind, name), None);
        refused.into_iter().map(|refused| refused.message).collect()
    }

    #[test]
    fn a_broker_refuses_in_kafkas_words_what_is_not_for_it() {
        let (topic, broker) = (ResourceType::Topic.id(), ResourceType::Broker.id());
        assert!(refused(&[(topic, "t"), (broker, "1"), (broker, "")]).is_empty());
        assert_eq!(refused(&[(99, "x")]), ["Unknown resource type 99"]);
        assert_eq!(refused(&[(broker, "x")]), ["Node id must be an integer, but it is: x"]);
        assert_eq!(refused(&[(broker, "9")]), ["Unexpected broker id, expected 1, but received 9"]);
    }

    #[test]
    fn a_resource_named_twice_is_refused_twice() {
        let topic = ResourceType::Topic.id();
        assert_eq!(refused(&[(topic, "t"), (topic, "u"), (topic, "t")]).len(), 2);
    }
}
