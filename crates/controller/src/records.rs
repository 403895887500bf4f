//! Records on their way to the metadata log: each with the version it is written at.

use naru_protocol::Message;
use naru_protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use naru_protocol::messages::partition_change_record::PartitionChangeRecord;
use naru_protocol::messages::partition_record::PartitionRecord;
use naru_protocol::messages::register_broker_record::RegisterBrokerRecord;
use naru_protocol::metadata::MetadataRecord;

/// A record and the version of its type to write it at.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordAndVersion {
    /// The record.
    pub record: MetadataRecord,
    /// The version.
    pub version: i16,
}

impl RecordAndVersion {
    /// The record at the version that metadata version 30 (4.3-IV0) prescribes: the newest.
    pub fn newest(record: impl Into<MetadataRecord>) -> Self {
        let record = record.into();
        let version = newest_version(&record);
        Self { record, version }
    }

    /// The record at one version.
    pub fn at(version: i16, record: impl Into<MetadataRecord>) -> Self {
        Self { record: record.into(), version }
    }

    /// The value of the record in the metadata log; its key is null.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.record.to_bytes(self.version)
    }
}

fn newest_version(record: &MetadataRecord) -> i16 {
    match record {
        MetadataRecord::RegisterBrokerRecord(_) => *RegisterBrokerRecord::VERSIONS.end(),
        MetadataRecord::PartitionRecord(_) => *PartitionRecord::VERSIONS.end(),
        MetadataRecord::PartitionChangeRecord(_) => *PartitionChangeRecord::VERSIONS.end(),
        MetadataRecord::BrokerRegistrationChangeRecord(_) => {
            *BrokerRegistrationChangeRecord::VERSIONS.end()
        }
        // Every other type has version 0 only; a test holds this against the schemas.
        _ => 0,
    }
}

/// What a request leads to: records to commit, and the answer once they are committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<R> {
    /// To be appended as one batch, then replayed in order; nothing if empty.
    pub records: Vec<RecordAndVersion>,
    /// The answer, to be held back until the records are committed.
    pub response: R,
}

/// Most records that one request of a client may lead to, as Kafka has it.
pub const RECORDS_PER_REQUEST_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The newest version that each record type's schema has, from the framed form itself.
    #[test]
    fn types_with_one_version_are_all_that_is_left_out() {
        use naru_protocol::messages::{
            access_control_entry_record::AccessControlEntryRecord,
            clear_elr_record::ClearElrRecord, config_record::ConfigRecord,
            delegation_token_record::DelegationTokenRecord,
            feature_level_record::FeatureLevelRecord, producer_ids_record::ProducerIdsRecord,
            register_controller_record::RegisterControllerRecord,
            remove_topic_record::RemoveTopicRecord, topic_record::TopicRecord,
            user_scram_credential_record::UserScramCredentialRecord,
        };
        let newest = [
            *AccessControlEntryRecord::VERSIONS.end(),
            *ClearElrRecord::VERSIONS.end(),
            *ConfigRecord::VERSIONS.end(),
            *DelegationTokenRecord::VERSIONS.end(),
            *FeatureLevelRecord::VERSIONS.end(),
            *ProducerIdsRecord::VERSIONS.end(),
            *RegisterControllerRecord::VERSIONS.end(),
            *RemoveTopicRecord::VERSIONS.end(),
            *TopicRecord::VERSIONS.end(),
            *UserScramCredentialRecord::VERSIONS.end(),
        ];
        assert_eq!(newest, [0; 10]);
    }
}
