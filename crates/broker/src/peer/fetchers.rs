//! Who fetches what from whom: one thread for each leader and `num.replica.fetchers`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use naru_model::{BrokerId, LeaderEpoch};
use naru_replication::PartitionKey;
use tokio::sync::mpsc;

use super::fetcher::{self, News};
use crate::node::Node;
use crate::partition::{Partition, StoredNews};

/// A leader and which of its fetchers.
type FetcherKey = (BrokerId, usize);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fetchers {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    threads: HashMap<FetcherKey, Fetcher>,
    assigned: HashMap<PartitionKey, FetcherKey>,
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
        let count = node.config().replication.num_fetchers.max(1);
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let index = usize::try_from(hash % count as u64).unwrap_or(0);
        let mut inner = self.inner();
        if inner.stopped {
            return;
        }
        let wanted = (leader, index);
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

    /// Ends all threads and waits for them.
    pub(crate) fn stop(&self) {
        let threads = {
            let mut inner = self.inner();
            inner.stopped = true;
            std::mem::take(&mut inner.threads)
        };
        for (_, fetcher) in threads {
            // Its end of the inbox closes, which ends the thread.
            drop(fetcher.inbox);
            // A panic has been printed by its hook.
            let _ = fetcher.thread.join();
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
                let run = fetcher::runner(Arc::clone(node), key.0, key.1, news, stored_news);
                let name = format!("fetch-{}-{}", key.0, key.1);
                match std::thread::Builder::new().name(name).spawn(run) {
                    Ok(thread) => Some(place.insert(Fetcher { inbox, stored, thread })),
                    Err(error) => {
                        tracing::error!("no thread to fetch from broker {}: {error}", key.0);
                        None
                    }
                }
            }
        }
    }
}
