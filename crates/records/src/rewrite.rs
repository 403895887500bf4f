//! Batches that lie in a log, written anew: with fewer records (compaction), or with another codec
//! (`compression.type` of a topic).
//!
//! Offsets, epochs and what identifies the producer stay what they were, so that sequence numbers
//! can still be told from the batch (KIP-98). No function here judges a record: the caller does.

use std::io;

use naru_model::Timestamp;

use crate::codec::{Compression, compress, inflate};
use crate::error::BatchError;
use crate::header::{
    BatchHeader, COMPRESSION_MASK, DELETE_HORIZON, HEADER_LEN, LOG_OVERHEAD, TimestampType, crc_of,
};
use crate::record::{Record, Records, records_of};
use crate::varint;

/// The records of a batch that are to stay.
#[derive(Debug)]
pub struct Selection<'a> {
    header: BatchHeader,
    kept: Vec<Kept<'a>>,
    is_whole: bool,
    has_tombstone: bool,
}

#[derive(Debug)]
struct Kept<'a> {
    timestamp: Timestamp,
    offset_delta: i64,
    /// From the key's length on.
    rest: &'a [u8],
}

/// Asks `keep` about every record of the batch at the beginning of `batch`. Compressed records
/// are inflated into `scratch`, up to `inflated_max` bytes. The CRC is not checked here.
pub fn select<'a>(
    batch: &'a [u8],
    inflated_max: u64,
    scratch: &'a mut Vec<u8>,
    mut keep: impl FnMut(&Record<'_>) -> bool,
) -> Result<Selection<'a>, BatchError> {
    let mut records = Records::open(batch, inflated_max, scratch)?;
    let header = *records.header();
    let mut selection =
        Selection { header, kept: Vec::new(), is_whole: true, has_tombstone: false };
    while let Some(item) = records.next_with_bytes() {
        let (record, bytes) = item?;
        if !keep(&record) {
            selection.is_whole = false;
            continue;
        }
        selection.has_tombstone |= record.value.is_none();
        selection.kept.push(Kept {
            timestamp: record.timestamp,
            offset_delta: record.offset.0.wrapping_sub(header.base_offset.0),
            rest: rest_of(bytes),
        });
    }
    Ok(selection)
}

impl Selection<'_> {
    /// How many records stay.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether every record stays.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether one of those that stay has no value.
    pub const fn has_tombstone(&self) -> bool {
        self.has_tombstone
    }

    /// The batch with these records only, at the same offsets and in the same codec, and with
    /// this delete horizon (KIP-534). An error can only come from a codec that cannot get its
    /// memory, or from a batch of more than 2 GiB.
    pub fn to_batch(&self, delete_horizon: Option<Timestamp>) -> io::Result<Vec<u8>> {
        let header = &self.header;
        if self.kept.is_empty() {
            return empty_batch(header);
        }
        let first = self.kept.first().map_or(Timestamp(-1), |kept| kept.timestamp);
        let base_timestamp = delete_horizon.unwrap_or(first);
        let mut records = Vec::new();
        for kept in &self.kept {
            let timestamp_delta = kept.timestamp.0.wrapping_sub(base_timestamp.0);
            let length =
                1 + varint::len(timestamp_delta) + varint::len(kept.offset_delta) + kept.rest.len();
            varint::write(&mut records, length as i64);
            records.push(0);
            varint::write(&mut records, timestamp_delta);
            varint::write(&mut records, kept.offset_delta);
            records.extend_from_slice(kept.rest);
        }
        let codec = header.compression().map_err(io::Error::other)?;
        let max_timestamp = match header.timestamp_type() {
            TimestampType::LogAppendTime => header.max_timestamp,
            TimestampType::CreateTime => {
                self.kept.iter().map(|kept| kept.timestamp).max().unwrap_or(header.max_timestamp)
            }
        };
        let horizon = if delete_horizon.is_some() { DELETE_HORIZON } else { 0 };
        let fields = BatchHeader {
            attributes: header.attributes & !DELETE_HORIZON | horizon,
            base_timestamp,
            max_timestamp,
            record_count: i32::try_from(self.kept.len()).map_err(io::Error::other)?,
            ..*header
        };
        assemble(fields, codec, None, &records)
    }
}

/// A batch without records that remembers where the batch with this header stood and who wrote
/// it: what compaction leaves of a producer's last batch.
pub fn empty_batch(header: &BatchHeader) -> io::Result<Vec<u8>> {
    let fields = BatchHeader {
        attributes: header.attributes & !(DELETE_HORIZON | COMPRESSION_MASK),
        base_timestamp: Timestamp(-1),
        record_count: 0,
        ..*header
    };
    assemble(fields, Compression::None, None, &[])
}

/// The batch at the beginning of `batch` with its records in another codec. `level` is the
/// codec's own. All else stays; the CRC of `batch` is not checked here.
pub fn recompress(
    batch: &[u8],
    codec: Compression,
    level: Option<i32>,
    inflated_max: u64,
) -> Result<Vec<u8>, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let records = records_of(&header, batch)?;
    let mut inflated = Vec::new();
    let plain = match header.compression()? {
        Compression::None => records,
        from => {
            inflate(from, records, inflated_max, &mut inflated)?;
            &inflated
        }
    };
    let number = i16::from(codec.number());
    let fields =
        BatchHeader { attributes: header.attributes & !COMPRESSION_MASK | number, ..header };
    assemble(fields, codec, level, plain)
        .map_err(|error| BatchError::Inflate { codec, reason: error.to_string() })
}

/// Compresses the records and writes the header with their length and checksum.
fn assemble(
    mut header: BatchHeader,
    codec: Compression,
    level: Option<i32>,
    records: &[u8],
) -> io::Result<Vec<u8>> {
    let mut out = vec![0; HEADER_LEN];
    compress(codec, level, records, &mut out)?;
    header.length = i32::try_from(out.len() - LOG_OVERHEAD)
        .map_err(|_| io::Error::other("a batch of more than 2 GiB"))?;
    out[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    header.crc = crc_of(&out);
    out[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    Ok(out)
}

/// What follows the offset delta in the bytes of a record that has been read.
fn rest_of(record: &[u8]) -> &[u8] {
    let rest = || {
        let (_, at) = varint::read_i32(record, 0)?;
        let (_, at) = varint::read_i64(record, at + 1)?;
        let (_, at) = varint::read_i32(record, at)?;
        record.get(at..)
    };
    rest().unwrap_or_default()
}

#[cfg(test)]
mod tests;
