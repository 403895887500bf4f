//! When to write a snapshot of the metadata, and what its file is called.

use std::fmt;
use std::str::FromStr;

/// The offset and epoch that a snapshot stands for: everything below the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SnapshotId {
    /// The offset after the last record it stands for.
    pub end_offset: i64,
    /// The leader epoch of that record.
    pub epoch: i32,
}

impl fmt::Display for SnapshotId {
    /// The name of the snapshot's file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}.checkpoint", self.end_offset, self.epoch)
    }
}

/// Not the name of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a metadata snapshot")]
pub struct NotASnapshotName;

impl FromStr for SnapshotId {
    type Err = NotASnapshotName;

    fn from_str(name: &str) -> Result<Self, NotASnapshotName> {
        let stem = name.strip_suffix(".checkpoint").ok_or(NotASnapshotName)?;
        let (offset, epoch) = stem.split_once('-').ok_or(NotASnapshotName)?;
        let digits =
            |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(offset, 20) || !digits(epoch, 10) {
            return Err(NotASnapshotName);
        }
        Ok(Self {
            end_offset: offset.parse().map_err(|_| NotASnapshotName)?,
            epoch: epoch.parse().map_err(|_| NotASnapshotName)?,
        })
    }
}

/// Counts what was committed since the last snapshot.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotPolicy {
    bytes_max: u64,
    interval_ms_max: i64,
    bytes: u64,
    first_change_ms: Option<i64>,
}

impl SnapshotPolicy {
    /// The policy of `metadata.log.max.record.bytes.between.snapshots` and
    /// `metadata.log.max.snapshot.interval.ms`; an interval of 0 means never by time.
    pub fn new(bytes_max: u64, interval_ms_max: i64) -> Self {
        Self { bytes_max, interval_ms_max, bytes: 0, first_change_ms: None }
    }

    /// Notes committed record bytes at the time `now_ms`.
    pub fn record_committed(&mut self, bytes: u64, now_ms: i64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.first_change_ms.get_or_insert(now_ms);
    }

    /// Whether a snapshot is due at `now_ms`.
    pub fn is_due(&self, now_ms: i64) -> bool {
        let age = self.first_change_ms.map(|first| now_ms.saturating_sub(first));
        let old = self.interval_ms_max > 0 && age.is_some_and(|age| age >= self.interval_ms_max);
        self.bytes >= self.bytes_max || old
    }

    /// Begins anew after a snapshot.
    pub fn snapshot_taken(&mut self) {
        self.bytes = 0;
        self.first_change_ms = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        let id = SnapshotId { end_offset: 123, epoch: 7 };
        assert_eq!(id.to_string(), "00000000000000000123-0000000007.checkpoint");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("123-7.checkpoint".parse::<SnapshotId>().is_err());
        assert!(
            "00000000000000000123-0000000007.checkpoint.deleted".parse::<SnapshotId>().is_err()
        );
        assert!("0000000000000000012+-0000000007.checkpoint".parse::<SnapshotId>().is_err());
    }

    #[test]
    fn a_snapshot_is_due_by_bytes_or_by_age_of_the_first_change() {
        let mut policy = SnapshotPolicy::new(100, 1000);
        assert!(!policy.is_due(i64::MAX));
        policy.record_committed(99, 10);
        assert!(!policy.is_due(1009));
        assert!(policy.is_due(1010));
        policy.record_committed(1, 20);
        assert!(policy.is_due(20));
        policy.snapshot_taken();
        assert!(!policy.is_due(5000));
    }
}
