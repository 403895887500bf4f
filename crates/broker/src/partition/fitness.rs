//! Whether this replica has all that it is trusted with.

use std::sync::atomic::Ordering;

use naru_log::Lost;
use naru_model::Offset;

use super::Partition;

/// Nothing is lost.
pub(super) const NOTHING_LOST: i64 = -1;
/// The folder was not there.
const ALL_LOST: i64 = i64::MAX;

impl Partition {
    /// Notes that records are gone that were durable before a clean stop: only damage can have
    /// taken them. Until they are there again this replica must not lead.
    pub(crate) fn note_lost(&self, lost: Lost) {
        if lost.clean {
            tracing::error!(
                partition = %self.name(), from = %lost.from, upto = %lost.upto,
                "damaged records at the end of the log were cut off: only another replica has them"
            );
            self.lost_upto.store(lost.upto.0, Ordering::SeqCst);
        }
    }

    /// Notes that the whole log is gone.
    pub(crate) fn note_wiped(&self) {
        self.lost_upto.store(ALL_LOST, Ordering::SeqCst);
    }

    /// Up to where records are missing that were there, if any.
    pub(crate) fn lost(&self) -> Option<Offset> {
        let upto = self.lost_upto.load(Ordering::SeqCst);
        (upto != NOTHING_LOST).then_some(Offset(upto))
    }

    /// The log was made from one that lacked these records.
    pub(crate) fn take_over_lost(&self, upto: Option<Offset>) {
        if let Some(upto) = upto {
            self.lost_upto.fetch_max(upto.0, Ordering::SeqCst);
        }
    }

    /// Whether the whole log is gone and nobody has led since.
    pub(crate) fn is_wiped(&self) -> bool {
        self.lost_upto.load(Ordering::SeqCst) == ALL_LOST
    }

    /// Whether records are missing that were there, or cannot be read.
    pub(crate) fn is_wounded(&self) -> bool {
        self.lost_upto.load(Ordering::SeqCst) != NOTHING_LOST || !self.reader.damages().is_empty()
    }

    /// Forgets what was lost if it is there again, or if `others_decide`: another replica leads,
    /// and takes this one into the ISR only when it has all that is committed.
    pub(crate) fn settle_lost(&self, others_decide: bool) {
        let upto = self.lost_upto.load(Ordering::SeqCst);
        if upto != NOTHING_LOST && (others_decide || self.ends().stored >= Offset(upto)) {
            self.lost_upto.store(NOTHING_LOST, Ordering::SeqCst);
        }
    }
}
