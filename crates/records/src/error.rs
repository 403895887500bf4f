//! What can be wrong with a batch, and the one Kafka error code each fault is answered with.

use naru_model::ErrorCode;

use crate::codec::Compression;

/// A batch, or the records in it, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes are there than the batch needs.
    #[error("the batch needs {needed} bytes, {available} are there")]
    Truncated {
        /// Bytes of the whole batch, or of its header when its length is not known.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
    /// The length field is less than a header.
    #[error("batch length {0} is less than the header's")]
    LengthTooSmall(i32),
    /// A format other than magic 2.
    #[error("magic {0} is not served, only 2")]
    Magic(i8),
    /// The checksum does not agree with the bytes.
    #[error("CRC is {stored:#010x} in the header but {computed:#010x} over the bytes")]
    Crc {
        /// From the header.
        stored: u32,
        /// Over attributes to the end.
        computed: u32,
    },
    /// A codec number nobody defined.
    #[error("unknown compression type {0}")]
    UnknownCompression(u8),
    /// The compressed bytes are not what the codec writes.
    #[error("the {codec} data cannot be read: {reason}")]
    Inflate {
        /// The codec that the attributes name.
        codec: Compression,
        /// The codec's own words.
        reason: String,
    },
    /// The compressed bytes inflate to more than is allowed.
    #[error("the batch inflates to more than {limit} bytes")]
    InflatedTooLarge {
        /// The limit that was given.
        limit: u64,
    },
    /// The record count is negative, or does not agree with the last offset delta.
    #[error("record count {count} does not agree with last offset delta {last_offset_delta}")]
    Count {
        /// Record count in the header.
        count: i32,
        /// Last offset delta in the header.
        last_offset_delta: i32,
    },
    /// A record is malformed.
    #[error("record {index}: {shape}")]
    Record {
        /// Index of the record within the batch.
        index: u32,
        /// What is wrong with it.
        shape: RecordShape,
    },
    /// There are bytes after the last record that the header counts.
    #[error("bytes are left over after the last of {count} records")]
    Leftover {
        /// Record count in the header.
        count: i32,
    },
}

/// What can be malformed in one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordShape {
    /// The bytes end inside the record.
    #[error("the bytes end inside it")]
    End,
    /// A varint does not end.
    #[error("a varint is too long")]
    Varint,
    /// A length is negative where none may be.
    #[error("a negative length")]
    NegativeLength,
    /// A key, value or header reaches beyond the record.
    #[error("a field reaches beyond its length")]
    Overrun,
    /// The fields end before the record does.
    #[error("its length is greater than its fields")]
    Underrun,
    /// The offset deltas are not 0, 1, 2 and so on.
    #[error("offset deltas are not consecutive")]
    OffsetDelta,
}

impl From<&BatchError> for ErrorCode {
    fn from(error: &BatchError) -> Self {
        match error {
            BatchError::Magic(0 | 1)
            | BatchError::Truncated { .. }
            | BatchError::Inflate { .. }
            | BatchError::Count { .. }
            | BatchError::Record { .. }
            | BatchError::Leftover { .. } => Self::InvalidRecord,
            BatchError::Magic(_) | BatchError::LengthTooSmall(_) | BatchError::Crc { .. } => {
                Self::CorruptMessage
            }
            BatchError::UnknownCompression(_) => Self::UnsupportedCompressionType,
            BatchError::InflatedTooLarge { .. } => Self::MessageTooLarge,
        }
    }
}

/// A client's batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// No bytes at all.
    #[error("the partition has no record batch")]
    Empty,
    /// It cannot be read.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Something follows the first batch.
    #[error("{bytes} bytes follow the first batch, only one batch is allowed")]
    MoreThanOneBatch {
        /// Bytes after the first batch.
        bytes: usize,
    },
    /// Larger than `max.message.bytes`.
    #[error("the record batch has {bytes} bytes, more than max.message.bytes = {max}")]
    TooLarge {
        /// Bytes of the batch.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Producers number offsets from zero.
    #[error("the base offset is {0} where a producer must send 0")]
    BaseOffset(i64),
    /// No record in it.
    #[error("the batch has no record")]
    NoRecords,
    /// Only brokers write control records.
    #[error("clients may not write control records")]
    ControlBatch,
    /// Transactional records need a producer id.
    #[error("the batch is transactional but has no producer id")]
    TransactionalWithoutProducerId,
    /// Idempotent records need a sequence.
    #[error("sequence number {sequence} with producer id {producer_id}")]
    NegativeSequence {
        /// The producer.
        producer_id: i64,
        /// What it sent.
        sequence: i32,
    },
    /// Idempotent records need an epoch.
    #[error("producer epoch {epoch} with producer id {producer_id}")]
    NegativeEpoch {
        /// The producer.
        producer_id: i64,
        /// What it sent.
        epoch: i16,
    },
    /// Single records are refused; the rest of the batch with them.
    #[error("{}", records_refused(.0))]
    Records(Vec<RecordError>),
}

impl InvalidBatch {
    /// The refused records, for the `record_errors` of a produce response.
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            Self::Records(errors) => errors,
            _ => &[],
        }
    }
}

impl From<&InvalidBatch> for ErrorCode {
    fn from(error: &InvalidBatch) -> Self {
        match error {
            InvalidBatch::Batch(error) => error.into(),
            InvalidBatch::TooLarge { .. } => Self::MessageTooLarge,
            InvalidBatch::Empty
            | InvalidBatch::MoreThanOneBatch { .. }
            | InvalidBatch::BaseOffset(_)
            | InvalidBatch::NoRecords
            | InvalidBatch::ControlBatch
            | InvalidBatch::TransactionalWithoutProducerId
            | InvalidBatch::NegativeSequence { .. }
            | InvalidBatch::NegativeEpoch { .. } => Self::InvalidRecord,
            InvalidBatch::Records(errors) => {
                if errors.iter().any(|error| error.problem.is_about_time()) {
                    Self::InvalidTimestamp
                } else {
                    Self::InvalidRecord
                }
            }
        }
    }
}

/// Why one record is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Index of the record within the batch.
    pub batch_index: i32,
    /// What is wrong.
    pub problem: RecordProblem,
}

/// What a well-formed record may still be refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// A compacted topic needs keys.
    #[error("Compacted topic cannot accept message without key")]
    NoKey,
    /// Outside `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`.
    #[error(
        "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp \
         should be within [{earliest}, {latest}]"
    )]
    TimestampOutOfRange {
        /// The record's timestamp.
        timestamp: i64,
        /// The record's offset delta.
        offset: i64,
        /// The earliest that is accepted.
        earliest: i64,
        /// The latest that is accepted.
        latest: i64,
    },
    /// A producer claimed that the broker had set the time.
    #[error("Invalid timestamp type: producer should not set timestamp type to LogAppendTime.")]
    LogAppendTimeFromClient,
    /// Attributes of a record inside a compressed batch name a codec.
    #[error("Compressed outer record should not have an inner record with a compression attribute")]
    InnerCompression,
}

impl RecordProblem {
    fn is_about_time(self) -> bool {
        matches!(self, Self::TimestampOutOfRange { .. } | Self::LogAppendTimeFromClient)
    }
}

fn records_refused(errors: &[RecordError]) -> String {
    if errors.iter().any(|error| error.problem.is_about_time()) {
        "One or more records have been rejected due to invalid timestamp".to_owned()
    } else {
        let first = errors.first().map(|error| error.problem.to_string()).unwrap_or_default();
        format!("{} records have been rejected; the first because: {first}", errors.len())
    }
}
