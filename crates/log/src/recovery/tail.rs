//! What is looked at although a clean stop vouches for it, and what an earlier look has found.

use std::sync::Arc;

use naru_model::Offset;

use super::Opening;
use crate::checkpoint::read_if_there;
use crate::damage;
use crate::error::{ReadError, StorageError};
use crate::examine::{Outside, Stretch, examine};
use crate::names;
use crate::segment::Segment;

impl Opening<'_> {
    /// Stretches that were found to be damaged before the last stop stay closed to readers, if
    /// they still are: a crash may have come between mending and forgetting.
    pub(super) fn recall_damages(&mut self, segments: &[Arc<Segment>]) -> Result<(), StorageError> {
        let path = self.dir.join(names::DAMAGES);
        let Some(bytes) = read_if_there(&*self.disk, &path)? else { return Ok(()) };
        for known in damage::from_text(&String::from_utf8_lossy(&bytes)) {
            let at = segments.iter().position(|segment| segment.base == known.segment_base);
            let Some((at, segment)) = at.and_then(|at| Some((at, segments.get(at)?))) else {
                continue;
            };
            let size = segment.size();
            let next_base = segments.get(at + 1).map_or(Offset(i64::MAX), |next| next.base);
            if known.position < size {
                let outside = Outside { next_base, size, epochs: self.epochs.clone() };
                let budget = (known.end_position - known.position).max(1);
                let stretch = Stretch { from: known.position, after: Some(known.first), budget };
                if let Some(damage) = examine(segment, stretch, &outside)?.damage {
                    segment.note_damage(damage);
                }
            } else if known.position == size && known.last.plus(1) == next_base {
                segment.note_damage(known);
            }
        }
        Ok(())
    }

    /// Verifies the end of a closed segment, up to `budget` bytes. What is behind the damage is
    /// good, so nothing is cut off.
    pub(super) fn examine_closed_tail(
        &mut self,
        segment: &Arc<Segment>,
        next_base: Offset,
        budget: u64,
    ) -> Result<(), ReadError> {
        let size = segment.size();
        if budget == 0 || size == 0 {
            return Ok(());
        }
        let start = size.saturating_sub(budget);
        let mut from = if start == 0 { 0 } else { segment.sure_boundary_before(start)? };
        let mut after = None;
        let outside = Outside { next_base, size, epochs: self.epochs.clone() };
        while from < size {
            let stretch = Stretch { from, after, budget: u64::MAX };
            let examined = examine(segment, stretch, &outside)?;
            self.report.bytes_verified += examined.end.saturating_sub(from);
            (self.progress)(examined.end.saturating_sub(from));
            segment.note_verified(from, examined.end);
            let Some(damage) = examined.damage else { break };
            tracing::warn!(
                path = %segment.path().display(),
                first = %damage.first,
                last = %damage.last,
                "damage behind the mark of a clean stop"
            );
            segment.note_damage(damage);
            (from, after) = (damage.end_position.max(examined.end + 1), Some(damage.last.plus(1)));
        }
        Ok(())
    }

    /// Where the verification of the active segment begins after a clean stop: so many bytes
    /// before its end as is allowed, at a batch boundary, at `position` at the latest.
    pub(super) fn tail_start(&self, segment: &Segment, position: u64) -> Result<u64, StorageError> {
        let size = segment.size();
        if !self.trust.clean {
            return Ok(position);
        }
        let wanted = size.saturating_sub(self.options.tail_bytes);
        if wanted == 0 {
            return Ok(0);
        }
        Ok(segment.boundary_below(wanted)?.unwrap_or(0).min(position))
    }
}
