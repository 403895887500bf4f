//! One node: everything a request may need, put together.
//!
//! Handlers get an `Arc<Node>` and use the one or two parts they need. The parts do not know
//! each other except as data flows: metadata changes partitions, partitions feed coordinators.

mod chores;
mod cleaner;
mod dirs;
mod error;
mod fitness;
mod join;
mod later;
mod listeners;
mod live;
mod moves;
mod open;
mod react;
mod start;
mod stop;
mod summary;
mod topics;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use naru_controller::MetadataImage;
use naru_coordinators::{
    Assignor, Bounded, ConsumerConfig, GroupConfig, MigrationPolicy, ShareConfig, StreamsConfig,
    TransactionConfig, TransactionVersion,
};
use naru_log::{LogDir, StorageError};
use naru_model::config::{
    BoundedSetting, BrokerConfig, ConsumerGroupsConfig, Endpoint, Layers, ShareGroupsConfig,
    StreamsGroupsConfig, TopicConfig,
};
use naru_model::{Timestamp, Uuid};
use tokio::sync::watch;

pub(crate) use cleaner::Cleaner;
pub use error::{ExitCode, StartError};
pub(crate) use listeners::LISTENER_KEYS;
pub(crate) use live::LiveSettings;
pub(crate) use moves::Moves;
pub use start::{GivenUp, Progress, RunningNode, start};
pub use summary::{ListenerSummary, Summary};

use crate::coordination::Coordination;
use crate::fetch_session::FetchSessions;
use crate::listener::{ConnectionRegistry, Doors, Hosts};
use crate::logging::Loggers;
use crate::metadata::MetadataHost;
use crate::metrics::{NodeMetrics, TopicMetrics};
use crate::partition::{
    Flusher, PartitionServices, PartitionSettings, PartitionTable, Replication,
};
use crate::peer::{BrokerLinks, ControllerLink, Fetchers, LinkState, Registration};
use crate::quotas::Quotas;
use crate::security::Security;
use crate::share::ShareGroups;
use crate::storage::{Identity, Storage};
use crate::telemetry::Telemetry;

/// The feature that says how transactions are written and by which rules they end.
const TRANSACTION_VERSION: &str = "transaction.version";

/// See the module.
#[derive(Debug)]
pub(crate) struct Node {
    config: BrokerConfig,
    loggers: Arc<Loggers>,
    identity: Identity,
    security: Security,
    storage: Storage,
    partitions: PartitionTable,
    metadata: MetadataHost,
    coordination: Coordination,
    fetch_sessions: Arc<FetchSessions>,
    share: ShareGroups,
    connections: Arc<ConnectionRegistry>,
    /// Where the hosts are that limits on connections name.
    hosts: Hosts,
    quotas: Quotas,
    telemetry: Telemetry,
    metrics: Arc<NodeMetrics>,
    topic_metrics: Mutex<HashMap<Arc<str>, Arc<TopicMetrics>>>,
    flusher: Arc<Flusher>,
    replication: Arc<Replication>,
    fetchers: Fetchers,
    cleaner: Cleaner,
    moves: Moves,
    background: tokio::runtime::Handle,
    stop: watch::Sender<bool>,
    random: AtomicU64,
    started_at: Timestamp,
    ready: OnceLock<()>,
    link: LinkState,
    brokers: BrokerLinks,
    registration: Registration,
    /// Producer ids of this broker's block that are not given out yet.
    producer_ids: tokio::sync::Mutex<std::ops::Range<i64>>,
    live: LiveSettings,
    /// What this broker is to listen on.
    listeners: RwLock<Vec<Endpoint>>,
    /// What it listens on, once it serves.
    doors: OnceLock<Arc<Doors>>,
    /// Partitions whose logs could not be opened, as on a full disk.
    not_opened: Mutex<BTreeSet<(Uuid, i32)>>,
    later: later::Later,
}

impl Node {
    pub(crate) fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Settings that change while the node runs.
    pub(crate) fn live(&self) -> &LiveSettings {
        &self.live
    }

    /// The levels of this process's log.
    pub(crate) fn loggers(&self) -> &Loggers {
        &self.loggers
    }

    pub(crate) fn id(&self) -> i32 {
        self.config.node_id.0
    }

    pub(crate) fn cluster_id(&self) -> &str {
        &self.identity.cluster_id
    }

    pub(crate) fn security(&self) -> &Security {
        &self.security
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn log_dirs(&self) -> &[LogDir] {
        self.storage.dirs()
    }

    pub(crate) fn partitions(&self) -> &PartitionTable {
        &self.partitions
    }

    pub(crate) fn metadata(&self) -> &MetadataHost {
        &self.metadata
    }

    /// The cluster as this node knows it.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.metadata.image()
    }

    /// The way to the active controller.
    pub(crate) fn controller_link(self: &Arc<Self>) -> ControllerLink<'_> {
        ControllerLink::new(self, &self.link)
    }

    /// The ways to other brokers.
    pub(crate) fn brokers(&self) -> &BrokerLinks {
        &self.brokers
    }

    /// This broker's place in the cluster.
    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Whom clients are told to be the controller: any broker passes their requests on.
    pub(crate) fn controller_for_clients(&self) -> i32 {
        let leader = self.metadata.leadership().borrow().leader;
        let image = self.image();
        leader.filter(|id| image.is_alive(*id)).unwrap_or_else(|| self.id())
    }

    pub(crate) fn coordination(&self) -> &Coordination {
        &self.coordination
    }

    pub(crate) fn fetch_sessions(&self) -> &Arc<FetchSessions> {
        &self.fetch_sessions
    }

    /// Share groups on the partitions that this broker leads.
    pub(crate) fn share(&self) -> &ShareGroups {
        &self.share
    }

    pub(crate) fn connections(&self) -> &Arc<ConnectionRegistry> {
        &self.connections
    }

    /// What clients may use.
    pub(crate) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Metrics that clients push.
    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    pub(crate) fn replication(&self) -> &Arc<Replication> {
        &self.replication
    }

    pub(crate) fn fetchers(&self) -> &Fetchers {
        &self.fetchers
    }

    /// Replicas that move between log directories.
    pub(crate) fn moves(&self) -> &Moves {
        &self.moves
    }

    /// What compacts logs.
    pub(crate) fn cleaner(&self) -> &Cleaner {
        &self.cleaner
    }

    pub(crate) fn metrics(&self) -> &NodeMetrics {
        &self.metrics
    }

    /// Where tasks run that belong to no connection.
    pub(crate) fn background(&self) -> &tokio::runtime::Handle {
        &self.background
    }

    /// Turns true when the node is to stop.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub(crate) fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Milliseconds since 1970.
    #[expect(clippy::unused_self, reason = "the node's clock is asked through the node")]
    pub(crate) fn now(&self) -> Timestamp {
        now()
    }

    /// Random bits for ids; not for secrets.
    pub(crate) fn random(&self) -> u128 {
        random_bits(&self.random)
    }

    /// What clients are told to connect to when they came in by `listener`.
    pub(crate) fn advertised(&self, listener: &str) -> Option<(String, u16)> {
        let endpoint = self.config.listeners.advertised.iter().find(|e| e.name == listener)?;
        Some((endpoint.host.clone(), endpoint.port))
    }

    pub(crate) fn not_ready_because(&self) -> Option<&'static str> {
        if *self.stop.borrow() {
            Some("stopping")
        } else if self.ready.get().is_none() {
            Some("starting")
        } else {
            None
        }
    }

    /// The layers below a topic's own settings.
    pub(crate) fn layers<T>(&self, with: impl FnOnce(&Layers<'_>) -> T) -> T {
        self.metadata.with_layers(with)
    }

    /// What a topic's configuration means for its partitions. A value that is wrong, which only
    /// an older version could have let in, falls back to the node's own.
    pub(crate) fn partition_settings(&self, topic: &str) -> Arc<PartitionSettings> {
        let own = self.metadata.topic_props(topic);
        let resolved = self.layers(|layers| TopicConfig::resolve(&own, layers));
        let topic_config = resolved.unwrap_or_else(|error| {
            tracing::error!(topic, %error, "the topic's configuration is not used");
            self.config.topic.clone()
        });
        Arc::new(PartitionSettings::new(
            &topic_config,
            self.config.decode_inflated_bytes_max,
            self.producer_id_expiration_ms(),
        ))
    }

    /// `producer.id.expiration.ms`, which may change while the node runs.
    fn producer_id_expiration_ms(&self) -> i64 {
        let text = self.layers(|layers| {
            layers.effective("producer.id.expiration.ms").map(|text| text.into_owned())
        });
        let set = text.and_then(|text| text.trim().parse().ok());
        set.unwrap_or(self.config.log.producer_id_expiration_ms)
    }

    pub(crate) fn partition_services(&self, topic: &Arc<str>) -> PartitionServices {
        let mut all = self.topic_metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let topic_metrics = Arc::clone(all.entry(Arc::clone(topic)).or_default());
        PartitionServices {
            flusher: Arc::clone(&self.flusher),
            node_metrics: Arc::clone(&self.metrics),
            topic_metrics,
            replication: Arc::clone(&self.replication),
        }
    }

    fn forget_topic_metrics(&self, topic: &str) {
        let mut all = self.topic_metrics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gone) = all.remove(topic) {
            self.metrics.deleted_topics.absorb(&gone);
        }
    }

    /// What the group coordinator is configured with.
    pub(crate) fn group_config(&self) -> GroupConfig {
        let (groups, offsets) = (&self.config.groups, &self.config.offsets);
        let count = |value: i32| usize::try_from(value).unwrap_or(0);
        GroupConfig {
            min_session_timeout_ms: groups.min_session_timeout_ms,
            max_session_timeout_ms: groups.max_session_timeout_ms,
            initial_rebalance_delay_ms: groups.initial_rebalance_delay_ms,
            max_size: count(groups.max_size),
            offset_metadata_max_bytes: count(offsets.metadata_max_bytes),
            offsets_retention_ms: offsets.retention_ms,
            offsets_retention_check_interval_ms: i64::try_from(offsets.retention_check_interval_ms)
                .unwrap_or(i64::MAX),
            consumer: self.consumer_group_config(),
            streams: self.streams_group_config(),
            share: self.share_group_config(),
            ..GroupConfig::default()
        }
    }

    /// What groups of the consumer protocol are configured with now.
    fn consumer_group_config(&self) -> ConsumerConfig {
        let resolved = self.layers(ConsumerGroupsConfig::resolve).unwrap_or_else(|error| {
            tracing::error!(%error, "settings of consumer groups stay as they were at the start");
            self.config.groups.consumer.clone()
        });
        let bounded = |of: BoundedSetting| Bounded { value: of.value, min: of.min, max: of.max };
        let mut named = resolved.assignors.iter().filter_map(|name| Assignor::from_name(name));
        ConsumerConfig {
            session_timeout_ms: bounded(resolved.session_timeout_ms),
            heartbeat_interval_ms: bounded(resolved.heartbeat_interval_ms),
            assignment_interval_ms: bounded(resolved.assignment_interval_ms),
            max_size: usize::try_from(resolved.max_size).unwrap_or(0),
            assignors: [named.next(), named.next()],
            migration: match resolved.migration_policy.to_lowercase().as_str() {
                "disabled" => MigrationPolicy::Disabled,
                "upgrade" => MigrationPolicy::Upgrade,
                "downgrade" => MigrationPolicy::Downgrade,
                _ => MigrationPolicy::Bidirectional,
            },
            regex_refresh_interval_ms: resolved.regex_refresh_interval_ms,
        }
    }

    /// What groups of the streams protocol are configured with now.
    fn streams_group_config(&self) -> StreamsConfig {
        let resolved = self.layers(StreamsGroupsConfig::resolve).unwrap_or_else(|error| {
            tracing::error!(%error, "settings of streams groups stay as they were at the start");
            self.config.groups.streams.clone()
        });
        let bounded = |of: BoundedSetting| Bounded { value: of.value, min: of.min, max: of.max };
        StreamsConfig {
            session_timeout_ms: bounded(resolved.session_timeout_ms),
            heartbeat_interval_ms: bounded(resolved.heartbeat_interval_ms),
            assignment_interval_ms: bounded(resolved.assignment_interval_ms),
            standby_replicas: bounded(resolved.standby_replicas),
            initial_rebalance_delay_ms: resolved.initial_rebalance_delay_ms,
            max_size: usize::try_from(resolved.max_size).unwrap_or(0),
        }
    }

    /// What share groups are configured with now.
    fn share_group_config(&self) -> ShareConfig {
        let resolved = self.layers(ShareGroupsConfig::resolve).unwrap_or_else(|error| {
            tracing::error!(%error, "settings of share groups stay as they were at the start");
            self.config.groups.share.clone()
        });
        let bounded = |of: BoundedSetting| Bounded { value: of.value, min: of.min, max: of.max };
        ShareConfig {
            session_timeout_ms: bounded(resolved.session_timeout_ms),
            heartbeat_interval_ms: bounded(resolved.heartbeat_interval_ms),
            assignment_interval_ms: bounded(resolved.assignment_interval_ms),
            max_size: usize::try_from(resolved.max_size).unwrap_or(0),
            initialize_retry_interval_ms: resolved.initialize_retry_interval_ms,
        }
    }

    /// What the transaction coordinator is configured with.
    pub(crate) fn transaction_config(&self) -> TransactionConfig {
        let transactions = &self.config.transactions;
        TransactionConfig {
            max_timeout_ms: transactions.max_timeout_ms,
            id_expiration_ms: transactions.id_expiration_ms,
            abort_timed_out_interval_ms: transactions.abort_timed_out_interval_ms,
            remove_expired_interval_ms: transactions.remove_expired_interval_ms,
            version: TransactionVersion(self.image().feature_level(TRANSACTION_VERSION)),
            ..TransactionConfig::default()
        }
    }

    /// Writes log starts down, so that deleted records stay deleted after a crash.
    pub(crate) async fn checkpoint_log_starts(self: &Arc<Self>) -> Result<(), StorageError> {
        let node = Arc::clone(self);
        let written = self
            .background
            .spawn_blocking(move || node.storage.checkpoint(&node.partitions.all()))
            .await;
        written.unwrap_or(Ok(()))
    }

    /// `connections.max.idle.ms`.
    pub(crate) fn connections_idle_max(&self) -> Duration {
        const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
        self.config.sockets.connections_max_idle_ms.map_or(FOREVER, Duration::from_millis)
    }
}

/// Random bits from a counter that began at a random place.
fn random_bits(counter: &AtomicU64) -> u128 {
    let half = || u128::from(splitmix(counter.fetch_add(GOLDEN, Ordering::Relaxed)));
    half() << 64 | half()
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The SplitMix64 output function (Steele, Lea, Flood 2014).
fn splitmix(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A length of time from milliseconds as settings and requests have them; none if negative.
pub(crate) fn millis(ms: impl Into<i64>) -> Duration {
    Duration::from_millis(u64::try_from(ms.into()).unwrap_or(0))
}

/// Milliseconds since 1970; before that, 0.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
