//! The check of what a client sends for one partition: exactly one honest batch.
//!
//! Hot path: no allocation per record, none per batch unless it is refused or compressed.

use naru_model::Timestamp;

use crate::error::{BatchError, InvalidBatch, RecordError, RecordProblem};
use crate::header::{BatchHeader, TimestampType, crc_of};
use crate::walk::walk_records;

/// At most this many refused records are named one by one.
const RECORD_ERRORS_MAX: usize = 1000;

/// What a topic asks of the batches produced to it.
#[derive(Debug, Clone, Copy)]
pub struct ProduceLimits {
    /// `max.message.bytes`: of the whole batch, as sent.
    pub max_message_bytes: usize,
    /// What the records of a compressed batch may inflate to, in bytes.
    pub inflated_max: u64,
    /// `message.timestamp.type`; the before and after limits hold for `CreateTime` only.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// Whether `cleanup.policy` has compact: every record needs a key.
    pub compacted: bool,
    /// The broker's clock.
    pub now: Timestamp,
}

/// What the check has found out about a good batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidBatch {
    /// The header as sent.
    pub header: BatchHeader,
    /// The greatest timestamp of the records, which the header may have told wrongly.
    /// With `LogAppendTime` the broker's time replaces it at the append.
    pub max_timestamp: Timestamp,
}

impl ValidBatch {
    /// How many records it has, one at least.
    pub const fn record_count(&self) -> i32 {
        self.header.record_count
    }
}

/// Checks what a client produced to one partition.
pub fn validate_produced(bytes: &[u8], limits: &ProduceLimits) -> Result<ValidBatch, InvalidBatch> {
    let header = check_frame(bytes, limits.max_message_bytes)?;
    check_claims(&header)?;

    let mut max_timestamp = -1;
    let mut refused: Vec<RecordError> = Vec::new();
    let rules = RecordRules::new(&header, limits);
    walk_records(&header, bytes, limits.inflated_max, |index, seen| {
        let timestamp = header.base_timestamp.0.wrapping_add(seen.timestamp_delta);
        max_timestamp = max_timestamp.max(timestamp);
        if let Some(problem) = rules.problem(index, timestamp, seen.has_key, seen.attributes)
            && refused.len() < RECORD_ERRORS_MAX
        {
            let batch_index = i32::try_from(index).unwrap_or(i32::MAX);
            refused.push(RecordError { batch_index, problem });
        }
    })?;
    if !refused.is_empty() {
        return Err(InvalidBatch::Records(refused));
    }
    Ok(ValidBatch { header, max_timestamp: Timestamp(max_timestamp) })
}

/// One batch, of the size it says, with the right checksum.
fn check_frame(bytes: &[u8], max_message_bytes: usize) -> Result<BatchHeader, InvalidBatch> {
    if bytes.is_empty() {
        return Err(InvalidBatch::Empty);
    }
    let header = BatchHeader::parse(bytes)?;
    let size = header.size();
    if size > bytes.len() {
        let error = BatchError::Truncated { needed: size as u64, available: bytes.len() as u64 };
        return Err(error.into());
    }
    if size > max_message_bytes {
        return Err(InvalidBatch::TooLarge { bytes: size, max: max_message_bytes });
    }
    let computed = crc_of(&bytes[..size]);
    if computed != header.crc {
        return Err(BatchError::Crc { stored: header.crc, computed }.into());
    }
    if size < bytes.len() {
        return Err(InvalidBatch::MoreThanOneBatch { bytes: bytes.len() - size });
    }
    Ok(header)
}

/// What the header claims, before any record is looked at.
fn check_claims(header: &BatchHeader) -> Result<(), InvalidBatch> {
    header.compression()?;
    let (count, last_offset_delta) = (header.record_count, header.last_offset_delta);
    if count == 0 && last_offset_delta == -1 {
        return Err(InvalidBatch::NoRecords);
    }
    if count <= 0 || last_offset_delta != count - 1 {
        return Err(BatchError::Count { count, last_offset_delta }.into());
    }
    if header.is_control() {
        return Err(InvalidBatch::ControlBatch);
    }
    if header.base_offset.0 != 0 {
        return Err(InvalidBatch::BaseOffset(header.base_offset.0));
    }
    let producer_id = header.producer_id.0;
    if producer_id < 0 {
        if header.is_transactional() {
            return Err(InvalidBatch::TransactionalWithoutProducerId);
        }
    } else if header.base_sequence.0 < 0 {
        let sequence = header.base_sequence.0;
        return Err(InvalidBatch::NegativeSequence { producer_id, sequence });
    } else if header.producer_epoch.0 < 0 {
        let epoch = header.producer_epoch.0;
        return Err(InvalidBatch::NegativeEpoch { producer_id, epoch });
    }
    Ok(())
}

/// The rules for single records, worked out once per batch.
struct RecordRules {
    compacted: bool,
    /// None if records may have any time.
    times: Option<(i64, i64)>,
    log_append_time_from_client: bool,
    compressed: bool,
}

impl RecordRules {
    fn new(header: &BatchHeader, limits: &ProduceLimits) -> Self {
        let now = limits.now.0;
        Self {
            compacted: limits.compacted,
            times: match limits.timestamp_type {
                TimestampType::CreateTime => Some((
                    now.saturating_sub(limits.timestamp_before_max_ms),
                    now.saturating_add(limits.timestamp_after_max_ms),
                )),
                TimestampType::LogAppendTime => None,
            },
            log_append_time_from_client: header.timestamp_type() == TimestampType::LogAppendTime,
            compressed: header.attributes & 0x07 != 0,
        }
    }

    #[inline]
    fn problem(
        &self,
        index: u32,
        timestamp: i64,
        has_key: bool,
        attributes: i8,
    ) -> Option<RecordProblem> {
        if self.compressed && attributes & 0x07 != 0 {
            return Some(RecordProblem::InnerCompression);
        }
        if self.compacted && !has_key {
            return Some(RecordProblem::NoKey);
        }
        if self.log_append_time_from_client {
            return Some(RecordProblem::LogAppendTimeFromClient);
        }
        let (earliest, latest) = self.times?;
        // -1 says that the record has no time.
        if timestamp != -1 && !(earliest..=latest).contains(&timestamp) {
            let offset = i64::from(index);
            return Some(RecordProblem::TimestampOutOfRange {
                timestamp,
                offset,
                earliest,
                latest,
            });
        }
        None
    }
}
