//! Reading records: borrowed from a buffer, or owned slices of shared bytes.

use bytes::Bytes;
use naru_model::{Offset, Timestamp};

use crate::codec::{Compression, inflate};
use crate::error::{BatchError, RecordShape};
use crate::header::{BatchHeader, HEADER_LEN, TimestampType};
use crate::varint;

/// One record, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Position in the partition's log.
    pub offset: Offset,
    /// Of the record, or of the append when the batch says so; -1 if there is none.
    pub timestamp: Timestamp,
    /// Null or bytes.
    pub key: Option<&'a [u8]>,
    /// Null (a tombstone) or bytes.
    pub value: Option<&'a [u8]>,
    /// The headers, in order; keys may repeat.
    pub headers: Headers<'a>,
}

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 if the producer was honest.
    pub key: &'a [u8],
    /// Null or bytes.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record; they have been checked, iterating cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl Headers<'_> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.count = self.count.checked_sub(1)?;
        let (key, at) = nullable(self.bytes, 0).ok()?;
        let (value, at) = nullable(self.bytes, at).ok()?;
        self.bytes = &self.bytes[at..];
        Some(Header { key: key?, value })
    }
}

/// The records of one batch, borrowed from it or from the buffer it was inflated into.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
    at: usize,
    index: u32,
    failed: bool,
}

impl<'a> Records<'a> {
    /// Opens the batch at the beginning of `batch`. Compressed records are inflated into
    /// `scratch`, which is cleared first, up to `inflated_max` bytes. The CRC is not checked here.
    pub fn open(
        batch: &'a [u8],
        inflated_max: u64,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(batch)?;
        let records = records_of(&header, batch)?;
        let bytes = match header.compression()? {
            Compression::None => records,
            codec => {
                scratch.clear();
                inflate(codec, records, inflated_max, scratch)?;
                scratch.as_slice()
            }
        };
        Ok(Self::over(header, bytes))
    }

    const fn over(header: BatchHeader, bytes: &'a [u8]) -> Self {
        Self { header, bytes, at: 0, index: 0, failed: false }
    }

    /// The header of the batch.
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The next record and its own bytes, as far as they can be read.
    pub(crate) fn next_with_bytes(&mut self) -> Option<Result<(Record<'a>, &'a [u8]), BatchError>> {
        let from = self.at;
        let item = self.next()?;
        Some(item.map(|record| (record, self.bytes.get(from..self.at).unwrap_or_default())))
    }

    fn read_next(&mut self) -> Result<Record<'a>, RecordShape> {
        let (length, at) = int(self.bytes, self.at)?;
        let length = usize::try_from(length).map_err(|_| RecordShape::NegativeLength)?;
        let end = at.checked_add(length).ok_or(RecordShape::End)?;
        // Nothing of this record is read from beyond its own end.
        let bytes = self.bytes.get(..end).ok_or(RecordShape::End)?;
        let (timestamp_delta, at) = varint::read_i64(bytes, at + 1).ok_or(RecordShape::Varint)?;
        let (offset_delta, at) = int(bytes, at)?;
        let (key, at) = nullable(bytes, at)?;
        let (value, at) = nullable(bytes, at)?;
        let (count, at) = int(bytes, at)?;
        let count = u32::try_from(count).map_err(|_| RecordShape::NegativeLength)?;
        let headers = Headers { count, bytes: &bytes[at..] };
        let mut after = at;
        for _ in 0..count {
            let (key, at) = nullable(bytes, after)?;
            if key.is_none() {
                return Err(RecordShape::NegativeLength);
            }
            (_, after) = nullable(bytes, at)?;
        }
        if after != end {
            return Err(RecordShape::Underrun);
        }
        self.at = end;
        let timestamp = match self.header.timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp,
            TimestampType::CreateTime => {
                Timestamp(self.header.base_timestamp.0.wrapping_add(timestamp_delta))
            }
        };
        let offset = Offset(self.header.base_offset.0.wrapping_add(i64::from(offset_delta)));
        Ok(Record { offset, timestamp, key, value, headers })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = u32::try_from(self.header.record_count).unwrap_or(0);
        if self.failed || self.index >= count {
            return None;
        }
        let index = self.index;
        self.index += 1;
        match self.read_next() {
            Ok(record) => Some(Ok(record)),
            Err(shape) => {
                self.failed = true;
                Some(Err(BatchError::Record { index, shape }))
            }
        }
    }
}

/// One record whose parts are slices of shared bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Position in the partition's log.
    pub offset: Offset,
    /// Of the record, or of the append when the batch says so; -1 if there is none.
    pub timestamp: Timestamp,
    /// Null or bytes.
    pub key: Option<Bytes>,
    /// Null (a tombstone) or bytes.
    pub value: Option<Bytes>,
    /// Keys and values, in order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// The records of one batch as [`OwnedRecord`]s.
#[derive(Debug, Clone)]
pub struct OwnedRecords {
    header: BatchHeader,
    bytes: Bytes,
    at: usize,
    index: u32,
    failed: bool,
}

/// Opens the batch at the beginning of `batch`; its records share the bytes, or those that it is
/// inflated into. The CRC is not checked here.
pub fn read_records(batch: &Bytes, inflated_max: u64) -> Result<OwnedRecords, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let records = records_of(&header, batch)?;
    let bytes = match header.compression()? {
        Compression::None => batch.slice_ref(records),
        codec => {
            let mut out = Vec::new();
            inflate(codec, records, inflated_max, &mut out)?;
            Bytes::from(out)
        }
    };
    Ok(OwnedRecords { header, bytes, at: 0, index: 0, failed: false })
}

impl OwnedRecords {
    /// The header of the batch.
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }
}

impl Iterator for OwnedRecords {
    type Item = Result<OwnedRecord, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut records = Records {
            header: self.header,
            bytes: &self.bytes,
            at: self.at,
            index: self.index,
            failed: self.failed,
        };
        let item = records.next()?;
        (self.at, self.index, self.failed) = (records.at, records.index, records.failed);
        Some(item.map(|record| {
            let share = |part: &[u8]| self.bytes.slice_ref(part);
            OwnedRecord {
                offset: record.offset,
                timestamp: record.timestamp,
                key: record.key.map(share),
                value: record.value.map(share),
                headers: record.headers.map(|h| (share(h.key), h.value.map(share))).collect(),
            }
        }))
    }
}

pub(crate) fn records_of<'a>(
    header: &BatchHeader,
    batch: &'a [u8],
) -> Result<&'a [u8], BatchError> {
    batch.get(HEADER_LEN..header.size()).ok_or_else(|| BatchError::Truncated {
        needed: header.size() as u64,
        available: batch.len() as u64,
    })
}

fn int(bytes: &[u8], at: usize) -> Result<(i32, usize), RecordShape> {
    varint::read_i32(bytes, at).ok_or(RecordShape::Varint)
}

fn nullable(bytes: &[u8], at: usize) -> Result<(Option<&[u8]>, usize), RecordShape> {
    let (length, at) = int(bytes, at)?;
    if length == -1 {
        return Ok((None, at));
    }
    let length = usize::try_from(length).map_err(|_| RecordShape::NegativeLength)?;
    let end = at.checked_add(length).ok_or(RecordShape::Overrun)?;
    Ok((Some(bytes.get(at..end).ok_or(RecordShape::Overrun)?), end))
}
