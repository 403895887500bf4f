//! The shards of one kind: one for each partition of their topic that this broker leads.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use naru_controller::MetadataImage;
use naru_coordinators::partition_for;
use naru_model::ErrorCode;

use super::host::{Hosted, ShardHost};
use crate::node::Node;

/// See the module.
#[derive(Debug)]
pub(super) struct ShardSet<S: Hosted> {
    shards: RwLock<Arc<Shards<S>>>,
}

#[derive(Debug)]
struct Shards<S: Hosted> {
    /// Partitions of the topic, wherever they are led; 0 until it exists.
    count: i32,
    /// By partition.
    here: BTreeMap<i32, Arc<ShardHost<S>>>,
}

impl<S: Hosted> Default for ShardSet<S> {
    fn default() -> Self {
        let none = Shards { count: 0, here: BTreeMap::new() };
        Self { shards: RwLock::new(Arc::new(none)) }
    }
}

impl<S: Hosted> ShardSet<S> {
    fn shards(&self) -> Arc<Shards<S>> {
        Arc::clone(&self.shards.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over the partitions of the topic that this broker leads now and loads them; gives up
    /// those that it no longer leads.
    pub(super) fn adopt(&self, node: &Arc<Node>, image: &MetadataImage) {
        let topic = image.topic(S::TOPIC);
        let mut guard = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = guard.here.clone();
        let mut fresh = Vec::new();
        let mut now = Shards { count: partition_count(image, S::TOPIC), here: BTreeMap::new() };
        for (&index, partition) in topic.iter().flat_map(|topic| topic.partitions.iter()) {
            if partition.leader != Some(node.id()) {
                continue;
            }
            let Ok(led) = node.partitions().by_name(S::TOPIC, index) else { continue };
            // A topic that was deleted and made anew has other partitions under the same numbers;
            // somebody else may have led in between.
            let epoch = partition.leader_epoch;
            let known = before.get(&index).filter(|host| host.hosts(&led, epoch));
            let host = match known.cloned() {
                Some(host) => {
                    before.remove(&index);
                    host
                }
                None => {
                    let host = ShardHost::new(node, led, epoch);
                    fresh.push(Arc::clone(&host));
                    host
                }
            };
            now.here.insert(index, host);
        }
        *guard = Arc::new(now);
        drop(guard);
        // In this order: what is given up must not write behind the back of what is loaded.
        before.into_values().for_each(|gone| gone.unload());
        fresh.iter().for_each(|host| ShardHost::load(host, node));
    }

    /// The shard of `key`, if this broker has it.
    pub(super) fn shard_of(&self, key: &str) -> Result<Arc<ShardHost<S>>, ErrorCode> {
        let shards = self.shards();
        if shards.count == 0 {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let host = shards.here.get(&partition_for(key, shards.count));
        host.cloned().ok_or(ErrorCode::NotCoordinator)
    }

    /// The shard of a partition, if this broker has it.
    pub(super) fn at(&self, index: i32) -> Option<Arc<ShardHost<S>>> {
        self.shards().here.get(&index).cloned()
    }

    /// Every shard of this broker.
    pub(super) fn all(&self) -> Vec<Arc<ShardHost<S>>> {
        self.shards().here.values().cloned().collect()
    }

    /// Has every shard take over what brokers are configured with now.
    pub(super) fn reconfigure(&self, node: &Node) {
        self.shards().here.values().for_each(|shard| shard.reconfigure(node));
    }

    /// Gives every shard up.
    pub(super) fn unload(&self) {
        self.shards().here.values().for_each(|shard| shard.unload());
    }
}

/// How many partitions an internal topic has; 0 until it exists.
fn partition_count(image: &MetadataImage, topic: &str) -> i32 {
    let topic = image.topic(topic);
    i32::try_from(topic.map_or(0, |topic| topic.partitions.len())).unwrap_or(i32::MAX)
}

/// The partition of an internal topic that has what belongs to `key`; none until the topic exists.
pub(crate) fn partition_of(image: &MetadataImage, topic: &str, key: &str) -> Option<i32> {
    let count = partition_count(image, topic);
    (count > 0).then(|| partition_for(key, count))
}
