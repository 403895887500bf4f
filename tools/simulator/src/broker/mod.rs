//! The broker of a simulated node: partitions around the production cores, executed as
//! `broker::{partition, peer, node}` do.

mod append;
mod coordinator;
mod fetcher;
mod groups;
mod membership;
mod partition;
mod react;
mod serve;
mod transactions;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use naru_controller::MetadataImage;
use naru_coordinators::{GroupShard, TransactionShard};
use naru_log::{Disk as _, Log, LogConfig, OpenOptions, SyncPlan};
use naru_model::{BrokerEpoch, BrokerId, ErrorCode, Offset, TopicPartition};
use naru_replication::{BrokerState, Brokers, Event, IsrProposal, PartitionKey};

use crate::disk::NodeDisk;
use crate::env::{Env, NodeEvent};
use crate::message::{Failed, Request, Response, Rpc, Ticket};
use crate::settings::times;
use crate::trace::note;
use coordinator::Coordinator;
use fetcher::Fetcher;
pub(crate) use groups::committed_offset;
use membership::Registration;
pub(crate) use membership::State;
use partition::Partition;
pub(crate) use partition::short;
use serve::{Parked, Session};
use transactions::MarkerJob;
use verify::Verifying;

/// Longest time between two looks at what followers do, as in the broker.
const TICK_MS: i64 = 500;
/// Recovery points and high watermarks are written this often; in the broker every minute.
const CHORES_MS: i64 = 1000;
/// What is verified of a log's end after a clean stop.
const TAIL_BYTES: u64 = 64 << 10;
const DATA: &str = "/data";

/// The registered brokers, as the last image that was reacted to knows them.
#[derive(Debug, Default)]
pub(crate) struct KnownBrokers(BTreeMap<BrokerId, BrokerState>);

impl Brokers for KnownBrokers {
    fn broker(&self, id: BrokerId) -> Option<BrokerState> {
        self.0.get(&id).copied()
    }
}

/// What a request that this broker has sent is about.
#[derive(Debug)]
enum Awaited {
    Registration,
    Heartbeat,
    AlterPartition(Vec<(PartitionKey, u64, IsrProposal)>),
    ProducerIds,
    Verification(Box<Verifying>),
    Marker { job: u64, partition: TopicPartition },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) registration: Registration,
    pub(crate) partitions: BTreeMap<PartitionKey, Partition>,
    /// What is known of the cluster: reacted to.
    image: Arc<MetadataImage>,
    brokers: KnownBrokers,
    fetchers: BTreeMap<i32, Fetcher>,
    assigned: BTreeMap<PartitionKey, i32>,
    sessions: BTreeMap<i32, Session>,
    parked: BTreeMap<u64, Parked>,
    awaited: BTreeMap<Rpc, Awaited>,
    /// ISR changes that wait for the request under way.
    proposals: Vec<(PartitionKey, u64, IsrProposal)>,
    proposing: bool,
    plans: BTreeMap<u64, (PartitionKey, u64, SyncPlan)>,
    /// Partitions whose logs could not be opened, as on a full disk.
    not_opened: BTreeSet<PartitionKey>,
    /// Came before this broker serves.
    early: Vec<(Ticket, Request)>,
    last_number: u64,
    groups: Option<Coordinator<GroupShard>>,
    transactions: Option<Coordinator<TransactionShard>>,
    marker_jobs: BTreeMap<u64, MarkerJob>,
    /// Producer ids that the controller has given to this broker.
    producer_ids: std::ops::Range<i64>,
    /// When this node last knew all of the metadata.
    pub(crate) metadata_current_at: Option<i64>,
    /// What is known, reacted to or not.
    pub(crate) published: Arc<MetadataImage>,
    /// The logs are open.
    pub(crate) open: bool,
    /// Requests are answered.
    pub(crate) serving: bool,
    clean_start: bool,
    pub(crate) stopping: bool,
}

/// Offsets by partition, as the checkpoint files of a log directory hold them.
type Checkpoint = BTreeMap<(u128, i32), i64>;

fn checkpoint_path(name: &str) -> PathBuf {
    Path::new(DATA).join(name)
}

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const CLEAN: &str = ".kafka_cleanshutdown";

fn write_checkpoint(disk: &NodeDisk, name: &str, offsets: &Checkpoint) -> std::io::Result<()> {
    let lines = offsets.iter().map(|((topic, index), at)| format!("{topic} {index} {at}\n"));
    disk.replace(&checkpoint_path(name), lines.collect::<String>().as_bytes())
}

fn read_checkpoint(disk: &NodeDisk, name: &str) -> Checkpoint {
    let bytes = disk.bytes_of(&checkpoint_path(name)).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.split(' ');
        let topic = words.next()?.parse().ok()?;
        let index = words.next()?.parse().ok()?;
        Some(((topic, index), words.next()?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// The broker's epoch if the last stop was clean; the mark holds for one start.
pub(crate) fn take_clean_mark(disk: &NodeDisk) -> Option<i64> {
    let mark = checkpoint_path(CLEAN);
    let bytes = disk.bytes_of(&mark)?;
    let removed = disk.remove_file(&mark).and_then(|()| disk.sync_dir(Path::new(DATA)));
    let epoch = String::from_utf8(bytes).ok()?.parse().ok()?;
    removed.ok().map(|()| epoch)
}

impl Broker {
    /// A broker that registers first; `clean` is its epoch before a clean stop.
    pub(crate) fn start(env: &mut Env<'_>, clean: Option<i64>) -> Self {
        let incarnation = u128::from(env.random.any()) << 64 | u128::from(env.random.any()) | 1;
        let this = Self {
            registration: Registration::new(naru_model::Uuid(incarnation), clean.unwrap_or(-1)),
            partitions: BTreeMap::new(),
            image: Arc::default(),
            brokers: KnownBrokers::default(),
            fetchers: BTreeMap::new(),
            assigned: BTreeMap::new(),
            sessions: BTreeMap::new(),
            parked: BTreeMap::new(),
            awaited: BTreeMap::new(),
            proposals: Vec::new(),
            proposing: false,
            plans: BTreeMap::new(),
            not_opened: BTreeSet::new(),
            early: Vec::new(),
            last_number: 0,
            groups: None,
            transactions: None,
            marker_jobs: BTreeMap::new(),
            producer_ids: 0..0,
            metadata_current_at: None,
            published: Arc::default(),
            open: false,
            serving: false,
            clean_start: clean.is_some(),
            stopping: false,
        };
        env.later(0, NodeEvent::Registration { turn: 0 });
        env.later(TICK_MS, NodeEvent::IsrTick);
        env.later(CHORES_MS, NodeEvent::Chores);
        this
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Opens the logs of the partitions that metadata places here: all that are known at the
    /// start of `node::open`.
    pub(crate) fn open_known(
        &mut self,
        env: &mut Env<'_>,
        image: &Arc<MetadataImage>,
    ) -> Result<(), String> {
        self.learn_brokers(image);
        let points = read_checkpoint(env.disk, RECOVERY_POINTS);
        let marks = read_checkpoint(env.disk, HIGH_WATERMARKS);
        for topic in image.topics() {
            for (&index, state) in topic.partitions.iter() {
                if !state.replicas.contains(&env.node) {
                    continue;
                }
                let key = PartitionKey { topic: topic.id, partition: index };
                let name = (key.topic.0, index);
                let point = points.get(&name).copied().map(Offset);
                let mark = marks.get(&name).copied().map(Offset);
                self.open_partition(env, key, point, mark, self.clean_start)?;
            }
        }
        self.open = true;
        self.image = Arc::clone(image);
        let keys: Vec<_> = self.partitions.keys().copied().collect();
        for key in keys {
            self.take_role(env, key);
        }
        Ok(())
    }

    fn open_partition(
        &mut self,
        env: &mut Env<'_>,
        key: PartitionKey,
        recovery_point: Option<Offset>,
        mark: Option<Offset>,
        clean: bool,
    ) -> Result<(), String> {
        let options = OpenOptions {
            config: LogConfig {
                segment_bytes: env.settings.segment_bytes,
                retention_ms: None,
                ..LogConfig::default()
            },
            clean,
            recovery_point,
            log_start: None,
            tail_bytes: TAIL_BYTES,
            now: env.wall(),
        };
        let folder = folder(key);
        let (log, _) = Log::open(Arc::new(env.disk.clone()), &folder, options, &|_| {})
            .map_err(|error| error.to_string())?;
        note!(
            env,
            "n{} opens {:?} {:?} {:?}",
            env.node,
            short(key),
            log.offsets(),
            log.producers().len()
        );
        let instance = self.number();
        let partition = Partition::new(env, key, instance, log, mark);
        self.partitions.insert(key, partition);
        Ok(())
    }

    /// Answers requests from now on.
    pub(crate) fn serve(&mut self, env: &mut Env<'_>) {
        note!(env, "n{} serves", env.node);
        self.serving = true;
        for (ticket, request) in std::mem::take(&mut self.early) {
            self.handle_request(env, ticket, request);
        }
    }

    pub(crate) fn handle_request(&mut self, env: &mut Env<'_>, ticket: Ticket, request: Request) {
        if !self.serving {
            return self.early.push((ticket, request));
        }
        match request {
            Request::Produce(ask) => self.produce(env, ticket, ask),
            Request::Fetch(ask) => self.serve_fetch(env, ticket, &ask),
            Request::ListOffsets(keys) => {
                let found = keys.into_iter().filter_map(|key| {
                    let partition = self.partitions.get(&key)?;
                    let leads = partition.replica.is_leader() && !partition.offline;
                    let ends = partition.reader.offsets();
                    leads.then_some((key, ends.start, ends.end))
                });
                env.answer(ticket, Response::ListOffsets(found.collect()));
            }
            Request::Group(command) => self.ask_groups(env, ticket, *command),
            Request::TxnOffsets(request, transaction) => {
                self.commit_in_transaction(env, ticket, *request, transaction);
            }
            Request::Transaction(command) => self.ask_transactions(env, ticket, *command),
            Request::Marker(ask) => self.write_marker(env, ticket, &ask),
            Request::Raft(_) | Request::Controller(_) => {}
        }
        self.pass_on(env);
    }

    /// An answer to something this broker has asked.
    pub(crate) fn handle_response(
        &mut self,
        env: &mut Env<'_>,
        rpc: Rpc,
        result: Result<Response, Failed>,
    ) {
        match self.awaited.remove(&rpc) {
            Some(Awaited::Registration) => self.registered(env, result),
            Some(Awaited::Heartbeat) => self.heartbeat_answered(env, result),
            Some(Awaited::AlterPartition(batch)) => self.isr_answered(env, &batch, result),
            Some(Awaited::ProducerIds) => self.producer_ids_answered(result),
            Some(Awaited::Verification(verifying)) => self.verified(env, *verifying, result),
            Some(Awaited::Marker { job, partition }) => {
                self.marker_answered(env, job, &partition, &result);
            }
            None => {
                let sources: Vec<i32> = self.fetchers.keys().copied().collect();
                for source in sources {
                    self.fetch_answered(env, source, rpc, result.clone());
                }
            }
        }
        self.pass_on(env);
    }

    pub(crate) fn handle(&mut self, env: &mut Env<'_>, event: &NodeEvent) {
        match *event {
            NodeEvent::Flush { key, instance } => self.flush(env, key, instance),
            NodeEvent::Flushed { plan } => self.flushed(env, plan),
            NodeEvent::Fetcher { source } => self.run_fetcher(env, source),
            NodeEvent::FetchExpired { parked } => self.look_again(env, parked, true),
            NodeEvent::FetchWoken { parked } => self.look_again(env, parked, false),
            NodeEvent::CoordinatorLoad { number } => {
                self.load_shard::<GroupShard>(env, number);
                self.load_shard::<TransactionShard>(env, number);
            }
            NodeEvent::CoordinatorTick { number } => {
                self.tick_shard::<GroupShard>(env, number);
                self.tick_shard::<TransactionShard>(env, number);
            }
            NodeEvent::Markers { job } => self.send_markers(env, job),
            NodeEvent::IsrTick => {
                for partition in self.partitions.values_mut() {
                    if partition.replica.is_leader() {
                        partition.step(env, &self.brokers, Event::Tick);
                    }
                }
                env.later(TICK_MS.min(times::LAG_MAX_MS / 2), NodeEvent::IsrTick);
            }
            NodeEvent::Chores => {
                self.chores(env);
                self.open_again(env);
                env.later(CHORES_MS, NodeEvent::Chores);
            }
            _ => {}
        }
        self.pass_on(env);
    }

    /// Hands on what partitions have to say.
    fn pass_on(&mut self, env: &mut Env<'_>) {
        let mut stored = Vec::new();
        for (key, partition) in &mut self.partitions {
            let instance = partition.instance;
            let proposals = partition.proposals.drain(..);
            self.proposals.extend(proposals.map(|proposal| (*key, instance, proposal)));
            if std::mem::take(&mut partition.stored_news) {
                stored.push(*key);
            }
        }
        for key in stored {
            self.has_stored(env, key);
        }
        self.tend_shard::<GroupShard>(env);
        self.tend_shard::<TransactionShard>(env);
        self.send_proposals(env);
    }

    fn partition(&mut self, key: PartitionKey, instance: u64) -> Option<&mut Partition> {
        self.partitions.get_mut(&key).filter(|partition| partition.instance == instance)
    }

    /// Plans a sync; it takes a while, in which the next group gathers.
    fn flush(&mut self, env: &mut Env<'_>, key: PartitionKey, instance: u64) {
        let number = self.number();
        let Some(partition) = self.partition(key, instance) else { return };
        partition.queued = false;
        match partition.log.sync_plan() {
            Ok(Some(plan)) => {
                self.plans.insert(number, (key, instance, plan));
                let takes = env.random.between(0, env.settings.sync_max_ms);
                env.later(takes, NodeEvent::Flushed { plan: number });
            }
            Ok(None) => {
                let ends = partition.ends(env);
                partition.stored_news |= partition.fetched_for && ends.stored >= ends.end;
            }
            Err(error) => {
                partition.log.mark_failed(&error);
                partition.take_offline(env, ErrorCode::KafkaStorageError);
            }
        }
    }

    fn flushed(&mut self, env: &mut Env<'_>, number: u64) {
        let Some((key, instance, plan)) = self.plans.remove(&number) else { return };
        let executed = plan.execute();
        let brokers = &self.brokers;
        let found = self.partitions.get_mut(&key).filter(|one| one.instance == instance);
        let Some(partition) = found else { return };
        match executed {
            Ok(()) => {
                partition.log.mark_synced(&plan);
                partition.advance(env, brokers);
            }
            Err(error) => {
                partition.log.mark_failed(&error);
                partition.take_offline(env, ErrorCode::KafkaStorageError);
            }
        }
    }

    /// Recovery points and high watermarks.
    fn chores(&mut self, env: &mut Env<'_>) {
        if !self.open {
            return;
        }
        let mut points = Checkpoint::new();
        let mut marks = Checkpoint::new();
        for (key, partition) in &mut self.partitions {
            let name = (key.topic.0, key.partition);
            if let Ok(point) = partition.log.checkpoint() {
                points.insert(name, point.0);
            }
            marks.insert(name, partition.high_watermark.0);
        }
        let written = write_checkpoint(env.disk, RECOVERY_POINTS, &points)
            .and_then(|()| write_checkpoint(env.disk, HIGH_WATERMARKS, &marks));
        if let Err(error) = written {
            note!(env, "n{} a chore failed: {error}", env.node);
        }
    }

    /// Closes all logs and leaves the mark of a clean stop.
    pub(crate) fn close(self, env: &mut Env<'_>, metadata_closed: bool) {
        let mut points = Checkpoint::new();
        let mut marks = Checkpoint::new();
        let mut all_closed = metadata_closed;
        for (_, _, plan) in self.plans.into_values() {
            all_closed &= plan.execute().is_ok();
        }
        for (key, partition) in self.partitions {
            let name = (key.topic.0, key.partition);
            marks.insert(name, partition.high_watermark.0);
            match partition.log.close() {
                Ok(point) => drop(points.insert(name, point.0)),
                Err(_) => all_closed = false,
            }
        }
        let written = write_checkpoint(env.disk, RECOVERY_POINTS, &points)
            .and_then(|()| write_checkpoint(env.disk, HIGH_WATERMARKS, &marks));
        if all_closed && written.is_ok() {
            let epoch = self.registration.epoch.to_string();
            let marked = env.disk.replace(&checkpoint_path(CLEAN), epoch.as_bytes());
            note!(env, "n{} closed cleanly: {}", env.node, marked.is_ok());
        }
    }

    fn learn_brokers(&mut self, image: &MetadataImage) {
        let known = image.brokers().map(|broker| {
            let state =
                BrokerState { epoch: BrokerEpoch(broker.epoch), active: broker.is_active() };
            (BrokerId(broker.id), state)
        });
        self.brokers = KnownBrokers(known.collect());
    }
}

/// The folder of a partition: by topic id, so that a topic of the same name is another one.
fn folder(key: PartitionKey) -> PathBuf {
    Path::new(DATA).join(format!("t{:x}-{}", key.topic.0, key.partition))
}
