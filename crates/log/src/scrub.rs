//! A slow look through all closed segments, in steps, without the log's lock.
//!
//! A [`Scrub`] remembers how far it has come and may be kept for days; what is deleted, cut or
//! replaced meanwhile is passed over. What it finds is closed to readers at once; mending it is
//! for the caller, see [`crate::Log::repair`].

use std::sync::Arc;

use naru_model::Offset;

use crate::damage::Damage;
use crate::error::ReadError;
use crate::examine::{Examined, Outside, Stretch, examine};
use crate::reader::LogReader;
use crate::segment::Segment;
use crate::shared::Published;

/// How far a look through a log has come.
#[derive(Debug)]
pub struct Scrub {
    reader: LogReader,
    /// Base of the segment that is looked at, or of the last one that was.
    base: Offset,
    position: u64,
    /// Nothing was missing in the segment so far.
    dense: bool,
    next: Option<Offset>,
}

/// What one step has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubStep {
    /// Bytes that were read.
    pub bytes: u64,
    /// What was found; readers are refused it already.
    pub damage: Option<Damage>,
    /// All closed segments are done; the next step begins anew.
    pub done: bool,
}

impl Scrub {
    /// Begins with the oldest segment.
    pub const fn new(reader: LogReader) -> Self {
        Self { reader, base: Offset(i64::MIN), position: 0, dense: true, next: None }
    }

    /// Looks at the next bytes, `budget` of them and what is left of the last batch.
    ///
    /// # Errors
    /// When a file cannot be opened. What cannot be read is damage, not an error.
    pub fn step(&mut self, budget: u64) -> Result<ScrubStep, ReadError> {
        let Some(look) = self.reader.closed_from(self.base) else {
            *self = Self::new(self.reader.clone());
            return Ok(ScrubStep { bytes: 0, damage: None, done: true });
        };
        let segment = Arc::clone(&look.segment);
        if segment.base != self.base {
            (self.base, self.position, self.dense, self.next) = (segment.base, 0, true, None);
        }
        let from = self.position.min(segment.size());
        let known = segment.damage_from(from).filter(|known| known.position <= from);
        if let Some(known) = known {
            // It waits to be mended.
            self.pass(&known);
            self.end_segment(&segment);
            return Ok(ScrubStep { bytes: 0, damage: None, done: false });
        }
        let stretch = Stretch { from, after: self.next, budget };
        let examined = match examine(&segment, stretch, &look.outside) {
            Ok(examined) => examined,
            Err(_) if !self.reader.is_current(&look) => {
                return Ok(ScrubStep { bytes: 0, damage: None, done: false });
            }
            Err(error) => return Err(error.into()),
        };
        let mut step =
            ScrubStep { bytes: examined.end.saturating_sub(from), damage: None, done: false };
        if examined.damage.is_some() && !self.reader.is_current(&look) {
            // It was cut or mended while it was looked at: once more from its beginning.
            self.position = 0;
            return Ok(step);
        }
        self.dense &= examined.dense;
        self.next = examined.next.or(self.next);
        self.position = examined.end;
        segment.note_verified(from, examined.end);
        if let Some(damage) = examined.damage {
            step.damage = self.note(&segment, damage);
            self.pass(&damage);
        } else if self.position >= segment.size() {
            step.damage = self.missing_end(&look.outside, &segment);
        }
        self.end_segment(&segment);
        Ok(step)
    }

    fn pass(&mut self, damage: &Damage) {
        self.position = damage.end_position.max(self.position);
        self.next = Some(damage.last.plus(1));
    }

    fn end_segment(&mut self, segment: &Segment) {
        if self.position >= segment.size() {
            (self.base, self.position) = (segment.base.plus(1), 0);
            (self.dense, self.next) = (true, None);
        }
    }

    /// The records between the end of the file and the next segment, if there must be some:
    /// compaction leaves such gaps, but then there are others.
    fn missing_end(&self, outside: &Outside, segment: &Segment) -> Option<Damage> {
        let end = self.next.unwrap_or(segment.base);
        if end >= outside.next_base || !self.dense || self.reader.is_compacted() {
            return None;
        }
        let size = segment.size();
        let damage = Damage {
            segment_base: segment.base,
            first: end,
            last: outside.next_base.plus(-1),
            position: size,
            end_position: size,
        };
        self.note(segment, damage)
    }

    /// Closes damage to readers; it if that is news, and anybody could have read it.
    fn note(&self, segment: &Segment, damage: Damage) -> Option<Damage> {
        let is_read = damage.last >= self.reader.log_start();
        (is_read && segment.note_damage(damage)).then_some(damage)
    }
}

/// A segment as it is looked at, and what tells whether it still is what it was.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) segment: Arc<Segment>,
    pub(crate) outside: Outside,
    /// How often the log had been cut or mended.
    changes: u64,
}

impl Look {
    fn at(segment: &Arc<Segment>, next_base: Offset, published: &Published) -> Self {
        let epochs = published.epochs.clone();
        Self {
            segment: Arc::clone(segment),
            outside: Outside { next_base, size: segment.size(), epochs },
            changes: published.changes,
        }
    }
}

impl LogReader {
    /// What is damaged and not mended yet.
    pub fn damages(&self) -> Vec<Damage> {
        let segments = self.shared().lock().segments.clone();
        segments.iter().flat_map(|segment| segment.damages()).collect()
    }

    /// The first closed segment from this base on.
    fn closed_from(&self, base: Offset) -> Option<Look> {
        let published = self.shared().lock();
        // What lies before the log start nobody reads; retention removes it.
        let oldest = published.segment_at(published.log_start).unwrap_or(0);
        let at = published.segments.partition_point(|segment| segment.base < base).max(oldest);
        let next = published.segments.get(at + 1)?;
        Some(Look::at(published.segments.get(at)?, next.base, &published))
    }

    pub(crate) fn look_at(&self, segment: &Arc<Segment>) -> Option<Look> {
        let published = self.shared().lock();
        let at = published.segments.iter().position(|known| Arc::ptr_eq(known, segment))?;
        let next_base = published.segments.get(at + 1).map_or(published.log_end, |next| next.base);
        Some(Look::at(segment, next_base, &published))
    }

    /// Whether the segment is still there and was neither cut nor mended meanwhile.
    pub(crate) fn is_current(&self, look: &Look) -> bool {
        let published = self.shared().lock();
        published.changes == look.changes
            && published.segments.iter().any(|known| Arc::ptr_eq(known, &look.segment))
    }

    fn is_compacted(&self) -> bool {
        self.shared().lock().compact
    }

    /// Has a place looked at that could not be read, and closed to readers if it is damaged.
    pub fn look_into(&self, path: &std::path::Path, position: u64) {
        let segments = self.shared().lock().segments.clone();
        if let Some(segment) = segments.iter().find(|segment| segment.path() == path) {
            self.discover(segment, position);
        }
    }

    /// Verifies a segment around a place that could not be read; true if that found damage that
    /// was not known.
    pub(crate) fn discover(&self, segment: &Arc<Segment>, position: u64) -> bool {
        if segment.damage_from(position).is_some_and(|known| known.position <= position) {
            return false;
        }
        let Some(look) = self.look_at(segment) else { return false };
        let Ok(from) = segment.sure_boundary_before(position) else { return false };
        let stretch = Stretch { from, after: None, budget: position - from + 1 };
        match examine(segment, stretch, &look.outside) {
            Ok(Examined { damage: Some(damage), .. }) if self.is_current(&look) => {
                segment.note_damage(damage)
            }
            _ => false,
        }
    }
}
