//! How a broker lives in a cluster, and how it copies partitions.
//!
//! Owns the typed view of registration, heartbeats, leader balance, replica fetching and
//! replication throttles. Times are milliseconds as the cores count them; byte counts that go
//! into requests are as wide as the requests' fields.

use super::ConfigError;
use super::layers::{Layers, Reader};

/// Brokers and the controller that watches them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Time between two heartbeats of a broker.
    pub heartbeat_interval_ms: i64,
    /// Silence after which a broker is fenced.
    pub session_timeout_ms: i64,
    /// How long a starting broker tries to register.
    pub registration_timeout_ms: i64,
    /// Whether a stopping broker first hands its leaderships to others.
    pub controlled_shutdown_enable: bool,
    /// How long a request to the controller may take.
    pub controller_socket_timeout_ms: i64,
    /// Whether leadership returns to preferred replicas by itself.
    pub auto_leader_rebalance: bool,
    /// How often leadership is checked for balance.
    pub leader_imbalance_check_interval_s: i64,
    /// How often partitions without a leader are looked at for an unclean election.
    pub unclean_election_interval_ms: i64,
    /// How often an idle controller writes a no-op record; `None` is never.
    pub metadata_max_idle_interval_ms: Option<i64>,
    /// How long a broker may fail to report a lost data directory before it stops.
    pub log_dir_failure_timeout_ms: i64,
    /// First wait for an outgoing connection.
    pub connection_setup_timeout_ms: i64,
    /// Longest wait for an outgoing connection.
    pub connection_setup_timeout_max_ms: i64,
}

impl ClusterConfig {
    pub(super) fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let idle = read.long("metadata.max.idle.interval.ms")?;
        Ok(Self {
            heartbeat_interval_ms: positive(read, "broker.heartbeat.interval.ms")?,
            session_timeout_ms: positive(read, "broker.session.timeout.ms")?,
            registration_timeout_ms: non_negative(read, "initial.broker.registration.timeout.ms")?,
            controlled_shutdown_enable: read.flag("controlled.shutdown.enable")?,
            controller_socket_timeout_ms: positive(read, "controller.socket.timeout.ms")?,
            auto_leader_rebalance: read.flag("auto.leader.rebalance.enable")?,
            leader_imbalance_check_interval_s: read
                .long("leader.imbalance.check.interval.seconds")?,
            unclean_election_interval_ms: read.long("unclean.leader.election.interval.ms")?,
            metadata_max_idle_interval_ms: Some(idle).filter(|ms| *ms > 0),
            log_dir_failure_timeout_ms: read.long("log.dir.failure.timeout.ms")?,
            connection_setup_timeout_ms: positive(read, "socket.connection.setup.timeout.ms")?,
            connection_setup_timeout_max_ms: positive(
                read,
                "socket.connection.setup.timeout.max.ms",
            )?,
        })
    }
}

/// How a follower copies from its leaders, and how a leader judges its followers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationConfig {
    /// How long a follower may lag before it leaves the in-sync set.
    pub lag_time_max_ms: i64,
    /// Bytes a follower asks for per partition.
    pub fetch_max_bytes: i32,
    /// Bytes a follower asks for in one fetch.
    pub fetch_response_max_bytes: i32,
    /// Bytes a follower waits for.
    pub fetch_min_bytes: i32,
    /// Longest a follower's fetch waits.
    pub fetch_wait_max_ms: i32,
    /// Pause of a follower after a failed fetch.
    pub fetch_backoff_ms: i64,
    /// Connections a follower opens to each leader.
    pub num_fetchers: usize,
    /// How long a follower waits for an answer.
    pub socket_timeout_ms: i64,
    /// Kernel receive buffer of a follower's connection; `None` is the system's choice.
    pub socket_receive_buffer_bytes: Option<usize>,
    /// Who picks the replica a consumer reads from; `None` is always the leader.
    pub selector: ReplicaSelector,
    /// Windows that replication rates are measured over.
    pub quota_window_num: usize,
    /// Length of one such window.
    pub quota_window_size_s: i64,
}

/// Who picks the replica a consumer reads from (KIP-392).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaSelector {
    /// Always the leader.
    Leader,
    /// A caught-up replica in the consumer's rack, else the leader.
    RackAware,
}

impl ReplicaSelector {
    const KEY: &'static str = "replica.selector.class";

    /// Kafka names a Java class; its own two are built in.
    fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let name = read.text(Self::KEY)?.filter(|name| !name.is_empty());
        match name.as_deref().map(|name| name.rsplit('.').next().unwrap_or(name)) {
            None | Some("LeaderSelector") => Ok(Self::Leader),
            Some("RackAwareReplicaSelector") => Ok(Self::RackAware),
            Some(other) => Err(ConfigError::node(
                Self::KEY,
                format!(
                    "{other} is not built in; there are \
                     org.apache.kafka.common.replica.RackAwareReplicaSelector and \
                     org.apache.kafka.common.replica.LeaderSelector"
                ),
            )),
        }
    }
}

impl ReplicationConfig {
    pub(super) fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let receive_buffer = match read.is_set("replica.socket.receive.buffer.bytes") {
            // Kafka's default size would switch off the kernel's own, better, choice.
            false => None,
            true => usize::try_from(read.long("replica.socket.receive.buffer.bytes")?).ok(),
        };
        let this = Self {
            lag_time_max_ms: positive(read, "replica.lag.time.max.ms")?,
            fetch_max_bytes: read.int("replica.fetch.max.bytes")?,
            fetch_response_max_bytes: read.int("replica.fetch.response.max.bytes")?,
            fetch_min_bytes: read.int("replica.fetch.min.bytes")?,
            fetch_wait_max_ms: read.int("replica.fetch.wait.max.ms")?,
            fetch_backoff_ms: read.long("replica.fetch.backoff.ms")?,
            num_fetchers: read.size("num.replica.fetchers")?,
            socket_timeout_ms: read.long("replica.socket.timeout.ms")?,
            socket_receive_buffer_bytes: receive_buffer,
            selector: ReplicaSelector::read(read)?,
            quota_window_num: read.size("replication.quota.window.num")?,
            quota_window_size_s: read.long("replication.quota.window.size.seconds")?,
        };
        this.fits()?;
        Ok(this)
    }

    fn fits(&self) -> Result<(), ConfigError> {
        const WAIT: &str = "replica.fetch.wait.max.ms";
        let wait = i64::from(self.fetch_wait_max_ms);
        if wait < 0 {
            return Err(ConfigError::node(WAIT, format!("{wait} is below 0")));
        }
        if wait > self.socket_timeout_ms {
            return Err(ConfigError::node(
                "replica.socket.timeout.ms",
                format!(
                    "{} is less than {WAIT}, {wait}: followers would give up while their leader \
                     still waits for data",
                    self.socket_timeout_ms
                ),
            ));
        }
        if wait > self.lag_time_max_ms {
            return Err(ConfigError::node(
                WAIT,
                format!(
                    "{wait} is more than replica.lag.time.max.ms, {}: an idle follower would leave \
                     the in-sync set",
                    self.lag_time_max_ms
                ),
            ));
        }
        Ok(())
    }
}

/// Replication rates, in bytes a second, that somebody set at run time; `None` is unthrottled.
///
/// They count only for the replicas a topic lists in `leader.` or
/// `follower.replication.throttled.replicas` ([`super::TopicConfig`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplicationThrottle {
    /// What this broker sends to followers.
    pub leader_rate: Option<u64>,
    /// What this broker fetches as a follower.
    pub follower_rate: Option<u64>,
    /// What moves between this broker's own directories.
    pub alter_log_dirs_rate: Option<u64>,
}

impl ReplicationThrottle {
    /// The rates that count now for a broker.
    ///
    /// # Errors
    /// When a value is no number; the checks at the change keep that out.
    pub fn resolve(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        let read = Reader::broker(*layers);
        let rate = |name| {
            let limit = read.long(name)?;
            Ok(u64::try_from(limit).ok().filter(|_| limit != i64::MAX))
        };
        Ok(Self {
            leader_rate: rate("leader.replication.throttled.rate")?,
            follower_rate: rate("follower.replication.throttled.rate")?,
            alter_log_dirs_rate: rate("replica.alter.log.dirs.io.max.bytes.per.second")?,
        })
    }
}

fn positive(read: &Reader<'_>, name: &'static str) -> Result<i64, ConfigError> {
    at_least(read, name, 1)
}

fn non_negative(read: &Reader<'_>, name: &'static str) -> Result<i64, ConfigError> {
    at_least(read, name, 0)
}

fn at_least(read: &Reader<'_>, name: &'static str, least: i64) -> Result<i64, ConfigError> {
    let value = read.long(name)?;
    if value < least {
        return Err(ConfigError::node(name, format!("{value} is below {least}")));
    }
    Ok(value)
}
