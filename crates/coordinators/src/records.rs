//! The shard's records in the formats of `__consumer_offsets`: bytes to facts and back.
//!
//! A key is its type (an i16) and the key message; a value its version and the value message.
//! Versions written are those of Kafka 4.3.1; all published ones are read.

use std::sync::Arc;

use bytes::Bytes;
use naru_model::Timestamp;
use naru_protocol::messages::group_metadata_key::GroupMetadataKey;
use naru_protocol::messages::group_metadata_value::GroupMetadataValue;
use naru_protocol::messages::legacy_offset_commit_key::LegacyOffsetCommitKey;
use naru_protocol::messages::offset_commit_key::OffsetCommitKey;
use naru_protocol::messages::offset_commit_value::OffsetCommitValue;
use naru_protocol::{DecodeError, Message, Reader, Wire, Writer};

use crate::consumer::{ConsumerFact, is_consumer_key};
use crate::offsets::OffsetAndMetadata;
use crate::share::{ShareFact, is_share_key};
use crate::streams::{StreamsFact, is_streams_key};

/// A record to append to the shard's partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// Key bytes.
    pub key: Vec<u8>,
    /// Value bytes; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The record's timestamp.
    pub timestamp: Timestamp,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    /// A committed offset, or that there is none any more.
    Offset { group: Arc<str>, topic: String, partition: i32, value: Option<OffsetAndMetadata> },
    /// A group's generation, or that the group is gone.
    Group { group: Arc<str>, value: Option<GroupMetadataValue> },
    /// A consumer group's.
    Consumer { group: Arc<str>, fact: ConsumerFact },
    /// A streams group's.
    Streams { group: Arc<str>, fact: StreamsFact },
    /// A share group's.
    Share { group: Arc<str>, fact: ShareFact },
    /// A type this version does not know.
    Unknown,
}

impl Fact {
    pub(crate) fn group(&self) -> Option<&Arc<str>> {
        match self {
            Self::Offset { group, .. }
            | Self::Group { group, .. }
            | Self::Consumer { group, .. }
            | Self::Streams { group, .. }
            | Self::Share { group, .. } => Some(group),
            Self::Unknown => None,
        }
    }

    /// The record that says this, `None` for what is not known.
    pub(crate) fn to_record(&self, timestamp: Timestamp) -> Option<CoordinatorRecord> {
        let (key, value) = match self {
            Self::Offset { group, topic, partition, value } => {
                // The key message borrows nothing, so it is written by hand: this is the hot path.
                let mut key = Writer::default();
                key.i16(OffsetCommitKey::KEY);
                key.string(group, false);
                key.string(topic, false);
                key.i32(*partition);
                (key.into_bytes(), value.as_ref().map(offset_value))
            }
            Self::Group { group, value } => {
                let mut key = Writer::default();
                key.i16(GroupMetadataKey::KEY);
                key.string(group, false);
                (key.into_bytes(), value.as_ref().map(|value| versioned(value, GROUP_VERSION)))
            }
            Self::Consumer { group, fact } => fact.to_bytes(group),
            Self::Streams { group, fact } => fact.to_bytes(group),
            Self::Share { group, fact } => fact.to_bytes(group),
            Self::Unknown => return None,
        };
        Some(CoordinatorRecord { key, value, timestamp })
    }

    /// Reads a record.
    pub(crate) fn from_bytes(key: &Bytes, value: Option<&Bytes>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(key);
        Ok(match reader.i16()? {
            OFFSET_KEY_LEGACY => {
                let key = LegacyOffsetCommitKey::read(&mut reader, 0)?;
                Self::offset(key.group, key.topic, key.partition, value)?
            }
            OffsetCommitKey::KEY => {
                let key = OffsetCommitKey::read(&mut reader, 0)?;
                Self::offset(key.group, key.topic, key.partition, value)?
            }
            GroupMetadataKey::KEY => {
                let key = GroupMetadataKey::read(&mut reader, 0)?;
                let value = value.map(read_versioned).transpose()?;
                Self::Group { group: key.group.into(), value }
            }
            kind if is_consumer_key(kind) => {
                let (group, fact) = ConsumerFact::read(kind, &mut reader, value)?;
                Self::Consumer { group, fact }
            }
            kind if is_streams_key(kind) => {
                let (group, fact) = StreamsFact::read(kind, &mut reader, value)?;
                Self::Streams { group, fact }
            }
            kind if is_share_key(kind) => {
                let (group, fact) = ShareFact::read(kind, &mut reader, value)?;
                Self::Share { group, fact }
            }
            _ => Self::Unknown,
        })
    }

    fn offset(
        group: String,
        topic: String,
        partition: i32,
        value: Option<&Bytes>,
    ) -> Result<Self, DecodeError> {
        let value = value.map(read_versioned::<OffsetCommitValue>).transpose()?;
        Ok(Self::Offset { group: group.into(), topic, partition, value: value.map(Into::into) })
    }
}

fn offset_value(value: &OffsetAndMetadata) -> Vec<u8> {
    let version = match value.expire_timestamp {
        Some(_) => OFFSET_VERSION_WITH_EXPIRY,
        None if value.topic_id.is_zero() => OFFSET_VERSION,
        None => OFFSET_VERSION_WITH_TOPIC_ID,
    };
    versioned(&OffsetCommitValue::from(value), version)
}

pub(crate) fn versioned(message: &impl Message, version: i16) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.i16(version);
    message.write(&mut writer, version);
    writer.into_bytes()
}

pub(crate) fn read_versioned<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    if !M::VERSIONS.contains(&version) {
        return Err(DecodeError::UnknownVersion(version));
    }
    M::read(&mut reader, version)
}

impl From<OffsetCommitValue> for OffsetAndMetadata {
    fn from(value: OffsetCommitValue) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata,
            commit_timestamp: Timestamp(value.commit_timestamp),
            expire_timestamp: (value.expire_timestamp != NO_EXPIRY)
                .then_some(Timestamp(value.expire_timestamp)),
            topic_id: value.topic_id,
        }
    }
}

impl From<&OffsetAndMetadata> for OffsetCommitValue {
    fn from(value: &OffsetAndMetadata) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
            commit_timestamp: value.commit_timestamp.get(),
            expire_timestamp: value.expire_timestamp.map_or(NO_EXPIRY, Timestamp::get),
            topic_id: value.topic_id,
        }
    }
}

/// Key type of offsets written before 0.9.
const OFFSET_KEY_LEGACY: i16 = 0;
/// The only version with an expiry of its own (requests up to v4).
const OFFSET_VERSION_WITH_EXPIRY: i16 = 1;
const OFFSET_VERSION: i16 = 3;
const OFFSET_VERSION_WITH_TOPIC_ID: i16 = 4;
const GROUP_VERSION: i16 = 3;
const NO_EXPIRY: i64 = -1;
