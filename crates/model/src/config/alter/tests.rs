//! Changes and refusals; the texts are what a real 4.3.1 broker answered.

use super::*;
use crate::ErrorCode;

fn props(pairs: &[(&str, &str)]) -> Props {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn change(name: &str, op: ConfigOp, value: &str) -> ConfigChange {
    ConfigChange { name: name.to_owned(), op, value: Some(value.to_owned()) }
}

fn after(current: &[(&str, &str)], name: &str, op: ConfigOp, value: &str) -> String {
    match alter(AlterTarget::Topic, &props(current), &[change(name, op, value)]) {
        Ok(props) => props.get(name).cloned().unwrap_or_else(|| "(unset)".to_owned()),
        Err(error) => format!("{}: {error}", error.code().name()),
    }
}

#[test]
fn keys_are_set_and_unset() {
    assert_eq!(after(&[], "retention.ms", ConfigOp::Set, "5"), "5");
    assert_eq!(after(&[("retention.ms", "5")], "retention.ms", ConfigOp::Delete, ""), "(unset)");
    assert_eq!(after(&[], "nosuch", ConfigOp::Delete, ""), "(unset)");
}

#[test]
fn lists_grow_and_shrink_from_what_is_set_or_else_from_the_default() {
    let key = "cleanup.policy";
    assert_eq!(after(&[], key, ConfigOp::Append, "compact"), "delete,compact");
    assert_eq!(
        after(&[(key, "compact")], key, ConfigOp::Append, "delete,compact"),
        "compact,delete"
    );
    assert_eq!(after(&[(key, "delete,delete")], key, ConfigOp::Append, "delete"), "delete,delete");
    assert_eq!(after(&[(key, "compact,delete")], key, ConfigOp::Subtract, "compact,x"), "delete");
    assert_eq!(after(&[], key, ConfigOp::Subtract, "delete"), "");
}

#[test]
fn what_is_no_list_cannot_grow() {
    for name in ["retention.ms", "nosuch"] {
        let want =
            format!("INVALID_CONFIG: Can't APPEND to key {name} because its type is not LIST.");
        assert_eq!(after(&[], name, ConfigOp::Append, "5"), want);
    }
    let broker = alter(AlterTarget::Broker, &Props::new(), &[change("foo", ConfigOp::Append, "x")]);
    assert_eq!(broker.map_err(|e| e.to_string()), Err("Unknown config name: foo".to_owned()));
}

#[test]
fn a_request_names_each_key_once_and_gives_values() {
    let twice =
        [change("retention.ms", ConfigOp::Set, "1"), change("retention.ms", ConfigOp::Set, "2")];
    let error = alter(AlterTarget::Topic, &Props::new(), &twice).expect_err("refused");
    assert_eq!(error.to_string(), "Error due to duplicate config keys");
    assert_eq!(error.code(), ErrorCode::InvalidRequest);
    let null = ConfigChange { name: "retention.ms".into(), op: ConfigOp::Set, value: None };
    let error = alter(AlterTarget::Topic, &Props::new(), &[null]).expect_err("refused");
    assert_eq!(error.to_string(), "Null value not supported for : retention.ms");
    assert_eq!(error.code(), ErrorCode::InvalidRequest);
}

#[test]
fn brokers_refuse_what_only_a_restart_or_one_broker_can_change() {
    let judge =
        |pairs: &[(&str, &str)], per_broker| match validate_broker(&props(pairs), per_broker) {
            Ok(()) => "OK".to_owned(),
            Err(error) => format!("{}: {error}", error.broker_code().name()),
        };
    for per_broker in [true, false] {
        for (key, value, want) in [
            ("nosuch", "1", "OK"),
            ("node.id", "3", "INVALID_REQUEST: Cannot update these configs dynamically: [node.id]"),
            (
                "log.retention.hours",
                "3",
                "INVALID_REQUEST: Cannot update these configs dynamically: [log.retention.hours]",
            ),
            (
                "num.io.threads",
                "x",
                "INVALID_REQUEST: Invalid value x for configuration num.io.threads: Not a number of type INT",
            ),
            (
                "num.io.threads",
                "0",
                "INVALID_REQUEST: Invalid value 0 for configuration num.io.threads: Value must be at least 1",
            ),
            ("log.cleanup.policy", "delete,delete", "OK"),
            (
                "log.cleanup.policy",
                "delete,,compact",
                "INVALID_REQUEST: Configuration 'log.cleanup.policy' values must not be empty.",
            ),
            (
                "ssl.keystore.location",
                "/x",
                "INVALID_REQUEST: These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]",
            ),
            ("listener.name.foo.max.connections", "5", "OK"),
        ] {
            assert_eq!(judge(&[(key, value)], per_broker), want, "{key}={value}");
        }
    }
    for (key, value) in [("listeners", "PLAINTEXT://:5"), ("listener.name.foo.num.io.threads", "5")]
    {
        assert_eq!(judge(&[(key, value)], true), "OK");
        let want = format!(
            "INVALID_REQUEST: Cannot update these configs at default cluster level, broker id must be specified: [{key}]"
        );
        assert_eq!(judge(&[(key, value)], false), want);
    }
}

#[test]
fn groups_stay_within_the_brokers_bounds() {
    let judge =
        |key: &str, value: &str| match validate_group(&props(&[(key, value)]), &Layers::none()) {
            Ok(()) => "OK".to_owned(),
            Err(error) => error.to_string(),
        };
    for (key, value, want) in [
        ("nosuch", "1", "Unknown group config name: nosuch"),
        ("consumer.session.timeout.ms", "50000", "OK"),
        (
            "consumer.session.timeout.ms",
            "1",
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
        (
            "consumer.heartbeat.interval.ms",
            "50000",
            "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms",
        ),
        (
            "share.delivery.count.limit",
            "1",
            "Invalid value 1 for configuration share.delivery.count.limit: Value must be at least 2",
        ),
        (
            "share.record.lock.duration.ms",
            "1000",
            "share.record.lock.duration.ms must be greater than or equal to group.share.min.record.lock.duration.ms",
        ),
        (
            "streams.num.standby.replicas",
            "100",
            "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
        ),
        ("streams.num.standby.replicas", "2", "OK"),
    ] {
        assert_eq!(judge(key, value), want, "{key}={value}");
    }
}
