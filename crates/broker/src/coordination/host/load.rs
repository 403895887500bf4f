//! A shard is filled with what its log has: every record of it, and all of them committed.

use std::sync::Arc;
use std::time::Duration;

use naru_coordinators::Shard;
use naru_model::ErrorCode;
use naru_records::{BatchHeader, EndTxnMarker};

use super::{Hosted, Load, ShardHost};
use crate::node::Node;

/// What a compressed batch of an internal topic may inflate to.
const INFLATED_MAX: u64 = 64 << 20;
/// Pause before what could not be loaded is tried again.
const LOAD_RETRY: Duration = Duration::from_secs(1);
/// Bytes read at once while loading.
const LOAD_CHUNK: usize = 4 << 20;

impl<S: Hosted> ShardHost<S> {
    /// Reads the partition into the shard on a background thread, then starts its timer.
    pub(in crate::coordination) fn load(host: &Arc<Self>, node: &Arc<Node>) {
        let host = Arc::clone(host);
        let background = node.background().clone();
        let metadata = Arc::clone(node);
        node.background().spawn_blocking(move || {
            // Filled beside the lock: who asks meanwhile is told that it is loading, and at once.
            let Some(shard) = host.read_shard(&metadata) else { return };
            let (told_early, load) = {
                let mut core = host.core();
                core.load = Load(core.load.0 + 1);
                // Else it was retired while it was loading.
                if core.loaded == Err(ErrorCode::CoordinatorLoadInProgress) {
                    core.loaded = Ok(());
                    core.shard = shard;
                    // Settings may have changed since it was begun.
                    core.shard.reconfigure_from(&metadata, &host.partition);
                    core.shard.prepare(&metadata);
                    // Sessions begin now: loading may have taken long.
                    let now = core.now();
                    let outcome = core.shard.on_loaded(now);
                    host.carry_out(&mut core, now, outcome);
                }
                (std::mem::take(&mut core.told_early), core.load)
            };
            told_early.into_iter().for_each(|command| host.tell(command));
            background.spawn(Self::run_timer(host, load));
        });
    }

    /// The shard as the log has it, all of it committed; none if it was given up meanwhile. What is
    /// in the way may pass: damage is mended, replicas come back.
    fn read_shard(&self, node: &Arc<Node>) -> Option<S> {
        let mut is_told = false;
        loop {
            let mut shard = S::empty(node, &self.partition);
            let leads = self.partition.check_leads().is_ok();
            let read = if leads {
                self.replay_partition(&mut shard).and_then(|()| self.wait_for_commit())
            } else {
                // Whoever leads now is about to be told, or this broker leads again.
                Err("it is not led here".to_owned())
            };
            if self.core().loaded != Err(ErrorCode::CoordinatorLoadInProgress) {
                return None;
            }
            match read {
                Ok(()) => return Some(shard),
                Err(error) if leads && !is_told => {
                    is_told = true;
                    tracing::error!(partition = %self.partition.name(), %error, "not loaded yet");
                }
                Err(_) => {}
            }
            if *node.stopping().borrow() || self.partition.is_offline() {
                self.core().loaded = Err(ErrorCode::CoordinatorNotAvailable);
                return None;
            }
            std::thread::sleep(LOAD_RETRY);
        }
    }

    /// What this leader has may not be committed yet. Answered now and lost with this leader, a
    /// committed offset would go back.
    fn wait_for_commit(&self) -> Result<(), String> {
        let Some(committed) = self.partition.park_until_committed() else { return Ok(()) };
        match committed.blocking_recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the partition is gone".to_owned()),
        }
    }

    fn replay_partition(&self, shard: &mut S) -> Result<(), String> {
        self.partition.for_each_batch(LOAD_CHUNK, |header, batch| {
            if header.is_control() {
                replay_marker(shard, header, batch);
                return Ok(());
            }
            let records = naru_records::read_records(batch, INFLATED_MAX)
                .map_err(|error| error.to_string())?;
            let producer = header.is_transactional().then_some(header.producer_id);
            for record in records {
                let record = record.map_err(|error| error.to_string())?;
                let Some(key) = record.key else { continue };
                shard.replay_from(record.offset);
                if let Err(error) = shard.replay(producer, &key, record.value.as_ref()) {
                    let offset = record.offset;
                    tracing::warn!(%offset, %error, "an unreadable coordinator record is skipped");
                }
            }
            Ok(())
        })
    }
}

/// Takes in the end of a transaction that the log has.
fn replay_marker(shard: &mut impl Shard, header: &BatchHeader, batch: &[u8]) {
    match naru_records::end_txn_marker(batch) {
        Some(EndTxnMarker::Commit { .. }) => shard.replay_marker(header.producer_id, true),
        Some(EndTxnMarker::Abort { .. }) => shard.replay_marker(header.producer_id, false),
        None => {}
    }
}
