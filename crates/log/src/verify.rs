//! Verifying a segment's bytes: large sequential reads, one checksum per batch.

use std::path::Path;

use naru_records::{BatchError, BatchHeader};

use crate::disk::DiskFile;
use crate::error::{Context, StorageError};

/// How much is read at once; a larger batch is read whole.
const CHUNK_LEN: usize = 1 << 20;
const CHUNK_LEN_MIN: usize = 16 << 10;

/// The bytes to be verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// How much is read at once.
    chunk: usize,
}

impl Span {
    /// All bytes between two positions.
    pub(crate) const fn new(from: u64, to: u64) -> Self {
        Self { from, to, chunk: CHUNK_LEN }
    }

    /// The visitor will probably have enough after so many bytes.
    pub(crate) fn expecting(mut self, bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(CHUNK_LEN);
        self.chunk = bytes.clamp(CHUNK_LEN_MIN, CHUNK_LEN);
        self
    }
}

/// A batch that has been verified.
#[derive(Debug)]
pub(crate) struct Verified<'b> {
    pub(crate) header: BatchHeader,
    pub(crate) position: u64,
    /// The whole batch.
    pub(crate) bytes: &'b [u8],
}

/// What is to be thought of a batch whose checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Its offsets are right.
    Good,
    /// It is good, and enough.
    Last,
    /// It cannot stand where it does.
    Wrong,
}

/// Where verification ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The position after the last good batch.
    pub(crate) end: u64,
    /// Why it ended before the end of the file, if it did.
    pub(crate) fault: Option<BatchError>,
}

/// Walks the batches of a span, checks each and hands it to `visit`, which judges it. `progress` is told how many bytes each step was.
pub(crate) fn verify(
    file: &dyn DiskFile,
    path: &Path,
    span: Span,
    buffer: &mut Vec<u8>,
    progress: &dyn Fn(u64),
    mut visit: impl FnMut(&Verified<'_>) -> Visit,
) -> Result<Outcome, StorageError> {
    let Span { from, to, chunk } = span;
    // `buffer[..filled]` holds the file from `base` on; batches before `at` are done.
    let (mut base, mut filled, mut at) = (from, 0usize, 0usize);
    loop {
        let position = base + at as u64;
        let parsed = BatchHeader::parse(&buffer[at..filled]);
        let needed = match &parsed {
            Ok(header) => header.size(),
            Err(BatchError::Truncated { needed, .. }) => usize::try_from(*needed).unwrap_or(0),
            Err(_) => 0,
        };
        if needed > filled - at {
            let left = to - position;
            if (needed as u64) > left {
                let fault = BatchError::Truncated { needed: needed as u64, available: left };
                return Ok(Outcome { end: position, fault: (left > 0).then_some(fault) });
            }
            progress(at as u64);
            // A header's length is believed only as far as the file goes.
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.max(needed));
            if buffer.len() < want {
                buffer.resize(want, 0);
            }
            buffer.copy_within(at..filled, 0);
            filled -= at;
            (base, at) = (position, 0);
            while filled < want {
                let took = file
                    .read_at(&mut buffer[filled..want], base + filled as u64)
                    .context("read", path)?;
                if took == 0 {
                    let source = std::io::ErrorKind::UnexpectedEof.into();
                    return Err(StorageError { action: "read", path: path.into(), source });
                }
                filled += took;
            }
            continue;
        }
        let batch = &buffer[at..at + needed];
        let checked = parsed.and_then(|header| header.check_crc(batch).map(|()| header));
        let fault = match checked {
            Ok(header) => {
                let judged = visit(&Verified { header, position, bytes: batch });
                if judged != Visit::Wrong {
                    at += needed;
                }
                match judged {
                    Visit::Good => continue,
                    Visit::Last => return Ok(Outcome { end: base + at as u64, fault: None }),
                    Visit::Wrong => {}
                }
                let (count, last_offset_delta) = (header.record_count, header.last_offset_delta);
                BatchError::Count { count, last_offset_delta }
            }
            Err(error) => error,
        };
        progress(at as u64);
        return Ok(Outcome { end: position, fault: Some(fault) });
    }
}
