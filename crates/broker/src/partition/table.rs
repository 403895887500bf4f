//! All partitions of this broker, by topic name and by topic id.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use naru_model::{ErrorCode, Uuid};

use super::Partition;

/// The partitions of one topic, by index; a gap is a partition that is not here.
type TopicPartitions = Arc<Vec<Option<Arc<Partition>>>>;

#[derive(Debug, Default)]
struct Maps {
    by_name: HashMap<Arc<str>, TopicPartitions>,
    by_id: HashMap<Uuid, TopicPartitions>,
}

/// Changed when metadata changes, read by every request.
#[derive(Debug, Default)]
pub(crate) struct PartitionTable {
    maps: RwLock<Maps>,
}

impl PartitionTable {
    pub(crate) fn by_name(&self, topic: &str, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let unknown = ErrorCode::UnknownTopicOrPartition;
        pick(maps.by_name.get(topic).ok_or(unknown)?, index)
    }

    pub(crate) fn by_id(&self, topic: Uuid, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        pick(maps.by_id.get(&topic).ok_or(ErrorCode::UnknownTopicId)?, index)
    }

    /// The partitions of a topic that are here, by index.
    pub(crate) fn of_topic(&self, topic: &str) -> Vec<Arc<Partition>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        maps.by_name.get(topic).into_iter().flat_map(|all| all.iter().flatten()).cloned().collect()
    }

    /// Every partition, topics by name, partitions by index.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let mut topics: Vec<_> = maps.by_name.iter().collect();
        topics.sort_by_key(|(name, _)| Arc::clone(name));
        topics.into_iter().flat_map(|(_, all)| all.iter().flatten().cloned()).collect()
    }

    /// Adds partitions of any topics.
    pub(crate) fn insert(&self, partitions: Vec<Arc<Partition>>) {
        let mut by_topic: HashMap<Uuid, Vec<Arc<Partition>>> = HashMap::new();
        for partition in partitions {
            by_topic.entry(partition.topic_id()).or_default().push(partition);
        }
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        for (id, added) in by_topic {
            let Some(name) = added.first().map(|partition| Arc::from(partition.topic())) else {
                continue;
            };
            let mut slots = maps.by_id.get(&id).map_or_else(Vec::new, |all| all.to_vec());
            for partition in added {
                let index = usize::try_from(partition.index()).unwrap_or(0);
                if slots.len() <= index {
                    slots.resize(index + 1, None);
                }
                slots[index] = Some(partition);
            }
            let slots = Arc::new(slots);
            maps.by_name.insert(name, Arc::clone(&slots));
            maps.by_id.insert(id, slots);
        }
    }

    /// Takes a partition out.
    pub(crate) fn remove(&self, topic: Uuid, index: i32) -> Option<Arc<Partition>> {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        let mut slots = maps.by_id.get(&topic)?.to_vec();
        let removed = slots.get_mut(usize::try_from(index).ok()?)?.take()?;
        let name: Arc<str> = Arc::from(removed.topic());
        if slots.iter().all(Option::is_none) {
            maps.by_id.remove(&topic);
            maps.by_name.remove(&name);
        } else {
            let slots = Arc::new(slots);
            maps.by_name.insert(name, Arc::clone(&slots));
            maps.by_id.insert(topic, slots);
        }
        Some(removed)
    }

    /// Takes a topic out; its partitions.
    pub(crate) fn remove_topic(&self, id: Uuid) -> Vec<Arc<Partition>> {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        let Some(slots) = maps.by_id.remove(&id) else { return Vec::new() };
        let partitions: Vec<_> = slots.iter().flatten().cloned().collect();
        if let Some(first) = partitions.first() {
            maps.by_name.remove(first.topic());
        }
        partitions
    }
}

fn pick(slots: &TopicPartitions, index: i32) -> Result<Arc<Partition>, ErrorCode> {
    let index = usize::try_from(index).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
    slots.get(index).and_then(Clone::clone).ok_or(ErrorCode::UnknownTopicOrPartition)
}
