//! Requests to shards, made of the bytes of clients' and brokers' requests; here those to a group
//! coordinator.

use std::sync::Arc;

use bytes::Bytes;
use naru_coordinators::{ClientContext, Command, GroupConfig, GroupShard, Shard};
use naru_model::Uuid;
use naru_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use naru_protocol::messages::list_groups_request::ListGroupsRequest;
use naru_protocol::messages::offset_fetch_request::OffsetFetchRequest;
use naru_protocol::{DecodeError, Message};

use super::topics::EveryTopic;

/// A kind of shard that can be asked.
pub(super) trait Asked: 'static {
    /// The shard.
    type Shard: Shard;

    /// An empty one, in a cluster of every topic.
    fn new() -> Self::Shard;

    /// What is asked by the request of this number among its kind; nothing if it cannot be read.
    fn commands(kind: usize, version: i16, bytes: &[u8]) -> Vec<<Self::Shard as Shard>::Command>;

    /// What the shell says when it has done what a shard wants.
    fn answer(effect: <Self::Shard as Shard>::Effect) -> Option<<Self::Shard as Shard>::Command>;
}

/// Reads a request at a version that it has.
pub(super) fn read<M: Message>(version: i16, bytes: &[u8]) -> Result<(i16, M), DecodeError> {
    let version = version.clamp(*M::VERSIONS.start(), *M::VERSIONS.end());
    Ok((version, M::from_bytes(&Bytes::copy_from_slice(bytes), version)?))
}

/// Groups and committed offsets.
pub(super) struct Groups;

pub(super) const GROUP_REQUESTS: [&str; 15] = [
    "JoinGroupRequest",
    "SyncGroupRequest",
    "HeartbeatRequest",
    "LeaveGroupRequest",
    "ConsumerGroupHeartbeatRequest",
    "StreamsGroupHeartbeatRequest",
    "ShareGroupHeartbeatRequest",
    "OffsetCommitRequest",
    "OffsetFetchRequest",
    "TxnOffsetCommitRequest",
    "OffsetDeleteRequest",
    "AlterShareGroupOffsetsRequest",
    "DeleteShareGroupOffsetsRequest",
    "ListGroupsRequest",
    "DeleteGroupsRequest",
];

impl Asked for Groups {
    type Shard = GroupShard;

    fn new() -> GroupShard {
        let mut shard = GroupShard::new(GroupConfig::default());
        shard.on_metadata(Arc::new(EveryTopic), &[], true);
        shard
    }

    fn commands(kind: usize, version: i16, bytes: &[u8]) -> Vec<Command> {
        group_commands(kind, version, bytes).unwrap_or_default()
    }

    fn answer(effect: std::convert::Infallible) -> Option<Command> {
        match effect {}
    }
}

fn group_commands(kind: usize, version: i16, bytes: &[u8]) -> Result<Vec<Command>, DecodeError> {
    let context = |api_version| ClientContext {
        api_version,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        viewer: None,
    };
    let member_uuid = Uuid(bytes.len() as u128);
    macro_rules! with_context {
        ($variant:ident $(, $more:ident)?) => {{
            let (version, request) = read(version, bytes)?;
            Command::$variant { context: context(version), request $(, $more)? }
        }};
    }
    Ok(vec![match kind % GROUP_REQUESTS.len() {
        0 => with_context!(JoinGroup, member_uuid),
        1 => {
            let (api_version, request) = read(version, bytes)?;
            Command::SyncGroup { api_version, request }
        }
        2 => Command::Heartbeat(read(version, bytes)?.1),
        3 => with_context!(LeaveGroup),
        4 => with_context!(ConsumerGroupHeartbeat, member_uuid),
        5 => with_context!(StreamsGroupHeartbeat),
        6 => with_context!(ShareGroupHeartbeat),
        7 => with_context!(OffsetCommit),
        8 => {
            let (_, request) = read::<OffsetFetchRequest>(version, bytes)?;
            let require_stable = request.require_stable;
            let groups = request.groups.into_iter();
            return Ok(groups
                .map(|group| Command::OffsetFetch { group, require_stable })
                .collect());
        }
        9 => Command::TxnOffsetCommit(read(version, bytes)?.1),
        10 => Command::OffsetDelete(read(version, bytes)?.1),
        11 => Command::AlterShareGroupOffsets(read(version, bytes)?.1),
        12 => Command::DeleteShareGroupOffsets(read(version, bytes)?.1),
        13 => {
            let (_, request) = read::<ListGroupsRequest>(version, bytes)?;
            let (states_filter, types_filter) = (request.states_filter, request.types_filter);
            Command::ListGroups { states_filter, types_filter }
        }
        _ => {
            let (_, request) = read::<DeleteGroupsRequest>(version, bytes)?;
            return Ok(request.groups_names.into_iter().flat_map(described_and_deleted).collect());
        }
    }])
}

fn described_and_deleted(group_id: String) -> [Command; 7] {
    let group_id = || group_id.clone();
    [
        Command::DescribeGroup { api_version: 6, group_id: group_id() },
        Command::ConsumerGroupDescribe { group_id: group_id() },
        Command::StreamsGroupDescribe { group_id: group_id() },
        Command::ShareGroupDescribe { group_id: group_id() },
        Command::SharePartitions { group_id: group_id() },
        Command::PrepareShareGroupDeletion { group_id: group_id() },
        Command::DeleteGroup { group_id: group_id() },
    ]
}
