//! What a shard is asked.

use std::collections::BTreeSet;

use naru_model::Uuid;
use naru_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::join_group_request::JoinGroupRequest;
use naru_protocol::messages::leave_group_request::LeaveGroupRequest;
use naru_protocol::messages::offset_commit_request::OffsetCommitRequest;
use naru_protocol::messages::offset_delete_request::OffsetDeleteRequest;
use naru_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use naru_protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use naru_protocol::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use naru_protocol::messages::sync_group_request::SyncGroupRequest;
use naru_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequest;

use crate::consumer::Viewer;
use crate::writes::Marker;

/// Who asks, and at which version of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientContext {
    /// Version of the request.
    pub api_version: i16,
    /// `client.id`, empty if the client has none.
    pub client_id: String,
    /// The client's address as Kafka shows it, such as `/127.0.0.1`.
    pub client_host: String,
    /// Whose rights decide on what a pattern stands for; none where everybody sees every topic.
    pub viewer: Option<Viewer>,
}

/// A request to the shard that owns the group. Requests are authorized before they come here;
/// those that name several groups come as one command a group.
#[derive(Debug, Clone)]
pub enum Command {
    /// JoinGroup. `member_uuid` becomes the new member's id if it needs one.
    JoinGroup {
        /// Who asks.
        context: ClientContext,
        /// The request.
        request: JoinGroupRequest,
        /// Random bits of the shell's.
        member_uuid: Uuid,
    },
    /// SyncGroup.
    SyncGroup {
        /// Version of the request.
        api_version: i16,
        /// The request.
        request: SyncGroupRequest,
    },
    /// Heartbeat.
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup, v0 to v2 with `member_id`, later ones with `members`.
    LeaveGroup {
        /// Who asks.
        context: ClientContext,
        /// The request.
        request: LeaveGroupRequest,
    },
    /// ConsumerGroupHeartbeat. `member_uuid` becomes the new member's id if it brings none.
    ConsumerGroupHeartbeat {
        /// Who asks.
        context: ClientContext,
        /// The request.
        request: ConsumerGroupHeartbeatRequest,
        /// Random bits of the shell's.
        member_uuid: Uuid,
    },
    /// One group of a ConsumerGroupDescribe.
    ConsumerGroupDescribe {
        /// The group.
        group_id: String,
    },
    /// StreamsGroupHeartbeat.
    StreamsGroupHeartbeat {
        /// Who asks.
        context: ClientContext,
        /// The request.
        request: StreamsGroupHeartbeatRequest,
    },
    /// One group of a StreamsGroupDescribe.
    StreamsGroupDescribe {
        /// The group.
        group_id: String,
    },
    /// OffsetCommit of topics that exist; each topic carries its name, and its id if known.
    OffsetCommit {
        /// Who asks.
        context: ClientContext,
        /// The request.
        request: OffsetCommitRequest,
    },
    /// One group of an OffsetFetch; `topics: None` asks for all of them.
    OffsetFetch {
        /// The group and its topics, by name.
        group: OffsetFetchRequestGroup,
        /// Refuse offsets that an open transaction may change (KIP-447).
        require_stable: bool,
    },
    /// TxnOffsetCommit of topics that exist, by a producer whose transaction has the group's
    /// partition.
    TxnOffsetCommit(TxnOffsetCommitRequest),
    /// A producer's transaction ends in the shard's partition. The transaction coordinator's.
    EndTransaction(Marker),
    /// OffsetDelete.
    OffsetDelete(OffsetDeleteRequest),
    /// The shard's part of a ListGroups.
    ListGroups {
        /// State names, in any case; empty for all.
        states_filter: Vec<String>,
        /// Type names, in any case; empty for all.
        types_filter: Vec<String>,
    },
    /// One group of a DescribeGroups.
    DescribeGroup {
        /// Version of the request.
        api_version: i16,
        /// The group.
        group_id: String,
    },
    /// One group of a DeleteGroups.
    DeleteGroup {
        /// The group.
        group_id: String,
    },
    /// Topics are gone: their offsets go too. Not a client's request; answered with
    /// [`crate::Reply::Done`].
    TopicsDeleted {
        /// Names of the topics.
        topics: Vec<String>,
        /// Their ids, by which share groups know them.
        ids: Vec<Uuid>,
    },
    /// ShareGroupHeartbeat.
    ShareGroupHeartbeat {
        /// Who asks.
        context: ClientContext,
        /// The request.
        request: ShareGroupHeartbeatRequest,
    },
    /// One group of a ShareGroupDescribe.
    ShareGroupDescribe {
        /// The group.
        group_id: String,
    },
    /// What became of an [`crate::Initialization`]. Answered with [`crate::Reply::Done`].
    ShareStateInitialized {
        /// The group.
        group_id: String,
        /// Its share partitions.
        partitions: BTreeSet<(Uuid, i32)>,
        /// Whether share coordinators keep their state now: all of it, or none counts.
        success: bool,
    },
    /// The partitions that share coordinators keep state of for a group, which may not exist.
    SharePartitions {
        /// The group.
        group_id: String,
    },
    /// AlterShareGroupOffsets of topics that the client may read.
    AlterShareGroupOffsets(AlterShareGroupOffsetsRequest),
    /// DeleteShareGroupOffsets of topics that the client may read.
    DeleteShareGroupOffsets(DeleteShareGroupOffsetsRequest),
    /// Share coordinators have forgotten topics of a group. Answered with [`crate::Reply::Done`].
    ShareStateDeleted {
        /// The group.
        group_id: String,
        /// The topics.
        topics: BTreeSet<Uuid>,
    },
    /// Before DeleteGroup of any group: what share coordinators are to forget first.
    PrepareShareGroupDeletion {
        /// The group.
        group_id: String,
    },
}
