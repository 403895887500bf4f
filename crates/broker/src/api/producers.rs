//! DescribeProducers (key 61, v0). KIP-664.
//!
//! What a replica remembers of the producers of a partition, among them where their transactions
//! begin: how a transaction that hangs is found.

use naru_controller::topic_name;
use naru_log::ProducerInfo;
use naru_model::ErrorCode;
use naru_protocol::messages::describe_producers_request::DescribeProducersRequest;
use naru_protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};

use super::lookup;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

/// What is told of what there is not.
const NONE: i64 = -1;
/// What Kafka says of a topic that is not there.
const NOT_HOSTED: &str = "This server does not host this topic-partition.";

pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let trouble = trouble_with(context, &topic.name);
        let partitions = topic.partition_indexes.iter().map(|index| match &trouble {
            Some((error, message)) => PartitionResponse {
                partition_index: *index,
                error_code: error.code(),
                error_message: Some(message.clone()),
                ..Default::default()
            },
            None => partition(context, &topic.name, *index),
        });
        let partitions = partitions.collect();
        TopicResponse { name: topic.name, partitions }
    });
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
}

/// Why no partition of this topic is told of.
fn trouble_with(context: &RequestContext, topic: &str) -> Option<(ErrorCode, String)> {
    if let Err(invalid) = topic_name::validate(topic) {
        return Some((ErrorCode::InvalidTopicException, invalid.to_string()));
    }
    if !context.may(Operation::Read, Resource::Topic(topic)) {
        let error = ErrorCode::TopicAuthorizationFailed;
        return Some((error, "Topic authorization failed.".to_owned()));
    }
    let is_known = context.node.image().topic(topic).is_some();
    (!is_known).then(|| (ErrorCode::UnknownTopicOrPartition, NOT_HOSTED.to_owned()))
}

fn partition(context: &RequestContext, topic: &str, index: i32) -> PartitionResponse {
    let found = lookup::by_name(&context.node, topic, index);
    let told = PartitionResponse { partition_index: index, ..Default::default() };
    match found.and_then(|partition| partition.producers()) {
        Ok(producers) => {
            PartitionResponse { active_producers: producers.iter().map(state).collect(), ..told }
        }
        Err(error) => PartitionResponse { error_code: error.code(), ..told },
    }
}

fn state(producer: &ProducerInfo) -> ProducerState {
    ProducerState {
        producer_id: producer.id.0,
        producer_epoch: i32::from(producer.epoch),
        last_sequence: producer.last_sequence.unwrap_or(-1),
        last_timestamp: producer.last_timestamp.0,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.txn_first_offset.map_or(NONE, |offset| offset.0),
    }
}
