//! What nodes and clients say to each other.
//!
//! Requests of the quorum and of the controller carry the generated messages. Produce and Fetch
//! carry what their handlers take out of the messages; their bytes are tested elsewhere.

use bytes::Bytes;
use naru_controller::raft::{RaftRequest, RaftResponse};
use naru_coordinators::{Command, Marker, Reply, TxnCommand, TxnReply};
use naru_log::AbortedTxn;
use naru_model::{BrokerEpoch, BrokerId, ErrorCode, Offset, TopicPartition};
use naru_protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use naru_protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use naru_protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use naru_protocol::messages::alter_partition_request::AlterPartitionRequest;
use naru_protocol::messages::alter_partition_response::AlterPartitionResponse;
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use naru_protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use naru_protocol::messages::broker_registration_response::BrokerRegistrationResponse;
use naru_protocol::messages::create_topics_request::CreateTopicsRequest;
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use naru_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequest;
use naru_replication::{FetchRequestPlan, PartitionKey};

/// A node (1 and up) or a client (100 and up).
pub(crate) type Actor = i32;

/// The first client.
pub(crate) const FIRST_CLIENT: Actor = 100;

/// Numbers the requests of one actor.
pub(crate) type Rpc = u64;

/// One connection between two actors for each purpose, as in the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Raft,
    RaftFetch,
    Lifecycle,
    Controller,
    Fetch,
    /// Between transaction coordinators and leaders.
    Transactions,
    Client,
}

#[derive(Debug, Clone)]
pub(crate) enum Request {
    Raft(RaftRequest),
    Controller(ControllerRequest),
    Fetch(FetchAsk),
    Produce(ProduceAsk),
    /// Where the leader's logs begin and end.
    ListOffsets(Vec<PartitionKey>),
    Group(Box<Command>),
    /// TxnOffsetCommit.
    TxnOffsets(Box<TxnOffsetCommitRequest>, InTransaction),
    /// To the transaction coordinator, of a client or of a leader.
    Transaction(Box<TxnCommand>),
    /// From the transaction coordinator to a leader.
    Marker(MarkerAsk),
}

#[derive(Debug, Clone)]
pub(crate) enum Response {
    Raft(RaftResponse),
    Controller(Result<ControllerResponse, ErrorCode>),
    Fetch(FetchAnswer),
    Produce(ProduceAnswer),
    ListOffsets(Vec<(PartitionKey, Offset, Offset)>),
    Group(Result<Reply, ErrorCode>),
    Transaction(Result<TxnReply, ErrorCode>),
    Marker(ErrorCode),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// No process listens there.
    Refused,
    /// The connection ended.
    Broken,
    TimedOut,
}

#[derive(Debug, Clone)]
pub(crate) enum ControllerRequest {
    Register(BrokerRegistrationRequest),
    Heartbeat(BrokerHeartbeatRequest),
    AlterPartition(AlterPartitionRequest),
    CreateTopics(CreateTopicsRequest),
    DeleteTopics(DeleteTopicsRequest),
    ElectLeaders(ElectLeadersRequest),
    Reassign(AlterPartitionReassignmentsRequest),
    AllocateProducerIds(AllocateProducerIdsRequest),
}

#[derive(Debug, Clone)]
pub(crate) enum ControllerResponse {
    Register(BrokerRegistrationResponse),
    Heartbeat(BrokerHeartbeatResponse),
    AlterPartition(AlterPartitionResponse),
    AllocateProducerIds(AllocateProducerIdsResponse),
    /// What an administrator's request came to: the first error, if any.
    Done(ErrorCode),
}

#[derive(Debug, Clone)]
pub(crate) struct FetchAsk {
    /// Follower and registration; none for a consumer.
    pub(crate) follower: Option<(BrokerId, Option<BrokerEpoch>)>,
    pub(crate) plan: FetchRequestPlan,
    pub(crate) max_wait_ms: i64,
    pub(crate) max_bytes: usize,
    /// Only what committed transactions have written.
    pub(crate) committed: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FetchAnswer {
    pub(crate) error: Option<ErrorCode>,
    pub(crate) session_id: i32,
    pub(crate) partitions: Vec<(PartitionKey, Fetched)>,
}

/// What a fetch found in one partition.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) error: ErrorCode,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable: i64,
    pub(crate) aborted: Vec<AbortedTxn>,
    pub(crate) log_start: i64,
    pub(crate) diverging: Option<(i32, i64)>,
    pub(crate) records: Bytes,
}

#[derive(Debug, Clone)]
pub(crate) struct ProduceAsk {
    pub(crate) key: PartitionKey,
    pub(crate) batch: Bytes,
    /// The transaction that the batch is part of.
    pub(crate) transaction: Option<InTransaction>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct InTransaction {
    pub(crate) transactional_id: &'static str,
    /// The leader adds the partition to the transaction, instead of looking whether the client has
    /// done so (version 12 of the request).
    pub(crate) adds: bool,
}

/// WriteTxnMarkers for one partition.
#[derive(Debug, Clone)]
pub(crate) struct MarkerAsk {
    pub(crate) partition: TopicPartition,
    pub(crate) marker: Marker,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ProduceAnswer {
    pub(crate) error: ErrorCode,
    pub(crate) base_offset: i64,
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    /// The connection; none to the node itself.
    pub(crate) connection: Option<u64>,
    pub(crate) rpc: Rpc,
}
