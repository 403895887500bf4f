//! The metadata image as the group coordinator sees it, and what of a change concerns it.

use std::collections::BTreeSet;
use std::sync::Arc;

use naru_controller::{MetadataDelta, MetadataImage};
use naru_coordinators::{TopicInfo, Topics};
use naru_model::Uuid;

/// Topics of one image.
#[derive(Debug)]
pub(super) struct ImageTopics(pub(super) Arc<MetadataImage>);

impl Topics for ImageTopics {
    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        let topic = self.0.topic(name)?;
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        Some(TopicInfo { id: topic.id, partitions })
    }

    fn name(&self, id: Uuid) -> Option<Arc<str>> {
        self.0.topic_by_id(id).map(|topic| Arc::clone(&topic.name))
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&str)) {
        self.0.topics().for_each(|topic| visit(&topic.name));
    }

    fn racks(&self, id: Uuid, partition: i32) -> Vec<String> {
        let topic = self.0.topic_by_id(id);
        let Some(partition) = topic.and_then(|topic| topic.partitions.get(&partition)) else {
            return Vec::new();
        };
        let brokers = partition.replicas.iter().filter_map(|id| self.0.broker(*id));
        brokers.filter_map(|broker| broker.rack.clone()).collect()
    }

    fn version(&self) -> i64 {
        self.0.end_offset()
    }
}

/// The topics that a change of the metadata is about.
pub(super) fn changed_topics(image: &MetadataImage, delta: &MetadataDelta) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = delta.topics_created.values().cloned().collect();
    names.extend(delta.topics_deleted.values().map(|topic| Arc::clone(&topic.name)));
    let ids: BTreeSet<Uuid> = delta.partitions_changed.iter().map(|(id, _)| *id).collect();
    let of_partitions = ids.into_iter().filter(|id| !delta.topics_created.contains_key(id));
    let known = of_partitions.filter_map(|id| image.topic_by_id(id));
    names.extend(known.map(|topic| Arc::clone(&topic.name)));
    names
}
