//! The image as records: the contents of a snapshot, in the order Kafka writes them.

use naru_protocol::messages::config_record::ConfigRecord;
use naru_protocol::messages::feature_level_record::FeatureLevelRecord;
use naru_protocol::messages::producer_ids_record::ProducerIdsRecord;
use naru_protocol::messages::topic_record::TopicRecord;
use naru_protocol::metadata::MetadataRecord;

use super::{METADATA_VERSION, MetadataImage};
use crate::RecordAndVersion;

impl MetadataImage {
    /// Records that make an equal image (but for its offset), features first.
    pub fn to_records(&self) -> Vec<RecordAndVersion> {
        let mut records = Vec::new();
        // Whoever may read the log at this level may read the snapshot.
        let level = self.feature_level(METADATA_VERSION);
        let mut push =
            |record: MetadataRecord| records.push(RecordAndVersion::at_level(level, record));
        // The metadata version decides how the rest is read, so it comes first.
        let features = self.features.iter();
        let (first, rest): (Vec<_>, Vec<_>) =
            features.partition(|(name, _)| name.as_str() == METADATA_VERSION);
        for (name, level) in first.into_iter().chain(rest) {
            push(FeatureLevelRecord { name: name.clone(), feature_level: *level }.into());
        }
        for broker in self.brokers.values() {
            push(broker.to_record().into());
        }
        for controller in self.controllers.values() {
            push(controller.to_record().into());
        }
        for topic in self.topics() {
            push(TopicRecord { name: topic.name.to_string(), topic_id: topic.id }.into());
            for (index, partition) in topic.partitions.iter() {
                push(partition.to_record(topic.id, *index).into());
            }
        }
        for (resource, config) in self.configs.iter() {
            for (name, value) in config.iter() {
                push(
                    ConfigRecord {
                        resource_type: resource.kind.id(),
                        resource_name: resource.name.clone(),
                        name: name.clone(),
                        value: Some(value.clone()),
                    }
                    .into(),
                );
            }
        }
        if (self.next_producer_id, self.producer_ids_owner) != (0, (0, 0)) {
            let (broker_id, broker_epoch) = self.producer_ids_owner;
            let next_producer_id = self.next_producer_id;
            push(ProducerIdsRecord { broker_id, broker_epoch, next_producer_id }.into());
        }
        for record in self.other.values() {
            push(record.clone());
        }
        records
    }
}
