//! Standard output and error of a tool. Output is buffered; a reader that has gone away ends the
//! writing without a complaint.

use std::io::{self, BufWriter, Stdout, Write};

/// Where a tool writes.
#[derive(Debug)]
pub struct Streams {
    out: BufWriter<Stdout>,
    broken: bool,
}

impl Default for Streams {
    fn default() -> Self {
        Self { out: BufWriter::with_capacity(64 << 10, io::stdout()), broken: false }
    }
}

impl Streams {
    /// Writes a line to standard output.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.raw(text.as_ref().as_bytes());
        self.raw(b"\n");
    }

    /// Writes a text to standard output.
    pub fn text(&mut self, text: impl AsRef<str>) {
        self.raw(text.as_ref().as_bytes());
    }

    /// Writes bytes to standard output.
    pub fn raw(&mut self, bytes: &[u8]) {
        if !self.broken && self.out.write_all(bytes).is_err() {
            self.broken = true;
        }
    }

    /// Writes a line to standard error, after what was written to standard output before.
    pub fn error(&mut self, text: impl AsRef<str>) {
        self.flush();
        // If standard error is closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "{}", text.as_ref());
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) {
        if !self.broken && self.out.flush().is_err() {
            self.broken = true;
        }
    }

    /// Whether nobody reads standard output any more.
    pub const fn is_broken(&self) -> bool {
        self.broken
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.flush();
    }
}
