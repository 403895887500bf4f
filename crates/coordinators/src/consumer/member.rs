//! A member of a consumer group.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use naru_protocol::messages::consumer_group_current_member_assignment_value::ConsumerGroupCurrentMemberAssignmentValue;
use naru_protocol::messages::consumer_group_member_metadata_value::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue,
};

use super::assignment::{Owned, from_current, to_current};

/// Where a member stands on its way to its target assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has what its epoch gives it.
    Stable,
    /// It must give partitions up before it goes on.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up yet.
    UnreleasedPartitions,
    /// Written by a later version: the member must start anew.
    Unknown,
}

impl MemberState {
    const fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    const fn from_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// What a member that speaks the classic protocol said when it joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Classic {
    pub(crate) session_timeout_ms: i32,
    /// In the member's order of preference; its metadata holds the subscription.
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// What a member said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Profile {
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) topics: BTreeSet<String>,
    /// Empty if the member has no pattern.
    pub(crate) regex: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) assignor: Option<String>,
    pub(crate) classic: Option<Classic>,
}

/// How far a member has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) assigned: Owned,
    pub(crate) pending_revocation: Owned,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            epoch: 0,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Owned::new(),
            pending_revocation: Owned::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerMember {
    pub(crate) id: Arc<str>,
    pub(crate) profile: Profile,
    pub(crate) progress: Progress,
    /// Its profile has been replayed; without it the member is only half there.
    pub(crate) known: bool,
}

impl ConsumerMember {
    pub(crate) fn new(id: Arc<str>) -> Self {
        let profile = Profile { rebalance_timeout_ms: -1, ..Profile::default() };
        Self { id, profile, progress: Progress::default(), known: false }
    }

    pub(crate) fn uses_classic_protocol(&self) -> bool {
        self.profile.classic.is_some()
    }

    pub(crate) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.progress.state == MemberState::Stable && self.progress.epoch == epoch
    }
}

impl From<&Profile> for ConsumerGroupMemberMetadataValue {
    fn from(profile: &Profile) -> Self {
        Self {
            instance_id: profile.instance_id.clone(),
            rack_id: profile.rack_id.clone(),
            client_id: profile.client_id.clone(),
            client_host: profile.client_host.clone(),
            subscribed_topic_names: profile.topics.iter().cloned().collect(),
            subscribed_topic_regex: Some(profile.regex.clone()),
            rebalance_timeout_ms: profile.rebalance_timeout_ms,
            server_assignor: profile.assignor.clone(),
            classic_member_metadata: profile.classic.as_ref().map(|classic| {
                let protocols = classic.protocols.iter().map(|(name, metadata)| ClassicProtocol {
                    name: name.clone(),
                    metadata: metadata.clone(),
                });
                ClassicMemberMetadata {
                    session_timeout_ms: classic.session_timeout_ms,
                    supported_protocols: protocols.collect(),
                }
            }),
        }
    }
}

impl From<ConsumerGroupMemberMetadataValue> for Profile {
    fn from(value: ConsumerGroupMemberMetadataValue) -> Self {
        Self {
            instance_id: value.instance_id,
            rack_id: value.rack_id,
            client_id: value.client_id,
            client_host: value.client_host,
            topics: value.subscribed_topic_names.into_iter().collect(),
            regex: value.subscribed_topic_regex.unwrap_or_default(),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            assignor: value.server_assignor,
            classic: value.classic_member_metadata.map(|classic| Classic {
                session_timeout_ms: classic.session_timeout_ms,
                protocols: classic
                    .supported_protocols
                    .into_iter()
                    // Copies, so that a member does not keep a large read buffer alive.
                    .map(|one| (one.name, Bytes::copy_from_slice(&one.metadata)))
                    .collect(),
            }),
        }
    }
}

impl From<&Progress> for ConsumerGroupCurrentMemberAssignmentValue {
    fn from(progress: &Progress) -> Self {
        Self {
            member_epoch: progress.epoch,
            previous_member_epoch: progress.previous_epoch,
            state: progress.state.code(),
            assigned_partitions: to_current(&progress.assigned),
            partitions_pending_revocation: to_current(&progress.pending_revocation),
        }
    }
}

impl From<ConsumerGroupCurrentMemberAssignmentValue> for Progress {
    fn from(value: ConsumerGroupCurrentMemberAssignmentValue) -> Self {
        let epoch = value.member_epoch;
        Self {
            epoch,
            previous_epoch: value.previous_member_epoch,
            state: MemberState::from_code(value.state),
            assigned: from_current(value.assigned_partitions, epoch),
            pending_revocation: from_current(value.partitions_pending_revocation, epoch),
        }
    }
}
