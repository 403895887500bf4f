//! What of a log is to be compacted, and which segments become one.
//!
//! Pure: takes sizes, offsets and times of segments, and the clock. The rules are Kafka's.

use std::ops::Range;

use naru_model::{Offset, Timestamp};

/// What the plan needs to know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentView {
    /// Its base offset.
    pub base: Offset,
    /// Bytes of its `.log` file.
    pub size: u64,
    /// Bytes of its offset index.
    pub offset_index: u64,
    /// Bytes of its time index.
    pub time_index: u64,
    /// Greatest timestamp of its first batch, if it has any.
    pub first_time: Option<Timestamp>,
    /// Its greatest timestamp, or when it was written.
    pub latest: Timestamp,
}

/// What bounds compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// First offset that may be read.
    pub log_start: Offset,
    /// The offset after the last record.
    pub log_end: Offset,
    /// Nothing from here on is touched: the high watermark, or the first offset of the oldest
    /// open transaction.
    pub stable_end: Offset,
    /// How far compaction has come before.
    pub cleaned_upto: Option<Offset>,
    /// `min.compaction.lag.ms`.
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_lag_ms: i64,
    /// The clock.
    pub now: Timestamp,
}

/// What a compaction would work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Records from here on have not been compacted yet.
    pub first_dirty: Offset,
    /// Records from here on are not compacted now: the base of a segment.
    pub first_uncleanable: Offset,
    /// Bytes before the dirty ones.
    pub clean_bytes: u64,
    /// Bytes between the two.
    pub dirty_bytes: u64,
    /// Bytes from there on that will be compacted some day.
    pub waiting_bytes: u64,
    /// For how long the oldest dirty record has been due by `max.compaction.lag.ms`; 0 if it is not.
    pub overdue_ms: i64,
}

impl Extent {
    /// Which part of what can be compacted has not been, between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn dirty_ratio(&self) -> f64 {
        let total = self.clean_bytes + self.dirty_bytes;
        if total == 0 { 0.0 } else { self.dirty_bytes as f64 / total as f64 }
    }

    /// Whether it is time to compact.
    pub fn is_due(&self, min_dirty_ratio: f64) -> bool {
        self.dirty_bytes > 0 && (self.overdue_ms > 0 || self.dirty_ratio() > min_dirty_ratio)
    }
}

/// Works out what could be compacted. The last of `segments` is active.
pub(crate) fn extent(segments: &[SegmentView], bounds: &Bounds) -> Extent {
    let known = |from: &Offset| (bounds.log_start..=bounds.log_end).contains(from);
    let first_dirty = bounds.cleaned_upto.filter(known).unwrap_or(bounds.log_start);
    let Some((active, closed)) = segments.split_last() else {
        return Extent {
            first_dirty,
            first_uncleanable: first_dirty,
            clean_bytes: 0,
            dirty_bytes: 0,
            waiting_bytes: 0,
            overdue_ms: 0,
        };
    };
    let dirty = match closed.get(at_or_before(closed, first_dirty)..) {
        Some(dirty) if first_dirty < active.base => dirty,
        _ => &[],
    };

    let young_from = Timestamp(bounds.now.0.saturating_sub(bounds.min_lag_ms.max(0)));
    let is_young = |s: &&SegmentView| bounds.min_lag_ms > 0 && s.latest > young_from;
    let too_young = dirty.iter().find(is_young).map_or(Offset(i64::MAX), |young| young.base);
    let limit = bounds.stable_end.min(active.base).min(too_young).max(first_dirty);
    // Segments are compacted whole.
    let first_uncleanable = match closed.get(at_or_before(closed, limit)) {
        Some(segment) if limit < active.base => segment.base,
        _ => active.base,
    };

    let size = |from: Offset, to: Offset| -> u64 {
        let inside = segments.iter().filter(|s| from <= s.base && s.base < to);
        inside.map(|segment| segment.size).sum()
    };
    let dirty_from = dirty.first().map_or(active.base, |s| s.base).min(first_uncleanable);
    let due_before = bounds.now.0.saturating_sub(bounds.max_lag_ms.max(0));
    let firsts = dirty.iter().filter_map(|s| s.first_time).filter(|time| time.0 > 0);
    let oldest = firsts.min().unwrap_or(Timestamp(i64::MAX));
    Extent {
        first_dirty,
        first_uncleanable,
        clean_bytes: size(Offset(i64::MIN), first_dirty),
        dirty_bytes: size(dirty_from, first_uncleanable),
        waiting_bytes: size(first_uncleanable, Offset(i64::MAX)),
        overdue_ms: due_before.saturating_sub(oldest.0).max(0),
    }
}

/// Which neighbours are compacted into one segment: no larger than `max_bytes`, with indexes no
/// larger than `max_index_bytes`, and with offsets that an index can tell. `upper` is the offset
/// after the last segment.
pub(crate) fn group(
    segments: &[SegmentView],
    max_bytes: u64,
    max_index_bytes: u64,
    upper: Offset,
) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut rest = segments.iter().enumerate().peekable();
    while let Some((start, first)) = rest.next() {
        let (mut bytes, mut offsets, mut times) =
            (first.size, first.offset_index, first.time_index);
        let mut end = start + 1;
        while let Some((at, next)) = rest.peek().copied() {
            let last = segments.get(at + 1).map_or(upper, |after| after.base).plus(-1);
            let in_reach = next.size == 0 || i32::try_from(last.0 - first.base.0).is_ok();
            (bytes, offsets, times) =
                (bytes + next.size, offsets + next.offset_index, times + next.time_index);
            if bytes > max_bytes || offsets.max(times) > max_index_bytes || !in_reach {
                break;
            }
            end = at + 1;
            rest.next();
        }
        groups.push(start..end);
    }
    groups
}

/// Index of the segment that has, or would have, the offset; the first one if it lies before all.
fn at_or_before(segments: &[SegmentView], offset: Offset) -> usize {
    segments.partition_point(|segment| segment.base <= offset).saturating_sub(1)
}

#[cfg(test)]
mod tests;
