//! What an opening is told, and what it reports.

use naru_model::{Offset, Timestamp};

use crate::config::LogConfig;

/// What the directory knows about a log that is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The topic's settings.
    pub config: LogConfig,
    /// Whether the directory was shut down cleanly.
    pub clean: bool,
    /// From `recovery-point-offset-checkpoint`; everything before it is known to be synced.
    pub recovery_point: Option<Offset>,
    /// From `log-start-offset-checkpoint`.
    pub log_start: Option<Offset>,
    /// How many bytes before the log end are verified after a clean stop; see [`tail_budget`].
    pub tail_bytes: u64,
    /// The clock.
    pub now: Timestamp,
}

/// How many bytes of each of `logs` logs a start after a clean stop should verify: a few with
/// very many logs, a whole young segment with few, and a bounded sum of all.
pub const fn tail_budget(logs: usize) -> u64 {
    const ALL: u64 = 256 << 20;
    const LEAST: u64 = 64 << 10;
    const MOST: u64 = 16 << 20;
    let share = ALL / if logs == 0 { 1 } else { logs as u64 };
    if share < LEAST {
        LEAST
    } else if share > MOST {
        MOST
    } else {
        share
    }
}

/// Records that were durable once and are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The first of them: the log end now.
    pub from: Offset,
    /// The offset after the last of them, as the recovery point told.
    pub upto: Offset,
    /// After a clean stop nothing but damage can have taken them. After a crash they may also
    /// have been truncated by a new leader, just before.
    pub clean: bool,
}

/// What opening a log has found and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Bytes that were verified.
    pub bytes_verified: u64,
    /// Bytes that were cut off or deleted because a batch before them was bad.
    pub bytes_cut: u64,
    /// Segments that were deleted for that reason.
    pub segments_removed: usize,
    /// Segments whose indexes were built anew.
    pub indexes_rebuilt: usize,
    /// The folder was not there.
    pub is_new: bool,
    /// The log ends before its recovery point. This replica must not lead, nor count as in sync,
    /// before it has fetched up to there again.
    pub lost: Option<Lost>,
    /// Stretches of closed segments that are closed to readers until they are mended.
    pub damages: usize,
}

impl Recovery {
    /// Whether anything had to be mended.
    pub const fn mended(&self) -> bool {
        self.bytes_cut > 0
            || self.segments_removed > 0
            || self.indexes_rebuilt > 0
            || self.lost.is_some()
            || self.damages > 0
    }

    /// Adds up the reports of several logs; the first loss is kept as an example.
    pub const fn add(&mut self, other: &Self) {
        self.bytes_verified += other.bytes_verified;
        self.bytes_cut += other.bytes_cut;
        self.segments_removed += other.segments_removed;
        self.indexes_rebuilt += other.indexes_rebuilt;
        self.damages += other.damages;
        self.is_new |= other.is_new;
        if self.lost.is_none() {
            self.lost = other.lost;
        }
    }
}
