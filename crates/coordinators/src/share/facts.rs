//! The records of a share group in `__consumer_offsets`: key types 10 to 15.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use naru_model::Uuid;
use naru_protocol::messages::share_group_current_member_assignment_key::ShareGroupCurrentMemberAssignmentKey as CurrentKey;
use naru_protocol::messages::share_group_current_member_assignment_value::ShareGroupCurrentMemberAssignmentValue as CurrentValue;
use naru_protocol::messages::share_group_member_metadata_key::ShareGroupMemberMetadataKey as MemberKey;
use naru_protocol::messages::share_group_member_metadata_value::ShareGroupMemberMetadataValue as MemberValue;
use naru_protocol::messages::share_group_metadata_key::ShareGroupMetadataKey as GroupKey;
use naru_protocol::messages::share_group_metadata_value::ShareGroupMetadataValue as GroupValue;
use naru_protocol::messages::share_group_state_partition_metadata_key::ShareGroupStatePartitionMetadataKey as StateKey;
use naru_protocol::messages::share_group_state_partition_metadata_value::{
    ShareGroupStatePartitionMetadataValue as StateValue, TopicInfo, TopicPartitionsInfo,
};
use naru_protocol::messages::share_group_target_assignment_member_key::ShareGroupTargetAssignmentMemberKey as TargetKey;
use naru_protocol::messages::share_group_target_assignment_member_value::{
    ShareGroupTargetAssignmentMemberValue as TargetValue, TopicPartition as TargetTopic,
};
use naru_protocol::messages::share_group_target_assignment_metadata_key::ShareGroupTargetAssignmentMetadataKey as TargetEpochKey;
use naru_protocol::messages::share_group_target_assignment_metadata_value::ShareGroupTargetAssignmentMetadataValue as TargetEpochValue;
use naru_protocol::{DecodeError, Message, Reader, Wire, Writer};

use super::member::{ShareProfile, ShareProgress};
use crate::consumer::{GroupEpoch, Partitions, TargetEpoch};
use crate::records::{read_versioned, versioned};

/// Partitions of one topic whose state is kept, or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct NamedPartitions {
    pub(crate) name: String,
    pub(crate) partitions: BTreeSet<i32>,
}

/// What share coordinators keep for a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StatePartitions {
    pub(crate) initializing: BTreeMap<Uuid, NamedPartitions>,
    pub(crate) initialized: BTreeMap<Uuid, NamedPartitions>,
    /// Topics whose state is being deleted, with their names.
    pub(crate) deleting: BTreeMap<Uuid, String>,
}

/// What a record says about a share group; `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShareFact {
    Group(Option<GroupEpoch>),
    Member(Arc<str>, Option<Box<ShareProfile>>),
    TargetEpoch(Option<TargetEpoch>),
    Target(Arc<str>, Option<Partitions>),
    Current(Arc<str>, Option<Box<ShareProgress>>),
    State(Option<Box<StatePartitions>>),
}

/// Whether records of this key type are a share group's.
pub(crate) const fn is_share_key(key: i16) -> bool {
    matches!(
        key,
        GroupKey::KEY
            | MemberKey::KEY
            | TargetEpochKey::KEY
            | TargetKey::KEY
            | CurrentKey::KEY
            | StateKey::KEY
    )
}

impl ShareFact {
    pub(crate) fn is_tombstone(&self) -> bool {
        matches!(
            self,
            Self::Group(None)
                | Self::Member(_, None)
                | Self::TargetEpoch(None)
                | Self::Target(_, None)
                | Self::Current(_, None)
                | Self::State(None)
        )
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
                value.as_ref().map(|value| versioned(&target_value(value), VERSION))
            }
            Self::Current(member, value) => {
                key.string(member, false);
                let progress = value.as_deref();
                progress.map(|progress| versioned(&CurrentValue::from(progress), VERSION))
            }
            Self::State(value) => {
                value.as_deref().map(|state| versioned(&StateValue::from(state), VERSION))
            }
        };
        (key.into_bytes(), value)
    }

    const fn key(&self) -> i16 {
        match self {
            Self::Group(_) => GroupKey::KEY,
            Self::Member(..) => MemberKey::KEY,
            Self::TargetEpoch(_) => TargetEpochKey::KEY,
            Self::Target(..) => TargetKey::KEY,
            Self::Current(..) => CurrentKey::KEY,
            Self::State(_) => StateKey::KEY,
        }
    }

    /// Reads a record whose key type satisfies [`is_share_key`]: the group and what is said.
    pub(crate) fn read(
        kind: i16,
        key: &mut Reader<'_>,
        value: Option<&Bytes>,
    ) -> Result<(Arc<str>, Self), DecodeError> {
        Ok(match kind {
            MemberKey::KEY => {
                let key = MemberKey::read(key, VERSION)?;
                let value = value.map(read_versioned::<MemberValue>).transpose()?;
                let fact = Self::Member(key.member_id.into(), value.map(|v| Box::new(v.into())));
                (key.group_id.into(), fact)
            }
            TargetEpochKey::KEY => {
                let group = TargetEpochKey::read(key, VERSION)?.group_id;
                let value = value.map(read_versioned::<TargetEpochValue>).transpose()?;
                let value = value.map(|value| TargetEpoch {
                    epoch: value.assignment_epoch,
                    timestamp: value.assignment_timestamp,
                });
                (group.into(), Self::TargetEpoch(value))
            }
            TargetKey::KEY => {
                let key = TargetKey::read(key, VERSION)?;
                let value = value.map(read_versioned::<TargetValue>).transpose()?;
                (key.group_id.into(), Self::Target(key.member_id.into(), value.map(target)))
            }
            CurrentKey::KEY => {
                let key = CurrentKey::read(key, VERSION)?;
                let value = value.map(read_versioned::<CurrentValue>).transpose()?;
                let fact = Self::Current(key.member_id.into(), value.map(|v| Box::new(v.into())));
                (key.group_id.into(), fact)
            }
            StateKey::KEY => {
                let group = StateKey::read(key, VERSION)?.group_id;
                let value = value.map(read_versioned::<StateValue>).transpose()?;
                (group.into(), Self::State(value.map(|value| Box::new(value.into()))))
            }
            _ => {
                let group = GroupKey::read(key, VERSION)?.group_id;
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

fn target_value(partitions: &Partitions) -> TargetValue {
    let topics = partitions.iter().map(|(topic_id, set)| TargetTopic {
        topic_id: *topic_id,
        partitions: set.iter().copied().collect(),
    });
    TargetValue { topic_partitions: topics.collect() }
}

fn target(value: TargetValue) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in value.topic_partitions.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        partitions.entry(topic.topic_id).or_default().extend(topic.partitions);
    }
    partitions
}

impl From<&StatePartitions> for StateValue {
    fn from(state: &StatePartitions) -> Self {
        let infos = |topics: &BTreeMap<Uuid, NamedPartitions>| {
            let infos = topics.iter().map(|(topic_id, topic)| TopicPartitionsInfo {
                topic_id: *topic_id,
                topic_name: topic.name.clone(),
                partitions: topic.partitions.iter().copied().collect(),
            });
            infos.collect()
        };
        let deleting = state.deleting.iter();
        Self {
            initializing_topics: infos(&state.initializing),
            initialized_topics: infos(&state.initialized),
            deleting_topics: deleting
                .map(|(topic_id, name)| TopicInfo { topic_id: *topic_id, topic_name: name.clone() })
                .collect(),
        }
    }
}

impl From<StateValue> for StatePartitions {
    fn from(value: StateValue) -> Self {
        let named = |infos: Vec<TopicPartitionsInfo>| {
            let named = infos.into_iter().map(|info| {
                let partitions = info.partitions.into_iter().collect();
                (info.topic_id, NamedPartitions { name: info.topic_name, partitions })
            });
            named.collect()
        };
        let deleting = value.deleting_topics.into_iter();
        Self {
            initializing: named(value.initializing_topics),
            initialized: named(value.initialized_topics),
            deleting: deleting.map(|info| (info.topic_id, info.topic_name)).collect(),
        }
    }
}

/// The only version of these records so far; later fields are tagged.
const VERSION: i16 = 0;
