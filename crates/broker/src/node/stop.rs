//! Stopping: answer what is parked, write everything out, leave the mark of a clean stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::RunningNode;
use crate::peer::State;

/// Time that background tasks get to end.
const BACKGROUND_MAX: Duration = Duration::from_secs(2);
/// How long moving leaders away may take.
const LEAVE_MAX: Duration = Duration::from_secs(20);
/// How long a stop waits for somebody to lead the quorum.
const NO_CONTROLLER_MAX: Duration = Duration::from_secs(2);
/// How long another voter may take to lead the quorum.
const RESIGN_MAX: Duration = Duration::from_secs(2);
/// Threads that close logs: closing syncs, and syncs of several files share the disk's time.
const CLOSE_THREADS: usize = 8;

impl RunningNode {
    /// Stops the node: leaders move away first. Whether everything is on the disk.
    pub fn stop(mut self) -> bool {
        // A node whose metadata has failed cannot agree on anything: the sooner its connections
        // close, the sooner others take over.
        if !self.has_failed() {
            self.leave_cluster();
        }
        let http = self.http.take();
        let stopped = self.stop_serving();
        if let Some(http) = http {
            http.stop();
        }
        stopped
    }

    fn has_failed(&self) -> bool {
        self.node.metadata().failure().borrow().is_some()
    }

    /// Lets others take over what this node leads.
    fn leave_cluster(&self) {
        let node = &self.node;
        if !node.config().roles.broker || !node.config().cluster.controlled_shutdown_enable {
            return;
        }
        node.registration().shut_down();
        let mut state = node.registration().state();
        self.background.block_on(async {
            let let_go = state.wait_for(|state| *state == State::MayGo);
            tokio::select! {
                _ = let_go => {}
                () = tokio::time::sleep(LEAVE_MAX) => {
                    tracing::warn!("leaders were not moved away in time");
                }
                () = self.no_controller() => {
                    tracing::warn!("leaders were not moved away: there is no controller");
                }
            }
        });
    }

    /// Comes back when nobody has led the quorum for a while.
    async fn no_controller(&self) {
        let mut leadership = self.node.metadata().leadership();
        loop {
            // The host, and with it the sender, lives as long as the node.
            let _ = leadership.wait_for(|known| known.leader.is_none()).await;
            let found = leadership.wait_for(|known| known.leader.is_some());
            if tokio::time::timeout(NO_CONTROLLER_MAX, found).await.is_err() {
                return;
            }
        }
    }

    /// Hands the leadership of the quorum over, if there is anybody to take it.
    fn resign(&self) {
        let metadata = self.node.metadata();
        let mut leadership = metadata.leadership();
        let me = self.node.id();
        if leadership.borrow().leader != Some(me) || !metadata.has_other_voters() {
            return;
        }
        metadata.resign();
        self.background.block_on(async {
            let taken_over = leadership.wait_for(|l| l.leader.is_some_and(|id| id != me));
            // If nobody takes over in time, the others will notice by themselves.
            let _ = tokio::time::timeout(RESIGN_MAX, taken_over).await;
        });
    }

    fn stop_serving(self) -> bool {
        if !self.has_failed() {
            self.resign();
        }
        let node = self.node;
        node.stop.send_replace(true);
        // Members that wait for a rebalance would keep their connections open.
        node.coordination.unload();
        node.share.unload();
        // Produce requests that wait for their sync still get it: the flusher ends last.
        self.network.join();
        self.controllers.join();
        // A panic has been printed by its hook.
        let _ = self.chores.join();
        let _ = self.cleaner.join();
        node.fetchers.stop();
        self.flusher.stop();
        let metadata_closed = node.metadata.close();
        // A panic has been printed by its hook.
        let _ = self.reactions.join();
        self.background.shutdown_timeout(BACKGROUND_MAX);

        let mut partitions = node.partitions().all();
        // Those in failed directories: nothing can be written there any more.
        partitions.retain(|partition| !partition.is_offline());
        // The recovery points: what closing has synced.
        let all_closed = AtomicBool::new(true);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let points = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..CLOSE_THREADS.min(partitions.len()) {
                scope.spawn(|| {
                    while let Some(partition) = partitions.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        match partition.close() {
                            Some(Ok(point)) => {
                                let mut points = points
                                    .lock()
                                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                                points.push((std::sync::Arc::clone(partition), point));
                            }
                            Some(Err(error)) => {
                                tracing::error!("{} not closed: {error}", partition.name());
                                all_closed.store(false, Ordering::Relaxed);
                            }
                            None => {}
                        }
                    }
                });
            }
        });
        let points = points.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let written = node
            .storage
            .checkpoint_closed(&points)
            .and_then(|()| node.storage.checkpoint_high_watermarks(&partitions));
        if let Err(error) = &written {
            tracing::error!("checkpoints were not written: {error}");
        }
        let all_closed = all_closed.load(Ordering::Relaxed) && metadata_closed && written.is_ok();
        if !all_closed {
            return false;
        }
        match node.storage.mark_clean(node.metadata.broker_epoch()) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("the clean stop could not be marked: {error}");
                false
            }
        }
    }
}
