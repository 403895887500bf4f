//! Administration: topics, configurations, groups, offsets, the cluster.
//!
//! Calls on several things answer for each of them, so that one failure hides nothing. What may
//! succeed on another try is tried again until `default.api.timeout.ms` is over.

mod cluster;
mod configs;
mod groups;
mod offsets;
mod topics;

pub use cluster::{ClusterDescription, LogDir, ReplicaSize};
pub use configs::{
    AlterOp, ConfigEntry, ConfigResource, ConfigSource, ConfigSynonym, ConfigValueType,
    ResourceKind,
};
pub use groups::{GroupDescription, GroupListing, GroupMember};
pub use offsets::{CommittedOffset, ListedOffset, OffsetSpec};
pub(crate) use offsets::{by_topic, commit_offsets, commit_request, fetch_offsets, list_offsets};
pub use topics::{NewTopic, PartitionDescription, TopicDescription};

use crate::cluster::Cluster;
use crate::config::ClientConfig;

/// The administrative side of a cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admin {
    cluster: Cluster,
}

impl Admin {
    /// An admin client; nothing is connected yet.
    pub fn new(config: ClientConfig) -> Self {
        Self { cluster: Cluster::new(config) }
    }

    /// An admin client that shares the connections of `cluster`.
    pub const fn over(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// The cluster underneath.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}
