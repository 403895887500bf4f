//! What goes into the quorum and what comes out of it.

use bytes::Bytes;
use naru_model::Uuid;
use naru_protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use naru_protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::api_versions_response::ApiVersionsResponse;
use naru_protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use naru_protocol::messages::begin_quorum_epoch_response::BeginQuorumEpochResponse;
use naru_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use naru_protocol::messages::describe_quorum_response::DescribeQuorumResponse;
use naru_protocol::messages::end_quorum_epoch_request::EndQuorumEpochRequest;
use naru_protocol::messages::end_quorum_epoch_response::EndQuorumEpochResponse;
use naru_protocol::messages::fetch_request::FetchRequest;
use naru_protocol::messages::fetch_response::FetchResponse;
use naru_protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use naru_protocol::messages::fetch_snapshot_response::FetchSnapshotResponse;
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use naru_protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use naru_protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use naru_protocol::messages::update_raft_voter_response::UpdateRaftVoterResponse;
use naru_protocol::messages::vote_request::VoteRequest;
use naru_protocol::messages::vote_response::VoteResponse;

use super::{ControlRecord, ElectionState, SnapshotId, Voter, VoterEndpoint, VoterLog};

/// What a node brings to its start.
#[derive(Debug, Clone)]
pub struct QuorumStart {
    /// `node.id`.
    pub node_id: i32,
    /// Directory id of the metadata directory.
    pub directory_id: Uuid,
    /// The cluster's id; a request with another one is refused.
    pub cluster_id: String,
    /// Whether `process.roles` has `controller`.
    pub can_vote: bool,
    /// This node's advertised controller listeners; the first is the one that peers are sent to.
    /// Empty for a broker.
    pub listeners: Vec<VoterEndpoint>,
    /// `controller.quorum.bootstrap.servers`.
    pub bootstrap: Vec<(String, u16)>,
    /// Voters of `controller.quorum.voters`; empty if it is not set.
    pub static_voters: Vec<Voter>,
    /// The quorum-state file, if there is one.
    pub state: Option<ElectionState>,
    /// What snapshot and log say of the voters.
    pub voter_log: VoterLog,
    /// How long things may take.
    pub timeouts: QuorumTimeouts,
    /// `controller.quorum.auto.join.enable`.
    pub auto_join: bool,
    /// Where the jitter of elections comes from; another one for every start.
    pub seed: u64,
    /// The time.
    pub now_ms: i64,
}

/// `controller.quorum.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumTimeouts {
    /// How long an election may take, at least; it is up to twice as long by jitter.
    pub election_timeout_ms: i64,
    /// How long a follower goes without its leader, and (times 1.5) a leader without a majority.
    pub fetch_timeout_ms: i64,
    /// Longest wait after a lost election.
    pub election_backoff_max_ms: i64,
    /// How long an answer may take.
    pub request_timeout_ms: i64,
    /// How long a leader holds a Fetch that has nothing new for the replica.
    pub fetch_max_wait_ms: i32,
    /// Most bytes of one Fetch or FetchSnapshot.
    pub fetch_max_bytes: i32,
}

impl Default for QuorumTimeouts {
    fn default() -> Self {
        Self {
            election_timeout_ms: 1000,
            fetch_timeout_ms: 2000,
            election_backoff_max_ms: 1000,
            request_timeout_ms: 2000,
            fetch_max_wait_ms: 500,
            fetch_max_bytes: 8 * 1024 * 1024,
        }
    }
}

/// The log as the effects of earlier steps left it.
pub trait LogView {
    /// Offset of its first record; what is below is in a snapshot that ends here.
    fn start(&self) -> i64;
    /// The offset after its last record.
    fn end(&self) -> i64;
    /// Epoch of its last record, of the snapshot it begins after if it is empty, or 0.
    fn last_epoch(&self) -> i32;
    /// The largest epoch of the log that is at most `epoch`, and where it ends.
    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)>;
    /// Epoch of the record at `offset`; for `start() - 1` that of the snapshot that ends there, if
    /// it is known (for the latest snapshot it need not be said again).
    fn epoch_at(&self, offset: i64) -> Option<i32>;
    /// The newest snapshot, if there is one.
    fn latest_snapshot(&self) -> Option<SnapshotId>;
}

/// Requests among the nodes of a quorum, and of its administrators.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each carries the message of its name")]
pub enum RaftRequest {
    Vote(VoteRequest),
    BeginQuorumEpoch(BeginQuorumEpochRequest),
    EndQuorumEpoch(EndQuorumEpochRequest),
    Fetch(FetchRequest),
    FetchSnapshot(FetchSnapshotRequest),
    AddRaftVoter(AddRaftVoterRequest),
    RemoveRaftVoter(RemoveRaftVoterRequest),
    UpdateRaftVoter(UpdateRaftVoterRequest),
    DescribeQuorum(DescribeQuorumRequest),
    ApiVersions(ApiVersionsRequest),
}

/// Their answers.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each carries the message of its name")]
pub enum RaftResponse {
    Vote(VoteResponse),
    BeginQuorumEpoch(BeginQuorumEpochResponse),
    EndQuorumEpoch(EndQuorumEpochResponse),
    Fetch(FetchResponse),
    FetchSnapshot(FetchSnapshotResponse),
    AddRaftVoter(AddRaftVoterResponse),
    RemoveRaftVoter(RemoveRaftVoterResponse),
    UpdateRaftVoter(UpdateRaftVoterResponse),
    DescribeQuorum(DescribeQuorumResponse),
    ApiVersions(ApiVersionsResponse),
}

/// No answer: the connection was refused or broke, or the answer did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// The node, unless it is a bootstrap server that has not said who it is.
    pub id: Option<i32>,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What the quorum is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The time of [`super::Quorum::next_deadline`] has come.
    Tick,
    /// A request from the network.
    Request {
        /// Comes back with the reply.
        token: u64,
        /// The request's version.
        version: i16,
        /// What it asks.
        request: RaftRequest,
    },
    /// The answer to an [`Effect::Send`].
    Response {
        /// That of the [`Effect::Send`].
        request_id: u64,
        /// What it says.
        result: Result<RaftResponse, Unreachable>,
    },
    /// The process of this node is dead: its connection broke and a new one is refused.
    PeerGone {
        /// Its `node.id`.
        id: i32,
    },
    /// A batch of this leader, of metadata or by [`Effect::AppendControl`], is in the log.
    Appended {
        /// The new end of the log.
        log_end: i64,
    },
    /// The log is on disk up to `end`.
    Synced {
        /// The end of what is on disk.
        end: i64,
    },
    /// What [`Effect::AppendFetched`] carried is in the log and on disk.
    Fetched {
        /// The new end of the log.
        end: i64,
        /// The control records in it, with their offsets.
        control: Vec<(i64, ControlRecord)>,
    },
    /// An [`Effect::AppendFetched`] or [`Effect::SnapshotChunk`] could not be carried out.
    FetchFailed,
    /// The snapshot of the last [`Effect::SnapshotChunk`] has replaced the log.
    SnapshotInstalled {
        /// The snapshot.
        id: SnapshotId,
        /// Its control records.
        control: Vec<ControlRecord>,
    },
    /// This node stops: leadership is handed over, and not sought again.
    Resign,
    /// The disk is full: a batch of this node was not appended. Leadership is handed over, if there
    /// is anybody to take it, and not sought again before [`Event::Room`].
    NoRoom {
        /// The batch was that of an [`Effect::AppendControl`].
        control: bool,
    },
    /// There is space again after [`Event::NoRoom`].
    Room,
}

/// What the shell does next, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write the quorum-state file, and sync it, before the effects that follow.
    SaveState(ElectionState),
    /// Send a request; tell how it went with [`Event::Response`].
    Send {
        /// Comes back with the response.
        request_id: u64,
        /// Where to.
        to: Destination,
        /// The version to send it at, if not the newest that both sides know.
        version: Option<i16>,
        /// The request.
        request: RaftRequest,
    },
    /// Answer a request.
    Reply {
        /// That of the request.
        token: u64,
        /// The answer.
        response: RaftResponse,
    },
    /// Answer a Fetch, after filling in the records.
    ReplyFetch {
        /// That of the request.
        token: u64,
        /// The answer without records.
        response: FetchResponse,
        /// What to read.
        read: Option<ReadPlan>,
    },
    /// Answer a FetchSnapshot, after filling in the snapshot's size and bytes; with
    /// SNAPSHOT_NOT_FOUND if there is none of this id, with POSITION_OUT_OF_RANGE if it is not
    /// longer than the position.
    ReplySnapshot {
        /// That of the request.
        token: u64,
        /// The answer without bytes.
        response: FetchSnapshotResponse,
        /// What to read.
        read: Option<SnapshotRead>,
    },
    /// Append one control batch in `epoch` at the end of the log, sync, and tell with
    /// [`Event::Appended`] and [`Event::Synced`].
    AppendControl {
        /// The leader's epoch: the batch's partition leader epoch.
        epoch: i32,
        /// Its records.
        records: Vec<ControlRecord>,
    },
    /// Check these batches of the leader, append and sync them, and tell with [`Event::Fetched`].
    AppendFetched {
        /// Whole batches; a last one that is cut off is to be ignored.
        records: Bytes,
    },
    /// Cut the log.
    TruncateTo {
        /// Its new end.
        offset: i64,
    },
    /// Write a piece of a snapshot to a partial file, which begins anew at position 0. After the
    /// last piece: check it, make it the newest snapshot, begin the log after it, and tell with
    /// [`Event::SnapshotInstalled`].
    SnapshotChunk {
        /// The snapshot.
        id: SnapshotId,
        /// Where the piece begins.
        position: i64,
        /// The piece.
        bytes: Bytes,
        /// Whether the snapshot is whole now.
        last: bool,
    },
    /// This node leads now; the controller may become active once its first batch is committed.
    BecameLeader {
        /// The epoch.
        epoch: i32,
    },
    /// This node no longer leads.
    LostLeadership {
        /// The epoch in which it led.
        epoch: i32,
    },
    /// Who leads, in which epoch, has changed.
    LeaderChanged {
        /// The leader, if known.
        leader: Option<i32>,
        /// The epoch.
        epoch: i32,
    },
    /// Everything below is committed.
    AdvanceHighWatermark {
        /// The new high watermark.
        to: i64,
    },
}

/// Which batches of the log a Fetch is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPlan {
    /// The first offset.
    pub from: i64,
    /// At most this much, but at least one batch.
    pub max_bytes: i32,
}

/// Which bytes of a snapshot a FetchSnapshot is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotRead {
    /// The snapshot.
    pub id: SnapshotId,
    /// The first byte.
    pub position: i64,
    /// At most this much.
    pub max_bytes: i32,
}

/// Why a node cannot take part in the quorum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// Nobody says who votes, and nobody can be asked.
    #[error(
        "no voters: neither in the log nor in controller.quorum.voters, and \
         controller.quorum.bootstrap.servers is not set"
    )]
    NoVoters,
    /// The only voter is this node, with another directory.
    #[error("node {node_id} with directory {directory_id} is not the voter of its quorum")]
    NotAVoter {
        /// This node.
        node_id: i32,
        /// Its metadata directory.
        directory_id: Uuid,
    },
    /// The epoch is the last that Kafka's format can hold.
    #[error("the epoch cannot grow beyond {0}")]
    EpochExhausted(i32),
}
