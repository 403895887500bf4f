//! Configurations: describe with sources and synonyms, change one by one.

use std::sync::Arc;

use naru_model::ErrorCode;
use naru_protocol::messages::alter_configs_request::{self, AlterConfigsRequest};
use naru_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use naru_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use naru_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use naru_protocol::messages::list_config_resources_request::ListConfigResourcesRequest;

use super::Admin;
use crate::cluster::Lane;
use crate::error::{Error, Result};
use crate::net::Connection;

/// What kind of thing has configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// A topic.
    Topic,
    /// A broker, or the default of all brokers with an empty name.
    Broker,
    /// The log levels of a broker.
    BrokerLogger,
    /// A client metrics subscription.
    ClientMetrics,
    /// A group.
    Group,
}

impl ResourceKind {
    const fn number(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
        }
    }
}

/// Something that has configurations.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigResource {
    /// Of what kind.
    pub kind: ResourceKind,
    /// Its name; empty for the default of all brokers.
    pub name: String,
}

impl ConfigResource {
    /// A topic.
    pub fn topic(name: impl Into<String>) -> Self {
        Self { kind: ResourceKind::Topic, name: name.into() }
    }

    /// A broker.
    pub fn broker(id: i32) -> Self {
        Self { kind: ResourceKind::Broker, name: id.to_string() }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic,
    /// Set on this broker at run time.
    DynamicBroker,
    /// Set on all brokers at run time.
    DynamicDefaultBroker,
    /// In the broker's file.
    StaticBroker,
    /// Nobody set it.
    Default,
    /// A logger's level.
    DynamicBrokerLogger,
    /// Set on a client metrics subscription.
    ClientMetrics,
    /// Set on the group.
    Group,
    /// A source this client does not know.
    Unknown,
}

impl ConfigSource {
    const fn from_number(number: i8) -> Self {
        match number {
            1 => Self::DynamicTopic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::DynamicBrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            _ => Self::Unknown,
        }
    }

    /// Kafka's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            Self::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Self::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            Self::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Self::Group => "DYNAMIC_GROUP_CONFIG",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// The type of a value, by Kafka's number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigValueType(pub i8);

/// A value that would be used if the one before it were not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// Key, which may be the broker's name for a topic's key.
    pub name: String,
    /// Value; none if hidden.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Key.
    pub name: String,
    /// Value; none if it has none or is hidden.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed at run time.
    pub read_only: bool,
    /// Whether its value is hidden.
    pub sensitive: bool,
    /// What it is made of, the effective one first.
    pub synonyms: Vec<ConfigSynonym>,
    /// Its type.
    pub value_type: ConfigValueType,
    /// What it is for, if asked.
    pub documentation: Option<String>,
}

/// What to do with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlterOp {
    /// Give it this value.
    Set(String),
    /// Back to the default.
    Delete,
    /// Add to a list.
    Append(String),
    /// Take from a list.
    Subtract(String),
}

impl AlterOp {
    const fn number(&self) -> i8 {
        match self {
            Self::Set(_) => 0,
            Self::Delete => 1,
            Self::Append(_) => 2,
            Self::Subtract(_) => 3,
        }
    }

    fn value(&self) -> Option<String> {
        match self {
            Self::Set(value) | Self::Append(value) | Self::Subtract(value) => Some(value.clone()),
            Self::Delete => None,
        }
    }
}

impl Admin {
    /// Describes configurations; answers for each resource.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
        documentation: bool,
    ) -> Result<Vec<(ConfigResource, Result<Vec<ConfigEntry>>)>> {
        let mut answers = Vec::with_capacity(resources.len());
        for group in by_target(resources) {
            let results = self
                .cluster
                .retry(async || self.describe_configs_of(&group, documentation).await)
                .await?;
            for resource in group {
                let result = results.iter().find(|r| {
                    r.resource_type == resource.kind.number() && r.resource_name == resource.name
                });
                let entries = match result {
                    Some(r) => Error::check_with(r.error_code, r.error_message.clone())
                        .map(|()| r.configs.iter().map(entry_of).collect()),
                    None => Err(Error::code_only(ErrorCode::UnknownServerError)),
                };
                answers.push((resource.clone(), entries));
            }
        }
        Ok(answers)
    }

    async fn describe_configs_of(
        &self,
        group: &[&ConfigResource],
        documentation: bool,
    ) -> Result<Vec<DescribeConfigsResult>> {
        let connection = match group.first().and_then(|resource| node_of(resource)) {
            Some(id) if !self.cluster.config().to_controllers => {
                self.cluster.broker(id, Lane::Main).await?
            }
            _ => self.cluster.any_or_active().await?,
        };
        let request = DescribeConfigsRequest {
            resources: group
                .iter()
                .map(|resource| DescribeConfigsResource {
                    resource_type: resource.kind.number(),
                    resource_name: resource.name.clone(),
                    configuration_keys: None,
                })
                .collect(),
            include_synonyms: true,
            include_documentation: documentation,
        };
        let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
        Ok(response.results)
    }

    /// Changes some configurations of a resource and leaves the others. Brokers that cannot
    /// change one by one (before 2.3) get the whole new set, made of what they describe.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[(String, AlterOp)],
        validate_only: bool,
    ) -> Result<()> {
        let outcome = self
            .cluster
            .retry(async || {
                let connection = self.taker_of(resource).await?;
                let configs = changes
                    .iter()
                    .map(|(name, op)| AlterableConfig {
                        name: name.clone(),
                        config_operation: op.number(),
                        value: op.value(),
                    })
                    .collect();
                let request = IncrementalAlterConfigsRequest {
                    resources: vec![AlterConfigsResource {
                        resource_type: resource.kind.number(),
                        resource_name: resource.name.clone(),
                        configs,
                    }],
                    validate_only,
                };
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                response
                    .responses
                    .into_iter()
                    .try_for_each(|r| Error::check_with(r.error_code, r.error_message))
            })
            .await;
        match outcome {
            Err(Error::UnsupportedVersion { .. }) => {
                self.replace_configs(resource, changes, validate_only).await
            }
            other => other,
        }
    }

    /// Who changes a resource's configurations: a broker its own, else the controller.
    async fn taker_of(&self, resource: &ConfigResource) -> Result<Arc<Connection>> {
        match node_of(resource) {
            Some(id) if !self.cluster.config().to_controllers => {
                self.cluster.broker(id, Lane::Main).await
            }
            _ => self.cluster.controller().await,
        }
    }

    async fn replace_configs(
        &self,
        resource: &ConfigResource,
        changes: &[(String, AlterOp)],
        validate_only: bool,
    ) -> Result<()> {
        let described = self.describe_configs(std::slice::from_ref(resource), false).await?;
        let mut values: Vec<(String, Option<String>)> = Vec::new();
        for (_, entries) in described {
            values.extend(
                entries?
                    .into_iter()
                    .filter(|e| {
                        matches!(e.source, ConfigSource::DynamicTopic | ConfigSource::DynamicBroker)
                    })
                    .map(|e| (e.name, e.value)),
            );
        }
        for (name, op) in changes {
            values.retain(|(known, _)| known != name);
            match op {
                AlterOp::Set(value) => values.push((name.clone(), Some(value.clone()))),
                AlterOp::Delete => {}
                AlterOp::Append(_) | AlterOp::Subtract(_) => {
                    return Err(Error::Argument(
                        "this broker cannot change one entry of a list".to_owned(),
                    ));
                }
            }
        }
        let connection = self.taker_of(resource).await?;
        let configs = values
            .into_iter()
            .map(|(name, value)| alter_configs_request::AlterableConfig { name, value })
            .collect();
        let request = AlterConfigsRequest {
            resources: vec![alter_configs_request::AlterConfigsResource {
                resource_type: resource.kind.number(),
                resource_name: resource.name.clone(),
                configs,
            }],
            validate_only,
        };
        let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
        response
            .responses
            .into_iter()
            .try_for_each(|r| Error::check_with(r.error_code, r.error_message))
    }

    /// Names of the resources of a kind that have configurations of their own.
    pub async fn list_config_resources(&self, kind: ResourceKind) -> Result<Vec<String>> {
        self.cluster
            .retry(async || {
                let connection = self.cluster.any().await?;
                let request = ListConfigResourcesRequest { resource_types: vec![kind.number()] };
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check(response.error_code)?;
                Ok(response.config_resources.into_iter().map(|r| r.resource_name).collect())
            })
            .await
    }
}

/// The node that must be asked about a resource, if only one can answer.
fn node_of(resource: &ConfigResource) -> Option<i32> {
    match resource.kind {
        ResourceKind::Broker | ResourceKind::BrokerLogger => resource.name.parse().ok(),
        ResourceKind::Topic | ResourceKind::ClientMetrics | ResourceKind::Group => None,
    }
}

/// Resources that can be asked for in one request, in order.
fn by_target(resources: &[ConfigResource]) -> Vec<Vec<&ConfigResource>> {
    let mut groups: Vec<Vec<&ConfigResource>> = Vec::new();
    for resource in resources {
        let target = node_of(resource);
        let group = groups.iter_mut().find(|g| g.first().is_some_and(|r| node_of(r) == target));
        match group {
            Some(group) => group.push(resource),
            None => groups.push(vec![resource]),
        }
    }
    groups
}

fn entry_of(result: &DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: result.name.clone(),
        value: result.value.clone(),
        source: ConfigSource::from_number(result.config_source),
        read_only: result.read_only,
        sensitive: result.is_sensitive,
        synonyms: result
            .synonyms
            .iter()
            .map(|s| ConfigSynonym {
                name: s.name.clone(),
                value: s.value.clone(),
                source: ConfigSource::from_number(s.source),
            })
            .collect(),
        value_type: ConfigValueType(result.config_type),
        documentation: result.documentation.clone(),
    }
}
