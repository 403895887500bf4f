//! What a run of records changed, for those who react to changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::Uuid;

use super::{ConfigResource, MetadataImage, TopicImage};

/// What changed since the last published image. A topic that was created and deleted in between
/// is in neither list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetadataDelta {
    /// Topics that are new.
    pub topics_created: BTreeMap<Uuid, Arc<str>>,
    /// Topics that are gone, as they last were.
    pub topics_deleted: BTreeMap<Uuid, Arc<TopicImage>>,
    /// Partitions that are new or changed, of topics that exist.
    pub partitions_changed: BTreeSet<(Uuid, i32)>,
    /// Resources with a changed configuration; that of a deleted topic is not mentioned.
    pub configs_changed: BTreeSet<ConfigResource>,
    /// Brokers that registered, changed, or went.
    pub brokers_changed: BTreeSet<i32>,
    /// Whether a feature level changed.
    pub features_changed: bool,
    /// Whether producer ids were handed out.
    pub producer_ids_changed: bool,
    /// Whether a client quota changed.
    pub client_quotas_changed: bool,
    /// Whether anything else changed: controllers, quotas, ACLs, credentials, tokens.
    pub other_changed: bool,
}

impl MetadataDelta {
    /// What leads from one image to another that does not grow out of it record by record: that
    /// of a snapshot.
    pub fn between(before: &MetadataImage, after: &MetadataImage) -> Self {
        let mut delta = Self {
            features_changed: before.features() != after.features(),
            producer_ids_changed: before.next_producer_id() != after.next_producer_id(),
            client_quotas_changed: true,
            other_changed: true,
            ..Self::default()
        };
        for topic in before.topics().filter(|topic| after.topic_by_id(topic.id).is_none()) {
            delta.topics_deleted.insert(topic.id, Arc::clone(topic));
        }
        for topic in after.topics() {
            let known = before.topic_by_id(topic.id);
            if known.is_none() {
                delta.topics_created.insert(topic.id, Arc::clone(&topic.name));
            }
            for (index, partition) in topic.partitions.iter() {
                if known.and_then(|known| known.partitions.get(index)) != Some(partition) {
                    delta.partitions_changed.insert((topic.id, *index));
                }
            }
        }
        let resources = before.configs().chain(after.configs()).map(|(resource, _)| resource);
        let changed = resources.filter(|one| before.config(one) != after.config(one));
        delta.configs_changed.extend(changed.cloned());
        let brokers = before.brokers().chain(after.brokers()).map(|broker| broker.id);
        let changed = brokers.filter(|id| before.broker(*id) != after.broker(*id));
        delta.brokers_changed.extend(changed);
        delta
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
