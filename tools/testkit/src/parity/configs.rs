//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use naru_protocol::messages::alter_configs_request as legacy;
use naru_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use naru_protocol::messages::incremental_alter_configs_request as incremental;

use super::pair::Pair;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

pub(super) fn compare(pair: &mut Pair<'_>) {
    describe(pair);
    alter(pair);
    alter_incrementally(pair);
}

fn describe(pair: &mut Pair<'_>) {
    let of = |resource_type: i8, name: &str, keys: Option<&[&str]>| DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: name.to_owned(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
        }],
        include_synonyms: true,
        include_documentation: false,
    };
    pair.good("a topic", |_, _| of(TOPIC, "diff-small", None));
    pair.good("two keys of a topic", |_, _| {
        of(TOPIC, "diff", Some(&["retention.ms", "cleanup.policy"]))
    });
    pair.good("keys of the broker", |_, _| {
        let keys =
            ["num.partitions", "node.id", "log.retention.hours", "offsets.topic.num.partitions"];
        of(BROKER, "1", Some(&keys))
    });
    pair.good("the cluster's brokers", |_, _| of(BROKER, "", None));
    pair.bad("an unknown topic", |_, _| of(TOPIC, "diff-none", None));
    pair.bad("another broker", |_, _| of(BROKER, "77", None));
    pair.bad("no broker's number", |_, _| of(BROKER, "x", None));
    pair.bad("an unknown kind", |_, _| of(77, "x", None));
}

fn alter(pair: &mut Pair<'_>) {
    let of = |name: &str, key: &str, value: &str| legacy::AlterConfigsRequest {
        resources: vec![legacy::AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: name.to_owned(),
            configs: vec![legacy::AlterableConfig {
                name: key.to_owned(),
                value: Some(value.to_owned()),
            }],
        }],
        validate_only: false,
    };
    pair.good("a topic", |_, _| of("diff-new-7", "retention.ms", "777000"));
    pair.good("only validated", |_, _| legacy::AlterConfigsRequest {
        validate_only: true,
        ..of("diff-new-7", "retention.ms", "5")
    });
    pair.bad("a bad value", |_, _| of("diff-new-7", "retention.ms", "abc"));
    pair.bad("an unknown key", |_, _| of("diff-new-7", "no.such", "1"));
    pair.bad("an unknown topic", |_, _| of("diff-none", "retention.ms", "1"));
}

fn alter_incrementally(pair: &mut Pair<'_>) {
    let of = |kind: i8, name: &str, operation: i8, key: &str, value: Option<&str>| {
        incremental::IncrementalAlterConfigsRequest {
            resources: vec![incremental::AlterConfigsResource {
                resource_type: kind,
                resource_name: name.to_owned(),
                configs: vec![incremental::AlterableConfig {
                    name: key.to_owned(),
                    config_operation: operation,
                    value: value.map(str::to_owned),
                }],
            }],
            validate_only: false,
        }
    };
    let topic = "diff-new-6";
    pair.good("set", |_, _| of(TOPIC, topic, SET, "retention.ms", Some("5000")));
    pair.good("append", |_, _| of(TOPIC, topic, APPEND, "cleanup.policy", Some("compact")));
    pair.good("delete", |_, _| of(TOPIC, topic, DELETE, "retention.ms", None));
    pair.good("set on the broker", |_, _| of(BROKER, "1", SET, "log.cleaner.threads", Some("2")));
    pair.bad("a bad value", |_, _| of(TOPIC, topic, SET, "retention.ms", Some("abc")));
    pair.bad("a null value", |_, _| of(TOPIC, topic, SET, "retention.ms", None));
    pair.bad("an unknown key", |_, _| of(TOPIC, topic, SET, "no.such", Some("1")));
    pair.bad("append to what is no list", |_, _| {
        of(TOPIC, topic, APPEND, "retention.ms", Some("1"))
    });
    pair.bad("an unknown operation", |_, _| of(TOPIC, topic, 9, "retention.ms", Some("1")));
    pair.bad("an unknown topic", |_, _| of(TOPIC, "diff-none", SET, "retention.ms", Some("1")));
    pair.bad("a read-only key of the broker", |_, _| {
        of(BROKER, "1", SET, "process.roles", Some("broker"))
    });
    pair.bad("another broker", |_, _| of(BROKER, "77", SET, "log.cleaner.threads", Some("2")));
}
