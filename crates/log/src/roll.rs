//! Closing the active segment and opening the next one.

use std::sync::Arc;

use naru_model::{Offset, Timestamp};

use crate::checkpoint::Durable;
use crate::error::StorageError;
use crate::log::Log;
use crate::segment::Segment;

impl Log {
    /// Makes a new active segment whose first offset is `next`, which is the log end or, on a
    /// follower of a compacted log, later.
    ///
    /// The segment that is closed stays in the next sync plan.
    pub(crate) fn roll(&mut self, next: Offset, now: Timestamp) -> Result<(), StorageError> {
        let next = next.max(self.log_end);
        if self.position == 0 && self.active.base == next {
            return Ok(());
        }
        // An incomplete index is no reason to stop: opening completes it.
        let _ = self.active.finish();
        let before = std::mem::replace(&mut self.log_end, next);
        let fresh = match self
            .write_snapshot(Durable::No)
            .and_then(|()| Segment::create(&self.disk, &self.dir, next, now))
        {
            Ok(fresh) => Arc::new(fresh),
            Err(error) => {
                self.log_end = before;
                // Half a segment must not stay: the next batch may be small enough for the old
                // one, which would then reach beyond the base of the new one.
                if let Err(second) = self.remove_files_of(next) {
                    self.failed.get_or_insert_with(|| format!("{error}; then {second}"));
                }
                return Err(error);
            }
        };
        self.loose.renamed();
        let closed = std::mem::replace(&mut self.active, Arc::clone(&fresh));
        let was_empty = self.position == 0;
        self.position = 0;

        let mut published = self.shared.lock();
        if was_empty {
            published.segments.pop();
        }
        published.segments.push(fresh);
        published.log_end = next;
        published.tail.clear();
        drop(published);

        // What cannot be removed now is removed by the next roll or the next start.
        if was_empty {
            let _ = self.remove_segment_files(&closed);
        } else {
            self.unsynced.push(closed);
        }
        let _ = self.remove_stray_snapshots();
        Ok(())
    }

    /// What is taken off the active segment's age limit: below `segment.jitter.ms`, the same
    /// whenever it is asked, and spread over partitions and segments.
    pub(crate) fn segment_jitter(&self) -> i64 {
        match u64::try_from(self.config.segment_jitter_ms) {
            Ok(jitter @ 1..) => {
                let folder = self.dir.file_name().unwrap_or_default();
                let drawn = spread(folder.as_encoded_bytes(), self.active.base.0) % jitter;
                i64::try_from(drawn).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Rolls unless the active segment is empty, whatever its size.
    pub fn roll_now(&mut self, now: Timestamp) -> Result<(), StorageError> {
        self.roll(self.log_end, now)
    }
}

/// A well-mixed number from a folder's name and an offset (FNV-1a).
fn spread(name: &[u8], base: i64) -> u64 {
    name.iter().chain(&base.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn partitions_and_segments_are_spread() {
        let drawn: std::collections::BTreeSet<u64> = (0..100)
            .flat_map(|partition| {
                let name = format!("t-{partition}");
                [spread(name.as_bytes(), 0) % 10_000, spread(name.as_bytes(), 1000) % 10_000]
            })
            .collect();
        assert!(drawn.len() > 180, "{}", drawn.len());
        assert!(drawn.iter().any(|d| *d < 1000) && drawn.iter().any(|d| *d > 9000));
    }
}
