//! SyncGroup (key 14, v0–v5). v3 static members · v5 protocol type and name are checked.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use naru_model::ErrorCode;
use naru_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};

use crate::error::{GroupError, append_error};
use crate::group::ClassicGroup;
use crate::rebalance::assigned_response;
use crate::records::Fact;
use crate::reply::{Reply, ReplyToken};
use crate::state::GroupState;
use crate::step::{Step, sync_timer};
use crate::writes::{Completion, WriteId};

impl Step<'_> {
    pub(crate) fn sync(
        &mut self,
        group: &mut ClassicGroup,
        token: ReplyToken,
        request: &SyncGroupRequest,
    ) {
        if let Err(error) = validate(group, request) {
            return self.refuse_sync(token, error);
        }
        let member_id = request.member_id.as_str();
        match group.state {
            GroupState::Stable => {
                self.take_pending_sync(group, member_id);
                let response = assigned_response(group, member_id);
                self.out.reply(token, Reply::SyncGroup(response));
            }
            GroupState::CompletingRebalance => {
                if let Some(displaced) = group.park_sync(member_id, token) {
                    self.refuse_sync(displaced, GroupError::RebalanceInProgress);
                }
                self.take_pending_sync(group, member_id);
                // A leader that asks again while its assignment is being stored waits for that.
                if group.is_leader(member_id) && group.sync_write.is_none() {
                    self.store_assignment(group, &request.assignments);
                }
            }
            GroupState::PreparingRebalance => {
                self.refuse_sync(token, GroupError::RebalanceInProgress);
            }
            GroupState::Empty | GroupState::Dead => {
                self.refuse_sync(token, GroupError::UnknownMemberId);
            }
        }
    }

    fn take_pending_sync(&mut self, group: &mut ClassicGroup, member_id: &str) {
        group.pending_syncs.remove(member_id);
        if group.pending_syncs.is_empty() {
            self.timers.cancel(&sync_timer(group));
        }
    }

    fn store_assignment(
        &mut self,
        group: &mut ClassicGroup,
        assignments: &[SyncGroupRequestAssignment],
    ) {
        // Only what members get is kept, in memory of its own.
        let assignment: HashMap<String, Bytes> = assignments
            .iter()
            .filter(|entry| group.member(&entry.member_id).is_some())
            .map(|entry| (entry.member_id.clone(), Bytes::copy_from_slice(&entry.assignment)))
            .collect();
        let assigned: usize = assignment.values().map(Bytes::len).sum();
        if group.record_bytes() + assigned > self.config.max_record_bytes {
            return self.fail_sync(group, GroupError::MetadataTooLarge.into());
        }
        // The generation is Stable as soon as its record is read back.
        let value = Some(group.to_record(&assignment));
        let facts = vec![Fact::Group { group: Arc::clone(&group.id), value }];
        let completion = Completion::Sync { group: Arc::clone(&group.id), assignment };
        group.sync_write = Some(self.write(facts, completion));
    }

    /// The leader's assignment is stored, or could not be.
    pub(crate) fn on_sync_written(
        &mut self,
        group: &mut ClassicGroup,
        write: WriteId,
        assignment: &HashMap<String, Bytes>,
        result: Result<(), ErrorCode>,
    ) {
        // Otherwise a rebalance has overtaken it and has answered the members. A generation's
        // number would not tell: a group that was deleted and made again counts anew.
        if group.sync_write != Some(write) {
            return;
        }
        match result {
            Ok(()) => {
                group.sync_write = None;
                group.set_assignments(assignment);
                self.propagate_assignment(group, ErrorCode::None);
                group.transition(GroupState::Stable, self.now);
            }
            Err(error) => self.fail_sync(group, append_error(error)),
        }
    }

    fn fail_sync(&mut self, group: &mut ClassicGroup, error: ErrorCode) {
        group.set_assignments(&HashMap::new());
        self.propagate_assignment(group, error);
        self.rebalance_or_complete_join(group);
    }
}

/// What can be refused without looking at the group.
pub(crate) fn validate_sync(
    api_version: i16,
    request: &SyncGroupRequest,
) -> Result<(), GroupError> {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if api_version >= PROTOCOL_REQUIRED_SINCE && !names_protocol {
        return Err(GroupError::InconsistentGroupProtocol);
    }
    if request.group_id.is_empty() {
        return Err(GroupError::InvalidGroupId);
    }
    Ok(())
}

fn validate(group: &ClassicGroup, request: &SyncGroupRequest) -> Result<(), GroupError> {
    group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation {
        return Err(GroupError::IllegalGeneration);
    }
    let differs = |asked: &Option<String>, current: &Option<String>| {
        asked.is_some() && current.is_some() && asked != current
    };
    if differs(&request.protocol_type, &group.protocol_type)
        || differs(&request.protocol_name, &group.protocol)
    {
        return Err(GroupError::InconsistentGroupProtocol);
    }
    Ok(())
}

/// From this version on the member must say which protocol it means (KIP-559).
const PROTOCOL_REQUIRED_SINCE: i16 = 5;
