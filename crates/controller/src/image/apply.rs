//! One arm per record type: the only writer of the image.

use std::sync::Arc;

use naru_model::Uuid;
use naru_protocol::messages::config_record::ConfigRecord;
use naru_protocol::messages::partition_change_record::PartitionChangeRecord;
use naru_protocol::messages::partition_record::PartitionRecord;
use naru_protocol::messages::topic_record::TopicRecord;
use naru_protocol::metadata::MetadataRecord;

use super::{
    BrokerImage, ConfigResource, ControllerImage, MetadataDelta, MetadataImage, PartitionImage,
    ResourceType, SharedMap, TopicImage,
};

/// A record does not fit the image: the metadata log is damaged, or written by a newer program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The topic is not there.
    #[error("{record} names topic id {topic_id}, which does not exist")]
    UnknownTopic {
        /// The record type.
        record: &'static str,
        /// The id it names.
        topic_id: Uuid,
    },
    /// The topic is not there.
    #[error("{record} names topic {name:?}, which does not exist")]
    UnknownTopicName {
        /// The record type.
        record: &'static str,
        /// The name it names.
        name: String,
    },
    /// A topic of this name is there already.
    #[error("topic {name:?} was created twice: as {before} and as {now}")]
    DuplicateTopic {
        /// The name.
        name: String,
        /// Id of the first.
        before: Uuid,
        /// Id of the second.
        now: Uuid,
    },
    /// The partition is not there.
    #[error("partition {partition} of topic id {topic_id} was changed, but does not exist")]
    UnknownPartition {
        /// The topic.
        topic_id: Uuid,
        /// The partition.
        partition: i32,
    },
    /// The broker is not registered.
    #[error("{record} names broker {broker}, which is not registered")]
    UnknownBroker {
        /// The record type.
        record: &'static str,
        /// The broker.
        broker: i32,
    },
    /// The broker is registered with another epoch.
    #[error(
        "{record} names broker {broker} at epoch {epoch}, but it is registered at {registered}"
    )]
    WrongBrokerEpoch {
        /// The record type.
        record: &'static str,
        /// The broker.
        broker: i32,
        /// The epoch of the record.
        epoch: i64,
        /// The epoch of the registration.
        registered: i64,
    },
    /// The configuration of a kind of resource that nobody defined.
    #[error("a ConfigRecord is for the unknown resource type {0}")]
    UnknownResourceType(i8),
    /// A transaction began within another one.
    #[error("a BeginTransactionRecord stands within another transaction")]
    NestedTransaction,
    /// An end or abort without a begin.
    #[error("{record} without a transaction")]
    NoTransaction {
        /// The record type.
        record: &'static str,
    },
}

impl MetadataImage {
    /// Applies the record at `offset`, and notes in `delta` what it changed.
    ///
    /// Transaction marks change nothing here: whoever replays a log holds back the records of an
    /// open transaction.
    pub fn apply(
        &mut self,
        offset: i64,
        epoch: i32,
        record: &MetadataRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        self.apply_record(record, delta)?;
        self.advance_to(offset.saturating_add(1), epoch);
        Ok(())
    }

    fn apply_record(
        &mut self,
        record: &MetadataRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        if self.apply_other(record, delta) {
            return Ok(());
        }
        match record {
            MetadataRecord::TopicRecord(record) => self.apply_topic(record, delta)?,
            MetadataRecord::PartitionRecord(record) => self.apply_partition(record, delta)?,
            MetadataRecord::PartitionChangeRecord(record) => {
                self.apply_partition_change(record, delta)?;
            }
            MetadataRecord::RemoveTopicRecord(record) => {
                self.remove_topic(record.topic_id, delta)?;
            }
            MetadataRecord::ClearElrRecord(record) => self.clear_elr(&record.topic_name, delta)?,
            MetadataRecord::ConfigRecord(record) => self.apply_config(record, delta)?,
            MetadataRecord::FeatureLevelRecord(record) => {
                let features = Arc::make_mut(&mut self.features);
                if record.feature_level == 0 {
                    features.remove(&record.name);
                } else {
                    features.insert(record.name.clone(), record.feature_level);
                }
                delta.features_changed = true;
            }
            MetadataRecord::ProducerIdsRecord(record) => {
                self.next_producer_id = record.next_producer_id;
                self.producer_ids_owner = (record.broker_id, record.broker_epoch);
                delta.producer_ids_changed = true;
            }
            MetadataRecord::RegisterControllerRecord(record) => {
                let controller = ControllerImage::from_record(record);
                self.controllers.insert(controller.id, Arc::new(controller));
                delta.other_changed = true;
            }
            other => self.apply_broker_record(other, delta)?,
        }
        Ok(())
    }

    fn apply_broker_record(
        &mut self,
        record: &MetadataRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let name = record.name();
        match record {
            MetadataRecord::RegisterBrokerRecord(record) => {
                let broker = BrokerImage::from_record(record);
                delta.brokers_changed.insert(broker.id);
                self.brokers.insert(broker.id, Arc::new(broker));
            }
            MetadataRecord::UnregisterBrokerRecord(record) => {
                self.registered(name, record.broker_id, record.broker_epoch)?;
                self.brokers.remove(&record.broker_id);
                delta.brokers_changed.insert(record.broker_id);
            }
            MetadataRecord::BrokerRegistrationChangeRecord(record) => {
                let broker = self.registered(name, record.broker_id, record.broker_epoch)?;
                self.change_broker(broker.changed_by(record), delta);
            }
            MetadataRecord::FenceBrokerRecord(record) => {
                let broker = self.registered(name, record.id, record.epoch)?;
                self.change_broker(BrokerImage { fenced: true, ..broker.clone() }, delta);
            }
            MetadataRecord::UnfenceBrokerRecord(record) => {
                let broker = self.registered(name, record.id, record.epoch)?;
                self.change_broker(BrokerImage { fenced: false, ..broker.clone() }, delta);
            }
            // NoOpRecord, and the marks of transactions.
            _ => {}
        }
        Ok(())
    }

    fn registered(
        &self,
        record: &'static str,
        broker: i32,
        epoch: i64,
    ) -> Result<&BrokerImage, ReplayError> {
        let image =
            self.brokers.get(&broker).ok_or(ReplayError::UnknownBroker { record, broker })?;
        if image.epoch != epoch {
            let registered = image.epoch;
            return Err(ReplayError::WrongBrokerEpoch { record, broker, epoch, registered });
        }
        Ok(image)
    }

    fn change_broker(&mut self, broker: BrokerImage, delta: &mut MetadataDelta) {
        delta.brokers_changed.insert(broker.id);
        self.brokers.insert(broker.id, Arc::new(broker));
    }

    fn apply_topic(
        &mut self,
        record: &TopicRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        if let Some(before) = self.topic_ids.get(record.name.as_str()) {
            return Err(ReplayError::DuplicateTopic {
                name: record.name.clone(),
                before: *before,
                now: record.topic_id,
            });
        }
        if let Some(before) = self.topics.get(&record.topic_id) {
            return Err(ReplayError::DuplicateTopic {
                name: before.name.to_string(),
                before: before.id,
                now: record.topic_id,
            });
        }
        let name: Arc<str> = record.name.as_str().into();
        let topic = TopicImage {
            name: Arc::clone(&name),
            id: record.topic_id,
            partitions: SharedMap::default(),
        };
        self.topic_ids.insert(Arc::clone(&name), record.topic_id);
        self.topics.insert(record.topic_id, Arc::new(topic));
        delta.topics_created.insert(record.topic_id, name);
        Ok(())
    }

    fn apply_partition(
        &mut self,
        record: &PartitionRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let topic = self.topics.get_mut(&record.topic_id).ok_or(ReplayError::UnknownTopic {
            record: "PartitionRecord",
            topic_id: record.topic_id,
        })?;
        let partition = Arc::new(PartitionImage::from_record(record));
        Arc::make_mut(topic).partitions.insert(record.partition_id, partition);
        delta.partitions_changed.insert((record.topic_id, record.partition_id));
        Ok(())
    }

    fn apply_partition_change(
        &mut self,
        record: &PartitionChangeRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let unknown = ReplayError::UnknownPartition {
            topic_id: record.topic_id,
            partition: record.partition_id,
        };
        let topic = self.topics.get_mut(&record.topic_id).ok_or_else(|| unknown.clone())?;
        let before = topic.partitions.get(&record.partition_id).ok_or(unknown)?;
        let after = Arc::new(before.changed_by(record));
        Arc::make_mut(topic).partitions.insert(record.partition_id, after);
        delta.partitions_changed.insert((record.topic_id, record.partition_id));
        Ok(())
    }

    fn remove_topic(&mut self, id: Uuid, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        let topic = self
            .topics
            .remove(&id)
            .ok_or(ReplayError::UnknownTopic { record: "RemoveTopicRecord", topic_id: id })?;
        self.topic_ids.remove(&*topic.name);
        let resource = ConfigResource::topic(&*topic.name);
        self.configs.remove(&resource);
        delta.configs_changed.remove(&resource);
        delta.partitions_changed.retain(|(topic_id, _)| *topic_id != id);
        if delta.topics_created.remove(&id).is_none() {
            delta.topics_deleted.insert(id, topic);
        }
        Ok(())
    }

    /// Empties the eligible leader replicas of one topic, or of all if the name is empty.
    fn clear_elr(&mut self, name: &str, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        let ids: Vec<Uuid> = if name.is_empty() {
            self.topics.keys().copied().collect()
        } else {
            let id = self.topic_ids.get(name).ok_or_else(|| ReplayError::UnknownTopicName {
                record: "ClearElrRecord",
                name: name.to_owned(),
            })?;
            vec![*id]
        };
        for id in ids {
            let Some(topic) = self.topics.get(&id) else { continue };
            let with_elr = topic.partitions.iter().filter(|(_, partition)| {
                !partition.elr.is_empty() || !partition.last_known_elr.is_empty()
            });
            let changed: Vec<(i32, Arc<PartitionImage>)> =
                with_elr.map(|(index, partition)| (*index, Arc::clone(partition))).collect();
            for (index, partition) in changed {
                let cleared = PartitionImage {
                    elr: Vec::new(),
                    last_known_elr: Vec::new(),
                    ..PartitionImage::clone(&partition)
                };
                if let Some(topic) = self.topics.get_mut(&id) {
                    Arc::make_mut(topic).partitions.insert(index, Arc::new(cleared));
                }
                delta.partitions_changed.insert((id, index));
            }
        }
        Ok(())
    }

    fn apply_config(
        &mut self,
        record: &ConfigRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let kind = ResourceType::from_id(record.resource_type)
            .ok_or(ReplayError::UnknownResourceType(record.resource_type))?;
        let resource = ConfigResource::new(kind, record.resource_name.clone());
        delta.configs_changed.insert(resource.clone());
        let mut config = self.config(&resource);
        let entries = Arc::make_mut(&mut config);
        match &record.value {
            Some(value) => {
                entries.insert(record.name.clone(), value.clone());
            }
            None => {
                entries.remove(&record.name);
            }
        }
        if entries.is_empty() {
            self.configs.remove(&resource);
        } else {
            self.configs.insert(resource, config);
        }
        Ok(())
    }
}
