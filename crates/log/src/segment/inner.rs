//! The two indexes of a segment, its greatest timestamp, and what their entries mean.
//!
//! Owned by the segment's lock. Entries are Kafka's: relative offset and position, 4 bytes each;
//! timestamp in 8 bytes and relative offset in 4.

use std::sync::Arc;

use naru_model::{Offset, Timestamp};

use crate::disk::{Disk, DiskFile};
use crate::entries::Entries;
use crate::error::StorageError;
use crate::txn_index::TxnIndex;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) file: Option<Arc<dyn DiskFile>>,
    pub(super) offsets: Entries<8>,
    pub(super) times: Entries<12>,
    pub(super) aborted: TxnIndex,
    pub(super) max: Greatest,
    /// Max timestamp of the first batch, from which `segment.ms` counts.
    pub(super) first_timestamp: Option<Timestamp>,
    pub(super) bytes_since_entry: u64,
    pub(super) index_is_bad: bool,
    pub(super) modified: Timestamp,
}

/// The greatest timestamp, with the last offset of the batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greatest {
    /// Not looked up yet: it is the last entry of the time index.
    InIndex,
    Known(Option<(Timestamp, Offset)>),
}

impl Inner {
    pub(super) fn greatest(
        &mut self,
        disk: &dyn Disk,
        base: Offset,
    ) -> Result<Option<(Timestamp, Offset)>, StorageError> {
        if let Greatest::Known(known) = self.max {
            return Ok(known);
        }
        let last = self.times.last(disk)?;
        let known = last.map(|e| (timestamp_of(&e), base.plus(i64::from(time_relative_of(&e)))));
        self.max = Greatest::Known(known);
        Ok(known)
    }

    pub(super) fn append_offset(&mut self, base: Offset, last_offset: Offset, position: u64) {
        let relative = u32::try_from(last_offset.0 - base.0);
        let position = u32::try_from(position);
        // Neither can overflow: the segment rolls first.
        if let (Ok(relative), Ok(position)) = (relative, position) {
            let mut entry = [0; 8];
            entry[..4].copy_from_slice(&relative.to_be_bytes());
            entry[4..].copy_from_slice(&position.to_be_bytes());
            self.offsets.append(entry);
        }
    }

    /// Appends the greatest timestamp so far, unless the last entry has it, or cannot be read:
    /// entries must rise.
    pub(super) fn append_time(&mut self, disk: &dyn Disk, base: Offset) {
        let Ok(Some((time, offset))) = self.greatest(disk, base) else { return };
        let Ok(last) = self.times.last(disk) else { return };
        if last.is_some_and(|e| timestamp_of(&e) >= time) {
            return;
        }
        if let Ok(relative) = u32::try_from(offset.0 - base.0) {
            let mut entry = [0; 12];
            entry[..8].copy_from_slice(&time.0.to_be_bytes());
            entry[8..].copy_from_slice(&relative.to_be_bytes());
            self.times.append(entry);
        }
    }

    pub(super) fn write(&mut self, disk: &dyn Disk) -> Result<(), StorageError> {
        self.offsets.write(disk)?;
        self.times.write(disk)?;
        self.aborted.write(disk)
    }

    /// Looks at the last two entries of each index only.
    pub(super) fn ends_plausibly(
        &mut self,
        disk: &dyn Disk,
        size: u64,
    ) -> Result<bool, StorageError> {
        if let Some(at) = self.offsets.count().checked_sub(1) {
            let last = self.offsets.entry(disk, at)?;
            if position_of(&last) >= size || position_of(&last) == 0 {
                return Ok(false);
            }
            if let Some(at) = at.checked_sub(1) {
                let before = self.offsets.entry(disk, at)?;
                let rises = relative_of(&before) < relative_of(&last)
                    && position_of(&before) < position_of(&last);
                if !rises {
                    return Ok(false);
                }
            }
        }
        if let Some(at) = self.times.count().checked_sub(1) {
            let last = self.times.entry(disk, at)?;
            if timestamp_of(&last).0 < 0 {
                return Ok(false);
            }
            if let Some(at) = at.checked_sub(1) {
                let before = self.times.entry(disk, at)?;
                let rises = timestamp_of(&before) < timestamp_of(&last)
                    && time_relative_of(&before) <= time_relative_of(&last);
                if !rises {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

pub(super) fn relative_of(entry: &[u8; 8]) -> u32 {
    u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]])
}

pub(super) fn position_of(entry: &[u8; 8]) -> u64 {
    u64::from(u32::from_be_bytes([entry[4], entry[5], entry[6], entry[7]]))
}

pub(super) fn timestamp_of(entry: &[u8; 12]) -> Timestamp {
    let [time @ .., _, _, _, _] = *entry;
    Timestamp(i64::from_be_bytes(time))
}

pub(super) fn time_relative_of(entry: &[u8; 12]) -> u32 {
    let [_, _, _, _, _, _, _, _, relative @ ..] = *entry;
    u32::from_be_bytes(relative)
}
