//! Control records: what brokers write between the records of clients (KIP-98, KIP-595).
//!
//! The key is a version and a type, both 16 bits; the value depends on the type.

use std::io;

use naru_model::{ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::builder::{BatchBuilder, BatchOptions};
use crate::header::ProducerStamp;
use crate::record::{Record, Records};

/// Whether a transaction was committed or aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndTxnMarker {
    /// Readers may see its records.
    Commit {
        /// Epoch of the transaction coordinator that decided.
        coordinator_epoch: i32,
    },
    /// Readers of committed data skip its records.
    Abort {
        /// Epoch of the transaction coordinator that decided.
        coordinator_epoch: i32,
    },
}

/// A control record by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlRecord<'a> {
    /// End of a transaction.
    EndTxn(EndTxnMarker),
    /// A new leader of the metadata quorum; the value is a LeaderChangeMessage.
    LeaderChange(&'a [u8]),
    /// First record of a metadata snapshot.
    SnapshotHeader(&'a [u8]),
    /// Last record of a metadata snapshot.
    SnapshotFooter(&'a [u8]),
    /// The feature level of the metadata quorum.
    KraftVersion(&'a [u8]),
    /// The voters of the metadata quorum.
    KraftVoters(&'a [u8]),
    /// A type that nobody has defined here.
    Unknown(i16),
}

const ABORT: i16 = 0;
const COMMIT: i16 = 1;
const LEADER_CHANGE: i16 = 2;
const SNAPSHOT_HEADER: i16 = 3;
const SNAPSHOT_FOOTER: i16 = 4;
const KRAFT_VERSION: i16 = 5;
const KRAFT_VOTERS: i16 = 6;

impl<'a> ControlRecord<'a> {
    /// Reads a record of a control batch; none if its key or marker is cut short.
    pub fn read(record: &Record<'a>) -> Option<Self> {
        let kind = i16::from_be_bytes(*record.key?.get(2..)?.first_chunk()?);
        let value = record.value.unwrap_or_default();
        Some(match kind {
            ABORT => {
                Self::EndTxn(EndTxnMarker::Abort { coordinator_epoch: coordinator_epoch(value)? })
            }
            COMMIT => {
                Self::EndTxn(EndTxnMarker::Commit { coordinator_epoch: coordinator_epoch(value)? })
            }
            LEADER_CHANGE => Self::LeaderChange(value),
            SNAPSHOT_HEADER => Self::SnapshotHeader(value),
            SNAPSHOT_FOOTER => Self::SnapshotFooter(value),
            KRAFT_VERSION => Self::KraftVersion(value),
            KRAFT_VOTERS => Self::KraftVoters(value),
            other => Self::Unknown(other),
        })
    }
}

/// What the records of a marker may inflate to; brokers do not compress them.
const MARKER_INFLATED_MAX: u64 = 1 << 20;

/// The marker in a control batch that ends a transaction; none if it is another control batch, or
/// if compaction has emptied it.
pub fn end_txn_marker(batch: &[u8]) -> Option<EndTxnMarker> {
    let mut scratch = Vec::new();
    let record = Records::open(batch, MARKER_INFLATED_MAX, &mut scratch).ok()?.next()?.ok()?;
    match ControlRecord::read(&record)? {
        ControlRecord::EndTxn(marker) => Some(marker),
        _ => None,
    }
}

/// The batch that ends a producer's transaction, as a leader appends it.
pub fn end_txn_batch(
    id: ProducerId,
    epoch: ProducerEpoch,
    marker: EndTxnMarker,
    now: Timestamp,
) -> io::Result<Vec<u8>> {
    let mut builder = BatchBuilder::new();
    builder.append_plain(now, Some(&marker.key()), Some(&marker.value()));
    builder.build(&BatchOptions {
        producer: Some(ProducerStamp { id, epoch, base_sequence: Sequence(-1) }),
        transactional: true,
        control: true,
        ..BatchOptions::default()
    })
}

impl EndTxnMarker {
    /// Epoch of the transaction coordinator that decided.
    pub const fn coordinator_epoch(self) -> i32 {
        let (Self::Commit { coordinator_epoch } | Self::Abort { coordinator_epoch }) = self;
        coordinator_epoch
    }

    /// The value of the control record.
    pub fn value(self) -> [u8; 6] {
        let mut out = [0; 6];
        out[2..].copy_from_slice(&self.coordinator_epoch().to_be_bytes());
        out
    }

    /// The key of the control record.
    pub fn key(self) -> [u8; 4] {
        control_key(match self {
            Self::Commit { .. } => COMMIT,
            Self::Abort { .. } => ABORT,
        })
    }
}

/// The key of a control record of this type: 0 abort, 1 commit, 2 leader change, 3 snapshot
/// header, 4 snapshot footer, 5 kraft version, 6 voters.
pub fn control_key(kind: i16) -> [u8; 4] {
    let mut out = [0; 4];
    out[2..].copy_from_slice(&kind.to_be_bytes());
    out
}

fn coordinator_epoch(value: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(*value.get(2..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::BatchHeader;

    #[test]
    fn a_marker_reads_back_from_its_batch() {
        let marker = EndTxnMarker::Abort { coordinator_epoch: 7 };
        let batch =
            end_txn_batch(ProducerId(5), ProducerEpoch(3), marker, Timestamp(1000)).unwrap();
        let header = BatchHeader::parse(&batch).unwrap();
        assert!(header.is_control() && header.is_transactional());
        assert_eq!((header.producer_id.0, header.producer_epoch.0), (5, 3));
        assert_eq!((header.base_sequence.0, header.max_timestamp.0), (-1, 1000));
        assert_eq!(end_txn_marker(&batch), Some(marker));
        assert_eq!(end_txn_marker(&batch[..70]), None);
    }
}
