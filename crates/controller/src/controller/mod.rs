//! Requests into records, records into state.
//!
//! `decide_*` reads the state and answers with records; `replay` is the only writer. A response is
//! held back until its records are committed. One file per concern; each adds its `decide_*` to
//! [`Controller`].
//!
//! Invariants: replaying the records of a decision into an equal state always succeeds; replaying
//! a log into an empty controller gives an equal controller.

mod acls;
mod alter_partition;
mod broker_error;
mod changes;
mod client_quotas;
mod configs;
mod configs_error;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod directories;
mod elect_leaders;
mod features;
mod heartbeat;
mod index;
mod internal_topics;
mod partition_change;
mod placement;
mod producer_ids;
mod reassign;
mod reassignment;
mod registration;
mod scram;
mod sessions;
mod tick;
mod tokens;
mod topic_error;
mod transaction;
mod update_features;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::config::Props;
use naru_protocol::metadata::MetadataRecord;

use crate::image::{ConfigLayers, MetadataDelta, MetadataImage, PartitionImage, ReplayError};
use crate::topic_name;

pub use acls::AclError;
pub use broker_error::BrokerError;
pub use client_quotas::ClientQuotaError;
pub use configs_error::AlterConfigsError;
pub use create_topics::CreateTopics;
pub use elect_leaders::ElectionError;
pub use features::{BootstrapSettings, FEATURES, Feature, bootstrap_records};
pub use placement::PlacementError;
pub use producer_ids::PRODUCER_ID_BLOCK_LEN;
pub use reassign::ReassignmentError;
pub use registration::RegisterBroker;
pub use scram::ScramError;
pub use sessions::{BrokerSessions, SessionSettings, broker_lease_ms};
pub use tokens::{TokenError, TokenLife, is_owner_or_renewer, is_token_expired, token_owner};
pub use topic_error::TopicError;
pub use update_features::{FeatureError, UpdateFeatures, UpdatedFeatures};

use changes::UNCLEAN_ELECTION;
use features::KRAFT_VERSION;
use index::{PartitionIndex, PartitionKey};
use transaction::OpenTransaction;

/// See the module.
#[derive(Debug, Clone)]
pub struct Controller {
    node_id: i32,
    /// The node's properties file: defaults of new topics, the lowest configuration layer.
    file: Arc<Props>,
    image: MetadataImage,
    delta: MetadataDelta,
    open_transaction: Option<OpenTransaction>,
    /// Topics whose names metrics could confuse, by what they have in common.
    colliding_names: BTreeMap<String, BTreeSet<Arc<str>>>,
    index: PartitionIndex,
    /// The offset of each broker's last registration record.
    registered_at: BTreeMap<i32, i64>,
    /// Counts the changes of `unclean.leader.election.enable`, of a topic or for all.
    unclean_settings: u64,
}

/// A published state and what led to it from the one before.
#[derive(Debug, Clone)]
pub struct Published {
    /// The state.
    pub image: Arc<MetadataImage>,
    /// What changed.
    pub delta: MetadataDelta,
}

impl Controller {
    /// A controller of an empty cluster, on a node with this properties file.
    pub fn new(node_id: i32, file: Arc<Props>) -> Self {
        Self {
            node_id,
            file,
            image: MetadataImage::default(),
            delta: MetadataDelta::default(),
            open_transaction: None,
            colliding_names: BTreeMap::new(),
            index: PartitionIndex::default(),
            registered_at: BTreeMap::new(),
            unclean_settings: 0,
        }
    }

    /// What is replayed so far; records of an open transaction are not in it.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// Replays the record at `offset`, in log order. An error means a log that does not fit
    /// together; the shell stops then.
    pub fn replay(
        &mut self,
        offset: i64,
        epoch: i32,
        record: &MetadataRecord,
    ) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::BeginTransactionRecord(_) => self.begin_transaction()?,
            MetadataRecord::EndTransactionRecord(_) => self.end_transaction(offset, epoch)?,
            MetadataRecord::AbortTransactionRecord(_) => self.abort_transaction()?,
            other => {
                if let Some(open) = &mut self.open_transaction {
                    open.hold(offset, epoch, other);
                } else {
                    return self.apply(offset, epoch, other);
                }
            }
        }
        if self.open_transaction.is_none() {
            self.advance_to(offset.saturating_add(1), epoch);
        }
        Ok(())
    }

    /// Notes that the log is read up to `end_offset`: after a control batch or a snapshot.
    pub fn advance_to(&mut self, end_offset: i64, epoch: i32) {
        self.image.advance_to(end_offset, epoch);
    }

    /// The state, and what changed since the last call.
    pub fn publish(&mut self) -> Published {
        let delta = std::mem::take(&mut self.delta);
        Published { image: Arc::new(self.image.clone()), delta }
    }

    /// The configuration layers below topics, as this node sees them.
    pub fn config_layers(&self) -> ConfigLayers {
        self.image.config_layers(self.node_id, &self.file)
    }

    fn apply(
        &mut self,
        offset: i64,
        epoch: i32,
        record: &MetadataRecord,
    ) -> Result<(), ReplayError> {
        let partitions = self.touched(record);
        if let MetadataRecord::RemoveTopicRecord(removed) = record
            && let Some(topic) = self.image.topic_by_id(removed.topic_id)
        {
            self.index.remove_topic(topic);
            if let Some(key) = topic_name::collision_key(&topic.name)
                && let Some(names) = self.colliding_names.get_mut(&key)
            {
                names.remove(&topic.name);
                if names.is_empty() {
                    self.colliding_names.remove(&key);
                }
            }
        }
        self.image.apply(offset, epoch, record, &mut self.delta)?;
        for (key, before) in partitions {
            let topic = self.image.topic_by_id(key.0);
            if let Some(after) = topic.and_then(|topic| topic.partitions.get(&key.1)) {
                self.index.change(key, before.as_deref(), after);
            }
        }
        match record {
            MetadataRecord::TopicRecord(created) => {
                if let Some(key) = topic_name::collision_key(&created.name) {
                    let names = self.colliding_names.entry(key).or_default();
                    names.insert(created.name.as_str().into());
                }
            }
            MetadataRecord::RegisterBrokerRecord(record) => {
                self.registered_at.insert(record.broker_id, offset);
            }
            MetadataRecord::UnregisterBrokerRecord(record) => {
                self.registered_at.remove(&record.broker_id);
            }
            MetadataRecord::ConfigRecord(record) if record.name == UNCLEAN_ELECTION => {
                self.unclean_settings += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// The partitions that a record changes, as they are before it.
    fn touched(&self, record: &MetadataRecord) -> Vec<(PartitionKey, Option<Arc<PartitionImage>>)> {
        let partition = |topic_id, index| {
            let topic = self.image.topic_by_id(topic_id);
            ((topic_id, index), topic.and_then(|topic| topic.partitions.get(&index).cloned()))
        };
        match record {
            MetadataRecord::PartitionRecord(record) => {
                vec![partition(record.topic_id, record.partition_id)]
            }
            MetadataRecord::PartitionChangeRecord(record) => {
                vec![partition(record.topic_id, record.partition_id)]
            }
            MetadataRecord::ClearElrRecord(record) => {
                let only = self.image.topic(&record.topic_name).map(|topic| topic.id);
                let with_elr = self.index.with_elr().into_iter();
                let of_topic = |key: &PartitionKey| only.is_none_or(|topic| key.0 == topic);
                with_elr.filter(of_topic).map(|(topic, index)| partition(topic, index)).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl PartialEq for Controller {
    /// Equal state; what was published does not count.
    fn eq(&self, other: &Self) -> bool {
        self.image == other.image
            && self.open_transaction == other.open_transaction
            && self.colliding_names == other.colliding_names
            && self.index == other.index
    }
}

#[cfg(test)]
mod tests;
