//! Beginning and end of a leader's epoch: BeginQuorumEpoch and EndQuorumEpoch, v0-v1.

use naru_model::ErrorCode;
use naru_protocol::messages::begin_quorum_epoch_request::{
    BeginQuorumEpochRequest, LeaderEndpoint, PartitionData, TopicData,
};
use naru_protocol::messages::begin_quorum_epoch_response::BeginQuorumEpochResponse;
use naru_protocol::messages::end_quorum_epoch_request as end_request;
use naru_protocol::messages::end_quorum_epoch_request::EndQuorumEpochRequest;
use naru_protocol::messages::end_quorum_epoch_response::EndQuorumEpochResponse;

use super::messages::{self, TOPIC};
use super::quorum::{Quorum, Step};
use super::requests::Kind;
use super::role::Role;
use super::{RaftRequest, Voter, VoterEndpoint};

impl Quorum {
    /// Tells the voters that have not fetched lately who leads.
    pub(super) fn begin_epoch(&mut self, step: &mut Step<'_>) {
        let Role::Leader(leader) = &mut self.role else { return };
        let pause = self.timeouts.fetch_timeout_ms / 2;
        leader.begin_at = step.now.saturating_add(pause);
        let quiet = step.now.saturating_sub(pause);
        let voters = self.other_voters();
        let Role::Leader(leader) = &self.role else { return };
        let voters = voters.into_iter().filter(|voter| !leader.heard_since(voter, quiet));
        for voter in voters.collect::<Vec<_>>() {
            let Some(to) = self.destination(&voter) else { continue };
            let request = RaftRequest::BeginQuorumEpoch(self.begin_request(&voter));
            self.send(step, to, self.timeouts.request_timeout_ms, request, Kind::Begin);
        }
    }

    fn begin_request(&self, voter: &Voter) -> BeginQuorumEpochRequest {
        let partition = PartitionData {
            partition_index: 0,
            voter_directory_id: voter.directory_id,
            leader_id: self.node_id,
            leader_epoch: self.epoch,
        };
        let endpoints = self.listeners.iter().map(|listener| LeaderEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
        });
        BeginQuorumEpochRequest {
            cluster_id: Some(self.cluster_id.clone()),
            voter_id: voter.id,
            topics: vec![TopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] }],
            leader_endpoints: endpoints.collect(),
        }
    }

    pub(super) fn handle_begin(
        &mut self,
        step: &mut Step<'_>,
        request: &BeginQuorumEpochRequest,
    ) -> BeginQuorumEpochResponse {
        let top_level = |error: ErrorCode| BeginQuorumEpochResponse {
            error_code: error.code(),
            ..BeginQuorumEpochResponse::default()
        };
        if self.is_other_cluster(request.cluster_id.as_deref()) {
            return top_level(ErrorCode::InconsistentClusterId);
        }
        let Some(partition) = messages::begin(request) else {
            return top_level(ErrorCode::InvalidRequest);
        };
        let (leader, epoch) = (partition.leader_id, partition.leader_epoch);
        if let Err(error) = self.check_voter_request(leader, epoch) {
            return self.leadership().begin_response(error);
        }
        let endpoints = request.leader_endpoints.iter().map(|endpoint| VoterEndpoint {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
        });
        let endpoint = self.pick(&endpoints.collect::<Vec<_>>());
        self.meet_leader(step, leader, epoch, endpoint);
        if self.is_other_voter(request.voter_id, partition.voter_directory_id) {
            return self.leadership().begin_response(ErrorCode::InvalidVoterKey);
        }
        self.leadership().begin_response(ErrorCode::None)
    }

    /// A request of the leader itself has come: it is alive.
    fn meet_leader(
        &mut self,
        step: &mut Step<'_>,
        leader: i32,
        epoch: i32,
        endpoint: Option<(String, u16)>,
    ) {
        let waiting = matches!(&self.role, Role::Prospective(_));
        let endpoint = endpoint.or_else(|| self.voter_endpoint(leader));
        if waiting && (self.epoch, self.leader) == (epoch, Some(leader)) {
            if let Some(endpoint) = endpoint {
                self.become_follower(step, epoch, leader, endpoint);
            }
            return;
        }
        self.learn_leader(step, Some(leader), epoch, endpoint);
    }

    pub(super) fn handle_begin_response(
        &mut self,
        step: &mut Step<'_>,
        response: &BeginQuorumEpochResponse,
    ) {
        let Some(partition) = messages::begun(response).filter(|_| response.error_code == 0) else {
            return;
        };
        let leader = messages::known(partition.leader_id);
        let mut endpoints = response.node_endpoints.iter();
        let endpoint = endpoints
            .find(|node| Some(node.node_id) == leader)
            .map(|node| (node.host.clone(), node.port));
        let error = ErrorCode::from_code(partition.error_code);
        self.take_leadership(step, error, leader, partition.leader_epoch, endpoint);
    }

    /// Tells the voters that this node leads no longer, and who should.
    pub(super) fn end_epoch(&mut self, step: &mut Step<'_>, successors: &[Voter]) {
        let replica = |voter: &Voter| end_request::ReplicaInfo {
            candidate_id: voter.id,
            candidate_directory_id: voter.directory_id,
        };
        let partition = end_request::PartitionData {
            partition_index: 0,
            leader_id: self.node_id,
            leader_epoch: self.epoch,
            preferred_successors: successors.iter().map(|voter| voter.id).collect(),
            preferred_candidates: successors.iter().map(replica).collect(),
        };
        let topic =
            end_request::TopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] };
        let endpoints = self.listeners.iter().map(|listener| end_request::LeaderEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
        });
        let request = EndQuorumEpochRequest {
            cluster_id: Some(self.cluster_id.clone()),
            topics: vec![topic],
            leader_endpoints: endpoints.collect(),
        };
        for voter in successors {
            let Some(to) = self.destination(voter) else { continue };
            let request = RaftRequest::EndQuorumEpoch(request.clone());
            self.send(step, to, self.timeouts.request_timeout_ms, request, Kind::End);
        }
    }

    pub(super) fn handle_end(
        &mut self,
        step: &mut Step<'_>,
        request: &EndQuorumEpochRequest,
    ) -> EndQuorumEpochResponse {
        let top_level = |error: ErrorCode| EndQuorumEpochResponse {
            error_code: error.code(),
            ..EndQuorumEpochResponse::default()
        };
        if self.is_other_cluster(request.cluster_id.as_deref()) {
            return top_level(ErrorCode::InconsistentClusterId);
        }
        let Some(partition) = messages::end(request) else {
            return top_level(ErrorCode::InvalidRequest);
        };
        let (leader, epoch) = (partition.leader_id, partition.leader_epoch);
        if let Err(error) = self.check_voter_request(leader, epoch) {
            return self.leadership().end_response(error);
        }
        let endpoints = request.leader_endpoints.iter().map(|endpoint| VoterEndpoint {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
        });
        let endpoint = self.pick(&endpoints.collect::<Vec<_>>());
        let endpoint = endpoint.or_else(|| self.voter_endpoint(leader));
        self.learn_leader(step, Some(leader), epoch, endpoint);
        let wait = self.succession_wait(partition);
        if let Role::Follower(follower) = &mut self.role
            && self.leader == Some(leader)
        {
            follower.suspect = true;
            // The first asks nobody before it stands: voters that fetched would refuse.
            follower.successor = wait == 0;
            follower.fetch_deadline = step.now.saturating_add(wait);
        }
        self.leadership().end_response(ErrorCode::None)
    }

    /// How long this node leaves the others time to follow the leader: none for the first of its
    /// successors, doubling from one to the next.
    fn succession_wait(&self, partition: &end_request::PartitionData) -> i64 {
        let most = self.timeouts.election_backoff_max_ms;
        let candidates = &partition.preferred_candidates;
        let (place, count) = if candidates.is_empty() {
            let successors = &partition.preferred_successors;
            (successors.iter().position(|id| *id == self.node_id), successors.len())
        } else {
            let place = candidates.iter().position(|candidate| {
                candidate.candidate_id == self.node_id
                    && !self.is_other_voter(self.node_id, candidate.candidate_directory_id)
            });
            (place, candidates.len())
        };
        match place {
            Some(0) => 0,
            Some(place) => {
                let unit = most >> count.saturating_sub(1).min(62);
                most.min(unit << place.saturating_sub(1).min(20)).max(1)
            }
            None => most.max(1),
        }
    }

    pub(super) fn handle_end_response(
        &mut self,
        step: &mut Step<'_>,
        response: &EndQuorumEpochResponse,
    ) {
        let Some(partition) = messages::ended(response).filter(|_| response.error_code == 0) else {
            return;
        };
        let leader = messages::known(partition.leader_id);
        let mut endpoints = response.node_endpoints.iter();
        let endpoint = endpoints
            .find(|node| Some(node.node_id) == leader)
            .map(|node| (node.host.clone(), node.port));
        let error = ErrorCode::from_code(partition.error_code);
        self.take_leadership(step, error, leader, partition.leader_epoch, endpoint);
    }

    /// A clean stop: leadership goes to whoever has most of the log.
    pub(super) fn handle_resign(&mut self, step: &mut Step<'_>) {
        self.stopping = true;
        if self.is_leader() {
            self.resign(step);
        }
    }

    /// A full disk: another voter is to lead, and this one stands for no election, because a leader
    /// that cannot write stops the whole cluster. The only voter stays: it refuses changes, and
    /// goes on with everything else.
    pub(super) fn handle_no_room(&mut self, step: &mut Step<'_>, control: bool) {
        self.no_room = true;
        if control {
            // Counted as said before it was written.
            self.voter_log.truncate_to(step.end());
        }
        match &self.role {
            Role::Leader(_) if control || !self.other_voters().is_empty() => self.resign(step),
            Role::Prospective(_) | Role::Candidate(_) => {
                self.in_flight.clear();
                self.fetcher.reset(step.now);
                let election_at = self.election_timeout(step.now);
                self.role = Role::Unattached { election_at };
            }
            Role::Leader(_)
            | Role::Follower(_)
            | Role::Unattached { .. }
            | Role::Resigned { .. } => {}
        }
    }

    /// There is space again: this node stands like any other, but not at once.
    pub(super) fn handle_room(&mut self, step: &Step<'_>) {
        self.no_room = false;
        let soon = self.election_timeout(step.now);
        match &mut self.role {
            Role::Unattached { election_at: at } | Role::Resigned { until: at } => *at = soon,
            Role::Follower(follower) => follower.fetch_deadline = follower.fetch_deadline.max(soon),
            Role::Prospective(_) | Role::Candidate(_) | Role::Leader(_) => {}
        }
    }
}
