//! Splits what a socket delivers into frames.
//!
//! Memory grows with the bytes that arrived, never with the length a frame announces: the buffer
//! at most doubles what is already there.

use bytes::{Buf as _, Bytes, BytesMut};

/// Room offered to a read when nothing says that more is coming.
const ROOM_MIN: usize = 16 << 10;
/// Room offered at most, so that one read does not empty a fast socket for too long.
const ROOM_MAX: usize = 1 << 20;
/// A buffer larger than this is given back when the connection falls idle.
const KEPT_BYTES: usize = 64 << 10;

/// The four length bytes announce a frame that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes was announced")]
pub(crate) struct BadFrameLength(pub(crate) i32);

/// Received bytes that are not whole frames yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: BytesMut,
    /// Size of the frames this connection has sent lately, so that a read has room for the next.
    usual: usize,
}

impl Input {
    /// The buffer to read into, with room made.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        let missing = self.missing();
        let seen = missing.min(self.buffer.len());
        let room = seen.max(2 * self.usual).clamp(ROOM_MIN, ROOM_MAX);
        if self.buffer.capacity() - self.buffer.len() < room {
            self.buffer.reserve(room);
        }
        &mut self.buffer
    }

    /// Bytes still missing of the frame at the front, 0 if unknown.
    fn missing(&self) -> usize {
        match self.buffer.first_chunk::<4>() {
            Some(length) => usize::try_from(i32::from_be_bytes(*length))
                .map_or(0, |length| (length + 4).saturating_sub(self.buffer.len())),
            None => 0,
        }
    }

    /// Takes the next whole frame, without its length.
    pub(super) fn next_frame(&mut self, frame_max: usize) -> Result<Option<Bytes>, BadFrameLength> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let announced = i32::from_be_bytes(*length);
        let length = match usize::try_from(announced) {
            Ok(length) if length <= frame_max => length,
            _ => return Err(BadFrameLength(announced)),
        };
        if self.buffer.len() < length + 4 {
            return Ok(None);
        }
        self.usual = length.max(self.usual - self.usual / 8);
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Gives memory back while nothing is expected.
    pub(super) fn shrink(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = BytesMut::new();
            self.usual = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut as _;

    fn input(bytes: &[u8]) -> Input {
        let mut input = Input::default();
        input.room().put_slice(bytes);
        input
    }

    #[test]
    fn frames_are_split_and_a_partial_one_waits() {
        let mut input = input(b"\0\0\0\x02ab\0\0\0\x01c\0\0\0\x05d");
        assert_eq!(input.next_frame(100), Ok(Some(Bytes::from_static(b"ab"))));
        assert_eq!(input.next_frame(100), Ok(Some(Bytes::from_static(b"c"))));
        assert_eq!(input.next_frame(100), Ok(None));
        input.room().put_slice(b"efgh");
        assert_eq!(input.next_frame(100), Ok(Some(Bytes::from_static(b"defgh"))));
        assert!(input.buffer.is_empty());
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert_eq!(input(&[0xff; 4]).next_frame(100), Err(BadFrameLength(-1)));
        assert_eq!(input(b"\0\0\0\x65").next_frame(100), Err(BadFrameLength(101)));
    }

    #[test]
    fn an_announced_length_takes_no_memory() {
        let mut input = input(&(99_i32 << 20).to_be_bytes());
        input.room();
        assert!(input.buffer.capacity() < 64 << 10);
    }

    #[test]
    fn room_at_most_doubles_what_arrived() {
        let mut input = input(&(99_i32 << 20).to_be_bytes());
        for _ in 0..10 {
            let before = input.buffer.len();
            let room = input.room();
            let free = room.capacity() - room.len();
            room.put_bytes(0, free);
            assert!(input.buffer.len() <= (before * 4).max(64 << 10));
        }
    }
}
