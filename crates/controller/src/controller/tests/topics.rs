//! Texts and codes are those a real Apache Kafka 4.3.1 broker answered to the same requests.

use naru_model::ErrorCode;
use naru_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use naru_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use naru_quotas::MutationQuota;

use super::*;

/// The one result's code and text.
fn refused(cluster: &mut Cluster, topic: CreatableTopic) -> (ErrorCode, String) {
    let before = cluster.controller.image().clone();
    let [result] = cluster.create(&request(vec![topic])).try_into().unwrap();
    assert_eq!(*cluster.controller.image(), before);
    (ErrorCode::from_code(result.error_code), result.error_message.unwrap_or_default())
}

#[test]
fn a_topic_is_created_with_its_partitions_on_the_broker() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let [result] = cluster.create(&request(vec![topic("orders", 3, 1)])).try_into().unwrap();
    assert_eq!((result.error_code, result.num_partitions, result.replication_factor), (0, 3, 1));
    let image = cluster.controller.publish().image;
    let created = image.topic("orders").unwrap();
    assert_eq!(created.id, result.topic_id);
    assert_eq!(created.partitions.len(), 3);
    let partition = image.partition("orders", 2).unwrap();
    assert_eq!((partition.leader, partition.leader_epoch), (Some(1), 0));
    assert_eq!(
        (partition.isr.as_slice(), partition.directories.as_slice()),
        (&[1][..], &[brokers::directory(1)][..])
    );
    let configs = result.configs.unwrap();
    let retention = configs.iter().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("604800000"), 5));
}

#[test]
fn counts_are_refused_in_kafkas_words() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let mut check = |topic, code, text: &str| {
        assert_eq!(refused(&mut cluster, topic), (code, text.to_owned()));
    };
    let factor = "Replication factor must be larger than 0, or -1 to use the default value.";
    check(topic("t", 1, 0), ErrorCode::InvalidReplicationFactor, factor);
    check(topic("t", 0, -2), ErrorCode::InvalidReplicationFactor, factor);
    let count = "Number of partitions was set to an invalid non-positive value.";
    check(topic("t", 0, 1), ErrorCode::InvalidPartitions, count);
    check(topic("t", -2, 1), ErrorCode::InvalidPartitions, count);
    check(
        topic("t", 1, 2),
        ErrorCode::InvalidReplicationFactor,
        "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot \
         be reached because only 1 broker(s) are registered or some brokers have all their log \
         directories cordoned.",
    );
    let many = "Excessively large number of partitions per request.";
    check(topic("t", i32::MAX, 1), ErrorCode::PolicyViolation, many);
    check(topic("t", 10_001, 1), ErrorCode::PolicyViolation, many);
    let records = "Unable to perform excessively large batch operation.";
    check(topic("t", 10_000, 1), ErrorCode::PolicyViolation, records);
}

#[test]
fn too_many_partitions_refuse_the_whole_request() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let results = cluster.create(&request(vec![topic("a", 6000, 3), topic("b", 6000, 1)]));
    assert!(results.iter().all(|r| r.error_code == ErrorCode::PolicyViolation.code()));
    assert_eq!(cluster.controller.image().topic_count(), 0);
}

#[test]
fn topics_beyond_what_a_request_may_delete_are_refused() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let names: Vec<String> = (0..10_001).map(|at| format!("t{at}")).collect();
    for names in names.chunks(4_000) {
        let topics = names.iter().map(|name| topic(name, 1, 1)).collect();
        assert!(cluster.create(&request(topics)).iter().all(|made| made.error_code == 0));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let decide = |names: &[&str]| {
        cluster.controller.decide_delete_topics(&by_name(names), &mut MutationQuota::unlimited())
    };
    let decided = decide(&names);
    assert_eq!(decided.records.len(), 10_000);
    let many = "Unable to perform excessively large batch operation.";
    let (refused, deleted): (Vec<_>, Vec<_>) =
        decided.response.responses.iter().partition(|told| told.error_code != 0);
    assert_eq!((refused.len(), deleted.len()), (1, 10_000));
    assert_eq!(refused[0].error_code, ErrorCode::PolicyViolation.code());
    assert_eq!(refused[0].error_message.as_deref(), Some(many));
    let decided = decide(&names[1..]);
    assert!(decided.response.responses.iter().all(|told| told.error_code == 0));
}

#[test]
fn names_are_refused_in_kafkas_words() {
    let mut cluster = Cluster::with_brokers(&[1]);
    cluster.create(&request(vec![topic("a.b", 1, 1)]));
    let mut check = |name, code, text: &str| {
        assert_eq!(refused(&mut cluster, topic(name, 1, 1)), (code, text.to_owned()));
    };
    check(
        "a/b",
        ErrorCode::InvalidTopicException,
        "Topic name is invalid: 'a/b' contains one or more characters other than ASCII \
         alphanumerics, '.', '_' and '-'",
    );
    check("a.b", ErrorCode::TopicAlreadyExists, "Topic 'a.b' already exists.");
    check("a_b", ErrorCode::InvalidTopicException, "Topic 'a_b' collides with existing topic: a.b");
    check(
        "__cluster_metadata",
        ErrorCode::InvalidRequest,
        "Creation of internal topic __cluster_metadata is prohibited.",
    );
}

#[test]
fn a_deleted_name_collides_no_more() {
    let mut cluster = Cluster::with_brokers(&[1]);
    cluster.create(&request(vec![topic("a.b", 1, 1)]));
    let records = cluster
        .controller
        .decide_delete_topics(&by_name(&["a.b"]), &mut MutationQuota::unlimited())
        .records;
    cluster.commit(records);
    let [result] = cluster.create(&request(vec![topic("a_b", 1, 1)])).try_into().unwrap();
    assert_eq!(result.error_code, 0);
}

#[test]
fn a_name_twice_in_one_request_is_refused_once_and_the_others_are_made() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let results =
        cluster.create(&request(vec![topic("x", 1, 1), topic("y", 1, 1), topic("x", 2, 1)]));
    let told: Vec<_> = results.iter().map(|r| (r.name.as_str(), r.error_code)).collect();
    assert_eq!(told, [("y", 0), ("x", ErrorCode::InvalidRequest.code())]);
    assert_eq!(results[1].error_message.as_deref(), Some("Duplicate topic name."));
}

#[test]
fn assignments_are_refused_in_kafkas_words() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let mut check = |topic, code, text: &str| {
        assert_eq!(refused(&mut cluster, topic), (code, text.to_owned()));
    };
    let invalid = ErrorCode::InvalidReplicaAssignment;
    let unknown =
        "The manual partition assignment includes broker 7, but no such broker is registered.";
    check(assigned("m", &[(0, &[7])]), invalid, unknown);
    check(assigned("m", &[(0, &[1]), (1, &[1, 7])]), invalid, unknown);
    let twice = "The manual partition assignment includes the broker 1 more than once.";
    check(assigned("m", &[(0, &[1, 1])]), invalid, twice);
    let hole = "partitions should be a consecutive 0-based integer sequence";
    check(assigned("m", &[(1, &[1])]), invalid, hole);
    let none = "The manual partition assignment includes an empty replica list.";
    check(assigned("m", &[(0, &[])]), invalid, none);
    let again = "Found multiple manual partition assignments for partition 0";
    check(assigned("m", &[(0, &[1]), (0, &[1])]), invalid, again);
    let both = CreatableTopic { num_partitions: 1, ..assigned("m", &[(0, &[1])]) };
    let text = "A manual partition assignment was specified, but numPartitions was not set to -1.";
    check(both, ErrorCode::InvalidRequest, text);
}

#[test]
fn configurations_are_judged_before_the_topic_is_made() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let mut check = |config: &[(&str, Option<&str>)], text: &str| {
        let told = refused(&mut cluster, with_config("c", config));
        assert_eq!(told, (ErrorCode::InvalidConfig, text.to_owned()));
    };
    check(&[("nope", Some("1"))], "Unknown topic config name: nope");
    check(
        &[("retention.ms", Some("x"))],
        "Invalid value x for configuration retention.ms: Not a number of type LONG",
    );
    check(&[("retention.ms", None)], "Null value not supported for topic configs: retention.ms");
}

#[test]
fn validate_only_answers_and_changes_nothing() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let ask = CreateTopicsRequest { validate_only: true, ..request(vec![topic("v", 2, 1)]) };
    let [result] = cluster.create(&ask).try_into().unwrap();
    assert_eq!((result.error_code, result.num_partitions), (0, 2));
    assert_eq!(cluster.controller.image().topic_count(), 0);
}

fn more(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> CreatePartitionsRequest {
    let assignments = assignments.map(|list| {
        list.iter().map(|b| CreatePartitionsAssignment { broker_ids: b.to_vec() }).collect()
    });
    let topics = vec![CreatePartitionsTopic { name: name.to_owned(), count, assignments }];
    CreatePartitionsRequest { topics, timeout_ms: 1000, validate_only: false }
}

#[test]
fn partitions_grow_and_never_shrink() {
    let mut cluster = Cluster::with_brokers(&[1]);
    cluster.create(&request(vec![topic("m", 2, 1)]));
    let check = |request, code, text: &str| {
        let decision =
            cluster.controller.decide_create_partitions(&request, &mut MutationQuota::unlimited());
        assert_eq!(decision.records, []);
        let result = &decision.response.results[0];
        assert_eq!(ErrorCode::from_code(result.error_code), code);
        assert_eq!(result.error_message.as_deref().unwrap_or_default(), text);
    };
    let invalid = ErrorCode::InvalidPartitions;
    check(more("m", 2, None), invalid, "Topic already has 2 partition(s).");
    for count in [1, 0, -1] {
        let text =
            format!("The topic m currently has 2 partition(s); {count} would not be an increase.");
        check(more("m", count, None), invalid, &text);
    }
    check(more("nono", 3, None), ErrorCode::UnknownTopicOrPartition, "");
    let assignment = ErrorCode::InvalidReplicaAssignment;
    let few =
        "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.";
    check(more("m", 4, Some(&[&[1]])), assignment, few);
    let unknown =
        "The manual partition assignment includes broker 9, but no such broker is registered.";
    check(more("m", 3, Some(&[&[9]])), assignment, unknown);
    // Apache Kafka answers UNKNOWN_SERVER_ERROR to this one; the fault is the client's.
    let many = "Excessively large number of partitions per request.";
    check(more("m", i32::MAX, None), ErrorCode::PolicyViolation, many);

    let decision = cluster
        .controller
        .decide_create_partitions(&more("m", 5, None), &mut MutationQuota::unlimited());
    assert_eq!(decision.response.results[0].error_code, 0);
    cluster.commit(decision.records);
    let image = cluster.controller.image();
    assert!(image.topic("m").unwrap().partitions.keys().eq(&[0, 1, 2, 3, 4]));
}

fn by_name(names: &[&str]) -> DeleteTopicsRequest {
    let topic_names = names.iter().map(|name| (*name).to_owned()).collect();
    DeleteTopicsRequest { topic_names, ..DeleteTopicsRequest::default() }
}

#[test]
fn a_topic_is_deleted_with_its_configuration() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let made = cluster.create(&request(vec![with_config("d", &[("retention.ms", Some("5"))])]));
    cluster.controller.publish();
    let decision =
        cluster.controller.decide_delete_topics(&by_name(&["d"]), &mut MutationQuota::unlimited());
    assert_eq!(decision.response.responses[0].topic_id, made[0].topic_id);
    cluster.commit(decision.records);
    let published = cluster.controller.publish();
    assert!(published.image.topic("d").is_none());
    assert!(published.image.config(&crate::image::ConfigResource::topic("d")).is_empty());
    assert!(published.delta.topics_deleted.contains_key(&made[0].topic_id));
}

#[test]
fn deletions_that_say_too_much_or_too_little_are_refused() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let made = cluster.create(&request(vec![topic("d", 1, 1)]));
    let id = made[0].topic_id;
    let state =
        |name: Option<&str>, topic_id| DeleteTopicState { name: name.map(str::to_owned), topic_id };
    let told = |topics| {
        let ask = DeleteTopicsRequest { topics, ..DeleteTopicsRequest::default() };
        let decision =
            cluster.controller.decide_delete_topics(&ask, &mut MutationQuota::unlimited());
        assert_eq!(decision.records, []);
        let texts = decision.response.responses.into_iter().map(|r| r.error_message.unwrap());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(told(vec![state(None, Uuid::ZERO)]), ["Neither topic name nor id were specified."]);
    let both = "You may not specify both topic name and topic id.";
    assert_eq!(told(vec![state(Some("d"), id)]), [both]);
    assert_eq!(told(vec![state(None, id), state(None, id)]), ["Duplicate topic id."]);
    let twice = vec![state(Some("d"), Uuid::ZERO), state(Some("d"), Uuid::ZERO)];
    assert_eq!(told(twice), ["Duplicate topic name."]);
    let mapped = "The provided topic name maps to an ID that was already supplied.";
    assert_eq!(told(vec![state(None, id), state(Some("d"), Uuid::ZERO)]), [mapped]);
    assert_eq!(told(vec![state(None, Uuid(9))]), ["This server does not host this topic ID."]);
}

#[test]
fn a_delta_tells_what_changed_since_the_last_one() {
    let mut cluster = Cluster::with_brokers(&[1]);
    cluster.controller.publish();
    let made = cluster.create(&request(vec![topic("kept", 2, 1), topic("gone", 1, 1)]));
    let records = cluster
        .controller
        .decide_delete_topics(&by_name(&["gone"]), &mut MutationQuota::unlimited())
        .records;
    cluster.commit(records);
    let delta = cluster.controller.publish().delta;
    let id = made[0].topic_id;
    assert!(delta.topics_created.keys().eq([&id]));
    assert!(delta.topics_deleted.is_empty());
    assert!(delta.partitions_changed.iter().eq(&[(id, 0), (id, 1)]));
    assert!(cluster.controller.publish().delta.is_empty());
}

#[test]
fn a_published_image_does_not_change() {
    let mut cluster = Cluster::with_brokers(&[1]);
    cluster.create(&request(vec![topic("t", 1, 1)]));
    let before = cluster.controller.publish().image;
    let records = cluster
        .controller
        .decide_delete_topics(&by_name(&["t"]), &mut MutationQuota::unlimited())
        .records;
    cluster.commit(records);
    assert!(before.topic("t").is_some());
    assert!(cluster.controller.image().topic("t").is_none());
}
