//! From one generation of a group to the next.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::ErrorCode;
use naru_protocol::messages::join_group_response::JoinGroupResponse;
use naru_protocol::messages::sync_group_response::SyncGroupResponse;

use crate::error::GroupError;
use crate::group::{ClassicGroup, InitialDelay};
use crate::records::Fact;
use crate::reply::Reply;
use crate::state::GroupState;
use crate::step::{Step, join_timer, sync_timer};
use crate::writes::Completion;

impl Step<'_> {
    /// After something that calls for a new generation.
    pub(crate) fn rebalance_or_complete_join(&mut self, group: &mut ClassicGroup) {
        if group.can_rebalance() {
            self.prepare_rebalance(group);
        } else {
            self.complete_join_if_all_joined(group);
        }
    }

    /// Completes a join that waits for nobody any more, unless it is the first one of an empty
    /// group, which waits for its delay.
    pub(crate) fn complete_join_if_all_joined(&mut self, group: &mut ClassicGroup) {
        if group.state == GroupState::PreparingRebalance
            && group.previous != GroupState::Empty
            && group.has_all_members_joined()
        {
            self.complete_join(group);
        }
    }

    pub(crate) fn prepare_rebalance(&mut self, group: &mut ClassicGroup) {
        if group.state == GroupState::CompletingRebalance {
            group.set_assignments(&HashMap::new());
            self.propagate_assignment(group, GroupError::RebalanceInProgress.into());
        }
        group.sync_write = None;
        group.pending_syncs.clear();
        self.timers.cancel(&sync_timer(group));
        let is_initial = group.state == GroupState::Empty;
        group.transition(GroupState::PreparingRebalance, self.now);
        if is_initial {
            let delay_ms = self.config.initial_rebalance_delay_ms;
            let remaining_ms = (group.rebalance_timeout_ms().saturating_sub(delay_ms)).max(0);
            group.initial_delay = Some(InitialDelay { delay_ms, remaining_ms });
            let at = self.after(delay_ms);
            self.timers.set(join_timer(group), at);
        } else if group.has_all_members_joined() {
            self.complete_join(group);
        } else {
            self.schedule_join(group);
        }
    }

    /// A group comes back that was to become one of another kind; whoever waited in it was sent
    /// away for that.
    pub(crate) fn resume(&mut self, group: &mut ClassicGroup) {
        for id in group.member_ids() {
            self.restart_session(group, &id);
        }
        match group.state {
            GroupState::PreparingRebalance => {
                group.initial_delay = None;
                self.schedule_join(group);
            }
            GroupState::CompletingRebalance => self.prepare_rebalance(group),
            GroupState::Stable | GroupState::Empty | GroupState::Dead => {}
        }
    }

    fn schedule_join(&mut self, group: &ClassicGroup) {
        // Never for now: a tick that sets it must not find it due.
        let at = self.after(group.rebalance_timeout_ms().max(1));
        self.timers.set(join_timer(group), at);
    }

    /// The join timer is up.
    pub(crate) fn on_join_timeout(&mut self, group: &mut ClassicGroup) {
        let Some(InitialDelay { delay_ms, remaining_ms }) = group.initial_delay else {
            return self.complete_join(group);
        };
        // The delay is extended as long as new members keep coming, up to the rebalance timeout.
        if group.new_member_added && remaining_ms != 0 {
            group.new_member_added = false;
            let next_ms = self.config.initial_rebalance_delay_ms.min(remaining_ms);
            group.initial_delay = Some(InitialDelay {
                delay_ms: next_ms,
                remaining_ms: (remaining_ms - delay_ms).max(0),
            });
            let at = self.after(next_ms);
            self.timers.set(join_timer(group), at);
        } else {
            self.complete_join(group);
        }
    }

    /// Forms the next generation of those who have joined.
    pub(crate) fn complete_join(&mut self, group: &mut ClassicGroup) {
        if group.state != GroupState::PreparingRebalance {
            return;
        }
        self.timers.cancel(&join_timer(group));
        group.initial_delay = None;
        group.new_member_added = false;
        // Static members keep their place until their session ends (KIP-345).
        let missing: Vec<Arc<str>> = group
            .members()
            .filter(|member| member.awaiting_join.is_none() && member.instance_id.is_none())
            .map(|member| Arc::clone(&member.id))
            .collect();
        for id in missing {
            self.drop_member(group, &id);
        }
        if group.len() > 0 && !group.elect_joined_leader() {
            // Only static members, and none has come back yet.
            return self.schedule_join(group);
        }
        group.next_generation(self.now);
        if group.state == GroupState::Empty {
            let value = Some(group.to_record(&HashMap::new()));
            self.write(vec![Fact::Group { group: Arc::clone(&group.id), value }], Completion::None);
        } else {
            self.answer_joined(group);
        }
    }

    fn answer_joined(&mut self, group: &mut ClassicGroup) {
        for id in group.member_ids() {
            if let Some(token) = group.take_join(&id) {
                let response = joined_response(group, &id);
                self.answer_join(token, response);
            }
            self.restart_session(group, &id);
            group.set_not_new(&id);
            group.pending_syncs.insert(id);
        }
        let at = self.after(group.rebalance_timeout_ms());
        self.timers.set(sync_timer(group), at);
    }

    /// Members that have not asked for their assignment in time are dropped (KIP-571's twin on
    /// the broker's side), so that the others get theirs.
    pub(crate) fn on_sync_timeout(&mut self, group: &mut ClassicGroup) {
        let waits = match group.state {
            GroupState::CompletingRebalance | GroupState::Stable => true,
            GroupState::Empty | GroupState::PreparingRebalance | GroupState::Dead => false,
        };
        if !waits || group.pending_syncs.is_empty() {
            return;
        }
        for id in std::mem::take(&mut group.pending_syncs) {
            self.drop_member(group, &id);
        }
        self.prepare_rebalance(group);
    }

    /// Answers every member that waits for its assignment.
    pub(crate) fn propagate_assignment(&mut self, group: &mut ClassicGroup, error: ErrorCode) {
        for id in group.member_ids() {
            let Some(token) = group.take_sync(&id) else { continue };
            let response = if error.is_ok() {
                assigned_response(group, &id)
            } else {
                SyncGroupResponse { error_code: error.code(), ..Default::default() }
            };
            self.out.reply(token, Reply::SyncGroup(response));
            self.restart_session(group, &id);
        }
    }
}

/// A member's part in the current generation; the leader also learns who the members are.
pub(crate) fn joined_response(group: &ClassicGroup, member_id: &str) -> JoinGroupResponse {
    let members = if group.is_leader(member_id) { group.join_members() } else { Vec::new() };
    JoinGroupResponse {
        generation_id: group.generation,
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol.clone(),
        leader: group.leader_name(),
        member_id: member_id.to_owned(),
        members,
        ..Default::default()
    }
}

/// A member's assignment.
pub(crate) fn assigned_response(group: &ClassicGroup, member_id: &str) -> SyncGroupResponse {
    SyncGroupResponse {
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol.clone(),
        assignment: group.member(member_id).map(|m| m.assignment.clone()).unwrap_or_default(),
        ..Default::default()
    }
}
