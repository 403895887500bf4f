//! What holds after every step: checked in tests and simulations.

use super::LogView;
use super::quorum::Quorum;
use super::role::Role;

impl Quorum {
    /// Panics if the state contradicts itself or the log.
    pub fn check_invariants(&self, log: &dyn LogView) {
        if let Some(committed) = self.high_watermark {
            assert!(committed <= log.end() || self.busy, "{committed} beyond {}", log.end());
        }
        match &self.role {
            Role::Leader(leader) => {
                assert_eq!(self.leader, Some(self.node_id));
                assert!(!self.busy, "a leader appends what another one wrote");
                assert!(leader.committed.is_none_or(|committed| committed > leader.epoch_start));
                assert!(leader.committed <= self.high_watermark);
            }
            Role::Follower(_) => {
                assert!(self.leader.is_some() && self.leader_endpoint.is_some());
                assert_ne!(self.leader, Some(self.node_id));
            }
            Role::Candidate(_) => {
                assert_eq!(self.voted.map(|voted| voted.id), Some(self.node_id));
                assert_eq!(self.leader, None);
            }
            Role::Unattached { .. } | Role::Resigned { .. } => assert_eq!(self.leader, None),
            Role::Prospective(_) => assert_ne!(self.leader, Some(self.node_id)),
        }
        let fetches = self.in_flight.values().filter(|sent| sent.is_fetch()).count();
        assert!(fetches <= 1, "{fetches} fetches at once");
    }
}
