//! DeleteRecords (key 21, v0–v2). KIP-107, 204.
//!
//! Moves the log start forward; -1 means up to the high watermark. The new start is on the disk
//! before it is answered. Topics that are compacted and not deleted from are refused.

use naru_controller::topic_name::is_internal;
use naru_model::{ErrorCode, Offset};
use naru_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest,
};
use naru_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use super::lookup;
use crate::dispatch::RequestContext;

/// "Up to the high watermark."
const HIGH_WATERMARK: i64 = -1;
/// What is told when nothing was done.
const NO_LOW_WATERMARK: i64 = -1;

pub(crate) async fn handle(
    context: RequestContext,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut changed = false;
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let (error, low_watermark) = match delete(&context, &topic.name, asked) {
                Ok(log_start) => (ErrorCode::None, log_start.0),
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
    DeleteRecordsResponse { topics, ..Default::default() }
}

fn delete(
    context: &RequestContext,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> Result<Offset, ErrorCode> {
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
    let mut log = partition.log();
    let log = log.as_mut().ok_or(ErrorCode::NotLeaderOrFollower)?;
    log.advance_log_start(to).map_err(|error| {
        tracing::error!(partition = %partition.name(), "{error}");
        ErrorCode::KafkaStorageError
    })
}
