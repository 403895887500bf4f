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

    /// The record at the version that a metadata version prescribes, without what that version of
    /// the record cannot tell: whoever reads it from the log sees the same.
    pub fn at_level(metadata_version: i16, record: impl Into<MetadataRecord>) -> Self {
        let mut record = record.into();
        let version = version_at(metadata_version, &record);
        match &mut record {
            MetadataRecord::PartitionRecord(record) => {
                if version < 1 {
                    record.directories = Vec::new();
                }
                if version < 2 {
                    record.eligible_leader_replicas = None;
                    record.last_known_elr = None;
                }
            }
            MetadataRecord::PartitionChangeRecord(record) => {
                if version < 1 {
                    record.directories = None;
                }
                if version < 2 {
                    record.eligible_leader_replicas = None;
                    record.last_known_elr = None;
                }
            }
            MetadataRecord::RegisterBrokerRecord(record) => {
                if version < 3 {
                    record.log_dirs = Vec::new();
                }
                if version < 4 {
                    record.cordoned_log_dirs = None;
                }
            }
            _ => {}
        }
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

/// The version of a record that every node of a cluster at this metadata version reads. Levels
/// below the least that a 4.x node supports (7) do not occur, but for 0: none is known yet.
fn version_at(metadata_version: i16, record: &MetadataRecord) -> i16 {
    if metadata_version == 0 {
        return newest_version(record);
    }
    match record {
        MetadataRecord::RegisterBrokerRecord(_) => match metadata_version {
            ..MIGRATION => 1,
            MIGRATION..DIRECTORIES => 2,
            DIRECTORIES..CORDONED_DIRECTORIES => 3,
            _ => newest_version(record),
        },
        MetadataRecord::PartitionRecord(_) | MetadataRecord::PartitionChangeRecord(_) => {
            match metadata_version {
                ..DIRECTORIES => 0,
                DIRECTORIES..ELIGIBLE_LEADERS => 1,
                _ => newest_version(record),
            }
        }
        other => newest_version(other),
    }
}

/// 3.4-IV0: registrations tell whether a broker migrates from ZooKeeper.
const MIGRATION: i16 = 8;
/// 3.6-IV0: a smaller ISR does not count the leader epoch any more.
pub(crate) const NO_BUMP_ON_SHRINK: i16 = 12;
/// 3.7-IV0: controllers register.
pub(crate) const CONTROLLER_REGISTRATION: i16 = 15;
/// 3.7-IV2: registrations and partitions tell log directories (KIP-858).
pub(crate) const DIRECTORIES: i16 = 17;
/// 4.0-IV1: partitions tell eligible leader replicas (KIP-966).
const ELIGIBLE_LEADERS: i16 = 23;
/// 4.3-IV0: registrations tell cordoned log directories (KIP-1066).
pub const CORDONED_DIRECTORIES: i16 = 30;

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

/// Takes over what is decided for one part of a client's request. If these are more records than a
/// request may lead to the part is refused as `too_many`, and other parts may still go.
pub(crate) fn take_decided<E>(
    records: &mut Vec<RecordAndVersion>,
    decided: Result<Vec<RecordAndVersion>, E>,
    too_many: E,
) -> Result<(), E> {
    let mut added = decided?;
    if records.len() + added.len() > RECORDS_PER_REQUEST_MAX {
        return Err(too_many);
    }
    records.append(&mut added);
    Ok(())
}

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
