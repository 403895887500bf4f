//! The records of a consumer group: types 3 to 8 and 16 of `__consumer_offsets`.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use naru_protocol::messages::consumer_group_current_member_assignment_key::ConsumerGroupCurrentMemberAssignmentKey as CurrentKey;
use naru_protocol::messages::consumer_group_current_member_assignment_value::ConsumerGroupCurrentMemberAssignmentValue as CurrentValue;
use naru_protocol::messages::consumer_group_member_metadata_key::ConsumerGroupMemberMetadataKey as MemberKey;
use naru_protocol::messages::consumer_group_member_metadata_value::ConsumerGroupMemberMetadataValue as MemberValue;
use naru_protocol::messages::consumer_group_metadata_key::ConsumerGroupMetadataKey as GroupKey;
use naru_protocol::messages::consumer_group_metadata_value::ConsumerGroupMetadataValue as GroupValue;
use naru_protocol::messages::consumer_group_partition_metadata_key::ConsumerGroupPartitionMetadataKey as PartitionsKey;
use naru_protocol::messages::consumer_group_regular_expression_key::ConsumerGroupRegularExpressionKey as RegexKey;
use naru_protocol::messages::consumer_group_regular_expression_value::ConsumerGroupRegularExpressionValue as RegexValue;
use naru_protocol::messages::consumer_group_target_assignment_member_key::ConsumerGroupTargetAssignmentMemberKey as TargetKey;
use naru_protocol::messages::consumer_group_target_assignment_member_value::ConsumerGroupTargetAssignmentMemberValue as TargetValue;
use naru_protocol::messages::consumer_group_target_assignment_metadata_key::ConsumerGroupTargetAssignmentMetadataKey as TargetEpochKey;
use naru_protocol::messages::consumer_group_target_assignment_metadata_value::ConsumerGroupTargetAssignmentMetadataValue as TargetEpochValue;
use naru_protocol::{DecodeError, Message, Reader, Wire, Writer};

use super::assignment::{Partitions, from_target, to_target};
use super::member::{Profile, Progress};
use crate::records::{read_versioned, versioned};

/// Topics that a pattern stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ResolvedRegex {
    pub(crate) topics: BTreeSet<String>,
    /// The metadata's offset it was resolved at.
    pub(crate) version: i64,
    /// When it was resolved.
    pub(crate) timestamp: i64,
}

/// A group's epoch, and the hash of what its members subscribe to (KIP-1101).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct GroupEpoch {
    pub(crate) epoch: i32,
    pub(crate) metadata_hash: i64,
}

/// The epoch a target assignment is for, and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TargetEpoch {
    pub(crate) epoch: i32,
    pub(crate) timestamp: i64,
}

/// What a record says about a consumer group; `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConsumerFact {
    Group(Option<GroupEpoch>),
    /// Kafka's before 4.1, which the hash has replaced: only ever removed.
    PartitionMetadata {
        present: bool,
    },
    Member(Arc<str>, Option<Box<Profile>>),
    TargetEpoch(Option<TargetEpoch>),
    Target(Arc<str>, Option<Partitions>),
    Current(Arc<str>, Option<Box<Progress>>),
    Regex(Arc<str>, Option<ResolvedRegex>),
}

/// Whether records of this key type are a consumer group's.
pub(crate) const fn is_consumer_key(key: i16) -> bool {
    matches!(
        key,
        GroupKey::KEY
            | PartitionsKey::KEY
            | MemberKey::KEY
            | TargetEpochKey::KEY
            | TargetKey::KEY
            | CurrentKey::KEY
            | RegexKey::KEY
    )
}

impl ConsumerFact {
    pub(crate) fn is_tombstone(&self) -> bool {
        match self {
            Self::Group(value) => value.is_none(),
            Self::PartitionMetadata { present } => !present,
            Self::Member(_, value) => value.is_none(),
            Self::TargetEpoch(value) => value.is_none(),
            Self::Target(_, value) => value.is_none(),
            Self::Current(_, value) => value.is_none(),
            Self::Regex(_, value) => value.is_none(),
        }
    }

    /// Key and value bytes of the record that says this about `group`.
    pub(crate) fn to_bytes(&self, group: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut key = Writer::default();
        key.i16(self.key());
        key.string(group, false);
        let value = match self {
            Self::Group(value) => value.map(|value| {
                let GroupEpoch { epoch, metadata_hash } = value;
                versioned(&GroupValue { epoch, metadata_hash }, VERSION)
            }),
            Self::PartitionMetadata { .. } => None,
            Self::TargetEpoch(value) => value.map(|value| {
                let (assignment_epoch, assignment_timestamp) = (value.epoch, value.timestamp);
                versioned(&TargetEpochValue { assignment_epoch, assignment_timestamp }, VERSION)
            }),
            Self::Member(member, value) => {
                key.string(member, false);
                let profile = value.as_deref();
                profile.map(|profile| versioned(&MemberValue::from(profile), VERSION))
            }
            Self::Target(member, value) => {
                key.string(member, false);
                value.as_ref().map(|value| {
                    let topic_partitions = to_target(value);
                    versioned(&TargetValue { topic_partitions }, VERSION)
                })
            }
            Self::Current(member, value) => {
                key.string(member, false);
                let progress = value.as_deref();
                progress.map(|progress| versioned(&CurrentValue::from(progress), VERSION))
            }
            Self::Regex(regex, value) => {
                key.string(regex, false);
                value.as_ref().map(|value| {
                    let topics = value.topics.iter().cloned().collect();
                    let (version, timestamp) = (value.version, value.timestamp);
                    versioned(&RegexValue { topics, version, timestamp }, VERSION)
                })
            }
        };
        (key.into_bytes(), value)
    }

    const fn key(&self) -> i16 {
        match self {
            Self::Group(_) => GroupKey::KEY,
            Self::PartitionMetadata { .. } => PartitionsKey::KEY,
            Self::Member(..) => MemberKey::KEY,
            Self::TargetEpoch(_) => TargetEpochKey::KEY,
            Self::Target(..) => TargetKey::KEY,
            Self::Current(..) => CurrentKey::KEY,
            Self::Regex(..) => RegexKey::KEY,
        }
    }

    /// Reads a record whose key type satisfies [`is_consumer_key`]: the group and what is said.
    pub(crate) fn read(
        kind: i16,
        key: &mut Reader<'_>,
        value: Option<&Bytes>,
    ) -> Result<(Arc<str>, Self), DecodeError> {
        Ok(match kind {
            PartitionsKey::KEY => {
                let group = PartitionsKey::read(key, 0)?.group_id;
                (group.into(), Self::PartitionMetadata { present: value.is_some() })
            }
            MemberKey::KEY => {
                let key = MemberKey::read(key, 0)?;
                let value = value.map(read_versioned::<MemberValue>).transpose()?;
                let fact = Self::Member(key.member_id.into(), value.map(|v| Box::new(v.into())));
                (key.group_id.into(), fact)
            }
            TargetEpochKey::KEY => {
                let group = TargetEpochKey::read(key, 0)?.group_id;
                let value = value.map(read_versioned::<TargetEpochValue>).transpose()?;
                let value = value.map(|value| TargetEpoch {
                    epoch: value.assignment_epoch,
                    timestamp: value.assignment_timestamp,
                });
                (group.into(), Self::TargetEpoch(value))
            }
            TargetKey::KEY => {
                let key = TargetKey::read(key, 0)?;
                let value = value.map(read_versioned::<TargetValue>).transpose()?;
                let value = value.map(|value| from_target(value.topic_partitions));
                (key.group_id.into(), Self::Target(key.member_id.into(), value))
            }
            CurrentKey::KEY => {
                let key = CurrentKey::read(key, 0)?;
                let value = value.map(read_versioned::<CurrentValue>).transpose()?;
                let fact = Self::Current(key.member_id.into(), value.map(|v| Box::new(v.into())));
                (key.group_id.into(), fact)
            }
            RegexKey::KEY => {
                let key = RegexKey::read(key, 0)?;
                let value = value.map(read_versioned::<RegexValue>).transpose()?;
                let value = value.map(|value| ResolvedRegex {
                    topics: value.topics.into_iter().collect(),
                    version: value.version,
                    timestamp: value.timestamp,
                });
                (key.group_id.into(), Self::Regex(key.regular_expression.into(), value))
            }
            _ => {
                let group = GroupKey::read(key, 0)?.group_id;
                let value = value.map(read_versioned::<GroupValue>).transpose()?;
                let value = value.map(|value| GroupEpoch {
                    epoch: value.epoch,
                    metadata_hash: value.metadata_hash,
                });
                (group.into(), Self::Group(value))
            }
        })
    }
}

/// The only version of these records so far; later fields are tagged.
const VERSION: i16 = 0;
