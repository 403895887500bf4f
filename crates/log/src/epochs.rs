//! Which leader epoch began at which offset (KIP-101).
//!
//! Pure; [`crate::log::Log`] writes the text to `leader-epoch-checkpoint`.
//!
//! Invariant: epochs rise strictly, start offsets rise strictly.

use naru_model::{LeaderEpoch, Offset};

/// The epochs of one log, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

/// Where an epoch ended: the largest epoch that is not above the one asked for, and the offset
/// after its last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch found.
    pub epoch: LeaderEpoch,
    /// First offset of the next epoch, or the log end.
    pub end: Offset,
}

impl LeaderEpochs {
    /// The last epoch.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.0)
    }

    /// Every epoch with its first offset.
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }

    /// Notes that `epoch` begins at `start`; true if that was news.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch.0 < 0 || self.latest().is_some_and(|latest| latest >= epoch) {
            return false;
        }
        // An epoch without records is as if it had never been.
        while self.entries.last().is_some_and(|last| last.1 >= start) {
            self.entries.pop();
        }
        self.entries.push((epoch, start));
        true
    }

    /// Takes the word of a batch that was verified: what was noted of its offset may be older than
    /// a truncation.
    pub(crate) fn correct(&mut self, epoch: LeaderEpoch, offset: Offset) {
        if self.epoch_at(offset).is_some_and(|noted| noted > epoch) {
            self.truncate_from_end(offset);
        }
        self.assign(epoch, offset);
    }

    /// Forgets what begins at `end` or later; true if there was something.
    pub(crate) fn truncate_from_end(&mut self, end: Offset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.1 < end);
        self.entries.len() != before
    }

    /// Forgets the epochs that ended before `start`; true if there was something.
    pub(crate) fn truncate_from_start(&mut self, start: Offset) -> bool {
        let below = self.entries.partition_point(|entry| entry.1 <= start);
        let Some(keep_from) = below.checked_sub(1) else { return false };
        let changed = keep_from > 0 || self.entries[0].1 < start;
        self.entries.drain(..keep_from);
        if let Some(first) = self.entries.first_mut() {
            first.1 = first.1.max(start);
        }
        changed
    }

    /// Where `epoch` ended in a log that ends at `log_end`; none if the epoch is above all known.
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        if self.latest() == Some(epoch) {
            return Some(EpochEnd { epoch, end: log_end });
        }
        let above = self.entries.partition_point(|entry| entry.0 <= epoch);
        let end = self.entries.get(above)?.1;
        let found = above.checked_sub(1).map_or(epoch, |at| self.entries[at].0);
        Some(EpochEnd { epoch: found, end })
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|entry| entry.1 <= offset);
        above.checked_sub(1).map(|at| self.entries[at].0)
    }

    /// The text of the checkpoint file.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for (epoch, start) in &self.entries {
            text.push_str(&format!("{epoch} {start}\n"));
        }
        text
    }

    /// Reads the text of the checkpoint file; none if it is damaged.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        // The last number of a torn file may lack digits, and be a number still.
        if !text.ends_with('\n') {
            return None;
        }
        let mut lines = text.lines();
        if lines.next()?.trim() != "0" {
            return None;
        }
        let count: usize = lines.next()?.trim().parse().ok()?;
        let mut epochs = Self::default();
        for line in lines.by_ref().take(count) {
            let (epoch, start) = line.trim().split_once(' ')?;
            let entry = (LeaderEpoch(epoch.parse().ok()?), Offset(start.trim().parse().ok()?));
            if epochs.entries.last().is_some_and(|last| last.0 >= entry.0 || last.1 > entry.1) {
                return None;
            }
            epochs.entries.push(entry);
        }
        (epochs.entries.len() == count && lines.next().is_none()).then_some(epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in entries {
            epochs.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        epochs
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_begins() {
        let known = epochs(&[(2, 0), (4, 10), (5, 20)]);
        let end = |epoch| {
            known.end_of(LeaderEpoch(epoch), Offset(33)).map(|end| (end.epoch.0, end.end.0))
        };
        assert_eq!(end(5), Some((5, 33)));
        assert_eq!(end(4), Some((4, 20)));
        assert_eq!(end(3), Some((2, 10)));
        assert_eq!(end(2), Some((2, 10)));
        assert_eq!(end(1), Some((1, 0)));
        assert_eq!(end(6), None);
        assert_eq!(known.epoch_at(Offset(19)), Some(LeaderEpoch(4)));
        assert_eq!(epochs(&[]).end_of(LeaderEpoch(0), Offset(3)), None);
    }

    #[test]
    fn epochs_without_records_vanish() {
        assert_eq!(epochs(&[(1, 0), (2, 7), (3, 7)]), epochs(&[(1, 0), (3, 7)]));
        let mut known = epochs(&[(1, 0)]);
        assert!(!known.assign(LeaderEpoch(1), Offset(5)));
        assert!(!known.assign(LeaderEpoch(0), Offset(5)));
    }

    #[test]
    fn truncation_keeps_the_epoch_that_covers_the_border() {
        let mut known = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(known.truncate_from_end(Offset(20)));
        assert_eq!(known, epochs(&[(1, 0), (2, 10)]));
        assert!(known.truncate_from_start(Offset(5)));
        assert_eq!(known, epochs(&[(1, 5), (2, 10)]));
        assert!(known.truncate_from_start(Offset(12)));
        assert_eq!(known, epochs(&[(2, 12)]));
        assert!(!known.truncate_from_start(Offset(3)));
    }

    #[test]
    fn a_verified_batch_is_believed_more_than_the_checkpoint() {
        let mut known = epochs(&[(1, 0), (4, 18)]);
        known.correct(LeaderEpoch(1), Offset(9));
        assert_eq!(known, epochs(&[(1, 0), (4, 18)]));
        // Epoch 4 was cut off before epoch 3 came to the same place.
        known.correct(LeaderEpoch(3), Offset(18));
        assert_eq!(known, epochs(&[(1, 0), (3, 18)]));
        known.correct(LeaderEpoch(5), Offset(20));
        assert_eq!(known, epochs(&[(1, 0), (3, 18), (5, 20)]));
    }

    #[test]
    fn the_text_reads_back_and_damage_is_noticed() {
        let known = epochs(&[(0, 0), (7, 120)]);
        assert_eq!(known.to_text(), "0\n2\n0 0\n7 120\n");
        assert_eq!(LeaderEpochs::from_text(&known.to_text()), Some(known));
        for bad in [
            "",
            "0\n2\n0 0\n7 12",
            "1\n0\n",
            "0\n2\n0 0\n",
            "0\n1\n0 0\n1 1\n",
            "0\n1\nx 0\n",
            "0\n2\n3 0\n2 9\n",
        ] {
            assert_eq!(LeaderEpochs::from_text(bad), None, "{bad:?}");
        }
    }
}
