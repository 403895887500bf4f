//! Which offsets of a log are not stable yet: those of transactions that are open, and of ones
//! whose marker is not committed by replication.
//!
//! Pure. The log notes what begins and ends; whoever knows the high watermark asks.

use std::collections::BTreeMap;

use naru_model::{Offset, ProducerId};

use crate::txn_index::AbortedTxn;

/// A transaction that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompletedTxn {
    pub(crate) producer_id: ProducerId,
    /// Offset of its first record.
    pub(crate) first: Offset,
    /// Offset of its marker.
    pub(crate) marker: Offset,
    pub(crate) aborted: bool,
    /// First offset of the oldest transaction that is still open, or what follows the marker.
    pub(crate) last_stable: Offset,
}

impl CompletedTxn {
    /// What goes into the transaction index, if it was aborted.
    pub(crate) fn index_entry(&self) -> Option<AbortedTxn> {
        self.aborted.then_some(AbortedTxn {
            producer_id: self.producer_id,
            first_offset: self.first,
            last_offset: self.marker,
            last_stable_offset: self.last_stable,
        })
    }
}

/// Transactions that have ended, by their first offset; those whose marker may be above the high
/// watermark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unreplicated {
    /// First offset and offset of the marker.
    ended: BTreeMap<Offset, Offset>,
}

impl Unreplicated {
    pub(crate) fn note(&mut self, completed: &CompletedTxn) {
        self.ended.insert(completed.first, completed.marker);
    }

    /// Forgets the transactions whose markers are below the high watermark.
    pub(crate) fn settle(&mut self, high_watermark: Offset) {
        self.ended.retain(|_, marker| *marker >= high_watermark);
    }

    /// Forgets the transactions whose markers were cut off.
    pub(crate) fn truncate(&mut self, end: Offset) {
        self.ended.retain(|_, marker| *marker < end);
    }

    pub(crate) fn clear(&mut self) {
        self.ended.clear();
    }

    /// First offset of the oldest of them.
    pub(crate) fn first(&self) -> Option<Offset> {
        self.ended.first_key_value().map(|(first, _)| *first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_unstable_until_its_marker_is_replicated() {
        let ended = |first, marker| CompletedTxn {
            producer_id: ProducerId(1),
            first: Offset(first),
            marker: Offset(marker),
            aborted: false,
            last_stable: Offset(marker + 1),
        };
        let mut unreplicated = Unreplicated::default();
        unreplicated.note(&ended(5, 9));
        unreplicated.note(&ended(2, 12));
        unreplicated.settle(Offset(9));
        assert_eq!(unreplicated.first(), Some(Offset(2)));
        unreplicated.settle(Offset(12));
        assert_eq!(unreplicated.first(), Some(Offset(2)), "5 is settled, 2 is not");
        unreplicated.settle(Offset(13));
        assert_eq!(unreplicated.first(), None);
    }
}
