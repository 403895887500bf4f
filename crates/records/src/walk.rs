//! Walks the records of a batch field by field without keeping any of them.
//!
//! The same walk serves bytes that lie in memory and bytes that come out of a codec; in the
//! second case one window of [`WINDOW_LEN`] bytes is held, however large a record is.

use std::cell::Cell;
use std::io::{ErrorKind, Read};

use crate::codec::{Compression, Inflater, inflate_error};
use crate::error::{BatchError, RecordShape};
use crate::header::{BatchHeader, HEADER_LEN};
use crate::varint::{zigzag_32, zigzag_64};

/// What the walk tells of each record, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) attributes: i8,
    pub(crate) timestamp_delta: i64,
    pub(crate) has_key: bool,
}

/// Walks all records of the whole, CRC-checked `batch`, and refuses what is malformed.
pub(crate) fn walk_records(
    header: &BatchHeader,
    batch: &[u8],
    inflated_max: u64,
    visit: impl FnMut(u32, Seen),
) -> Result<(), BatchError> {
    let records = batch.get(HEADER_LEN..).unwrap_or_default();
    match header.compression()? {
        Compression::None => walk(&mut InMemory { bytes: records, at: 0 }, header, visit),
        codec => {
            let mut window = WINDOW.take();
            window.resize(WINDOW_LEN, 0);
            let mut source = Inflating {
                inflater: Inflater::new(codec, records),
                codec,
                window,
                at: 0,
                end: 0,
                before: 0,
                inflated_max,
            };
            let result = walk(&mut source, header, visit);
            WINDOW.set(source.window);
            result
        }
    }
}

const WINDOW_LEN: usize = 32 * 1024;

thread_local! {
    /// The window of inflated bytes, kept so that a batch costs no allocation.
    static WINDOW: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Where a walk stopped short.
enum Stop {
    /// The record itself is malformed.
    Shape(RecordShape),
    /// What carries the records failed.
    Batch(BatchError),
}

impl From<RecordShape> for Stop {
    fn from(shape: RecordShape) -> Self {
        Self::Shape(shape)
    }
}

/// Bytes in order.
trait Source {
    fn byte(&mut self) -> Result<u8, Stop>;
    fn skip(&mut self, count: u64) -> Result<(), Stop>;
    fn position(&self) -> u64;
    fn is_at_end(&mut self) -> Result<bool, Stop>;

    #[inline]
    fn varint_32(&mut self) -> Result<i32, Stop> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(zigzag_32(u32::from(first)));
        }
        let mut raw = u32::from(first & 0x7f);
        for step in 1..5 {
            let byte = self.byte()?;
            raw |= u32::from(byte & 0x7f) << (7 * step);
            if byte < 0x80 {
                return Ok(zigzag_32(raw));
            }
        }
        Err(RecordShape::Varint.into())
    }

    #[inline]
    fn varint_64(&mut self) -> Result<i64, Stop> {
        let mut raw = 0u64;
        for step in 0..10 {
            let byte = self.byte()?;
            raw |= u64::from(byte & 0x7f) << (7 * step);
            if byte < 0x80 {
                return Ok(zigzag_64(raw));
            }
        }
        Err(RecordShape::Varint.into())
    }
}

fn walk<S: Source>(
    source: &mut S,
    header: &BatchHeader,
    mut visit: impl FnMut(u32, Seen),
) -> Result<(), BatchError> {
    let count = u32::try_from(header.record_count).unwrap_or(0);
    for index in 0..count {
        match walk_one(source, index) {
            Ok(seen) => visit(index, seen),
            Err(Stop::Shape(shape)) => return Err(BatchError::Record { index, shape }),
            Err(Stop::Batch(error)) => return Err(error),
        }
    }
    match source.is_at_end() {
        Ok(true) => Ok(()),
        Ok(false) | Err(Stop::Shape(_)) => Err(BatchError::Leftover { count: header.record_count }),
        Err(Stop::Batch(error)) => Err(error),
    }
}

#[inline]
fn walk_one<S: Source>(source: &mut S, index: u32) -> Result<Seen, Stop> {
    let length = source.varint_32()?;
    let length = u64::try_from(length).map_err(|_| RecordShape::NegativeLength)?;
    let end = source.position() + length;
    let attributes = source.byte()?.cast_signed();
    let timestamp_delta = source.varint_64()?;
    let offset_delta = source.varint_32()?;
    if i64::from(offset_delta) != i64::from(index) {
        return Err(RecordShape::OffsetDelta.into());
    }
    let has_key = skip_nullable(source, end)?;
    skip_nullable(source, end)?;
    let headers = source.varint_32()?;
    if headers < 0 {
        return Err(RecordShape::NegativeLength.into());
    }
    // Each header takes two bytes at least, so a lying count ends with the record's bytes.
    for _ in 0..headers {
        if !skip_nullable(source, end)? {
            return Err(RecordShape::NegativeLength.into());
        }
        skip_nullable(source, end)?;
    }
    match source.position().cmp(&end) {
        std::cmp::Ordering::Equal => Ok(Seen { attributes, timestamp_delta, has_key }),
        std::cmp::Ordering::Less => Err(RecordShape::Underrun.into()),
        std::cmp::Ordering::Greater => Err(RecordShape::Overrun.into()),
    }
}

/// Skips a length-prefixed field; false if it is null.
#[inline]
fn skip_nullable<S: Source>(source: &mut S, end: u64) -> Result<bool, Stop> {
    let length = source.varint_32()?;
    if length < 0 {
        return if length == -1 { Ok(false) } else { Err(RecordShape::NegativeLength.into()) };
    }
    let length = u64::from(length.unsigned_abs());
    if length > end.saturating_sub(source.position()) {
        return Err(RecordShape::Overrun.into());
    }
    source.skip(length)?;
    Ok(true)
}

struct InMemory<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Source for InMemory<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.bytes.get(self.at).ok_or(RecordShape::End)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, count: u64) -> Result<(), Stop> {
        if count > (self.bytes.len() - self.at) as u64 {
            return Err(RecordShape::End.into());
        }
        self.at += usize::try_from(count).map_err(|_| RecordShape::End)?;
        Ok(())
    }

    #[inline]
    fn position(&self) -> u64 {
        self.at as u64
    }

    fn is_at_end(&mut self) -> Result<bool, Stop> {
        Ok(self.at == self.bytes.len())
    }
}

struct Inflating<'a> {
    inflater: Inflater<'a>,
    codec: Compression,
    window: Vec<u8>,
    at: usize,
    end: usize,
    /// Inflated bytes before the window.
    before: u64,
    inflated_max: u64,
}

impl Inflating<'_> {
    /// Fills the window anew; false at the end of the data.
    fn refill(&mut self) -> Result<bool, Stop> {
        self.before += self.end as u64;
        self.at = 0;
        self.end = 0;
        loop {
            match self.inflater.read(&mut self.window) {
                Ok(took) => {
                    self.end = took;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Batch(inflate_error(self.codec, &error))),
            }
        }
        if self.before + self.end as u64 > self.inflated_max {
            return Err(Stop::Batch(BatchError::InflatedTooLarge { limit: self.inflated_max }));
        }
        Ok(self.end > 0)
    }
}

impl Source for Inflating<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Stop> {
        if self.at == self.end && !self.refill()? {
            return Err(RecordShape::End.into());
        }
        let byte = self.window[self.at];
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, mut count: u64) -> Result<(), Stop> {
        loop {
            let there = (self.end - self.at) as u64;
            if count <= there {
                self.at += usize::try_from(count).map_err(|_| RecordShape::End)?;
                return Ok(());
            }
            count -= there;
            self.at = self.end;
            if !self.refill()? {
                return Err(RecordShape::End.into());
            }
        }
    }

    #[inline]
    fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    fn is_at_end(&mut self) -> Result<bool, Stop> {
        Ok(self.at == self.end && !self.refill()?)
    }
}
