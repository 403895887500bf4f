//! ListOffsets (key 2, v1–v11). KIP-79, 98, 320, 405, 734, 1005, 1023, 1105.
//!
//! v2 isolation level: the latest offset of committed records is the last stable one.
//! Timestamps: -1 latest · -2 earliest · -3 greatest timestamp (v7) · -4 earliest local (v8)
//! · -5 latest tiered (v9) · -6 earliest pending upload (v11); otherwise the first record at or
//! after the time. Nothing is tiered, so earliest local is earliest and tiered offsets are -1.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use naru_model::ErrorCode;
use naru_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use naru_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};

use super::lookup;
use crate::dispatch::RequestContext;
use crate::partition::{Looked, Partition};
use crate::security::{Operation, Resource};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// How long an answer waits for syncs at most.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// `isolation.level=read_committed`.
const READ_COMMITTED: i8 = 1;

/// Whose offsets are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Replica,
    Uncommitted,
    /// Reads up to the last stable offset.
    Committed,
}

fn reader_of(request: &ListOffsetsRequest) -> Reader {
    match (request.replica_id, request.isolation_level) {
        (0.., _) => Reader::Replica,
        (_, READ_COMMITTED) => Reader::Committed,
        _ => Reader::Uncommitted,
    }
}

/// What is answered when there is no such offset.
const NOTHING: Looked = Looked { offset: -1, timestamp: -1, epoch: -1 };

pub(crate) async fn handle(
    context: RequestContext,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    settle(&context, &request).await;
    answer_all(&context, &request)
}

/// Lets syncs that are under way finish, so that a producer which did not wait for the disk
/// (acks=1) finds what it has just written.
async fn settle(context: &RequestContext, request: &ListOffsetsRequest) {
    let deadline = tokio::time::Instant::now() + SETTLE_MAX;
    for topic in &request.topics {
        for asked in &topic.partitions {
            let partition = context.node.partitions().by_name(&topic.name, asked.partition_index);
            if let Some(stored) =
                partition.ok().and_then(|partition| partition.park_until_settled())
            {
                // Late or failed: the answer is then what is stored by now.
                let _ = tokio::time::timeout_at(deadline, stored).await;
            }
        }
    }
}

fn answer_all(context: &RequestContext, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let mut times_named: HashMap<(&str, i32), u32> = HashMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *times_named.entry((&topic.name, partition.partition_index)).or_default() += 1;
        }
    }
    // What is named twice is refused once.
    let mut refused = HashSet::new();
    let mut response = ListOffsetsResponse::default();
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let named = (topic.name.as_str(), partition.partition_index);
            let twice = times_named.get(&named).is_some_and(|times| *times > 1);
            if !twice || refused.insert(named) {
                partitions.push(answer(context, reader_of(request), &topic.name, partition, twice));
            }
        }
        let name = topic.name.clone();
        response.topics.push(ListOffsetsTopicResponse { name, partitions });
    }
    response
}

fn answer(
    context: &RequestContext,
    reader: Reader,
    topic: &str,
    asked: &ListOffsetsPartition,
    twice: bool,
) -> ListOffsetsPartitionResponse {
    let found = if !context.may(Operation::Describe, Resource::Topic(topic)) {
        Err(ErrorCode::TopicAuthorizationFailed)
    } else if twice {
        Err(ErrorCode::InvalidRequest)
    } else {
        lookup::by_name(&context.node, topic, asked.partition_index)
            .and_then(|partition| look_up(context.version, reader, &partition, asked))
    };
    let (error, looked) = match found {
        Ok(looked) => (ErrorCode::None, looked),
        Err(error) => (error, NOTHING),
    };
    ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        error_code: error.code(),
        timestamp: looked.timestamp,
        offset: looked.offset,
        leader_epoch: looked.epoch,
    }
}

fn look_up(
    version: i16,
    reader: Reader,
    partition: &Partition,
    asked: &ListOffsetsPartition,
) -> Result<Looked, ErrorCode> {
    partition.check_online()?;
    partition.check_leader_epoch(asked.current_leader_epoch)?;
    partition.check_leads()?;
    // A leader may not know yet how far its predecessor had committed (KIP-207).
    let is_sure = reader == Reader::Replica
        || partition.role().is_sole
        || partition.epoch_start().is_none_or(|start| start <= partition.high_watermark());
    let unsure =
        if version >= 5 { ErrorCode::OffsetNotAvailable } else { ErrorCode::LeaderNotAvailable };
    let storage = |error| ErrorCode::from(&error);
    // What this reader could fetch ends here.
    let end = match reader {
        Reader::Replica => partition.log_end(),
        Reader::Uncommitted => partition.high_watermark(),
        Reader::Committed => partition.last_stable(),
    };
    let end = end.0;
    let below = |found: Option<Looked>| match found.filter(|found| found.offset < end) {
        Some(found) => Ok(found),
        None if !is_sure => Err(unsure),
        None => Ok(NOTHING),
    };
    match asked.timestamp {
        LATEST if !is_sure => Err(unsure),
        LATEST => Ok(Looked { offset: end, timestamp: -1, epoch: partition.leader_epoch().0 }),
        EARLIEST => Ok(earliest(partition)),
        EARLIEST_LOCAL if version >= 8 => Ok(earliest(partition)),
        MAX_TIMESTAMP if version >= 7 => below(partition.max_timestamp().map_err(storage)?),
        LATEST_TIERED if version >= 9 => Ok(NOTHING),
        EARLIEST_PENDING_UPLOAD if version >= 11 => Ok(NOTHING),
        MAX_TIMESTAMP | EARLIEST_LOCAL | LATEST_TIERED | EARLIEST_PENDING_UPLOAD => {
            Err(ErrorCode::UnsupportedVersion)
        }
        time if time < EARLIEST_PENDING_UPLOAD => Err(ErrorCode::UnsupportedVersion),
        time => below(partition.offset_at_time(time).map_err(storage)?),
    }
}

fn earliest(partition: &Partition) -> Looked {
    let start = partition.log_start();
    // In an empty log that is where the leader's epoch begins.
    let is_empty = start == partition.log_end();
    let epoch = if is_empty { partition.leader_epoch().0 } else { partition.epoch_at(start) };
    Looked { offset: start.0, timestamp: -1, epoch }
}
