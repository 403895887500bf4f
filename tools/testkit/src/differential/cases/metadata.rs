//! Metadata, DescribeTopicPartitions, DescribeCluster.

use naru_model::Uuid;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_topic_partitions_request::{
    Cursor, DescribeTopicPartitionsRequest, TopicRequest,
};
use naru_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};

use crate::differential::session::Session;

const LONG_AGO: Uuid = Uuid(0x1234_5678_9abc_4ef0_8234_5678_9abc_def0);

fn topics(names: &[&str]) -> MetadataRequest {
    let topic =
        |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), topic_id: Uuid::ZERO };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

fn ids(ids: &[Uuid]) -> MetadataRequest {
    let topic = |id: &Uuid| MetadataRequestTopic { name: None, topic_id: *id };
    MetadataRequest { topics: Some(ids.iter().map(topic).collect()), ..topics(&[]) }
}

pub fn run(s: &mut Session) {
    let id = s.topic("meta", 3, &[]);
    let other = s.topic("meta2", 1, &[]);
    for version in 0..=13 {
        s.ask("a topic", version, &topics(&["meta"]));
        s.ask("none or all", version, &topics(&[]));
        s.ask("bad names", version, &topics(&["a b", ".."]));
        if version >= 4 {
            s.ask("no such topic", version, &topics(&["nowhere-at-all"]));
        }
        if version > 0 {
            s.ask("all", version, &MetadataRequest { topics: None, ..topics(&[]) });
        }
    }
    for version in 8..=10 {
        let operations = MetadataRequest {
            include_cluster_authorized_operations: true,
            include_topic_authorized_operations: true,
            ..topics(&["meta", "nowhere-at-all"])
        };
        s.ask("operations", version, &operations);
    }
    s.ask("twice the same", 12, &topics(&["meta", "meta", "meta2"]));
    s.ask("a name of 249 letters", 12, &topics(&[&"n".repeat(249)]));
    s.ask("a name of 250 letters", 12, &topics(&[&"n".repeat(250)]));
    s.ask("an empty name", 12, &topics(&[""]));
    s.ask("internal", 12, &topics(&["__consumer_offsets"]));
    for version in 10..=13 {
        s.ask("by id", version, &ids(&[id]));
        s.ask("by ids, one unknown", version, &ids(&[other, LONG_AGO]));
        s.ask("by no id", version, &ids(&[Uuid::ZERO]));
    }
    let both = MetadataRequestTopic { name: Some("meta".to_owned()), topic_id: other };
    let mixed = MetadataRequest { topics: Some(vec![both]), ..topics(&[]) };
    s.ask("id and name", 12, &mixed);
    auto_create(s);
    partitions(s);
}

fn auto_create(s: &mut Session) {
    let wanted =
        |names: &[&str]| MetadataRequest { allow_auto_topic_creation: true, ..topics(names) };
    for version in [0, 4, 9, 13] {
        let name = format!("auto-{version}");
        s.ask("made by asking", version, &wanted(&[&name]));
        s.until_ready(&name, 1);
        s.ask("made by asking, again", version, &wanted(&[&name]));
    }
    s.ask("bad names are not made", 9, &wanted(&["not a name", "."]));
    s.ask("names that collide", 9, &wanted(&["auto.9", "auto_9"]));
    s.settle();
    s.ask("names that collide, again", 9, &topics(&["auto.9", "auto_9"]));
    s.ask("an internal one", 9, &wanted(&["__transaction_state2"]));
}

fn partitions(s: &mut Session) {
    let of = |names: &[&str], limit: i32, cursor: Option<(&str, i32)>| {
        let topic = |name: &&str| TopicRequest { name: (*name).to_owned() };
        let cursor = cursor.map(|(topic, partition)| Cursor {
            topic_name: topic.to_owned(),
            partition_index: partition,
        });
        DescribeTopicPartitionsRequest {
            topics: names.iter().map(topic).collect(),
            response_partition_limit: limit,
            cursor,
        }
    };
    s.ask("a topic", 0, &of(&["meta"], 2000, None));
    s.ask("two topics, one unknown", 0, &of(&["meta2", "nowhere", "meta"], 2000, None));
    s.ask("a page", 0, &of(&["meta", "meta2"], 2, None));
    s.ask("the next page", 0, &of(&["meta", "meta2"], 2, Some(("meta", 2))));
    s.ask("from a later topic", 0, &of(&["meta", "meta2"], 9, Some(("meta2", 0))));
    s.ask("a cursor behind the end", 0, &of(&["meta"], 9, Some(("meta", 99))));
    s.ask("a negative cursor", 0, &of(&["meta"], 9, Some(("meta", -1))));
    s.ask("a cursor at no topic", 0, &of(&["meta"], 9, Some(("mesa", 0))));
    s.ask("no room", 0, &of(&["meta"], 0, None));
    s.ask("a bad name", 0, &of(&["a b"], 9, None));
    s.ask("an empty name", 0, &of(&[""], 9, None));
}

pub fn cluster(s: &mut Session) {
    for version in 0..=2 {
        let mut request = DescribeClusterRequest::default();
        s.ask("plain", version, &request);
        request.include_cluster_authorized_operations = true;
        s.ask("with operations", version, &request);
    }
    for version in 1..=2 {
        for endpoint_type in [2, 0, 99] {
            let request =
                DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() };
            s.ask(&format!("endpoint type {endpoint_type}"), version, &request);
        }
    }
    let request = DescribeClusterRequest { include_fenced_brokers: true, ..Default::default() };
    s.ask("fenced brokers too", 2, &request);
}
