//! Why a request to a consumer group is refused, in Kafka's words.

use naru_model::ErrorCode;

/// Why a request to a consumer group is refused. The text reaches the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConsumerError {
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    GroupIdNotFound(String),
    #[error("ServerAssignor {name} is not supported. Supported assignors: {supported}.")]
    UnsupportedAssignor { name: String, supported: String },
    #[error("The consumer group has reached its maximum capacity of {0} members.")]
    GroupMaxSizeReached(usize),
    #[error("Member {member} is not a member of group {group}.")]
    UnknownMemberId { member: String, group: String },
    #[error("Instance id {0} is unknown.")]
    UnknownInstanceId(String),
    #[error("Member {0} does not use the classic protocol.")]
    NotClassic(String),
    #[error(
        "Static member {member} with instance id {instance} cannot join the group because the \
         instance id is owned by {owner} member."
    )]
    UnreleasedInstanceId { member: String, instance: String, owner: String },
    #[error("Static member {member} with instance id {instance} was fenced by member {owner}.")]
    FencedInstanceId { member: String, instance: String, owner: String },
    #[error(
        "The consumer group member has a {size} member epoch ({received}) than the one known by \
         the group coordinator ({known}). The member must abandon all its partitions and rejoin."
    )]
    FencedMemberEpoch { size: &'static str, received: i32, known: i32 },
    #[error(
        "The consumer group member is in a unknown state. The member must abandon all its \
         partitions and rejoin."
    )]
    FencedUnknownState,
    #[error("SubscribedTopicRegex `{regex}` is not a valid regular expression: {reason}.")]
    InvalidRegularExpression { regex: String, reason: String },
    #[error("The member's epoch is not the group's.")]
    StaleMemberEpoch,
    #[error("The generation is not the member's epoch.")]
    IllegalGeneration,
    #[error("The member's protocols are not supported.")]
    InconsistentGroupProtocol,
    #[error("A new rebalance is triggered and the member should rejoin to catch up.")]
    RebalanceInProgress,
    #[error(
        "OffsetCommit version 9 or above must be used by members using the consumer group protocol"
    )]
    UnsupportedVersion,
}

impl From<&ConsumerError> for ErrorCode {
    fn from(error: &ConsumerError) -> Self {
        match error {
            ConsumerError::InvalidRequest(_) => Self::InvalidRequest,
            ConsumerError::GroupIdNotFound(_) => Self::GroupIdNotFound,
            ConsumerError::UnsupportedAssignor { .. } => Self::UnsupportedAssignor,
            ConsumerError::GroupMaxSizeReached(_) => Self::GroupMaxSizeReached,
            ConsumerError::UnknownMemberId { .. }
            | ConsumerError::UnknownInstanceId(_)
            | ConsumerError::NotClassic(_) => Self::UnknownMemberId,
            ConsumerError::UnreleasedInstanceId { .. } => Self::UnreleasedInstanceId,
            ConsumerError::FencedInstanceId { .. } => Self::FencedInstanceId,
            ConsumerError::FencedMemberEpoch { .. } | ConsumerError::FencedUnknownState => {
                Self::FencedMemberEpoch
            }
            ConsumerError::InvalidRegularExpression { .. } => Self::InvalidRegularExpression,
            ConsumerError::StaleMemberEpoch => Self::StaleMemberEpoch,
            ConsumerError::IllegalGeneration => Self::IllegalGeneration,
            ConsumerError::InconsistentGroupProtocol => Self::InconsistentGroupProtocol,
            ConsumerError::RebalanceInProgress => Self::RebalanceInProgress,
            ConsumerError::UnsupportedVersion => Self::UnsupportedVersion,
        }
    }
}

impl ConsumerError {
    pub(crate) fn unknown_member(member: &str, group: &str) -> Self {
        Self::UnknownMemberId { member: member.to_owned(), group: group.to_owned() }
    }
}
