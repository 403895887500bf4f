//! Produce (key 0, v3–v13). KIP-98, 467, 516, 890, 951.
//!
//! acks=0 no response · acks=1 after the local append · acks=-1 when the high watermark passes
//! the batch. v5 log start offset · v8 record errors · v9 flexible · v10 leader hints · v13 topic
//! ids. Which transactional batches are taken is `verified`'s to say.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use naru_controller::topic_name::is_internal;
use naru_log::Verification;
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use naru_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    ProduceResponse, TopicProduceResponse,
};
use naru_protocol::{EXPLAINED_MAX, Records};
use naru_quotas::Kind;
use naru_records::{BatchHeader, Compression};
use tokio::sync::oneshot;

use super::lookup;
use super::produce_texts::Asked;
use super::verified::{Begun, Place, Transactional, Verdicts};
use crate::dispatch::{RequestContext, decode};
use crate::fetch_session::TopicKey;
use crate::listener::{Answer, Outgoing, Refusal};
use crate::node::millis;
use crate::partition::{Appended, Partition, Refused, Stored};
use crate::security::{Operation, Resource};

/// First version that may bring zstd (KIP-110).
const ZSTD_SINCE: i16 = 7;
/// First version with room for texts (KIP-467).
const TEXTS_SINCE: i16 = 8;
/// First version that names topics by id.
const TOPIC_IDS_SINCE: i16 = 13;
/// First version that is told where the leader is (KIP-951).
const LEADERS_SINCE: i16 = 10;

pub(crate) fn handle(context: RequestContext, body: &Bytes) -> Answer {
    let request: ProduceRequest = match decode(&context, body) {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let size = body.len();
    let transactional = match Transactional::find(&context, &request) {
        Ok(Some(transactional)) => transactional,
        Ok(None) => return append_and_answer(context, request, Verdicts::new(), size),
        Err(error) => {
            let refused = all_places(&request).map(|place| (place, Err(error.into()))).collect();
            return append_and_answer(context, request, refused, size);
        }
    };
    if !context.connection.is_verifying()
        && let Begun::Known(verdicts) = transactional.begin(&context, &request)
    {
        return append_and_answer(context, request, verdicts, size);
    }
    // What comes behind it on this connection must not be appended before it.
    let turn = context.connection.begin_verifying();
    Answer::Later(Box::pin(async move {
        let verdicts = transactional.verify(&context, &request).await;
        let answer = append_and_answer(context, request, verdicts, size);
        drop(turn);
        match answer {
            Answer::Later(stored) => stored.await,
            known => known,
        }
    }))
}

/// Every partition that the request names.
fn all_places(request: &ProduceRequest) -> impl Iterator<Item = Place> {
    request
        .topic_data
        .iter()
        .enumerate()
        .flat_map(|(topic_at, topic)| (0..topic.partition_data.len()).map(move |at| (topic_at, at)))
}

fn append_and_answer(
    context: RequestContext,
    request: ProduceRequest,
    verdicts: Verdicts,
    size: usize,
) -> Answer {
    let acks = request.acks;
    let timeout = millis(request.timeout_ms);
    let (mut response, waits) = append_all(&context, request, verdicts);
    #[expect(clippy::cast_precision_loss, reason = "a size")]
    let throttle_ms = context.node.quotas().record(Kind::Produce, context.who(), size as f64);
    if acks == 0 {
        return without_answer(&response, throttle_ms);
    }
    let asked = Asked { acks, timeout };
    if waits.is_empty() {
        name_leaders(&context, &mut response);
        explain(&context, &mut response, asked);
        return Answer::Send(context.finish(response, throttle_ms));
    }
    Answer::Later(Box::pin(async move {
        let deadline = tokio::time::Instant::now() + timeout;
        for wait in waits {
            let stored = tokio::time::timeout_at(deadline, wait.stored).await;
            let error = match stored {
                Ok(Ok(Ok(()))) => continue,
                Ok(Ok(Err(error))) => error,
                // The partition was dropped with its waiters.
                Ok(Err(_)) => ErrorCode::NotLeaderOrFollower,
                Err(_) => ErrorCode::RequestTimedOut,
            };
            let slot = &mut response.responses[wait.topic].partition_responses[wait.partition];
            *slot = failed(slot.index, error, None);
        }
        name_leaders(&context, &mut response);
        explain(&context, &mut response, asked);
        Answer::Send(context.finish(response, throttle_ms))
    }))
}

/// Tells where the leaders are of partitions that this broker does not lead.
fn name_leaders(context: &RequestContext, response: &mut ProduceResponse) {
    if context.version < LEADERS_SINCE {
        return;
    }
    let mut ids = Vec::new();
    for topic in &mut response.responses {
        for data in &mut topic.partition_responses {
            if data.error_code == 0
                || !lookup::is_wrong_leader(ErrorCode::from_code(data.error_code))
            {
                continue;
            }
            let key = if context.version >= TOPIC_IDS_SINCE {
                TopicKey::Id(topic.topic_id)
            } else {
                TopicKey::Name(topic.name.clone())
            };
            let (leader_id, leader_epoch) = lookup::current_leader(&context.node, &key, data.index);
            data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
            ids.push(leader_id);
        }
    }
    if !ids.is_empty() {
        let addresses = lookup::addresses(context, ids.into_iter()).into_iter();
        response.node_endpoints = addresses
            .map(|at| NodeEndpoint { node_id: at.id, host: at.host, port: at.port, rack: at.rack })
            .collect();
    }
}

/// Says what is wrong wherever nothing has been said yet, of as many errors as answers explain.
fn explain(context: &RequestContext, response: &mut ProduceResponse, asked: Asked) {
    if context.version < TEXTS_SINCE {
        return;
    }
    let mut left = EXPLAINED_MAX;
    for topic in &mut response.responses {
        let is_error = |one: &&mut PartitionProduceResponse| one.error_code != 0;
        for data in topic.partition_responses.iter_mut().filter(is_error).take(left) {
            left -= 1;
            if data.error_message.is_some() {
                continue;
            }
            let name = match topic.name.as_str() {
                "" => topic.topic_id.to_string(),
                name => name.to_owned(),
            };
            let place = format!("{name}-{}", data.index);
            let broker = context.node.id();
            let text = asked.why(ErrorCode::from_code(data.error_code), &place, broker);
            data.error_message = Some(text);
        }
    }
}

/// A partition of the answer that is not stored as promised yet.
struct Wait {
    topic: usize,
    partition: usize,
    stored: oneshot::Receiver<Stored>,
}

fn append_all(
    context: &RequestContext,
    request: ProduceRequest,
    mut verdicts: Verdicts,
) -> (ProduceResponse, Vec<Wait>) {
    let mut waits = Vec::new();
    let mut response = ProduceResponse {
        responses: Vec::with_capacity(request.topic_data.len()),
        ..Default::default()
    };
    let by_id = context.version >= TOPIC_IDS_SINCE;
    let named = request.topic_data.into_iter().enumerate();
    let named = named.filter(|(_, topic)| !topic.partition_data.is_empty());
    for (topic_index, (topic_at, topic)) in named.enumerate() {
        let mut answers = Vec::with_capacity(topic.partition_data.len());
        let may = !context.is_judged() || may_write(context, &topic, by_id);
        for (partition_index, data) in topic.partition_data.iter().enumerate() {
            let verdict = verdicts.remove(&(topic_at, partition_index));
            let answer = match verdict.unwrap_or(Ok(Verification::NotNeeded)) {
                Err(refusal) => refused(data.index, refusal),
                Ok(_) if !may => failed(data.index, ErrorCode::TopicAuthorizationFailed, None),
                Ok(_) if !(-1..=1).contains(&request.acks) => {
                    failed(data.index, ErrorCode::InvalidRequiredAcks, None)
                }
                Ok(verified) => {
                    let how = (request.acks, verified);
                    let (answer, stored) = append(context, &topic, by_id, data, how);
                    let (topic, partition) = (topic_index, partition_index);
                    waits.extend(stored.map(|stored| Wait { topic, partition, stored }));
                    answer
                }
            };
            answers.push(answer);
        }
        response.responses.push(TopicProduceResponse {
            topic_id: if by_id { topic.topic_id } else { Uuid::ZERO },
            name: topic.name,
            partition_responses: answers,
        });
    }
    (response, waits)
}

/// Whether the sender may write to a topic; one that is not there by its id has no name to ask
/// for, and is refused for that.
pub(super) fn may_write(context: &RequestContext, topic: &TopicProduceData, by_id: bool) -> bool {
    let may = |name: &str| context.may(Operation::Write, Resource::Topic(name));
    if by_id {
        context.node.image().topic_by_id(topic.topic_id).is_none_or(|topic| may(&topic.name))
    } else {
        may(&topic.name)
    }
}

fn append(
    context: &RequestContext,
    topic: &TopicProduceData,
    by_id: bool,
    data: &PartitionProduceData,
    (acks, verification): (i16, Verification),
) -> (PartitionProduceResponse, Option<oneshot::Receiver<Stored>>) {
    let node = &context.node;
    let found = if by_id {
        lookup::by_id(node, topic.topic_id, data.index)
    } else {
        lookup::by_name(node, &topic.name, data.index)
    };
    let partition = match found {
        Ok(partition) => partition,
        Err(error) => return (failed(data.index, error, None), None),
    };
    if is_internal(partition.topic()) {
        return (failed(data.index, ErrorCode::InvalidTopicException, None), None);
    }
    let metrics = partition.metrics();
    metrics.total_produce_requests.add(1);
    let records = match &data.records {
        Records::Inline(bytes) => bytes.clone(),
        Records::Null | Records::External { .. } => Bytes::new(),
    };
    if context.version < ZSTD_SINCE && is_zstd(&records) {
        return (failed(data.index, ErrorCode::UnsupportedCompressionType, None), None);
    }
    match partition.append_produced(&records, acks == -1, verification, context.node.now()) {
        Ok(appended) => {
            let stored = if acks == -1 { partition.park_until_stored(&appended) } else { None };
            (accepted(data.index, &appended), stored)
        }
        Err(refusal) => {
            metrics.failed_produce_requests.add(1);
            metrics.bytes_rejected.add(records.len() as u64);
            let refusal = partition.explain(refusal, context.node.now());
            log_refusal(&partition, &refusal);
            let knows_start = is_one_batch(&records) && tells_log_start(refusal.error);
            let mut answer = refused(data.index, refusal);
            if knows_start {
                answer.log_start_offset = partition.log_start().0;
            }
            (answer, None)
        }
    }
}

/// Whether the first batch says that it is compressed with zstd.
fn is_zstd(records: &Bytes) -> bool {
    BatchHeader::parse(records)
        .is_ok_and(|header| header.compression().is_ok_and(|codec| codec == Compression::Zstd))
}

/// Whether the records are one whole batch, as far as their header says.
fn is_one_batch(records: &Bytes) -> bool {
    BatchHeader::parse(records).is_ok_and(|header| header.size() == records.len())
}

/// Refusals that concern the records tell where the log starts, others do not; so does Kafka.
fn tells_log_start(error: ErrorCode) -> bool {
    !matches!(
        error,
        ErrorCode::CorruptMessage
            | ErrorCode::MessageTooLarge
            | ErrorCode::RecordListTooLarge
            | ErrorCode::KafkaStorageError
            | ErrorCode::NotLeaderOrFollower
    )
}

fn log_refusal(partition: &Arc<Partition>, refusal: &Refused) {
    // A full disk refuses every request of every client: once in a while is enough.
    if refusal.error == ErrorCode::KafkaStorageError
        && let Some(left_out) = partition.metrics().storage_failures.note(Instant::now())
    {
        let message = refusal.message.as_deref().unwrap_or_default();
        tracing::error!(partition = %partition.name(), left_out, "append failed: {message}");
    }
}

fn accepted(index: i32, appended: &Appended) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time,
        log_start_offset: appended.log_start,
        ..Default::default()
    }
}

fn failed(index: i32, error: ErrorCode, message: Option<String>) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: error.code(),
        base_offset: -1,
        error_message: message,
        ..Default::default()
    }
}

fn refused(index: i32, refusal: Refused) -> PartitionProduceResponse {
    let record_errors = refusal.records.into_iter().map(|(batch_index, message)| {
        BatchIndexAndErrorMessage { batch_index, batch_index_error_message: Some(message) }
    });
    PartitionProduceResponse {
        record_errors: record_errors.collect(),
        ..failed(index, refusal.error, refusal.message)
    }
}

/// acks=0: a failure cannot be told, so the connection closes and the client looks again.
fn without_answer(response: &ProduceResponse, throttle_ms: u32) -> Answer {
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    if partitions.any(|partition| partition.error_code != 0) {
        Answer::Close(Refusal::UnacknowledgedFailure)
    } else if throttle_ms > 0 {
        Answer::Send(Outgoing::pause(throttle_ms))
    } else {
        Answer::Nothing
    }
}

#[cfg(test)]
mod tests {
    use naru_model::Timestamp;
    use naru_records::{BatchBuilder, BatchOptions};

    use super::*;

    fn batch(compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new();
        builder.append_plain(Timestamp(1), None, Some(b"v"));
        builder.build(&BatchOptions { compression, ..BatchOptions::default() }).unwrap().into()
    }

    #[test]
    fn zstd_is_seen_in_the_header() {
        assert!(is_zstd(&batch(Compression::Zstd)));
        assert!(!is_zstd(&batch(Compression::Gzip)) && !is_zstd(&Bytes::new()));
    }

    #[test]
    fn the_log_start_is_told_for_one_whole_batch_alone() {
        let one = batch(Compression::None);
        let two: Bytes = [&one[..], &one[..]].concat().into();
        assert!(is_one_batch(&one));
        assert!(!is_one_batch(&two) && !is_one_batch(&one.slice(..40)));
        assert!(tells_log_start(ErrorCode::InvalidRecord));
        assert!(!tells_log_start(ErrorCode::CorruptMessage));
    }
}
