//! How this node takes part in the metadata quorum.
//!
//! Owns the typed view of `controller.quorum.*` and the rules between roles, voters and bootstrap
//! servers. Times are milliseconds as the quorum's core counts them.

use super::ConfigError;
use super::check::split_host_port;
use super::layers::Reader;
use super::listener::Roles;
use crate::BrokerId;

const VOTERS: &str = "controller.quorum.voters";
const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers";

/// A fixed voter of the metadata quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its node id.
    pub id: BrokerId,
    /// Its host.
    pub host: String,
    /// The port of its controller listener.
    pub port: u16,
}

/// The settings of the metadata quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumConfig {
    /// Fixed voters; empty when the quorum keeps its voters itself.
    pub voters: Vec<Voter>,
    /// Where to find a quorum that keeps its voters itself, as host and port.
    pub bootstrap_servers: Vec<(String, u16)>,
    /// Whether a controller that is no voter asks to become one.
    pub auto_join: bool,
    /// Longest wait for a majority before an election is tried again.
    pub election_timeout_ms: i64,
    /// Longest pause between two tries at an election.
    pub election_backoff_max_ms: i64,
    /// Time without the leader before a new election.
    pub fetch_timeout_ms: i64,
    /// How long a request to another node of the quorum may take.
    pub request_timeout_ms: i64,
    /// Pause before such a request is sent again.
    pub retry_backoff_ms: i64,
    /// How long the leader may gather records before it writes them.
    pub append_linger_ms: i64,
    /// Most bytes in one fetch of the metadata log.
    pub fetch_max_bytes: i32,
    /// Most bytes in one piece of a snapshot.
    pub fetch_snapshot_max_bytes: i32,
}

impl QuorumConfig {
    pub(super) fn read(
        read: &Reader<'_>,
        roles: Roles,
        node_id: BrokerId,
    ) -> Result<Self, ConfigError> {
        let this = Self {
            voters: voters(read, roles, node_id)?,
            bootstrap_servers: bootstrap_servers(read)?,
            auto_join: read.flag("controller.quorum.auto.join.enable")?,
            election_timeout_ms: read.long("controller.quorum.election.timeout.ms")?,
            election_backoff_max_ms: read.long("controller.quorum.election.backoff.max.ms")?,
            fetch_timeout_ms: read.long("controller.quorum.fetch.timeout.ms")?,
            request_timeout_ms: read.long("controller.quorum.request.timeout.ms")?,
            retry_backoff_ms: read.long("controller.quorum.retry.backoff.ms")?,
            append_linger_ms: read.long("controller.quorum.append.linger.ms")?,
            fetch_max_bytes: read.int("controller.quorum.fetch.max.bytes")?,
            fetch_snapshot_max_bytes: read.int("controller.quorum.fetch.snapshot.max.bytes")?,
        };
        this.fits(roles)?;
        Ok(this)
    }

    /// Whether the voters are those of the file and never change while the nodes run.
    pub fn has_static_voters(&self) -> bool {
        !self.voters.is_empty()
    }

    /// Apache Kafka asks every node for voters or bootstrap servers. A controller here may name
    /// neither: the quorum it formatted for itself is found in its own log.
    fn fits(&self, roles: Roles) -> Result<(), ConfigError> {
        if !roles.controller && self.voters.is_empty() && self.bootstrap_servers.is_empty() {
            return Err(ConfigError::node(
                BOOTSTRAP,
                format!(
                    "a broker without the controller role must be told where the controllers are: \
                     write host:port of some of them here, or all of them as id@host:port in {VOTERS}"
                ),
            ));
        }
        if self.auto_join && !roles.controller {
            return Err(ConfigError::node(
                "controller.quorum.auto.join.enable",
                "only a node whose process.roles contains controller can join the voters",
            ));
        }
        if self.auto_join && self.has_static_voters() {
            return Err(ConfigError::node(
                "controller.quorum.auto.join.enable",
                format!("voters fixed by {VOTERS} do not change; keep one of the two"),
            ));
        }
        Ok(())
    }
}

fn voters(read: &Reader<'_>, roles: Roles, node_id: BrokerId) -> Result<Vec<Voter>, ConfigError> {
    let mut voters: Vec<Voter> = Vec::new();
    for entry in read.list(VOTERS)?.unwrap_or_default() {
        let parts = entry
            .split_once('@')
            .and_then(|(id, address)| Some((id.parse().ok()?, split_host_port(address)?)));
        let Some((id, (host, port))) = parts else {
            return Err(ConfigError::node(
                VOTERS,
                format!("{entry} is not of the form id@host:port"),
            ));
        };
        if voters.iter().any(|voter| voter.id == BrokerId(id)) {
            return Err(ConfigError::node(VOTERS, format!("the id {id} is there twice")));
        }
        voters.push(Voter { id: BrokerId(id), host: host.to_owned(), port });
    }
    let listed = voters.iter().any(|voter| voter.id == node_id);
    if roles.controller && !voters.is_empty() && !listed {
        return Err(ConfigError::node(
            VOTERS,
            format!(
                "node {node_id} is a controller and must be among the voters",
                node_id = node_id.0
            ),
        ));
    }
    if !roles.controller && listed {
        return Err(ConfigError::node(
            VOTERS,
            format!("node {} is among the voters, but process.roles has no controller", node_id.0),
        ));
    }
    Ok(voters)
}

fn bootstrap_servers(read: &Reader<'_>) -> Result<Vec<(String, u16)>, ConfigError> {
    let entries = read.list(BOOTSTRAP)?.unwrap_or_default();
    entries
        .iter()
        .map(|entry| match split_host_port(entry) {
            Some((host, port)) => Ok((host.to_owned(), port)),
            None => {
                Err(ConfigError::node(BOOTSTRAP, format!("{entry} is not of the form host:port")))
            }
        })
        .collect()
}
