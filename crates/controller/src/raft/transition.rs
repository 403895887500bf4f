//! Changes of role. Each saves what must not be forgotten before anything relies on it.

use std::mem;

use naru_model::{ErrorCode, Uuid};

use super::leader::Leader;
use super::quorum::{Quorum, Step};
use super::role::{Campaign, Follower, Role};
use super::{ControlRecord, Effect, ElectionState, KraftVersion, VotedFor};

impl Quorum {
    pub(super) fn own_vote(&self) -> VotedFor {
        let directory_id = match self.kraft_version() {
            KraftVersion::Static => Uuid::ZERO,
            KraftVersion::Dynamic => self.directory_id,
        };
        VotedFor { id: self.node_id, directory_id }
    }

    pub(super) fn election_timeout(&mut self, now: i64) -> i64 {
        let timeout = self.timeouts.election_timeout_ms;
        now.saturating_add(self.random.between(timeout, timeout.saturating_mul(2)))
    }

    pub(super) fn save(&self, step: &mut Step<'_>) {
        let state = ElectionState { epoch: self.epoch, leader: self.leader, voted: self.voted };
        step.effects.push(Effect::SaveState(state));
    }

    /// Takes up `role`. What the old one left open is answered from the new state, which must
    /// therefore be complete and saved.
    fn change_role(&mut self, step: &mut Step<'_>, old_epoch: i32, role: Role) {
        let old = mem::replace(&mut self.role, role);
        // Answers to what was asked in another role or epoch mean nothing any more.
        self.in_flight.clear();
        self.fetcher.reset(step.now);
        if let Role::Leader(leader) = old {
            step.effects.push(Effect::LostLeadership { epoch: old_epoch });
            self.dismiss(step, *leader);
        }
    }

    fn enter_epoch(&mut self, epoch: i32) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.voted = None;
        }
        self.leader = None;
        self.leader_endpoint = None;
    }

    /// A newer epoch, whose leader is not known.
    pub(super) fn become_unattached(&mut self, step: &mut Step<'_>, epoch: i32) {
        let election_at = match &self.role {
            // The time that is left is kept, so that messages cannot put an election off.
            Role::Unattached { election_at } => *election_at,
            Role::Follower(follower) => follower.fetch_deadline,
            Role::Prospective(campaign) | Role::Candidate(campaign) => campaign.deadline,
            Role::Leader(_) | Role::Resigned { .. } => self.election_timeout(step.now),
        };
        let old_epoch = self.epoch;
        self.enter_epoch(epoch);
        self.save(step);
        self.change_role(step, old_epoch, Role::Unattached { election_at });
    }

    /// This node votes for another, and waits for it to win.
    pub(super) fn become_voted(&mut self, step: &mut Step<'_>, vote: VotedFor) {
        self.voted = Some(vote);
        self.save(step);
        let election_at = self.election_timeout(step.now);
        self.change_role(step, self.epoch, Role::Unattached { election_at });
    }

    /// `leader` leads `epoch`, which is the current one or newer.
    pub(super) fn become_follower(
        &mut self,
        step: &mut Step<'_>,
        epoch: i32,
        leader: i32,
        endpoint: (String, u16),
    ) {
        let old_epoch = self.epoch;
        let known = (self.epoch, self.leader) == (epoch, Some(leader));
        self.enter_epoch(epoch);
        self.leader = Some(leader);
        self.leader_endpoint = Some(endpoint);
        self.elections_lost = 0;
        if !known {
            self.save(step);
        }
        let fetch_deadline = step.now.saturating_add(self.timeouts.fetch_timeout_ms);
        let follower = Follower {
            fetch_deadline,
            fetched: false,
            suspect: false,
            successor: false,
            update_at: step.now.saturating_add(self.timeouts.fetch_timeout_ms),
            reported: false,
            download: None,
        };
        self.change_role(step, old_epoch, Role::Follower(follower));
    }

    /// Asks the others whether an election could be won; a known leader stays known meanwhile.
    pub(super) fn become_prospective(&mut self, step: &mut Step<'_>, suspect: bool) {
        let deadline = self.election_timeout(step.now);
        let mut campaign = self.campaign(deadline);
        campaign.suspect = suspect;
        self.change_role(step, self.epoch, Role::Prospective(campaign));
        self.ask_for_votes(step);
        self.count_votes(step);
    }

    /// Stands for election in the next epoch.
    pub(super) fn become_candidate(&mut self, step: &mut Step<'_>) {
        let Some(epoch) = self.epoch.checked_add(1) else { return };
        let old_epoch = self.epoch;
        self.enter_epoch(epoch);
        self.voted = Some(self.own_vote());
        let deadline = self.election_timeout(step.now);
        let campaign = self.campaign(deadline);
        // With one voter, standing for election and winning it are one step, saved once.
        let won = campaign.is_won();
        if !won {
            self.save(step);
        }
        self.change_role(step, old_epoch, Role::Candidate(campaign));
        if won {
            self.become_leader(step);
        } else {
            self.ask_for_votes(step);
        }
    }

    fn campaign(&self, deadline: i64) -> Campaign {
        Campaign::new(self.node_id, self.voters().iter().map(|voter| voter.id), deadline)
    }

    /// The election is won.
    pub(super) fn become_leader(&mut self, step: &mut Step<'_>) {
        let granting: Vec<_> = match &self.role {
            Role::Candidate(campaign) => self
                .voters()
                .iter()
                .filter(|voter| {
                    campaign.ballots.get(&voter.id) == Some(&super::role::Ballot::Granted)
                })
                .cloned()
                .collect(),
            _ => Vec::new(),
        };
        self.leader = Some(self.node_id);
        self.leader_endpoint = self
            .listeners
            .first()
            .map(|listener| (listener.host.clone(), listener.port))
            .or_else(|| self.voter_endpoint(self.node_id));
        self.elections_lost = 0;
        // As Apache Kafka writes it: that the vote was its own follows from the leader.
        let state = ElectionState { epoch: self.epoch, leader: self.leader, voted: None };
        step.effects.push(Effect::SaveState(state));

        let epoch = self.epoch;
        let epoch_start = step.end();
        let mut records =
            vec![ControlRecord::leader_change(self.node_id, self.voters(), &granting)];
        if self.voter_log.only_in_bootstrap_snapshot() {
            // The formatter's snapshot at offset 0 goes with the first retention; the log keeps
            // the voters.
            records.push(ControlRecord::kraft_version(1));
            records.push(ControlRecord::voters(self.voters()));
            let at = |place: i64| epoch_start.saturating_add(place);
            let new: Vec<_> = (0..).map(at).zip(records.iter().cloned()).collect();
            self.read_control(&new);
        }
        let leader = Leader::new(epoch_start, step.now);
        self.change_role(step, epoch, Role::Leader(Box::new(leader)));
        step.effects.push(Effect::AppendControl { epoch, records });
        step.effects.push(Effect::BecameLeader { epoch });
        self.begin_epoch(step);
    }

    /// Gives up leadership, and names the successors, those first that have most of the log.
    pub(super) fn resign(&mut self, step: &mut Step<'_>) {
        let successors = self.successors();
        self.leader = None;
        self.leader_endpoint = None;
        let until = self.election_timeout(step.now);
        self.change_role(step, self.epoch, Role::Resigned { until });
        self.end_epoch(step, &successors);
    }

    /// Answers everybody who waits for a leader that is none any more.
    fn dismiss(&mut self, step: &mut Step<'_>, leader: Leader) {
        for parked in leader.parked {
            self.reply_fetch_error(step, parked.token, ErrorCode::NotLeaderOrFollower);
        }
        if let Some(change) = leader.change {
            change.answer(step, ErrorCode::NotLeaderOrFollower, None);
        }
    }
}
