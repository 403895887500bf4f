//! What messages of others say of the epoch and its leader.

use naru_model::ErrorCode;

use super::quorum::{Quorum, Step};

impl Quorum {
    /// Takes what an answer says of the leader. Says whether the rest of the answer is about the
    /// present epoch and is to be read.
    pub(super) fn take_leadership(
        &mut self,
        step: &mut Step<'_>,
        error: ErrorCode,
        leader: Option<i32>,
        epoch: i32,
        endpoint: Option<(String, u16)>,
    ) -> bool {
        if epoch < self.epoch || error == ErrorCode::UnknownLeaderEpoch {
            return false;
        }
        let fenced = matches!(error, ErrorCode::FencedLeaderEpoch | ErrorCode::NotLeaderOrFollower);
        let before = (self.epoch, self.leader);
        if epoch > self.epoch || fenced || self.leader.is_none() {
            self.learn_leader(step, leader, epoch, endpoint);
        }
        // What was asked in an older epoch is answered in vain; that of an observer who learns
        // its leader with the answer is not.
        before.0 == self.epoch
            && !fenced
            && !matches!(
                error,
                ErrorCode::BrokerNotAvailable
                    | ErrorCode::InvalidVoterKey
                    | ErrorCode::InvalidRequest
            )
    }

    /// Somebody says that `leader` leads `epoch`, or that nobody does yet.
    pub(super) fn learn_leader(
        &mut self,
        step: &mut Step<'_>,
        leader: Option<i32>,
        epoch: i32,
        endpoint: Option<(String, u16)>,
    ) {
        // That this node leads is for nobody else to say; and an epoch has one leader.
        let leader = leader.filter(|id| *id != self.node_id);
        if epoch < self.epoch || (epoch == self.epoch && self.leader.is_some()) {
            return;
        }
        let endpoint = endpoint.or_else(|| leader.and_then(|id| self.voter_endpoint(id)));
        match (leader, endpoint) {
            (Some(leader), Some(endpoint)) => self.become_follower(step, epoch, leader, endpoint),
            // A leader without an address cannot be followed; others will say where it is.
            _ if epoch > self.epoch => self.become_unattached(step, epoch),
            _ => {}
        }
    }
}
