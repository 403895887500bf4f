//! What can go wrong with a log, and the one Kafka error code for each.

use std::io;
use std::path::{Path, PathBuf};

use naru_model::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use rustix::io::Errno;

/// The disk refused something; the log directory should go offline unless space is all it lacks.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct StorageError {
    /// What was being done.
    pub action: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// The operating system's answer.
    #[source]
    pub source: io::Error,
}

impl StorageError {
    /// Whether the disk (or the quota) is full.
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero
        )
    }

    /// Whether the process (or the system) has too many files open to open one more.
    pub fn lacks_descriptors(&self) -> bool {
        let code = self.source.raw_os_error();
        [Errno::MFILE, Errno::NFILE].iter().any(|errno| Some(errno.raw_os_error()) == code)
    }
}

impl StorageError {
    /// The same once more, for several waiters; the system's code survives.
    pub fn again(&self) -> Self {
        let source = match self.source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self { action: self.action, path: self.path.clone(), source }
    }
}

/// Names what was done with which file when it failed.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StorageError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StorageError> {
        self.map_err(|source| StorageError { action, path: path.to_path_buf(), source })
    }
}

/// A batch was not appended; the log is as it was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// An older generation of a producer (KIP-98).
    #[error("producer {producer_id} has epoch {current}, the batch has {request}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// Epoch of the batch.
        request: ProducerEpoch,
        /// The last epoch seen.
        current: ProducerEpoch,
    },
    /// A batch is missing before this one.
    #[error("producer {producer_id}: sequence {request} does not follow {last:?}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// First sequence of the batch.
        request: Sequence,
        /// The last sequence in the log; none if the producer began a new epoch.
        last: Option<Sequence>,
    },
    /// A batch with the sequences of a batch whose transaction has ended.
    #[error("producer {producer_id}: sequence {request} is of a transaction that has ended")]
    SequenceOfEndedTxn {
        /// The producer.
        producer_id: ProducerId,
        /// First sequence of the batch.
        request: Sequence,
    },
    /// A plain batch from a producer that has a transaction open here.
    #[error("producer {producer_id} has a transaction open, the batch is not transactional")]
    InvalidTxnState {
        /// The producer.
        producer_id: ProducerId,
    },
    /// A transactional batch of which the transaction coordinator does not know (KIP-890).
    #[error("the batch of producer {producer_id} is not part of an ongoing transaction")]
    NotVerified {
        /// The producer.
        producer_id: ProducerId,
    },
    /// A marker from a transaction coordinator that has been replaced.
    #[error("coordinator epoch {request} is older than {current}")]
    CoordinatorFenced {
        /// Of the marker.
        request: i32,
        /// The last one seen.
        current: i32,
    },
    /// It could never fit a segment.
    #[error("a batch of {bytes} bytes is larger than segment.bytes = {max}")]
    LargerThanSegment {
        /// Bytes of the batch.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// What a follower was given does not continue its log.
    #[error("offset {first} does not follow the log end {log_end}")]
    OffsetsOutOfOrder {
        /// First offset given.
        first: Offset,
        /// The log's end.
        log_end: Offset,
    },
    /// What a follower was given cannot be read.
    #[error("the batch at offset {at} is damaged: {error}")]
    Damaged {
        /// Log end when it was met.
        at: Offset,
        /// What is wrong.
        error: naru_records::BatchError,
    },
    /// The leader's epoch goes back.
    #[error("leader epoch {request} is older than {current} in the log")]
    EpochWentBack {
        /// Of the append.
        request: LeaderEpoch,
        /// The last one in the log.
        current: LeaderEpoch,
    },
    /// The disk refused the write.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An earlier failure could not be undone: the log takes no appends until it is reopened.
    #[error("the log is closed to appends since: {0}")]
    Failed(String),
}

impl From<&AppendError> for ErrorCode {
    fn from(error: &AppendError) -> Self {
        match error {
            AppendError::InvalidProducerEpoch { .. } => Self::InvalidProducerEpoch,
            AppendError::OutOfOrderSequence { .. } | AppendError::SequenceOfEndedTxn { .. } => {
                Self::OutOfOrderSequenceNumber
            }
            AppendError::InvalidTxnState { .. } | AppendError::NotVerified { .. } => {
                Self::InvalidTxnState
            }
            AppendError::CoordinatorFenced { .. } => Self::TransactionCoordinatorFenced,
            AppendError::LargerThanSegment { .. } => Self::RecordListTooLarge,
            AppendError::OffsetsOutOfOrder { .. } | AppendError::Damaged { .. } => {
                Self::CorruptMessage
            }
            AppendError::EpochWentBack { .. } => Self::FencedLeaderEpoch,
            AppendError::Storage(_) | AppendError::Failed(_) => Self::KafkaStorageError,
        }
    }
}

/// Nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log does not have this offset.
    #[error("the log has offsets {start} to {end}")]
    OutOfRange {
        /// Log start.
        start: Offset,
        /// Log end.
        end: Offset,
    },
    /// The disk refused the read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bytes on the disk are not what was written.
    #[error("{} is damaged at position {position}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        position: u64,
    },
}

impl From<&ReadError> for ErrorCode {
    fn from(error: &ReadError) -> Self {
        match error {
            ReadError::OutOfRange { .. } => Self::OffsetOutOfRange,
            ReadError::Storage(_) | ReadError::Damaged { .. } => Self::KafkaStorageError,
        }
    }
}
