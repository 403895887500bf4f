//! Starting: directories, addresses, metadata, logs, and then the doors open.
//!
//! Addresses are bound first, so that a port in use is told before a long recovery; clients that
//! connect meanwhile wait in the kernel's queue.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use naru_client::net::ConnectionOptions;
use naru_model::Uuid;
use naru_model::config::{BrokerConfig, Endpoint, Loaded, SecurityProtocol, SocketConfig};
use tokio::sync::watch;

use super::join::Patience;
use super::later::Later;
use super::{
    Cleaner, ListenerSummary, LiveSettings, Moves, Node, StartError, Summary, chores, cleaner,
    join, millis, now,
};
use crate::coordination::Coordination;
use crate::fetch_session::FetchSessions;
use crate::http::{self, HttpThread};
use crate::listener::{
    Bound, ConnectionLimits, ConnectionRegistry, Hosts, NetworkThreads, bind, resolve,
};
use crate::logging::Loggers;
use crate::metadata::MetadataHost;
use crate::metrics::NodeMetrics;
use crate::partition::{Flusher, FlusherThreads, PartitionTable, Replication};
use crate::peer::{self, BrokerLinks, Fetchers, LinkState, Registration};
use crate::quotas::{Quotas, client_windows};
use crate::security::{Links, Security};
use crate::share::ShareGroups;
use crate::storage::{METADATA_FOLDER, Storage, identify};
use crate::telemetry::Telemetry;

/// Threads that sync log files: enough to keep a disk busy with several partitions.
const SYNC_THREADS: usize = 4;

/// Told how many logs of how many are open, and how many bytes have been verified.
pub type Progress<'p> = &'p (dyn Fn(usize, usize, u64) + Sync);

/// Turns true when a person or a supervisor wants the start given up.
pub type GivenUp = watch::Receiver<bool>;

/// A node that serves.
#[derive(Debug)]
pub struct RunningNode {
    pub(super) node: Arc<Node>,
    pub(super) network: NetworkThreads,
    /// Serves the controller listeners.
    pub(super) controllers: NetworkThreads,
    pub(super) reactions: JoinHandle<()>,
    pub(super) http: Option<HttpThread>,
    pub(super) chores: JoinHandle<()>,
    pub(super) cleaner: JoinHandle<()>,
    pub(super) flusher: FlusherThreads,
    pub(super) background: tokio::runtime::Runtime,
    summary: Summary,
}

/// Where logs lie: those of topics, and the metadata's.
fn directories(config: &BrokerConfig) -> Vec<String> {
    let mut dirs = config.log.dirs.clone();
    if !dirs.contains(&config.metadata_log.dir) {
        dirs.push(config.metadata_log.dir.clone());
    }
    dirs
}

/// Starts a node. In a cluster that may take until others are there: [`StartError::GivenUp`] if
/// `given_up` turns true before the node is let in. `loggers` are those of the whole process.
#[expect(clippy::too_many_lines, reason = "one step after the other, each with its name")]
pub fn start(
    loaded: Loaded,
    loggers: Arc<Loggers>,
    progress: Progress<'_>,
    given_up: GivenUp,
) -> Result<RunningNode, StartError> {
    let Loaded { props, mut config, .. } = loaded;
    let security = Security::read(&props, &config).map_err(StartError::Config)?;
    raise_file_limit();
    name_this_machine(&mut config);
    let bound = bind_all(&config)?;
    let controller_bound = bind_controllers(&config)?;
    let (http_socket, http_problem) = bind_http(&config);

    let seed = seed()?;
    let random = AtomicU64::new(seed);
    let mut storage = Storage::open(&directories(&config), &config.metadata_log.dir)?;
    let background = background()?;
    let previous_epoch = previous_epoch(&storage);
    let patience = Patience::new(background.handle().clone(), given_up);
    let links = security.links().clone();
    let cluster_id = || join::cluster_id_of(&config, &links, &patience);
    let mut identity =
        identify(&mut storage, config.node_id.0, cluster_id, || super::random_bits(&random))?;
    // A directory that was formatted and nothing more has nothing to recover from.
    identity.is_new |= never_ran(&config);
    storage.reserve_space(config.log.reserve_bytes);
    let deleted_before = storage.scan(|| super::random_bits(&random))?;
    let metadata =
        MetadataHost::open(&storage, &config, props, &identity, background.handle(), seed, &links)?;
    let incarnation_id = Uuid::from_random(super::random_bits(&random));
    let (flusher, flusher_threads) = Flusher::start(SYNC_THREADS)?;
    let (stop, _) = watch::channel(false);
    let (replication, proposals) =
        Replication::new(config.node_id.0, config.replication.lag_time_max_ms);
    // What the file says counts from the first connection on.
    let hosts = Hosts::default();
    let limited = config.sockets.max_connections_per_ip_overrides.keys();
    hosts.look_up(&Hosts::names(limited.map(String::as_str)), || {});
    let node = Arc::new(Node {
        partitions: PartitionTable::default(),
        coordination: Coordination::default(),
        fetch_sessions: Arc::new(FetchSessions::new(config.fetch.session_cache_slots)),
        share: ShareGroups::new(&config.groups.share_partitions),
        connections: ConnectionRegistry::new(
            connection_limits(&config.sockets, &config, config.listeners.broker.len(), &hosts),
            client_windows(&config.quotas),
        ),
        quotas: Quotas::new(&config.quotas),
        telemetry: Telemetry::default(),
        metrics: Arc::new(NodeMetrics::default()),
        topic_metrics: Mutex::default(),
        flusher,
        replication,
        fetchers: Fetchers::default(),
        cleaner: Cleaner::default(),
        moves: Moves::new(config.log.move_threads),
        background: background.handle().clone(),
        stop,
        random,
        started_at: now(),
        ready: OnceLock::new(),
        producer_ids: tokio::sync::Mutex::default(),
        not_opened: Mutex::default(),
        later: Later::default(),
        hosts,
        link: LinkState::new(link_options(&config, &links), lifecycle_max(&config)),
        brokers: BrokerLinks::new(ConnectionOptions {
            security: Arc::clone(&links.to_brokers),
            ..link_options(&config, &links)
        }),
        registration: Registration::new(incarnation_id, previous_epoch),
        identity,
        security,
        storage,
        metadata,
        loggers,
        live: LiveSettings::new(&config),
        listeners: RwLock::new(config.listeners.broker.clone()),
        doors: OnceLock::new(),
        config,
    });

    peer::send_isr_changes(&node, proposals);
    // Voters may log in with tokens, and have to be heard before there can be a controller to
    // register with.
    node.keep_keys_fresh();
    let controllers = NetworkThreads::start(&node, controller_bound, 1)?;
    let joined = join::join(&node, incarnation_id, &patience);

    let began = Instant::now();
    let image = node.image();
    let recovery =
        joined.and_then(|()| super::open::open_known_partitions(&node, &image, progress))?;
    let recovery_ms = began.elapsed().as_millis();
    // What a crash left of deleted topics must not be taken for topics to come.
    node.storage
        .keep_checkpoints_of(|name| node.partitions.by_name(&name.topic, name.partition).is_ok())?;
    node.remove_later(deleted_before, 0);
    node.resume_moves();
    // Coordinators load in the background; clients are told so meanwhile.
    node.coordination.adopt(&node, &node.image());
    let reactions = node.metadata.start_reacting(&node, image.end_offset())?;
    join::serve(&node, &patience)?;
    patience.wait("addresses of hosts that are limited", node.hosts_settled())?;

    let summary = Summary {
        cluster_id: node.cluster_id().to_owned(),
        node_id: node.id(),
        data_dirs: node.log_dirs().iter().map(|dir| dir.path().display().to_string()).collect(),
        is_new: node.identity.is_new,
        partitions: node.partitions.all().len(),
        listeners: bound.iter().map(|bound| listener_text(&node, bound)).collect(),
        http: http_socket.as_ref().and_then(|s| s.local_addr().ok()).map(|a| a.to_string()),
        http_problem,
        was_clean: node.log_dirs().iter().all(|dir| dir.clean_shutdown().is_some()),
        recovery,
        recovery_ms,
    };
    let threads = node.config.sockets.network_threads.min(available_cores()).max(1);
    let network = NetworkThreads::start(&node, bound, threads)?;
    // Set once, here.
    let _ = node.doors.set(Arc::clone(network.doors()));
    node.open_doors();
    let http = http_socket.map(|socket| http::start(&node, socket)).transpose()?;
    let chores = spawn(&node, "chores", chores::run)?;
    let cleaner = spawn(&node, "cleaner", cleaner::run)?;
    // Set once, here.
    let _ = node.ready.set(());
    Ok(RunningNode {
        node,
        network,
        controllers,
        reactions,
        http,
        chores,
        cleaner,
        flusher: flusher_threads,
        background,
        summary,
    })
}

impl RunningNode {
    /// Comes back with a reason if the node cannot go on by itself and is to be stopped.
    pub async fn failure(&self) -> String {
        let mut failure = self.node.metadata.failure();
        match failure.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(Some(reason)) => reason,
            // The sender lives as long as the node, and the reason is there.
            _ => std::future::pending().await,
        }
    }

    /// What to say of the node.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

/// Runs something on a thread of its own, that ends when the node stops.
fn spawn(
    node: &Arc<Node>,
    name: &str,
    run: fn(&Arc<Node>),
) -> Result<JoinHandle<()>, std::io::Error> {
    let node = Arc::clone(node);
    std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&node))
}

pub(super) fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn background() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("background")
        .enable_all()
        .build()
}

/// Whether no node has run on these directories: the metadata log is the first thing it writes.
fn never_ran(config: &BrokerConfig) -> bool {
    let folder = Path::new(&config.metadata_log.dir).join(METADATA_FOLDER);
    let is_log = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|found| found == "log"))
    };
    !std::fs::read_dir(folder).is_ok_and(|mut entries| entries.any(is_log))
}

/// The broker's epoch when it stopped; -1 if any of its directories was not stopped cleanly.
fn previous_epoch(storage: &Storage) -> i64 {
    let epochs = storage.dirs().iter().map(|dir| dir.clean_shutdown()?.broker_epoch);
    epochs.collect::<Option<Vec<i64>>>().and_then(|all| all.into_iter().min()).unwrap_or(-1)
}

fn seed() -> Result<u64, StartError> {
    use std::io::Read as _;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Allows as many open files as the system lets this user have: every partition and every
/// connection needs some.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, ..limits };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// A listener on every address is told to clients under this machine's name, as in Kafka.
fn name_this_machine(config: &mut BrokerConfig) {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let listeners = &mut config.listeners;
    let told = listeners.advertised.iter_mut().chain(&mut listeners.advertised_controller);
    for endpoint in told.filter(|endpoint| endpoint.host.is_empty()) {
        endpoint.host.clone_from(&name);
    }
}

fn bind_all(config: &BrokerConfig) -> Result<Vec<Bound>, StartError> {
    config.listeners.broker.iter().map(|endpoint| bind_one(endpoint, false)).collect()
}

fn bind_controllers(config: &BrokerConfig) -> Result<Vec<Bound>, StartError> {
    config.listeners.controller.iter().map(|endpoint| bind_one(endpoint, true)).collect()
}

fn bind_one(endpoint: &Endpoint, is_controller: bool) -> Result<Bound, StartError> {
    let address = format!("{}:{}", endpoint.host, endpoint.port);
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AddrInUse => StartError::AddressInUse {
            listener: endpoint.name.clone(),
            address: address.clone(),
            user: None,
        },
        _ => {
            StartError::Listen { listener: endpoint.name.clone(), address: address.clone(), source }
        }
    };
    let resolved = resolve(&endpoint.host, endpoint.port).map_err(&failed)?;
    bind(endpoint, is_controller, resolved).map_err(&failed)
}

/// The HTTP listener is a convenience: if it cannot open, that is said and the node starts.
fn bind_http(config: &BrokerConfig) -> (Option<std::net::TcpListener>, Option<String>) {
    let Some((host, port)) = &config.http_listener else { return (None, None) };
    match resolve(host, *port).and_then(http::bind) {
        Ok(socket) => (Some(socket), None),
        Err(error) => (None, Some(format!("{host}:{port}: {error}"))),
    }
}

/// A third of a session: a heartbeat that is lost leaves time for others.
fn lifecycle_max(config: &BrokerConfig) -> Duration {
    let session = u64::try_from(config.cluster.session_timeout_ms).unwrap_or(0);
    Duration::from_millis((session / 3).max(1))
}

fn link_options(config: &BrokerConfig, links: &Links) -> ConnectionOptions {
    ConnectionOptions {
        client_id: format!("broker-{}", config.node_id.0),
        connect_timeout: millis(config.cluster.connection_setup_timeout_ms),
        request_timeout: millis(config.cluster.controller_socket_timeout_ms),
        security: Arc::clone(&links.to_controllers),
    }
}

pub(super) fn connection_limits(
    sockets: &SocketConfig,
    config: &BrokerConfig,
    listeners: usize,
    hosts: &Hosts,
) -> ConnectionLimits {
    let overrides = sockets.max_connections_per_ip_overrides.iter();
    let overrides = overrides.filter_map(|(host, max)| Some((hosts.address(host)?, *max)));
    ConnectionLimits {
        total: sockets.max_connections,
        per_ip: sockets.max_connections_per_ip,
        per_ip_overrides: overrides.collect(),
        creation_rate: sockets.connection_creation_rate.map(f64::from),
        listeners: sockets.listener_limits.clone(),
        // Brokers must reach each other however many clients there are.
        protected: (listeners > 1).then(|| config.listeners.inter_broker.to_lowercase()),
    }
}

fn listener_text(node: &Node, bound: &Bound) -> ListenerSummary {
    let told = node
        .advertised(&bound.name)
        .map_or_else(|| bound.address.to_string(), |(host, port)| format!("{host}:{port}"));
    let known = node.config.listeners.broker.iter().find(|known| known.name == *bound.name);
    ListenerSummary {
        name: bound.name.to_string(),
        protocol: known.map_or(SecurityProtocol::Plaintext, |known| known.protocol),
        bound: bound.address.to_string(),
        told,
    }
}
