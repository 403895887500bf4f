//! Group commit: appended batches wait for one sync of their log file together.
//!
//! A partition is queued once however many batches wait; while its file is being synced, what
//! arrives is the next group. A few threads keep several partitions' syncs under way, so the disk
//! is never idle while something waits, and a network thread never waits for the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::Partition;

#[derive(Debug, Default)]
struct Queue {
    partitions: VecDeque<Arc<Partition>>,
    idle: usize,
    stopping: bool,
}

/// The queue of partitions with something to sync.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    queue: Mutex<Queue>,
    filled: Condvar,
}

impl Flusher {
    /// Starts `threads` threads that sync what is submitted.
    pub(crate) fn start(threads: usize) -> io::Result<(Arc<Self>, FlusherThreads)> {
        let flusher = Arc::new(Self::default());
        let mut handles = Vec::new();
        for index in 0..threads {
            let flusher = Arc::clone(&flusher);
            let run = move || flusher.run();
            handles.push(std::thread::Builder::new().name(format!("sync-{index}")).spawn(run)?);
        }
        Ok((Arc::clone(&flusher), FlusherThreads { flusher, handles }))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `partition` synced soon. The caller makes sure that it is queued only once.
    pub(super) fn submit(&self, partition: Arc<Partition>) {
        let mut queue = self.queue();
        queue.partitions.push_back(partition);
        let wake = queue.idle > 0;
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
    }

    fn run(&self) {
        let mut queue = self.queue();
        loop {
            if let Some(partition) = queue.partitions.pop_front() {
                drop(queue);
                partition.sync();
                queue = self.queue();
            } else if queue.stopping {
                return;
            } else {
                queue.idle += 1;
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }
}

/// The threads, to be stopped when no append can come any more.
#[derive(Debug)]
pub(crate) struct FlusherThreads {
    flusher: Arc<Flusher>,
    handles: Vec<JoinHandle<()>>,
}

impl FlusherThreads {
    /// Syncs what is queued, then ends the threads.
    pub(crate) fn stop(self) {
        self.flusher.queue().stopping = true;
        self.flusher.filled.notify_all();
        for handle in self.handles {
            // A panic has been printed by its hook.
            let _ = handle.join();
        }
    }
}
