//! Why a request to a share group is refused, in Kafka's words.

use naru_model::ErrorCode;

/// Why a request to a share group is refused. The text reaches the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShareGroupError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("Share group {0} not found.")]
    UnknownGroup(String),
    #[error("Group {0} not found.")]
    NoGroup(String),
    #[error("Group {0} is not a share group.")]
    OtherType(String),
    #[error("The share group has reached its maximum capacity of {0} members.")]
    GroupMaxSizeReached(usize),
    #[error("Member {member} is not a member of group {group}.")]
    UnknownMemberId { member: String, group: String },
    #[error(
        "The share group member has a greater member epoch ({received}) than the one known by the \
         group coordinator ({known}). The member must abandon all its partitions and rejoin."
    )]
    EpochAhead { received: i32, known: i32 },
    #[error(
        "The share group member has a smaller member epoch ({received}) than the one known by the \
         group coordinator ({known}), and it does not match the previous member epoch \
         ({previous}). The member must abandon all its partitions and rejoin."
    )]
    EpochBehind { received: i32, known: i32, previous: i32 },
    #[error("The group is not empty.")]
    NonEmptyGroup,
    /// Share coordinators are still doing what was asked of them before; Kafka would ask them at
    /// the same time.
    #[error("The coordinator is loading and hence can't process requests.")]
    StateChanges,
}

impl From<&ShareGroupError> for ErrorCode {
    fn from(error: &ShareGroupError) -> Self {
        match error {
            ShareGroupError::InvalidRequest(_) => Self::InvalidRequest,
            ShareGroupError::UnknownGroup(_)
            | ShareGroupError::NoGroup(_)
            | ShareGroupError::OtherType(_) => Self::GroupIdNotFound,
            ShareGroupError::GroupMaxSizeReached(_) => Self::GroupMaxSizeReached,
            ShareGroupError::UnknownMemberId { .. } => Self::UnknownMemberId,
            ShareGroupError::EpochAhead { .. } | ShareGroupError::EpochBehind { .. } => {
                Self::FencedMemberEpoch
            }
            ShareGroupError::NonEmptyGroup => Self::NonEmptyGroup,
            ShareGroupError::StateChanges => Self::CoordinatorLoadInProgress,
        }
    }
}
