//! What a shard answers and what it wants done.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::alter_share_group_offsets_response::AlterShareGroupOffsetsResponse;
use naru_protocol::messages::consumer_group_describe_response::DescribedGroup as DescribedConsumerGroup;
use naru_protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use naru_protocol::messages::create_topics_request::CreatableTopic;
use naru_protocol::messages::delete_groups_response::DeletableGroupResult;
use naru_protocol::messages::describe_groups_response::DescribedGroup;
use naru_protocol::messages::heartbeat_response::HeartbeatResponse;
use naru_protocol::messages::join_group_response::JoinGroupResponse;
use naru_protocol::messages::leave_group_response::LeaveGroupResponse;
use naru_protocol::messages::list_groups_response::ListedGroup;
use naru_protocol::messages::offset_commit_response::OffsetCommitResponse;
use naru_protocol::messages::offset_delete_response::OffsetDeleteResponse;
use naru_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use naru_protocol::messages::share_group_describe_response::DescribedGroup as DescribedShareGroup;
use naru_protocol::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;
use naru_protocol::messages::streams_group_describe_response::DescribedGroup as DescribedStreamsGroup;
use naru_protocol::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;
use naru_protocol::messages::sync_group_response::SyncGroupResponse;
use naru_protocol::messages::txn_offset_commit_response::TxnOffsetCommitResponse;

use crate::share::{DeletedOffsets, Initialization, StateDeletion};
use crate::writes::Write;

/// The shell's name for a request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyToken(pub u64);

/// An answer, in the shape of the response it goes into. Throttle times and authorized
/// operations are the shell's to fill in.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To JoinGroup.
    JoinGroup(JoinGroupResponse),
    /// To SyncGroup.
    SyncGroup(SyncGroupResponse),
    /// To Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// To LeaveGroup.
    LeaveGroup(LeaveGroupResponse),
    /// To OffsetCommit.
    OffsetCommit(OffsetCommitResponse),
    /// To one group of OffsetFetch.
    OffsetFetch(OffsetFetchResponseGroup),
    /// To OffsetDelete.
    OffsetDelete(OffsetDeleteResponse),
    /// To the shard's part of ListGroups.
    ListGroups(Vec<ListedGroup>),
    /// To one group of DescribeGroups.
    DescribeGroup(DescribedGroup),
    /// To one group of DeleteGroups.
    DeleteGroup(DeletableGroupResult),
    /// To ConsumerGroupHeartbeat.
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    /// To one group of ConsumerGroupDescribe.
    ConsumerGroupDescribe(DescribedConsumerGroup),
    /// To StreamsGroupHeartbeat.
    StreamsGroupHeartbeat {
        /// The answer.
        response: StreamsGroupHeartbeatResponse,
        /// Internal topics of the application that have to be created.
        missing: Vec<CreatableTopic>,
    },
    /// To one group of StreamsGroupDescribe.
    StreamsGroupDescribe(DescribedStreamsGroup),
    /// To ShareGroupHeartbeat.
    ShareGroupHeartbeat {
        /// The answer.
        response: ShareGroupHeartbeatResponse,
        /// What share coordinators are to begin; the answer does not wait for it.
        initialization: Option<Initialization>,
    },
    /// To one group of ShareGroupDescribe.
    ShareGroupDescribe(DescribedShareGroup),
    /// To [`crate::Command::SharePartitions`].
    SharePartitions(BTreeMap<Uuid, BTreeSet<i32>>),
    /// To AlterShareGroupOffsets: the answer if share coordinators do what is asked of them.
    AlterShareGroupOffsets(
        Result<(AlterShareGroupOffsetsResponse, Option<Initialization>), (ErrorCode, String)>,
    ),
    /// To DeleteShareGroupOffsets: what is to be deleted.
    DeleteShareGroupOffsets(Result<DeletedOffsets, (ErrorCode, String)>),
    /// To [`crate::Command::PrepareShareGroupDeletion`].
    StateDeletion(Result<Option<StateDeletion>, ErrorCode>),
    /// To TxnOffsetCommit.
    TxnOffsetCommit(TxnOffsetCommitResponse),
    /// To [`crate::Command::EndTransaction`]: whether the marker is stored.
    TransactionEnded(Result<(), ErrorCode>),
    /// To what no client asked.
    Done,
}

impl Reply {
    /// The same answer after its records could not be appended.
    pub(crate) fn failed(self, error: ErrorCode) -> Self {
        let error_code = error.code();
        match self {
            Self::OffsetCommit(mut response) => {
                let too_large = ErrorCode::MessageTooLarge.code();
                let code = if error_code == too_large {
                    ErrorCode::InvalidCommitOffsetSize.code()
                } else {
                    error_code
                };
                for topic in &mut response.topics {
                    for partition in &mut topic.partitions {
                        partition.error_code = code;
                    }
                }
                Self::OffsetCommit(response)
            }
            Self::TxnOffsetCommit(mut response) => {
                for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions)
                {
                    partition.error_code = error_code;
                }
                Self::TxnOffsetCommit(response)
            }
            Self::TransactionEnded(_) => Self::TransactionEnded(Err(error)),
            Self::OffsetDelete(_) => {
                Self::OffsetDelete(OffsetDeleteResponse { error_code, ..Default::default() })
            }
            Self::LeaveGroup(_) => {
                Self::LeaveGroup(LeaveGroupResponse { error_code, ..Default::default() })
            }
            Self::DeleteGroup(result) => {
                Self::DeleteGroup(DeletableGroupResult { error_code, ..result })
            }
            Self::JoinGroup(response) => {
                Self::JoinGroup(JoinGroupResponse { error_code, ..response })
            }
            Self::SyncGroup(_) => {
                Self::SyncGroup(SyncGroupResponse { error_code, ..Default::default() })
            }
            Self::Heartbeat(_) => {
                Self::Heartbeat(HeartbeatResponse { error_code, ..Default::default() })
            }
            Self::ConsumerGroupHeartbeat(_) => {
                Self::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse {
                    error_code,
                    ..Default::default()
                })
            }
            Self::ShareGroupHeartbeat { .. } => Self::ShareGroupHeartbeat {
                response: ShareGroupHeartbeatResponse { error_code, ..Default::default() },
                initialization: None,
            },
            Self::AlterShareGroupOffsets(_) => {
                Self::AlterShareGroupOffsets(Err((error, error.name().to_owned())))
            }
            Self::DeleteShareGroupOffsets(_) => {
                Self::DeleteShareGroupOffsets(Err((error, error.name().to_owned())))
            }
            Self::StateDeletion(_) => Self::StateDeletion(Err(error)),
            Self::StreamsGroupHeartbeat { .. } => Self::StreamsGroupHeartbeat {
                response: StreamsGroupHeartbeatResponse {
                    error_code,
                    status: Some(Vec::new()),
                    ..Default::default()
                },
                missing: Vec::new(),
            },
            unchanged @ (Self::OffsetFetch(_)
            | Self::ListGroups(_)
            | Self::ConsumerGroupDescribe(_)
            | Self::StreamsGroupDescribe(_)
            | Self::ShareGroupDescribe(_)
            | Self::SharePartitions(_)
            | Self::DescribeGroup(_)
            | Self::Done) => unchanged,
        }
    }
}

/// What one step wants done: answers to send now, records to append, and whatever else a kind of
/// shard wants.
#[derive(Debug, PartialEq)]
pub struct Outcome<R = Reply, E = Infallible> {
    /// Answers that wait for nothing.
    pub replies: Vec<(ReplyToken, R)>,
    /// Batches to append in this order; each one's result comes back by
    /// [`crate::Shard::on_written`].
    pub writes: Vec<Write>,
    /// What else is to be done.
    pub effects: Vec<E>,
    /// What the shard had taken back is stored after all, so that it is not what the log says: it
    /// is to be unloaded, and read again when all its writes are settled.
    pub in_doubt: bool,
}

impl<R, E> Default for Outcome<R, E> {
    fn default() -> Self {
        Self { replies: Vec::new(), writes: Vec::new(), effects: Vec::new(), in_doubt: false }
    }
}

impl<R, E> Outcome<R, E> {
    pub(crate) fn reply(&mut self, token: ReplyToken, reply: R) {
        self.replies.push((token, reply));
    }
}
