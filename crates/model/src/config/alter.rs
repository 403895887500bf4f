//! Changes to configs: what the new values are, and whether they may be.
//!
//! Pure: takes what is set and what is asked, gives what is to be set. Error texts and their
//! order are those of Apache Kafka 4.3.1.

mod dynamic;

use super::layers::{Layers, Props, broker_row};
use super::row::{ConfigKind, Scope};
use super::{ConfigError, tables};

/// What to do with one key, with the protocol's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum ConfigOp {
    /// Set it.
    Set = 0,
    /// Go back to what lies below.
    Delete = 1,
    /// Add entries to a list.
    Append = 2,
    /// Take entries out of a list.
    Subtract = 3,
}

impl ConfigOp {
    /// The operation with this number.
    pub const fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// What a config belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlterTarget {
    /// A topic.
    Topic,
    /// A broker, or all of them.
    Broker,
    /// A group.
    Group,
    /// A subscription of client metrics.
    ClientMetrics,
}

/// One asked change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub name: String,
    /// What to do.
    pub op: ConfigOp,
    /// With what; nothing for `Delete`.
    pub value: Option<String>,
}

/// What is set after the changes, not yet validated.
///
/// # Errors
/// When a key is named twice, has no value, or is no list and yet to be appended to.
pub fn alter(
    target: AlterTarget,
    current: &Props,
    changes: &[ConfigChange],
) -> Result<Props, ConfigError> {
    let mut seen = std::collections::HashSet::new();
    if !changes.iter().all(|change| seen.insert(&change.name)) {
        return Err(ConfigError::DuplicateKeys);
    }
    let nulls: Vec<&str> = changes
        .iter()
        .filter(|change| change.op != ConfigOp::Delete && change.value.is_none())
        .map(|change| change.name.as_str())
        .collect();
    if !nulls.is_empty() {
        return Err(ConfigError::NullValue(nulls.join(",")));
    }
    let mut props = current.clone();
    for change in changes {
        let given = change.value.as_deref().unwrap_or_default();
        match change.op {
            ConfigOp::Set => props.insert(change.name.clone(), given.to_owned()),
            ConfigOp::Delete => props.remove(&change.name),
            ConfigOp::Append | ConfigOp::Subtract => {
                let entries = entries_after(target, current, change, given)?;
                props.insert(change.name.clone(), entries)
            }
        };
    }
    Ok(props)
}

fn entries_after(
    target: AlterTarget,
    current: &Props,
    change: &ConfigChange,
    given: &str,
) -> Result<String, ConfigError> {
    let name = change.name.as_str();
    let row = match target {
        AlterTarget::Topic => tables::topic().row(name),
        AlterTarget::Group => tables::group().row(name),
        // Kafka knows of no list there.
        AlterTarget::ClientMetrics => None,
        AlterTarget::Broker => {
            Some(broker_row(name).ok_or_else(|| ConfigError::UnknownBrokerKey(name.to_owned()))?)
        }
    };
    let Some(row) = row.filter(|row| row.kind == ConfigKind::List) else {
        return Err(ConfigError::Form {
            name: name.to_owned(),
            text: format!("Can't {} to key {name} because its type is not LIST.", change.op.name()),
        });
    };
    let before = current.get(name).map(String::as_str).or_else(|| row.default_text());
    let mut entries: Vec<&str> =
        before.unwrap_or_default().split(',').filter(|entry| !entry.is_empty()).collect();
    for entry in given.split(',') {
        let at = entries.iter().position(|known| *known == entry);
        match (change.op, at) {
            (ConfigOp::Append, None) => entries.push(entry),
            (ConfigOp::Subtract, Some(at)) => {
                entries.remove(at);
            }
            _ => {}
        }
    }
    Ok(entries.join(","))
}

/// Judges what is to be set at run time on one broker, or on all when `per_broker` is false.
///
/// # Errors
/// The first thing that is wrong. Answer it with [`ConfigError::broker_code`].
pub fn validate_broker(props: &Props, per_broker: bool) -> Result<(), ConfigError> {
    let named = |wrong: fn(&str) -> bool| {
        let names: Vec<&str> = props.keys().map(String::as_str).filter(|key| wrong(key)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) =
        named(|key| tables::broker().row(key).is_some_and(|row| row.scope == Scope::ReadOnly))
    {
        return Err(ConfigError::NotDynamic(names));
    }
    if let Some(names) = named(|key| STORES.contains(&key)) {
        return Err(ConfigError::NeedsListenerPrefix(names));
    }
    for (name, text) in props {
        if let Some(row) = broker_row(name) {
            row.check(text)?;
        }
    }
    if !per_broker && let Some(names) = named(is_for_one_broker) {
        return Err(ConfigError::NotClusterWide(names));
    }
    dynamic::check(props)
}

/// Key and trust store settings, which change at run time for one listener only.
pub(super) const STORES: [&str; 10] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// What may be set for all brokers although it is a listener's.
pub(super) const LISTENER_LIMITS: [&str; 3] =
    ["max.connections", "max.connection.creation.rate", "num.network.threads"];

fn is_for_one_broker(key: &str) -> bool {
    match tables::broker().row(key).or_else(|| tables::dynamic().row(key)) {
        Some(row) => row.scope == Scope::PerBroker,
        None => broker_row(key).is_some_and(|row| !LISTENER_LIMITS.contains(&row.name)),
    }
}

/// Judges what is to be set on a group: names, values, then the broker's bounds.
///
/// # Errors
/// The first thing that is wrong, in Kafka's words.
pub fn validate_group(group: &Props, layers: &Layers<'_>) -> Result<(), ConfigError> {
    if let Some(name) = group.keys().find(|name| tables::group().row(name).is_none()) {
        return Err(ConfigError::UnknownGroupKey(name.clone()));
    }
    for row in tables::group().rows() {
        let Some(text) = group.get(row.name) else { continue };
        let value = row.check(text)?;
        let super::ConfigValue::Integer(value) = value else { continue };
        let Some((kind, what)) = row.name.split_once('.') else { continue };
        let what = what.strip_prefix("num.").unwrap_or(what);
        for (word, relation) in [("min", "greater"), ("max", "less")] {
            let bound = format!("group.{kind}.{word}.{what}");
            let Some(limit) = limit(layers, &bound) else { continue };
            if (word == "min" && value < limit) || (word == "max" && value > limit) {
                return Err(ConfigError::GroupBound { key: row.name.to_owned(), relation, bound });
            }
        }
    }
    Ok(())
}

/// Judges what is to be set on a subscription of client metrics, but for its patterns.
///
/// # Errors
/// The first thing that is wrong, in Kafka's words.
pub fn validate_client_metrics(props: &Props) -> Result<(), ConfigError> {
    if let Some(name) = props.keys().find(|name| tables::client_metrics().row(name).is_none()) {
        return Err(ConfigError::UnknownClientMetricsKey(name.clone()));
    }
    for row in tables::client_metrics().rows() {
        let Some(text) = props.get(row.name) else { continue };
        let value = row.check(text)?;
        if let super::ConfigValue::Integer(interval) = value
            && !(100..=3_600_000).contains(&interval)
        {
            return Err(ConfigError::PushInterval(interval));
        }
    }
    Ok(())
}

fn limit(layers: &Layers<'_>, key: &str) -> Option<i64> {
    tables::broker().row(key)?;
    layers.effective(key)?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
