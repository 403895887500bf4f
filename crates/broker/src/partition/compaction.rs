//! Compacting the partition's log: a round without its lock, which is taken to put segments in
//! place only.

use std::sync::Arc;

use naru_log::{
    CleanerStats, CompactionError, DeletedSegments, Extent, OffsetMap, ReadError, Work,
};
use naru_model::Timestamp;

use super::Partition;

impl Partition {
    /// What of the log could be compacted now, if its topic is to be.
    pub(crate) fn compactable(&self, now: Timestamp) -> Result<Option<Extent>, ReadError> {
        let settings = self.settings();
        if !settings.log.compact || self.is_offline() {
            return Ok(None);
        }
        self.reader.compactable(&settings.log, self.high_watermark(), now).map(Some)
    }

    /// Compacts `extent`, or as much of it as the map takes. The files that are to be removed go
    /// to `replaced`, also when the round ends early.
    pub(crate) fn compact(
        self: &Arc<Self>,
        extent: Extent,
        map: &mut OffsetMap,
        now: Timestamp,
        work: Work<'_>,
        replaced: &mut dyn FnMut(DeletedSegments),
    ) -> Result<CleanerStats, CompactionError> {
        let begun = self.log().as_ref().map(|log| log.begin_compaction(extent, map, now));
        let mut round = begun.ok_or(CompactionError::Overtaken)?;
        round.fill_map(work)?;
        while let Some(cleaned) = round.clean_next(work)? {
            let put = match self.log().as_mut() {
                Some(log) => log.put_cleaned(cleaned),
                None => Err(CompactionError::Overtaken),
            };
            let put = put.inspect_err(|error| {
                let is_closed = self.log().as_ref().is_none_or(|log| log.failure().is_some());
                if let (CompactionError::Storage(storage), true) = (error, is_closed) {
                    self.fail(storage);
                }
            })?;
            if let Err(error) = put.sync() {
                self.fail(&error);
                return Err(error.into());
            }
            replaced(put.deleted);
        }
        let (end, stats) = (round.end(), *round.stats());
        if let Some(log) = self.log().as_mut() {
            log.set_cleaned_upto(end);
        }
        Ok(stats)
    }
}
