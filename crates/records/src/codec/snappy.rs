//! Snappy, raw or in the framing of the Xerial library, which Java's clients use.
//!
//! Framing: 8 magic bytes, two 32-bit version numbers, then blocks of a 32-bit length and raw
//! snappy. Some clients send one raw block without framing.

use std::io::{self, Read};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const FRAME_HEADER_LEN: usize = 16;
const BLOCK_LEN: usize = 32 * 1024;
/// A snappy element of 3 bytes yields 64 at most, so no honest block announces more than this
/// many times its own bytes.
const RATIO_MAX: usize = 32;

/// Appends `bytes` in Xerial's framing.
pub(super) fn compress(bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(BLOCK_LEN) {
        let length_at = out.len();
        let block_at = length_at + 4;
        out.resize(block_at + snap::raw::max_compress_len(block.len()), 0);
        let len = encoder.compress(block, &mut out[block_at..])?;
        out.truncate(block_at + len);
        let len = u32::try_from(len).map_err(io::Error::other)?;
        out[length_at..block_at].copy_from_slice(&len.to_be_bytes());
    }
    Ok(())
}

/// Inflates block by block; one block is in memory at a time.
pub(crate) struct SnappyReader<'a> {
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    at: usize,
}

impl<'a> SnappyReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        match bytes.get(FRAME_HEADER_LEN..) {
            Some(blocks) if bytes.starts_with(&MAGIC) => {
                Self { rest: blocks, framed: true, block: Vec::new(), at: 0 }
            }
            _ => Self { rest: bytes, framed: false, block: Vec::new(), at: 0 },
        }
    }

    /// Takes the compressed bytes of the next block off the rest.
    fn take_block(&mut self) -> io::Result<&'a [u8]> {
        if !self.framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        // Concatenated streams repeat the frame header.
        if self.rest.starts_with(&MAGIC) {
            self.rest = self.rest.get(FRAME_HEADER_LEN..).ok_or_else(cut_off)?;
        }
        let (length, rest) = self.rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(io::Error::other)?;
        let block = rest.get(..length).ok_or_else(cut_off)?;
        self.rest = &rest[length..];
        Ok(block)
    }

    fn next_block(&mut self) -> io::Result<()> {
        let compressed = self.take_block()?;
        let len = snap::raw::decompress_len(compressed)?;
        if len > compressed.len().saturating_mul(RATIO_MAX) {
            return Err(io::Error::other("a block announces more than it can hold"));
        }
        self.block.resize(len, 0);
        self.at = 0;
        snap::raw::Decoder::new().decompress(compressed, &mut self.block)?;
        Ok(())
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.next_block()?;
        }
        let mut left = &self.block[self.at..];
        let took = left.read(out)?;
        self.at += took;
        Ok(took)
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the framing ends inside a block")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_snappy_is_read_too() {
        let raw = snap::raw::Encoder::new().compress_vec(b"without any framing").unwrap();
        let mut out = Vec::new();
        SnappyReader::new(&raw).read_to_end(&mut out).unwrap();
        assert_eq!(out, b"without any framing");
    }

    #[test]
    fn a_block_that_announces_gigabytes_is_refused_before_memory_is_taken() {
        // The varint 0xffffffff, then one literal byte.
        let raw = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, b'x'];
        assert!(SnappyReader::new(&raw).read_to_end(&mut Vec::new()).is_err());
    }
}
