//! The check of batches that lie in a log: shape and checksum, not the records inside.

use naru_model::{LeaderEpoch, Offset, Timestamp};

use crate::error::BatchError;
use crate::header::batches;

/// What [`verify_stored`] has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSummary {
    /// Bytes of whole, good batches from the beginning.
    pub valid_bytes: usize,
    /// How many batches these are.
    pub batches: usize,
    /// Offset of the first batch.
    pub base_offset: Option<Offset>,
    /// Offset after the last record.
    pub next_offset: Option<Offset>,
    /// The greatest timestamp, and the last offset of the batch that has it.
    pub max_timestamp: Option<(Timestamp, Offset)>,
    /// Leader epoch of the last batch.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Why the walk ended before the end of the bytes, if it did: the batch after `valid_bytes`.
    pub fault: Option<BatchError>,
}

/// Checks batch after batch until one is bad, partial, or the bytes end.
///
/// Offsets must rise from batch to batch; compaction may have left gaps and empty batches.
pub fn verify_stored(bytes: &[u8]) -> StoredSummary {
    let mut summary = StoredSummary {
        valid_bytes: 0,
        batches: 0,
        base_offset: None,
        next_offset: None,
        max_timestamp: None,
        leader_epoch: None,
        fault: None,
    };
    let mut walk = batches(bytes);
    while let Some(item) = walk.next() {
        let (header, batch) = match item {
            Ok(item) => item,
            Err(error) => {
                summary.fault = Some(error);
                return summary;
            }
        };
        let rises = summary.next_offset.is_none_or(|next| header.base_offset >= next);
        let sane = header.last_offset_delta >= 0 && header.record_count >= 0 && rises;
        let good = if sane {
            header.check_crc(batch)
        } else {
            let (count, last_offset_delta) = (header.record_count, header.last_offset_delta);
            Err(BatchError::Count { count, last_offset_delta })
        };
        if let Err(error) = good {
            summary.fault = Some(error);
            return summary;
        }
        summary.valid_bytes = walk.position();
        summary.batches += 1;
        summary.base_offset.get_or_insert(header.base_offset);
        summary.next_offset = Some(header.next_offset());
        summary.leader_epoch = Some(header.partition_leader_epoch);
        if summary.max_timestamp.is_none_or(|(max, _)| header.max_timestamp > max) {
            summary.max_timestamp = Some((header.max_timestamp, header.last_offset()));
        }
    }
    if summary.valid_bytes < bytes.len() {
        let available = (bytes.len() - summary.valid_bytes) as u64;
        summary.fault = Some(BatchError::Truncated { needed: available + 1, available });
    }
    summary
}
