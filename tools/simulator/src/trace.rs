//! What happened in a run: as one number, to compare runs, and as lines, to read.

use std::collections::VecDeque;
use std::fmt::{Arguments, Write as _};

/// Lines kept for a run that fails.
const KEPT: usize = 4000;

/// See the module.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: VecDeque<String>,
    line: String,
    /// Whether lines are kept.
    keeps: bool,
}

impl Trace {
    pub(crate) fn new(keeps: bool) -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, lines: VecDeque::new(), line: String::new(), keeps }
    }

    /// Notes what happened at `now`.
    pub(crate) fn note(&mut self, now: i64, what: Arguments<'_>) {
        self.line.clear();
        // Writing to a string does not fail.
        let _ = write!(self.line, "{now:>7} {what}");
        for byte in self.line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.keeps {
            if self.lines.len() == KEPT {
                self.lines.pop_front();
            }
            self.lines.push_back(self.line.clone());
        }
    }

    /// Everything noted so far, as one number.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

/// Notes something in a node's trace.
macro_rules! note {
    ($env:expr, $($what:tt)*) => {
        $env.trace.note($env.now, format_args!($($what)*))
    };
}
pub(crate) use note;
