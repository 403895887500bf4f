//! Our tables against the facts of Apache Kafka 4.3.1, read from its classes by reflection.
//!
//! Columns: resource, key, type, default, `internal` or nothing, how a broker key may change.

use std::collections::BTreeMap;

use naru_model::config::{
    ConfigDefault, ConfigRow, Scope, Table, broker_table, group_table, topic_table,
};

const FACTS: &str = include_str!("kafka-4.3.1-configs.tsv");

fn facts_of(resource: &str) -> BTreeMap<String, Vec<&'static str>> {
    FACTS
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|columns| columns[0] == resource)
        .map(|columns| (columns[1].to_owned(), columns))
        .collect()
}

fn columns_of(resource: &'static str, row: &ConfigRow) -> Vec<&'static str> {
    let default = match row.default {
        ConfigDefault::Required => "(required)",
        ConfigDefault::Null => "(null)",
        ConfigDefault::Is(text) => text,
    };
    let scope = match row.scope {
        _ if resource != "broker" => "",
        Scope::ReadOnly => "read-only",
        Scope::PerBroker => "per-broker",
        Scope::ClusterWide => "cluster-wide",
    };
    let internal = if row.internal { "internal" } else { "" };
    vec![resource, row.name, row.kind.name(), default, internal, scope]
}

fn kafka_rows(table: &'static Table) -> impl Iterator<Item = &'static ConfigRow> {
    table.rows().filter(|row| !row.name.starts_with("naru."))
}

#[test]
fn every_kafka_config_is_declared_with_its_type_default_and_scope() {
    for (resource, table, count) in [
        ("broker", broker_table(), 360),
        ("topic", topic_table(), 34),
        ("group", group_table(), 17),
    ] {
        let ours: BTreeMap<_, _> =
            kafka_rows(table).map(|row| (row.name.to_owned(), columns_of(resource, row))).collect();
        assert_eq!(ours.len(), count, "{resource}");
        assert_eq!(ours, facts_of(resource), "{resource}");
    }
}

#[test]
fn names_are_declared_once_and_in_order() {
    for table in [broker_table(), topic_table(), group_table()] {
        let names: Vec<_> = table.rows().map(|row| row.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn every_default_passes_its_own_check_and_is_shown_as_it_is_written() {
    for table in [broker_table(), topic_table(), group_table()] {
        for row in table.rows() {
            let Some(text) = row.default_text() else { continue };
            // Kafka shows the very same text for the default.
            assert_eq!(
                row.check(text).map(|value| value.to_text()),
                Ok(text.to_owned()),
                "{}",
                row.name
            );
        }
    }
}

#[test]
fn every_row_says_in_a_sentence_what_it_is_for() {
    for table in [broker_table(), topic_table(), group_table()] {
        for row in table.rows() {
            assert!(row.doc().len() > 10 && row.doc().ends_with('.'), "{}", row.name);
        }
    }
}

#[test]
fn every_synonym_is_a_broker_key_that_gives_the_same_default() {
    for table in [topic_table(), group_table()] {
        for row in table.rows().filter(|row| !row.synonyms.is_empty()) {
            for name in row.synonyms {
                assert!(broker_table().row(name).is_some(), "{name}");
            }
            let none = naru_model::config::Layers::none();
            let inherited = none.inherited(row, &BTreeMap::new());
            assert_eq!(inherited.as_deref(), row.default_text(), "{}", row.name);
        }
    }
}
