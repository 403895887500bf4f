//! Values against rows; the refusals are what Apache Kafka 4.3.1 answers, word for word.

use super::super::{broker_table, group_table, topic_table};
use super::*;
use proptest::prelude::*;

fn answer(name: &str, text: &str) -> String {
    let row = [topic_table(), group_table(), broker_table()]
        .into_iter()
        .find_map(|table| table.row(name))
        .expect("the test names a known key");
    match row.check(text) {
        Ok(value) => format!("OK {}", value.to_text()),
        Err(error) => error.to_string(),
    }
}

const REPLICAS: &str = "leader.replication.throttled.replicas must be the literal '*' or a list of \
    replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...";

#[test]
fn numbers_are_answered_as_kafka_answers_them() {
    for (name, text, want) in [
        (
            "retention.ms",
            "abc",
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "retention.ms",
            "-2",
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        ("retention.ms", " 5 ", "OK 5"),
        ("retention.ms", "+5", "OK 5"),
        (
            "retention.ms",
            "",
            "Invalid value  for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "retention.ms",
            "9223372036854775808",
            "Invalid value 9223372036854775808 for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "segment.bytes",
            "1",
            "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            "segment.bytes",
            "99999999999",
            "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
        ),
        (
            "compression.gzip.level",
            "0",
            "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        ("compression.gzip.level", "-1", "OK -1"),
        (
            "compression.lz4.level",
            "18",
            "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17",
        ),
        (
            "offsets.topic.replication.factor",
            "99999",
            "Invalid value 99999 for configuration offsets.topic.replication.factor: Not a number of type SHORT",
        ),
        (
            "min.cleanable.dirty.ratio",
            "1.5",
            "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        ),
        (
            "min.cleanable.dirty.ratio",
            "x",
            "Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE",
        ),
        ("min.cleanable.dirty.ratio", "1e-1", "OK 0.1"),
        ("min.cleanable.dirty.ratio", ".5f", "OK 0.5"),
        ("log.cleaner.io.max.bytes.per.second", "1e10", "OK 1.0E10"),
    ] {
        assert_eq!(answer(name, text), want, "{name}={text}");
    }
}

#[test]
fn words_and_lists_are_answered_as_kafka_answers_them() {
    let throttled = |shown: &str| {
        format!(
            "Invalid value {shown} for configuration leader.replication.throttled.replicas: {REPLICAS}"
        )
    };
    for (name, text, want) in [
        (
            "preallocate",
            "maybe",
            "Invalid value maybe for configuration preallocate: Expected value to be either true or false",
        ),
        ("preallocate", "TRUE", "OK true"),
        (
            "compression.type",
            "GZIP",
            "Invalid value GZIP for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            "cleanup.policy",
            "foo",
            "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        ("cleanup.policy", "delete,delete", "OK delete"),
        ("cleanup.policy", "delete,", "Configuration 'cleanup.policy' values must not be empty."),
        ("cleanup.policy", "", "OK "),
        ("cleanup.policy", "compact, delete", "OK compact,delete"),
        (
            "process.roles",
            "",
            "Configuration 'process.roles' must not be empty. Valid values include: [broker, controller]",
        ),
        (
            "log.dirs",
            "",
            "Configuration 'log.dirs' must not be empty. Valid values include: any non-empty value",
        ),
        ("log.dirs", "/a,,b", "Configuration 'log.dirs' values must not be empty."),
        ("leader.replication.throttled.replicas", "0:1,1:2", "OK 0:1,1:2"),
        ("leader.replication.throttled.replicas", "*", "OK *"),
        ("leader.replication.throttled.replicas", "abc", &throttled("[abc]")),
        ("leader.replication.throttled.replicas", "*,0:1", &throttled("[*, 0:1]")),
        ("group.consumer.migration.policy", "upgrade", "OK upgrade"),
        (
            "group.consumer.migration.policy",
            "foo",
            "Invalid value foo for configuration group.consumer.migration.policy: String must be one of (case insensitive): DISABLED, DOWNGRADE, UPGRADE, BIDIRECTIONAL",
        ),
        (
            "remote.log.storage.manager.impl.prefix",
            "",
            "Invalid value  for configuration remote.log.storage.manager.impl.prefix: String must be non-empty",
        ),
        (
            "controller.quorum.voters",
            "foo",
            "Invalid configuration value for controller.quorum.voters. Each entry should be in the form `{id}@{host}:{port}`.",
        ),
        (
            "controller.quorum.voters",
            "1@h",
            "Failed to parse host name from entry 1@h for the configuration controller.quorum.voters. Each entry should be in the form `{id}@{host}:{port}`.",
        ),
        (
            "controller.quorum.bootstrap.servers",
            "foo",
            "Failed to parse host name from foo for the configuration controller.quorum.bootstrap.servers. Each entry should be in the form \"{host}:{port}\"",
        ),
        ("share.auto.offset.reset", "by_duration:P1D", "OK by_duration:P1D"),
        ("share.auto.offset.reset", "by_duration:PT1H30.5S", "OK by_duration:PT1H30.5S"),
        (
            "share.auto.offset.reset",
            "x",
            "Invalid value x for configuration share.auto.offset.reset: Invalid value `x` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
        ),
    ] {
        assert_eq!(answer(name, text), want, "{name}={text}");
    }
    for text in [
        "by_duration:",
        "by_duration:PT",
        "by_duration:PT.5S",
        "by_duration:P",
        "by_duration:-P1D",
        "by_duration:P1DT",
        "LATEST",
    ] {
        assert!(answer("share.auto.offset.reset", text).starts_with("Invalid"), "{text}");
    }
}

#[test]
fn doubles_are_printed_as_java_prints_them() {
    for (value, want) in [
        (0.5, "0.5"),
        (1.0, "1.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (9_999_999.0, "9999999.0"),
        (10_000_000.0, "1.0E7"),
        (f64::MAX, "1.7976931348623157E308"),
        (-0.0, "-0.0"),
    ] {
        assert_eq!(java_double(value), want);
    }
}

proptest! {
    #[test]
    fn any_text_against_any_row_is_a_value_or_a_refusal(text in ".{0,40}", at in 0usize..400) {
        for table in [topic_table(), group_table(), broker_table()] {
            let Some(row) = table.rows().nth(at % table.rows().len()) else { continue };
            if let Ok(value) = row.check(&text) {
                // What is shown reads back as the same value.
                let again = row.check(&value.to_text());
                prop_assert_eq!(again.map(|v| v.to_text()), Ok(value.to_text()));
            }
        }
    }
}
