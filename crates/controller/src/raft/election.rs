//! Elections: when this node stands, whom it gives its vote, how votes are counted.
//! Vote v0-v2; pre-votes by KIP-996.

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::vote_request::{PartitionData, TopicData, VoteRequest};
use naru_protocol::messages::vote_response::VoteResponse;

use super::messages::{self, TOPIC};
use super::quorum::{Quorum, Step};
use super::requests::Kind;
use super::role::{Ballot, Role};
use super::{RaftRequest, VotedFor, Voter};

impl Quorum {
    /// Starts, repeats and ends elections when it is time.
    pub(super) fn drive_election(&mut self, step: &mut Step<'_>) {
        if self.stopping {
            return;
        }
        let now = step.now;
        let may_stand = self.may_stand() && !self.busy && !self.no_room;
        match &self.role {
            Role::Unattached { election_at } if may_stand && now >= *election_at => {
                self.become_prospective(step, false);
            }
            Role::Follower(follower) if may_stand && now >= follower.fetch_deadline => {
                if follower.successor {
                    self.become_candidate(step);
                } else {
                    let suspect = follower.suspect;
                    self.become_prospective(step, suspect);
                }
            }
            Role::Resigned { until } if now >= *until => {
                if may_stand {
                    self.become_prospective(step, false);
                } else {
                    self.role = Role::Unattached { election_at: i64::MAX };
                }
            }
            Role::Prospective(campaign) if now >= campaign.deadline => {
                self.end_pre_vote(step);
            }
            Role::Candidate(campaign) if now >= campaign.deadline => {
                let lost = campaign.lost;
                self.elections_lost = self.elections_lost.saturating_add(u32::from(!lost));
                self.become_prospective(step, false);
            }
            Role::Prospective(_) | Role::Candidate(_) => self.ask_for_votes(step),
            Role::Unattached { .. }
            | Role::Follower(_)
            | Role::Resigned { .. }
            | Role::Leader(_) => {}
        }
    }

    /// A pre-vote that was not won: back to the leader, or to waiting for one.
    fn end_pre_vote(&mut self, step: &mut Step<'_>) {
        let Role::Prospective(campaign) = &self.role else { return };
        let suspect = campaign.suspect;
        let (least, most) = if suspect { SUSPECT_RETRY_MS } else { RETRY_MS };
        let soon = step.now.saturating_add(self.random.between(least, most));
        match (self.leader, self.leader_endpoint.clone()) {
            (Some(leader), Some(endpoint)) if leader != self.node_id => {
                self.become_follower(step, self.epoch, leader, endpoint);
                if let Role::Follower(follower) = &mut self.role {
                    // Its leader, if it lives, answers at once and puts the deadline off.
                    follower.suspect = suspect;
                    follower.fetch_deadline = soon;
                }
            }
            _ => {
                self.in_flight.clear();
                self.fetcher.reset(step.now);
                self.role = Role::Unattached { election_at: soon };
            }
        }
    }

    /// Sends a vote request to every voter that has none and is due for one.
    pub(super) fn ask_for_votes(&mut self, step: &mut Step<'_>) {
        let (pre_vote, Role::Prospective(campaign) | Role::Candidate(campaign)) =
            (matches!(self.role, Role::Prospective(_)), &self.role)
        else {
            return;
        };
        if campaign.lost {
            return;
        }
        let asked: Vec<i32> =
            self.in_flight.values().filter(|sent| sent.is_vote()).filter_map(|s| s.peer).collect();
        let due = |voter: &Voter| match campaign.ballots.get(&voter.id) {
            Some(Ballot::Open) => !asked.contains(&voter.id),
            Some(Ballot::RetryAt(at)) => *at <= step.now,
            Some(Ballot::Granted | Ballot::Rejected) | None => false,
        };
        let due: Vec<Voter> = self.other_voters().into_iter().filter(due).collect();
        for voter in due {
            let Some(to) = self.destination(&voter) else { continue };
            let request = self.vote_request(step, &voter, pre_vote);
            if let Role::Prospective(campaign) | Role::Candidate(campaign) = &mut self.role {
                campaign.ballots.insert(voter.id, Ballot::Open);
            }
            let timeout = self.timeouts.request_timeout_ms.min(self.timeouts.election_timeout_ms);
            let kind = Kind::Vote { voter: voter.id };
            self.send(step, to, timeout, RaftRequest::Vote(request), kind);
        }
    }

    fn vote_request(&self, step: &Step<'_>, voter: &Voter, pre_vote: bool) -> VoteRequest {
        let partition = PartitionData {
            partition_index: 0,
            replica_epoch: self.epoch,
            replica_id: self.node_id,
            replica_directory_id: self.directory_id,
            voter_directory_id: voter.directory_id,
            last_offset_epoch: step.last_epoch(),
            last_offset: step.end(),
            pre_vote,
        };
        VoteRequest {
            cluster_id: Some(self.cluster_id.clone()),
            voter_id: voter.id,
            topics: vec![TopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] }],
        }
    }

    /// Whether the request that names this voter means another replica.
    pub(super) fn is_other_voter(&self, id: i32, directory_id: Uuid) -> bool {
        (id >= 0 && id != self.node_id)
            || (directory_id != Uuid::ZERO && directory_id != self.directory_id)
    }

    pub(super) fn handle_vote(
        &mut self,
        step: &mut Step<'_>,
        request: &VoteRequest,
    ) -> VoteResponse {
        let top_level =
            |error: ErrorCode| VoteResponse { error_code: error.code(), ..VoteResponse::default() };
        if self.is_other_cluster(request.cluster_id.as_deref()) {
            return top_level(ErrorCode::InconsistentClusterId);
        }
        let Some(ask) = messages::vote(request) else {
            return top_level(ErrorCode::InvalidRequest);
        };
        let refuse = |quorum: &Self, error| quorum.leadership().vote_response(error, false);
        let epoch_is_wrong = if ask.pre_vote {
            ask.last_offset_epoch > ask.replica_epoch
        } else {
            ask.last_offset_epoch >= ask.replica_epoch
        };
        if ask.last_offset < 0 || ask.last_offset_epoch < 0 || epoch_is_wrong {
            return refuse(self, ErrorCode::InvalidRequest);
        }
        if let Err(error) = self.check_voter_request(ask.replica_id, ask.replica_epoch) {
            return refuse(self, error);
        }
        if ask.replica_epoch > self.epoch {
            self.become_unattached(step, ask.replica_epoch);
        }
        if self.is_other_voter(request.voter_id, ask.voter_directory_id) {
            return refuse(self, ErrorCode::InvalidVoterKey);
        }
        if ask.pre_vote && self.leader == Some(ask.replica_id) {
            // Who leads does not ask for votes: it has resigned, or was started anew.
            self.suspect_leader(step);
        }
        let up_to_date =
            (ask.last_offset_epoch, ask.last_offset) >= (step.last_epoch(), step.end());
        let candidate = VotedFor { id: ask.replica_id, directory_id: ask.replica_directory_id };
        let granted = self.grants(candidate, up_to_date, ask.pre_vote);
        if granted && !ask.pre_vote && self.voted.is_none() {
            self.become_voted(step, candidate);
        }
        self.leadership().vote_response(ErrorCode::None, granted)
    }

    /// Kafka's rule for requests among voters.
    pub(super) fn check_voter_request(&self, from: i32, epoch: i32) -> Result<(), ErrorCode> {
        if epoch < self.epoch {
            Err(ErrorCode::FencedLeaderEpoch)
        } else if from < 0 {
            Err(ErrorCode::InvalidRequest)
        } else {
            Ok(())
        }
    }

    fn grants(&self, candidate: VotedFor, up_to_date: bool, pre_vote: bool) -> bool {
        match &self.role {
            Role::Unattached { .. } | Role::Prospective(_) => {
                if pre_vote {
                    return up_to_date;
                }
                match self.voted {
                    Some(voted) => {
                        voted.id == candidate.id
                            && (voted.directory_id == Uuid::ZERO
                                || voted.directory_id == candidate.directory_id)
                    }
                    None => self.leader.is_none() && up_to_date,
                }
            }
            Role::Follower(follower) => {
                pre_vote && up_to_date && (!follower.fetched || follower.suspect)
            }
            Role::Leader(_) => false,
            Role::Candidate(_) | Role::Resigned { .. } => pre_vote && up_to_date,
        }
    }

    pub(super) fn handle_vote_response(
        &mut self,
        step: &mut Step<'_>,
        voter: i32,
        response: Option<&VoteResponse>,
    ) {
        let ballot = match response {
            // A voter that does not know pre-votes cannot refuse one.
            Some(response)
                if response.error_code == ErrorCode::UnsupportedVersion.code()
                    && matches!(self.role, Role::Prospective(_)) =>
            {
                Ballot::Granted
            }
            Some(response) => match self.read_vote(step, response) {
                Some(true) => Ballot::Granted,
                Some(false) => Ballot::Rejected,
                None => self.vote_later(step.now),
            },
            None => self.vote_later(step.now),
        };
        if let Role::Prospective(campaign) | Role::Candidate(campaign) = &mut self.role
            && let Some(cast) = campaign.ballots.get_mut(&voter)
        {
            *cast = ballot;
            self.count_votes(step);
        }
    }

    /// A voter did not answer: it is asked again, less and less often.
    fn vote_later(&mut self, now: i64) -> Ballot {
        let (Role::Prospective(campaign) | Role::Candidate(campaign)) = &mut self.role else {
            return Ballot::Open;
        };
        campaign.unanswered = campaign.unanswered.saturating_add(1);
        let voters = i64::try_from(campaign.ballots.len()).unwrap_or(i64::MAX).max(1);
        let rounds = i64::from(campaign.unanswered).saturating_sub(1) / voters;
        let wait = VOTE_RETRY_MS.0.saturating_mul(rounds.saturating_add(1)).min(VOTE_RETRY_MS.1);
        Ballot::RetryAt(now.saturating_add(wait))
    }

    /// The vote in an answer; none if it carries none.
    fn read_vote(&mut self, step: &mut Step<'_>, response: &VoteResponse) -> Option<bool> {
        if response.error_code != 0 {
            return None;
        }
        let partition = messages::voted(response)?.clone();
        let leader = messages::known(partition.leader_id);
        let endpoints = response.node_endpoints.iter();
        let endpoint = endpoints
            .filter(|node| Some(node.node_id) == leader)
            .map(|node| (node.host.clone(), node.port))
            .next();
        let error = ErrorCode::from_code(partition.error_code);
        let current = self.take_leadership(step, error, leader, partition.leader_epoch, endpoint);
        (current && error.is_ok()).then_some(partition.vote_granted)
    }

    pub(super) fn count_votes(&mut self, step: &mut Step<'_>) {
        let prospective = matches!(self.role, Role::Prospective(_));
        let (Role::Prospective(campaign) | Role::Candidate(campaign)) = &mut self.role else {
            return;
        };
        if campaign.lost {
            return;
        }
        match (campaign.is_won(), campaign.is_rejected(), prospective) {
            (true, _, true) => self.become_candidate(step),
            (true, _, false) => self.become_leader(step),
            (false, true, true) => self.end_pre_vote(step),
            (false, true, false) => {
                campaign.lost = true;
                self.elections_lost = self.elections_lost.saturating_add(1);
                // Binary exponential, so that rivals part.
                let most = BACKOFF_MS.saturating_mul(1 << self.elections_lost.min(20));
                let most = most.min(self.timeouts.election_backoff_max_ms);
                let wait = self.random.between(0, most);
                if let Role::Candidate(campaign) = &mut self.role {
                    campaign.deadline = step.now.saturating_add(wait);
                }
            }
            (false, false, _) => {}
        }
    }

    /// The process of `id` is dead: its followers look for another leader at once.
    pub(super) fn handle_peer_gone(&mut self, step: &Step<'_>, id: i32) {
        if self.leader == Some(id) {
            self.suspect_leader(step);
        }
    }

    /// The leader is gone, or says that it does not lead: a pre-vote follows after a moment, that
    /// differs from node to node.
    pub(super) fn suspect_leader(&mut self, step: &Step<'_>) {
        let soon = step.now.saturating_add(self.random.between(0, SUSPECT_MS));
        match &mut self.role {
            Role::Follower(follower) if !follower.suspect => {
                follower.suspect = true;
                follower.fetch_deadline = follower.fetch_deadline.min(soon);
            }
            Role::Prospective(campaign) => campaign.suspect = true,
            Role::Follower(_)
            | Role::Unattached { .. }
            | Role::Candidate(_)
            | Role::Leader(_)
            | Role::Resigned { .. } => {}
        }
    }
}

/// Longest wait before a follower whose leader is gone asks for pre-votes.
const SUSPECT_MS: i64 = 50;
/// Wait before the next pre-vote after a lost one.
const RETRY_MS: (i64, i64) = (150, 450);
/// The same, if the leader is known to be gone: the others will know soon.
const SUSPECT_RETRY_MS: (i64, i64) = (50, 150);
/// First and longest wait before a voter that did not answer is asked again.
const VOTE_RETRY_MS: (i64, i64) = (50, 400);
/// Unit of the wait after a lost election.
const BACKOFF_MS: i64 = 50;
