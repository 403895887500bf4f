//! Why a group request is refused, and why a record cannot be replayed.

use naru_model::ErrorCode;
use naru_protocol::DecodeError;

/// Why a group request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The group id is empty where a group is needed.
    #[error("the group id is empty")]
    InvalidGroupId,
    /// The session timeout is outside `group.min/max.session.timeout.ms`.
    #[error("the session timeout is outside the configured range")]
    InvalidSessionTimeout,
    /// No such member, or its group does not exist.
    #[error("the member is not known")]
    UnknownMemberId,
    /// Another member has taken over the static member's instance id.
    #[error("another member has taken over this group.instance.id")]
    FencedInstanceId,
    /// The member speaks of another generation.
    #[error("the generation is not the current one")]
    IllegalGeneration,
    /// The members have no protocol in common, or none is offered.
    #[error("the member's protocols do not suit the group")]
    InconsistentGroupProtocol,
    /// The group is being rebalanced.
    #[error("the group is being rebalanced")]
    RebalanceInProgress,
    /// The member has been given its id and must join again with it (KIP-394).
    #[error("the member must join again with the id it was given")]
    MemberIdRequired,
    /// `group.max.size`, the pending members' limit, or the record's size is reached.
    #[error("the group has no room for another member")]
    GroupMaxSizeReached,
    /// A member's metadata or the group's assignment does not fit a record.
    #[error("the metadata does not fit a record")]
    MetadataTooLarge,
    /// The group exists no more or never did.
    #[error("the group is not known")]
    GroupIdNotFound,
    /// The group has members.
    #[error("the group has members")]
    NonEmptyGroup,
    /// The group is subscribed to the topic.
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// The commit's text is longer than `offset.metadata.max.bytes`.
    #[error("the commit's metadata is too long")]
    OffsetMetadataTooLarge,
    /// The shard has been unloaded.
    #[error("this node is not the coordinator any more")]
    NotCoordinator,
}

impl From<GroupError> for ErrorCode {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::InvalidGroupId => Self::InvalidGroupId,
            GroupError::InvalidSessionTimeout => Self::InvalidSessionTimeout,
            GroupError::UnknownMemberId => Self::UnknownMemberId,
            GroupError::FencedInstanceId => Self::FencedInstanceId,
            GroupError::IllegalGeneration => Self::IllegalGeneration,
            GroupError::InconsistentGroupProtocol => Self::InconsistentGroupProtocol,
            GroupError::RebalanceInProgress => Self::RebalanceInProgress,
            GroupError::MemberIdRequired => Self::MemberIdRequired,
            GroupError::GroupMaxSizeReached => Self::GroupMaxSizeReached,
            // Kafka says UNKNOWN_SERVER_ERROR here, which tells nobody what to change.
            GroupError::MetadataTooLarge => Self::MessageTooLarge,
            GroupError::GroupIdNotFound => Self::GroupIdNotFound,
            GroupError::NonEmptyGroup => Self::NonEmptyGroup,
            GroupError::GroupSubscribedToTopic => Self::GroupSubscribedToTopic,
            GroupError::OffsetMetadataTooLarge => Self::OffsetMetadataTooLarge,
            GroupError::NotCoordinator => Self::NotCoordinator,
        }
    }
}

/// What clients are told when records could not be appended: the partition's error in the
/// coordinator's words, which make a client look for the coordinator again.
pub(crate) fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => ErrorCode::MessageTooLarge,
        other => other,
    }
}

/// Why a record of the offsets topic cannot be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The key or value is not what its version says.
    #[error("a record of the offsets topic is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

impl From<ReplayError> for ErrorCode {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Damaged(_) => Self::CorruptMessage,
        }
    }
}
