//! Compaction in the background: which log is next, how many at a time, how fast, and what is
//! told of it.
//!
//! Threads take the dirtiest log each, in Kafka's order. A log that is damaged is left alone until
//! it is mended. All settings may change while it runs.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use naru_log::{CleanerStats, CompactionError, Extent, OffsetMap, Step};
use naru_model::config::CleanerConfig;
use naru_replication::PartitionKey;

use super::{Node, chores};
use crate::partition::Partition;

/// How often waiting threads look whether they are to end.
const TICK: Duration = Duration::from_millis(100);
/// What is read and written before the pace is looked at again.
const PACE_BYTES: u64 = 64 << 10;

/// What the threads share.
#[derive(Debug, Default)]
pub(crate) struct Cleaner(Mutex<Shared>);

#[derive(Debug, Default)]
struct Shared {
    config: Option<CleanerConfig>,
    in_progress: HashSet<PartitionKey>,
    uncleanable: HashMap<PartitionKey, Uncleanable>,
    /// Until when what was read and written is paid for.
    paid_until: Option<Instant>,
    last_run: Option<Instant>,
    told: CleanerMetrics,
}

/// A log that cannot be compacted.
#[derive(Debug)]
struct Uncleanable {
    partition: Arc<Partition>,
    /// The damage is known to whoever mends: it is tried again when there is none any more.
    can_be_mended: bool,
}

/// What `/metrics` tells.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct CleanerMetrics {
    /// Percent of the dirtiest log that was not compacted.
    pub(crate) max_dirty_percent: u64,
    /// Since a log was looked for last, in ms.
    pub(crate) since_last_run_ms: u64,
    /// For how long a record has been due, in seconds.
    pub(crate) max_compaction_delay_s: u64,
    /// Percent of the bytes that were left in the last round.
    pub(crate) recopy_percent: u64,
    /// How long the last round took, in seconds.
    pub(crate) clean_time_s: u64,
    /// Percent of the memory for keys that the last round used.
    pub(crate) buffer_percent: u64,
    /// Rounds since the start.
    pub(crate) rounds: u64,
    /// Bytes that rounds have freed since the start.
    pub(crate) freed_bytes: u64,
}

impl Cleaner {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Whoever holds it only assigns.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the settings.
    pub(crate) fn configure(&self, node: &Node) {
        match node.layers(CleanerConfig::resolve) {
            Ok(config) => self.lock().config = Some(config),
            Err(error) => tracing::error!(%error, "compaction goes on as it was configured"),
        }
    }

    fn config(&self) -> Option<CleanerConfig> {
        self.lock().config.clone()
    }

    /// How many threads there should be.
    fn threads(&self) -> usize {
        self.lock().config.as_ref().filter(|config| config.enable).map_or(0, |c| c.threads)
    }

    pub(crate) fn metrics(&self) -> CleanerMetrics {
        let shared = self.lock();
        let since = shared.last_run.map_or(Duration::ZERO, |at| at.elapsed());
        let since_last_run_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        CleanerMetrics { since_last_run_ms, ..shared.told }
    }

    /// The partitions that cannot be compacted.
    pub(crate) fn uncleanable(&self) -> Vec<Arc<Partition>> {
        self.lock().uncleanable.values().map(|bad| Arc::clone(&bad.partition)).collect()
    }

    /// Takes the dirtiest log that is due; it is this thread's until [`Cleaner::done`].
    fn choose(&self, node: &Node) -> Option<(Arc<Partition>, Extent)> {
        let mut shared = self.lock();
        shared.last_run = Some(Instant::now());
        shared.uncleanable.retain(|_, bad| {
            let mended = bad.can_be_mended && bad.partition.reader().damages().is_empty();
            !mended
                && node.partitions().by_id(bad.partition.topic_id(), bad.partition.index()).is_ok()
        });
        let (mut dirtiest, mut overdue_ms) = (0.0_f64, 0);
        let mut best: Option<(Arc<Partition>, Extent)> = None;
        for partition in node.partitions().all() {
            let key = partition.key();
            if shared.in_progress.contains(&key) || shared.uncleanable.contains_key(&key) {
                continue;
            }
            let extent = match partition.compactable(node.now()) {
                Ok(Some(extent)) => extent,
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!(partition = %partition.name(), "not compacted: {error}");
                    continue;
                }
            };
            dirtiest = dirtiest.max(extent.dirty_ratio());
            overdue_ms = overdue_ms.max(extent.overdue_ms);
            let least = partition.settings().log.min_cleanable_dirty_ratio;
            let is_dirtier = |best: &(_, Extent)| extent.dirty_ratio() > best.1.dirty_ratio();
            if extent.is_due(least) && best.as_ref().is_none_or(is_dirtier) {
                best = Some((partition, extent));
            }
        }
        shared.told.max_dirty_percent = percent(dirtiest);
        shared.told.max_compaction_delay_s = overdue_ms.unsigned_abs() / 1000;
        shared.in_progress.extend(best.as_ref().map(|(partition, _)| partition.key()));
        best
    }

    fn done(&self, partition: &Partition) {
        self.lock().in_progress.remove(&partition.key());
    }

    fn note(&self, stats: &CleanerStats, took: Duration) {
        let mut shared = self.lock();
        let told = &mut shared.told;
        told.rounds += 1;
        told.freed_bytes += stats.bytes_before.saturating_sub(stats.bytes_after);
        told.clean_time_s = took.as_secs();
        told.buffer_percent = percent(stats.map_utilization);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let left = stats.bytes_after as f64 / stats.bytes_before.max(1) as f64;
        told.recopy_percent = percent(left);
    }

    /// Pays for `bytes` of reading and writing; how long to wait for that.
    fn pay(&self, bytes: u64) -> Duration {
        let mut shared = self.lock();
        let Some(rate) = shared.config.as_ref().and_then(|config| config.io_bytes_per_second)
        else {
            return Duration::ZERO;
        };
        let now = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a pace")]
        let cost = Duration::try_from_secs_f64(bytes as f64 / rate.max(1.0)).unwrap_or(TICK);
        let until = shared.paid_until.map_or(now, |until| until.max(now)) + cost;
        shared.paid_until = Some(until);
        until - now
    }
}

/// Keeps as many threads as are configured, until the node stops.
pub(super) fn run(node: &Arc<Node>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    let stop = node.stopping();
    while !*stop.borrow() {
        let wanted = node.cleaner().threads();
        for gone in threads.drain(wanted.min(threads.len())..) {
            // A panic has been printed by its hook.
            let _ = gone.join();
        }
        threads.retain(|thread| !thread.is_finished());
        while threads.len() < wanted {
            let (number, node) = (threads.len(), Arc::clone(node));
            let thread = std::thread::Builder::new().name(format!("cleaner-{number}"));
            match thread.spawn(move || work(&node, number)) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    tracing::error!("compaction has too few threads: {error}");
                    break;
                }
            }
        }
        std::thread::sleep(TICK);
    }
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

/// Compacts one log after the other.
fn work(node: &Arc<Node>, number: usize) {
    let stop = node.stopping();
    let goes_on = || !*stop.borrow() && number < node.cleaner().threads();
    while goes_on() {
        let Some(config) = node.cleaner().config() else { return };
        if let Some((partition, extent)) = node.cleaner().choose(node) {
            let bytes = config.dedupe_buffer_bytes / config.threads.max(1);
            let hashers = [RandomState::new(), RandomState::new()];
            let mut map = OffsetMap::new(bytes, config.load_factor, hashers);
            let done = clean(node, &partition, extent, &mut map, &goes_on);
            node.cleaner().done(&partition);
            if done {
                continue;
            }
        }
        let began = Instant::now();
        let pause = || node.cleaner().config().map_or(0, |config| config.backoff_ms);
        while goes_on() && began.elapsed() < Duration::from_millis(pause()) {
            std::thread::sleep(TICK.min(Duration::from_millis(pause().max(1))));
        }
    }
}

/// One round over one log; whether all went well.
fn clean(
    node: &Arc<Node>,
    partition: &Arc<Partition>,
    extent: Extent,
    map: &mut OffsetMap,
    goes_on: &dyn Fn() -> bool,
) -> bool {
    let began = Instant::now();
    let mut unpaid = 0;
    let mut work = |step: Step| {
        let (Step::Read(bytes) | Step::Wrote(bytes)) = step;
        unpaid += bytes;
        if unpaid >= PACE_BYTES {
            let mut wait = node.cleaner().pay(std::mem::take(&mut unpaid));
            while !wait.is_zero() && goes_on() {
                std::thread::sleep(wait.min(TICK));
                wait = wait.saturating_sub(TICK);
            }
        }
        goes_on()
    };
    let delay = partition.settings().log.file_delete_delay_ms;
    let mut replaced = |deleted| chores::remove_later(node, deleted, delay);
    match partition.compact(extent, map, node.now(), &mut work, &mut replaced) {
        Ok(stats) => {
            tell(partition, extent, &stats, began.elapsed());
            node.cleaner().note(&stats, began.elapsed());
            let all = node.partitions().all();
            if let Err(error) = node.storage().checkpoint_cleaner(partition.dir(), &all) {
                tracing::warn!("how far logs are compacted was not written down: {error}");
            }
            true
        }
        Err(CompactionError::Stopped) => false,
        Err(CompactionError::Overtaken) => {
            tracing::debug!(partition = %partition.name(), "changed while it was compacted");
            false
        }
        Err(CompactionError::Damaged { path, position, error }) => {
            tracing::error!(
                partition = %partition.name(), path = %path.display(), position,
                "not compacted until it is mended: {error}"
            );
            partition.reader().look_into(&path, position);
            partition.suspect_damage();
            let can_be_mended = !partition.reader().damages().is_empty();
            let bad = Uncleanable { partition: Arc::clone(partition), can_be_mended };
            node.cleaner().lock().uncleanable.insert(partition.key(), bad);
            true
        }
        Err(CompactionError::Storage(error)) => {
            tracing::error!(partition = %partition.name(), "not compacted: {error}");
            false
        }
    }
}

fn tell(partition: &Partition, extent: Extent, stats: &CleanerStats, took: Duration) {
    if stats.keyless > 0 {
        tracing::warn!(
            partition = %partition.name(), records = stats.keyless,
            "records without a key were dropped: the topic is compacted"
        );
    }
    tracing::info!(
        partition = %partition.name(),
        from = %extent.first_dirty,
        upto = ?partition.reader().cleaned_upto(),
        records = stats.records,
        kept = stats.kept,
        bytes = stats.bytes_before,
        bytes_left = stats.bytes_after,
        ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "compacted"
    );
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share between 0 and 1"
)]
fn percent(share: f64) -> u64 {
    (share * 100.0) as u64
}
