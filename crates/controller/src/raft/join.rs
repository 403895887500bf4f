//! What a follower asks its leader to change in the voter set: where this node listens (KIP-853),
//! or that it votes at all (`controller.quorum.auto.join.enable`, KIP-1186).

use naru_model::ErrorCode;
use naru_protocol::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use naru_protocol::messages::update_raft_voter_request::{
    KRaftVersionFeature, Listener as UpdatedListener, UpdateRaftVoterRequest,
};
use naru_protocol::messages::update_raft_voter_response::UpdateRaftVoterResponse;

use super::messages;
use super::quorum::{Quorum, Step};
use super::requests::Kind;
use super::role::Role;
use super::{Destination, KraftVersion, RaftRequest, Voter};

impl Quorum {
    pub(super) fn drive_follower(&mut self, step: &mut Step<'_>) {
        let Role::Follower(follower) = &mut self.role else { return };
        if !follower.fetched || step.now < follower.update_at {
            return;
        }
        follower.update_at = step.now.saturating_add(self.timeouts.fetch_timeout_ms);
        let asked = |kind: Kind| matches!(kind, Kind::Update | Kind::Join);
        if self.stopping || self.in_flight.values().any(|sent| asked(sent.kind)) {
            return;
        }
        let (Some(request), Some(id), Some((host, port))) =
            (self.wanted_change(), self.leader, self.leader_endpoint.clone())
        else {
            return;
        };
        let is_update = matches!(request, RaftRequest::UpdateRaftVoter(_));
        let kind = if is_update { Kind::Update } else { Kind::Join };
        let to = Destination { id: Some(id), host, port };
        self.send(step, to, self.timeouts.request_timeout_ms, request, kind);
    }

    fn wanted_change(&self) -> Option<RaftRequest> {
        if !self.can_vote || self.listeners.is_empty() {
            return None;
        }
        if self.kraft_version() == KraftVersion::Static {
            // Once in every leader's epoch, in case the quorum is to become dynamic.
            let reported = matches!(&self.role, Role::Follower(follower) if follower.reported);
            return (self.is_voter() && !reported).then(|| self.update_request());
        }
        let cluster_id = Some(self.cluster_id.clone());
        let named: Option<&Voter> = self.voters().iter().find(|voter| voter.id == self.node_id);
        match named {
            Some(voter) if voter.directory_id == self.directory_id => {
                (voter.endpoints != self.listeners).then(|| self.update_request())
            }
            _ if !self.auto_join => None,
            // The directory that this node had before makes room.
            Some(voter) => Some(RaftRequest::RemoveRaftVoter(RemoveRaftVoterRequest {
                cluster_id,
                voter_id: voter.id,
                voter_directory_id: voter.directory_id,
            })),
            None => {
                let listeners = self.listeners.iter().map(|listener| Listener {
                    name: listener.name.clone(),
                    host: listener.host.clone(),
                    port: listener.port,
                });
                Some(RaftRequest::AddRaftVoter(AddRaftVoterRequest {
                    cluster_id,
                    timeout_ms: i32::try_from(self.timeouts.request_timeout_ms).unwrap_or(i32::MAX),
                    voter_id: self.node_id,
                    voter_directory_id: self.directory_id,
                    listeners: listeners.collect(),
                    ack_when_committed: false,
                }))
            }
        }
    }

    fn update_request(&self) -> RaftRequest {
        let listeners = self.listeners.iter().map(|listener| UpdatedListener {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
        });
        RaftRequest::UpdateRaftVoter(UpdateRaftVoterRequest {
            cluster_id: Some(self.cluster_id.clone()),
            current_leader_epoch: self.epoch,
            voter_id: self.node_id,
            voter_directory_id: self.directory_id,
            listeners: listeners.collect(),
            k_raft_version_feature: KRaftVersionFeature {
                min_supported_version: 0,
                max_supported_version: 1,
            },
        })
    }

    pub(super) fn handle_update_response(
        &mut self,
        step: &mut Step<'_>,
        response: &UpdateRaftVoterResponse,
    ) {
        let says = &response.current_leader;
        let endpoint = (!says.host.is_empty())
            .then(|| Some((says.host.clone(), u16::try_from(says.port).ok()?)))
            .flatten();
        let leader = messages::known(says.leader_id);
        let error = ErrorCode::from_code(response.error_code);
        let current = self.take_leadership(step, error, leader, says.leader_epoch, endpoint);
        if let Role::Follower(follower) = &mut self.role
            && current
            && error.is_ok()
        {
            follower.reported = true;
        }
    }
}
