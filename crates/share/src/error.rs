//! Why an acknowledgement or a request of a session is refused.

use naru_model::ErrorCode;

/// Why acknowledgements of one partition are refused. All of them are, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// Records that nobody was given.
    #[error("Batch record not found. The request batch offsets are not found in the cache.")]
    NotFound,
    /// The range begins behind everything that was delivered.
    #[error("Batch record not found. The first offset in request is past acquired records.")]
    FirstPastAcquired,
    /// The range ends behind everything that was delivered.
    #[error("Batch record not found. The last offset in request is past acquired records.")]
    LastPastAcquired,
    /// Another member holds a record.
    #[error("Member is not the owner of batch record")]
    NotOwner,
    /// Nobody holds a record any more.
    #[error("The batch cannot be acknowledged. The batch is not in the acquired state.")]
    NotAcquired,
    /// As [`Self::NotOwner`], where records that were delivered together went different ways.
    #[error("Member is not the owner of offset")]
    NotOwnerOfOffset,
    /// As [`Self::NotAcquired`], where records that were delivered together went different ways.
    #[error("The offset cannot be acknowledged. The offset is not acquired.")]
    OffsetNotAcquired,
    /// A record is being acknowledged by another request.
    #[error("The record state is invalid. The acknowledgement of delivery could not be completed.")]
    UnderWay,
    /// The group does not let its members extend their hold (KIP-1222).
    #[error("Renewing acquisition locks is not enabled for the group.")]
    RenewDisabled,
}

impl From<AckError> for ErrorCode {
    fn from(error: AckError) -> Self {
        match error {
            AckError::FirstPastAcquired | AckError::LastPastAcquired => Self::InvalidRequest,
            AckError::NotFound
            | AckError::NotOwner
            | AckError::NotOwnerOfOffset
            | AckError::NotAcquired
            | AckError::OffsetNotAcquired
            | AckError::UnderWay
            | AckError::RenewDisabled => Self::InvalidRecordState,
        }
    }
}

/// Why a request does not fit its share session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no such session.
    #[error("no such share session")]
    NotFound,
    /// The epoch is not the next one.
    #[error("the share session expects another epoch")]
    InvalidEpoch,
    /// A new session has nothing to acknowledge yet.
    #[error("acknowledgements in the first request of a share session")]
    AcknowledgesTooEarly,
    /// There are as many sessions as the broker remembers.
    #[error("the limit of share sessions is reached")]
    LimitReached,
    /// One session would have more partitions than the broker remembers.
    #[error("too many partitions in one share session")]
    TooManyPartitions,
}

impl From<SessionError> for ErrorCode {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotFound => Self::ShareSessionNotFound,
            SessionError::InvalidEpoch => Self::InvalidShareSessionEpoch,
            SessionError::AcknowledgesTooEarly | SessionError::TooManyPartitions => {
                Self::InvalidRequest
            }
            SessionError::LimitReached => Self::ShareSessionLimitReached,
        }
    }
}
