//! What has to be done from time to time: retention, flushes by age, checkpoints, closed
//! segments, silent producers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use naru_log::{DeletedSegments, StorageError};

use super::{Node, dirs};
use crate::node::millis;
use crate::partition::Partition;

/// How often it is looked whether anything is due.
const TICK: Duration = Duration::from_millis(250);
/// How often closed segments are synced, which Kafka does at each roll, and index entries are
/// written, which Kafka has in mapped memory.
const CLOSED_EVERY: Duration = Duration::from_secs(1);

/// How often it is tried to open what could not be opened.
const OPEN_EVERY: Duration = Duration::from_secs(1);
/// How often names are looked up that have limits and no address yet.
const HOSTS_EVERY: Duration = Duration::from_secs(60);
/// How often listeners are tried again that could not begin, or were lost.
const DOORS_EVERY: Duration = Duration::from_secs(60);
/// How often a full disk is looked at.
const SPACE_EVERY: Duration = Duration::from_secs(1);

/// Something done every so often.
struct Chore {
    every: Duration,
    last: Instant,
    run: fn(&Arc<Node>) -> Result<(), StorageError>,
}

/// Does the chores on a thread of their own until the node stops.
pub(super) fn run(node: &Arc<Node>) {
    let log = &node.config().log;
    let started = Instant::now();
    let chore =
        |every_ms: u64, run| Chore { every: Duration::from_millis(every_ms), last: started, run };
    let mut chores = [
        chore(log.retention_check_interval_ms, delete_old_segments),
        // Recovery points and log starts are written together.
        chore(
            log.flush_offset_checkpoint_interval_ms
                .min(log.flush_start_offset_checkpoint_interval_ms),
            checkpoint,
        ),
        chore(log.high_watermark_checkpoint_interval_ms, checkpoint_high_watermarks),
        chore(log.producer_id_expiration_check_interval_ms, expire_producers),
        Chore { every: CLOSED_EVERY, last: started, run: sync_closed_segments },
        Chore { every: TICK, last: started, run: sync_due },
        Chore { every: TICK, last: started, run: dirs::give_up_failed },
        Chore { every: SPACE_EVERY, last: started, run: tend_space },
        Chore { every: OPEN_EVERY, last: started, run: open_again },
        Chore { every: HOSTS_EVERY, last: started, run: look_up_hosts },
        Chore { every: DOORS_EVERY, last: started, run: open_lost_doors },
    ];
    // Kafka's first look for old segments comes after this delay, not after a whole interval.
    let initial = Duration::from_millis(log.initial_task_delay_ms);
    let early = chores[0].every.saturating_sub(initial);
    chores[0].last = started.checked_sub(early).unwrap_or(started);
    let stop = node.stopping();
    while !*stop.borrow() {
        std::thread::sleep(TICK);
        for chore in &mut chores {
            if chore.last.elapsed() >= chore.every {
                chore.last = Instant::now();
                if let Err(error) = (chore.run)(node) {
                    tracing::error!("a chore failed and will be tried again: {error}");
                }
            }
        }
    }
}

fn open_again(node: &Arc<Node>) -> Result<(), StorageError> {
    node.open_again();
    Ok(())
}

fn look_up_hosts(node: &Arc<Node>) -> Result<(), StorageError> {
    node.look_unknown_hosts_up();
    Ok(())
}

fn open_lost_doors(node: &Arc<Node>) -> Result<(), StorageError> {
    node.open_lost_doors();
    Ok(())
}

fn delete_old_segments(node: &Arc<Node>) -> Result<(), StorageError> {
    let mut changed = false;
    for partition in node.partitions().all() {
        let is_full = node.is_full(&partition);
        let delay = if is_full { 0 } else { partition.settings().log.file_delete_delay_ms };
        if let Some(deleted) = delete_in(&partition, node) {
            partition.note_log_start();
            changed = true;
            tracing::info!(
                partition = %partition.name(),
                segments = deleted.segments,
                bytes = deleted.bytes,
                reason = ?deleted.reason,
                log_start = %deleted.log_start,
                "deleted"
            );
            remove_later(node, deleted, delay);
        }
    }
    if changed { node.storage().checkpoint(&node.partitions().all()) } else { Ok(()) }
}

/// Looks after the space of full disks. One that has just become full is cleared of old segments
/// before their time.
fn tend_space(node: &Arc<Node>) -> Result<(), StorageError> {
    if node.storage().tend_space(node.config().log.reserve_bytes) {
        delete_old_segments(node)?;
    }
    Ok(())
}

fn delete_in(partition: &Partition, node: &Node) -> Option<DeletedSegments> {
    let mut log = partition.log();
    match log.as_mut()?.delete_old_segments(partition.high_watermark(), node.now()) {
        Ok(deleted) => deleted,
        Err(error) => {
            tracing::error!(partition = %partition.name(), "retention failed: {error}");
            None
        }
    }
}

/// Removes files when readers have had time to finish.
pub(super) fn remove_later(node: &Node, deleted: DeletedSegments, delay_ms: i64) {
    let delay = millis(delay_ms);
    node.background().spawn(async move {
        tokio::time::sleep(delay).await;
        let removed = tokio::task::spawn_blocking(move || deleted.remove()).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!("files of deleted segments stay on the disk: {error}");
        }
    });
}

fn checkpoint(node: &Arc<Node>) -> Result<(), StorageError> {
    node.storage().checkpoint(&node.partitions().all())
}

fn checkpoint_high_watermarks(node: &Arc<Node>) -> Result<(), StorageError> {
    node.storage().checkpoint_high_watermarks(&node.partitions().all())
}

fn expire_producers(node: &Arc<Node>) -> Result<(), StorageError> {
    for partition in node.partitions().all() {
        if let Some(log) = partition.log().as_mut() {
            log.expire_producers(node.now());
        }
    }
    Ok(())
}

fn sync_closed_segments(node: &Arc<Node>) -> Result<(), StorageError> {
    node.partitions().all().iter().for_each(|partition| partition.sync_closed());
    Ok(())
}

fn sync_due(node: &Arc<Node>) -> Result<(), StorageError> {
    let now = node.now();
    node.partitions().all().iter().for_each(|partition| partition.sync_if_due(now));
    Ok(())
}
