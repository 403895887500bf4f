//! JoinGroup (key 11, v0–v9). KIP-345, 394, 559, 814.
//! v1 rebalance timeout · v4 ids are given before the join · v5 static members ·
//! v7 protocol type · v9 a returning static leader is told to skip the assignment.

use std::collections::HashMap;
use std::sync::Arc;

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::join_group_response::JoinGroupResponse;

use crate::command::ClientContext;
use crate::config::GroupConfig;
use crate::error::{GroupError, append_error};
use crate::group::ClassicGroup;
use crate::member::{Member, largest, owned_protocols};
use crate::rebalance::joined_response;
use crate::records::Fact;
use crate::reply::ReplyToken;
use crate::state::GroupState;
use crate::step::{Step, session};
use crate::writes::{Completion, StaticReplaced};

/// A JoinGroup on its way through the group.
pub(crate) struct Join<'a> {
    pub(crate) token: ReplyToken,
    pub(crate) context: &'a ClientContext,
    pub(crate) request: JoinGroupRequest,
    pub(crate) member_uuid: Uuid,
}

impl Join<'_> {
    /// What can be refused without looking at the group.
    pub(crate) fn validate(&self, config: &GroupConfig) -> Result<(), GroupError> {
        let request = &self.request;
        if request.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let range = config.min_session_timeout_ms..=config.max_session_timeout_ms;
        if !range.contains(&request.session_timeout_ms) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let cost = |p: &JoinGroupRequestProtocol| p.name.len() + p.metadata.len();
        if request.protocols.len() > PROTOCOLS_MAX
            || request.protocols.iter().map(cost).sum::<usize>() > config.max_member_metadata_bytes
            || request.protocols.iter().any(|p| p.metadata.len() > config.max_record_bytes)
        {
            return Err(GroupError::MetadataTooLarge);
        }
        Ok(())
    }

    pub(crate) fn new_member_id(&self) -> Arc<str> {
        let prefix = self.request.group_instance_id.as_ref().unwrap_or(&self.context.client_id);
        format!("{prefix}-{}", hyphenated(self.member_uuid)).into()
    }

    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        // Version 0 has one timeout for both.
        if self.context.api_version == 0 {
            self.request.session_timeout_ms
        } else {
            self.request.rebalance_timeout_ms
        }
    }

    /// Makes `member` what the request says it is, waiting for this join's answer.
    fn apply_to(&self, member: &mut Member) -> Option<ReplyToken> {
        member.protocols = owned_protocols(&self.request.protocols);
        member.rebalance_timeout_ms = self.rebalance_timeout_ms();
        member.session_timeout_ms = self.request.session_timeout_ms;
        member.awaiting_join.replace(self.token)
    }

    fn matches(&self, member: &Member) -> bool {
        member.protocols == owned_protocols(&self.request.protocols)
    }
}

impl Step<'_> {
    /// A join of a group that exists (or was just made for it).
    pub(crate) fn join(&mut self, group: &mut ClassicGroup, join: &Join<'_>) {
        let member_id = &join.request.member_id;
        if !self.accepts(group, join) {
            self.drop_member(group, member_id);
            return self.refuse_join(join.token, "", GroupError::GroupMaxSizeReached);
        }
        if !group.supports(&join.request.protocol_type, &join.request.protocols) {
            let error = GroupError::InconsistentGroupProtocol;
            return self.refuse_join(join.token, member_id, error);
        }
        if member_id.is_empty() {
            self.join_new(group, join);
        } else {
            self.join_existing(group, join);
        }
    }

    /// Whether `group.max.size` and the size of the group's record leave room.
    fn accepts(&self, group: &ClassicGroup, join: &Join<'_>) -> bool {
        let member = group.member(&join.request.member_id);
        let by_count = match group.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                member.is_some_and(|member| member.awaiting_join.is_some())
                    || group.awaiting_joins() < self.config.max_size
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                member.is_some() || group.len() < self.config.max_size
            }
        };
        let own = member.map(|member| largest(&member.protocols)).unwrap_or_default();
        let offered =
            join.request.protocols.iter().map(|p| p.metadata.len()).max().unwrap_or_default();
        // A member that grows a little must be able to; one that would leave the group's record
        // without room must not come in, or no generation could be stored any more.
        let fits =
            offered <= own || group.record_bytes() - own + offered <= self.config.max_record_bytes;
        by_count && fits
    }

    fn join_new(&mut self, group: &mut ClassicGroup, join: &Join<'_>) {
        let new_id = join.new_member_id();
        if let Some(instance_id) = &join.request.group_instance_id {
            match group.static_member(instance_id).cloned() {
                Some(old_id) => self.replace_static(group, join, &old_id, new_id),
                None => self.add_member(group, join, &new_id),
            }
        } else if join.context.api_version >= MEMBER_ID_REQUIRED_SINCE {
            if group.pending_joins.len() >= self.config.max_pending_members {
                return self.refuse_join(join.token, "", GroupError::GroupMaxSizeReached);
            }
            let at = self.after(join.request.session_timeout_ms);
            self.timers.set(session(group, &new_id), at);
            self.refuse_join(join.token, &new_id, GroupError::MemberIdRequired);
            group.pending_joins.insert(new_id);
        } else {
            self.add_member(group, join, &new_id);
        }
    }

    fn join_existing(&mut self, group: &mut ClassicGroup, join: &Join<'_>) {
        let member_id = &join.request.member_id;
        let instance_id = join.request.group_instance_id.as_deref();
        if instance_id.is_none() && group.pending_joins.contains(member_id.as_str()) {
            return self.add_member(group, join, &Arc::from(member_id.as_str()));
        }
        if let Err(error) = group.validate_member(member_id, instance_id) {
            return self.refuse_join(join.token, member_id, error);
        }
        let unchanged = group.member(member_id).is_some_and(|member| join.matches(member));
        let keeps_generation = match group.state {
            GroupState::CompletingRebalance => unchanged,
            GroupState::Stable => unchanged && !group.is_leader(member_id),
            GroupState::Empty | GroupState::PreparingRebalance | GroupState::Dead => false,
        };
        if keeps_generation {
            // Its answer got lost, or it rejoins for nothing: it is told again.
            let response = joined_response(group, member_id);
            return self.answer_join(join.token, response);
        }
        self.update_member(group, join, member_id);
        self.rebalance_or_complete_join(group);
    }

    fn add_member(&mut self, group: &mut ClassicGroup, join: &Join<'_>, id: &Arc<str>) {
        let mut member = Member {
            id: Arc::clone(id),
            instance_id: join.request.group_instance_id.clone(),
            client_id: join.context.client_id.clone(),
            client_host: join.context.client_host.clone(),
            rebalance_timeout_ms: 0,
            session_timeout_ms: 0,
            protocols: Vec::new(),
            assignment: Default::default(),
            is_new: true,
            awaiting_join: None,
            awaiting_sync: None,
        };
        join.apply_to(&mut member);
        if group.state == GroupState::PreparingRebalance && group.previous == GroupState::Empty {
            group.new_member_added = true;
        }
        group.add(member, &join.request.protocol_type);
        let at = self.after(self.config.new_member_join_timeout_ms);
        self.timers.set(session(group, id), at);
        self.rebalance_or_complete_join(group);
    }

    fn update_member(&mut self, group: &mut ClassicGroup, join: &Join<'_>, id: &str) {
        let displaced = group.update(id, |member| join.apply_to(member)).flatten();
        if let Some(token) = displaced {
            // The same member asks twice; the first request's connection is most likely gone.
            self.refuse_join(token, id, GroupError::RebalanceInProgress);
        }
    }

    /// A static member is back without its member id: it gets a new one and the old is fenced.
    fn replace_static(
        &mut self,
        group: &mut ClassicGroup,
        join: &Join<'_>,
        old_id: &str,
        new_id: Arc<str>,
    ) {
        let old_leader = group.leader.clone();
        let Some(mut old) = group.replace(old_id, Arc::clone(&new_id)) else { return };
        self.timers.cancel(&session(group, &old.id));
        if let Some(token) = old.awaiting_join.take() {
            self.refuse_join(token, old_id, GroupError::FencedInstanceId);
        }
        if let Some(token) = old.awaiting_sync.take() {
            self.refuse_sync(token, GroupError::FencedInstanceId);
        }
        self.update_member(group, join, &new_id);
        self.restart_session(group, &new_id);
        match group.state {
            GroupState::Stable if group.select_protocol() == group.protocol => {
                let value = Some(group.to_record(&group.assignments()));
                let facts = vec![Fact::Group { group: Arc::clone(&group.id), value }];
                let replaced = StaticReplaced {
                    group: Arc::clone(&group.id),
                    token: join.token,
                    api_version: join.context.api_version,
                    new_id,
                    old,
                    old_leader,
                };
                self.write(facts, Completion::StaticReplaced(Box::new(replaced)));
            }
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(group),
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => {
                self.complete_join_if_all_joined(group);
            }
        }
    }

    /// The returned static member's new id is stored, or could not be.
    pub(crate) fn on_static_replaced(
        &mut self,
        group: &mut ClassicGroup,
        replaced: StaticReplaced,
        result: Result<(), ErrorCode>,
    ) {
        let new_id = &replaced.new_id;
        let waits = |group: &ClassicGroup| {
            group.member(new_id).is_some_and(|m| m.awaiting_join == Some(replaced.token))
        };
        if !waits(group) {
            return; // A later rebalance has answered it.
        }
        match result {
            Err(error) => {
                group.take_join(new_id);
                self.timers.cancel(&session(group, new_id));
                group.replace(new_id, Arc::clone(&replaced.old.id));
                let old = replaced.old;
                let old_id = Arc::clone(&old.id);
                group.update(&old_id, |member| *member = old);
                self.restart_session(group, &old_id);
                self.refuse_join(replaced.token, "", append_error(error));
            }
            Ok(()) if group.state == GroupState::Stable => {
                group.take_join(new_id);
                let response = if replaced.api_version >= SKIP_ASSIGNMENT_SINCE {
                    let skip_assignment = group.is_leader(new_id);
                    JoinGroupResponse { skip_assignment, ..joined_response(group, new_id) }
                } else {
                    // Older clients assign whenever they lead, so they are not told that they do.
                    let leader = replaced.old_leader.as_deref().unwrap_or_default().to_owned();
                    let members = Vec::new();
                    JoinGroupResponse { leader, members, ..joined_response(group, new_id) }
                };
                self.answer_join(replaced.token, response);
            }
            // A rebalance has begun: it counts as joined and is answered with the others.
            Ok(()) => {}
        }
    }

    /// Announces a group that a join has created.
    pub(crate) fn announce(&mut self, group: &ClassicGroup, token: ReplyToken) {
        let empty = ClassicGroup::new(Arc::clone(&group.id), Some(self.now));
        let value = Some(empty.to_record(&HashMap::new()));
        let facts = vec![Fact::Group { group: Arc::clone(&group.id), value }];
        self.write(facts, Completion::NewGroup { group: Arc::clone(&group.id), token });
    }

    /// The new group could not be stored: the member that made it is refused if it still waits.
    pub(crate) fn on_announce_failed(
        &mut self,
        group: &mut ClassicGroup,
        token: ReplyToken,
        error: ErrorCode,
    ) {
        let waiting = group.members().find(|member| member.awaiting_join == Some(token));
        let Some(id) = waiting.map(|member| Arc::clone(&member.id)) else { return };
        group.take_join(&id);
        self.refuse_join(token, "", append_error(error));
        self.remove_member(group, &id);
    }
}

/// Kafka's text of a member's random part.
fn hyphenated(uuid: Uuid) -> String {
    let digits = format!("{:032x}", uuid.0);
    let (a, b, c, d, e) =
        (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// From this version on a dynamic member must first learn its id (KIP-394).
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
/// From this version on a returning static leader may be told that it leads (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;
/// No client offers more than a handful.
const PROTOCOLS_MAX: usize = 1_000;
