//! The settings of one node, typed, for everything that is not a topic's.
//!
//! Owns the typed view and the rules that several keys must keep together. Names, defaults and
//! bounds of single keys are rows of the broker table.

use std::collections::BTreeMap;

use super::ConfigError;
use super::check::split_host_port;
use super::cluster_config::{ClusterConfig, ReplicationConfig, ReplicationThrottle};
use super::consumer_groups::ConsumerGroupsConfig;
use super::cordoning::Cordoning;
use super::layers::{Layers, Props, Reader};
use super::listener::{Listeners, Roles};
use super::quorum_config::QuorumConfig;
use super::share_groups::{ShareCoordinatorConfig, ShareGroupsConfig};
use super::share_partitions::SharePartitionsConfig;
use super::streams_groups::StreamsGroupsConfig;
use super::tables;
use super::tokens::TokensConfig;
use super::topic_config::{Durability, TopicConfig};
use crate::BrokerId;

/// Every setting of one node, resolved and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    /// This node's number.
    pub node_id: BrokerId,
    /// Which parts run here.
    pub roles: Roles,
    /// Rack or zone.
    pub rack: Option<String>,
    /// Listeners and what is told of them.
    pub listeners: Listeners,
    /// The metadata quorum.
    pub quorum: QuorumConfig,
    /// Brokers and the controller that watches them.
    pub cluster: ClusterConfig,
    /// How partitions are copied.
    pub replication: ReplicationConfig,
    /// Replication rates set at run time.
    pub throttle: ReplicationThrottle,
    /// Sockets and connections.
    pub sockets: SocketConfig,
    /// Client quotas and metrics.
    pub quotas: QuotaConfig,
    /// Data directories and the chores of the log.
    pub log: LogManagerConfig,
    /// The metadata log.
    pub metadata_log: MetadataLogConfig,
    /// How topics come and go.
    pub topics: TopicDefaults,
    /// What a topic is that sets nothing itself.
    pub topic: TopicConfig,
    /// Fetching and describing.
    pub fetch: FetchConfig,
    /// Classic groups.
    pub groups: GroupsConfig,
    /// Committed offsets and their topic.
    pub offsets: OffsetsConfig,
    /// Transactions and their topic.
    pub transactions: TransactionsConfig,
    /// The state of share groups and its topic.
    pub share_coordinator: ShareCoordinatorConfig,
    /// Delegation tokens.
    pub tokens: TokensConfig,
    /// `naru.http.listener`: where the HTTP listener opens, if at all.
    pub http_listener: Option<(String, u16)>,
    /// Most bytes one batch may inflate to.
    pub decode_inflated_bytes_max: usize,
}

/// Sockets and connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// Largest request frame accepted.
    pub request_max_bytes: usize,
    /// Kernel send buffer; `None` is the system's choice.
    pub send_buffer_bytes: Option<usize>,
    /// Kernel receive buffer; `None` is the system's choice.
    pub receive_buffer_bytes: Option<usize>,
    /// Connections the kernel queues.
    pub listen_backlog: u32,
    /// Idle time after which a connection closes; `None` is never.
    pub connections_max_idle_ms: Option<u64>,
    /// Most connections.
    pub max_connections: usize,
    /// Most connections from one address.
    pub max_connections_per_ip: usize,
    /// Other limits for named hosts.
    pub max_connections_per_ip_overrides: BTreeMap<String, usize>,
    /// Threads that serve connections.
    pub network_threads: usize,
    /// `max.connection.creation.rate`; `None` is without limit.
    pub connection_creation_rate: Option<i32>,
    /// What is set for single listeners, by their names in lower case.
    pub listener_limits: BTreeMap<String, ListenerLimits>,
    /// Request bytes held at once; `None` leaves it to the server.
    pub queued_max_request_bytes: Option<usize>,
    /// How long a request of the broker's own waits.
    pub request_timeout_ms: u64,
}

/// Limits on the connections of one listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Most connections.
    pub max_connections: Option<usize>,
    /// Most new connections a second.
    pub creation_rate: Option<i32>,
}

/// How clients are held to their quotas, and what they may push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaConfig {
    /// Windows that the rates of clients are taken over.
    pub windows: u32,
    /// How long one of them is, in milliseconds.
    pub window_ms: i64,
    /// Windows that changes of the cluster are counted over.
    pub controller_windows: u32,
    /// How long one of them is, in milliseconds.
    pub controller_window_ms: i64,
    /// Largest push of metrics.
    pub telemetry_bytes_max: usize,
}

/// Data directories and the chores of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogManagerConfig {
    /// Data directories, at least one.
    pub dirs: Vec<String>,
    /// Time between two looks for segments to delete.
    pub retention_check_interval_ms: u64,
    /// Delay before the first chore.
    pub initial_task_delay_ms: u64,
    /// How often logs are looked at for a due flush.
    pub flush_scheduler_interval_ms: i64,
    /// How often recovery points are written down.
    pub flush_offset_checkpoint_interval_ms: u64,
    /// How often log start offsets are written down.
    pub flush_start_offset_checkpoint_interval_ms: u64,
    /// How often high watermarks are written down.
    pub high_watermark_checkpoint_interval_ms: u64,
    /// Partitions recovered at a time in each directory.
    pub recovery_threads_per_data_dir: usize,
    /// Replicas that move between directories at a time.
    pub move_threads: usize,
    /// Idle time after which a producer is forgotten.
    pub producer_id_expiration_ms: i64,
    /// How often idle producers are looked for.
    pub producer_id_expiration_check_interval_ms: u64,
    /// Whether a batch may begin a transaction only when the coordinator knows of it (KIP-890).
    pub transaction_verification: bool,
    /// Pause before the coordinator is asked again that has not finished the last transaction.
    pub add_partitions_retry_backoff_ms: u64,
    /// For how long it is asked again.
    pub add_partitions_retry_backoff_max_ms: u64,
    /// What an acknowledged batch has survived.
    pub durability: Durability,
    /// Most bytes a second the background check of closed segments reads.
    pub scrub_bytes_per_second_max: u64,
    /// `naru.scrub.interval.ms`
    pub scrub_interval_ms: u64,
    /// Bytes kept free in each directory for what must go on when the disk is full.
    pub reserve_bytes: u64,
}

/// The metadata log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataLogConfig {
    /// Its directory.
    pub dir: String,
    /// Size at which a segment is closed.
    pub segment_bytes: u32,
    /// Age at which a segment is closed.
    pub segment_ms: i64,
    /// Bytes written before the next snapshot.
    pub max_record_bytes_between_snapshots: u64,
    /// Longest time between two snapshots; `None` is by size only.
    pub max_snapshot_interval_ms: Option<u64>,
    /// Bytes kept; `None` is without limit.
    pub max_retention_bytes: Option<u64>,
    /// Time kept; `None` is for ever.
    pub max_retention_ms: Option<u64>,
    /// How often an idle controller writes a NoOpRecord; 0 is never.
    pub max_idle_interval_ms: i64,
}

/// How topics come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDefaults {
    /// Whether asking for an unknown topic makes it.
    pub auto_create: bool,
    /// Whether topics may be deleted.
    pub delete_enabled: bool,
    /// Partitions of a topic made without a count.
    pub num_partitions: i32,
    /// Replicas of a topic made without a factor.
    pub default_replication_factor: i32,
}

/// Fetching and describing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchConfig {
    /// Most bytes in one fetch answer.
    pub max_bytes: i32,
    /// Fetch sessions remembered.
    pub session_cache_slots: usize,
    /// Most partitions in one DescribeTopicPartitions answer.
    pub max_request_partition_size_limit: i32,
}

/// Classic groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsConfig {
    /// Group protocols offered: `classic`, `consumer`, `share`, `streams`.
    pub rebalance_protocols: Vec<String>,
    /// Wait before an empty group's first rebalance.
    pub initial_rebalance_delay_ms: i32,
    /// Shortest session timeout.
    pub min_session_timeout_ms: i32,
    /// Longest session timeout.
    pub max_session_timeout_ms: i32,
    /// Most members.
    pub max_size: i32,
    /// Groups of the consumer protocol.
    pub consumer: ConsumerGroupsConfig,
    /// Share groups.
    pub share: ShareGroupsConfig,
    /// Share groups at the leaders of partitions.
    pub share_partitions: SharePartitionsConfig,
    /// Groups of the streams protocol.
    pub streams: StreamsGroupsConfig,
}

/// Committed offsets and their topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetsConfig {
    /// Partitions of `__consumer_offsets`.
    pub topic_num_partitions: i32,
    /// Replicas of `__consumer_offsets`.
    pub topic_replication_factor: i16,
    /// Segment size of `__consumer_offsets`.
    pub topic_segment_bytes: u32,
    /// Codec id of its records; 0 is none.
    pub topic_compression_codec: i32,
    /// How long a commit waits to be replicated.
    pub commit_timeout_ms: i32,
    /// How long an empty group's offsets are kept.
    pub retention_ms: i64,
    /// How often expired offsets are looked for.
    pub retention_check_interval_ms: u64,
    /// Longest text committed beside an offset, in bytes.
    pub metadata_max_bytes: i32,
}

/// Transactions and their topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionsConfig {
    /// Partitions of `__transaction_state`.
    pub topic_num_partitions: i32,
    /// Replicas of `__transaction_state`.
    pub topic_replication_factor: i16,
    /// In-sync replicas it needs.
    pub topic_min_isr: i32,
    /// Segment size of `__transaction_state`.
    pub topic_segment_bytes: u32,
    /// Longest timeout a producer may ask for.
    pub max_timeout_ms: i32,
    /// Idle time after which a transactional id is forgotten.
    pub id_expiration_ms: i64,
    /// How often overdue transactions are looked for.
    pub abort_timed_out_interval_ms: i64,
    /// How often expired transactional ids are looked for.
    pub remove_expired_interval_ms: i64,
}

impl BrokerConfig {
    /// The settings of a node.
    ///
    /// # Errors
    /// The first key that is wrong or keys that contradict each other, one message each.
    pub fn resolve(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        let read = Reader::broker(*layers);
        let roles = roles(&read)?;
        let node_id = node_id(&read)?;
        let listeners = Listeners::read(&read, roles)?;
        let log = LogManagerConfig::read(&read)?;
        Ok(Self {
            node_id,
            roles,
            rack: read.text("broker.rack")?,
            quorum: QuorumConfig::read(&read, roles, node_id)?,
            cluster: ClusterConfig::read(&read)?,
            replication: ReplicationConfig::read(&read)?,
            throttle: ReplicationThrottle::resolve(layers)?,
            sockets: SocketConfig::resolve(layers)?,
            quotas: QuotaConfig::read(&read)?,
            metadata_log: MetadataLogConfig::read(&read, &log)?,
            topics: TopicDefaults {
                auto_create: read.flag("auto.create.topics.enable")?,
                delete_enabled: read.flag("delete.topic.enable")?,
                num_partitions: read.int("num.partitions")?,
                default_replication_factor: read.int("default.replication.factor")?,
            },
            topic: topic_defaults(layers)?,
            fetch: FetchConfig {
                max_bytes: read.int("fetch.max.bytes")?,
                session_cache_slots: read.size("max.incremental.fetch.session.cache.slots")?,
                max_request_partition_size_limit: read.int("max.request.partition.size.limit")?,
            },
            groups: GroupsConfig::read(&read)?,
            offsets: OffsetsConfig::read(&read)?,
            transactions: TransactionsConfig::read(&read)?,
            share_coordinator: ShareCoordinatorConfig::read(&read)?,
            tokens: TokensConfig::read(&read)?,
            http_listener: http_listener(&read)?,
            decode_inflated_bytes_max: read.size("naru.decode.inflated.bytes.max")?,
            listeners,
            log,
        })
    }

    /// Checks every key that is set, known or prefixed, not only those read here.
    ///
    /// # Errors
    /// The first value that does not fit its key.
    pub fn check_all(props: &Props) -> Result<(), ConfigError> {
        for (name, text) in props {
            let Some(row) = super::broker_row(name) else { continue };
            row.check(text)?;
        }
        Ok(())
    }

    /// What a node is that nobody configured: one broker and controller on localhost, data in
    /// `log_dir`, internal topics with one replica.
    pub fn zero_config(log_dir: &str) -> Props {
        let pairs = [
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
            ("advertised.listeners", "PLAINTEXT://localhost:9092"),
            ("controller.listener.names", "CONTROLLER"),
            ("log.dirs", log_dir),
            ("group.initial.rebalance.delay.ms", "0"),
            ("transaction.state.log.replication.factor", "1"),
            ("transaction.state.log.min.isr", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
            ("naru.http.listener", "localhost:8080"),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

impl SocketConfig {
    /// The settings that count now for a broker.
    ///
    /// # Errors
    /// When a value does not fit its key; the checks at the change keep that out.
    pub fn resolve(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        let listener_limits = listener_limits(layers)?;
        Ok(Self { listener_limits, ..Self::read(&Reader::broker(*layers))? })
    }

    fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let buffer = |name| read.long(name).map(|n| usize::try_from(n).ok());
        // Kafka's default size would switch off the kernel's own, better, choice.
        let if_set = |name| match read.is_set(name) {
            true => buffer(name),
            false => Ok(None),
        };
        Ok(Self {
            request_max_bytes: read.size("socket.request.max.bytes")?,
            send_buffer_bytes: if_set("socket.send.buffer.bytes")?,
            receive_buffer_bytes: if_set("socket.receive.buffer.bytes")?,
            listen_backlog: read.int("socket.listen.backlog.size")?.unsigned_abs(),
            connections_max_idle_ms: u64::try_from(read.long("connections.max.idle.ms")?).ok(),
            max_connections: read.size("max.connections")?,
            max_connections_per_ip: read.size("max.connections.per.ip")?,
            max_connections_per_ip_overrides: ip_overrides(read)?,
            connection_creation_rate: Some(read.int("max.connection.creation.rate")?)
                .filter(|rate| *rate < i32::MAX),
            listener_limits: BTreeMap::new(),
            network_threads: read.size("num.network.threads")?,
            queued_max_request_bytes: buffer("queued.max.request.bytes")?.filter(|n| *n > 0),
            request_timeout_ms: non_negative(read, "request.timeout.ms")?,
        })
    }
}

impl QuotaConfig {
    fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let count = |name| read.int(name).map(i32::unsigned_abs);
        let ms = |name| read.long(name).map(|seconds| seconds.saturating_mul(1000));
        Ok(Self {
            windows: count("quota.window.num")?,
            window_ms: ms("quota.window.size.seconds")?,
            controller_windows: count("controller.quota.window.num")?,
            controller_window_ms: ms("controller.quota.window.size.seconds")?,
            telemetry_bytes_max: read.size("telemetry.max.bytes")?,
        })
    }
}

impl LogManagerConfig {
    fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let dirs = match read.list("log.dirs")? {
            Some(dirs) => dirs,
            None => read.list("log.dir")?.unwrap_or_default(),
        };
        Cordoning::read(read)?.check(&dirs)?;
        let move_threads = read.maybe_int("num.replica.alter.log.dirs.threads")?;
        Ok(Self {
            move_threads: move_threads
                .and_then(|threads| usize::try_from(threads).ok())
                .unwrap_or(dirs.len()),
            dirs,
            retention_check_interval_ms: non_negative(read, "log.retention.check.interval.ms")?,
            initial_task_delay_ms: non_negative(read, "log.initial.task.delay.ms")?,
            flush_scheduler_interval_ms: read.long("log.flush.scheduler.interval.ms")?,
            flush_offset_checkpoint_interval_ms: non_negative(
                read,
                "log.flush.offset.checkpoint.interval.ms",
            )?,
            flush_start_offset_checkpoint_interval_ms: non_negative(
                read,
                "log.flush.start.offset.checkpoint.interval.ms",
            )?,
            high_watermark_checkpoint_interval_ms: non_negative(
                read,
                "replica.high.watermark.checkpoint.interval.ms",
            )?,
            recovery_threads_per_data_dir: read.size("num.recovery.threads.per.data.dir")?,
            producer_id_expiration_ms: read.long("producer.id.expiration.ms")?,
            producer_id_expiration_check_interval_ms: non_negative(
                read,
                "producer.id.expiration.check.interval.ms",
            )?,
            transaction_verification: read.flag("transaction.partition.verification.enable")?,
            add_partitions_retry_backoff_ms: non_negative(
                read,
                "add.partitions.to.txn.retry.backoff.ms",
            )?,
            add_partitions_retry_backoff_max_ms: non_negative(
                read,
                "add.partitions.to.txn.retry.backoff.max.ms",
            )?,
            durability: Durability::of(read.text("naru.durability")?.as_deref()),
            scrub_bytes_per_second_max: non_negative(read, "naru.scrub.bytes.per.second.max")?,
            scrub_interval_ms: non_negative(read, "naru.scrub.interval.ms")?,
            reserve_bytes: non_negative(read, "naru.log.dir.reserve.bytes")?,
        })
    }
}

impl MetadataLogConfig {
    fn read(read: &Reader<'_>, log: &LogManagerConfig) -> Result<Self, ConfigError> {
        let unlimited = |name| read.long(name).map(|n| u64::try_from(n).ok());
        let dir = match read.text("metadata.log.dir")? {
            Some(dir) => dir,
            None => log.dirs.first().cloned().unwrap_or_default(),
        };
        let segment_bytes = read.long("metadata.log.segment.bytes")?;
        let interval = non_negative(read, "metadata.log.max.snapshot.interval.ms")?;
        Ok(Self {
            dir,
            segment_bytes: u32::try_from(segment_bytes).unwrap_or(0),
            segment_ms: read.long("metadata.log.segment.ms")?,
            max_record_bytes_between_snapshots: non_negative(
                read,
                "metadata.log.max.record.bytes.between.snapshots",
            )?,
            max_snapshot_interval_ms: Some(interval).filter(|ms| *ms > 0),
            max_retention_bytes: unlimited("metadata.max.retention.bytes")?,
            max_retention_ms: unlimited("metadata.max.retention.ms")?,
            max_idle_interval_ms: i64::from(read.int("metadata.max.idle.interval.ms")?),
        })
    }
}

impl GroupsConfig {
    fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let this = Self {
            rebalance_protocols: read
                .list("group.coordinator.rebalance.protocols")?
                .unwrap_or_default(),
            initial_rebalance_delay_ms: read.int("group.initial.rebalance.delay.ms")?,
            min_session_timeout_ms: read.int("group.min.session.timeout.ms")?,
            max_session_timeout_ms: read.int("group.max.session.timeout.ms")?,
            max_size: read.int("group.max.size")?,
            consumer: ConsumerGroupsConfig::read(read)?,
            share: ShareGroupsConfig::read(read)?,
            share_partitions: SharePartitionsConfig::read(read)?,
            streams: StreamsGroupsConfig::read(read)?,
        };
        if this.min_session_timeout_ms > this.max_session_timeout_ms {
            return Err(ConfigError::node(
                "group.min.session.timeout.ms",
                format!(
                    "{} is more than group.max.session.timeout.ms, {}",
                    this.min_session_timeout_ms, this.max_session_timeout_ms
                ),
            ));
        }
        Ok(this)
    }
}

impl OffsetsConfig {
    fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let factor = read.long("offsets.topic.replication.factor")?;
        Ok(Self {
            topic_num_partitions: read.int("offsets.topic.num.partitions")?,
            topic_replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            topic_segment_bytes: read.int("offsets.topic.segment.bytes")?.unsigned_abs(),
            topic_compression_codec: read.int("offsets.topic.compression.codec")?,
            commit_timeout_ms: read.int("offsets.commit.timeout.ms")?,
            retention_ms: read.long("offsets.retention.minutes")?.saturating_mul(60_000),
            retention_check_interval_ms: non_negative(read, "offsets.retention.check.interval.ms")?,
            metadata_max_bytes: read.int("offset.metadata.max.bytes")?,
        })
    }
}

impl TransactionsConfig {
    fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        const ABORT: &str = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
        const REMOVE: &str = "transaction.remove.expired.transaction.cleanup.interval.ms";
        let factor = read.long("transaction.state.log.replication.factor")?;
        Ok(Self {
            topic_num_partitions: read.int("transaction.state.log.num.partitions")?,
            topic_replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            topic_min_isr: read.int("transaction.state.log.min.isr")?,
            topic_segment_bytes: read.int("transaction.state.log.segment.bytes")?.unsigned_abs(),
            max_timeout_ms: read.int("transaction.max.timeout.ms")?,
            id_expiration_ms: read.long("transactional.id.expiration.ms")?,
            abort_timed_out_interval_ms: read.long(ABORT)?,
            remove_expired_interval_ms: read.long(REMOVE)?,
        })
    }
}

/// A number of milliseconds or bytes that means nothing below zero, although its row lets it.
fn non_negative(read: &Reader<'_>, name: &'static str) -> Result<u64, ConfigError> {
    let value = read.long(name)?;
    u64::try_from(value).map_err(|_| ConfigError::node(name, format!("{value} is below 0")))
}

fn roles(read: &Reader<'_>) -> Result<Roles, ConfigError> {
    const KEY: &str = "process.roles";
    if !read.is_set(KEY) {
        let problem = if read.is_set("zookeeper.connect") {
            "is required; zookeeper.connect belongs to Kafka before 4.0. \
             For one node write process.roles=broker,controller"
        } else {
            "is required; for one node write process.roles=broker,controller"
        };
        return Err(ConfigError::node(KEY, problem));
    }
    let names = read.list(KEY)?.unwrap_or_default();
    let has = |role: &str| names.iter().any(|name| name == role);
    Ok(Roles { broker: has("broker"), controller: has("controller") })
}

fn node_id(read: &Reader<'_>) -> Result<BrokerId, ConfigError> {
    const KEY: &str = "node.id";
    let old = read.int("broker.id")?;
    if !read.is_set(KEY) {
        if read.is_set("broker.id") && old >= 0 {
            return Ok(BrokerId(old));
        }
        return Err(ConfigError::node(
            KEY,
            "is required with process.roles, for example node.id=1",
        ));
    }
    let id = read.int(KEY)?;
    if read.is_set("broker.id") && old != id {
        return Err(ConfigError::node(KEY, format!("{id} and broker.id {old} differ; keep one")));
    }
    Ok(BrokerId(id))
}

/// What `listener.name.<listener>.max.connections` and `max.connection.creation.rate` say.
fn listener_limits(layers: &Layers<'_>) -> Result<BTreeMap<String, ListenerLimits>, ConfigError> {
    let mut limits: BTreeMap<String, ListenerLimits> = BTreeMap::new();
    // The nearest layer is read last and counts.
    for (key, text) in [layers.file, layers.cluster, layers.broker].into_iter().flatten() {
        let Some((listener, name)) =
            key.strip_prefix("listener.name.").and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        let row = match name {
            "max.connections" | "max.connection.creation.rate" => tables::broker().row(name),
            _ => None,
        };
        let Some(super::ConfigValue::Integer(value)) =
            row.map(|row| row.check(text)).transpose()?
        else {
            continue;
        };
        let limit = limits.entry(listener.to_lowercase()).or_default();
        if name == "max.connections" {
            limit.max_connections = usize::try_from(value).ok();
        } else {
            limit.creation_rate = i32::try_from(value).ok().filter(|rate| *rate < i32::MAX);
        }
    }
    Ok(limits)
}

fn ip_overrides(read: &Reader<'_>) -> Result<BTreeMap<String, usize>, ConfigError> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let text = read.text(KEY)?.unwrap_or_default();
    text.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let pair = entry.rsplit_once(':');
            pair.and_then(|(host, limit)| Some((host.to_owned(), limit.trim().parse().ok()?)))
                .ok_or_else(|| {
                    ConfigError::node(KEY, format!("{entry} is not of the form host:limit"))
                })
        })
        .collect()
}

fn topic_defaults(layers: &Layers<'_>) -> Result<TopicConfig, ConfigError> {
    let retention = Reader::broker(*layers).long("log.retention.ms")?;
    if retention == 0 {
        return Err(ConfigError::node(
            "log.retention.ms",
            "0 would keep nothing; write -1 for ever or a number above 0",
        ));
    }
    TopicConfig::resolve(&Props::new(), layers)
}

fn http_listener(read: &Reader<'_>) -> Result<Option<(String, u16)>, ConfigError> {
    const KEY: &str = "naru.http.listener";
    let Some(text) = read.text(KEY)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    match split_host_port(&text) {
        Some((host, port)) => Ok(Some((host.to_owned(), port))),
        None => Err(ConfigError::node(KEY, format!("{text} is not of the form host:port"))),
    }
}
