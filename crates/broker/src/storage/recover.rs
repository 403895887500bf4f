//! Opening many logs at once, after a clean stop or a crash, with progress shown.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use naru_log::{Log, LogConfig, OpenOptions, ReadError, Recovery, write_partition_metadata};
use naru_model::{Offset, Timestamp, TopicPartition, Uuid};

use super::Storage;

/// Logs whose files stay open after they were opened: with more of them a process would run into
/// its limit of files. They are opened again when they are needed.
const FILES_KEPT_MAX: usize = 1_000;

/// A log to be opened.
#[derive(Debug, Clone)]
pub(crate) struct LogToOpen {
    pub(crate) partition: TopicPartition,
    pub(crate) topic_id: Uuid,
    pub(crate) config: LogConfig,
    pub(crate) recovery_point: Option<Offset>,
    pub(crate) log_start: Option<Offset>,
    /// Whether its directory was shut down cleanly.
    pub(crate) clean: bool,
}

/// A log that is open.
#[derive(Debug)]
pub(crate) struct OpenedLog {
    pub(crate) log: Log,
    pub(crate) recovery: Recovery,
    /// The log directory it lies in.
    pub(crate) dir: PathBuf,
}

/// Opens `logs` on `threads` threads; the results are in their order. `progress` is told how many
/// logs of how many are open and how many bytes have been verified.
pub(crate) fn open_all(
    storage: &Storage,
    logs: &[LogToOpen],
    threads: usize,
    now: Timestamp,
    progress: &(dyn Fn(usize, usize, u64) + Sync),
) -> Vec<Result<OpenedLog, ReadError>> {
    let next = AtomicUsize::new(0);
    let (opened, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    let results: Vec<Mutex<Option<Result<OpenedLog, ReadError>>>> =
        logs.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(log) = logs.get(index) else { return };
            let told = |count: u64| {
                let total = bytes.fetch_add(count, Ordering::Relaxed) + count;
                progress(opened.load(Ordering::Relaxed), logs.len(), total);
            };
            let tail_bytes = naru_log::tail_budget(logs.len());
            let result = open(storage, log, tail_bytes, logs.len() > FILES_KEPT_MAX, now, &told);
            *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            opened.fetch_add(1, Ordering::Relaxed);
        }
    };
    if threads <= 1 || logs.len() <= 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads.min(logs.len()) {
                scope.spawn(work);
            }
        });
    }
    results
        .into_iter()
        .filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

fn open(
    storage: &Storage,
    log: &LogToOpen,
    tail_bytes: u64,
    release: bool,
    now: Timestamp,
    progress: &dyn Fn(u64),
) -> Result<OpenedLog, ReadError> {
    let (dir, folder) = storage.place(&log.partition, log.topic_id)?;
    let options = OpenOptions {
        config: log.config.clone(),
        clean: log.clean,
        recovery_point: log.recovery_point,
        log_start: log.log_start,
        tail_bytes,
        now,
    };
    let (mut opened, recovery) =
        Log::open(std::sync::Arc::clone(dir.disk()), &folder, options, progress)?;
    opened.report_to(std::sync::Arc::clone(dir.health()));
    if naru_log::read_partition_metadata(&**dir.disk(), &folder)? != Some(log.topic_id) {
        write_partition_metadata(&**dir.disk(), &folder, log.topic_id)?;
    }
    if release {
        opened.release_files();
    }
    Ok(OpenedLog { log: opened, recovery, dir: dir.path().to_path_buf() })
}
