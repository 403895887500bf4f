//! One partition on this broker: the owner of its log, its high watermark and who waits for it.
//!
//! Appends go through one lock per partition, reads through none that a writer holds over I/O.
//! Whether it leads or follows, and up to where is committed, is `naru_replication`'s to decide;
//! `role` carries it out. With one replica the high watermark is what this broker has stored as
//! promised: the log end with `naru.durability=os`, the synced end with `fsync`.
//!
//! Invariant: `log start <= high watermark <= log end`; the high watermark moves back only when a
//! follower's log is truncated.

mod append;
mod compaction;
mod damage;
mod feed;
mod fitness;
mod flusher;
mod follow;
mod markers;
mod read;
mod refusals;
mod role;
mod services;
mod settings;
mod table;
mod throttle;
mod waiters;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use naru_log::{Log, LogReader, StorageError, SyncPlan};
use naru_model::{BrokerId, ErrorCode, LeaderEpoch, Offset, Timestamp, Uuid};
use naru_replication::{Event, Replica};
use tokio::sync::Notify;

pub(crate) use append::{Appended, Refused};
pub(crate) use feed::Feed;
pub(crate) use flusher::{Flusher, FlusherThreads};
pub(crate) use follow::{FollowError, StoredNews};
pub(crate) use markers::TxnMarker;
pub(crate) use read::{Looked, PartitionRead, ReadAs};
pub(crate) use role::{Role, RoleChange, partition_state};
pub(crate) use services::{Proposed, Replication};
pub(crate) use settings::PartitionSettings;
pub(crate) use table::PartitionTable;
pub(crate) use waiters::Stored;

use crate::metrics::{NodeMetrics, TopicMetrics};
use role::AtomicRole;
use waiters::Waiters;

/// What a partition needs of the node it lives on.
#[derive(Debug, Clone)]
pub(crate) struct PartitionServices {
    pub(crate) flusher: Arc<Flusher>,
    pub(crate) node_metrics: Arc<NodeMetrics>,
    pub(crate) topic_metrics: Arc<TopicMetrics>,
    pub(crate) replication: Arc<Replication>,
}

/// A partition that this broker holds.
#[derive(Debug)]
pub(crate) struct Partition {
    topic: Arc<str>,
    topic_id: Uuid,
    index: i32,
    role: AtomicRole,
    replica: Mutex<Replica>,
    /// The log directory it lies in.
    dir: PathBuf,
    log: Mutex<Option<Log>>,
    reader: LogReader,
    high_watermark: AtomicI64,
    settings: RwLock<Arc<PartitionSettings>>,
    waiters: Mutex<Waiters>,
    /// Who fetches for it while it follows.
    fetcher: Mutex<Option<StoredNews>>,
    services: PartitionServices,
    /// In the flusher's queue.
    queued: AtomicBool,
    /// When the oldest append that is not synced came, 0 if there is none (`flush.ms`).
    unsynced_since: AtomicI64,
    offline: OnceLock<ErrorCode>,
    last_refusal: refusals::LastRefusal,
    /// Damage was found that has not been looked at.
    suspect: AtomicBool,
    /// The offset after the records that were lost; see `fitness`.
    lost_upto: AtomicI64,
}

/// What a partition is made of.
#[derive(Debug)]
pub(crate) struct PartitionParts {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    pub(crate) index: i32,
    pub(crate) dir: PathBuf,
    pub(crate) log: Log,
    pub(crate) settings: Arc<PartitionSettings>,
    pub(crate) services: PartitionServices,
    /// As it was written down last.
    pub(crate) high_watermark: Option<Offset>,
}

impl Partition {
    /// A partition over a log that has been recovered; what it is comes with [`Self::apply`]. What
    /// a crash left in the page cache counts as stored with `fsync` only when it has been synced,
    /// which begins here.
    pub(crate) fn new(parts: PartitionParts) -> Arc<Self> {
        let reader = parts.log.reader();
        let ends = reader.offsets();
        let stored = if parts.settings.fsync { ends.synced_end } else { ends.end };
        let high_watermark =
            parts.high_watermark.unwrap_or(ends.start).max(ends.start).min(ends.end);
        let replication = &parts.services.replication;
        let settings = Self::replica_settings(&parts.settings, replication.lag_time_max_ms());
        let replica = Replica::new(replication.here(), settings, high_watermark);
        let partition = Arc::new(Self {
            topic: parts.topic,
            topic_id: parts.topic_id,
            index: parts.index,
            role: AtomicRole::none(),
            replica: Mutex::new(replica),
            dir: parts.dir,
            high_watermark: AtomicI64::new(high_watermark.0),
            reader,
            log: Mutex::new(Some(parts.log)),
            settings: RwLock::new(parts.settings),
            waiters: Mutex::default(),
            fetcher: Mutex::default(),
            services: parts.services,
            queued: AtomicBool::new(false),
            unsynced_since: AtomicI64::new(0),
            offline: OnceLock::new(),
            last_refusal: refusals::LastRefusal::default(),
            suspect: AtomicBool::new(true),
            lost_upto: AtomicI64::new(fitness::NOTHING_LOST),
        });
        // Transactions that ended below the high watermark are done with.
        let _ = partition.last_stable();
        if stored < ends.end {
            partition.submit_sync();
        }
        partition
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    pub(crate) fn index(&self) -> i32 {
        self.index
    }

    /// `topic-index`, the name of its folder.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }

    pub(crate) fn metrics(&self) -> &Arc<TopicMetrics> {
        &self.services.topic_metrics
    }

    pub(crate) fn reader(&self) -> &LogReader {
        &self.reader
    }

    pub(crate) fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::SeqCst))
    }

    /// The last stable offset: what readers of committed records may read up to (KIP-98).
    pub(crate) fn last_stable(&self) -> Offset {
        self.reader.last_stable(self.high_watermark())
    }

    pub(crate) fn leader_epoch(&self) -> LeaderEpoch {
        self.role().epoch
    }

    /// The log directory it lies in.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it lies in this log directory.
    pub(crate) fn is_in(&self, dir: &Path) -> bool {
        self.dir == dir
    }

    /// Up to where the log is known to be on the disk; `None` once it is closed.
    pub(crate) fn recovery_point(&self) -> Result<Option<Offset>, StorageError> {
        self.log().as_mut().map(Log::checkpoint).transpose()
    }

    pub(crate) fn log_start(&self) -> Offset {
        self.reader.log_start()
    }

    pub(crate) fn log_end(&self) -> Offset {
        self.reader.log_end()
    }

    /// Bytes of its `.log` files.
    pub(crate) fn size(&self) -> u64 {
        self.reader.size()
    }

    pub(crate) fn segment_count(&self) -> u64 {
        self.log().as_ref().map_or(0, |log| log.segment_count() as u64)
    }

    pub(crate) fn settings(&self) -> Arc<PartitionSettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other settings in force.
    pub(crate) fn configure(self: &Arc<Self>, settings: Arc<PartitionSettings>) {
        let lag_time_max_ms = self.services.replication.lag_time_max_ms();
        let of_replica = Self::replica_settings(&settings, lag_time_max_ms);
        if let Some(log) = self.log().as_mut() {
            log.set_config(settings.log.clone());
        }
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        self.step(Event::Configured(of_replica));
        // What waits for a sync under the old promise may be stored enough under the new one.
        self.advance();
    }

    /// The log; `None` once the partition is closed. Never held over a sync.
    pub(crate) fn log(&self) -> MutexGuard<'_, Option<Log>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells `feed` of everything that its follower has to know.
    pub(crate) fn subscribe(&self, replica: BrokerId, feed: &Arc<Feed>) {
        self.waiters().feeds.subscribe(replica, feed);
    }

    /// Moves the log start forward to `to`, which must not lie behind the high watermark; where it
    /// is then. Not on the disk before the log starts are written down.
    pub(crate) fn delete_records_before(&self, to: Offset) -> Result<Offset, ErrorCode> {
        if to > self.high_watermark() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let moved = {
            let mut log = self.log();
            let log = log.as_mut().ok_or(ErrorCode::NotLeaderOrFollower)?;
            log.advance_log_start(to)
        };
        let log_start = moved.map_err(|error| {
            tracing::error!(partition = %self.name(), "{error}");
            ErrorCode::KafkaStorageError
        })?;
        self.note_log_start();
        Ok(log_start)
    }

    /// Has followers told, with their next answers, that records at the log's start are gone.
    pub(crate) fn note_log_start(&self) {
        if !self.role().is_sole {
            self.waiters().feeds.note(self.key());
        }
    }

    /// Wakes `follower` when there is more to fetch.
    pub(crate) fn park_follower(&self, follower: &Arc<Notify>) {
        self.waiters().park_follower(follower);
    }

    /// Wakes `consumer` when there may be more to read.
    pub(crate) fn park_consumer(&self, consumer: &Arc<Notify>) {
        self.waiters().park_consumer(consumer);
    }

    /// The high watermark that a producer waits at; none if no producer waits.
    pub(crate) fn producers_wait_at(&self) -> Option<Offset> {
        let waits = self.waiters().has_producers();
        waits.then(|| self.high_watermark())
    }

    /// See [`Waiters::send_producers_away`].
    pub(crate) fn send_producers_away(&self) {
        self.waiters().send_producers_away();
    }

    /// Whether a change of the ISR is proposed and not answered.
    pub(crate) fn is_isr_pending(&self) -> bool {
        self.replica().is_isr_pending()
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.offline.get().is_some()
    }

    /// Why the partition cannot be used, if it cannot.
    pub(crate) fn check_online(&self) -> Result<(), ErrorCode> {
        self.offline.get().map_or(Ok(()), |error| Err(*error))
    }

    /// Syncs what is appended; called by the flusher's threads.
    pub(crate) fn sync(self: &Arc<Self>) {
        self.queued.store(false, Ordering::SeqCst);
        self.unsynced_since.store(0, Ordering::SeqCst);
        self.sync_with(Log::sync_plan);
    }

    /// Syncs the segments that take no appends any more, and writes what the indexes of the one
    /// that does have in memory.
    pub(crate) fn sync_closed(self: &Arc<Self>) {
        let written = self.log().as_mut().map(Log::write_pending_entries);
        if let Some(Err(error)) = written {
            self.fail(&error);
        }
        self.sync_with(Log::sync_plan_closed);
    }

    fn sync_with(
        self: &Arc<Self>,
        plan: impl FnOnce(&mut Log) -> Result<Option<SyncPlan>, StorageError>,
    ) {
        let plan = self.log().as_mut().map(plan);
        match plan {
            Some(Ok(Some(plan))) => self.execute(&plan),
            Some(Err(error)) => self.fail(&error),
            // Somebody else has synced it, whom the fetcher may not have heard.
            Some(Ok(None)) => self.tell_fetcher_if_stored(),
            None => {}
        }
    }

    fn execute(self: &Arc<Self>, plan: &SyncPlan) {
        let began = std::time::Instant::now();
        let synced = plan.execute();
        let metrics = &self.services.node_metrics;
        metrics.log_flushes.add(1);
        metrics.log_flush_micros.add(u64::try_from(began.elapsed().as_micros()).unwrap_or(0));
        match synced {
            Ok(()) => {
                if let Some(log) = self.log().as_mut() {
                    log.mark_synced(plan);
                }
                self.advance();
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Has the partition synced by the flusher, once.
    pub(crate) fn submit_sync(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            self.services.flusher.submit(Arc::clone(self));
        }
    }

    /// Has the partition synced if its oldest append has waited for `flush.ms`.
    pub(crate) fn sync_if_due(self: &Arc<Self>, now: Timestamp) {
        let since = self.unsynced_since.load(Ordering::SeqCst);
        let flush_ms = self.settings().log.flush_ms;
        if since > 0 && now.0.saturating_sub(since) >= flush_ms {
            self.submit_sync();
        }
    }

    /// Takes the partition out of service after the disk failed: what was not synced may be gone,
    /// and a second sync would not tell.
    fn fail(&self, error: &StorageError) {
        tracing::error!(partition = %self.name(), "the log is closed to appends: {error}");
        if let Some(log) = self.log().as_mut() {
            log.mark_failed(error);
        }
        self.take_offline(ErrorCode::KafkaStorageError);
    }

    /// Ends every wait with `error`; nothing is served any more.
    pub(crate) fn take_offline(&self, error: ErrorCode) {
        // The first reason stays.
        let _ = self.offline.set(error);
        self.waiters().fail(self.key(), error);
    }

    /// Closes the log cleanly: written out and synced. The recovery point, `None` if it had been
    /// closed before.
    pub(crate) fn close(self: &Arc<Self>) -> Option<Result<Offset, StorageError>> {
        let log = self.log().take()?;
        let closed = log.close();
        if closed.is_ok() {
            self.advance();
        }
        self.take_offline(ErrorCode::NotLeaderOrFollower);
        Some(closed)
    }

    /// Lets go of the log without writing anything: the partition was deleted.
    pub(crate) fn abandon(&self) {
        self.abandon_to(ErrorCode::UnknownTopicOrPartition);
    }

    /// Lets go of the log without writing anything; who asks is told `error`.
    pub(crate) fn abandon_to(&self, error: ErrorCode) {
        drop(self.log().take());
        self.take_offline(error);
    }
}

#[cfg(test)]
mod tests;
