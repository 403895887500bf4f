//! Writes primitive types into one frame.

use bytes::Bytes;
use naru_model::Uuid;

use crate::wire::Records;

/// A place in the frame where bytes from elsewhere belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct External {
    /// Position in the written bytes, before which the external ones go.
    pub at: usize,
    /// How many bytes go there.
    pub len: usize,
}

/// Collects a frame.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    externals: Vec<External>,
}

impl Writer {
    /// Continues in `buffer`, behind what it holds.
    pub fn appending(buffer: Vec<u8>) -> Self {
        Self { buffer, externals: Vec::new() }
    }

    /// Bytes written so far, without external ones.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The external bytes' places, in order.
    pub fn externals(&self) -> &[External] {
        &self.externals
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.buffer
    }

    /// What was written, and where external bytes go.
    pub fn into_parts(self) -> (Vec<u8>, Vec<External>) {
        (self.buffer, self.externals)
    }

    /// Overwrites four bytes at `at`, such as a length known only afterwards.
    pub fn patch_i32(&mut self, at: usize, value: i32) {
        self.buffer[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// One byte, 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.buffer.push(u8::from(value));
    }

    /// A signed byte.
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// Two bytes, big-endian.
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// Two bytes, unsigned.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes, big-endian.
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes, unsigned.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes, big-endian.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes, IEEE 754.
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.raw(&value.to_bytes());
    }

    /// An unsigned variable-length integer.
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.buffer.push(value.to_le_bytes()[0]);
    }

    fn len_prefix(&mut self, len: Option<usize>, flexible: bool, short: bool) {
        // A length above 2^31 cannot be said on the wire; frames are capped far below it.
        let announced = len.map_or(-1, |len| i32::try_from(len).unwrap_or(i32::MAX));
        if flexible {
            self.uvarint(announced.wrapping_add(1).cast_unsigned());
        } else if short {
            self.i16(i16::try_from(announced).unwrap_or(i16::MAX));
        } else {
            self.i32(announced);
        }
    }

    /// A string; one that is too long for its version's 16-bit length is cut at a character.
    pub fn string(&mut self, value: &str, flexible: bool) {
        self.nullable_string(Some(value), flexible, false);
    }

    /// A string or null; null is written as the empty string where it may not stand.
    pub fn nullable_string(&mut self, value: Option<&str>, flexible: bool, nullable: bool) {
        let value = if nullable { value } else { Some(value.unwrap_or_default()) };
        let fitting = value.map(|text| match i16::try_from(text.len()) {
            Err(_) if !flexible => &text[..text.floor_char_boundary(i16::MAX as usize)],
            _ => text,
        });
        self.len_prefix(fitting.map(str::len), flexible, true);
        self.raw(fitting.unwrap_or_default().as_bytes());
    }

    /// Bytes with their length.
    pub fn bytes(&mut self, value: &Bytes, flexible: bool) {
        self.nullable_bytes(Some(value), flexible, false);
    }

    /// Bytes with their length, or null; null is written as no bytes where it may not stand.
    pub fn nullable_bytes(&mut self, value: Option<&Bytes>, flexible: bool, nullable: bool) {
        let bytes = value.map(|bytes| &bytes[..]);
        let bytes = if nullable { bytes } else { Some(bytes.unwrap_or_default()) };
        self.len_prefix(bytes.map(<[u8]>::len), flexible, false);
        self.raw(bytes.unwrap_or_default());
    }

    /// Record bytes, or a note of where they go.
    pub fn records(&mut self, value: &Records, flexible: bool) {
        match value {
            Records::Null => self.len_prefix(None, flexible, false),
            Records::Inline(bytes) => self.bytes(bytes, flexible),
            Records::External { len } => {
                self.len_prefix(Some(*len), flexible, false);
                self.externals.push(External { at: self.buffer.len(), len: *len });
            }
        }
    }

    /// An array.
    pub fn array<T>(&mut self, items: &[T], flexible: bool, write: impl FnMut(&mut Self, &T)) {
        self.nullable_array(Some(items), flexible, false, write);
    }

    /// An array or null; null is written as no elements where it may not stand.
    pub fn nullable_array<T>(
        &mut self,
        items: Option<&[T]>,
        flexible: bool,
        nullable: bool,
        mut write: impl FnMut(&mut Self, &T),
    ) {
        let items = if nullable { items } else { Some(items.unwrap_or_default()) };
        self.len_prefix(items.map(<[T]>::len), flexible, false);
        for item in items.unwrap_or_default() {
            write(self, item);
        }
    }

    /// A structure, behind a presence byte where `nullable` says there is one.
    pub fn nullable_struct<T: Default>(
        &mut self,
        value: Option<&T>,
        nullable: bool,
        write: impl FnOnce(&mut Self, &T),
    ) {
        match value {
            Some(item) => {
                if nullable {
                    self.i8(1);
                }
                write(self, item);
            }
            None if nullable => self.i8(-1),
            None => write(self, &T::default()),
        }
    }

    /// Starts a set of tagged fields.
    pub(crate) fn tags(&self) -> Tags {
        Tags::default()
    }
}

/// Tagged fields being collected, so that their count and sizes can go first.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    count: u32,
    body: Writer,
}

impl Tags {
    pub(crate) fn put(&mut self, tag: u32, write: impl FnOnce(&mut Writer)) {
        let mut payload = Writer::default();
        write(&mut payload);
        self.count += 1;
        self.body.uvarint(tag);
        self.body.uvarint(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        self.body.raw(&payload.buffer);
    }

    pub(crate) fn finish(self, w: &mut Writer) {
        w.uvarint(self.count);
        w.raw(&self.body.buffer);
    }
}
