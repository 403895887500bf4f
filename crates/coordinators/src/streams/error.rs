//! Why a request to a streams group is refused, in Kafka's words.

use naru_model::ErrorCode;

/// Why a request to a streams group is refused. The text reaches the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamsError {
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    InvalidTopology(String),
    #[error("Streams group {0} not found.")]
    GroupIdNotFound(String),
    #[error("Group {0} not found.")]
    GroupNotFound(String),
    #[error("Group {0} is not a streams group.")]
    NotStreams(String),
    #[error("The streams group has reached its maximum capacity of {0} members.")]
    GroupMaxSizeReached(usize),
    #[error("Member {member} is not a member of group {group}.")]
    UnknownMemberId { member: String, group: String },
    #[error(
        "The streams group member has a {size} member epoch ({received}) than the one known by \
         the group coordinator ({known}). The member must abandon all its partitions and rejoin."
    )]
    FencedMemberEpoch { size: &'static str, received: i32, known: i32 },
    #[error(
        "The streams group member is in a unknown state. The member must abandon all its tasks \
         and rejoin."
    )]
    FencedUnknownState,
    #[error("The member's epoch is not the group's.")]
    StaleMemberEpoch,
    #[error(
        "OffsetCommit version 9 or above must be used by members using the streams group protocol"
    )]
    UnsupportedVersion,
}

impl From<&StreamsError> for ErrorCode {
    fn from(error: &StreamsError) -> Self {
        match error {
            StreamsError::InvalidRequest(_) => Self::InvalidRequest,
            StreamsError::InvalidTopology(_) => Self::StreamsInvalidTopology,
            StreamsError::GroupIdNotFound(_)
            | StreamsError::GroupNotFound(_)
            | StreamsError::NotStreams(_) => Self::GroupIdNotFound,
            StreamsError::GroupMaxSizeReached(_) => Self::GroupMaxSizeReached,
            StreamsError::UnknownMemberId { .. } => Self::UnknownMemberId,
            StreamsError::FencedMemberEpoch { .. } | StreamsError::FencedUnknownState => {
                Self::FencedMemberEpoch
            }
            StreamsError::StaleMemberEpoch => Self::StaleMemberEpoch,
            StreamsError::UnsupportedVersion => Self::UnsupportedVersion,
        }
    }
}

impl StreamsError {
    pub(crate) fn unknown_member(member: &str, group: &str) -> Self {
        Self::UnknownMemberId { member: member.to_owned(), group: group.to_owned() }
    }
}
