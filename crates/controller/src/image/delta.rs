//! What a run of records changed, for those who react to changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::Uuid;

use super::{ConfigResource, TopicImage};

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
    /// Whether anything else changed: controllers, quotas, ACLs, credentials, tokens.
    pub other_changed: bool,
}

impl MetadataDelta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
