//! The records of a streams group: types 17 and 19 to 23 of `__consumer_offsets`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use naru_protocol::messages::streams_group_current_member_assignment_key::StreamsGroupCurrentMemberAssignmentKey as CurrentKey;
use naru_protocol::messages::streams_group_current_member_assignment_value::StreamsGroupCurrentMemberAssignmentValue as CurrentValue;
use naru_protocol::messages::streams_group_member_metadata_key::StreamsGroupMemberMetadataKey as MemberKey;
use naru_protocol::messages::streams_group_member_metadata_value::StreamsGroupMemberMetadataValue as MemberValue;
use naru_protocol::messages::streams_group_metadata_key::StreamsGroupMetadataKey as GroupKey;
use naru_protocol::messages::streams_group_metadata_value::{
    LastAssignmentConfig, StreamsGroupMetadataValue as GroupValue,
};
use naru_protocol::messages::streams_group_target_assignment_member_key::StreamsGroupTargetAssignmentMemberKey as TargetKey;
use naru_protocol::messages::streams_group_target_assignment_member_value::{
    StreamsGroupTargetAssignmentMemberValue as TargetValue, TaskIds,
};
use naru_protocol::messages::streams_group_target_assignment_metadata_key::StreamsGroupTargetAssignmentMetadataKey as TargetEpochKey;
use naru_protocol::messages::streams_group_target_assignment_metadata_value::StreamsGroupTargetAssignmentMetadataValue as TargetEpochValue;
use naru_protocol::messages::streams_group_topology_key::StreamsGroupTopologyKey as TopologyKey;
use naru_protocol::messages::streams_group_topology_value::StreamsGroupTopologyValue as TopologyValue;
use naru_protocol::{DecodeError, Message, Reader, Wire, Writer};

use super::member::{Profile, Progress};
use super::tasks::{Assignment, Tasks, collect, to_message};
use super::topology::Topology;
use crate::records::{read_versioned, versioned};

/// A group's epoch, and what it was begun for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GroupEpoch {
    pub(crate) epoch: i32,
    /// Of the topics that the topology needs (KIP-1101).
    pub(crate) metadata_hash: i64,
    /// The topology's epoch if its topics were as they should be, else -1.
    pub(crate) validated_topology_epoch: i32,
    /// What the group was set to be assigned with.
    pub(crate) configs: BTreeMap<String, String>,
}

/// The epoch a target assignment is for, and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetEpoch {
    pub(crate) epoch: i32,
    pub(crate) timestamp: i64,
}

/// What a record says about a streams group; `None` is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StreamsFact {
    Group(Option<GroupEpoch>),
    Topology(Option<Arc<Topology>>),
    Member(Arc<str>, Option<Box<Profile>>),
    TargetEpoch(Option<TargetEpoch>),
    Target(Arc<str>, Option<Assignment>),
    Current(Arc<str>, Option<Box<Progress>>),
}

/// Whether records of this key type are a streams group's.
pub(crate) const fn is_streams_key(key: i16) -> bool {
    matches!(
        key,
        GroupKey::KEY
            | TopologyKey::KEY
            | MemberKey::KEY
            | TargetEpochKey::KEY
            | TargetKey::KEY
            | CurrentKey::KEY
    )
}

impl StreamsFact {
    pub(crate) fn is_tombstone(&self) -> bool {
        match self {
            Self::Group(value) => value.is_none(),
            Self::Topology(value) => value.is_none(),
            Self::Member(_, value) => value.is_none(),
            Self::TargetEpoch(value) => value.is_none(),
            Self::Target(_, value) => value.is_none(),
            Self::Current(_, value) => value.is_none(),
        }
    }

    /// Key and value bytes of the record that says this about `group`.
    pub(crate) fn to_bytes(&self, group: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut key = Writer::default();
        key.i16(self.key());
        key.string(group, false);
        let value = match self {
            Self::Group(value) => {
                value.as_ref().map(|value| versioned(&GroupValue::from(value), VERSION))
            }
            Self::Topology(value) => {
                value.as_deref().map(|value| versioned(&TopologyValue::from(value), VERSION))
            }
            Self::TargetEpoch(value) => value.map(|value| {
                let (assignment_epoch, assignment_timestamp) = (value.epoch, value.timestamp);
                versioned(&TargetEpochValue { assignment_epoch, assignment_timestamp }, VERSION)
            }),
            Self::Member(member, value) => {
                key.string(member, false);
                value.as_deref().map(|value| versioned(&MemberValue::from(value), VERSION))
            }
            Self::Target(member, value) => {
                key.string(member, false);
                value.as_ref().map(|value| versioned(&TargetValue::from(value), VERSION))
            }
            Self::Current(member, value) => {
                key.string(member, false);
                value.as_deref().map(|value| versioned(&CurrentValue::from(value), VERSION))
            }
        };
        (key.into_bytes(), value)
    }

    const fn key(&self) -> i16 {
        match self {
            Self::Group(_) => GroupKey::KEY,
            Self::Topology(_) => TopologyKey::KEY,
            Self::Member(..) => MemberKey::KEY,
            Self::TargetEpoch(_) => TargetEpochKey::KEY,
            Self::Target(..) => TargetKey::KEY,
            Self::Current(..) => CurrentKey::KEY,
        }
    }

    /// Reads a record whose key type satisfies [`is_streams_key`]: the group and what is said.
    pub(crate) fn read(
        kind: i16,
        key: &mut Reader<'_>,
        value: Option<&Bytes>,
    ) -> Result<(Arc<str>, Self), DecodeError> {
        Ok(match kind {
            TopologyKey::KEY => {
                let group = TopologyKey::read(key, 0)?.group_id;
                let value = value.map(read_versioned::<TopologyValue>).transpose()?;
                (group.into(), Self::Topology(value.map(|value| Arc::new(value.into()))))
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
                let fact = Self::Target(key.member_id.into(), value.map(Into::into));
                (key.group_id.into(), fact)
            }
            CurrentKey::KEY => {
                let key = CurrentKey::read(key, 0)?;
                let value = value.map(read_versioned::<CurrentValue>).transpose()?;
                let fact = Self::Current(key.member_id.into(), value.map(|v| Box::new(v.into())));
                (key.group_id.into(), fact)
            }
            _ => {
                let group = GroupKey::read(key, 0)?.group_id;
                let value = value.map(read_versioned::<GroupValue>).transpose()?;
                (group.into(), Self::Group(value.map(Into::into)))
            }
        })
    }
}

impl From<&GroupEpoch> for GroupValue {
    fn from(value: &GroupEpoch) -> Self {
        let configs = value
            .configs
            .iter()
            .map(|(key, value)| LastAssignmentConfig { key: key.clone(), value: value.clone() });
        Self {
            epoch: value.epoch,
            metadata_hash: value.metadata_hash,
            validated_topology_epoch: value.validated_topology_epoch,
            last_assignment_configs: Some(configs.collect()),
        }
    }
}

impl From<GroupValue> for GroupEpoch {
    fn from(value: GroupValue) -> Self {
        let configs = value.last_assignment_configs.unwrap_or_default().into_iter();
        Self {
            epoch: value.epoch,
            metadata_hash: value.metadata_hash,
            validated_topology_epoch: value.validated_topology_epoch,
            configs: configs.map(|one| (one.key, one.value)).collect(),
        }
    }
}

impl From<&Assignment> for TargetValue {
    fn from(value: &Assignment) -> Self {
        let ids = |tasks: &Tasks| {
            to_message(tasks, |subtopology_id, partitions| TaskIds { subtopology_id, partitions })
        };
        Self {
            active_tasks: ids(&value.active),
            standby_tasks: ids(&value.standby),
            warmup_tasks: ids(&value.warmup),
        }
    }
}

impl From<TargetValue> for Assignment {
    fn from(value: TargetValue) -> Self {
        let tasks = |ids: Vec<TaskIds>| {
            collect(ids.into_iter().map(|one| (one.subtopology_id, one.partitions)))
        };
        Self {
            active: tasks(value.active_tasks),
            standby: tasks(value.standby_tasks),
            warmup: tasks(value.warmup_tasks),
        }
    }
}

/// The only version of these records so far; later fields are tagged.
const VERSION: i16 = 0;
