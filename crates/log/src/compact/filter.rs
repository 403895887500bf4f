//! What compaction leaves of one batch.
//!
//! Pure: bytes and the map of last offsets in, bytes out. The rules are Kafka's: of each key the
//! last record stays; tombstones and markers stay until the delete horizon that the first
//! compaction after them has written into their batch (KIP-534); a producer's last batch stays,
//! empty if need be, as its sequence numbers are read from it.

use std::collections::HashMap;

use naru_model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use naru_records::{BatchError, BatchHeader, empty_batch, select};

use super::offset_map::OffsetMap;
use super::transactions::{Transactions, control_of};

/// What stays of a producer whatever its records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastOfProducer {
    /// The batch that ends at this offset.
    Batch(Offset),
    /// It has written nothing in this epoch but markers, which tell the epoch.
    Marker(ProducerEpoch),
}

/// What all batches of one compaction are judged by.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) map: &'a OffsetMap,
    /// Records from here on are not in the map, and all stay.
    pub(crate) map_end: Offset,
    pub(crate) last_of_producers: &'a HashMap<ProducerId, LastOfProducer>,
    /// The batch before this offset stays, as it tells where the compacted part ends.
    pub(crate) upper: Offset,
    pub(crate) now: Timestamp,
    pub(crate) delete_retention_ms: i64,
    pub(crate) inflated_max: u64,
}

/// What is left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// The batch as it is.
    Same,
    Less(Vec<u8>),
}

/// Records of a batch, and those of them that are left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    pub(crate) kept: u64,
    /// Without a key, which compaction has no use for.
    pub(crate) keyless: u64,
}

impl Rules<'_> {
    /// Judges the batches of a log one after the other. The CRC of `batch` was checked.
    pub(crate) fn clean(
        &self,
        batch: &[u8],
        header: &BatchHeader,
        transactions: &mut Transactions,
        scratch: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Result<Left, BatchError> {
        let is_control = header.is_control();
        let can_go = if is_control {
            transactions.control(header, control_of(batch))
        } else {
            transactions.data(header)
        };
        let horizon = header.delete_horizon();
        let is_past = horizon.is_some_and(|horizon| horizon <= self.now);
        let all_go = if is_control { can_go && is_past } else { can_go };

        let selection = select(batch, self.inflated_max, scratch, |record| {
            counts.records += 1;
            if all_go {
                return false;
            }
            if is_control || record.offset >= self.map_end {
                return true;
            }
            let Some(key) = record.key else {
                counts.keyless += 1;
                return false;
            };
            let is_last = self.map.last_of(key).is_none_or(|last| record.offset >= last);
            is_last && (record.value.is_some() || !is_past)
        })?;
        counts.kept += selection.len() as u64;
        let failed = |error: std::io::Error| BatchError::Inflate {
            codec: header.compression().unwrap_or_default(),
            reason: error.to_string(),
        };
        if selection.is_empty() {
            return if !self.must_stay(header) {
                Ok(Left::Nothing)
            } else if header.record_count == 0 {
                Ok(Left::Same)
            } else {
                empty_batch(header).map(Left::Less).map_err(failed)
            };
        }
        let needs_horizon = selection.has_tombstone() || (can_go && is_control);
        let horizon = match horizon {
            None if needs_horizon => {
                Some(Timestamp(self.now.0.saturating_add(self.delete_retention_ms)))
            }
            known if selection.is_whole() => {
                debug_assert_eq!(known, header.delete_horizon());
                return Ok(Left::Same);
            }
            known => known,
        };
        selection.to_batch(horizon).map(Left::Less).map_err(failed)
    }

    /// Whether the batch stays even without records.
    fn must_stay(&self, header: &BatchHeader) -> bool {
        let last = header.producer().and_then(|stamp| self.last_of_producers.get(&stamp.id));
        let is_last = match last {
            Some(LastOfProducer::Batch(offset)) => header.last_offset() == *offset,
            Some(LastOfProducer::Marker(epoch)) => {
                header.is_control() && header.producer_epoch == *epoch
            }
            None => false,
        };
        is_last || header.next_offset() == self.upper
    }
}
