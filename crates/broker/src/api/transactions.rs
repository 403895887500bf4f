//! What a producer tells the coordinator of its transaction: AddPartitionsToTxn (24, v0–v5),
//! AddOffsetsToTxn (25, v0–v4), EndTxn (26, v0–v5). KIP-98, 447, 588, 890.
//!
//! AddPartitionsToTxn from v4 on is a broker's, for several transactions, and may only verify.
//! EndTxn from v5 on raises the producer's epoch. v2 PRODUCER_FENCED.

use std::collections::{BTreeMap, BTreeSet};

use naru_controller::topic_name::is_internal;
use naru_coordinators::{
    ConnectionId, Identity, Participants, TransactionVersion, TxnCommand, TxnReply,
};
use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use naru_protocol::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use naru_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use naru_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
};
use naru_protocol::messages::end_txn_request::EndTxnRequest;
use naru_protocol::messages::end_txn_response::EndTxnResponse;

use crate::coordination::{OFFSETS_TOPIC, partition_of_group, unexpected};
use crate::dispatch::RequestContext;
use crate::node::Node;
use crate::security::{Operation, Resource};

/// First version of these requests that knows PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;
/// First version of AddPartitionsToTxn that brokers send, for several transactions.
const BATCHED_SINCE: i16 = 4;
/// First version of EndTxn by whose clients each transaction has an epoch of its own.
const BUMPED_SINCE: i16 = 5;

/// An error as a version before `fenced_since` knows it.
pub(super) fn for_version(error: ErrorCode, version: i16, fenced_since: i16) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if version < fenced_since => ErrorCode::InvalidProducerEpoch,
        other => other,
    }
}

/// Whether the sender may use a transactional id.
pub(super) fn check_may_write(context: &RequestContext, id: &str) -> Result<(), ErrorCode> {
    if context.may(Operation::Write, Resource::TransactionalId(id)) {
        Ok(())
    } else {
        Err(ErrorCode::TransactionalIdAuthorizationFailed)
    }
}

pub(crate) async fn add_partitions(
    context: RequestContext,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let node = &context.node;
    if context.version < BATCHED_SINCE {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        // What a client names must exist and must not be a coordinator's own.
        let judge = |one: &TopicPartition| {
            if is_internal(&one.topic)
                || !context.may(Operation::Write, Resource::Topic(&one.topic))
            {
                ErrorCode::TopicAuthorizationFailed
            } else {
                check_exists(node, one)
            }
        };
        let mut results = match check_may_write(&context, &transaction.transactional_id) {
            Ok(()) => {
                let sender = (TransactionVersion::V0, Some(context.connection.id));
                add_to_one(node, transaction, sender, judge).await
            }
            Err(error) => {
                partitions(&transaction.topics).into_iter().map(|one| (one, error)).collect()
            }
        };
        for result in results.values_mut() {
            *result = for_version(*result, context.version, FENCED_SINCE);
        }
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: by_topic(results),
            ..Default::default()
        };
    }
    if !context.may(Operation::ClusterAction, Resource::Cluster) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return AddPartitionsToTxnResponse { error_code, ..Default::default() };
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let transactional_id = transaction.transactional_id.clone();
        let judge = |one: &TopicPartition| check_exists(node, one);
        let added = add_to_one(node, transaction, (TransactionVersion::V2, None), judge).await;
        let topic_results = by_topic(added);
        results.push(AddPartitionsToTxnResult { transactional_id, topic_results });
    }
    AddPartitionsToTxnResponse { results_by_transaction: results, ..Default::default() }
}

fn check_exists(node: &Node, one: &TopicPartition) -> ErrorCode {
    match node.image().partition(&one.topic, one.partition) {
        Some(_) => ErrorCode::None,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}

/// Adds partitions to one transaction, all or none, or looks whether each is in it.
async fn add_to_one(
    node: &Node,
    transaction: AddPartitionsToTxnTransaction,
    (version, via): (TransactionVersion, Option<ConnectionId>),
    judge: impl Fn(&TopicPartition) -> ErrorCode,
) -> BTreeMap<TopicPartition, ErrorCode> {
    let partitions = partitions(&transaction.topics);
    let judged = || partitions.iter().map(|one| (one.clone(), judge(one)));
    if judged().any(|(_, error)| error != ErrorCode::None) {
        let not_attempted = |error| match error {
            ErrorCode::None => ErrorCode::OperationNotAttempted,
            other => other,
        };
        return judged().map(|(one, error)| (one, not_attempted(error))).collect();
    }
    let participants = Participants {
        transactional_id: transaction.transactional_id,
        producer: Identity {
            id: transaction.producer_id.into(),
            epoch: transaction.producer_epoch.into(),
        },
        partitions: partitions.clone(),
    };
    let verify_only = transaction.verify_only;
    match node.coordination().participate(participants, verify_only, version, via).await {
        Ok(results) => results,
        Err(error) => partitions.into_iter().map(|one| (one, error)).collect(),
    }
}

fn partitions(topics: &[AddPartitionsToTxnTopic]) -> BTreeSet<TopicPartition> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let indexes = topic.partitions.iter();
        indexes.map(|&index| TopicPartition::new(&*topic.name, index)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

fn by_topic(results: BTreeMap<TopicPartition, ErrorCode>) -> Vec<AddPartitionsToTxnTopicResult> {
    let mut topics: Vec<AddPartitionsToTxnTopicResult> = Vec::new();
    for (one, error) in results {
        let result = AddPartitionsToTxnPartitionResult {
            partition_index: one.partition,
            partition_error_code: error.code(),
        };
        match topics.last_mut().filter(|topic| topic.name == one.topic) {
            Some(topic) => topic.results_by_partition.push(result),
            None => topics.push(AddPartitionsToTxnTopicResult {
                name: one.topic,
                results_by_partition: vec![result],
            }),
        }
    }
    topics
}

pub(crate) async fn add_offsets(
    context: RequestContext,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let error = match add_group(&context, request).await {
        Ok(()) => ErrorCode::None,
        Err(error) => for_version(error, context.version, FENCED_SINCE),
    };
    AddOffsetsToTxnResponse { error_code: error.code(), ..Default::default() }
}

/// The group's partition of the offsets topic joins the transaction.
async fn add_group(
    context: &RequestContext,
    request: AddOffsetsToTxnRequest,
) -> Result<(), ErrorCode> {
    check_may_write(context, &request.transactional_id)?;
    if !context.may(Operation::Read, Resource::Group(&request.group_id)) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    let node = &context.node;
    let index = partition_of_group(&node.image(), &request.group_id)
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let participants = Participants {
        transactional_id: request.transactional_id,
        producer: Identity { id: request.producer_id.into(), epoch: request.producer_epoch.into() },
        partitions: BTreeSet::from([TopicPartition::new(OFFSETS_TOPIC, index)]),
    };
    let (version, via) = (TransactionVersion::V0, Some(context.connection.id));
    node.coordination().participate(participants, false, version, via).await.map(drop)
}

pub(crate) async fn end(context: RequestContext, request: EndTxnRequest) -> EndTxnResponse {
    let (producer, error) = match end_one(&context, request).await {
        Ok(producer) => (producer, ErrorCode::None),
        Err(error) => (Identity::NONE, for_version(error, context.version, FENCED_SINCE)),
    };
    EndTxnResponse {
        error_code: error.code(),
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0,
        ..Default::default()
    }
}

async fn end_one(context: &RequestContext, request: EndTxnRequest) -> Result<Identity, ErrorCode> {
    check_may_write(context, &request.transactional_id)?;
    let node = &context.node;
    let bumped = context.version >= BUMPED_SINCE;
    let version = if bumped { TransactionVersion::V2 } else { TransactionVersion::V0 };
    let producer =
        Identity { id: request.producer_id.into(), epoch: request.producer_epoch.into() };
    let id = request.transactional_id;
    let mut spare = None;
    loop {
        let command = TxnCommand::EndTxn {
            transactional_id: id.clone(),
            producer,
            commit: request.committed,
            version,
            via: Some(context.connection.id),
            spare,
        };
        match node.coordination().ask_transaction(&id, command).await {
            Ok(TxnReply::Ended(producer)) => return Ok(producer),
            Ok(TxnReply::NeedsProducerId) if spare.is_none() => {
                spare = Some(node.next_producer_id().await?);
            }
            other => return Err(ErrorCode::from_code(unexpected(other))),
        }
    }
}
