//! From texts to a node's settings: a properties file, `KAFKA_*` variables, or neither.
//!
//! Owns the order of the two and the report on every key. Never opens a file or asks the
//! environment: both are handed in.

use super::broker_config::BrokerConfig;
use super::environment::props_of_variables;
use super::layers::{Layers, Props, broker_row};
use super::nearest::nearest;
use super::properties::{PropertiesError, parse_properties};
use super::row::Status;
use super::{ConfigError, tables};

/// Why there are no settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The text is no properties text.
    #[error(transparent)]
    Text(#[from] PropertiesError),
    /// A key is wrong, or keys contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What became of every key that was set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Served as written.
    pub honoured: Vec<String>,
    /// Known, but there is nothing here it could steer, and why.
    pub meaningless: Vec<(String, &'static str)>,
    /// Known, but what it steers is not built yet, and what that is.
    pub not_yet: Vec<(String, &'static str)>,
    /// Not known, with the key that was perhaps meant.
    pub unknown: Vec<(String, Option<&'static str>)>,
}

impl LoadReport {
    /// One line for each thing worth telling, none when all is served.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, meant) in &self.unknown {
            let hint = meant.map(|key| format!("; did you mean {key}?")).unwrap_or_default();
            lines.push(format!("unknown config {name}{hint}"));
        }
        let mut grouped = |keys: &[(String, &'static str)], opening: &str| {
            let mut reasons: Vec<&'static str> = keys.iter().map(|(_, reason)| *reason).collect();
            reasons.sort_unstable();
            reasons.dedup();
            for reason in reasons {
                let names: Vec<&str> = keys
                    .iter()
                    .filter(|(_, why)| *why == reason)
                    .map(|(name, _)| name.as_str())
                    .collect();
                lines.push(format!("{opening} ({reason}): {}", names.join(", ")));
            }
        };
        grouped(&self.not_yet, "not served yet");
        grouped(&self.meaningless, "no meaning here");
        lines
    }
}

/// A node's settings and how they came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Every key that is set, for the layer of the file.
    pub props: Props,
    /// The typed settings.
    pub config: BrokerConfig,
    /// What became of every key.
    pub report: LoadReport,
}

/// Reads the settings of a node.
///
/// Variables win over the file. With neither a file nor a variable that describes a node
/// (`KAFKA_PROCESS_ROLES`), the node is the one of [`BrokerConfig::zero_config`] with its data in
/// `default_log_dir`, and variables change single keys of it.
///
/// # Errors
/// The first thing that is wrong.
pub fn load<'a>(
    file: Option<&str>,
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    default_log_dir: &str,
) -> Result<Loaded, LoadError> {
    let mut from_variables = props_of_variables(variables)?;
    let mut told: Props = from_variables.clone();
    let mut props = match file {
        Some(text) => {
            let parsed = parse_properties(text)?;
            told.extend(parsed.clone());
            parsed
        }
        None if from_variables.contains_key("process.roles") => Props::new(),
        None => {
            let zero = BrokerConfig::zero_config(default_log_dir);
            keep_controller(&zero, &mut from_variables);
            zero
        }
    };
    props.append(&mut from_variables);
    // What nobody wrote is nothing to report on.
    let report = report(&told);
    add_node_ids(&mut props);
    BrokerConfig::check_all(&props)?;
    let config = BrokerConfig::resolve(&Layers::of_file(&props))?;
    Ok(Loaded { props, config, report })
}

/// Somebody who names only the listeners for clients keeps the node's controller, and what
/// clients are told follows the listeners.
fn keep_controller(zero: &Props, variables: &mut Props) {
    let Some(listeners) = variables.get_mut("listeners") else { return };
    if !listeners.to_ascii_uppercase().contains("CONTROLLER://") {
        let controller = zero.get("listeners").and_then(|all| all.rsplit(',').next());
        listeners.push(',');
        listeners.push_str(controller.unwrap_or_default());
    }
    if !variables.contains_key("advertised.listeners") {
        let all = variables.get("listeners").cloned().unwrap_or_default();
        let clients: Vec<&str> = all
            .split(',')
            .filter(|text| !text.to_ascii_uppercase().starts_with("CONTROLLER:"))
            .collect();
        variables.insert("advertised.listeners".to_owned(), clients.join(","));
    }
}

/// `node.id` and `broker.id` are one setting under two names; DescribeConfigs shows both.
fn add_node_ids(props: &mut Props) {
    for (from, to) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
        if let Some(id) = props.get(from).filter(|_| !props.contains_key(to)).cloned() {
            props.insert(to.to_owned(), id);
        }
    }
}

fn report(props: &Props) -> LoadReport {
    let mut report = LoadReport::default();
    for name in props.keys() {
        match status(name) {
            Some(Status::Served) => report.honoured.push(name.clone()),
            Some(Status::NoMeaning(reason)) => report.meaningless.push((name.clone(), reason)),
            Some(Status::NotYet(what)) => report.not_yet.push((name.clone(), what)),
            None => {
                let names = tables::broker().rows().map(|row| row.name);
                report.unknown.push((name.clone(), nearest(name, names)));
            }
        }
    }
    report
}

fn status(name: &str) -> Option<Status> {
    let elsewhere = || {
        let found = NOT_IN_THE_TABLE.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *pattern,
        });
        found.map(|(_, status)| *status)
    };
    broker_row(name).map(|row| row.status).or_else(elsewhere)
}

const ZOOKEEPER: Status = Status::NoMeaning("ZooKeeper's work is built in");
const REMOVED: Status = Status::NoMeaning("gone from Kafka since 4.0");

/// Keys that files carry although Kafka 4.3 declares them nowhere: its authorizer's, its
/// plugins', and those it no longer has.
const NOT_IN_THE_TABLE: [(&str, Status); 26] = [
    ("super.users", Status::Served),
    ("allow.everyone.if.no.acl.found", Status::Served),
    ("rlmm.config.*", super::row::TIERED),
    ("rsm.config.*", super::row::TIERED),
    ("config.providers.*", super::row::JAVA),
    ("zookeeper.*", ZOOKEEPER),
    ("control.plane.listener.name", ZOOKEEPER),
    ("broker.id.generation.enable", ZOOKEEPER),
    ("reserved.broker.max.id", ZOOKEEPER),
    ("password.encoder.*", ZOOKEEPER),
    ("inter.broker.protocol.version", REMOVED),
    ("log.message.format.version", REMOVED),
    ("log.message.downconversion.enable", REMOVED),
    ("log.message.timestamp.difference.max.ms", REMOVED),
    ("delegation.token.master.key", REMOVED),
    ("offsets.commit.required.acks", REMOVED),
    ("leader.imbalance.per.broker.percentage", REMOVED),
    ("group.coordinator.new.enable", REMOVED),
    ("metrics.jmx.*", super::row::METRICS),
    ("jmx.port", super::row::METRICS),
    ("host.name", REMOVED),
    ("port", REMOVED),
    ("advertised.host.name", REMOVED),
    ("advertised.port", REMOVED),
    ("log4j.*", Status::NoMeaning("a setting of Java's own logging")),
    ("confluent.*", Status::NoMeaning("a setting of Confluent's own broker")),
];

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod tests;
