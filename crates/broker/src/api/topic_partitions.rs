//! DescribeTopicPartitions (key 75, v0). KIP-966.
//!
//! Metadata in pages: topics by name, at most `max.request.partition.size.limit` partitions an
//! answer, and a cursor to go on from.

use std::collections::BTreeSet;

use naru_controller::image::TopicImage;
use naru_controller::topic_name::{self, is_internal};
use naru_model::ErrorCode;
use naru_protocol::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use naru_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};

use super::metadata::Availability;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = context.node.image();
    let asked: BTreeSet<String> = request.topics.into_iter().map(|topic| topic.name).collect();
    if let Some(cursor) = &request.cursor
        && !is_possible(cursor.partition_index, &cursor.topic_name, &asked)
    {
        return all_refused(asked);
    }
    let fetches_all = asked.is_empty();
    let mut hidden: BTreeSet<String> = BTreeSet::new();
    let names: BTreeSet<String> = if fetches_all {
        let seen = |name: &&str| context.may_see(Operation::Describe, Resource::Topic(name));
        image.topics().map(|topic| &*topic.name).filter(seen).map(str::to_owned).collect()
    } else {
        let (seen, unseen) = asked
            .into_iter()
            .partition(|name| context.may(Operation::Describe, Resource::Topic(name)));
        hidden = unseen;
        seen
    };
    let node_limit = context.node.config().fetch.max_request_partition_size_limit;
    let limit = request.response_partition_limit.min(node_limit).max(1);
    let mut left = usize::try_from(limit).unwrap_or(1);
    let (from_topic, from_partition) = match request.cursor {
        Some(cursor) => (cursor.topic_name, cursor.partition_index),
        None => (String::new(), 0),
    };
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| *name >= from_topic) {
        let first = if name == from_topic { from_partition.max(0) } else { 0 };
        let Some(topic) = image.topic(&name) else {
            response.topics.push(unknown(context, name));
            continue;
        };
        if left == 0 {
            response.next_cursor = Some(Cursor { topic_name: name, partition_index: first });
            break;
        }
        let described = one_topic(context, topic, first, left);
        left -= described.partitions.len();
        let next = first + i32::try_from(described.partitions.len()).unwrap_or(0);
        let is_whole = topic.partitions.get(&next).is_none();
        response.topics.push(described);
        if !is_whole {
            response.next_cursor = Some(Cursor { topic_name: name, partition_index: next });
            break;
        }
    }
    response.topics.extend(hidden.into_iter().map(|name| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::TopicAuthorizationFailed.code(),
        name: Some(name),
        ..Default::default()
    }));
    response
}

/// Whether a page can begin there: at a partition of the first topic that is still asked for.
fn is_possible(partition: i32, topic: &str, asked: &BTreeSet<String>) -> bool {
    let first = asked.iter().find(|name| name.as_str() >= topic);
    partition >= 0 && (asked.is_empty() || first.is_some_and(|name| name == topic))
}

fn all_refused(asked: BTreeSet<String>) -> DescribeTopicPartitionsResponse {
    let refused = |name| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(name),
        ..Default::default()
    };
    DescribeTopicPartitionsResponse {
        topics: asked.into_iter().map(refused).collect(),
        ..Default::default()
    }
}

fn unknown(context: &RequestContext, name: String) -> DescribeTopicPartitionsResponseTopic {
    let error = if topic_name::validate(&name).is_err() {
        ErrorCode::InvalidTopicException
    } else {
        ErrorCode::UnknownTopicOrPartition
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        is_internal: is_internal(&name),
        // Kafka counts what this client might do with a topic that is not there.
        topic_authorized_operations: context.operations(Resource::Topic(&name)),
        name: Some(name),
        ..Default::default()
    }
}

fn one_topic(
    context: &RequestContext,
    topic: &TopicImage,
    first: i32,
    limit: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let image = context.node.image();
    let partitions = topic.partitions.iter_from(&first).take(limit).map(|(&index, partition)| {
        let availability = Availability::of(&image, partition);
        DescribeTopicPartitionsResponsePartition {
            error_code: availability.error.code(),
            partition_index: index,
            leader_id: availability.leader_id,
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.isr.clone(),
            eligible_leader_replicas: Some(partition.elr.clone()),
            last_known_elr: Some(partition.last_known_elr.clone()),
            offline_replicas: availability.offline_replicas,
        }
    });
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: partitions.collect(),
        topic_authorized_operations: context.operations(Resource::Topic(&topic.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_at_the_first_topic_left() {
        let asked = BTreeSet::from(["a".to_owned(), "c".to_owned()]);
        assert!(is_possible(0, "a", &asked) && is_possible(99, "c", &asked));
        assert!(!is_possible(-1, "a", &asked));
        assert!(!is_possible(0, "b", &asked) && !is_possible(0, "d", &asked));
        assert!(is_possible(0, "b", &BTreeSet::new()));
    }
}
