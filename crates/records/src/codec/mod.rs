//! The four codecs of a batch's records: whole-buffer compression, capped streaming inflation.
//!
//! What is written is what Apache Kafka's producer writes (Xerial's snappy framing, LZ4 frames of
//! independent 64 KiB blocks); what is read is what any known client writes.

mod inflater;
mod snappy;
mod zstd_codec;

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

pub(crate) use inflater::Inflater;

use crate::error::BatchError;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy in Xerial's framing.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Every codec, by number.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in a batch's attributes.
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {0:?}: none, gzip, snappy, lz4 and zstd are known")]
pub struct UnknownCompressionName(pub String);

impl FromStr for Compression {
    type Err = UnknownCompressionName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownCompressionName(name.to_owned()))
    }
}

/// Compresses `records` and appends the result to `out`. `level` is the codec's own; none means
/// the codec's default, and snappy has no levels.
pub fn compress(
    codec: Compression,
    level: Option<i32>,
    records: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    match codec {
        Compression::None => out.extend_from_slice(records),
        Compression::Gzip => {
            let level = level.and_then(|level| u32::try_from(level).ok()).unwrap_or(6);
            let mut encoder =
                flate2::write::GzEncoder::new(out, flate2::Compression::new(level.min(9)));
            encoder.write_all(records)?;
            encoder.finish()?;
        }
        Compression::Snappy => snappy::compress(records, out)?,
        Compression::Lz4 => {
            // Java's reader needs independent blocks; 64 KiB is what Java's writer uses.
            let frame = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, out);
            encoder.write_all(records)?;
            encoder.finish().map_err(io::Error::other)?;
        }
        Compression::Zstd => zstd_codec::compress(records, level.unwrap_or(3), out)?,
    }
    Ok(())
}

/// Inflates the records of a batch and appends them to `out`; an error if they are more than
/// `inflated_max` bytes.
pub fn inflate(
    codec: Compression,
    compressed: &[u8],
    inflated_max: u64,
    out: &mut Vec<u8>,
) -> Result<(), BatchError> {
    let mut inflater = Inflater::new(codec, compressed);
    let before = out.len();
    // Grows as bytes come out, never by what a header announces.
    let took = inflater
        .by_ref()
        .take(inflated_max.saturating_add(1))
        .read_to_end(out)
        .map_err(|error| inflate_error(codec, &error))?;
    if took as u64 > inflated_max {
        out.truncate(before);
        return Err(BatchError::InflatedTooLarge { limit: inflated_max });
    }
    Ok(())
}

pub(crate) fn inflate_error(codec: Compression, error: &io::Error) -> BatchError {
    BatchError::Inflate { codec, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(codec: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut small = Vec::new();
        compress(codec, None, bytes, &mut small).unwrap();
        let mut back = Vec::new();
        inflate(codec, &small, bytes.len() as u64, &mut back).unwrap();
        back
    }

    #[test]
    fn large_inputs_round_trip_in_every_codec() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for codec in Compression::ALL {
            assert!(round_trip(codec, &text) == text, "{codec}");
            assert!(round_trip(codec, b"") == b"", "{codec}");
        }
    }

    #[test]
    fn inflation_stops_at_the_cap() {
        let zeros = vec![0; 5 << 20];
        for codec in Compression::ALL {
            let mut small = Vec::new();
            compress(codec, None, &zeros, &mut small).unwrap();
            let mut out = b"kept".to_vec();
            let error = inflate(codec, &small, 1 << 20, &mut out);
            assert_eq!(error, Err(BatchError::InflatedTooLarge { limit: 1 << 20 }));
            assert_eq!(out, b"kept");
        }
    }

    #[test]
    fn names_read_back() {
        for codec in Compression::ALL {
            assert_eq!(codec.name().parse(), Ok(codec));
            assert_eq!(Compression::from_number(codec.number()), Some(codec));
        }
        assert!("brotli".parse::<Compression>().is_err());
        assert_eq!(Compression::from_number(5), None);
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000),
            codec in 0u8..5,
        ) {
            let codec = Compression::from_number(codec).unwrap();
            prop_assert_eq!(round_trip(codec, &bytes), bytes);
        }

        #[test]
        fn garbage_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            codec in 1u8..5,
            cut in any::<prop::sample::Index>(),
        ) {
            let codec = Compression::from_number(codec).unwrap();
            let mut out = Vec::new();
            let _ = inflate(codec, &bytes, 1 << 16, &mut out);
            let mut small = Vec::new();
            compress(codec, None, &bytes, &mut small).unwrap();
            let at = cut.index(small.len());
            let mut damaged = small.clone();
            damaged[at] ^= 0x55;
            out.clear();
            let _ = inflate(codec, &damaged, 1 << 16, &mut out);
            let _ = inflate(codec, &small[..at], 1 << 16, &mut out);
        }
    }
}
