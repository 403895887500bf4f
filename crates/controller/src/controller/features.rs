//! Feature levels: what this program supports, what a fresh cluster starts with, and the first
//! records of a metadata log.

use naru_protocol::messages::begin_transaction_record::BeginTransactionRecord;
use naru_protocol::messages::config_record::ConfigRecord;
use naru_protocol::messages::end_transaction_record::EndTransactionRecord;
use naru_protocol::messages::feature_level_record::FeatureLevelRecord;

use super::Controller;
use crate::image::{ConfigResource, METADATA_VERSION};
use crate::records::RecordAndVersion;

/// A feature, the levels this program supports, and the level of a fresh cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Kafka's name.
    pub name: &'static str,
    /// Lowest level.
    pub min: i16,
    /// Highest level.
    pub max: i16,
}

/// Every feature, as a 4.3.1 node announces it. A fresh cluster starts with the highest levels;
/// `kraft.version` is kept by the quorum, not by a FeatureLevelRecord.
pub const FEATURES: [Feature; 7] = [
    Feature { name: METADATA_VERSION, min: 7, max: 30 },
    Feature { name: "eligible.leader.replicas.version", min: 0, max: 1 },
    Feature { name: "group.version", min: 0, max: 1 },
    Feature { name: KRAFT_VERSION, min: 0, max: 1 },
    Feature { name: "share.version", min: 0, max: 1 },
    Feature { name: "streams.version", min: 0, max: 1 },
    Feature { name: "transaction.version", min: 0, max: 2 },
];

pub(super) const KRAFT_VERSION: &str = "kraft.version";

/// What the first leader of an empty log writes besides the features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootstrapSettings {
    /// `min.insync.replicas` of this node, made the cluster's default because of KIP-966.
    pub min_insync_replicas: i32,
}

/// The contents of `bootstrap.checkpoint` as `kafka-storage format` writes it, between header
/// and footer: the features of a fresh cluster, metadata.version first.
pub fn bootstrap_records() -> Vec<RecordAndVersion> {
    let written = FEATURES.iter().filter(|feature| feature.name != KRAFT_VERSION);
    written
        .map(|feature| {
            RecordAndVersion::newest(FeatureLevelRecord {
                name: feature.name.to_owned(),
                feature_level: feature.max,
            })
        })
        .collect()
}

impl Controller {
    /// What this node writes when it becomes the active controller: the bootstrap records into an
    /// empty log, or the end of a transaction that its predecessor left open.
    ///
    /// `bootstrap` is what `bootstrap.checkpoint` holds; if there is no such file,
    /// [`bootstrap_records`].
    pub fn decide_activate(
        &self,
        bootstrap: &[RecordAndVersion],
        settings: BootstrapSettings,
    ) -> Vec<RecordAndVersion> {
        let mut records: Vec<RecordAndVersion> = self.abort_left_open().into_iter().collect();
        // A log without a metadata version never got its bootstrap records committed.
        if self.image.feature_level(METADATA_VERSION) != 0 {
            return records;
        }
        let name = Some("Bootstrap records".to_owned());
        records.push(RecordAndVersion::newest(BeginTransactionRecord { name }));
        records.extend_from_slice(bootstrap);
        let cluster = ConfigResource::cluster();
        records.push(RecordAndVersion::newest(ConfigRecord {
            resource_type: cluster.kind.id(),
            resource_name: cluster.name,
            name: "min.insync.replicas".to_owned(),
            value: Some(settings.min_insync_replicas.to_string()),
        }));
        records.push(RecordAndVersion::newest(EndTransactionRecord {}));
        records
    }
}
