//! Asks the coordinator of a transactional id, wherever it is, whether partitions are in its
//! producer's transaction, or adds them (KIP-890).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_coordinators::{Identity, Participants, TransactionVersion};
use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};

use crate::coordination::{TRANSACTIONS_TOPIC, partition_of};
use crate::node::Node;

/// By partition whether it is in the transaction; with `verify_only` false they are added to it.
/// An error is one of the whole request, such as NOT_COORDINATOR or NETWORK_EXCEPTION, of which
/// most are worth another try.
pub(crate) async fn verify(
    node: &Arc<Node>,
    transactional_id: &str,
    producer: Identity,
    partitions: BTreeSet<TopicPartition>,
    verify_only: bool,
) -> Result<BTreeMap<TopicPartition, ErrorCode>, ErrorCode> {
    let participants =
        Participants { transactional_id: transactional_id.to_owned(), producer, partitions };
    let image = node.image();
    let coordinator = partition_of(&image, TRANSACTIONS_TOPIC, &participants.transactional_id)
        .and_then(|index| image.partition(TRANSACTIONS_TOPIC, index)?.leader)
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    if coordinator == node.id() {
        let version = TransactionVersion::V2;
        return node.coordination().participate(participants, verify_only, version, None).await;
    }
    let request = request(participants, verify_only);
    let response = node.brokers().call(node, coordinator, &request).await?;
    if response.error_code != 0 {
        return Err(ErrorCode::from_code(response.error_code));
    }
    let topics = response.results_by_transaction.into_iter().flat_map(|one| one.topic_results);
    let results = topics.flat_map(|topic| {
        topic.results_by_partition.into_iter().map(move |result| {
            let error = ErrorCode::from_code(result.partition_error_code);
            (TopicPartition::new(topic.name.clone(), result.partition_index), error)
        })
    });
    Ok(results.collect())
}

fn request(participants: Participants, verify_only: bool) -> AddPartitionsToTxnRequest {
    let Participants { transactional_id, producer, partitions } = participants;
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for one in partitions {
        topics.entry(one.topic).or_default().push(one.partition);
    }
    let topics = topics.into_iter();
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id,
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0,
        verify_only,
        topics: topics
            .map(|(name, partitions)| AddPartitionsToTxnTopic { name, partitions })
            .collect(),
    };
    AddPartitionsToTxnRequest { transactions: vec![transaction], ..Default::default() }
}
