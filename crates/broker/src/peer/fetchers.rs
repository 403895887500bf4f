//! Who fetches what from whom: for each leader and each log directory `num.replica.fetchers`
//! threads, each with a connection and a session of its own.
//!
//! What a fetcher got it asks for again when all of it is on the disk: a disk that is slow, or
//! hangs, holds up what lies on it, and nothing else.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use naru_model::{BrokerId, LeaderEpoch};
use naru_replication::PartitionKey;
use tokio::sync::mpsc;

use super::fetcher::{self, News};
use crate::node::Node;
use crate::partition::{Partition, StoredNews};

/// A leader, a log directory here, and which of the fetchers that these have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FetcherKey {
    leader: BrokerId,
    dir: usize,
    index: usize,
}

impl FetcherKey {
    /// A partition has the same fetcher as long as leader and directory are the same.
    fn of(leader: BrokerId, dir: usize, partition: PartitionKey, fetchers: usize) -> Self {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(partition);
        let index = usize::try_from(hash % fetchers.max(1) as u64).unwrap_or(0);
        Self { leader, dir, index }
    }

    /// What tells this fetcher from the others of its leader.
    fn name(self) -> String {
        match self.dir {
            0 => format!("{}", self.index),
            dir => format!("{}-{dir}", self.index),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fetchers {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    threads: HashMap<FetcherKey, Fetcher>,
    assigned: HashMap<PartitionKey, FetcherKey>,
    /// Threads that have been told to end.
    ending: Vec<JoinHandle<()>>,
    stopped: bool,
}

#[derive(Debug)]
struct Fetcher {
    inbox: mpsc::UnboundedSender<News>,
    stored: StoredNews,
    thread: JoinHandle<()>,
}

impl Fetchers {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches for `partition` from `leader` from now on, and from nobody else.
    pub(crate) fn follow(
        &self,
        node: &Arc<Node>,
        partition: &Arc<Partition>,
        leader: BrokerId,
        epoch: LeaderEpoch,
    ) {
        let key = partition.key();
        let fetchers = node.live().replica_fetchers();
        let dir = node.log_dirs().iter().position(|dir| partition.is_in(dir.path()));
        let wanted = FetcherKey::of(leader, dir.unwrap_or(0), key, fetchers);
        let mut inner = self.inner();
        if inner.stopped {
            return;
        }
        if inner.assigned.get(&key).is_some_and(|current| *current != wanted) {
            inner.release(key);
        }
        let Some(fetcher) = inner.fetcher(node, wanted) else { return };
        partition.set_fetcher(Some(fetcher.stored.clone()));
        // A thread that has ended, which only a panic can make it do, hears nothing any more.
        let _ = fetcher.inbox.send(News::Follow(Arc::clone(partition), epoch));
        inner.assigned.insert(key, wanted);
    }

    /// Fetches no more for `partition`.
    pub(crate) fn unfollow(&self, partition: &Arc<Partition>) {
        partition.set_fetcher(None);
        self.inner().release(partition.key());
    }

    /// Ends the threads that have nothing to fetch: their leader is gone, or leads nothing here
    /// any more.
    pub(crate) fn end_idle(&self) {
        let mut inner = self.inner();
        let Inner { threads, assigned, ending, .. } = &mut *inner;
        let used: HashSet<FetcherKey> = assigned.values().copied().collect();
        // Its end of the inbox closes with the fetcher, which ends the thread.
        ending
            .extend(threads.extract_if(|key, _| !used.contains(key)).map(|(_, idle)| idle.thread));
        ending.retain(|thread| !thread.is_finished());
    }

    /// Ends all threads and waits for them.
    pub(crate) fn stop(&self) {
        let threads = {
            let mut inner = self.inner();
            inner.stopped = true;
            let mut threads = std::mem::take(&mut inner.ending);
            threads.extend(inner.threads.drain().map(|(_, fetcher)| fetcher.thread));
            threads
        };
        for thread in threads {
            // A panic has been printed by its hook.
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn release(&mut self, key: PartitionKey) {
        if let Some(fetcher) = self.assigned.remove(&key).and_then(|at| self.threads.get(&at)) {
            let _ = fetcher.inbox.send(News::Unfollow(key));
        }
    }

    fn fetcher(&mut self, node: &Arc<Node>, key: FetcherKey) -> Option<&Fetcher> {
        match self.threads.entry(key) {
            Entry::Occupied(there) => Some(there.into_mut()),
            Entry::Vacant(place) => {
                let (inbox, news) = mpsc::unbounded_channel();
                let (stored, stored_news) = mpsc::unbounded_channel();
                let name = key.name();
                let run = fetcher::runner(Arc::clone(node), key.leader, &name, news, stored_news);
                let name = format!("fetch-{}-{name}", key.leader);
                match std::thread::Builder::new().name(name).spawn(run) {
                    Ok(thread) => Some(place.insert(Fetcher { inbox, stored, thread })),
                    Err(error) => {
                        tracing::error!("no thread to fetch from broker {}: {error}", key.leader);
                        None
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_different_directories_never_share_a_fetcher() {
        let partition = |index| PartitionKey { topic: naru_model::Uuid(7), partition: index };
        let of =
            |dir, index, fetchers| FetcherKey::of(BrokerId(1), dir, partition(index), fetchers);
        for index in 0..100 {
            assert_eq!(of(0, index, 1), of(0, index + 1, 1));
            assert_ne!(of(0, index, 1), of(1, index, 1));
            assert!(of(0, index, 3).index < 3);
            // Named by Kafka's number as long as there is one directory.
            assert_eq!(of(0, index, 1).name(), "0");
        }
        let used: HashSet<_> = (0..100).map(|index| of(0, index, 3)).collect();
        assert_eq!(used.len(), 3);
    }
}
