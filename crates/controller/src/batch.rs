//! Metadata and control records as record batches, and back.
//!
//! A batch is what the shell appends and reads; a snapshot is a file of batches whose offsets count
//! from 0.

use bytes::Bytes;
use naru_model::{LeaderEpoch, Offset, Timestamp};
use naru_protocol::DecodeError;
use naru_protocol::metadata::MetadataRecord;
use naru_records::{BatchBuilder, BatchHeader, BatchOptions, control_key, read_records};

use crate::image::MetadataImage;
use crate::quorum::{ControlRecord, KraftVersion, Voter};
use crate::records::RecordAndVersion;

/// Where a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlace {
    /// Offset of its first record.
    pub base_offset: i64,
    /// The leader's epoch.
    pub epoch: i32,
    /// The time in its records.
    pub timestamp: Timestamp,
}

impl BatchPlace {
    /// The offset after `records` more records.
    pub fn after(&self, records: usize) -> i64 {
        self.base_offset.saturating_add(i64::try_from(records).unwrap_or(i64::MAX))
    }

    fn options(&self, control: bool) -> BatchOptions {
        BatchOptions {
            base_offset: Offset(self.base_offset),
            leader_epoch: Some(LeaderEpoch(self.epoch)),
            control,
            ..BatchOptions::default()
        }
    }
}

/// A batch cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// It is damaged.
    #[error("damaged metadata batch: {0}")]
    Records(#[from] naru_records::BatchError),
    /// A record in it is not one of the metadata log.
    #[error("unreadable metadata record at offset {offset}: {error}")]
    Record {
        /// Its offset.
        offset: i64,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A record in it has no value, or a control record no key.
    #[error("the record at offset {0} has no contents")]
    Empty(i64),
    /// It is too large.
    #[error("cannot build a metadata batch: {0}")]
    Build(#[from] std::io::Error),
}

/// What one record of the metadata log or of a snapshot is.
#[derive(Debug, Clone, PartialEq)]
pub enum LogRecord {
    /// For the controller: [`crate::Controller::replay`].
    Metadata {
        /// Its offset.
        offset: i64,
        /// The record.
        record: MetadataRecord,
    },
    /// For the quorum: [`crate::raft::VoterLog`].
    Control {
        /// Its offset.
        offset: i64,
        /// The record.
        record: ControlRecord,
    },
}

/// A batch of metadata records.
pub fn metadata_batch(
    place: BatchPlace,
    records: &[RecordAndVersion],
) -> Result<Vec<u8>, BatchError> {
    let mut builder = BatchBuilder::new();
    for record in records {
        builder.append_plain(place.timestamp, None, Some(&record.to_bytes()));
    }
    Ok(builder.build(&place.options(false))?)
}

/// A batch of control records.
pub fn control_batch(place: BatchPlace, records: &[ControlRecord]) -> Result<Vec<u8>, BatchError> {
    let mut builder = BatchBuilder::new();
    for record in records {
        let key = control_key(record.kind());
        builder.append_plain(place.timestamp, Some(&key), Some(&record.value()));
    }
    Ok(builder.build(&place.options(true))?)
}

/// Reads one whole batch of the metadata log or of a snapshot; its CRC is checked here. Control
/// records of types that nobody defined are left out.
pub fn read_batch(batch: &Bytes) -> Result<(BatchHeader, Vec<LogRecord>), BatchError> {
    let header = BatchHeader::parse(batch)?;
    header.check_crc(batch)?;
    let mut out = Vec::new();
    for record in read_records(batch, INFLATED_MAX)? {
        let record = record?;
        let offset = record.offset.0;
        let value = record.value.ok_or(BatchError::Empty(offset))?;
        let unreadable = |error| BatchError::Record { offset, error };
        if header.is_control() {
            let key = record.key.ok_or(BatchError::Empty(offset))?;
            let kind = key.get(2..4).and_then(<[u8]>::first_chunk).copied();
            let kind = i16::from_be_bytes(kind.ok_or(BatchError::Empty(offset))?);
            if let Some(record) = ControlRecord::read(kind, &value).map_err(unreadable)? {
                out.push(LogRecord::Control { offset, record });
            }
        } else {
            let record = MetadataRecord::from_bytes(&value).map_err(unreadable)?;
            out.push(LogRecord::Metadata { offset, record });
        }
    }
    Ok((header, out))
}

/// The bytes of a snapshot of `image`. A dynamic quorum's voters are part of it; `last_timestamp`
/// is that of the last record it stands for. Its file is named by the image's end offset and
/// epoch ([`crate::quorum::SnapshotId`]).
pub fn snapshot(
    image: &MetadataImage,
    kraft_version: KraftVersion,
    voters: &[Voter],
    last_timestamp: Timestamp,
    now: Timestamp,
) -> Result<Vec<u8>, BatchError> {
    let mut head = vec![ControlRecord::snapshot_header(last_timestamp.0)];
    if kraft_version == KraftVersion::Dynamic {
        head.push(ControlRecord::kraft_version(1));
        head.push(ControlRecord::voters(voters));
    }
    snapshot_of(&head, &image.to_records(), image.epoch(), now)
}

/// A whole snapshot: control records, metadata records, footer; offsets count from 0.
pub(crate) fn snapshot_of(
    head: &[ControlRecord],
    records: &[RecordAndVersion],
    epoch: i32,
    now: Timestamp,
) -> Result<Vec<u8>, BatchError> {
    let mut place = BatchPlace { base_offset: 0, epoch, timestamp: now };
    let mut bytes = control_batch(place, head)?;
    place.base_offset = place.after(head.len());
    for chunk in records.chunks(SNAPSHOT_BATCH_RECORDS_MAX) {
        bytes.extend(metadata_batch(place, chunk)?);
        place.base_offset = place.after(chunk.len());
    }
    bytes.extend(control_batch(place, &[ControlRecord::snapshot_footer()])?);
    Ok(bytes)
}

/// Records in one batch of a snapshot, so that a reader never holds much at once.
const SNAPSHOT_BATCH_RECORDS_MAX: usize = 1024;

/// Most bytes that a compressed metadata batch may inflate to; Kafka writes at most 8 MiB.
const INFLATED_MAX: u64 = 64 * 1024 * 1024;
