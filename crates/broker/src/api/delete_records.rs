//! DeleteRecords (key 21, v0–v2). KIP-107, 204.
//!
//! Moves the log start forward; -1 means up to the high watermark. The new start is on the disk
//! before it is answered, and the replicas that are there have deleted the records, too. Topics that are compacted and not deleted from are refused.

use std::sync::Arc;

use naru_controller::topic_name::is_internal;
use naru_model::{ErrorCode, Offset};
use naru_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest,
};
use naru_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::lookup;
use crate::dispatch::RequestContext;
use crate::node::millis;
use crate::partition::Partition;
use crate::security::{Operation, Resource};

/// "Up to the high watermark."
const HIGH_WATERMARK: i64 = -1;
/// What is told when nothing was done.
const NO_LOW_WATERMARK: i64 = -1;

pub(crate) async fn handle(
    context: RequestContext,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let timeout = millis(request.timeout_ms);
    let deadline = Instant::now() + timeout;
    let mut changed = false;
    let mut waits = Vec::new();
    for (topic_index, topic) in request.topics.into_iter().enumerate() {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (index, asked) in topic.partitions.iter().enumerate() {
            let (error, low_watermark) = match delete(&context, &topic.name, asked) {
                Ok((partition, log_start)) => {
                    waits.push((topic_index, index, partition, log_start));
                    (ErrorCode::None, log_start.0)
                }
                Err(error) => (error, NO_LOW_WATERMARK),
            };
            changed |= error == ErrorCode::None;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark,
                error_code: error.code(),
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    if changed && let Err(error) = context.node.checkpoint_log_starts().await {
        tracing::error!("log start offsets could not be written: {error}");
        for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.error_code = ErrorCode::KafkaStorageError.code();
        }
    }
    for (topic, index, partition, log_start) in waits {
        let answer = &mut topics[topic].partitions[index];
        if answer.error_code == ErrorCode::None.code() {
            match wait_for_followers(&partition, log_start, deadline).await {
                Ok(low_watermark) => answer.low_watermark = low_watermark.0,
                Err(error) => answer.error_code = error.code(),
            }
        }
    }
    DeleteRecordsResponse { topics, ..Default::default() }
}

/// Waits until no replica that is there has the deleted records any more; the low watermark.
async fn wait_for_followers(
    partition: &Arc<Partition>,
    log_start: Offset,
    deadline: Instant,
) -> Result<Offset, ErrorCode> {
    let news = Arc::new(Notify::new());
    loop {
        // Parked first, looked second: what happens in between wakes this.
        partition.park_consumer(&news);
        partition.check_online()?;
        partition.check_leads()?;
        let low_watermark = partition.low_watermark();
        if low_watermark >= log_start {
            return Ok(low_watermark);
        }
        if timeout_at(deadline, news.notified()).await.is_err() {
            return Err(ErrorCode::RequestTimedOut);
        }
    }
}

fn delete(
    context: &RequestContext,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> Result<(Arc<Partition>, Offset), ErrorCode> {
    if !context.may(Operation::Delete, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let partition = lookup::by_name(&context.node, topic, asked.partition_index)?;
    partition.check_online()?;
    partition.check_leads()?;
    if is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let settings = partition.settings();
    if settings.log.compact && !settings.log.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let high_watermark = partition.high_watermark();
    let to = if asked.offset == HIGH_WATERMARK { high_watermark } else { Offset(asked.offset) };
    if to.0 < 0 || to > high_watermark {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let log_start = partition.delete_records_before(to)?;
    Ok((partition, log_start))
}
