//! Hosts the group coordinator: one shard a partition of `__consumer_offsets` that this broker
//! leads.
//!
//! The rules are `naru_coordinators`'; this folder finds the shard of a group, appends what the
//! shard writes, gives it back the result, wakes its timers and hands answers to who waits.

mod host;
mod topics;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use naru_controller::image::ResourceType;
pub(crate) use naru_controller::topic_name::CONSUMER_OFFSETS as OFFSETS_TOPIC;
use naru_controller::{MetadataDelta, MetadataImage};
use naru_coordinators::{Command, Reply, Topics, partition_for};
use naru_model::ErrorCode;

pub(crate) use host::ShardHost;

use crate::node::Node;

/// The shards of this broker.
#[derive(Debug, Default)]
pub(crate) struct Coordination {
    shards: RwLock<Arc<Shards>>,
}

#[derive(Debug, Default)]
struct Shards {
    /// Partitions of the offsets topic, wherever they are led; 0 until it exists.
    count: i32,
    /// By partition.
    here: BTreeMap<i32, Arc<ShardHost>>,
}

impl Coordination {
    fn shards(&self) -> Arc<Shards> {
        Arc::clone(&self.shards.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over the partitions of the offsets topic that this broker leads now and loads them;
    /// gives up those that it no longer leads.
    pub(crate) fn adopt(&self, node: &Arc<Node>, image: &MetadataImage) {
        let topic = image.topic(OFFSETS_TOPIC);
        let mut guard = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = guard.here.clone();
        let mut now = Shards { count: partition_count(image), here: BTreeMap::new() };
        for (&index, partition) in topic.iter().flat_map(|topic| topic.partitions.iter()) {
            if partition.leader != Some(node.id()) {
                continue;
            }
            let Ok(led) = node.partitions().by_name(OFFSETS_TOPIC, index) else { continue };
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
                    ShardHost::load(&host, node);
                    host
                }
            };
            now.here.insert(index, host);
        }
        *guard = Arc::new(now);
        drop(guard);
        before.into_values().for_each(|gone| gone.unload());
    }

    /// Tells the shards what of a change of the metadata concerns them: topics, racks, and what
    /// groups and brokers set.
    pub(crate) fn learn(
        &self,
        node: &Arc<Node>,
        image: &Arc<MetadataImage>,
        delta: &MetadataDelta,
    ) {
        let changed = topics::changed_topics(image, delta);
        let racks = !delta.brokers_changed.is_empty();
        if racks || !changed.is_empty() {
            let topics: Arc<dyn Topics> = Arc::new(topics::ImageTopics(Arc::clone(image)));
            for shard in self.shards().here.values() {
                shard.learn_topics(&topics, &changed, racks);
            }
        }
        for resource in &delta.configs_changed {
            match resource.kind {
                ResourceType::Group => {
                    if let Ok(shard) = self.shard_of(&resource.name) {
                        shard.configure_group(&resource.name, &image.config(resource));
                    }
                }
                ResourceType::Broker => {
                    for shard in self.shards().here.values() {
                        shard.reconfigure(node);
                    }
                }
                ResourceType::Topic | ResourceType::BrokerLogger | ResourceType::ClientMetrics => {}
            }
        }
    }

    /// The shard of `group`, if this broker has it.
    fn shard_of(&self, group: &str) -> Result<Arc<ShardHost>, ErrorCode> {
        let shards = self.shards();
        if shards.count == 0 {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let host = shards.here.get(&partition_for(group, shards.count));
        host.cloned().ok_or(ErrorCode::NotCoordinator)
    }

    /// Asks the shard of `group`.
    pub(crate) async fn ask(&self, group: &str, command: Command) -> Result<Reply, ErrorCode> {
        self.shard_of(group)?.ask(command).await
    }

    /// Asks every shard of this broker the same.
    pub(crate) async fn ask_all(&self, command: &Command) -> Vec<Result<Reply, ErrorCode>> {
        let mut replies = Vec::new();
        for shard in self.shards().here.values() {
            replies.push(shard.ask(command.clone()).await);
        }
        replies
    }

    /// Gives every shard up, because the node stops.
    pub(crate) fn unload(&self) {
        self.shards().here.values().for_each(|shard| shard.unload());
    }

    /// Tells every shard that topics are gone.
    pub(crate) fn topics_deleted(&self, topics: &[String]) {
        for shard in self.shards().here.values() {
            shard.topics_deleted(topics.to_vec());
        }
    }
}

/// Partitions of the offsets topic.
fn partition_count(image: &MetadataImage) -> i32 {
    let topic = image.topic(OFFSETS_TOPIC);
    i32::try_from(topic.map_or(0, |topic| topic.partitions.len())).unwrap_or(i32::MAX)
}

/// The partition of the offsets topic that has a group's offsets; none until the topic exists.
pub(crate) fn partition_of_group(image: &MetadataImage, group: &str) -> Option<i32> {
    let count = partition_count(image);
    (count > 0).then(|| partition_for(group, count))
}

/// The error code for an answer that is no answer to what was asked.
pub(crate) fn unexpected(answer: Result<Reply, ErrorCode>) -> i16 {
    match answer {
        Err(error) => error.code(),
        Ok(reply) => {
            tracing::error!(?reply, "a group shard answered something else than it was asked");
            ErrorCode::UnknownServerError.code()
        }
    }
}
