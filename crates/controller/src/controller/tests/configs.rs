//! Texts and codes are those a real Apache Kafka 4.3.1 broker answered to the same requests.

use naru_model::ErrorCode;
use naru_protocol::messages::alter_configs_request as legacy;
use naru_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::*;
use crate::image::{ConfigResource, ResourceType};

const TOPIC: i8 = ResourceType::Topic.id();
const BROKER: i8 = ResourceType::Broker.id();
const GROUP: i8 = ResourceType::Group.id();
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Change<'a> = (&'a str, i8, Option<&'a str>);

fn cluster() -> Cluster {
    let mut cluster = Cluster::with_brokers(&[1]);
    cluster.create(&request(vec![topic("m1", 1, 1)]));
    cluster
}

fn ask(kind: i8, name: &str, changes: &[Change<'_>]) -> IncrementalAlterConfigsRequest {
    let configs = changes.iter().map(|(name, op, value)| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *op,
        value: value.map(str::to_owned),
    });
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configs: configs.collect(),
    };
    IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false }
}

fn change(
    cluster: &mut Cluster,
    kind: i8,
    name: &str,
    changes: &[Change<'_>],
) -> (ErrorCode, String) {
    let request = ask(kind, name, changes);
    let decision = cluster.controller.decide_incremental_alter_configs(&request);
    let [answer] = decision.response.responses.try_into().unwrap();
    if answer.error_code != 0 {
        assert_eq!(decision.records, []);
    }
    cluster.commit(decision.records);
    (ErrorCode::from_code(answer.error_code), answer.error_message.unwrap_or_default())
}

fn value(cluster: &Cluster, resource: &ConfigResource, name: &str) -> Option<String> {
    cluster.controller.image().config_value(resource, name).map(str::to_owned)
}

#[test]
fn keys_are_set_deleted_appended_and_subtracted() {
    let mut cluster = cluster();
    let done = (ErrorCode::None, String::new());
    let m1 = ConfigResource::topic("m1");
    assert_eq!(change(&mut cluster, TOPIC, "m1", &[("retention.ms", SET, Some("1000"))]), done);
    assert_eq!(value(&cluster, &m1, "retention.ms").as_deref(), Some("1000"));
    let append = [("cleanup.policy", APPEND, Some("compact"))];
    assert_eq!(change(&mut cluster, TOPIC, "m1", &append), done);
    assert_eq!(value(&cluster, &m1, "cleanup.policy").as_deref(), Some("delete,compact"));
    let subtract = [("cleanup.policy", SUBTRACT, Some("delete"))];
    assert_eq!(change(&mut cluster, TOPIC, "m1", &subtract), done);
    assert_eq!(value(&cluster, &m1, "cleanup.policy").as_deref(), Some("compact"));
    let delete = [("retention.ms", DELETE, None), ("retention.bytes", DELETE, None)];
    assert_eq!(change(&mut cluster, TOPIC, "m1", &delete), done);
    assert_eq!(value(&cluster, &m1, "retention.ms"), None);
}

#[test]
fn topic_changes_are_refused_in_kafkas_words() {
    let mut cluster = cluster();
    let mut check = |name: &str, changes: &[Change<'_>], code, text: &str| {
        assert_eq!(change(&mut cluster, TOPIC, name, changes), (code, text.to_owned()));
    };
    let set = [("retention.ms", SET, Some("1000"))];
    let unknown = "The topic 'nope' does not exist.";
    check("nope", &set, ErrorCode::UnknownTopicOrPartition, unknown);
    check("", &set, ErrorCode::InvalidRequest, "Default topic resources are not allowed.");
    let illegal = "Topic name is invalid: 'a/b' contains one or more characters other than ASCII \
                   alphanumerics, '.', '_' and '-'";
    check("a/b", &set, ErrorCode::InvalidTopicException, illegal);
    let bad = ErrorCode::InvalidConfig;
    check("m1", &[("nope", SET, Some("1"))], bad, "Unknown topic config name: nope");
    let value = "Invalid value -2 for configuration retention.ms: Value must be at least -1";
    check("m1", &[("retention.ms", SET, Some("-2"))], bad, value);
    let list = "Can't APPEND to key retention.ms because its type is not LIST.";
    check("m1", &[("retention.ms", APPEND, Some("3"))], bad, list);
    let null = "Null value not supported for : retention.ms";
    check("m1", &[("retention.ms", SET, None)], ErrorCode::InvalidRequest, null);
    let twice = [("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))];
    check("m1", &twice, ErrorCode::InvalidRequest, "Error due to duplicate config keys");
}

#[test]
fn broker_changes_are_refused_in_kafkas_words() {
    let mut cluster = cluster();
    let mut check = |name: &str, changes: &[Change<'_>], code, text: &str| {
        assert_eq!(change(&mut cluster, BROKER, name, changes), (code, text.to_owned()));
    };
    let invalid = ErrorCode::InvalidRequest;
    let fixed = "Cannot update these configs dynamically: [broker.id]";
    check("1", &[("broker.id", SET, Some("2"))], invalid, fixed);
    let threads = "Invalid value x for configuration log.cleaner.threads: Not a number of type INT";
    check("1", &[("log.cleaner.threads", SET, Some("x"))], invalid, threads);
    check("1", &[("log.cleaner.threads", SET, Some("2"))], ErrorCode::None, "");
    check("", &[("log.cleaner.threads", SET, Some("2"))], ErrorCode::None, "");
    let number = "Unable to parse broker name as a base 10 number.";
    check("x", &[("log.cleaner.threads", SET, Some("2"))], invalid, number);
    let other = "No node with id 2 found.";
    check("2", &[("log.cleaner.threads", SET, Some("2"))], ErrorCode::BrokerIdNotRegistered, other);
    let own = "Broker-level min.insync.replicas cannot be altered while ELR is enabled.";
    check("1", &[("min.insync.replicas", SET, Some("2"))], ErrorCode::InvalidConfig, own);
    let all = "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.";
    check("", &[("min.insync.replicas", DELETE, None)], ErrorCode::InvalidConfig, all);
    check("", &[("min.insync.replicas", SET, Some("2"))], ErrorCode::None, "");
}

#[test]
fn a_group_is_configured_without_existing() {
    let mut cluster = cluster();
    let set = [("consumer.session.timeout.ms", SET, Some("50000"))];
    assert_eq!(change(&mut cluster, GROUP, "g", &set).0, ErrorCode::None);
    let unknown = [("nope", SET, Some("1"))];
    let text = "Unknown group config name: nope".to_owned();
    assert_eq!(change(&mut cluster, GROUP, "g", &unknown), (ErrorCode::InvalidConfig, text));
    let text = "Default group resources are not allowed.".to_owned();
    assert_eq!(change(&mut cluster, GROUP, "", &set), (ErrorCode::InvalidRequest, text));
}

#[test]
fn a_resource_of_another_kind_or_named_twice_is_refused() {
    let mut cluster = cluster();
    assert_eq!(change(&mut cluster, 99, "x", &[]).0, ErrorCode::InvalidRequest);
    let mut twice = ask(TOPIC, "m1", &[("retention.ms", SET, Some("1"))]);
    twice.resources.extend(twice.resources.clone());
    let decision = cluster.controller.decide_incremental_alter_configs(&twice);
    assert_eq!(decision.records, []);
    let [answer] = decision.response.responses.try_into().unwrap();
    assert_eq!(answer.error_message.as_deref(), Some("Each resource must appear at most once."));
}

#[test]
fn the_legacy_request_replaces_everything() {
    let mut cluster = cluster();
    change(&mut cluster, TOPIC, "m1", &[("retention.ms", SET, Some("1000"))]);
    let config =
        legacy::AlterableConfig { name: "retention.bytes".to_owned(), value: Some("7".to_owned()) };
    let resource = legacy::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "m1".to_owned(),
        configs: vec![config],
    };
    let request = legacy::AlterConfigsRequest { resources: vec![resource], validate_only: false };
    let decision = cluster.controller.decide_alter_configs(&request);
    assert_eq!(decision.response.responses[0].error_code, 0);
    cluster.commit(decision.records);
    let config = cluster.controller.image().config(&ConfigResource::topic("m1"));
    assert_eq!(*config, Props::from([("retention.bytes".to_owned(), "7".to_owned())]));
}

#[test]
fn an_unchanged_value_is_written_for_brokers_only() {
    let mut cluster = cluster();
    let set_twice = |cluster: &mut Cluster, kind, name, key| {
        change(cluster, kind, name, &[(key, SET, Some("5"))]);
        let again = ask(kind, name, &[(key, SET, Some("5"))]);
        cluster.controller.decide_incremental_alter_configs(&again).records.len()
    };
    assert_eq!(set_twice(&mut cluster, TOPIC, "m1", "retention.ms"), 0);
    assert_eq!(set_twice(&mut cluster, BROKER, "1", "log.cleaner.threads"), 1);
}

#[test]
fn an_overlong_value_is_refused() {
    let mut cluster = cluster();
    let long = "1".repeat(40_000);
    let text = "The configuration value cannot be added because it exceeds the maximum value size \
                of 32767 bytes."
        .to_owned();
    let set = [("retention.ms", SET, Some(long.as_str()))];
    assert_eq!(change(&mut cluster, TOPIC, "m1", &set), (ErrorCode::InvalidConfig, text));
}
