//! Why a request of a transactional producer is refused.

use naru_model::ErrorCode;

use crate::error::append_error;

/// Why a request of a transactional producer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TxnError {
    #[error("the transactional id is empty")]
    EmptyTransactionalId,
    #[error("the transaction timeout is not between 1 and transaction.max.timeout.ms")]
    InvalidTimeout,
    #[error("another transition of this transactional id is in progress")]
    ConcurrentTransactions,
    #[error("a newer producer uses this transactional id")]
    ProducerFenced,
    #[error("the producer id does not belong to this transactional id")]
    InvalidProducerIdMapping,
    #[error("the transaction is in a state that does not allow this")]
    InvalidTxnState,
    #[error("the transactional id is not known")]
    TransactionalIdNotFound,
}

impl From<TxnError> for ErrorCode {
    fn from(error: TxnError) -> Self {
        match error {
            TxnError::EmptyTransactionalId => Self::InvalidRequest,
            TxnError::InvalidTimeout => Self::InvalidTransactionTimeout,
            TxnError::ConcurrentTransactions => Self::ConcurrentTransactions,
            TxnError::ProducerFenced => Self::ProducerFenced,
            TxnError::InvalidProducerIdMapping => Self::InvalidProducerIdMapping,
            TxnError::InvalidTxnState => Self::InvalidTxnState,
            TxnError::TransactionalIdNotFound => Self::TransactionalIdNotFound,
        }
    }
}

/// What clients are told when a record of the transaction log could not be appended. A record
/// that is too large is none of the client's business, in Kafka's words.
pub(super) fn log_error(error: ErrorCode) -> ErrorCode {
    match append_error(error) {
        ErrorCode::MessageTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}
