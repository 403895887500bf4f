//! `kafka-configs` for topics, brokers, groups and the other things that have configurations.

mod entity;
mod hidden;
mod pairs;
mod quotas;
mod scram;

use std::path::Path;

use naru_client::admin::{
    AlterOp, ConfigEntry, ConfigResource, ConfigSource, ConfigSynonym, ResourceKind,
};
use naru_client::{Admin, Error};
use naru_model::ErrorCode;

use super::common::{Ended, Face, admin_words, block_on, finish};
use super::filter::is_internal;
use super::properties::read_properties;
use crate::options::{
    BOOTSTRAP, COMMAND_CONFIG, HELP, Old, Parsed, Row, Takes, VERSION, ZOOKEEPER, old, row,
};
use crate::text::{Streams, class, java_grown_order};
use entity::Entity;

pub const ABOUT: &str = "Add/Remove entity config for a topic, client, user, broker, ip, \
                         client-metrics or group";

pub(super) static ROWS: &[Row] = &[
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
    row(
        "bootstrap-controller",
        Takes::Text("host:port,..."),
        "The controllers to connect to instead of brokers.",
    ),
    row("alter", Takes::Nothing, "Changes configurations."),
    row("describe", Takes::Nothing, "Shows configurations."),
    row("all", Takes::Nothing, "With --describe: defaults as well."),
    row(
        "entity-type",
        Takes::Text("type"),
        "topics, brokers, broker-loggers, groups, client-metrics, users, clients or ips.",
    ),
    row("entity-name", Takes::Text("name"), "Name of the topic, id of the broker, and so on."),
    row("entity-default", Takes::Nothing, "The default of all brokers, users, clients or ips."),
    row(
        "add-config",
        Takes::Text("k=v,..."),
        "What to set; a value with commas stands in [brackets].",
    ),
    row("add-config-file", Takes::Text("file"), "A properties file of what to set."),
    row("delete-config", Takes::Text("k,..."), "What to set back to its default."),
    row("topic", Takes::Text("name"), "The topic of this name."),
    row("broker", Takes::Text("id"), "The broker of this id."),
    row("broker-defaults", Takes::Nothing, "The default of all brokers."),
    row("broker-logger", Takes::Text("id"), "The log levels of the broker of this id."),
    row("group", Takes::Text("name"), "The group of this name."),
    row("client-metrics", Takes::Text("name"), "The client metrics subscription of this name."),
    row("user", Takes::Text("principal"), "The user of this name."),
    row("user-defaults", Takes::Nothing, "The default of all users."),
    row("client", Takes::Text("id"), "The client of this id."),
    row("client-defaults", Takes::Nothing, "The default of all clients."),
    row("ip", Takes::Text("address"), "The address."),
    row("ip-defaults", Takes::Nothing, "The default of all addresses."),
    row("force", Takes::Nothing, "Asks nothing."),
    old("zk-tls-config-file", Takes::Text("file"), Old::Nothing),
    ZOOKEEPER,
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-configs --bootstrap-server localhost:9092 --describe --topic orders --all",
        "kafka-configs --bootstrap-server localhost:9092 --alter --topic orders --add-config \
         retention.ms=3600000",
        "kafka-configs --bootstrap-server localhost:9092 --alter --user alice --add-config \
         'SCRAM-SHA-512=[iterations=8192,password=secret]'",
    ],
    error_prefix: "",
};

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

/// Why the command failed.
enum Failure {
    /// Its arguments do not fit.
    Words(String),
    /// The cluster refused.
    Cluster(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Cluster(error)
    }
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let p = FACE.read(args, streams)?;
    if p.has("alter") == p.has("describe") {
        let text = "Command must include exactly one action: --describe, --alter";
        return Err(FACE.usage(text, streams));
    }
    let controller = FACE.one(&p, "bootstrap-controller", streams)?;
    let servers = match controller {
        Some(servers) => servers.to_owned(),
        None => {
            let text = "One of the required --bootstrap-server or --bootstrap-controller \
                        arguments must be specified";
            FACE.servers(&p, text, streams)?
        }
    };
    let admin = Admin::new(FACE.admin_config(&p, &servers, streams)?);
    let outcome = match entity::read(&p, args) {
        Ok(entities) if p.has("alter") => block_on(alter(&p, &admin, &entities, streams)),
        Ok(entities) => block_on(describe(&p, &admin, &entities, streams)),
        Err(text) => Err(Failure::Words(text)),
    };
    match outcome {
        Ok(()) => Ok(0),
        Err(Failure::Words(text)) => {
            streams.error(text);
            Ok(1)
        }
        Err(Failure::Cluster(error)) => {
            let line = hidden::shown(args);
            streams.error(format!("Error while executing config command with args '{line}'"));
            let call = if p.has("alter") { "incrementalAlterConfigs" } else { "describeConfigs" };
            let words = format!("{}: {}", class(&error), admin_words(&error, call));
            streams.error(format!("java.util.concurrent.ExecutionException: {words}"));
            Ok(1)
        }
    }
}

async fn alter(
    p: &Parsed,
    admin: &Admin,
    entities: &[Entity],
    streams: &mut Streams,
) -> Result<(), Failure> {
    let mut changes: Vec<(String, AlterOp)> = Vec::new();
    let file = p.one("add-config-file").map_err(|error| Failure::Words(error.to_string()))?;
    if let Some(path) = file {
        let read = read_properties(Path::new(path));
        let read = read.map_err(|error| Failure::Words(format!("{path}: {error}")))?;
        changes.extend(read.into_iter().map(|(name, value)| (name, AlterOp::Set(value))));
    }
    for text in p.all("add-config") {
        let pairs = pairs::parse(text).map_err(Failure::Words)?;
        changes.extend(pairs.into_iter().map(|(name, value)| (name, AlterOp::Set(value))));
    }
    for name in p.all("delete-config").flat_map(|list| list.split(',')) {
        changes.push((name.trim().to_owned(), AlterOp::Delete));
    }
    if changes.is_empty() {
        let text = "At least one of --add-config, --add-config-file, or --delete-config must be \
                    specified with --alter";
        return Err(Failure::Words(text.to_owned()));
    }
    let resource = entities.first().and_then(|entity| Some((entity, entity.resource()?)));
    let Some((entity, resource)) = resource else {
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for (name, change) in changes {
            match change {
                AlterOp::Set(value) => set.push((name, value)),
                _ => removed.push(name),
            }
        }
        return quotas::alter(admin, entities, &set, &removed, streams).await;
    };
    if resource.kind == ResourceKind::BrokerLogger {
        check_loggers(admin, &resource, &changes).await?;
    }
    admin.alter_configs(&resource, &changes, false).await?;
    streams.line(entity.updated());
    Ok(())
}

/// Names that are no loggers of the broker are refused here, as by Kafka's tool.
async fn check_loggers(
    admin: &Admin,
    resource: &ConfigResource,
    changes: &[(String, AlterOp)],
) -> Result<(), Failure> {
    let mut known = Vec::new();
    for (_, entries) in admin.describe_configs(std::slice::from_ref(resource), false).await? {
        known.extend(entries?.into_iter().map(|entry| entry.name));
    }
    // Those to be deleted are named first.
    let deleted = |change: &&(String, AlterOp)| change.1 == AlterOp::Delete;
    let removed = changes.iter().filter(deleted);
    let set = changes.iter().filter(|change| !deleted(change));
    let names = removed.chain(set).map(|(name, _)| name.as_str());
    let unknown: Vec<&str> =
        names.filter(|name| !known.iter().any(|logger| logger == name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Failure::Words(format!("Invalid broker logger(s): {}", unknown.join(","))))
}

async fn describe(
    p: &Parsed,
    admin: &Admin,
    named: &[Entity],
    streams: &mut Streams,
) -> Result<(), Failure> {
    let Some(entity) = named.first() else { return Ok(()) };
    if entity.kind.is_none() {
        return quotas::describe(admin, named, streams).await;
    }
    let entities: Vec<Entity> = match (&entity.name, entity.kind) {
        (None, Some(ResourceKind::Topic)) => {
            let mut topics = admin.list_topics().await?;
            java_grown_order(&mut topics, |topic| &topic.name);
            topics.into_iter().map(|topic| entity.named(&topic.name)).collect()
        }
        (None, Some(ResourceKind::Broker)) => {
            let brokers = admin.describe_cluster().await?.brokers;
            let mut all: Vec<Entity> =
                brokers.iter().map(|broker| entity.named(&broker.id.to_string())).collect();
            all.push(entity.named(""));
            all
        }
        (None, Some(kind)) => {
            let mut names = admin.list_config_resources(kind).await?;
            if kind == ResourceKind::Group {
                // Groups without configurations of their own are shown as well.
                names.extend(admin.list_groups(&[], &[]).await?.into_iter().map(|g| g.group));
                names.sort();
                names.dedup();
                java_grown_order(&mut names, |name| name);
            }
            names.iter().map(|name| entity.named(name)).collect()
        }
        _ => vec![entity.clone()],
    };
    for entity in entities {
        let Some(resource) = entity.resource() else { continue };
        describe_one(p, admin, &entity, &resource, streams).await?;
    }
    Ok(())
}

async fn describe_one(
    p: &Parsed,
    admin: &Admin,
    entity: &Entity,
    resource: &ConfigResource,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let name = &resource.name;
    if resource.kind == ResourceKind::Topic && !is_internal(name) && !exists(admin, name).await? {
        streams.line(format!("The topic '{name}' doesn't exist and doesn't have dynamic config."));
        return Ok(());
    }
    if resource.kind == ResourceKind::BrokerLogger && !is_broker(admin, name).await? {
        streams.line(format!(
            "The broker-logger '{name}' doesn't exist and doesn't have dynamic config."
        ));
        return Ok(());
    }
    let described = admin.describe_configs(std::slice::from_ref(resource), false).await?;
    streams.line(entity.header(p.has("all")));
    for (_, entries) in described {
        let mut entries = entries?;
        entries.retain(|entry| p.has("all") || is_dynamic(resource, entry.source));
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in &entries {
            streams.line(entry_line(entry));
        }
    }
    Ok(())
}

async fn is_broker(admin: &Admin, id: &str) -> Result<bool, Failure> {
    if admin.cluster().config().to_controllers {
        // A controller answers for itself.
        return Ok(true);
    }
    let brokers = admin.describe_cluster().await?.brokers;
    Ok(brokers.iter().any(|broker| broker.id.to_string() == id))
}

async fn exists(admin: &Admin, topic: &str) -> Result<bool, Failure> {
    let described = admin.describe_topics(&[topic.to_owned()]).await?;
    for (_, outcome) in described {
        match outcome {
            Ok(_) => {}
            Err(Error::Broker {
                code: ErrorCode::UnknownTopicOrPartition | ErrorCode::InvalidTopicException,
                ..
            }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Whether a value was set on the very thing that is described.
fn is_dynamic(resource: &ConfigResource, source: ConfigSource) -> bool {
    match resource.kind {
        ResourceKind::Topic => source == ConfigSource::DynamicTopic,
        ResourceKind::Broker if resource.name.is_empty() => {
            source == ConfigSource::DynamicDefaultBroker
        }
        ResourceKind::Broker => source == ConfigSource::DynamicBroker,
        ResourceKind::BrokerLogger => source == ConfigSource::DynamicBrokerLogger,
        ResourceKind::ClientMetrics => source == ConfigSource::ClientMetrics,
        ResourceKind::Group => source == ConfigSource::Group,
    }
}

fn entry_line(entry: &ConfigEntry) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonym = |s: &ConfigSynonym| format!("{}:{}={}", s.source.name(), s.name, value(&s.value));
    let synonyms: Vec<String> = entry.synonyms.iter().map(synonym).collect();
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        value(&entry.value),
        entry.sensitive,
        synonyms.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_client::admin::ConfigValueType;

    #[test]
    fn a_row_is_that_of_apache_kafka() {
        let synonym = |name: &str, value: &str, source| ConfigSynonym {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
        };
        let entry = ConfigEntry {
            name: "cleanup.policy".to_owned(),
            value: Some("compact,delete".to_owned()),
            source: ConfigSource::DynamicTopic,
            read_only: false,
            sensitive: false,
            synonyms: vec![
                synonym("cleanup.policy", "compact,delete", ConfigSource::DynamicTopic),
                synonym("log.cleanup.policy", "delete", ConfigSource::Default),
            ],
            value_type: ConfigValueType(7),
            documentation: None,
        };
        let expect = "  cleanup.policy=compact,delete sensitive=false \
                      synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, \
                      DEFAULT_CONFIG:log.cleanup.policy=delete}";
        assert_eq!(entry_line(&entry), expect);
    }
}
