//! Metadata, DescribeTopicPartitions, CreateTopics, CreatePartitions, DeleteTopics.

use naru_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use naru_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use naru_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use naru_protocol::messages::describe_topic_partitions_request::{
    Cursor, DescribeTopicPartitionsRequest, TopicRequest,
};
use naru_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};

use super::pair::Pair;

/// The first version that deletes topics by id.
const DELETE_BY_ID_SINCE: i16 = 6;

pub(super) fn compare(pair: &mut Pair<'_>) {
    metadata(pair);
    topic_partitions(pair);
    create(pair);
    create_partitions(pair);
    delete(pair);
}

fn metadata(pair: &mut Pair<'_>) {
    // Auto-creation differs in time by nature, so it is off wherever a version can say so, and
    // before that only topics that exist, or cannot, are asked for.
    let of = |names: &[&str]| MetadataRequest {
        topics: Some(
            names
                .iter()
                .map(|name| MetadataRequestTopic {
                    name: Some((*name).to_owned()),
                    ..Default::default()
                })
                .collect(),
        ),
        allow_auto_topic_creation: false,
        include_cluster_authorized_operations: true,
        include_topic_authorized_operations: true,
    };
    pair.good("a topic", |_, _| of(&["diff"]));
    pair.good("two topics", |_, _| of(&["diff-compact", "diff"]));
    pair.good("all topics", |_, version| MetadataRequest {
        topics: if version == 0 { Some(Vec::new()) } else { None },
        ..of(&[])
    });
    pair.good("no topics", |_, version| if version == 0 { of(&["diff"]) } else { of(&[]) });
    pair.bad("a name that cannot be", |_, _| of(&["a/b"]));
    pair.bad("an empty name", |_, _| of(&[""]));
    pair.bad("an unknown topic", |_, version| of(&[if version < 4 { "a/c" } else { "diff-none" }]));
    pair.bad("an unknown id", |side, version| {
        let mut request = of(&["a/b"]);
        if version >= 12 {
            request.topics =
                Some(vec![MetadataRequestTopic { topic_id: side.id("diff-none"), name: None }]);
        }
        request
    });
}

fn topic_partitions(pair: &mut Pair<'_>) {
    let of = |name: &str, limit: i32| DescribeTopicPartitionsRequest {
        topics: vec![TopicRequest { name: name.to_owned() }],
        response_partition_limit: limit,
        cursor: None,
    };
    pair.good("a topic", |_, _| of("diff", 2000));
    pair.good("a first page", |_, _| of("diff", 1));
    pair.good("a next page", |_, _| DescribeTopicPartitionsRequest {
        cursor: Some(Cursor { topic_name: "diff".to_owned(), partition_index: 1 }),
        ..of("diff", 1)
    });
    pair.bad("an unknown topic", |_, _| of("diff-none", 2000));
    pair.bad("a name that cannot be", |_, _| of("a/b", 2000));
}

fn new_topic(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    }
}

fn creating(topic: CreatableTopic) -> CreateTopicsRequest {
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false }
}

fn config(name: &str, value: &str) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.to_owned(), value: Some(value.to_owned()) }
}

fn create(pair: &mut Pair<'_>) {
    pair.good("a topic", |_, v| creating(new_topic(&format!("diff-new-{v}"))));
    pair.good("a topic with configurations", |_, v| {
        let configs = vec![config("retention.ms", "1000"), config("cleanup.policy", "compact")];
        creating(CreatableTopic { configs, ..new_topic(&format!("diff-config-{v}")) })
    });
    pair.good("a topic with the broker's defaults", |_, v| {
        // Before version 4 partitions and replicas had to be said.
        let numbers = if v < 4 { (1, 1) } else { (-1, -1) };
        creating(CreatableTopic {
            num_partitions: numbers.0,
            replication_factor: numbers.1,
            ..new_topic(&format!("diff-default-{v}"))
        })
    });
    pair.good("a topic with its replicas named", |_, v| {
        let assignments =
            vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1] }];
        creating(CreatableTopic {
            num_partitions: -1,
            replication_factor: -1,
            assignments,
            ..new_topic(&format!("diff-assigned-{v}"))
        })
    });
    pair.good("a name to collide with", |_, v| CreateTopicsRequest {
        validate_only: v > 2,
        ..creating(new_topic("diff.a.b"))
    });
    pair.good("only validated", |_, v| CreateTopicsRequest {
        validate_only: true,
        ..creating(new_topic(&format!("diff-validated-{v}")))
    });
    pair.bad("a topic that exists", |_, _| creating(new_topic("diff")));
    pair.bad("a name that cannot be", |_, _| creating(new_topic("a b")));
    pair.bad("a name that collides", |_, _| creating(new_topic("diff.a_b")));
    pair.bad("no partitions", |_, _| {
        creating(CreatableTopic { num_partitions: 0, ..new_topic("diff-bad") })
    });
    pair.bad("more replicas than brokers", |_, _| {
        creating(CreatableTopic { replication_factor: 9, ..new_topic("diff-bad") })
    });
    pair.bad("an unknown configuration", |_, _| {
        creating(CreatableTopic { configs: vec![config("no.such", "1")], ..new_topic("diff-bad") })
    });
    pair.bad("a bad value", |_, _| {
        let configs = vec![config("retention.ms", "abc")];
        creating(CreatableTopic { configs, ..new_topic("diff-bad") })
    });
    pair.bad("an unknown broker", |_, _| {
        let assignments =
            vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![99] }];
        creating(CreatableTopic {
            num_partitions: -1,
            replication_factor: -1,
            assignments,
            ..new_topic("diff-bad")
        })
    });
    pair.bad("a topic twice in a request", |_, _| CreateTopicsRequest {
        topics: vec![new_topic("diff-twice"), new_topic("diff-twice")],
        ..creating(new_topic("diff-twice"))
    });
}

fn create_partitions(pair: &mut Pair<'_>) {
    let to = |name: &str, count: i32| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic { name: name.to_owned(), count, assignments: None }],
        timeout_ms: 10_000,
        validate_only: false,
    };
    // CreateTopics made one topic for each of its versions, 2 to 7.
    pair.good("more partitions", |_, v| to(&format!("diff-new-{}", v + 2), 4));
    pair.good("only validated", |_, _| CreatePartitionsRequest {
        validate_only: true,
        ..to("diff-new-7", 3)
    });
    pair.bad("fewer partitions", |_, _| to("diff", 1));
    pair.bad("as many partitions", |_, _| to("diff", 2));
    pair.bad("an unknown topic", |_, _| to("diff-none", 3));
}

fn delete(pair: &mut Pair<'_>) {
    let of = |name: &str| DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some(name.to_owned()), ..Default::default() }],
        topic_names: vec![name.to_owned()],
        timeout_ms: 10_000,
    };
    pair.good("a topic", |_, v| of(&format!("diff-config-{}", v + 1)));
    pair.bad("an unknown topic", |_, _| of("diff-none"));
    pair.bad("an unknown id", |side, v| {
        let mut request = of("diff-none");
        if v >= DELETE_BY_ID_SINCE {
            request.topics = vec![DeleteTopicState { name: None, topic_id: side.id("diff-none") }];
        }
        request
    });
}
