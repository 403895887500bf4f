//! Why a share coordinator refuses, in Kafka's words.

use naru_model::ErrorCode;

/// Why a share coordinator refuses. The text reaches who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareStateError {
    /// No partition has such a number.
    #[error("The partition id cannot be a negative number.")]
    NegativePartition,
    /// Written to before it was initialized.
    #[error("Write operation on uninitialized share partition not allowed.")]
    WriteUninitialized,
    /// Read before it was initialized.
    #[error("Read operation on uninitialized share partition not allowed.")]
    ReadUninitialized,
    /// A newer leader of the partition has been here.
    #[error("The leader epoch in the request is older than the epoch on the broker.")]
    FencedLeaderEpoch,
    /// The state has been initialized anew since.
    #[error(
        "The share coordinator rejected the request because the share-group state epoch did not \
         match."
    )]
    FencedStateEpoch,
    /// The cluster has no such partition.
    #[error("This server does not host this topic-partition.")]
    UnknownTopicOrPartition,
    /// The record could not be stored, or this is not the coordinator any more.
    #[error("{0}")]
    Log(ErrorCode),
}

impl From<ShareStateError> for ErrorCode {
    fn from(error: ShareStateError) -> Self {
        match error {
            ShareStateError::NegativePartition
            | ShareStateError::WriteUninitialized
            | ShareStateError::ReadUninitialized => Self::InvalidRequest,
            ShareStateError::FencedLeaderEpoch => Self::FencedLeaderEpoch,
            ShareStateError::FencedStateEpoch => Self::FencedStateEpoch,
            ShareStateError::UnknownTopicOrPartition => Self::UnknownTopicOrPartition,
            ShareStateError::Log(code) => code,
        }
    }
}
