//! One shard and what surrounds it: its partition, who waits for it, its timer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use naru_controller::controller::broker_lease_ms;
use naru_controller::image::ResourceType;
use naru_coordinators::{
    Command, ConsumerOverrides, CoordinatorRecord, GroupConfig, GroupShard, Outcome, Reply,
    ReplyToken, Topics, Write, WriteId,
};
use naru_model::config::{ConsumerGroupOwn, Props};
use naru_model::{ErrorCode, Timestamp};
use naru_records::{BatchBuilder, BatchOptions, Compression};
use tokio::sync::{Notify, mpsc, oneshot};

use super::topics::ImageTopics;
use crate::node::{Node, millis};
use crate::partition::{Partition, Stored};

/// Requests that may wait in one shard; more are told to come back.
const WAITING_MAX: usize = 100_000;
/// What a compressed batch of the offsets topic may inflate to.
const INFLATED_MAX: u64 = 64 << 20;
/// Bytes read at once while loading.
const LOAD_CHUNK: usize = 4 << 20;

/// Hosts one shard.
#[derive(Debug)]
pub(crate) struct ShardHost {
    partition: Arc<Partition>,
    leader_epoch: AtomicI32,
    /// `offsets.topic.compression.codec`.
    compression: Compression,
    /// For the tasks that bring back the results of writes.
    node: Weak<Node>,
    core: Mutex<Core>,
    timer_moved: Notify,
    /// Results of writes on their way back to the shard, in the order of the writes.
    pending: mpsc::UnboundedSender<Pending>,
}

/// A write whose result is not known yet.
#[derive(Debug)]
struct Pending {
    id: WriteId,
    stored: oneshot::Receiver<Stored>,
}

#[derive(Debug)]
struct Core {
    shard: GroupShard,
    loaded: Result<(), ErrorCode>,
    waiting: HashMap<ReplyToken, oneshot::Sender<Reply>>,
    last_token: u64,
    /// Writes handed to `pending` and not given back.
    unsettled: usize,
    /// Topics that were deleted while the shard was loading.
    deleted_meanwhile: Vec<String>,
}

impl ShardHost {
    pub(super) fn new(node: &Arc<Node>, partition: Arc<Partition>, leader_epoch: i32) -> Arc<Self> {
        let shard = empty_shard(node, &partition);
        let (pending, results) = mpsc::unbounded_channel();
        let host = Arc::new(Self {
            partition,
            leader_epoch: AtomicI32::new(leader_epoch),
            compression: codec(node.config().offsets.topic_compression_codec),
            node: Arc::downgrade(node),
            core: Mutex::new(Core {
                shard,
                loaded: Err(ErrorCode::CoordinatorLoadInProgress),
                waiting: HashMap::new(),
                last_token: 0,
                unsettled: 0,
                deleted_meanwhile: Vec::new(),
            }),
            timer_moved: Notify::new(),
            pending,
        });
        node.background().spawn(Self::settle_writes(Arc::downgrade(&host), results));
        host
    }

    /// Whether this is the shard of `partition`, which this broker has led without a break up to
    /// `leader_epoch`: every change of leaders counts the epoch up.
    pub(super) fn hosts(&self, partition: &Arc<Partition>, leader_epoch: i32) -> bool {
        let known = self.leader_epoch.swap(leader_epoch, Ordering::AcqRel);
        Arc::ptr_eq(&self.partition, partition) && leader_epoch - known <= 1
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the partition into the shard on a background thread, then starts its timer.
    pub(super) fn load(host: &Arc<Self>, node: &Arc<Node>) {
        let (host, now) = (Arc::clone(host), node.now());
        let background = node.background().clone();
        // Filled beside the lock: who asks meanwhile is told that it is loading, and at once.
        let mut shard = empty_shard(node, &host.partition);
        let metadata = Arc::clone(node);
        node.background().spawn_blocking(move || {
            let loaded = host.replay_partition(&mut shard);
            let deleted = {
                let mut core = host.core();
                match loaded {
                    // Retired while it was loading.
                    _ if core.loaded == Err(ErrorCode::NotCoordinator) => {}
                    Ok(()) => {
                        core.loaded = Ok(());
                        core.shard = shard;
                        prepare(&mut core.shard, &metadata);
                        let outcome = core.shard.on_loaded(now);
                        host.carry_out(&mut core, now, outcome);
                    }
                    Err(error) => {
                        tracing::error!(partition = %host.partition.name(), %error, "not loaded");
                        core.loaded = Err(ErrorCode::CoordinatorNotAvailable);
                    }
                }
                std::mem::take(&mut core.deleted_meanwhile)
            };
            if !deleted.is_empty() {
                host.topics_deleted(deleted);
            }
            background.spawn(Self::run_timer(host));
        });
    }

    fn replay_partition(&self, shard: &mut GroupShard) -> Result<(), String> {
        self.partition.for_each_batch(LOAD_CHUNK, |header, batch| {
            if header.is_transactional() {
                // Whether these offsets count is for transactions to say, which are not served yet.
                tracing::warn!(offset = %header.base_offset, "transactional offsets are skipped");
                return Ok(());
            }
            let records = naru_records::read_records(batch, INFLATED_MAX)
                .map_err(|error| error.to_string())?;
            for record in records {
                let record = record.map_err(|error| error.to_string())?;
                let Some(key) = record.key else { continue };
                if let Err(error) = shard.replay(&key, record.value.as_ref()) {
                    let offset = record.offset;
                    tracing::warn!(%offset, %error, "an unreadable coordinator record is skipped");
                }
            }
            Ok(())
        })
    }

    /// Takes over topics as they are now.
    pub(super) fn learn_topics(
        &self,
        topics: &Arc<dyn Topics>,
        changed: &[Arc<str>],
        racks_too: bool,
    ) {
        self.core().shard.on_metadata(Arc::clone(topics), changed, racks_too);
    }

    /// Takes over what a group sets for itself.
    pub(super) fn configure_group(&self, group: &str, own: &Props) {
        self.core().shard.configure_group(group, overrides(own));
    }

    /// Takes over what brokers are configured with now.
    pub(super) fn reconfigure(&self, node: &Node) {
        let config = shard_config(node, &self.partition);
        self.core().shard.reconfigure(config);
    }

    /// Gives the shard up: whoever waits is told to look for the coordinator again.
    pub(super) fn unload(&self) {
        let Ok(now) = self.now() else { return };
        let mut core = self.core();
        core.loaded = Err(ErrorCode::NotCoordinator);
        let outcome = core.shard.unload();
        self.carry_out(&mut core, now, outcome);
    }

    /// Asks the shard and waits for its answer.
    pub(super) async fn ask(self: &Arc<Self>, command: Command) -> Result<Reply, ErrorCode> {
        let answer = self.submit(command)?;
        // A sender is dropped unanswered only when the node stops.
        answer.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }

    /// Forgets the offsets of topics that are gone, as soon as the shard is loaded.
    pub(super) fn topics_deleted(self: &Arc<Self>, topics: Vec<String>) {
        {
            let mut core = self.core();
            if core.loaded == Err(ErrorCode::CoordinatorLoadInProgress) {
                core.deleted_meanwhile.extend(topics);
                return;
            }
        }
        // The answer only says that it is done; nobody waits for it.
        drop(self.submit(Command::TopicsDeleted { topics }));
    }

    /// Hands a command to the shard; the answer comes through the channel.
    pub(super) fn submit(
        self: &Arc<Self>,
        command: Command,
    ) -> Result<oneshot::Receiver<Reply>, ErrorCode> {
        let now = self.now()?;
        self.check_contact()?;
        let mut core = self.core();
        core.loaded?;
        if core.waiting.len() >= WAITING_MAX {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let (sender, receiver) = oneshot::channel();
        core.last_token += 1;
        let token = ReplyToken(core.last_token);
        core.waiting.insert(token, sender);
        let deadline = core.shard.next_deadline();
        let outcome = core.shard.handle(now, token, command);
        self.carry_out(&mut core, now, outcome);
        if core.shard.next_deadline() != deadline {
            self.timer_moved.notify_one();
        }
        Ok(receiver)
    }

    /// A broker whose lease is over is coordinator no longer: another may have gone on from what
    /// this one knows. Heard again, it first has to learn whether one has, and to have seen that
    /// itself.
    fn check_contact(&self) -> Result<(), ErrorCode> {
        let node = self.node.upgrade().ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let session_ms = node.config().cluster.session_timeout_ms;
        let lease = millis(broker_lease_ms(session_ms));
        let leads = || {
            let image = node.image();
            let partition = image.partition(self.partition.topic(), self.partition.index());
            partition.is_some_and(|partition| partition.leader == Some(node.id()))
        };
        let metadata = node.metadata();
        if node.registration().is_in_contact(session_ms) && metadata.is_current(lease) && leads() {
            Ok(())
        } else {
            Err(ErrorCode::NotCoordinator)
        }
    }

    fn now(&self) -> Result<Timestamp, ErrorCode> {
        self.node.upgrade().map(|node| node.now()).ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    /// Does what a step of the shard asks for, and what follows from it.
    fn carry_out(&self, core: &mut Core, now: Timestamp, outcome: Outcome) {
        let mut outcomes = vec![outcome];
        while let Some(outcome) = outcomes.pop() {
            for (token, reply) in outcome.replies {
                if let Some(sender) = core.waiting.remove(&token) {
                    // A client that hung up does not hear its answer.
                    let _ = sender.send(reply);
                }
            }
            for write in outcome.writes {
                if let Some(result) = self.append(core, &write, now) {
                    outcomes.push(core.shard.on_written(now, write.id, result));
                }
            }
        }
    }

    /// Appends a batch. The result if it is known at once; otherwise it comes back by itself.
    fn append(
        &self,
        core: &mut Core,
        write: &Write,
        now: Timestamp,
    ) -> Option<Result<(), ErrorCode>> {
        let appended = build_batch(&write.records, self.compression).and_then(|batch| {
            self.partition.append_own(&batch.into(), now).map_err(|refused| refused.error)
        });
        let appended = match appended {
            Ok(appended) => appended,
            Err(error) => return Some(Err(error)),
        };
        match self.partition.park_until_stored(&appended) {
            // An earlier write that is not settled yet must be told first.
            None if core.unsettled == 0 => Some(Ok(())),
            None => {
                let (sender, stored) = oneshot::channel();
                let _ = sender.send(Ok(()));
                self.settle_later(core, write.id, stored)
            }
            Some(stored) => self.settle_later(core, write.id, stored),
        }
    }

    fn settle_later(
        &self,
        core: &mut Core,
        id: WriteId,
        stored: oneshot::Receiver<Stored>,
    ) -> Option<Result<(), ErrorCode>> {
        core.unsettled += 1;
        match self.pending.send(Pending { id, stored }) {
            Ok(()) => None,
            Err(_) => Some(Err(ErrorCode::CoordinatorNotAvailable)),
        }
    }

    /// Gives the shard the results of its writes, in order, as long as the host lives.
    async fn settle_writes(host: Weak<Self>, mut results: mpsc::UnboundedReceiver<Pending>) {
        while let Some(Pending { id, stored }) = results.recv().await {
            let result = stored.await.unwrap_or(Err(ErrorCode::NotCoordinator));
            let Some(host) = host.upgrade() else { return };
            let Ok(now) = host.now() else { return };
            host.settle(now, id, result);
            host.timer_moved.notify_one();
        }
    }

    fn tick(&self, now: Timestamp) {
        let mut core = self.core();
        let outcome = core.shard.tick(now);
        self.carry_out(&mut core, now, outcome);
    }

    fn settle(&self, now: Timestamp, id: WriteId, result: Result<(), ErrorCode>) {
        let mut core = self.core();
        core.unsettled -= 1;
        let outcome = core.shard.on_written(now, id, result);
        self.carry_out(&mut core, now, outcome);
    }

    /// Ticks the shard whenever its next deadline has come, as long as the node lives and has it.
    async fn run_timer(host: Arc<Self>) {
        /// How long a shard without deadlines sleeps at most.
        const IDLE: Duration = Duration::from_secs(60);
        while let Ok(now) = host.now() {
            let deadline = {
                let core = host.core();
                if core.loaded.is_err() {
                    return;
                }
                core.shard.next_deadline()
            };
            let wait = deadline.map_or(IDLE, |deadline| millis(deadline.0 - now.0).min(IDLE));
            if wait.is_zero() {
                host.tick(now);
                // A deadline that a tick cannot clear must not keep the thread.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = host.timer_moved.notified() => {}
            }
        }
    }
}

fn empty_shard(node: &Node, partition: &Partition) -> GroupShard {
    GroupShard::new(shard_config(node, partition))
}

fn shard_config(node: &Node, partition: &Partition) -> GroupConfig {
    GroupConfig {
        max_record_bytes: partition.settings().log.max_message_bytes,
        ..node.group_config()
    }
}

/// Gives a loaded shard the metadata of now; what changes from now on it is told.
fn prepare(shard: &mut GroupShard, node: &Node) {
    let image = node.image();
    for (resource, own) in image.configs() {
        if resource.kind == ResourceType::Group {
            shard.configure_group(&resource.name, overrides(own));
        }
    }
    shard.on_metadata(Arc::new(ImageTopics(image)), &[], true);
}

fn overrides(own: &Props) -> Option<ConsumerOverrides> {
    let ConsumerGroupOwn { session_timeout_ms, heartbeat_interval_ms, assignment_interval_ms } =
        ConsumerGroupOwn::of(own);
    let own =
        ConsumerOverrides { session_timeout_ms, heartbeat_interval_ms, assignment_interval_ms };
    (own != ConsumerOverrides::default()).then_some(own)
}

/// The codec with this number in a batch's attributes; none if there is no such codec.
fn codec(id: i32) -> Compression {
    u8::try_from(id).ok().and_then(Compression::from_number).unwrap_or_default()
}

/// One batch of these records; an error is the codec's, and none is used.
fn build_batch(
    records: &[CoordinatorRecord],
    compression: Compression,
) -> Result<Vec<u8>, ErrorCode> {
    let mut builder = BatchBuilder::new();
    for record in records {
        builder.append_plain(record.timestamp, Some(&record.key), record.value.as_deref());
    }
    let options = BatchOptions { compression, ..BatchOptions::default() };
    builder.build(&options).map_err(|_| ErrorCode::MessageTooLarge)
}
