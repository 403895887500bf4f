//! kraft.version 0 to 1: voters of the configuration become voters of the log (KIP-853).
//!
//! Static voters are known without their directories. Each tells its leader by UpdateRaftVoter;
//! once all have, one batch makes the quorum dynamic.

use naru_model::ErrorCode;

use super::quorum::{Quorum, Step};
use super::role::Role;
use super::{Effect, KraftVersion, LogView, Voter};

/// Why kraft.version stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KraftUpgradeError {
    /// Only the leader can raise it.
    #[error("this node does not lead the metadata quorum")]
    NotLeader,
    /// The leader is not sure of its epoch yet.
    #[error("the leader's epoch is not committed yet")]
    NotCommitted,
    /// These voters have not said what they are.
    #[error("the voters {0:?} have not told their directory and kraft.version yet")]
    VotersUnknown(Vec<i32>),
}

impl From<&KraftUpgradeError> for ErrorCode {
    fn from(error: &KraftUpgradeError) -> Self {
        match error {
            KraftUpgradeError::NotLeader => Self::NotController,
            KraftUpgradeError::NotCommitted | KraftUpgradeError::VotersUnknown(_) => {
                Self::InvalidUpdateVersion
            }
        }
    }
}

impl Quorum {
    /// Whether [`Self::upgrade_kraft_version`] would succeed.
    pub fn check_kraft_version_upgrade(&self) -> Result<(), KraftUpgradeError> {
        self.voters_after_upgrade().map(|_| ())
    }

    /// Makes a static quorum dynamic. It is so when the high watermark has passed the offset that
    /// this returns.
    pub fn upgrade_kraft_version(
        &mut self,
        now_ms: i64,
        log: &dyn LogView,
        effects: &mut Vec<Effect>,
    ) -> Result<i64, KraftUpgradeError> {
        let voters = self.voters_after_upgrade()?;
        if self.kraft_version() == KraftVersion::Dynamic {
            return Ok(self.voter_log.last_voters_offset().unwrap_or(0));
        }
        let mut step = Step { now: now_ms, log, effects, truncated: None };
        if let Role::Leader(leader) = &mut self.role {
            leader.know_directories(&voters);
        }
        Ok(self.append_dynamic_voters(&mut step, &voters))
    }

    fn voters_after_upgrade(&self) -> Result<Vec<Voter>, KraftUpgradeError> {
        let Role::Leader(leader) = &self.role else { return Err(KraftUpgradeError::NotLeader) };
        if leader.committed.is_none() {
            return Err(KraftUpgradeError::NotCommitted);
        }
        if self.kraft_version() == KraftVersion::Dynamic {
            return Ok(self.voters().to_vec());
        }
        let own = || Voter {
            id: self.node_id,
            directory_id: self.directory_id,
            endpoints: self.listeners.clone(),
        };
        let known = |voter: &Voter| {
            if self.is_self(voter) {
                Ok(own())
            } else {
                leader.reported.get(&voter.id).cloned().ok_or(voter.id)
            }
        };
        let (known, unknown): (Vec<_>, Vec<_>) =
            self.voters().iter().map(known).partition(Result::is_ok);
        if !unknown.is_empty() {
            let ids = unknown.into_iter().filter_map(Result::err).collect();
            return Err(KraftUpgradeError::VotersUnknown(ids));
        }
        Ok(known.into_iter().filter_map(Result::ok).collect())
    }
}
