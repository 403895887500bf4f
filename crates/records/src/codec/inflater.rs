//! One `Read` over any codec.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;

use super::Compression;
use super::snappy::SnappyReader;
use super::zstd_codec::ZstdReader;

/// Reads the inflated bytes of `compressed`; memory is the codec's window at most.
pub(crate) enum Inflater<'a> {
    /// The bytes themselves.
    None(&'a [u8]),
    /// May have several members, as Java's reader allows.
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    Snappy(SnappyReader<'a>),
    Lz4(Box<FrameDecoder<&'a [u8]>>),
    Zstd(ZstdReader<'a>),
}

impl<'a> Inflater<'a> {
    pub(crate) fn new(codec: Compression, compressed: &'a [u8]) -> Self {
        match codec {
            Compression::None => Self::None(compressed),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(compressed))),
            Compression::Snappy => Self::Snappy(SnappyReader::new(compressed)),
            Compression::Lz4 => Self::Lz4(Box::new(FrameDecoder::new(compressed))),
            Compression::Zstd => Self::Zstd(ZstdReader::new(compressed)),
        }
    }
}

impl Read for Inflater<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(bytes) => bytes.read(out),
            Self::Gzip(reader) => reader.read(out),
            Self::Snappy(reader) => reader.read(out),
            Self::Lz4(reader) => reader.read(out),
            Self::Zstd(reader) => reader.read(out),
        }
    }
}
