//! Changes of the voter set (KIP-853): one at a time, each committed before the next.
//! AddRaftVoter v0-v1, RemoveRaftVoter v0, UpdateRaftVoter v0.
//!
//! A node that is to be a voter is asked with ApiVersions whether it knows this quorum's
//! kraft.version.

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use naru_protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::api_versions_response::{ApiVersionsResponse, SupportedFeatureKey};
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use naru_protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use naru_protocol::messages::update_raft_voter_request::{
    Listener as UpdatedListener, UpdateRaftVoterRequest,
};
use naru_protocol::messages::update_raft_voter_response::{CurrentLeader, UpdateRaftVoterResponse};

use super::quorum::{Quorum, Step};
use super::requests::Kind;
use super::role::Role;
use super::voters::ReplicaKey;
use super::{ControlRecord, Effect, KraftVersion, RaftRequest, RaftResponse, Voter, VoterEndpoint};

/// A change of the voter set under way.
#[derive(Debug)]
pub(super) struct Change {
    asked_by: Option<AskedBy>,
    /// The voter to add once it has caught up.
    joining: Option<Joining>,
    /// Where the new voters stand in the log; none until the new voter has caught up.
    offset: Option<i64>,
    /// When whoever asked is told that it takes too long.
    pub(super) deadline: i64,
}

/// A node that is to be a voter.
#[derive(Debug, Clone)]
struct Joining {
    voter: Voter,
    /// It has said that it knows this quorum's kraft.version.
    is_able: bool,
    /// Whether the answer waits for the commit, or only for the record.
    ack_when_committed: bool,
}

/// Who waits for a change.
#[derive(Debug, Clone, Copy)]
enum AskedBy {
    Add { token: u64 },
    Remove { token: u64 },
}

impl AskedBy {
    fn answer(self, step: &mut Step<'_>, error: ErrorCode, message: Option<String>) {
        let (token, response) = match self {
            Self::Add { token } => {
                let response = AddRaftVoterResponse {
                    throttle_time_ms: 0,
                    error_code: error.code(),
                    error_message: message,
                };
                (token, RaftResponse::AddRaftVoter(response))
            }
            Self::Remove { token } => {
                let response = RemoveRaftVoterResponse {
                    throttle_time_ms: 0,
                    error_code: error.code(),
                    error_message: message,
                };
                (token, RaftResponse::RemoveRaftVoter(response))
            }
        };
        step.effects.push(Effect::Reply { token, response });
    }
}

impl Change {
    /// Answers whoever asked for it.
    pub(super) fn answer(self, step: &mut Step<'_>, error: ErrorCode, message: Option<String>) {
        if let Some(asked_by) = self.asked_by {
            asked_by.answer(step, error, message);
        }
    }
}

/// Why a change is refused.
type Refusal = (ErrorCode, Option<String>);

fn refusal(error: ErrorCode, message: impl Into<String>) -> Refusal {
    (error, Some(message.into()))
}

impl Quorum {
    pub(super) fn handle_add_voter(
        &mut self,
        step: &mut Step<'_>,
        token: u64,
        request: &AddRaftVoterRequest,
    ) {
        let asked_by = AskedBy::Add { token };
        let voter = match self.check_add(step, request) {
            Ok(voter) => voter,
            Err((error, message)) => return asked_by.answer(step, error, message),
        };
        let timeout = i64::from(request.timeout_ms).clamp(0, CHANGE_MS_MAX);
        let to = self.destination(&voter);
        let ack_when_committed = request.ack_when_committed;
        let change = Change {
            asked_by: Some(asked_by),
            joining: Some(Joining { voter, is_able: false, ack_when_committed }),
            offset: None,
            deadline: step.now.saturating_add(timeout),
        };
        if let Role::Leader(leader) = &mut self.role {
            leader.change = Some(change);
        }
        if let Some(to) = to {
            let ask = ApiVersionsRequest {
                client_software_name: "naru".to_owned(),
                client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
            };
            let kind = Kind::Versions { voter: request.voter_id };
            let wait = self.timeouts.request_timeout_ms;
            self.send(step, to, wait, RaftRequest::ApiVersions(ask), kind);
        }
    }

    /// What a node that is to be a voter says of itself.
    pub(super) fn handle_versions_response(
        &mut self,
        step: &mut Step<'_>,
        id: i32,
        response: &ApiVersionsResponse,
    ) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(change) = &mut leader.change else { return };
        let Some(joining) = change.joining.as_mut().filter(|joining| joining.voter.id == id) else {
            return;
        };
        let mut features = response.supported_features.iter();
        let range = features.find(|feature| feature.name == KRAFT_VERSION);
        let is_able = response.error_code == 0
            && range.is_some_and(|range| (range.min_version..=range.max_version).contains(&1));
        joining.is_able = is_able;
        let refused = if is_able {
            self.drive_change(step);
            // Whoever does not wait for the commit asks again if need be.
            let message = format!("node {id} has not caught up yet");
            (ErrorCode::RequestTimedOut, message)
        } else {
            let message = format!("node {id} does not know this quorum's kraft.version 1");
            (ErrorCode::InvalidRequest, message)
        };
        let waits = |change: &Change| {
            let joining = change.joining.as_ref().filter(|joining| joining.voter.id == id);
            joining.is_some_and(|joining| !joining.is_able || !joining.ack_when_committed)
        };
        if let Role::Leader(leader) = &mut self.role
            && leader.change.as_ref().is_some_and(waits)
            && let Some(change) = leader.change.take()
        {
            change.answer(step, refused.0, Some(refused.1));
        }
    }

    fn check_add(&self, step: &Step<'_>, request: &AddRaftVoterRequest) -> Result<Voter, Refusal> {
        self.check_cluster(request.cluster_id.as_deref())?;
        self.check_leader_request(self.epoch).map_err(|error| (error, None))?;
        if request.voter_id < 0 || request.voter_directory_id == Uuid::ZERO {
            let message = "a voter has an id and a directory id";
            return Err(refusal(ErrorCode::InvalidRequest, message));
        }
        let endpoints = request.listeners.iter().map(|listener| VoterEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
        });
        let endpoints: Vec<VoterEndpoint> = endpoints.collect();
        if !self.has_controller_listener(&endpoints) {
            let message = "the voter has no endpoint for the controllers' first listener";
            return Err(refusal(ErrorCode::InvalidRequest, message));
        }
        self.check_may_change(step)?;
        if self.voters().iter().any(|voter| voter.id == request.voter_id) {
            let message = format!("node {} is a voter already", request.voter_id);
            return Err(refusal(ErrorCode::DuplicateVoter, message));
        }
        Ok(Voter { id: request.voter_id, directory_id: request.voter_directory_id, endpoints })
    }

    fn check_cluster(&self, cluster_id: Option<&str>) -> Result<(), Refusal> {
        match cluster_id {
            Some(id) if id != self.cluster_id => {
                let message = format!("this is cluster {}, not {id}", self.cluster_id);
                Err(refusal(ErrorCode::InconsistentClusterId, message))
            }
            _ => Ok(()),
        }
    }

    fn has_controller_listener(&self, endpoints: &[VoterEndpoint]) -> bool {
        match self.listeners.first() {
            Some(own) => endpoints.iter().any(|endpoint| endpoint.name == own.name),
            None => !endpoints.is_empty(),
        }
    }

    /// Whether the voter set may change now: this leader's epoch and the last change are
    /// committed, and no other change is under way.
    fn check_may_change(&self, step: &Step<'_>) -> Result<(), Refusal> {
        let wait = |message: &str| Err(refusal(ErrorCode::RequestTimedOut, message));
        let Role::Leader(leader) = &self.role else {
            return Err((ErrorCode::NotLeaderOrFollower, None));
        };
        if leader.change.as_ref().is_some_and(|change| change.deadline > step.now) {
            return wait("another change of the voters is under way");
        }
        let Some(committed) = leader.committed else {
            return wait("the leader's epoch is not committed yet");
        };
        if self.kraft_version() == KraftVersion::Static {
            let message = "the voters are static: kraft.version is 0";
            return Err(refusal(ErrorCode::UnsupportedVersion, message));
        }
        if self.voter_log.last_voters_offset().is_none_or(|offset| offset >= committed) {
            return wait("the last change of the voters is not committed yet");
        }
        Ok(())
    }

    pub(super) fn handle_remove_voter(
        &mut self,
        step: &mut Step<'_>,
        token: u64,
        request: &RemoveRaftVoterRequest,
    ) {
        let asked_by = AskedBy::Remove { token };
        match self.check_remove(step, request) {
            Ok(voters) => {
                let deadline = step.now.saturating_add(CHANGE_MS_MAX);
                self.append_voters(step, &voters, Some(asked_by), deadline);
            }
            Err((error, message)) => asked_by.answer(step, error, message),
        }
    }

    /// The voters that are left.
    fn check_remove(
        &self,
        step: &Step<'_>,
        request: &RemoveRaftVoterRequest,
    ) -> Result<Vec<Voter>, Refusal> {
        self.check_cluster(request.cluster_id.as_deref())?;
        self.check_leader_request(self.epoch).map_err(|error| (error, None))?;
        if request.voter_id < 0 || request.voter_directory_id == Uuid::ZERO {
            let message = "a voter has an id and a directory id";
            return Err(refusal(ErrorCode::InvalidRequest, message));
        }
        self.check_may_change(step)?;
        let key = ReplicaKey { id: request.voter_id, directory_id: request.voter_directory_id };
        let mut voters = self.voters().to_vec();
        voters.retain(|voter| ReplicaKey::of(voter) != key);
        if voters.len() == self.voters().len() {
            let message = format!("node {} with this directory is no voter", request.voter_id);
            return Err(refusal(ErrorCode::VoterNotFound, message));
        }
        if voters.is_empty() {
            let message = format!("node {} is the last voter", request.voter_id);
            return Err(refusal(ErrorCode::VoterNotFound, message));
        }
        Ok(voters)
    }

    pub(super) fn handle_update_voter(
        &mut self,
        step: &mut Step<'_>,
        request: &UpdateRaftVoterRequest,
    ) -> UpdateRaftVoterResponse {
        let checked = self.check_update(step, request);
        if checked.is_ok() && self.kraft_version() == KraftVersion::Static {
            self.note_static_voter(request);
        }
        let error = match checked {
            Ok(Some(voters)) => {
                let deadline = step.now.saturating_add(CHANGE_MS_MAX);
                self.append_voters(step, &voters, None, deadline);
                ErrorCode::None
            }
            Ok(None) => ErrorCode::None,
            Err((error, _)) => error,
        };
        let (host, port) = self.leader_endpoint.clone().unwrap_or_default();
        let current_leader = CurrentLeader {
            leader_id: self.leader.unwrap_or(-1),
            leader_epoch: self.epoch,
            host,
            port: i32::from(port),
        };
        UpdateRaftVoterResponse { throttle_time_ms: 0, error_code: error.code(), current_leader }
    }

    /// The voters with this one's new endpoints; none if they are known already.
    fn check_update(
        &self,
        step: &Step<'_>,
        request: &UpdateRaftVoterRequest,
    ) -> Result<Option<Vec<Voter>>, Refusal> {
        self.check_cluster(request.cluster_id.as_deref())?;
        self.check_leader_request(request.current_leader_epoch).map_err(|error| (error, None))?;
        let invalid = |message: &str| Err(refusal(ErrorCode::InvalidRequest, message));
        if request.voter_id < 0 || request.voter_directory_id == Uuid::ZERO {
            return invalid("a voter has an id and a directory id");
        }
        let endpoints = endpoints_of(request);
        if !self.has_controller_listener(&endpoints) {
            return invalid("the voter has no endpoint for the controllers' first listener");
        }
        let range = &request.k_raft_version_feature;
        let range = range.min_supported_version..=range.max_supported_version;
        if *range.start() < 0 || range.is_empty() {
            return invalid("no range of kraft.version");
        }
        if self.kraft_version() == KraftVersion::Static {
            // Static voters listen where the configuration says: nothing is written.
            let known = self.voters().iter().any(|voter| voter.id == request.voter_id);
            return if known { Ok(None) } else { Err((ErrorCode::VoterNotFound, None)) };
        }
        self.check_may_change(step)?;
        if !range.contains(&1) {
            return invalid("the voter does not know this quorum's kraft.version");
        }
        let key = ReplicaKey { id: request.voter_id, directory_id: request.voter_directory_id };
        let mut voters = self.voters().to_vec();
        let Some(voter) = voters.iter_mut().find(|voter| ReplicaKey::of(voter) == key) else {
            return Err((ErrorCode::VoterNotFound, None));
        };
        if voter.endpoints == endpoints {
            return Ok(None);
        }
        voter.endpoints = endpoints;
        Ok(Some(voters))
    }

    /// Keeps what a static voter says of itself, for the day when the quorum becomes dynamic.
    fn note_static_voter(&mut self, request: &UpdateRaftVoterRequest) {
        let range = &request.k_raft_version_feature;
        let voter = Voter {
            id: request.voter_id,
            directory_id: request.voter_directory_id,
            endpoints: endpoints_of(request),
        };
        if let Role::Leader(leader) = &mut self.role
            && (range.min_supported_version..=range.max_supported_version).contains(&1)
        {
            leader.reported.insert(voter.id, voter);
        }
    }

    /// Makes the quorum dynamic with these voters; gives the offset of their record.
    pub(super) fn append_dynamic_voters(&mut self, step: &mut Step<'_>, voters: &[Voter]) -> i64 {
        let (epoch, start) = (self.epoch, step.end());
        let records = vec![ControlRecord::kraft_version(1), ControlRecord::voters(voters)];
        let new: Vec<_> = (start..).zip(records.iter().cloned()).collect();
        self.read_control(&new);
        step.effects.push(Effect::AppendControl { epoch, records });
        start.saturating_add(1)
    }

    /// Writes new voters; they count at once.
    fn append_voters(
        &mut self,
        step: &mut Step<'_>,
        voters: &[Voter],
        asked_by: Option<AskedBy>,
        deadline: i64,
    ) {
        let offset = step.end();
        let epoch = self.epoch;
        let record = ControlRecord::voters(voters);
        self.voter_log.read_log(offset, &record);
        step.effects.push(Effect::AppendControl { epoch, records: vec![record] });
        if let Role::Leader(leader) = &mut self.role {
            leader.change =
                Some(Change { asked_by, joining: None, offset: Some(offset), deadline });
            // A new voter learns at once who leads.
            leader.begin_at = step.now;
        }
    }

    /// Adds the voter that has caught up; gives up what takes too long; keeps this leader's own
    /// endpoints right.
    pub(super) fn drive_change(&mut self, step: &mut Step<'_>) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.change.as_ref().is_some_and(|change| change.deadline <= step.now) {
            if let Some(change) = leader.change.take() {
                let message = "the change of the voters was not committed in time".to_owned();
                change.answer(step, ErrorCode::RequestTimedOut, Some(message));
            }
            return;
        }
        let Some(change) = &leader.change else { return self.update_self(step) };
        let Some(joining) = change.joining.as_ref().filter(|joining| joining.is_able) else {
            return;
        };
        let recent = step.now.saturating_sub(self.timeouts.fetch_timeout_ms);
        let caught_up = leader.progress(&joining.voter).is_some_and(|progress| {
            progress.fetch_ms >= recent && progress.end >= leader.committed
        });
        if caught_up && leader.committed.is_some() {
            let (joining, deadline) = (joining.clone(), change.deadline);
            let asked_by = change.asked_by;
            let mut voters = self.voters().to_vec();
            voters.push(joining.voter);
            voters.sort_by_key(|voter| voter.id);
            let waits = asked_by.filter(|_| joining.ack_when_committed);
            self.append_voters(step, &voters, waits, deadline);
            if let (None, Some(asked_by)) = (waits, asked_by) {
                asked_by.answer(step, ErrorCode::None, None);
            }
        }
    }

    /// A leader that listens elsewhere than the voters say corrects them.
    fn update_self(&mut self, step: &mut Step<'_>) {
        let mut voters = self.voters().to_vec();
        let own = voters.iter_mut().find(|voter| self.is_self(voter));
        let Some(own) = own.filter(|own| own.endpoints != self.listeners) else { return };
        if self.listeners.is_empty() || self.check_may_change(step).is_err() {
            return;
        }
        own.endpoints.clone_from(&self.listeners);
        let deadline = step.now.saturating_add(CHANGE_MS_MAX);
        self.append_voters(step, &voters, None, deadline);
    }

    /// The high watermark has moved: a change below it is done. A leader that is no voter any
    /// more leaves.
    pub(super) fn complete_change(&mut self, step: &mut Step<'_>, committed: i64) {
        let Role::Leader(leader) = &mut self.role else { return };
        let is_done = |change: &Change| change.offset.is_some_and(|offset| offset < committed);
        if leader.change.as_ref().is_some_and(is_done)
            && let Some(change) = leader.change.take()
        {
            change.answer(step, ErrorCode::None, None);
        }
        let settled = self.voter_log.last_voters_offset().is_some_and(|at| at < committed);
        if settled && !self.is_voter() {
            self.resign(step);
        }
    }
}

/// What a node of ours says of itself; the shell's listener says it among much else.
pub(super) fn kraft_versions() -> ApiVersionsResponse {
    let feature =
        SupportedFeatureKey { name: KRAFT_VERSION.to_owned(), min_version: 0, max_version: 1 };
    ApiVersionsResponse { supported_features: vec![feature], ..ApiVersionsResponse::default() }
}

fn endpoints_of(request: &UpdateRaftVoterRequest) -> Vec<VoterEndpoint> {
    let endpoint = |listener: &UpdatedListener| VoterEndpoint {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
    };
    request.listeners.iter().map(endpoint).collect()
}

const KRAFT_VERSION: &str = "kraft.version";
/// Longest time that a change may take.
const CHANGE_MS_MAX: i64 = 60_000;
