//! Building indexes anew while the log is open, after a reader has met a wrong entry.

use std::sync::Arc;

use crate::error::ReadError;
use crate::log::Log;
use crate::segment::{Placed, Segment};
use crate::verify::{Span, Visit, verify};

impl Log {
    /// Rebuilds the indexes that readers have found to be wrong; returns how many segments that
    /// were. Costs a read of those segments. Until then readers scan them from the beginning.
    pub fn mend_indexes(&self) -> Result<usize, ReadError> {
        let segments = self.shared.lock().segments.clone();
        let mut mended = 0;
        for segment in segments.iter().filter(|segment| segment.index_is_bad()) {
            self.rebuild_indexes(segment, Arc::ptr_eq(segment, &self.active))?;
            mended += 1;
        }
        Ok(mended)
    }

    pub(crate) fn rebuild_indexes(
        &self,
        segment: &Segment,
        is_active: bool,
    ) -> Result<(), ReadError> {
        segment.clear_indexes()?;
        let interval = self.config.index_interval_bytes;
        let (file, size) = (segment.file()?, segment.size());
        let mut note = |batch: &crate::verify::Verified<'_>| {
            let header = &batch.header;
            segment.note(
                &Placed {
                    last_offset: header.last_offset(),
                    max_timestamp: header.max_timestamp,
                    position: batch.position,
                    size: header.size() as u64,
                },
                interval,
            );
            Visit::Good
        };
        let (mut from, mut buffer) = (0, Vec::new());
        let mut fault = None;
        while from < size {
            let span = Span::new(from, size);
            let outcome = verify(&*file, segment.path(), span, &mut buffer, &|_| {}, &mut note)?;
            let known = segment.damage_from(outcome.end);
            let known = known.filter(|damage| damage.position <= outcome.end);
            match (outcome.fault, known) {
                (None, _) => break,
                // What waits to be mended has no entries; the rest has.
                (Some(_), Some(damage)) => from = damage.end_position,
                (Some(_), None) => {
                    fault = Some(outcome.end);
                    break;
                }
            }
        }
        if !is_active {
            segment.finish()?;
        }
        match fault {
            None => Ok(()),
            Some(position) => {
                Err(ReadError::Damaged { path: segment.path().to_path_buf(), position })
            }
        }
    }
}
