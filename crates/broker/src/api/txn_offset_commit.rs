//! TxnOffsetCommit (key 28, v0–v5): offsets as part of a producer's transaction. KIP-98, 447, 890.
//!
//! v2 leader epochs · v3 member and generation · v4 TRANSACTION_ABORTABLE · v5 the group's partition
//! joins the transaction by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use naru_coordinators::{Command, Identity, Reply};
use naru_log::Verification;
use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic,
};
use naru_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use tokio::time::Instant;

use super::join_answers;
use super::transactions::check_may_write;
use crate::coordination::{OFFSETS_TOPIC, partition_of_group, unexpected};
use crate::dispatch::RequestContext;
use crate::peer::verify;
use crate::security::{Operation, Resource};

/// First version that knows TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 4;
/// First version whose partition joins the transaction by itself.
const IMPLICIT_SINCE: i16 = 5;

pub(crate) async fn handle(
    context: RequestContext,
    mut request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    if let Err(error) = check_may(&context, &request) {
        let topics = request.topics.iter().map(|topic| refuse(topic, error)).collect();
        return TxnOffsetCommitResponse { topics, ..Default::default() };
    }
    let mut refused = Vec::new();
    request.topics.retain_mut(|topic| keep_known(&context, topic, &mut refused));
    let mut response = TxnOffsetCommitResponse::default();
    if !request.topics.is_empty() {
        let topics = request.topics.clone();
        response = match commit(&context, request).await {
            Ok(response) => response,
            Err(error) => TxnOffsetCommitResponse {
                topics: topics.iter().map(|topic| refuse(topic, error)).collect(),
                ..Default::default()
            },
        };
    }
    let key = |topic: &TxnOffsetCommitResponseTopic| topic.name.clone();
    join_answers(&mut response.topics, refused, key, |known, topic| {
        known.partitions.extend(topic.partitions);
    });
    response
}

fn check_may(context: &RequestContext, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
    check_may_write(context, &request.transactional_id)?;
    if context.may(Operation::Read, Resource::Group(&request.group_id)) {
        Ok(())
    } else {
        Err(ErrorCode::GroupAuthorizationFailed)
    }
}

async fn commit(
    context: &RequestContext,
    request: TxnOffsetCommitRequest,
) -> Result<TxnOffsetCommitResponse, ErrorCode> {
    let group = request.group_id.clone();
    let verification = verification(context, &request).await?;
    let command = Command::TxnOffsetCommit(request);
    let wait_max = crate::node::millis(context.node.config().offsets.commit_timeout_ms);
    let asked = context.node.coordination().ask_verified(&group, command, verification);
    let answer = tokio::time::timeout(wait_max, asked).await;
    match answer.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable)) {
        Ok(Reply::TxnOffsetCommit(response)) => Ok(response),
        other => Err(ErrorCode::from_code(unexpected(other))),
    }
}

/// The group's partition must be in the transaction, or joins it now. What the offsets have to
/// bring if the transaction begins with them there: a marker that comes before they are appended
/// makes it worthless, so that they cannot open a transaction which nobody would end.
async fn verification(
    context: &RequestContext,
    request: &TxnOffsetCommitRequest,
) -> Result<Verification, ErrorCode> {
    let node = &context.node;
    let index = partition_of_group(&node.image(), &request.group_id)
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let producer =
        Identity { id: request.producer_id.into(), epoch: request.producer_epoch.into() };
    let partition = TopicPartition::new(OFFSETS_TOPIC, index);
    let verify_only = context.version < IMPLICIT_SINCE;
    let is_needed = node.live().verifies_transactions();
    if verify_only && !is_needed {
        return Ok(Verification::NotNeeded);
    }
    let id = &request.transactional_id;
    let config = &node.config().log;
    let pause = Duration::from_millis(config.add_partitions_retry_backoff_ms);
    let retry_until =
        Instant::now() + Duration::from_millis(config.add_partitions_retry_backoff_max_ms);
    let (guard, verdict) = loop {
        let begun =
            node.coordination().begin_verification(&request.group_id, producer, !verify_only);
        let guard = match begun {
            Ok(None) => break (None, ErrorCode::None),
            Ok(guard) => guard,
            Err(ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError) => {
                return Err(ErrorCode::NotCoordinator);
            }
            Err(error) => return Err(error),
        };
        let partitions = BTreeSet::from([partition.clone()]);
        let verdict = match verify(node, id, producer, partitions, verify_only).await {
            Ok(results) => {
                results.get(&partition).copied().unwrap_or(ErrorCode::UnknownServerError)
            }
            Err(error) => error,
        };
        let is_busy = verdict == ErrorCode::ConcurrentTransactions;
        if verify_only || !is_busy || Instant::now() >= retry_until {
            break (guard, verdict);
        }
        // The last transaction's markers are on their way; a client would wait longer.
        tokio::time::sleep(pause).await;
    };
    match verdict {
        ErrorCode::None if is_needed => Ok(Verification::Needed(guard)),
        ErrorCode::None => Ok(Verification::NotNeeded),
        ErrorCode::TransactionAbortable if context.version < ABORTABLE_SINCE => {
            Err(ErrorCode::InvalidTxnState)
        }
        // The group's coordinator is here; it is the transaction's that has to be waited for.
        ErrorCode::NotCoordinator
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NetworkException
        | ErrorCode::BrokerNotAvailable => Err(ErrorCode::CoordinatorLoadInProgress),
        error => Err(error),
    }
}

/// Moves what the sender may not read and partitions that do not exist to `refused`.
fn keep_known(
    context: &RequestContext,
    topic: &mut TxnOffsetCommitRequestTopic,
    refused: &mut Vec<TxnOffsetCommitResponseTopic>,
) -> bool {
    if !context.may(Operation::Read, Resource::Topic(&topic.name)) {
        refused.push(refuse(topic, ErrorCode::TopicAuthorizationFailed));
        return false;
    }
    let image = context.node.image();
    let mut unknown = topic.clone();
    unknown.partitions.retain(|one| image.partition(&topic.name, one.partition_index).is_none());
    topic.partitions.retain(|one| image.partition(&topic.name, one.partition_index).is_some());
    if !unknown.partitions.is_empty() {
        refused.push(refuse(&unknown, ErrorCode::UnknownTopicOrPartition));
    }
    !topic.partitions.is_empty()
}

fn refuse(topic: &TxnOffsetCommitRequestTopic, error: ErrorCode) -> TxnOffsetCommitResponseTopic {
    let partitions = topic.partitions.iter().map(|one| TxnOffsetCommitResponsePartition {
        partition_index: one.partition_index,
        error_code: error.code(),
    });
    TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
}
