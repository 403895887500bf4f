//! Settings, by Java's property names as well as by field.
//!
//! `set` takes what `client.properties` files hold. It answers `Ok(false)` for names it does not
//! know, so that a caller can hand one name to several settings.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use naru_records::Compression;

use crate::error::{Error, Result};
use crate::net::ClientSecurity;

/// Something that happened inside and that a person may want to see.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A connection attempt failed; another will be made.
    ConnectFailed {
        /// Node id, none for an address of `bootstrap.servers`.
        node: Option<i32>,
        /// Host and port.
        address: String,
        /// Why.
        error: Error,
    },
    /// The cluster does not know a topic yet, or it has no leader.
    TopicUnavailable {
        /// Topic name.
        topic: String,
        /// What the cluster says.
        error: Error,
    },
}

/// Who is told about [`ClientEvent`]s.
#[derive(Clone)]
pub struct EventHook(Arc<dyn Fn(&ClientEvent) + Send + Sync>);

impl EventHook {
    /// Wraps a function; it must return quickly.
    pub fn new(hook: impl Fn(&ClientEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn tell(&self, event: &ClientEvent) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventHook")
    }
}

/// What every client has in common.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `bootstrap.servers` or `bootstrap.controllers`: addresses as `host:port`.
    pub bootstrap: Vec<String>,
    /// Whether those are controllers (KIP-919): then administration goes to them directly.
    pub to_controllers: bool,
    /// `client.id`.
    pub client_id: String,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
    /// `default.api.timeout.ms`: how long one call may take with all its retries.
    pub api_timeout: Duration,
    /// How long a call goes on trying to reach any broker at all.
    pub reach_timeout: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `metadata.max.age.ms`.
    pub metadata_max_age: Duration,
    /// `allow.auto.create.topics` of consumers; producers always allow it, as Java's do.
    pub auto_create_topics: bool,
    /// `client.rack`.
    pub rack: String,
    /// `security.protocol`, `sasl.*` and `ssl.*`, by name.
    pub security: BTreeMap<String, String>,
    /// Told what goes on inside.
    pub events: Option<EventHook>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            bootstrap: Vec::new(),
            to_controllers: false,
            client_id: "naru".to_owned(),
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            api_timeout: Duration::from_secs(60),
            reach_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            auto_create_topics: true,
            rack: String::new(),
            security: BTreeMap::new(),
            events: None,
        }
    }
}

/// Whether a setting is about TLS or logins.
fn is_security(name: &str) -> bool {
    name == "security.protocol" || name.starts_with("sasl.") || name.starts_with("ssl.")
}

impl ClientConfig {
    /// Settings for the brokers at `bootstrap`: `host:port`, several separated by commas.
    pub fn new(bootstrap: &str) -> Result<Self> {
        let mut config = Self::default();
        config.set("bootstrap.servers", bootstrap)?;
        Ok(config)
    }

    /// Sets a value by Java's name of it; false if there is none of this name here.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "bootstrap.servers" => {
                self.bootstrap = parse_bootstrap(name, value)?;
                self.to_controllers = false;
            }
            "bootstrap.controllers" => {
                self.bootstrap = parse_bootstrap(name, value)?;
                self.to_controllers = true;
            }
            "client.id" => self.client_id = value.to_owned(),
            "client.rack" => self.rack = value.to_owned(),
            "request.timeout.ms" => self.request_timeout = millis(name, value)?,
            "socket.connection.setup.timeout.ms" => self.connect_timeout = millis(name, value)?,
            "default.api.timeout.ms" => {
                self.api_timeout = millis(name, value)?;
                self.reach_timeout = self.api_timeout;
            }
            "retry.backoff.ms" => self.retry_backoff = millis(name, value)?,
            "retry.backoff.max.ms" => self.retry_backoff_max = millis(name, value)?,
            "metadata.max.age.ms" => self.metadata_max_age = millis(name, value)?,
            "allow.auto.create.topics" => self.auto_create_topics = boolean(name, value)?,
            _ if is_security(name) => {
                self.security.insert(name.to_owned(), value.to_owned());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// How connections are to be secured.
    pub(crate) fn client_security(&self) -> Result<ClientSecurity> {
        let lookup = |name: &str| self.security.get(name).cloned();
        ClientSecurity::read(&lookup).map_err(Error::Argument)
    }

    pub(crate) fn tell(&self, event: &ClientEvent) {
        if let Some(hook) = &self.events {
            hook.tell(event);
        }
    }
}

/// `acks` of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// 0: nobody answers.
    None,
    /// 1: the leader has it.
    Leader,
    /// all or -1: every in-sync replica has it.
    All,
}

impl Acks {
    pub(crate) const fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// What a producer adds.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// `acks`.
    pub acks: Acks,
    /// `enable.idempotence`; none means: if `acks` is all and the broker can.
    pub idempotence: Option<bool>,
    /// `compression.type`.
    pub compression: Compression,
    /// `compression.<type>.level`.
    pub compression_level: Option<i32>,
    /// `linger.ms`.
    pub linger: Duration,
    /// `batch.size`.
    pub batch_size: usize,
    /// `buffer.memory`.
    pub buffer_memory: usize,
    /// `max.request.size`.
    pub max_request_size: usize,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: usize,
    /// `max.block.ms`.
    pub max_block: Duration,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `retries`.
    pub retries: u32,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotence: None,
            compression: Compression::None,
            compression_level: None,
            linger: Duration::from_millis(5),
            batch_size: 16384,
            buffer_memory: 32 << 20,
            max_request_size: 1 << 20,
            max_in_flight: 5,
            max_block: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
            retries: u32::MAX,
        }
    }
}

impl ProducerConfig {
    /// Sets a value by Java's name of it; false if there is none of this name here.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "acks" => {
                self.acks = match value {
                    "0" => Acks::None,
                    "1" => Acks::Leader,
                    "all" | "-1" => Acks::All,
                    _ => return Err(bad(name, value, "one of all, -1, 0, 1 is needed")),
                }
            }
            "enable.idempotence" => self.idempotence = Some(boolean(name, value)?),
            "compression.type" => {
                self.compression = value
                    .parse()
                    .map_err(|_| bad(name, value, "none, gzip, snappy, lz4 or zstd is needed"))?;
            }
            "compression.gzip.level" | "compression.lz4.level" | "compression.zstd.level" => {
                self.compression_level = Some(number(name, value)?);
            }
            "linger.ms" => self.linger = millis(name, value)?,
            "batch.size" => self.batch_size = number(name, value)?,
            "buffer.memory" => self.buffer_memory = number(name, value)?,
            "max.request.size" => self.max_request_size = number(name, value)?,
            "max.in.flight.requests.per.connection" => {
                self.max_in_flight = number(name, value)?;
                if self.max_in_flight == 0 {
                    return Err(bad(name, value, "at least 1 is needed"));
                }
            }
            "max.block.ms" => self.max_block = millis(name, value)?,
            "delivery.timeout.ms" => self.delivery_timeout = millis(name, value)?,
            "retries" => self.retries = number(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// `auto.offset.reset` of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetReset {
    /// Begin with the oldest record.
    Earliest,
    /// Begin with what comes next.
    Latest,
    /// Fail.
    None,
}

/// `isolation.level` of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Everything below the high watermark.
    #[default]
    ReadUncommitted,
    /// Nothing of open or aborted transactions.
    ReadCommitted,
}

impl Isolation {
    pub(crate) const fn number(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// How the partitions of a group are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Consecutive partitions of each topic.
    Range,
    /// One after the other over all topics.
    RoundRobin,
}

impl Assignor {
    /// The name in the group protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }
}

/// What a consumer adds.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// `group.id`.
    pub group_id: Option<String>,
    /// `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// `auto.offset.reset`.
    pub offset_reset: OffsetReset,
    /// `enable.auto.commit`.
    pub auto_commit: bool,
    /// `auto.commit.interval.ms`.
    pub auto_commit_interval: Duration,
    /// `fetch.min.bytes`.
    pub fetch_min_bytes: i32,
    /// `fetch.max.wait.ms`.
    pub fetch_max_wait: Duration,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `max.partition.fetch.bytes`.
    pub partition_fetch_bytes: i32,
    /// `isolation.level`.
    pub isolation: Isolation,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: also how long the group waits for a member in a rebalance.
    pub max_poll_interval: Duration,
    /// `check.crcs`.
    pub check_crcs: bool,
    /// Bytes that one compressed batch may inflate to.
    pub inflated_max: u64,
    /// `partition.assignment.strategy`, in order of preference.
    pub assignors: Vec<Assignor>,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            group_id: None,
            group_instance_id: None,
            offset_reset: OffsetReset::Latest,
            auto_commit: true,
            auto_commit_interval: Duration::from_secs(5),
            fetch_min_bytes: 1,
            fetch_max_wait: Duration::from_millis(500),
            fetch_max_bytes: 50 << 20,
            partition_fetch_bytes: 1 << 20,
            isolation: Isolation::ReadUncommitted,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            check_crcs: true,
            inflated_max: 1 << 30,
            assignors: vec![Assignor::Range, Assignor::RoundRobin],
        }
    }
}

impl ConsumerConfig {
    /// Sets a value by Java's name of it; false if there is none of this name here.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "group.id" => self.group_id = Some(value.to_owned()),
            "group.instance.id" => self.group_instance_id = Some(value.to_owned()),
            "auto.offset.reset" => {
                self.offset_reset = match value {
                    "earliest" => OffsetReset::Earliest,
                    "latest" => OffsetReset::Latest,
                    "none" => OffsetReset::None,
                    _ => return Err(bad(name, value, "earliest, latest or none is needed")),
                }
            }
            "enable.auto.commit" => self.auto_commit = boolean(name, value)?,
            "auto.commit.interval.ms" => self.auto_commit_interval = millis(name, value)?,
            "fetch.min.bytes" => self.fetch_min_bytes = number(name, value)?,
            "fetch.max.wait.ms" => self.fetch_max_wait = millis(name, value)?,
            "fetch.max.bytes" => self.fetch_max_bytes = number(name, value)?,
            "max.partition.fetch.bytes" => self.partition_fetch_bytes = number(name, value)?,
            "isolation.level" => {
                self.isolation = match value {
                    "read_uncommitted" => Isolation::ReadUncommitted,
                    "read_committed" => Isolation::ReadCommitted,
                    _ => {
                        let reason = "read_uncommitted or read_committed is needed";
                        return Err(bad(name, value, reason));
                    }
                }
            }
            "session.timeout.ms" => self.session_timeout = millis(name, value)?,
            "heartbeat.interval.ms" => self.heartbeat_interval = millis(name, value)?,
            "max.poll.interval.ms" => self.max_poll_interval = millis(name, value)?,
            "check.crcs" => self.check_crcs = boolean(name, value)?,
            "partition.assignment.strategy" => self.assignors = parse_assignors(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn parse_assignors(name: &str, value: &str) -> Result<Vec<Assignor>> {
    value
        .split(',')
        .map(|class| match class.trim().rsplit('.').next() {
            Some("RangeAssignor" | "range") => Ok(Assignor::Range),
            Some("RoundRobinAssignor" | "roundrobin") => Ok(Assignor::RoundRobin),
            _ => Err(bad(name, value, "range and roundrobin are known")),
        })
        .collect()
}

fn parse_bootstrap(name: &str, value: &str) -> Result<Vec<String>> {
    let mut addresses = Vec::new();
    for address in value.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        // A listener's name before the address, as `PLAINTEXT://host:9092`, is understood.
        let bare = address.rsplit("://").next().unwrap_or(address);
        let port = bare.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            return Err(bad(name, value, &format!("{address} is not host:port")));
        }
        addresses.push(bare.to_owned());
    }
    if addresses.is_empty() {
        return Err(bad(name, value, "at least one host:port is needed"));
    }
    Ok(addresses)
}

fn bad(name: &str, value: &str, reason: &str) -> Error {
    Error::Config { name: name.to_owned(), value: value.to_owned(), reason: reason.to_owned() }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value.trim().parse().map_err(|_| bad(name, value, "not a number that fits"))
}

fn millis(name: &str, value: &str) -> Result<Duration> {
    Ok(Duration::from_millis(number(name, value)?))
}

fn boolean(name: &str, value: &str) -> Result<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(bad(name, value, "true or false is needed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_names_set_fields_and_unknown_names_are_told_apart() {
        let mut producer = ProducerConfig::default();
        assert!(producer.set("linger.ms", "20").unwrap());
        assert_eq!(producer.linger, Duration::from_millis(20));
        assert!(!producer.set("group.id", "g").unwrap());
        assert!(producer.set("acks", "2").is_err());
        let mut consumer = ConsumerConfig::default();
        consumer
            .set(
                "partition.assignment.strategy",
                "org.apache.kafka.clients.consumer.RoundRobinAssignor",
            )
            .unwrap();
        assert_eq!(consumer.assignors, [Assignor::RoundRobin]);
    }

    #[test]
    fn bootstrap_addresses_need_a_port() {
        let config = ClientConfig::new("a:9092, PLAINTEXT://b:1").unwrap();
        assert_eq!(config.bootstrap, ["a:9092", "b:1"]);
        for bad in ["a", "", "a:port", "a:9092,b"] {
            assert!(ClientConfig::new(bad).is_err(), "{bad}");
        }
    }
}
