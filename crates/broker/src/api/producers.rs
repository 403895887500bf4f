//! DescribeProducers (key 61, v0). KIP-664.
//!
//! What a replica remembers of the producers of a partition, among them where their transactions
//! begin: how a transaction that hangs is found.

use naru_log::ProducerInfo;
use naru_model::ErrorCode;
use naru_protocol::messages::describe_producers_request::DescribeProducersRequest;
use naru_protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};

use super::lookup;
use crate::dispatch::RequestContext;

/// What is told of what there is not.
const NONE: i64 = -1;

pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let indexes = topic.partition_indexes.iter();
        let partitions = indexes.map(|index| partition(context, &topic.name, *index)).collect();
        TopicResponse { name: topic.name, partitions }
    });
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
}

fn partition(context: &RequestContext, topic: &str, index: i32) -> PartitionResponse {
    let found = lookup::by_name(&context.node, topic, index);
    match found.and_then(|partition| partition.producers()) {
        Ok(producers) => PartitionResponse {
            partition_index: index,
            active_producers: producers.iter().map(state).collect(),
            ..Default::default()
        },
        Err(error) => {
            PartitionResponse { partition_index: index, error_code: error.code(), ..refused(error) }
        }
    }
}

fn refused(error: ErrorCode) -> PartitionResponse {
    let error_message = match error {
        ErrorCode::UnknownTopicOrPartition => {
            Some("This server does not host this topic-partition.".to_owned())
        }
        _ => None,
    };
    PartitionResponse { error_message, ..Default::default() }
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
