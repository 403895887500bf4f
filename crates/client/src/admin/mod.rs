//! Administration: topics, configurations, groups, offsets, the cluster and its quorum, who may
//! do what.
//!
//! Calls on several things answer for each of them, so that one failure hides nothing. What may
//! succeed on another try is tried again until `default.api.timeout.ms` is over.

mod acls;
mod cluster;
mod configs;
mod features;
mod groups;
mod log_dirs;
mod offsets;
mod quorum;
mod quotas;
mod reassignments;
mod scram;
mod share_groups;
mod streams_groups;
mod tokens;
mod topics;
mod transactions;

pub use cluster::ClusterDescription;
pub use configs::{
    AlterOp, ConfigEntry, ConfigResource, ConfigSource, ConfigSynonym, ConfigValueType,
    ResourceKind,
};
pub use features::{FeatureDescription, UpgradeType};
pub use groups::{GroupDescription, GroupEpochs, GroupListing, GroupMember};
pub use log_dirs::{LogDir, ReplicaSize};
pub use offsets::{CommittedOffset, ListedOffset, OffsetSpec};
pub(crate) use offsets::{by_topic, commit_offsets, commit_request, fetch_offsets, list_offsets};
pub use quorum::{QuorumDescription, QuorumNode, QuorumReplica, VoterAddress};
pub use quotas::{QuotaEntity, QuotaEntry, QuotaMatch};
pub use reassignments::{ElectionType, Reassignment};
pub use scram::{ScramChange, ScramUser};
pub use share_groups::ShareOffset;
pub use streams_groups::{StreamsGroupDescription, StreamsMember, Subtopology, Tasks};
pub use tokens::DelegationToken;
pub use topics::{NewTopic, PartitionDescription, TopicDescription};
pub use transactions::{
    HangingTransaction, ProducerDescription, TransactionDescription, TransactionFilter,
    TransactionListing,
};

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
