//! Requests to a transaction coordinator.

use naru_coordinators::{
    ConnectionId, Identity, Markers, Participants, TransactionConfig, TransactionShard,
    TransactionVersion, TxnCommand,
};
use naru_model::{ProducerEpoch, ProducerId, TopicPartition};
use naru_protocol::DecodeError;
use naru_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTransaction,
};
use naru_protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use naru_protocol::messages::end_txn_request::EndTxnRequest;
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;

use super::requests::{Asked, read};

/// Transactions.
pub(super) struct Transactions;

pub(super) const TRANSACTION_REQUESTS: [&str; 5] = [
    "InitProducerIdRequest",
    "AddPartitionsToTxnRequest",
    "EndTxnRequest",
    "ListTransactionsRequest",
    "DescribeTransactionsRequest",
];
const VIA: Option<ConnectionId> = Some(ConnectionId(1));
const SPARE: ProducerId = ProducerId(77);

impl Asked for Transactions {
    type Shard = TransactionShard;

    fn new() -> TransactionShard {
        TransactionShard::new(TransactionConfig::default())
    }

    fn commands(kind: usize, version: i16, bytes: &[u8]) -> Vec<TxnCommand> {
        transaction_commands(kind, version, bytes).unwrap_or_default()
    }

    fn answer(markers: Markers) -> Option<TxnCommand> {
        let Markers { transactional_id, producer, .. } = markers;
        Some(TxnCommand::MarkersWritten { transactional_id, producer })
    }
}

fn identity(id: i64, epoch: i16) -> Identity {
    Identity { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

fn transaction_commands(
    kind: usize,
    version: i16,
    bytes: &[u8],
) -> Result<Vec<TxnCommand>, DecodeError> {
    Ok(match kind % TRANSACTION_REQUESTS.len() {
        0 => {
            let (version, mut request) = read::<InitProducerIdRequest>(version, bytes)?;
            // Whoever has none does not come to this coordinator.
            request.transactional_id.get_or_insert_default();
            vec![TxnCommand::InitProducerId { request, spare: (version > 2).then_some(SPARE) }]
        }
        1 => {
            let (_, request) = read::<AddPartitionsToTxnRequest>(version, bytes)?;
            request.transactions.into_iter().map(added_or_verified).collect()
        }
        2 => {
            let (version, request) = read::<EndTxnRequest>(version, bytes)?;
            vec![TxnCommand::EndTxn {
                transactional_id: request.transactional_id,
                producer: identity(request.producer_id, request.producer_epoch),
                commit: request.committed,
                version: TransactionVersion(if version > 4 { 2 } else { 0 }),
                via: VIA,
                spare: (version > 3).then_some(SPARE),
            }]
        }
        3 => vec![TxnCommand::List(read(version, bytes)?.1)],
        _ => {
            let (_, request) = read::<DescribeTransactionsRequest>(version, bytes)?;
            let ids = request.transactional_ids.into_iter();
            ids.map(|transactional_id| TxnCommand::Describe { transactional_id }).collect()
        }
    })
}

fn added_or_verified(one: AddPartitionsToTxnTransaction) -> TxnCommand {
    let partitions = one.topics.into_iter().flat_map(|topic| {
        let name = topic.name;
        let of = move |partition| TopicPartition { topic: name.clone(), partition };
        topic.partitions.into_iter().map(of)
    });
    let participants = Participants {
        transactional_id: one.transactional_id,
        producer: identity(one.producer_id, one.producer_epoch),
        partitions: partitions.collect(),
    };
    match one.verify_only {
        true => TxnCommand::Verify(participants),
        false => {
            let version = TransactionVersion::V2;
            TxnCommand::AddPartitions { participants, version, via: VIA }
        }
    }
}
