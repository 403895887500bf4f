//! Replicas that move from one log directory of this node to another (KIP-113).
//!
//! The records are copied into a folder `<topic>-<partition>.<unique>-future` beside the serving
//! log. When the copy has caught up it takes the log's place: its folder gets the live name, the
//! old one is deleted, and the controller is told the new directory (KIP-858). A restart goes on
//! where the copy ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use naru_controller::MetadataDelta;
use naru_controller::image::ConfigResource;
use naru_log::{
    AppendError, Log, LogReader, OpenOptions, ReadError, StorageError, read_partition_metadata,
    write_partition_metadata,
};
use naru_model::config::ReplicationThrottle;
use naru_model::{ErrorCode, Offset, Timestamp, TopicPartition, Uuid};
use naru_replication::RateQuota;
use tokio::sync::Semaphore;

use super::Node;
use crate::partition::Partition;
use crate::storage::{OpenedLog, exchange};

/// What is copied at a time.
const COPY_BYTES: usize = 1 << 20;
/// Pause when the rate is exceeded or there is nothing to copy.
const PAUSE: Duration = Duration::from_millis(50);
/// Most moves that wait or are under way; a request for more is refused.
const MOVES_MAX: usize = 100_000;

/// All moves of a node.
#[derive(Debug)]
pub(crate) struct Moves {
    moving: Mutex<BTreeMap<(Uuid, i32), Arc<Move>>>,
    rate: Mutex<RateQuota>,
    /// As many copies at a time as `num.replica.alter.log.dirs.threads` allows.
    turns: Arc<Semaphore>,
}

/// One replica on its way.
#[derive(Debug)]
pub(crate) struct Move {
    /// The log directory it moves to.
    pub(crate) to: PathBuf,
    folder: PathBuf,
    is_cancelled: AtomicBool,
    end: AtomicI64,
    size: AtomicU64,
}

/// Why a move ended.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error("cancelled")]
    Cancelled,
    #[error("the node stops")]
    Stopping,
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Move {
    /// Records that it is behind, and bytes that it has.
    pub(crate) fn progress(&self, log_end: Offset) -> (i64, u64) {
        let behind = log_end.0.saturating_sub(self.end.load(Ordering::Relaxed)).max(0);
        (behind, self.size.load(Ordering::Relaxed))
    }

    fn note(&self, log: &Log) {
        self.end.store(log.log_end().0, Ordering::Relaxed);
        self.size.store(log.reader().size(), Ordering::Relaxed);
    }
}

impl Moves {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            moving: Mutex::default(),
            rate: Mutex::new(RateQuota::new(None)),
            turns: Arc::new(Semaphore::new(threads.max(1))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Uuid, i32), Arc<Move>>> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The move of a partition, if it is on its way.
    pub(crate) fn of(&self, partition: &Partition) -> Option<Arc<Move>> {
        self.lock().get(&(partition.topic_id(), partition.index())).cloned()
    }

    /// Gives up the move of a partition.
    fn cancel(&self, key: (Uuid, i32)) {
        if let Some(gone) = self.lock().remove(&key) {
            gone.is_cancelled.store(true, Ordering::Release);
        }
    }

    /// Takes a move out that has ended, unless another has begun meanwhile.
    fn ended(&self, key: (Uuid, i32), ended: &Arc<Move>) {
        let mut moving = self.lock();
        if moving.get(&key).is_some_and(|known| Arc::ptr_eq(known, ended)) {
            moving.remove(&key);
        }
    }

    /// Counts copied bytes against the rate; whether it is exceeded.
    fn pays(&self, node: &Node, bytes: usize) -> bool {
        let limit = node.layers(ReplicationThrottle::resolve).map(|all| all.alter_log_dirs_rate);
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.set(limit.unwrap_or_default());
        let now_ms = node.replication().now_ms();
        rate.record(now_ms, bytes as u64);
        rate.is_exceeded(now_ms)
    }
}

impl Node {
    /// Moves a partition to another log directory of this node, instead of wherever it was moving
    /// to. To the one it lies in: it stays.
    pub(crate) fn move_to_dir(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        to: &Path,
    ) -> Result<(), ErrorCode> {
        partition.check_online()?;
        if self.moves.of(partition).is_some_and(|known| known.to == to) {
            return Ok(());
        }
        self.moves.cancel((partition.topic_id(), partition.index()));
        if partition.is_in(to) {
            return Ok(());
        }
        let dir = self.storage().dir(to).ok_or(ErrorCode::LogDirNotFound)?;
        let name = TopicPartition::new(partition.topic(), partition.index());
        self.begin_move(partition, to, dir.folder_for_move(&name, self.random()))
    }

    fn begin_move(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        to: &Path,
        folder: PathBuf,
    ) -> Result<(), ErrorCode> {
        let key = (partition.topic_id(), partition.index());
        let begun = Arc::new(Move {
            to: to.to_path_buf(),
            folder,
            is_cancelled: AtomicBool::new(false),
            end: AtomicI64::new(0),
            size: AtomicU64::new(0),
        });
        {
            let mut moving = self.moves.lock();
            if moving.len() >= MOVES_MAX {
                return Err(ErrorCode::KafkaStorageError);
            }
            if let Some(before) = moving.insert(key, Arc::clone(&begun)) {
                before.is_cancelled.store(true, Ordering::Release);
            }
        }
        let (node, name) = (Arc::clone(self), partition.name());
        self.background().spawn(async move {
            // Nobody closes the semaphore.
            let Ok(_turn) = Arc::clone(&node.moves.turns).acquire_owned().await else { return };
            let (worker, work) = (Arc::clone(&node), Arc::clone(&begun));
            let ended =
                tokio::task::spawn_blocking(move || worker.copy_and_replace(key, &work)).await;
            node.moves.ended(key, &begun);
            match ended {
                Ok(Ok(())) => {
                    tracing::info!(partition = %name, to = %begun.to.display(), "moved");
                }
                Ok(Err(MoveError::Stopping)) | Err(_) => {}
                Ok(Err(error)) => {
                    tracing::warn!(partition = %name, to = %begun.to.display(), "not moved: {error}");
                    node.remove_later(vec![begun.folder.clone()], 0);
                }
            }
        });
        Ok(())
    }

    /// Goes on with the moves that the last stop has interrupted; what nobody waits for is removed.
    pub(super) fn resume_moves(self: &Arc<Self>) {
        for (name, folder) in self.storage().take_futures() {
            let to = folder.parent().map(Path::to_path_buf).unwrap_or_default();
            let known = self.partitions().by_name(&name.topic, name.partition).ok();
            let id = self
                .storage()
                .dir(&to)
                .and_then(|dir| read_partition_metadata(&**dir.disk(), &folder).ok().flatten());
            let goes_on = known
                .filter(|partition| id == Some(partition.topic_id()) && !partition.is_in(&to))
                // Of two copies one is enough.
                .filter(|partition| self.moves.of(partition).is_none())
                .is_some_and(|partition| self.begin_move(&partition, &to, folder.clone()).is_ok());
            if !goes_on {
                self.remove_later(vec![folder], 0);
            }
        }
    }

    fn copy_and_replace(
        self: &Arc<Self>,
        key: (Uuid, i32),
        work: &Arc<Move>,
    ) -> Result<(), MoveError> {
        let partition = || self.partitions().by_id(key.0, key.1).map_err(|_| MoveError::Cancelled);
        let mut log = self.open_future(&*partition()?, work)?;
        let stop = self.stopping();
        loop {
            if *stop.borrow() {
                log.close()?;
                return Err(MoveError::Stopping);
            }
            if work.is_cancelled.load(Ordering::Acquire) {
                return Err(MoveError::Cancelled);
            }
            let from = partition()?;
            if from.check_online().is_err() {
                std::thread::sleep(PAUSE);
                continue;
            }
            let copied = copy_some(&from, &mut log, self)?;
            work.note(&log);
            if copied > 0 {
                let mut is_fast = self.moves.pays(self, copied);
                while is_fast && !*stop.borrow() && !work.is_cancelled.load(Ordering::Acquire) {
                    std::thread::sleep(PAUSE);
                    is_fast = self.moves.pays(self, 0);
                }
                continue;
            }
            if let Some(plan) = log.sync_plan()? {
                // What is left to sync under the serving log's lock is little then.
                plan.execute()?;
                log.mark_synced(&plan);
                continue;
            }
            // What the controller may have agreed to would be forgotten.
            if from.is_isr_pending() {
                std::thread::sleep(PAUSE);
                continue;
            }
            return self.replace(&from, work, log);
        }
    }

    fn open_future(&self, partition: &Partition, work: &Move) -> Result<Log, MoveError> {
        let dir = self.storage().dir(&work.to).ok_or(MoveError::Cancelled)?;
        let options = OpenOptions {
            config: partition.settings().log.clone(),
            clean: false,
            recovery_point: None,
            log_start: Some(partition.log_start()),
            tail_bytes: 0,
            now: self.now(),
        };
        let (mut log, _) = Log::open(Arc::clone(dir.disk()), &work.folder, options, &|_| {})?;
        log.report_to(Arc::clone(dir.health()));
        write_partition_metadata(&**dir.disk(), &work.folder, partition.topic_id())?;
        Ok(log)
    }

    /// Puts the copy in the place of the serving log. No append is made meanwhile; who waits asks
    /// again.
    fn replace(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        work: &Arc<Move>,
        mut log: Log,
    ) -> Result<(), MoveError> {
        let mut guard = partition.log();
        if guard.is_none() || work.is_cancelled.load(Ordering::Acquire) {
            return Err(MoveError::Cancelled);
        }
        while copy_some(partition, &mut log, self)? > 0 {}
        let start = partition.log_start();
        let (high_watermark, lost) = (partition.high_watermark(), partition.lost());
        let end = log.close()?;
        // From here on there is no way back: nobody appends to the old log any more.
        drop(guard.take());
        drop(guard);
        self.fetchers().unfollow(partition);
        partition.take_offline(ErrorCode::NotLeaderOrFollower);
        let name = TopicPartition::new(partition.topic(), partition.index());
        let key = (partition.topic_id(), partition.index());
        let opened = self.exchange_folders(partition, &name, work, (start, end));
        match opened {
            // How far the old log was cleaned says nothing of the copy: what was copied before a
            // round is not clean. The next round begins at its start.
            Ok(opened) => {
                self.serve_moved(key, &name, opened, (high_watermark, lost));
                Ok(())
            }
            Err(error) => {
                tracing::error!("{name} is opened again later: {error}");
                self.partitions().remove(key.0, key.1);
                let mut again = self.not_opened.lock().unwrap_or_else(PoisonError::into_inner);
                again.insert(key);
                Err(error)
            }
        }
    }

    /// Gives the copy the live name, and opens it there.
    fn exchange_folders(
        self: &Arc<Self>,
        partition: &Partition,
        name: &TopicPartition,
        work: &Move,
        (start, end): (Offset, Offset),
    ) -> Result<OpenedLog, MoveError> {
        let dir_of = |path: &Path| self.storage().dir(path).ok_or(MoveError::Cancelled);
        let (from, dir) = (dir_of(partition.dir())?, dir_of(&work.to)?);
        let done = exchange(from, dir, name, &work.folder, self.random())?;
        let live = done.live;
        self.storage().note(name.clone(), live.clone());
        if let Some((path, error)) = done.failure {
            tracing::error!("{name} has moved, but {error}");
            if let Some(failed) = self.storage().dir(&path) {
                failed.health().note(&error);
            }
        }
        if let Err(error) = self.storage().keep_checkpoints_of(|known| known != name) {
            tracing::error!("checkpoints of {name} stay: {error}");
        }
        let delay = partition.settings().log.file_delete_delay_ms;
        self.remove_later(done.old.into_iter().collect(), delay);
        let options = OpenOptions {
            config: partition.settings().log.clone(),
            clean: true,
            recovery_point: Some(end),
            log_start: Some(start),
            tail_bytes: 0,
            now: self.now(),
        };
        let (mut log, recovery) = Log::open(Arc::clone(dir.disk()), &live, options, &|_| {})?;
        log.report_to(Arc::clone(dir.health()));
        Ok(OpenedLog { log, recovery, dir: work.to.clone() })
    }

    fn serve_moved(
        self: &Arc<Self>,
        key: (Uuid, i32),
        name: &TopicPartition,
        opened: OpenedLog,
        (mark, lost): (Offset, Option<Offset>),
    ) {
        let image = self.image();
        let state = image.topic_by_id(key.0).and_then(|topic| {
            let state = topic.partitions.get(&key.1)?;
            state.replicas.contains(&self.id()).then(|| Arc::clone(topic))
        });
        let Some(topic) = state else {
            // Deleted meanwhile; whoever did it has not seen the new folder.
            self.partitions().remove(key.0, key.1);
            let folders =
                self.storage().begin_deletion(std::slice::from_ref(name), || self.random());
            self.remove_later(folders, 0);
            return;
        };
        let settings = self.partition_settings(&topic.name);
        let moved = self.partition(&topic, key.1, settings, opened, Some(mark));
        // The copy lacks what the old log lacked.
        moved.take_over_lost(lost);
        self.partitions().insert(vec![Arc::clone(&moved)]);
        self.metadata().react_again(moved_delta(key, &topic.name));
        let placed = self.dir_id_of(&moved).map(|dir| (key.0, key.1, dir));
        self.assign_dirs(placed.into_iter().collect());
        if let Err(error) = self.storage().checkpoint(&self.partitions().all()) {
            tracing::warn!("checkpoints were not written: {error}");
        }
    }
}

/// What the thread that reacts has to do for a partition that has moved, by the newest image and in
/// order: give it its role, and its topic's settings, which may have changed since they were read
/// for it.
fn moved_delta(key: (Uuid, i32), topic: &str) -> MetadataDelta {
    MetadataDelta {
        partitions_changed: BTreeSet::from([key]),
        configs_changed: BTreeSet::from([ConfigResource::topic(topic)]),
        ..MetadataDelta::default()
    }
}

/// Copies the next batches from one log to the other; how many bytes, 0 when it has caught up. What
/// the first log has cut off, or dropped at its start, goes from the other as well.
fn copy_some(from: &Partition, to: &mut Log, node: &Node) -> Result<usize, MoveError> {
    let copied = copy_from(from.reader(), to, node.now());
    let is_damaged = matches!(
        copied,
        Err(MoveError::Read(ReadError::Damaged { .. })
            | MoveError::Append(AppendError::Damaged { .. }))
    );
    if is_damaged {
        // Mended with another replica's bytes before it can move.
        from.suspect_damage();
    }
    copied
}

fn copy_from(from: &LogReader, to: &mut Log, now: Timestamp) -> Result<usize, MoveError> {
    let source = from.offsets();
    if to.log_end() < source.start {
        to.truncate_fully_and_start_at(source.start, now)?;
    }
    if to.log_end() > source.end {
        to.truncate_to(source.end, now)?;
    }
    if let Some(epoch) = to.latest_epoch() {
        let known = from.epoch_end(epoch);
        if known.is_none_or(|known| known.epoch != epoch || known.end < to.log_end()) {
            let end = known.map_or(source.start, |known| known.end).min(to.log_end());
            to.truncate_to(end.max(source.start), now)?;
        }
    }
    to.advance_log_start(source.start)?;
    if to.log_end() >= source.end {
        return Ok(0);
    }
    let slice = from.read(to.log_end(), COPY_BYTES, true, source.end)?;
    if slice.len == 0 {
        return Ok(0);
    }
    if slice.first < to.log_end() && to.log_start() == to.log_end() {
        // The log start lies within a batch, which is taken whole.
        to.truncate_fully_and_start_at(slice.first, now)?;
    }
    let bytes = slice.read_bytes().map_err(|source| StorageError {
        action: "read",
        path: PathBuf::from("the log that moves"),
        source,
    })?;
    let followed = to.append_as_follower(&bytes, now)?;
    Ok(if followed.log_end > followed.from { bytes.len() } else { 0 })
}
