//! What snapshot and log say of the voters, with the offsets at which they say it.
//!
//! A voter set counts as soon as it is in the log, committed or not (KIP-853); a truncation takes
//! it back.

use super::{ControlRecord, KraftVersion, Voter};

/// The kraft.versions and voter sets, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VoterLog {
    kraft_versions: Vec<(i64, KraftVersion)>,
    voter_sets: Vec<(i64, Vec<Voter>)>,
}

impl VoterLog {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a control record of the snapshot that ends at `end_offset`; 0 is the formatter's.
    pub fn read_snapshot(&mut self, end_offset: i64, record: &ControlRecord) {
        self.read_log(end_offset.saturating_sub(1), record);
    }

    /// Takes the control record at `offset` of the log.
    pub fn read_log(&mut self, offset: i64, record: &ControlRecord) {
        match record {
            ControlRecord::KraftVersion(record) => {
                let version = if record.k_raft_version >= 1 {
                    KraftVersion::Dynamic
                } else {
                    KraftVersion::Static
                };
                self.kraft_versions.retain(|(at, _)| *at < offset);
                self.kraft_versions.push((offset, version));
            }
            ControlRecord::Voters(record) => {
                self.voter_sets.retain(|(at, _)| *at < offset);
                self.voter_sets.push((offset, record.voters.iter().map(Voter::from).collect()));
            }
            ControlRecord::LeaderChange(_)
            | ControlRecord::SnapshotHeader(_)
            | ControlRecord::SnapshotFooter(_) => {}
        }
    }

    /// Forgets what stood at `end` and after it.
    pub fn truncate_to(&mut self, end: i64) {
        self.kraft_versions.retain(|(at, _)| *at < end);
        self.voter_sets.retain(|(at, _)| *at < end);
    }

    /// How voters are known.
    pub fn kraft_version(&self) -> KraftVersion {
        self.kraft_versions.last().map(|(_, version)| *version).unwrap_or_default()
    }

    /// The newest voters; empty while they are static.
    pub fn voters(&self) -> &[Voter] {
        self.voter_sets.last().map_or(&[], |(_, voters)| voters)
    }

    /// kraft.version and voters of the log that ends at `end`: what a snapshot there holds.
    pub fn at(&self, end: i64) -> (KraftVersion, &[Voter]) {
        let version = self.kraft_versions.iter().rev().find(|(at, _)| *at < end);
        let voters = self.voter_sets.iter().rev().find(|(at, _)| *at < end);
        (
            version.map(|(_, version)| *version).unwrap_or_default(),
            voters.map_or(&[], |(_, voters)| voters),
        )
    }

    /// The voters before the newest ones.
    pub(super) fn previous_voters(&self) -> Option<&[Voter]> {
        self.voter_sets.iter().rev().nth(1).map(|(_, voters)| voters.as_slice())
    }

    /// Where the newest voters stand; -1 for the formatter's snapshot.
    pub(super) fn last_voters_offset(&self) -> Option<i64> {
        self.voter_sets.last().map(|(at, _)| *at)
    }

    /// Whether the voters are known from the formatter's snapshot alone.
    pub fn only_in_bootstrap_snapshot(&self) -> bool {
        self.last_voters_offset() == Some(-1)
    }
}
