//! Heartbeat (key 12, v0–v4), LeaveGroup (key 13, v0–v5) and sessions that end.
//! Heartbeat v3 static members · LeaveGroup v3 several members at once, v5 reasons.

use std::sync::Arc;

use naru_model::ErrorCode;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use naru_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

use crate::error::GroupError;
use crate::group::ClassicGroup;
use crate::state::GroupState;
use crate::step::Step;

impl Step<'_> {
    pub(crate) fn heartbeat(
        &mut self,
        group: &ClassicGroup,
        request: &HeartbeatRequest,
    ) -> Result<(), GroupError> {
        group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.restart_session(group, &request.member_id);
        match group.state {
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
        }
    }

    /// Lets members go; the answer may have to wait for the records this brings about.
    pub(crate) fn leave(
        &mut self,
        group: &mut ClassicGroup,
        members: Vec<MemberIdentity>,
    ) -> Vec<MemberResponse> {
        let responses: Vec<MemberResponse> =
            members.into_iter().map(|member| self.leave_one(group, member)).collect();
        if responses.iter().any(|response| response.error_code == 0) {
            match group.state {
                GroupState::Stable | GroupState::CompletingRebalance => {
                    self.rebalance_or_complete_join(group);
                }
                GroupState::PreparingRebalance => self.complete_join_if_all_joined(group),
                GroupState::Empty | GroupState::Dead => {}
            }
        }
        responses
    }

    fn leave_one(&mut self, group: &mut ClassicGroup, member: MemberIdentity) -> MemberResponse {
        let found = find_leaving(group, &member);
        if let Ok(id) = &found {
            self.drop_member(group, id);
        }
        let error = found.err().map_or(ErrorCode::None, ErrorCode::from);
        MemberResponse {
            member_id: member.member_id,
            group_instance_id: member.group_instance_id,
            error_code: error.code(),
        }
    }

    /// A member has not been heard of for its session timeout.
    pub(crate) fn on_session_timeout(&mut self, group: &mut ClassicGroup, member_id: &str) {
        if group.pending_joins.remove(member_id) {
            return self.complete_join_without(group);
        }
        let alive = group.member(member_id).is_some_and(|m| m.has_satisfied_heartbeat());
        if !alive {
            self.remove_member(group, member_id);
        }
    }

    /// Removes a member and moves the group on without it.
    pub(crate) fn remove_member(&mut self, group: &mut ClassicGroup, member_id: &str) {
        self.drop_member(group, member_id);
        match group.state {
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.rebalance_or_complete_join(group);
            }
            GroupState::PreparingRebalance => self.complete_join_without(group),
            GroupState::Empty | GroupState::Dead => {}
        }
    }

    fn complete_join_without(&mut self, group: &mut ClassicGroup) {
        if group.state == GroupState::PreparingRebalance && group.has_all_members_joined() {
            self.complete_join(group);
        }
    }
}

fn find_leaving(group: &ClassicGroup, member: &MemberIdentity) -> Result<Arc<str>, GroupError> {
    let id = member.member_id.as_str();
    if id.is_empty() {
        // An administrator removes a static member by its instance id.
        let current = member.group_instance_id.as_deref().and_then(|id| group.static_member(id));
        return current.cloned().ok_or(GroupError::UnknownMemberId);
    }
    if !group.pending_joins.contains(id) {
        group.validate_member(id, member.group_instance_id.as_deref())?;
    }
    Ok(id.into())
}

/// The members that a LeaveGroup of any version names.
pub(crate) fn leaving_members(api_version: i16, request: LeaveGroupRequest) -> Vec<MemberIdentity> {
    if api_version >= LEAVE_BATCH_SINCE {
        request.members
    } else {
        vec![MemberIdentity { member_id: request.member_id, ..Default::default() }]
    }
}

/// The answer in the shape of `api_version`: one member's error is the answer's before v3.
pub(crate) fn leave_response(api_version: i16, members: Vec<MemberResponse>) -> LeaveGroupResponse {
    if api_version >= LEAVE_BATCH_SINCE {
        LeaveGroupResponse { members, ..Default::default() }
    } else {
        let error_code = members.first().map_or(0, |member| member.error_code);
        LeaveGroupResponse { error_code, ..Default::default() }
    }
}

const LEAVE_BATCH_SINCE: i16 = 3;
