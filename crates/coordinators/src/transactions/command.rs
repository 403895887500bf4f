//! What a shard of the transaction coordinator is asked and what it answers.

use std::collections::BTreeSet;

use naru_model::{ErrorCode, ProducerId, TopicPartition};
use naru_protocol::messages::describe_transactions_response::TransactionState as Described;
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_protocol::messages::list_transactions_request::ListTransactionsRequest;
use naru_protocol::messages::list_transactions_response::TransactionState as Listed;

use super::metadata::{Identity, TransactionVersion};

/// The connection that a client's request came by; no two connections of a process have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId(pub u64);

/// Partitions of one producer's transaction, to be added or looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participants {
    /// The transactional id.
    pub transactional_id: String,
    /// Who asks.
    pub producer: Identity,
    /// The partitions.
    pub partitions: BTreeSet<TopicPartition>,
}

/// A request to the shard that owns the transactional id, authorized before it comes here.
#[derive(Debug, Clone)]
pub enum TxnCommand {
    /// InitProducerId with a transactional id.
    InitProducerId {
        /// The request.
        request: InitProducerIdRequest,
        /// A producer id that nobody has, if one was asked for before.
        spare: Option<ProducerId>,
    },
    /// AddPartitionsToTxn and AddOffsetsToTxn.
    AddPartitions {
        /// Who, and which.
        participants: Participants,
        /// What the request's version says of the client.
        version: TransactionVersion,
        /// The client's connection; none if a broker asks.
        via: Option<ConnectionId>,
    },
    /// AddPartitionsToTxn that only verifies (KIP-890).
    Verify(Participants),
    /// EndTxn.
    EndTxn {
        /// The transactional id.
        transactional_id: String,
        /// Who asks.
        producer: Identity,
        /// Commit or abort.
        commit: bool,
        /// What the request's version says of the client.
        version: TransactionVersion,
        /// The client's connection.
        via: Option<ConnectionId>,
        /// A producer id that nobody has, if one was asked for before.
        spare: Option<ProducerId>,
    },
    /// All markers of a prepared transaction are written. The shell's own.
    MarkersWritten {
        /// The transactional id.
        transactional_id: String,
        /// Whose markers they are.
        producer: Identity,
    },
    /// The shard's part of ListTransactions; the pattern is the caller's to apply.
    List(ListTransactionsRequest),
    /// One id of DescribeTransactions.
    Describe {
        /// The transactional id.
        transactional_id: String,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum TxnReply {
    /// The producer begins with this identity.
    Initialised(Identity),
    /// Ask again with a producer id that nobody has.
    NeedsProducerId,
    /// The partitions are in the transaction.
    Added,
    /// Whether each partition is in the transaction.
    Verified(Vec<(TopicPartition, ErrorCode)>),
    /// The end is decided; who the producer is from now on, if its epoch was raised.
    Ended(Identity),
    /// The ids listed.
    Listed(Vec<Listed>),
    /// The id described.
    Described(Described),
    /// To what no client asked.
    Done,
    /// It cannot be done.
    Refused(ErrorCode),
}
