//! Walking a segment's file from batch to batch, by headers alone.

use std::path::Path;
use std::sync::Arc;

use naru_records::{BatchHeader, HEADER_LEN};

use crate::disk::DiskFile;
use crate::error::{Context, ReadError};

/// One index interval of small batches is read at once.
const WINDOW_LEN: usize = 8 * 1024;

/// Yields the header and the position of each whole batch between two positions of a file.
#[derive(Debug)]
pub(crate) struct HeaderScan<'p> {
    file: Arc<dyn DiskFile>,
    path: &'p Path,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    /// Positions of known damage, from and to.
    bad: Vec<(u64, u64)>,
}

impl<'p> HeaderScan<'p> {
    pub(crate) fn new(file: Arc<dyn DiskFile>, path: &'p Path, position: u64, end: u64) -> Self {
        Self { file, path, position, end, window: Vec::new(), window_at: 0, bad: Vec::new() }
    }

    /// Leaves out what is known to be damaged.
    pub(crate) fn passing_over(mut self, bad: Vec<(u64, u64)>) -> Self {
        self.bad = bad;
        self
    }

    /// Ends the walk before this position already.
    pub(crate) fn until(mut self, end: u64) -> Self {
        self.end = self.end.min(end);
        self
    }

    /// The next batch; none at the end. A batch that reaches beyond the end is damaged: only
    /// whole batches are ever published.
    pub(crate) fn next(&mut self) -> Result<Option<(BatchHeader, u64)>, ReadError> {
        for (from, to) in &self.bad {
            if (*from..*to).contains(&self.position) {
                self.position = *to;
            }
        }
        if self.position >= self.end {
            return Ok(None);
        }
        let position = self.position;
        if position + HEADER_LEN as u64 > self.end {
            return Err(self.damaged());
        }
        let Ok(header) = BatchHeader::parse(self.header_bytes()?) else {
            return Err(self.damaged());
        };
        let next = position + header.size() as u64;
        if header.last_offset_delta < 0 || next > self.end {
            return Err(self.damaged());
        }
        self.position = next;
        Ok(Some((header, position)))
    }

    fn damaged(&self) -> ReadError {
        ReadError::Damaged { path: self.path.to_path_buf(), position: self.position }
    }

    fn header_bytes(&mut self) -> Result<&[u8], ReadError> {
        let window_end = self.window_at + self.window.len() as u64;
        let inside =
            self.position >= self.window_at && self.position + HEADER_LEN as u64 <= window_end;
        if !inside {
            let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
            self.window.resize(left.min(WINDOW_LEN), 0);
            self.window_at = self.position;
            self.file.read_exact_at(&mut self.window, self.position).context("read", self.path)?;
        }
        let from = usize::try_from(self.position - self.window_at).unwrap_or(0);
        Ok(&self.window[from..])
    }
}
