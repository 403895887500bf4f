//! The metadata image: what the cluster is, at one offset of the metadata log.
//!
//! Immutable once published: a clone costs a few reference counts and shares everything that a
//! later change does not touch. `apply` is the only writer; it takes records in log order.
//! `to_records` gives records that make an equal image again: the contents of a snapshot.
//!
//! Invariants: a topic's name and id lead to the same topic; every partition belongs to a topic;
//! a broker's epoch is the offset of its registration. Records that nothing here reads are kept and
//! written into snapshots, never dropped; the index of ACLs holds what the kept records say.

mod access;
mod apply;
mod broker;
pub(crate) mod client_quotas;
mod delta;
mod layers;
mod other;
mod resource;
mod shared_map;
mod topic;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use naru_model::Uuid;
use naru_protocol::metadata::MetadataRecord;
use naru_security::acl::AclSet;

pub use apply::ReplayError;
pub use broker::{BrokerImage, ControllerImage, Endpoint, VersionRange};
pub use client_quotas::DescribeQuotasError;
pub use delta::MetadataDelta;
pub use layers::ConfigLayers;
pub use resource::{ConfigResource, ResourceType};
pub use shared_map::SharedMap;
pub use topic::{PartitionImage, TopicImage};

pub(crate) use access::acl_of;
pub(crate) use topic::{NO_LEADER, NO_LEADER_CHANGE, RECOVERING};

use other::OtherKey;

/// The configuration of one resource.
pub type ConfigMap = Arc<BTreeMap<String, String>>;

/// Name of the feature that decides the format of metadata records.
pub const METADATA_VERSION: &str = "metadata.version";

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetadataImage {
    end_offset: i64,
    epoch: i32,
    features: Arc<BTreeMap<String, i16>>,
    brokers: SharedMap<i32, Arc<BrokerImage>>,
    controllers: SharedMap<i32, Arc<ControllerImage>>,
    topics: SharedMap<Uuid, Arc<TopicImage>>,
    topic_ids: SharedMap<Arc<str>, Uuid>,
    configs: SharedMap<ConfigResource, ConfigMap>,
    next_producer_id: i64,
    /// The last ProducerIdsRecord's broker id and epoch.
    producer_ids_owner: (i32, i64),
    other: SharedMap<OtherKey, MetadataRecord>,
    acls: Arc<AclSet>,
}

impl MetadataImage {
    /// The offset after the last applied record.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// The leader epoch of the last applied record.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Notes that the log is applied up to `end_offset`, as control records and snapshots say.
    pub fn advance_to(&mut self, end_offset: i64, epoch: i32) {
        self.end_offset = self.end_offset.max(end_offset);
        self.epoch = self.epoch.max(epoch);
    }

    /// Finalized feature levels; a feature at level 0 is absent.
    pub fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// A finalized feature level, 0 if it has none.
    pub fn feature_level(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// All brokers, ids ascending.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// A broker.
    pub fn broker(&self, id: i32) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&id)
    }

    /// Whether a broker is registered and not fenced.
    pub fn is_alive(&self, broker: i32) -> bool {
        self.broker(broker).is_some_and(|broker| !broker.fenced)
    }

    /// All registered controllers, ids ascending.
    pub fn controllers(&self) -> impl Iterator<Item = &Arc<ControllerImage>> {
        self.controllers.values()
    }

    /// A registered controller.
    pub fn controller(&self, id: i32) -> Option<&Arc<ControllerImage>> {
        self.controllers.get(&id)
    }

    /// Number of topics.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// All topics, names ascending.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topic_ids.values().filter_map(|id| self.topics.get(id))
    }

    /// The topics from a name on, names ascending.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topic_ids.iter_from(name).filter_map(|(_, id)| self.topics.get(id))
    }

    /// A topic by name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_ids.get(name)?)
    }

    /// A topic by id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topics.get(&id)
    }

    /// A partition of a topic.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Arc<PartitionImage>> {
        self.topic(topic)?.partitions.get(&partition)
    }

    /// The configuration of a resource; empty if nothing was ever set.
    pub fn config(&self, resource: &ConfigResource) -> ConfigMap {
        self.configs.get(resource).cloned().unwrap_or_default()
    }

    /// One configured value of a resource.
    pub fn config_value(&self, resource: &ConfigResource, name: &str) -> Option<&str> {
        self.configs.get(resource)?.get(name).map(String::as_str)
    }

    /// Every resource with a configuration.
    pub fn configs(&self) -> impl Iterator<Item = (&ConfigResource, &ConfigMap)> {
        self.configs.iter()
    }

    /// All ACLs, to decide by.
    pub fn acls(&self) -> &Arc<AclSet> {
        &self.acls
    }

    /// The first producer id that no block holds yet.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }
}
