//! AlterConfigs and IncrementalAlterConfigs, for what is kept in the metadata log: topics,
//! brokers, groups, subscriptions of client metrics. Log levels of brokers are the broker's own.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::config::{
    AlterTarget, ConfigChange, ConfigError, ConfigOp, Props, TopicConfig, alter, validate_broker,
    validate_client_metrics, validate_group,
};
use naru_protocol::messages::alter_configs_request::AlterConfigsRequest;
use naru_protocol::messages::alter_configs_response as legacy_response;
use naru_protocol::messages::clear_elr_record::ClearElrRecord;
use naru_protocol::messages::config_record::ConfigRecord;
use naru_protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use naru_protocol::messages::incremental_alter_configs_response as incremental_response;

use naru_telemetry::Subscription;

use super::{AlterConfigsError, Controller};
use crate::image::{ConfigResource, ResourceType};
use crate::records::{Decision, RecordAndVersion, take_decided};
use crate::topic_name;

/// Longest value that the metadata log takes, in characters as Java counts them.
const VALUE_LENGTH_MAX: usize = i16::MAX as usize;
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
const MATCH: &str = "match";
const ELR_VERSION: &str = "eligible.leader.replicas.version";

/// One resource's part of a request, of either kind.
enum Asked {
    /// Replace everything that is set.
    Replace(Vec<(String, Option<String>)>),
    /// Change some keys: name, operation, value.
    Change(Vec<(String, i8, Option<String>)>),
}

/// What one resource is answered.
struct Answer {
    resource_type: i8,
    resource_name: String,
    error: Option<AlterConfigsError>,
}

impl Controller {
    /// Decides an AlterConfigs request: each named resource has the given values then, and no
    /// others.
    pub fn decide_alter_configs(
        &self,
        request: &AlterConfigsRequest,
    ) -> Decision<legacy_response::AlterConfigsResponse> {
        let asked = request.resources.iter().map(|resource| {
            let configs = resource.configs.iter().map(|c| (c.name.clone(), c.value.clone()));
            let name = resource.resource_name.clone();
            ((resource.resource_type, name), Asked::Replace(configs.collect()))
        });
        let decision = self.decide_configs(asked.collect(), request.validate_only);
        let responses = decision.response.into_iter().map(|answer| {
            legacy_response::AlterConfigsResourceResponse {
                error_code: answer.error.as_ref().map_or(0, |error| error.code().code()),
                error_message: answer.error.map(|error| error.to_string()),
                resource_type: answer.resource_type,
                resource_name: answer.resource_name,
            }
        });
        Decision {
            records: decision.records,
            response: legacy_response::AlterConfigsResponse {
                responses: responses.collect(),
                ..legacy_response::AlterConfigsResponse::default()
            },
        }
    }

    /// Decides an IncrementalAlterConfigs request.
    pub fn decide_incremental_alter_configs(
        &self,
        request: &IncrementalAlterConfigsRequest,
    ) -> Decision<incremental_response::IncrementalAlterConfigsResponse> {
        let asked = request.resources.iter().map(|resource| {
            let configs = resource.configs.iter();
            let changes = configs.map(|c| (c.name.clone(), c.config_operation, c.value.clone()));
            let name = resource.resource_name.clone();
            ((resource.resource_type, name), Asked::Change(changes.collect()))
        });
        let decision = self.decide_configs(asked.collect(), request.validate_only);
        let responses = decision.response.into_iter().map(|answer| {
            incremental_response::AlterConfigsResourceResponse {
                error_code: answer.error.as_ref().map_or(0, |error| error.code().code()),
                error_message: answer.error.map(|error| error.to_string()),
                resource_type: answer.resource_type,
                resource_name: answer.resource_name,
            }
        });
        Decision {
            records: decision.records,
            response: incremental_response::IncrementalAlterConfigsResponse {
                responses: responses.collect(),
                ..incremental_response::IncrementalAlterConfigsResponse::default()
            },
        }
    }

    fn decide_configs(
        &self,
        asked: Vec<((i8, String), Asked)>,
        validate_only: bool,
    ) -> Decision<Vec<Answer>> {
        let mut times: BTreeMap<(i8, String), usize> = BTreeMap::new();
        for (resource, _) in &asked {
            *times.entry(resource.clone()).or_default() += 1;
        }
        let mut records = Vec::new();
        let mut answers = Vec::new();
        let mut answered = BTreeSet::new();
        for (key, asked) in asked {
            if !answered.insert(key.clone()) {
                continue;
            }
            let decided = if times.get(&key).is_some_and(|times| *times > 1) {
                Err(AlterConfigsError::DuplicateResource)
            } else {
                self.alter_resource(key.0, &key.1, asked)
            };
            let taken = take_decided(&mut records, decided, AlterConfigsError::TooManyRecords);
            let (resource_type, resource_name) = key;
            answers.push(Answer { resource_type, resource_name, error: taken.err() });
        }
        if validate_only {
            records.clear();
        }
        Decision { records, response: answers }
    }

    fn alter_resource(
        &self,
        kind: i8,
        name: &str,
        asked: Asked,
    ) -> Result<Vec<RecordAndVersion>, AlterConfigsError> {
        let kind =
            ResourceType::from_id(kind).ok_or(AlterConfigsError::UnknownResourceType(kind))?;
        let target = match kind {
            ResourceType::Topic => AlterTarget::Topic,
            ResourceType::Broker => AlterTarget::Broker,
            ResourceType::Group => AlterTarget::Group,
            ResourceType::ClientMetrics => AlterTarget::ClientMetrics,
            ResourceType::BrokerLogger => {
                return Err(AlterConfigsError::UnsupportedResourceType(kind));
            }
        };
        let failed = |error| config_error(kind, error);
        let resource = ConfigResource::new(kind, name);
        let before = self.image.config(&resource);
        let (after, named) = match asked {
            Asked::Change(changes) => {
                let changes = changes_of(changes)?;
                let after = alter(target, &before, &changes).map_err(failed)?;
                (after, changes.into_iter().map(|change| change.name).collect())
            }
            Asked::Replace(configs) => {
                // A legacy request is a set of every key it names, on nothing.
                let changes: Vec<ConfigChange> = configs
                    .into_iter()
                    .map(|(name, value)| ConfigChange { name, op: ConfigOp::Set, value })
                    .collect();
                let after = alter(target, &Props::new(), &changes).map_err(failed)?;
                let names: BTreeSet<String> =
                    changes.into_iter().map(|change| change.name).collect();
                (after, names)
            }
        };
        if after.values().any(|value| value.encode_utf16().count() > VALUE_LENGTH_MAX) {
            return Err(AlterConfigsError::ValueTooLong);
        }
        self.check_config(&resource, &before, &after)?;
        self.check_exists(&resource)?;
        Ok(config_records(&resource, changes_between(&resource, &before, &after, &named)))
    }

    fn check_config(
        &self,
        resource: &ConfigResource,
        before: &Props,
        after: &Props,
    ) -> Result<(), AlterConfigsError> {
        let failed = |error| config_error(resource.kind, error);
        match resource.kind {
            ResourceType::Topic => {
                if resource.name.is_empty() {
                    return Err(AlterConfigsError::DefaultTopic);
                }
                topic_name::validate(&resource.name)?;
                TopicConfig::validate(after, &self.config_layers().layers()).map_err(failed)
            }
            ResourceType::Broker => {
                broker_of(&resource.name)?;
                validate_broker(after, !resource.name.is_empty()).map_err(failed)?;
                self.check_min_isr(resource, before, after)
            }
            ResourceType::Group => {
                if resource.name.is_empty() {
                    return Err(AlterConfigsError::DefaultGroup);
                }
                validate_group(after, &self.config_layers().layers()).map_err(failed)
            }
            ResourceType::ClientMetrics => {
                if resource.name.is_empty() {
                    return Err(AlterConfigsError::UnnamedSubscription);
                }
                validate_client_metrics(after).map_err(failed)?;
                let matches = after.get(MATCH).map(String::as_str);
                Subscription::read(None, None, matches)?;
                Ok(())
            }
            ResourceType::BrokerLogger => {
                Err(AlterConfigsError::UnsupportedResourceType(resource.kind))
            }
        }
    }

    /// With eligible leader replicas the ISR's least size must be the same for all brokers, and
    /// known to the controller (KIP-966).
    fn check_min_isr(
        &self,
        resource: &ConfigResource,
        before: &Props,
        after: &Props,
    ) -> Result<(), AlterConfigsError> {
        let (before, after) = (before.get(MIN_INSYNC_REPLICAS), after.get(MIN_INSYNC_REPLICAS));
        if self.image.feature_level(ELR_VERSION) == 0 || before == after {
            Ok(())
        } else if !resource.name.is_empty() {
            Err(AlterConfigsError::BrokerMinIsrWithElr)
        } else if after.is_none() {
            Err(AlterConfigsError::NoClusterMinIsrWithElr)
        } else {
            Ok(())
        }
    }

    fn check_exists(&self, resource: &ConfigResource) -> Result<(), AlterConfigsError> {
        match resource.kind {
            ResourceType::Topic if self.image.topic(&resource.name).is_none() => {
                Err(AlterConfigsError::UnknownTopic(resource.name.clone()))
            }
            ResourceType::Broker => match broker_of(&resource.name)? {
                Some(id)
                    if self.image.broker(id).is_none() && self.image.controller(id).is_none() =>
                {
                    Err(AlterConfigsError::UnknownBroker(id))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// The records that set (`Some`) and unset (`None`) keys of a resource.
pub(super) fn config_records(
    resource: &ConfigResource,
    changes: impl IntoIterator<Item = (String, Option<String>)>,
) -> Vec<RecordAndVersion> {
    let mut records = Vec::new();
    for (name, value) in changes {
        let min_isr = name == MIN_INSYNC_REPLICAS;
        records.push(RecordAndVersion::newest(ConfigRecord {
            resource_type: resource.kind.id(),
            resource_name: resource.name.clone(),
            name,
            value,
        }));
        // Eligible leaders were judged by the old minimum.
        if min_isr && resource.kind == ResourceType::Topic {
            let topic_name = resource.name.clone();
            records.push(RecordAndVersion::newest(ClearElrRecord { topic_name }));
        } else if min_isr && resource.kind == ResourceType::Broker {
            let topic_name = String::new();
            records.push(RecordAndVersion::newest(ClearElrRecord { topic_name }));
        }
    }
    records
}

fn changes_between(
    resource: &ConfigResource,
    before: &Props,
    after: &Props,
    named: &BTreeSet<String>,
) -> Vec<(String, Option<String>)> {
    // A broker reloads what is named even if it stays the same, such as a key store's file.
    let reload = resource.kind == ResourceType::Broker;
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).chain(named).collect();
    let changed =
        |key: &&String| before.get(*key) != after.get(*key) || (reload && named.contains(*key));
    keys.into_iter().filter(changed).map(|key| (key.clone(), after.get(key).cloned())).collect()
}

fn changes_of(
    changes: Vec<(String, i8, Option<String>)>,
) -> Result<Vec<ConfigChange>, AlterConfigsError> {
    let changes = changes.into_iter().map(|(name, op, value)| match ConfigOp::from_code(op) {
        Some(op) => Ok(ConfigChange { name, op, value }),
        None => Err(AlterConfigsError::UnknownOperation(op, name)),
    });
    changes.collect()
}

/// The broker that a resource name means; none for all of them.
fn broker_of(name: &str) -> Result<Option<i32>, AlterConfigsError> {
    if name.is_empty() {
        return Ok(None);
    }
    let id: i32 = name.parse().map_err(|_| AlterConfigsError::BrokerNotANumber)?;
    if id < 0 { Err(AlterConfigsError::NegativeBroker) } else { Ok(Some(id)) }
}

fn config_error(kind: ResourceType, error: ConfigError) -> AlterConfigsError {
    if kind == ResourceType::Broker {
        AlterConfigsError::BrokerConfig(error)
    } else {
        AlterConfigsError::Config(error)
    }
}
