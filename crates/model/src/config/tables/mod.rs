//! The tables: every key of brokers, topics and groups.
//!
//! One file per concern. A key is declared here and nowhere else; parsing, DescribeConfigs,
//! AlterConfigs, the loader and the documentation all read these rows.

mod client_metrics;
mod coordinators;
mod dynamic;
mod group;
mod groups;
mod identity;
mod listeners;
mod log;
mod naru;
mod oauth;
mod quotas;
mod sasl;
mod security;
mod tiered;
mod tls;
mod topic;
mod topics;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::row::{ConfigRow, Validator};

/// Any entries, or none.
const ENTRIES: Validator = Validator::Entries { allowed: &[], may_be_empty: true };
/// Any entries, at least one.
const SOME_ENTRIES: Validator = Validator::Entries { allowed: &[], may_be_empty: false };
const POLICIES: Validator =
    Validator::Entries { allowed: &["compact", "delete"], may_be_empty: true };
const CODECS: Validator =
    Validator::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
const TIMESTAMPS: Validator = Validator::OneOf(&["CreateTime", "LogAppendTime"]);
const DURABILITY: Validator = Validator::OneOf(&["fsync", "os"]);

/// Kafka's own broker keys, by concern.
const BROKER_PARTS: [&[ConfigRow]; 12] = [
    identity::IDENTITY,
    listeners::LISTENERS,
    log::LOG,
    topics::TOPICS,
    groups::GROUPS,
    coordinators::COORDINATORS,
    tiered::TIERED,
    quotas::QUOTAS,
    security::SECURITY,
    tls::TLS,
    sasl::SASL,
    oauth::OAUTH,
];

/// All keys of one kind of resource, in the order of their names.
#[derive(Debug)]
pub struct Table {
    rows: Vec<&'static ConfigRow>,
    by_name: HashMap<&'static str, &'static ConfigRow>,
}

impl Table {
    fn of(parts: &[&'static [ConfigRow]]) -> Self {
        let mut rows: Vec<&'static ConfigRow> = parts.iter().copied().flatten().collect();
        rows.sort_by_key(|row| row.name);
        let by_name = rows.iter().map(|row| (row.name, *row)).collect();
        Self { rows, by_name }
    }

    /// Every row.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'static ConfigRow> + '_ {
        self.rows.iter().copied()
    }

    /// The row of this name.
    pub fn row(&self, name: &str) -> Option<&'static ConfigRow> {
        self.by_name.get(name).copied()
    }
}

/// Broker keys: Kafka's and ours.
pub fn broker() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| {
        let mut parts = BROKER_PARTS.to_vec();
        parts.push(naru::NARU);
        Table::of(&parts)
    });
    &TABLE
}

/// Broker keys that only tools set, at run time; they are in no file and not among [`broker`]'s.
pub(super) fn dynamic() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| Table::of(&[dynamic::DYNAMIC]));
    &TABLE
}

/// Topic keys: Kafka's and ours.
pub fn topic() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| Table::of(&[topic::TOPIC]));
    &TABLE
}

/// Group keys.
pub fn group() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| Table::of(&[group::GROUP]));
    &TABLE
}

/// Keys of subscriptions of client metrics.
pub fn client_metrics() -> &'static Table {
    static TABLE: LazyLock<Table> =
        LazyLock::new(|| Table::of(&[client_metrics::CLIENT_METRICS_KEYS]));
    &TABLE
}
