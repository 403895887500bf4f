//! The metadata image as the group coordinator sees it, and what of a change concerns it.

use std::collections::BTreeSet;
use std::sync::Arc;

use naru_controller::{MetadataDelta, MetadataImage};
use naru_coordinators::{TopicInfo, Topics, Viewer};
use naru_model::Uuid;
use naru_security::acl::{Authorizer, Operation, ResourceType};

use crate::node::Node;

/// Topics of one image, and who may see them by its ACLs.
#[derive(Debug)]
pub(super) struct ImageTopics {
    image: Arc<MetadataImage>,
    authorizer: Option<Arc<Authorizer>>,
}

impl ImageTopics {
    pub(super) fn new(node: &Node, image: Arc<MetadataImage>) -> Self {
        Self { image, authorizer: node.security().shared_authorizer() }
    }
}

impl Topics for ImageTopics {
    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        let topic = self.image.topic(name)?;
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        Some(TopicInfo { id: topic.id, partitions })
    }

    fn name(&self, id: Uuid) -> Option<Arc<str>> {
        self.image.topic_by_id(id).map(|topic| Arc::clone(&topic.name))
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&str)) {
        self.image.topics().for_each(|topic| visit(&topic.name));
    }

    fn may_describe(&self, viewer: &Viewer, name: &str) -> bool {
        let Some(authorizer) = &self.authorizer else { return true };
        let (acls, Viewer { principal, host }) = (self.image.acls(), viewer);
        let topic = (ResourceType::Topic, name);
        authorizer.decide(acls, principal, host, Operation::Describe, topic).allowed
    }

    fn racks(&self, id: Uuid, partition: i32) -> Vec<String> {
        let topic = self.image.topic_by_id(id);
        let Some(partition) = topic.and_then(|topic| topic.partitions.get(&partition)) else {
            return Vec::new();
        };
        let brokers = partition.replicas.iter().filter_map(|id| self.image.broker(*id));
        brokers.filter_map(|broker| broker.rack.clone()).collect()
    }

    fn version(&self) -> i64 {
        self.image.end_offset()
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
