//! Transactions as compaction sees them: which were aborted, and whether the marker that ended one
//! is still needed.
//!
//! Pure. Records of aborted transactions go; a marker stays until a look through the log has met
//! no batch of its transaction any more (KIP-98, KIP-534).

use std::collections::{BTreeMap, HashMap, HashSet};

use naru_model::{Offset, ProducerId};
use naru_records::{BatchHeader, ControlRecord, EndTxnMarker, Records};

use crate::txn_index::AbortedTxn;

/// Finds the aborted transactions in the headers of a log, from its beginning on.
#[derive(Debug, Default)]
pub(crate) struct AbortScan {
    open: HashMap<ProducerId, Offset>,
    aborted: BTreeMap<(Offset, ProducerId), AbortedTxn>,
}

impl AbortScan {
    /// Whether a transaction that began before `offset` has not ended yet.
    pub(crate) fn any_open_before(&self, offset: Offset) -> bool {
        self.open.values().any(|first| *first < offset)
    }

    pub(crate) fn data(&mut self, header: &BatchHeader) {
        if header.is_transactional() {
            self.open.entry(header.producer_id).or_insert(header.base_offset);
        }
    }

    pub(crate) fn marker(&mut self, header: &BatchHeader, marker: EndTxnMarker) {
        let Some(first) = self.open.remove(&header.producer_id) else { return };
        if let EndTxnMarker::Abort { .. } = marker {
            let (producer_id, last_offset) = (header.producer_id, header.last_offset());
            let still_open = self.open.values().copied().min();
            let aborted = AbortedTxn {
                producer_id,
                first_offset: first,
                last_offset,
                last_stable_offset: still_open.unwrap_or_else(|| last_offset.plus(1)),
            };
            self.aborted.insert((first, producer_id), aborted);
        }
    }

    /// The aborted transactions, by first offset.
    pub(crate) fn into_aborted(self) -> Vec<AbortedTxn> {
        self.aborted.into_values().collect()
    }
}

/// What is known of transactions at a place in the log, as it is walked from its beginning on.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Aborted ones that begin further on, the next one last.
    ahead: Vec<AbortedTxn>,
    /// Aborted ones that have begun, and whether a batch of them was met.
    aborted: HashMap<ProducerId, (AbortedTxn, bool)>,
    /// Producers of which batches were met that are not aborted.
    committed: HashSet<ProducerId>,
    /// Aborted ones whose markers stay: what the transaction index must tell.
    still_told: Vec<AbortedTxn>,
}

impl Transactions {
    /// `aborted` rises by first offset.
    pub(crate) fn new(mut aborted: Vec<AbortedTxn>) -> Self {
        aborted.reverse();
        Self { ahead: aborted, ..Self::default() }
    }

    /// Takes note of a batch of records; whether they are those of an aborted transaction.
    pub(crate) fn data(&mut self, header: &BatchHeader) -> bool {
        self.advance(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((_, met)) => {
                *met = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// Takes note of a control batch and the marker in it, if there is one; whether nothing of its
    /// transaction is left that needs it.
    pub(crate) fn control(&mut self, header: &BatchHeader, marker: Control) -> bool {
        self.advance(header.last_offset());
        match marker {
            // Its record was taken out before.
            Control::Empty => true,
            Control::Other => false,
            Control::EndTxn(EndTxnMarker::Commit { .. }) => {
                !self.committed.remove(&header.producer_id)
            }
            Control::EndTxn(EndTxnMarker::Abort { .. }) => {
                // A batch whose transaction nobody knows to be aborted has no records left, but
                // needs its marker all the same.
                let unknown = self.committed.remove(&header.producer_id);
                match self.aborted.remove(&header.producer_id) {
                    Some((aborted, true)) => {
                        self.still_told.push(aborted);
                        false
                    }
                    Some((_, false)) | None => !unknown,
                }
            }
        }
    }

    /// The aborted transactions that ended since this was asked last and must still be told.
    pub(crate) fn take_told(&mut self) -> Vec<AbortedTxn> {
        std::mem::take(&mut self.still_told)
    }

    fn advance(&mut self, upto: Offset) {
        while let Some(next) = self.ahead.pop_if(|next| next.first_offset <= upto) {
            self.aborted.entry(next.producer_id).or_insert((next, false));
        }
    }
}

/// What a control batch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// How a transaction ended.
    EndTxn(EndTxnMarker),
    /// Something else, which compaction does not touch.
    Other,
    /// It has no record any more.
    Empty,
}

/// Reads a control batch.
pub(crate) fn control_of(batch: &[u8]) -> Control {
    let mut scratch = Vec::new();
    let Ok(mut records) = Records::open(batch, CONTROL_LEN_MAX, &mut scratch) else {
        return Control::Other;
    };
    match records.next() {
        None => Control::Empty,
        Some(Ok(record)) => match ControlRecord::read(&record) {
            Some(ControlRecord::EndTxn(marker)) => Control::EndTxn(marker),
            _ => Control::Other,
        },
        Some(Err(_)) => Control::Other,
    }
}

/// What a control batch may inflate to.
const CONTROL_LEN_MAX: u64 = 1 << 20;
