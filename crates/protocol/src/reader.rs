//! Reads primitive types from one received frame.
//!
//! Every length is checked against the bytes that are there before anything is allocated, and the
//! memory of decoded structures is charged against a budget that grows with the frame.

use bytes::Bytes;
use naru_model::Uuid;

use crate::wire::Records;

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame ends inside a field.
    #[error("the frame ends inside a field")]
    Truncated,
    /// A length or count is negative where it may not be, or more than the frame can hold.
    #[error("a length of {0} does not fit the frame")]
    BadLength(i64),
    /// Null stands where it may not.
    #[error("null stands where it may not")]
    UnexpectedNull,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A variable-length integer has too many bytes.
    #[error("a variable-length integer is too long")]
    BadVarint,
    /// The decoded structures would take more memory than a frame of this size may.
    #[error("the message would inflate to more memory than its size allows")]
    TooLarge,
    /// No such message version or type.
    #[error("version {0} is not known")]
    UnknownVersion(i16),
}

/// Decoded structures may take this many times the bytes of the frame...
const INFLATION_MAX: usize = 16;
/// ...plus this, so that small frames are never refused...
const BUDGET_FLOOR: usize = 1 << 20;
/// ...but never more than this, however large the frame.
const BUDGET_CEILING: usize = 256 << 20;

/// A cursor over a frame.
#[derive(Debug)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    at: usize,
    end: usize,
    budget: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `frame`.
    pub fn new(frame: &'a Bytes) -> Self {
        let budget = (frame.len().saturating_mul(INFLATION_MAX) + BUDGET_FLOOR).min(BUDGET_CEILING);
        Self { frame, at: 0, end: frame.len(), budget }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// The bytes not read yet, sharing the frame's memory.
    pub fn rest(&self) -> Bytes {
        self.frame.slice(self.at..self.end)
    }

    /// Skips `len` bytes.
    pub fn advance(&mut self, len: usize) -> Result<(), DecodeError> {
        self.take(len).map(|_| ())
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        if len > self.remaining() {
            return Err(DecodeError::Truncated);
        }
        let bytes = &self.frame[self.at..self.at + len];
        self.at += len;
        Ok(bytes)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError::Truncated)
    }

    /// One byte, 0 is false.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// A signed byte.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.array_of()?))
    }

    /// Two bytes, big-endian.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array_of()?))
    }

    /// Two bytes, unsigned.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array_of()?))
    }

    /// Four bytes, big-endian.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array_of()?))
    }

    /// Four bytes, unsigned.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array_of()?))
    }

    /// Eight bytes, big-endian.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array_of()?))
    }

    /// Eight bytes, IEEE 754.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_be_bytes(self.array_of()?))
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid(u128::from_be_bytes(self.array_of()?)))
    }

    /// An unsigned variable-length integer of at most 32 bits.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array_of()?;
            let low = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                return Err(DecodeError::BadVarint);
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::BadVarint)
    }

    /// A length of bytes: `None` is null.
    fn len(&mut self, flexible: bool, short: bool) -> Result<Option<usize>, DecodeError> {
        let announced = if flexible {
            i64::from(self.uvarint()?) - 1
        } else if short {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        match announced {
            -1 => Ok(None),
            _ => match usize::try_from(announced) {
                Ok(len) if len <= self.remaining() => Ok(Some(len)),
                _ => Err(DecodeError::BadLength(announced)),
            },
        }
    }

    /// A string that may not be null.
    pub fn string(&mut self, flexible: bool) -> Result<String, DecodeError> {
        self.nullable_string(flexible, false)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// A string that may be null where `nullable` says so.
    pub fn nullable_string(
        &mut self,
        flexible: bool,
        nullable: bool,
    ) -> Result<Option<String>, DecodeError> {
        let Some(len) = self.len(flexible, true)? else {
            return if nullable { Ok(None) } else { Err(DecodeError::UnexpectedNull) };
        };
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::NotUtf8)?;
        Ok(Some(text.to_owned()))
    }

    /// Bytes that may not be null, sharing the frame's memory.
    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes, DecodeError> {
        self.nullable_bytes(flexible, false)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// Bytes that may be null where `nullable` says so, sharing the frame's memory.
    pub fn nullable_bytes(
        &mut self,
        flexible: bool,
        nullable: bool,
    ) -> Result<Option<Bytes>, DecodeError> {
        let Some(len) = self.len(flexible, false)? else {
            return if nullable { Ok(None) } else { Err(DecodeError::UnexpectedNull) };
        };
        let bytes = self.frame.slice(self.at..self.at + len);
        self.at += len;
        Ok(Some(bytes))
    }

    /// Record bytes, sharing the frame's memory.
    pub fn records(&mut self, flexible: bool) -> Result<Records, DecodeError> {
        Ok(self.nullable_bytes(flexible, true)?.map_or(Records::Null, Records::Inline))
    }

    /// An array that may not be null.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.nullable_array(flexible, false, element)?.ok_or(DecodeError::UnexpectedNull)
    }

    /// An array that may be null where `nullable` says so.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        nullable: bool,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        // An element takes at least one byte, so a count above the remaining bytes is a lie.
        let Some(count) = self.len(flexible, false)? else {
            return if nullable { Ok(None) } else { Err(DecodeError::UnexpectedNull) };
        };
        let element_size = size_of::<T>().max(1);
        let mut items = Vec::with_capacity(count.min(PREALLOCATED_BYTES / element_size));
        for _ in 0..count {
            self.budget = self.budget.checked_sub(element_size).ok_or(DecodeError::TooLarge)?;
            items.push(element(self)?);
        }
        Ok(Some(items))
    }

    /// A structure behind a presence byte, where `nullable` says there is one.
    pub fn nullable_struct<T>(
        &mut self,
        nullable: bool,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if nullable && self.i8()? < 0 { Ok(None) } else { read(self).map(Some) }
    }

    /// Tagged fields: `read` gets each tag and a reader that ends with its payload; what it does
    /// not read of a payload is skipped.
    pub fn tags(
        &mut self,
        mut read: impl FnMut(u32, &mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.uvarint()?;
        if count as usize > self.remaining() {
            return Err(DecodeError::BadLength(i64::from(count)));
        }
        for _ in 0..count {
            let tag = self.uvarint()?;
            let len = self.uvarint()? as usize;
            if len > self.remaining() {
                return Err(DecodeError::Truncated);
            }
            let (outer_end, next) = (self.end, self.at + len);
            self.end = next;
            read(tag, self)?;
            (self.end, self.at) = (outer_end, next);
        }
        Ok(())
    }

    /// Skips tagged fields that nobody here knows.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        self.tags(|_, _| Ok(()))
    }
}

/// What an array may allocate before its elements have been seen.
const PREALLOCATED_BYTES: usize = 4096;
