//! Control records: what brokers write between the records of clients (KIP-98, KIP-595).
//!
//! The key is a version and a type, both 16 bits; the value depends on the type.

use crate::record::Record;

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

impl EndTxnMarker {
    /// The value of the control record.
    pub fn value(self) -> [u8; 6] {
        let (Self::Commit { coordinator_epoch } | Self::Abort { coordinator_epoch }) = self;
        let mut out = [0; 6];
        out[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
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
