//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use naru_protocol::messages::alter_configs_request::{self as alter, AlterConfigsRequest};
use naru_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use naru_protocol::messages::incremental_alter_configs_request::{
    self as incremental, IncrementalAlterConfigsRequest,
};

use crate::differential::session::Session;

pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;

pub const SET: i8 = 0;
pub const DELETE: i8 = 1;
pub const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub fn describe_one(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let keys = keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configuration_keys: keys,
    };
    DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        include_documentation: false,
    }
}

pub fn describe(s: &mut Session) {
    s.topic("described", 1, &[("retention.ms", "777000"), ("cleanup.policy", "compact")]);
    for version in 1..=4 {
        s.ask("a topic", version, &describe_one(TOPIC, "described", None));
        s.ask("a broker", version, &describe_one(BROKER, "1", None));
        s.ask("all brokers", version, &describe_one(BROKER, "", None));
        let keys: &[&str] = &["retention.ms", "no.such.thing", "segment.bytes"];
        s.ask("some keys", version, &describe_one(TOPIC, "described", Some(keys)));
        s.ask("no such topic", version, &describe_one(TOPIC, "nowhere", None));
        let short = DescribeConfigsRequest {
            include_synonyms: false,
            ..describe_one(TOPIC, "described", None)
        };
        s.ask("without synonyms", version, &short);
    }
    s.ask("no keys", 4, &describe_one(TOPIC, "described", Some(&[])));
    s.ask("a bad topic name", 4, &describe_one(TOPIC, "a b", None));
    s.ask("an empty topic name", 4, &describe_one(TOPIC, "", None));
    s.ask("another broker", 4, &describe_one(BROKER, "9", None));
    s.ask("a broker that is no number", 4, &describe_one(BROKER, "one", None));
    s.ask("an unknown kind", 4, &describe_one(99, "x", None));
    s.ask("the kind zero", 4, &describe_one(0, "x", None));
    s.ask("the internal topic", 4, &describe_one(TOPIC, "__consumer_offsets", None));
    let mut twice = describe_one(TOPIC, "described", Some(&["retention.ms"]));
    twice.resources.extend(twice.resources.clone());
    s.ask("a resource twice", 4, &twice);
    let documented = DescribeConfigsRequest {
        include_documentation: true,
        ..describe_one(TOPIC, "described", Some(&["cleanup.policy"]))
    };
    s.ask("with documentation", 4, &documented);
}

type Setting<'a> = (&'a str, Option<&'a str>);

fn alter_one(kind: i8, name: &str, configs: &[Setting<'_>]) -> AlterConfigsRequest {
    let configs = configs.iter().map(|(name, value)| alter::AlterableConfig {
        name: (*name).to_owned(),
        value: value.map(str::to_owned),
    });
    let resource = alter::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configs: configs.collect(),
    };
    AlterConfigsRequest { resources: vec![resource], validate_only: false }
}

pub fn alter(s: &mut Session) {
    s.topic("altered", 1, &[("retention.ms", "777000")]);
    let shown = describe_one(TOPIC, "altered", None);
    for version in 0..=2 {
        let value = format!("{}000", version + 500);
        let good = alter_one(TOPIC, "altered", &[("max.message.bytes", Some(&value))]);
        s.ask("good", version, &good);
        s.settle();
        s.ask("what it did", 4, &shown);
        let bad = alter_one(TOPIC, "altered", &[("max.message.bytes", Some("lots"))]);
        s.ask("no number", version, &bad);
        s.ask("an unknown topic", version, &alter_one(TOPIC, "nowhere", &[]));
    }
    let cases: &[(&str, i8, &str, &[Setting<'_>])] = &[
        ("an unknown key", TOPIC, "altered", &[("no.such.thing", Some("1"))]),
        ("no value", TOPIC, "altered", &[("retention.ms", None)]),
        (
            "a key twice",
            TOPIC,
            "altered",
            &[("retention.ms", Some("1")), ("retention.ms", Some("2"))],
        ),
        ("a bad name", TOPIC, "a b", &[("retention.ms", Some("1"))]),
        ("no name", TOPIC, "", &[("retention.ms", Some("1"))]),
        ("an unknown kind", 99, "x", &[("retention.ms", Some("1"))]),
        ("a broker that is no number", BROKER, "one", &[("log.retention.ms", Some("1"))]),
        ("another broker", BROKER, "9", &[("log.cleaner.threads", Some("1"))]),
        ("all removed", TOPIC, "altered", &[]),
    ];
    for (label, kind, name, configs) in cases {
        s.ask(label, 2, &alter_one(*kind, name, configs));
    }
    s.settle();
    s.ask("what is left", 4, &shown);
    let checked = AlterConfigsRequest {
        validate_only: true,
        ..alter_one(TOPIC, "altered", &[("retention.ms", Some("99000"))])
    };
    s.ask("validate only", 2, &checked);
    s.settle();
    s.ask("nothing was done", 4, &shown);
}

pub type Change<'a> = (&'a str, i8, Option<&'a str>);

pub fn change(kind: i8, name: &str, configs: &[Change<'_>]) -> IncrementalAlterConfigsRequest {
    let configs = configs.iter().map(|(name, operation, value)| incremental::AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *operation,
        value: value.map(str::to_owned),
    });
    let resource = incremental::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configs: configs.collect(),
    };
    IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false }
}

/// Label, kind, name, changes.
type Case<'a> = (&'a str, i8, &'a str, &'a [Change<'a>]);

const INCREMENTAL: &[Case<'_>] = &[
    ("nothing", TOPIC, "changed", &[]),
    ("an unknown topic", TOPIC, "nowhere", &[("retention.ms", SET, Some("1"))]),
    ("an unknown key", TOPIC, "changed", &[("no.such.thing", SET, Some("1"))]),
    ("an unknown key removed", TOPIC, "changed", &[("no.such.thing", DELETE, None)]),
    ("an unset key removed", TOPIC, "changed", &[("segment.ms", DELETE, None)]),
    ("no value", TOPIC, "changed", &[("retention.ms", SET, None)]),
    ("append to a number", TOPIC, "changed", &[("retention.ms", APPEND, Some("1"))]),
    ("subtract from a number", TOPIC, "changed", &[("retention.ms", SUBTRACT, Some("1"))]),
    ("append what is there", TOPIC, "changed", &[("cleanup.policy", APPEND, Some("compact"))]),
    ("append a wrong word", TOPIC, "changed", &[("cleanup.policy", APPEND, Some("shred"))]),
    (
        "subtract what is not there",
        TOPIC,
        "changed",
        &[("cleanup.policy", SUBTRACT, Some("delete"))],
    ),
    ("an unknown operation", TOPIC, "changed", &[("retention.ms", 9, Some("1"))]),
    (
        "a key twice",
        TOPIC,
        "changed",
        &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))],
    ),
    (
        "one bad of two",
        TOPIC,
        "changed",
        &[("retention.ms", SET, Some("1")), ("segment.ms", SET, Some("x"))],
    ),
    ("a bad topic name", TOPIC, "a b", &[("retention.ms", SET, Some("1"))]),
    ("no topic name", TOPIC, "", &[("retention.ms", SET, Some("1"))]),
    ("an unknown kind", 99, "x", &[("retention.ms", SET, Some("1"))]),
    ("the kind zero", 0, "x", &[("retention.ms", SET, Some("1"))]),
    ("a broker that is no number", BROKER, "one", &[("log.retention.ms", SET, Some("1"))]),
    ("another broker", BROKER, "9", &[("log.retention.ms", SET, Some("60000000"))]),
    ("a read-only key", BROKER, "1", &[("log.dirs", SET, Some("/x"))]),
    ("a read-only key of all", BROKER, "", &[("node.id", SET, Some("3"))]),
    (
        "a key for one broker only, of all",
        BROKER,
        "",
        &[("listeners", SET, Some("PLAINTEXT://:1"))],
    ),
    ("a bad broker value", BROKER, "1", &[("log.retention.ms", SET, Some("x"))]),
    ("an unknown broker key", BROKER, "1", &[("no.such.thing", SET, Some("x"))]),
    ("a broker key", BROKER, "1", &[("log.retention.ms", SET, Some("60000000"))]),
    (
        "a key of all brokers",
        BROKER,
        "",
        &[("log.retention.ms", SET, Some("70000000")), ("message.max.bytes", SET, Some("900000"))],
    ),
];

pub fn incremental(s: &mut Session) {
    s.topic("changed", 1, &[("retention.ms", "777000")]);
    let shown = describe_one(TOPIC, "changed", None);
    for version in 0..=1 {
        let good = change(
            TOPIC,
            "changed",
            &[("max.message.bytes", SET, Some("500000")), ("cleanup.policy", SET, Some("delete"))],
        );
        s.ask("set", version, &good);
        s.ask(
            "append",
            version,
            &change(TOPIC, "changed", &[("cleanup.policy", APPEND, Some("compact"))]),
        );
        s.settle();
        s.ask("what it did", 4, &shown);
        s.ask(
            "subtract",
            version,
            &change(TOPIC, "changed", &[("cleanup.policy", SUBTRACT, Some("delete"))]),
        );
        s.ask("delete", version, &change(TOPIC, "changed", &[("max.message.bytes", DELETE, None)]));
        s.settle();
        s.ask("what is left", 4, &shown);
        s.ask("no number", version, &change(TOPIC, "changed", &[("retention.ms", SET, Some("x"))]));
    }
    for (label, kind, name, configs) in INCREMENTAL {
        s.ask(label, 1, &change(*kind, name, configs));
    }
    s.settle();
    let keys: &[&str] = &["log.retention.ms", "message.max.bytes", "no.such.thing"];
    s.ask("the broker after it", 4, &describe_one(BROKER, "1", Some(keys)));
    s.ask("all brokers after it", 4, &describe_one(BROKER, "", None));
    s.ask("the topic after it", 4, &shown);
    let mut twice = change(TOPIC, "changed", &[("retention.ms", SET, Some("5"))]);
    twice.resources.extend(twice.resources.clone());
    s.ask("a resource twice", 1, &twice);
    let checked = IncrementalAlterConfigsRequest {
        validate_only: true,
        ..change(TOPIC, "changed", &[("retention.ms", SET, Some("99000"))])
    };
    s.ask("validate only", 1, &checked);
    let removed: &[Change<'_>] =
        &[("log.retention.ms", DELETE, None), ("message.max.bytes", DELETE, None)];
    s.ask("a broker key removed", 1, &change(BROKER, "1", removed));
    s.ask("a key of all brokers removed", 1, &change(BROKER, "", removed));
    s.sleep(1000);
    s.ask("the broker at the end", 4, &describe_one(BROKER, "1", Some(keys)));
    s.ask("the topic at the end", 4, &shown);
}
