//! A member of a share group.

use std::collections::BTreeSet;
use std::sync::Arc;

use naru_protocol::messages::share_group_current_member_assignment_value::{
    ShareGroupCurrentMemberAssignmentValue, TopicPartitions,
};
use naru_protocol::messages::share_group_member_metadata_value::ShareGroupMemberMetadataValue;

use crate::consumer::Partitions;

/// What a member said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ShareProfile {
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) topics: BTreeSet<String>,
}

/// What a member has, and since which epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShareProgress {
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    /// Always Stable (0): members of a share group give nothing up. Kept as it was read.
    pub(crate) state: i8,
    pub(crate) assigned: Partitions,
}

impl Default for ShareProgress {
    fn default() -> Self {
        Self { epoch: 0, previous_epoch: -1, state: 0, assigned: Partitions::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShareMember {
    pub(crate) id: Arc<str>,
    pub(crate) profile: ShareProfile,
    pub(crate) progress: ShareProgress,
    /// Its profile has been replayed; without it the member is only half there.
    pub(crate) known: bool,
}

impl ShareMember {
    pub(crate) fn new(id: Arc<str>) -> Self {
        let (profile, progress) = (ShareProfile::default(), ShareProgress::default());
        Self { id, profile, progress, known: false }
    }
}

impl From<&ShareProfile> for ShareGroupMemberMetadataValue {
    fn from(profile: &ShareProfile) -> Self {
        Self {
            rack_id: profile.rack_id.clone(),
            client_id: profile.client_id.clone(),
            client_host: profile.client_host.clone(),
            subscribed_topic_names: profile.topics.iter().cloned().collect(),
        }
    }
}

impl From<ShareGroupMemberMetadataValue> for ShareProfile {
    fn from(value: ShareGroupMemberMetadataValue) -> Self {
        Self {
            rack_id: value.rack_id,
            client_id: value.client_id,
            client_host: value.client_host,
            topics: value.subscribed_topic_names.into_iter().collect(),
        }
    }
}

impl From<&ShareProgress> for ShareGroupCurrentMemberAssignmentValue {
    fn from(progress: &ShareProgress) -> Self {
        let topics = progress.assigned.iter().map(|(topic_id, partitions)| TopicPartitions {
            topic_id: *topic_id,
            partitions: partitions.iter().copied().collect(),
        });
        Self {
            member_epoch: progress.epoch,
            previous_member_epoch: progress.previous_epoch,
            state: progress.state,
            assigned_partitions: topics.collect(),
        }
    }
}

impl From<ShareGroupCurrentMemberAssignmentValue> for ShareProgress {
    fn from(value: ShareGroupCurrentMemberAssignmentValue) -> Self {
        let mut assigned = Partitions::new();
        let topics = value.assigned_partitions.into_iter();
        for topic in topics.filter(|topic| !topic.partitions.is_empty()) {
            assigned.entry(topic.topic_id).or_default().extend(topic.partitions);
        }
        Self {
            epoch: value.member_epoch,
            previous_epoch: value.previous_member_epoch,
            state: value.state,
            assigned,
        }
    }
}
