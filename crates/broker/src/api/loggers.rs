//! Log levels of this node in DescribeConfigs (32) and IncrementalAlterConfigs (44): the resource
//! type BROKER_LOGGER. KIP-412.
//!
//! Answered by the node that is named, be it a broker or a controller, and by no other.

use naru_controller::image::ResourceType;
use naru_model::ErrorCode;
use naru_model::config::{ConfigSource, Described};
use naru_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use naru_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;

use super::configs::may_not;
use super::own_configs::Named;
use crate::dispatch::RequestContext;
use crate::logging::{Change, LogLevel, LoggerError, check_request};
use crate::node::Node;
use crate::security::Operation;

/// Every logger and its level; in Kafka's words why not.
pub(crate) fn described(node: &Node, name: &str) -> Result<Vec<Described>, String> {
    let own = node.id();
    if name.is_empty() {
        return Err("Broker id must not be empty".to_owned());
    }
    match Named::by(name, own) {
        Named::This => {}
        Named::Other(_) => {
            return Err(format!("Unexpected broker id, expected {own} but received {name}"));
        }
        Named::NoNumber => return Err(format!("Broker id must be an integer, but it is: {name}")),
    }
    let entry = |(name, level): (&str, LogLevel)| Described {
        name: name.to_owned(),
        value: Some(level.name().to_owned()),
        source: ConfigSource::DynamicBrokerLogger,
        read_only: false,
        sensitive: false,
        synonyms: Vec::new(),
        kind: None,
        doc: None,
    };
    Ok(node.loggers().describe().into_iter().map(entry).collect())
}

/// Whether Kafka's broker or its controller would answer: they differ in requests that no tool
/// sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    Broker,
    Controller,
}

/// Takes what is about loggers out of a request and does it; the answers.
pub(crate) fn change_in(
    context: &RequestContext,
    answering: As,
    resources: &mut Vec<AlterConfigsResource>,
    validate_only: bool,
) -> Vec<AlterConfigsResourceResponse> {
    let mut answers = Vec::new();
    resources.retain(|resource| {
        let about_loggers = resource.resource_type == ResourceType::BrokerLogger.id();
        if about_loggers {
            let outcome = change(context, answering, resource, validate_only);
            let (error_code, error_message) = match outcome {
                Ok(()) => (0, None),
                Err((error, message)) => (error.code(), message),
            };
            answers.push(AlterConfigsResourceResponse {
                error_code,
                error_message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            });
        }
        !about_loggers
    });
    answers
}

fn change(
    context: &RequestContext,
    answering: As,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), (ErrorCode, Option<String>)> {
    let refuse = |error: LoggerError| {
        let told = answering == As::Controller || error != LoggerError::Unexpected;
        (error.code(), told.then(|| error.to_string()))
    };
    let changes: Vec<Change<'_>> = resource
        .configs
        .iter()
        .map(|config| Change {
            name: &config.name,
            operation: config.config_operation,
            value: config.value.as_deref(),
        })
        .collect();
    if answering == As::Broker {
        check_request(&changes).map_err(refuse)?;
    }
    let (kind, name) = (resource.resource_type, &resource.resource_name);
    // Kafka's controller takes such requests from the cluster's own nodes.
    let (operation, told) = match answering {
        As::Broker => (Operation::AlterConfigs, false),
        As::Controller => (Operation::ClusterAction, true),
    };
    if let Some((error, text)) = may_not(context, operation, kind, name) {
        return Err((error, told.then(|| text.to_owned())));
    }
    let own = context.node.id();
    match Named::by(name, own) {
        Named::This => {}
        Named::Other(asked) => return Err(refuse(LoggerError::OtherNode { own, asked })),
        Named::NoNumber => return Err(refuse(LoggerError::NodeNotANumber(name.clone()))),
    }
    let (who, host) = (&context.connection.principal, &context.connection.host);
    let note = |about: &str| {
        tracing::info!(target: "audit.admin", %who, host, api = context.api.name(), about);
    };
    context.node.loggers().change(&changes, validate_only, note).map_err(refuse)
}
