//! A member of a streams group: one thread of an application.

use std::collections::BTreeMap;
use std::sync::Arc;

use naru_protocol::messages::streams_group_current_member_assignment_value::StreamsGroupCurrentMemberAssignmentValue;
use naru_protocol::messages::streams_group_member_metadata_value::{
    Endpoint, KeyValue, StreamsGroupMemberMetadataValue,
};

use super::tasks::{
    Held, from_current, owned_from_current, owned_to_current, to_current, without_epochs,
};

/// Where a member stands on its way to its target assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has what its epoch gives it.
    Stable,
    /// It must give tasks up before it goes on.
    UnrevokedTasks,
    /// It waits for tasks that others have not given up yet.
    UnreleasedTasks,
    /// Written by a later version: the member must start anew.
    Unknown,
}

impl MemberState {
    const fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedTasks => 1,
            Self::UnreleasedTasks => 2,
            Self::Unknown => 127,
        }
    }

    const fn from_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::UnrevokedTasks,
            2 => Self::UnreleasedTasks,
            _ => Self::Unknown,
        }
    }
}

/// What a member said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    /// Not served by Kafka 4.3 yet; kept as the record has it.
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) topology_epoch: i32,
    /// Members of one process share its state directory.
    pub(crate) process_id: String,
    /// Where interactive queries reach the process.
    pub(crate) user_endpoint: Option<(String, u16)>,
    pub(crate) client_tags: BTreeMap<String, String>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout_ms: -1,
            topology_epoch: -1,
            process_id: String::new(),
            user_endpoint: None,
            client_tags: BTreeMap::new(),
        }
    }
}

/// How far a member has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) assigned: Held,
    pub(crate) pending_revocation: Held,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            assigned: Held::default(),
            pending_revocation: Held::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamsMember {
    pub(crate) id: Arc<str>,
    pub(crate) profile: Profile,
    pub(crate) progress: Progress,
    /// Its profile has been replayed; without it the member is only half there.
    pub(crate) known: bool,
}

impl StreamsMember {
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self { id, profile: Profile::default(), progress: Progress::default(), known: false }
    }

    pub(crate) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.progress.state == MemberState::Stable && self.progress.epoch == epoch
    }
}

impl From<&Profile> for StreamsGroupMemberMetadataValue {
    fn from(profile: &Profile) -> Self {
        let tags = profile.client_tags.iter();
        let endpoint = profile.user_endpoint.as_ref();
        Self {
            instance_id: profile.instance_id.clone(),
            rack_id: profile.rack_id.clone(),
            client_id: profile.client_id.clone(),
            client_host: profile.client_host.clone(),
            rebalance_timeout_ms: profile.rebalance_timeout_ms,
            topology_epoch: profile.topology_epoch,
            process_id: profile.process_id.clone(),
            user_endpoint: endpoint
                .map(|(host, port)| Endpoint { host: host.clone(), port: *port }),
            client_tags: tags
                .map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() })
                .collect(),
        }
    }
}

impl From<StreamsGroupMemberMetadataValue> for Profile {
    fn from(value: StreamsGroupMemberMetadataValue) -> Self {
        Self {
            instance_id: value.instance_id,
            rack_id: value.rack_id,
            client_id: value.client_id,
            client_host: value.client_host,
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            topology_epoch: value.topology_epoch,
            process_id: value.process_id,
            user_endpoint: value.user_endpoint.map(|endpoint| (endpoint.host, endpoint.port)),
            client_tags: value.client_tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        }
    }
}

impl From<&Progress> for StreamsGroupCurrentMemberAssignmentValue {
    fn from(progress: &Progress) -> Self {
        let Progress { assigned, pending_revocation: pending, .. } = progress;
        Self {
            member_epoch: progress.epoch,
            previous_member_epoch: progress.previous_epoch,
            state: progress.state.code(),
            active_tasks: owned_to_current(&assigned.active),
            standby_tasks: to_current(&assigned.standby),
            warmup_tasks: to_current(&assigned.warmup),
            active_tasks_pending_revocation: owned_to_current(&pending.active),
            standby_tasks_pending_revocation: to_current(&pending.standby),
            warmup_tasks_pending_revocation: to_current(&pending.warmup),
        }
    }
}

impl From<StreamsGroupCurrentMemberAssignmentValue> for Progress {
    fn from(value: StreamsGroupCurrentMemberAssignmentValue) -> Self {
        let epoch = value.member_epoch;
        Self {
            epoch,
            previous_epoch: value.previous_member_epoch,
            state: MemberState::from_code(value.state),
            assigned: Held {
                active: owned_from_current(value.active_tasks, epoch),
                standby: from_current(value.standby_tasks),
                warmup: from_current(value.warmup_tasks),
            },
            pending_revocation: Held {
                active: owned_from_current(value.active_tasks_pending_revocation, epoch),
                standby: from_current(value.standby_tasks_pending_revocation),
                warmup: from_current(value.warmup_tasks_pending_revocation),
            },
        }
    }
}

impl Held {
    /// What it is without epochs.
    pub(crate) fn tasks(&self) -> super::tasks::Assignment {
        super::tasks::Assignment {
            active: without_epochs(&self.active),
            standby: self.standby.clone(),
            warmup: self.warmup.clone(),
        }
    }
}
