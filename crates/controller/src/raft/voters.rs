//! Who votes, by the newest voter set, and where voters listen.

use std::collections::BTreeSet;

use naru_model::Uuid;

use super::quorum::Quorum;
use super::{Destination, KraftVersion, Voter, VoterEndpoint};

/// A replica: a node with one metadata directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReplicaKey {
    pub(super) id: i32,
    /// Zero for a static voter, which is known by its id alone.
    pub(super) directory_id: Uuid,
}

impl ReplicaKey {
    pub(super) fn of(voter: &Voter) -> Self {
        Self { id: voter.id, directory_id: voter.directory_id }
    }
}

impl Quorum {
    /// The newest voters.
    pub fn voters(&self) -> &[Voter] {
        match self.kraft_version() {
            KraftVersion::Static => &self.static_voters,
            KraftVersion::Dynamic => self.voter_log.voters(),
        }
    }

    /// How voters are known.
    pub fn kraft_version(&self) -> KraftVersion {
        self.voter_log.kraft_version()
    }

    /// Whether this node is one of the newest voters.
    pub fn is_voter(&self) -> bool {
        self.can_vote && self.voters().iter().any(|voter| self.is_self(voter))
    }

    /// Whether this node may stand for election. A node that is being removed must be able to as
    /// long as its removal is not known to be committed: the others may need its longer log.
    pub(super) fn may_stand(&self) -> bool {
        self.is_voter() || {
            let committed = self.high_watermark.unwrap_or(0);
            let was_voter = |voters: &[Voter]| voters.iter().any(|voter| self.is_self(voter));
            self.can_vote
                && self.kraft_version() == KraftVersion::Dynamic
                && self.voter_log.last_voters_offset().is_some_and(|offset| offset >= committed)
                && self.voter_log.previous_voters().is_some_and(was_voter)
        }
    }

    pub(super) fn is_self(&self, voter: &Voter) -> bool {
        voter.id == self.node_id
            && (self.kraft_version() == KraftVersion::Static
                || voter.directory_id == self.directory_id)
    }

    pub(super) fn other_voters(&self) -> Vec<Voter> {
        self.voters().iter().filter(|voter| !self.is_self(voter)).cloned().collect()
    }

    /// The key under which the progress of this replica is kept.
    pub(super) fn replica_key(&self, id: i32, directory_id: Uuid) -> ReplicaKey {
        let fixed = self.kraft_version() == KraftVersion::Static
            && self.static_voters.iter().any(|voter| voter.id == id);
        ReplicaKey { id, directory_id: if fixed { Uuid::ZERO } else { directory_id } }
    }

    /// The endpoint to use: that of this node's first controller listener's name, or the first.
    pub(super) fn pick(&self, endpoints: &[VoterEndpoint]) -> Option<(String, u16)> {
        let name = self.listeners.first().map(|listener| listener.name.as_str());
        let named = endpoints.iter().find(|endpoint| Some(endpoint.name.as_str()) == name);
        named.or_else(|| endpoints.first()).map(|found| (found.host.clone(), found.port))
    }

    pub(super) fn destination(&self, voter: &Voter) -> Option<Destination> {
        let (host, port) = self.pick(&voter.endpoints)?;
        Some(Destination { id: Some(voter.id), host, port })
    }

    pub(super) fn voter_endpoint(&self, id: i32) -> Option<(String, u16)> {
        self.voters()
            .iter()
            .find(|voter| voter.id == id)
            .and_then(|voter| self.pick(&voter.endpoints))
    }

    /// Whom a node asks that knows no leader: voters and bootstrap servers, without itself.
    pub(super) fn discovery_targets(&self) -> Vec<Destination> {
        let own = |host: &str, port: u16| {
            self.listeners.iter().any(|listener| listener.host == host && listener.port == port)
        };
        let mut seen = BTreeSet::new();
        let voters = self.voters().iter().filter(|voter| voter.id != self.node_id);
        let voters = voters.filter_map(|voter| self.destination(voter));
        let bootstrap = self.bootstrap.iter().map(|(host, port)| Destination {
            id: None,
            host: host.clone(),
            port: *port,
        });
        let all = voters.chain(bootstrap);
        let all = all.filter(|to| !own(&to.host, to.port));
        all.filter(|to| seen.insert((to.host.clone(), to.port))).collect()
    }
}
