//! What DescribeConfigs says of a topic, a broker, the cluster's defaults or a group.
//!
//! Owns values, sources and synonyms as Kafka reports them, quirks included, because tools print
//! them. Rows come in the order of their names; Kafka's own order is that of a hash table.

use super::layers::{Layers, Props, broker_row, stand_ins};
use super::row::{ConfigKind, ConfigRow, Scope};
use super::tables;

/// Where a value comes from, with Kafka's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic = 1,
    /// Set at run time on this broker.
    DynamicBroker = 2,
    /// Set at run time for all brokers.
    DynamicDefaultBroker = 3,
    /// From the properties file.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
    /// The level of a logger.
    DynamicBrokerLogger = 6,
    /// Set on a client metrics subscription.
    ClientMetrics = 7,
    /// Set on the group.
    Group = 8,
}

impl ConfigSource {
    /// The number in `DescribeConfigs` responses.
    pub const fn code(self) -> i8 {
        self as i8
    }
}

/// One of the settings behind a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// The key.
    pub name: String,
    /// Its value as it was written; `None` when it must not be shown.
    pub value: Option<String>,
    /// Where it was set.
    pub source: ConfigSource,
}

/// One entry of a `DescribeConfigs` response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The key.
    pub name: String,
    /// The value that counts; `None` when there is none or it must not be shown.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether only a restart changes it.
    pub read_only: bool,
    /// Whether its value is hidden.
    pub sensitive: bool,
    /// Every setting behind it, the one that counts first.
    pub synonyms: Vec<Synonym>,
    /// The type; `None` for keys we do not know.
    pub kind: Option<ConfigKind>,
    /// What it is for.
    pub doc: Option<&'static str>,
}

impl Described {
    /// Whether nobody set it; version 0 of the response tells only this.
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }

    fn new(name: &str, row: Option<&ConfigRow>, value: Option<String>, read_only: bool) -> Self {
        // What we know nothing of might be a secret.
        let sensitive = row.is_none_or(ConfigRow::is_sensitive);
        Self {
            name: name.to_owned(),
            value: value.filter(|_| !sensitive),
            source: ConfigSource::Default,
            read_only,
            sensitive,
            synonyms: Vec::new(),
            kind: row.map(|row| row.kind),
            doc: row.map(ConfigRow::doc),
        }
    }

    fn with_synonyms(mut self, synonyms: Vec<Synonym>) -> Self {
        self.source = synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source);
        self.synonyms = synonyms;
        self
    }
}

impl Layers<'_> {
    /// All configs of a topic whose own values are `topic`.
    pub fn describe_topic(&self, topic: &Props) -> Vec<Described> {
        self.describe_own(tables::topic(), topic, ConfigSource::DynamicTopic)
    }

    /// All configs of a group whose own values are `group`.
    pub fn describe_group(&self, group: &Props) -> Vec<Described> {
        self.describe_own(tables::group(), group, ConfigSource::Group)
    }

    /// What is set on a subscription of client metrics.
    pub fn describe_client_metrics(&self, own: &Props) -> Vec<Described> {
        self.describe_own(tables::client_metrics(), own, ConfigSource::ClientMetrics)
    }

    fn describe_own(
        &self,
        table: &tables::Table,
        own: &Props,
        own_source: ConfigSource,
    ) -> Vec<Described> {
        let shown = |row: &&ConfigRow| !row.internal || own.contains_key(row.name);
        let entry = |row: &'static ConfigRow| {
            let value = self.inherited(row, own).map(|text| as_shown(row, &text));
            let mut synonyms = match row.synonyms.first() {
                Some(name) => self.synonyms(name),
                None => Vec::new(),
            };
            if own.contains_key(row.name) {
                let value = value.clone();
                synonyms
                    .insert(0, Synonym { name: row.name.to_owned(), value, source: own_source });
            } else if own_source == ConfigSource::Group && row.synonyms.is_empty() {
                // Of groups alone, Kafka lists the default under the group's own key.
                let (name, value) = (row.name.to_owned(), value.clone());
                synonyms.push(Synonym { name, value, source: ConfigSource::Default });
            }
            Described::new(row.name, Some(row), value, false).with_synonyms(synonyms)
        };
        table.rows().filter(shown).map(entry).collect()
    }

    /// All configs of this broker.
    pub fn describe_broker(&self) -> Vec<Described> {
        let rows = tables::broker().rows().filter(|row| !row.internal).map(|row| row.name);
        let set = [self.broker, self.cluster, self.file].into_iter().flat_map(Props::keys);
        let names: std::collections::BTreeSet<&str> = rows.chain(set.map(String::as_str)).collect();
        names
            .into_iter()
            .map(|name| {
                let row = broker_row(name);
                let value = self.of_broker(name, row);
                Described::new(name, row, value, is_read_only(name))
                    .with_synonyms(self.synonyms(name))
            })
            .collect()
    }

    /// What is set at run time for all brokers.
    pub fn describe_cluster_default(&self) -> Vec<Described> {
        let entry = |(name, value): (&String, &String)| {
            let row = broker_row(name);
            let mut synonyms = self.synonyms(name);
            synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
            Described::new(name, row, Some(value.clone()), is_read_only(name))
                .with_synonyms(synonyms)
        };
        self.cluster.iter().map(entry).collect()
    }

    /// The value a broker shows for a key. A key set at run time outdoes the file's settings of
    /// all keys it stands in for: after `log.retention.ms`, the file's `log.retention.hours` is
    /// back at its default.
    fn of_broker(&self, name: &str, row: Option<&ConfigRow>) -> Option<String> {
        let at_run_time = |key: &str| self.broker.get(key).or_else(|| self.cluster.get(key));
        let outdone = || stand_ins(name).into_iter().any(|key| at_run_time(key).is_some());
        let text = at_run_time(name)
            .or_else(|| self.file.get(name).filter(|_| !outdone()))
            .map(String::as_str)
            .or_else(|| row.and_then(ConfigRow::default_text))?;
        Some(row.map_or_else(|| text.to_owned(), |row| as_shown(row, text)))
    }

    /// Every setting behind a broker key, nearest first. As in Kafka, settings of keys that
    /// stand in are left out until the key itself turns up.
    fn synonyms(&self, name: &str) -> Vec<Synonym> {
        let keys = stand_ins(name);
        let mut synonyms = Vec::new();
        for (layer, source) in [
            (self.broker, ConfigSource::DynamicBroker),
            (self.cluster, ConfigSource::DynamicDefaultBroker),
            (self.file, ConfigSource::StaticBroker),
        ] {
            for key in &keys {
                if let Some(value) = layer.get(*key) {
                    synonyms.push(synonym(key, value, source));
                }
            }
        }
        for key in &keys {
            if let Some(text) = tables::broker().row(key).and_then(ConfigRow::default_text) {
                synonyms.push(synonym(key, text, ConfigSource::Default));
            }
        }
        let from = synonyms.iter().position(|synonym| synonym.name == name);
        synonyms.split_off(from.unwrap_or(synonyms.len()))
    }
}

fn synonym(name: &str, value: &str, source: ConfigSource) -> Synonym {
    let hidden = broker_row(name).is_none_or(ConfigRow::is_sensitive);
    let value = (!hidden).then(|| value.to_owned());
    Synonym { name: name.to_owned(), value, source }
}

/// A parsed value's text; what does not parse is shown as it is.
fn as_shown(row: &ConfigRow, text: &str) -> String {
    row.check(text).map_or_else(|_| text.to_owned(), |value| value.to_text())
}

/// Kafka calls every key read-only that is not by itself one that may change.
fn is_read_only(name: &str) -> bool {
    tables::broker().row(name).is_none_or(|row| row.scope == Scope::ReadOnly)
}

#[cfg(test)]
mod tests;
