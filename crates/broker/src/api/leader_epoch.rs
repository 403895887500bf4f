//! OffsetForLeaderEpoch (key 23, v2–v4). KIP-101, 279, 320.
//!
//! Where the last epoch up to the asked one ended; a consumer compares it with its position.

use naru_model::ErrorCode;
use naru_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use naru_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use super::lookup;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

/// A consumer that knows no epoch.
const NO_EPOCH: i32 = -1;
/// Epoch and end of what is not known.
const UNKNOWN: (i32, i64) = (-1, -1);

pub(crate) fn handle(
    context: &RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let all = !context.is_judged() || context.may_see(Operation::ClusterAction, Resource::Cluster);
    let may = |topic: &str| all || context.may(Operation::Describe, Resource::Topic(topic));
    let topics = request.topics.into_iter().map(|topic| OffsetForLeaderTopicResult {
        partitions: if may(&topic.topic) {
            topic.partitions.iter().map(|p| answer(context, &topic.topic, p)).collect()
        } else {
            topic.partitions.iter().map(refused).collect()
        },
        topic: topic.topic,
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn refused(asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let (leader_epoch, end_offset) = UNKNOWN;
    EpochEndOffset {
        error_code: ErrorCode::TopicAuthorizationFailed.code(),
        partition: asked.partition,
        leader_epoch,
        end_offset,
    }
}

fn answer(
    context: &RequestContext,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> EpochEndOffset {
    let found = lookup::by_name(&context.node, topic, asked.partition).and_then(|partition| {
        partition.check_online()?;
        partition.check_leader_epoch(asked.current_leader_epoch)?;
        partition.check_leads()?;
        if asked.leader_epoch == NO_EPOCH {
            return Ok(UNKNOWN);
        }
        Ok(partition.epoch_end(asked.leader_epoch))
    });
    let (error, (leader_epoch, end_offset)) = match found {
        Ok(end) => (ErrorCode::None, end),
        Err(error) => (error, UNKNOWN),
    };
    EpochEndOffset {
        error_code: error.code(),
        partition: asked.partition,
        leader_epoch,
        end_offset,
    }
}
