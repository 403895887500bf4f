//! What snapshots and log say of the voters, read in order before the quorum starts.

use super::{ControlRecord, KraftVersion, Voter};

/// The newest kraft.version and voters, and where they stood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VoterLog {
    kraft_version: KraftVersion,
    voters: Vec<Voter>,
    in_log_or_later_snapshot: bool,
}

impl VoterLog {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a control record of the snapshot that ends at `end_offset`.
    pub fn read_snapshot(&mut self, end_offset: i64, record: &ControlRecord) {
        self.read(record, end_offset > 0);
    }

    /// Takes a control record of the log.
    pub fn read_log(&mut self, record: &ControlRecord) {
        self.read(record, true);
    }

    fn read(&mut self, record: &ControlRecord, kept: bool) {
        match record {
            ControlRecord::KraftVersion(record) => {
                self.kraft_version = if record.k_raft_version >= 1 {
                    KraftVersion::Dynamic
                } else {
                    KraftVersion::Static
                };
            }
            ControlRecord::Voters(record) => {
                self.voters = record.voters.iter().map(Voter::from).collect();
                self.in_log_or_later_snapshot |= kept;
            }
            ControlRecord::LeaderChange(_)
            | ControlRecord::SnapshotHeader(_)
            | ControlRecord::SnapshotFooter(_) => {}
        }
    }

    /// How voters are known.
    pub fn kraft_version(&self) -> KraftVersion {
        self.kraft_version
    }

    /// The voters; empty while they are static.
    pub fn voters(&self) -> &[Voter] {
        &self.voters
    }

    /// Whether the voters are known from the formatter's snapshot alone.
    pub fn only_in_bootstrap_snapshot(&self) -> bool {
        !self.voters.is_empty() && !self.in_log_or_later_snapshot
    }
}
