//! The 61 bytes before the records of a batch, and the walk from batch to batch.
//!
//! The first 21 bytes (base offset, length, leader epoch, magic, CRC) are not covered by the CRC:
//! placing a batch in a log changes only those.

use naru_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::codec::Compression;
use crate::error::BatchError;

/// Bytes of a batch's header.
pub const HEADER_LEN: usize = 61;
/// Bytes of base offset and length, which the length does not count.
pub const LOG_OVERHEAD: usize = 12;
/// The length field of a batch without records: `HEADER_LEN - LOG_OVERHEAD`.
const LENGTH_MIN: i32 = 49;

const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

pub(crate) const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
pub(crate) const DELETE_HORIZON: i16 = 0x40;

/// Whose clock a record's timestamp is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The broker's, the same for the whole batch.
    LogAppendTime,
}

/// What identifies an idempotent batch (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerStamp {
    /// Who wrote it.
    pub id: ProducerId,
    /// The generation of the producer.
    pub epoch: ProducerEpoch,
    /// Sequence of the first record; -1 in batches that coordinators write.
    pub base_sequence: Sequence,
}

/// The header of one batch, as it stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes after the length field; [`BatchHeader::size`] is the whole.
    pub length: i32,
    /// Epoch of the leader that placed it.
    pub partition_leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: i16,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from; the delete horizon if that flag is set.
    pub base_timestamp: Timestamp,
    /// The greatest timestamp of its records; the append time with that timestamp type.
    pub max_timestamp: Timestamp,
    /// -1 without idempotence.
    pub producer_id: ProducerId,
    /// -1 without idempotence.
    pub producer_epoch: ProducerEpoch,
    /// -1 without idempotence.
    pub base_sequence: Sequence,
    /// How many records it says it has.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the beginning of `bytes`; the records need not be there.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(fixed) = bytes.first_chunk::<HEADER_LEN>() else {
            // The length and the magic byte are at the same place in every format.
            if let (Some(length), Some(magic)) = (field_if(bytes, 8), bytes.get(MAGIC_AT)) {
                check_length_and_magic(i32::from_be_bytes(length), magic.cast_signed())?;
            }
            return Err(BatchError::Truncated {
                needed: HEADER_LEN as u64,
                available: bytes.len() as u64,
            });
        };
        let length = i32::from_be_bytes(field(fixed, 8));
        check_length_and_magic(length, fixed[MAGIC_AT].cast_signed())?;
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(field(fixed, 0))),
            length,
            partition_leader_epoch: LeaderEpoch(i32::from_be_bytes(field(fixed, LEADER_EPOCH_AT))),
            crc: u32::from_be_bytes(field(fixed, CRC_AT)),
            attributes: i16::from_be_bytes(field(fixed, ATTRIBUTES_AT)),
            last_offset_delta: i32::from_be_bytes(field(fixed, 23)),
            base_timestamp: Timestamp(i64::from_be_bytes(field(fixed, 27))),
            max_timestamp: Timestamp(i64::from_be_bytes(field(fixed, MAX_TIMESTAMP_AT))),
            producer_id: ProducerId(i64::from_be_bytes(field(fixed, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(fixed, 51))),
            base_sequence: Sequence(i32::from_be_bytes(field(fixed, 53))),
            record_count: i32::from_be_bytes(field(fixed, 57)),
        })
    }

    /// Writes the header's 61 bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, self.base_offset.0.to_be_bytes());
        put(&mut out, 8, self.length.to_be_bytes());
        put(&mut out, LEADER_EPOCH_AT, self.partition_leader_epoch.0.to_be_bytes());
        out[MAGIC_AT] = 2;
        put(&mut out, CRC_AT, self.crc.to_be_bytes());
        put(&mut out, ATTRIBUTES_AT, self.attributes.to_be_bytes());
        put(&mut out, 23, self.last_offset_delta.to_be_bytes());
        put(&mut out, 27, self.base_timestamp.0.to_be_bytes());
        put(&mut out, MAX_TIMESTAMP_AT, self.max_timestamp.0.to_be_bytes());
        put(&mut out, 43, self.producer_id.0.to_be_bytes());
        put(&mut out, 51, self.producer_epoch.0.to_be_bytes());
        put(&mut out, 53, self.base_sequence.0.to_be_bytes());
        put(&mut out, 57, self.record_count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        // `parse` refuses lengths below a header's.
        usize::try_from(self.length).unwrap_or(0) + LOG_OVERHEAD
    }

    /// The codec of the records.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        let number = (self.attributes & COMPRESSION_MASK) as u8;
        Compression::from_number(number).ok_or(BatchError::UnknownCompression(number))
    }

    /// Whose clock the timestamps are from.
    pub const fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether it belongs to a transaction.
    pub const fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether its records are control records, which consumers do not see.
    pub const fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// When compaction may drop the tombstones in it, if it has passed over it (KIP-534).
    pub const fn delete_horizon(&self) -> Option<Timestamp> {
        if self.attributes & DELETE_HORIZON == 0 { None } else { Some(self.base_timestamp) }
    }

    /// Offset of the last record; saturates on lying headers.
    pub const fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(self.last_offset_delta as i64))
    }

    /// The offset after the last record.
    pub const fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// The producer, if the batch is idempotent.
    pub fn producer(&self) -> Option<ProducerStamp> {
        (self.producer_id.0 >= 0).then_some(ProducerStamp {
            id: self.producer_id,
            epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
        })
    }

    /// Sequence of the last record of an idempotent batch.
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence.0 < 0 {
            return self.base_sequence;
        }
        self.base_sequence.plus(self.last_offset_delta.max(0))
    }

    /// The attributes for these properties.
    pub const fn attributes_of(
        compression: Compression,
        timestamp_type: TimestampType,
        transactional: bool,
        control: bool,
    ) -> i16 {
        let time = match timestamp_type {
            TimestampType::CreateTime => 0,
            TimestampType::LogAppendTime => LOG_APPEND_TIME,
        };
        compression.number() as i16
            | time
            | if transactional { TRANSACTIONAL } else { 0 }
            | if control { CONTROL } else { 0 }
    }

    /// The attributes with another timestamp type.
    pub const fn attributes_with(&self, timestamp_type: TimestampType) -> i16 {
        match timestamp_type {
            TimestampType::CreateTime => self.attributes & !LOG_APPEND_TIME,
            TimestampType::LogAppendTime => self.attributes | LOG_APPEND_TIME,
        }
    }

    /// The same sum over the bytes of the batch as the header should have.
    pub fn check_crc(&self, batch: &[u8]) -> Result<(), BatchError> {
        let computed = crc_of(batch);
        if computed == self.crc {
            Ok(())
        } else {
            Err(BatchError::Crc { stored: self.crc, computed })
        }
    }
}

/// The CRC-32C that belongs into the header of this whole batch.
pub fn crc_of(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(ATTRIBUTES_AT..).unwrap_or_default())
}

/// Writes where a batch stands in a log into its header; the CRC does not cover these fields.
pub fn patch_placement(header: &mut [u8; HEADER_LEN], base_offset: Offset, epoch: LeaderEpoch) {
    put(header, 0, base_offset.0.to_be_bytes());
    put(header, LEADER_EPOCH_AT, epoch.0.to_be_bytes());
}

/// Sets the max timestamp and the timestamp type and mends the CRC, given the bytes after the
/// header.
pub fn patch_max_timestamp(
    header: &mut [u8; HEADER_LEN],
    records: &[u8],
    timestamp_type: TimestampType,
    max_timestamp: Timestamp,
) {
    let attributes = i16::from_be_bytes(field(header, ATTRIBUTES_AT));
    let attributes = match timestamp_type {
        TimestampType::CreateTime => attributes & !LOG_APPEND_TIME,
        TimestampType::LogAppendTime => attributes | LOG_APPEND_TIME,
    };
    put(header, ATTRIBUTES_AT, attributes.to_be_bytes());
    put(header, MAX_TIMESTAMP_AT, max_timestamp.0.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[ATTRIBUTES_AT..]), records);
    put(header, CRC_AT, crc.to_be_bytes());
}

/// Walks the batches of `bytes`; see [`Batches`].
pub const fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { bytes, at: 0 }
}

/// Yields each whole batch with its header; ends at the end or at a partial trailing batch.
///
/// An item is an error only if the bytes cannot be a batch; the walk is over then.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Batches<'_> {
    /// Bytes of the batches yielded so far.
    pub const fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.at..];
        match BatchHeader::parse(rest) {
            Ok(header) => {
                let batch = rest.get(..header.size())?;
                self.at += batch.len();
                Some(Ok((header, batch)))
            }
            Err(BatchError::Truncated { .. }) => None,
            Err(error) => {
                self.bytes = &[];
                self.at = 0;
                Some(Err(error))
            }
        }
    }
}

fn check_length_and_magic(length: i32, magic: i8) -> Result<(), BatchError> {
    if magic != 2 {
        return Err(BatchError::Magic(magic));
    }
    if length < LENGTH_MIN {
        return Err(BatchError::LengthTooSmall(length));
    }
    Ok(())
}

fn field<const N: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    field_if(bytes, at).expect("every field lies within the header")
}

fn field_if<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

fn put<const N: usize>(bytes: &mut [u8; HEADER_LEN], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}
