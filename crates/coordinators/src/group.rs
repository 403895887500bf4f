//! One classic group: its members and its state, without timers, records or answers.
//!
//! Invariants ([`ClassicGroup::check_invariants`]): a group without members is Empty or preparing;
//! counters agree with the members; the leader is a member; a static instance has one member.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use naru_model::Timestamp;
use naru_protocol::messages::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use naru_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use naru_protocol::messages::join_group_response::JoinGroupResponseMember;

use crate::error::GroupError;
use crate::member::Member;
use crate::reply::ReplyToken;
use crate::state::GroupState;
use crate::subscription::{CONSUMER_PROTOCOL, subscribed_topics};
use crate::writes::WriteId;

/// The first rebalance of an empty group waits for more members to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InitialDelay {
    pub(crate) delay_ms: i32,
    pub(crate) remaining_ms: i32,
}

#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) id: Arc<str>,
    pub(crate) state: GroupState,
    pub(crate) previous: GroupState,
    pub(crate) state_since: Option<Timestamp>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<Arc<str>>,
    members: BTreeMap<Arc<str>, Member>,
    static_members: HashMap<String, Arc<str>>,
    pub(crate) pending_joins: BTreeSet<Arc<str>>,
    pub(crate) pending_syncs: BTreeSet<Arc<str>>,
    /// How many members offer each protocol.
    supported: HashMap<String, usize>,
    awaiting_joins: usize,
    /// What the members can cost a record at most, assignments aside.
    record_bytes: usize,
    pub(crate) new_member_added: bool,
    pub(crate) initial_delay: Option<InitialDelay>,
    /// Topics that the members of a group of consumers subscribe to; `None` if not known.
    pub(crate) subscribed: Option<HashSet<String>>,
    /// The leader's assignment of this generation is being appended.
    pub(crate) sync_write: Option<WriteId>,
}

impl ClassicGroup {
    pub(crate) fn new(id: Arc<str>, since: Option<Timestamp>) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            previous: GroupState::Dead,
            state_since: since,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: HashMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            supported: HashMap::new(),
            awaiting_joins: 0,
            record_bytes: 0,
            new_member_added: false,
            initial_delay: None,
            subscribed: None,
            sync_write: None,
        }
    }

    /// The group as its record tells it.
    pub(crate) fn from_record(id: Arc<str>, value: GroupMetadataValue) -> Self {
        let since = (value.current_state_timestamp != -1)
            .then_some(Timestamp(value.current_state_timestamp));
        let mut group = Self::new(id, since);
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty());
        group.protocol = value.protocol;
        let protocol = group.protocol.clone().unwrap_or_default();
        for member in value.members {
            group.insert(loaded_member(member, &protocol));
        }
        group.leader = value.leader.map(Arc::from).filter(|id| group.members.contains_key(id));
        if !group.members.is_empty() {
            group.state = GroupState::Stable;
            group.elect_if_vacant();
        }
        group.subscribed = group.compute_subscribed();
        group
    }

    /// The record of the group with `assignment`.
    pub(crate) fn to_record(&self, assignment: &HashMap<String, Bytes>) -> GroupMetadataValue {
        let protocol = self.protocol.as_deref();
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().map(str::to_owned),
            current_state_timestamp: self.state_since.map_or(-1, Timestamp::get),
            members: self
                .members
                .values()
                .map(|member| MemberMetadata {
                    member_id: member.id.to_string(),
                    group_instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    rebalance_timeout: member.rebalance_timeout_ms,
                    session_timeout: member.session_timeout_ms,
                    subscription: member.metadata(protocol),
                    assignment: assignment.get(&*member.id).cloned().unwrap_or_default(),
                })
                .collect(),
        }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(crate) fn member_ids(&self) -> Vec<Arc<str>> {
        self.members.keys().cloned().collect()
    }

    pub(crate) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    pub(crate) fn leader_name(&self) -> String {
        self.leader.as_deref().unwrap_or_default().to_owned()
    }

    pub(crate) fn static_member(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.static_members.get(instance_id)
    }

    pub(crate) fn awaiting_joins(&self) -> usize {
        self.awaiting_joins
    }

    pub(crate) fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL)
    }

    /// Whether offsets of `topic` are in use; unknown subscriptions count as using it.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.subscribed
            .as_ref()
            .map_or_else(|| self.uses_consumer_protocol(), |topics| topics.contains(topic))
    }

    pub(crate) fn has_all_members_joined(&self) -> bool {
        self.members.len() == self.awaiting_joins && self.pending_joins.is_empty()
    }

    /// The longest that any member may take for a rebalance.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    /// Checks that the request comes from the member it names (KIP-345).
    pub(crate) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(current) if **current != *member_id => {
                    return Err(GroupError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// Whether a member with these protocols can be in the group.
    pub(crate) fn supports(
        &self,
        protocol_type: &str,
        protocols: &[JoinGroupRequestProtocol],
    ) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| {
                self.supported.get(&protocol.name).copied().unwrap_or(0) == self.members.len()
            })
    }

    /// Adds a member; the first one sets the protocol type and leads.
    pub(crate) fn add(&mut self, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        self.pending_joins.remove(&member.id);
        self.insert(member);
        self.elect_if_vacant();
    }

    fn insert(&mut self, member: Member) {
        self.count(&member);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), Arc::clone(&member.id));
        }
        if let Some(displaced) = self.members.insert(Arc::clone(&member.id), member) {
            self.uncount(&displaced);
        }
    }

    fn elect_if_vacant(&mut self) {
        if self.leader.is_none() {
            self.leader = self.members.keys().next().cloned();
        }
    }

    fn count(&mut self, member: &Member) {
        for (protocol, _) in &member.protocols {
            *self.supported.entry(protocol.clone()).or_default() += 1;
        }
        self.awaiting_joins += usize::from(member.awaiting_join.is_some());
        self.record_bytes += member.record_bytes();
    }

    fn uncount(&mut self, member: &Member) {
        for (protocol, _) in &member.protocols {
            if let Some(offered) = self.supported.get_mut(protocol) {
                *offered -= 1;
                if *offered == 0 {
                    self.supported.remove(protocol);
                }
            }
        }
        self.awaiting_joins -= usize::from(member.awaiting_join.is_some());
        self.record_bytes -= member.record_bytes();
    }

    /// Changes a member through `change`, keeping the counters right.
    pub(crate) fn update<R>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Member) -> R,
    ) -> Option<R> {
        let mut member = self.members.remove(id)?;
        self.uncount(&member);
        let result = change(&mut member);
        self.count(&member);
        self.members.insert(Arc::clone(&member.id), member);
        Some(result)
    }

    /// Removes a member or a pending one; a leader's place goes to another member. Whoever calls
    /// answers what the member waited for.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Member> {
        let removed = self.members.remove(id);
        if let Some(member) = &removed {
            self.uncount(member);
            if let Some(instance_id) = &member.instance_id {
                self.static_members.remove(instance_id);
            }
        }
        if self.is_leader(id) {
            self.leader = None;
            self.elect_if_vacant();
        }
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        removed
    }

    /// Gives a static member a new id, keeping its place, its leadership and its assignment.
    /// Returns the member as it was.
    pub(crate) fn replace(&mut self, old_id: &str, new_id: Arc<str>) -> Option<Member> {
        let old = self.members.remove(old_id)?;
        self.uncount(&old);
        if self.is_leader(old_id) {
            self.leader = Some(Arc::clone(&new_id));
        }
        self.pending_syncs.remove(old_id);
        self.insert(Member {
            id: new_id,
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
            ..old.clone()
        });
        Some(old)
    }

    pub(crate) fn take_join(&mut self, id: &str) -> Option<ReplyToken> {
        let token = self.members.get_mut(id)?.awaiting_join.take()?;
        self.awaiting_joins -= 1;
        Some(token)
    }

    pub(crate) fn take_sync(&mut self, id: &str) -> Option<ReplyToken> {
        self.members.get_mut(id)?.awaiting_sync.take()
    }

    /// Parks a sync; returns the one it displaces.
    pub(crate) fn park_sync(&mut self, id: &str, token: ReplyToken) -> Option<ReplyToken> {
        self.members.get_mut(id)?.awaiting_sync.replace(token)
    }

    pub(crate) fn set_not_new(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.is_new = false;
        }
    }

    pub(crate) fn set_assignments(&mut self, assignment: &HashMap<String, Bytes>) {
        for member in self.members.values_mut() {
            member.assignment = assignment.get(&*member.id).cloned().unwrap_or_default();
        }
    }

    /// Makes sure that the leader is one who has joined; `false` if nobody has.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let joined = |member: &&Member| member.awaiting_join.is_some();
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.as_ref().is_some_and(joined) {
            return true;
        }
        let Some(member) = self.members.values().find(joined) else { return false };
        self.leader = Some(Arc::clone(&member.id));
        true
    }

    /// Whether a rebalance can begin.
    pub(crate) fn can_rebalance(&self) -> bool {
        match self.state {
            GroupState::Empty | GroupState::Stable | GroupState::CompletingRebalance => true,
            GroupState::PreparingRebalance | GroupState::Dead => false,
        }
    }

    pub(crate) fn transition(&mut self, state: GroupState, now: Timestamp) {
        self.previous = std::mem::replace(&mut self.state, state);
        self.state_since = Some(now);
    }

    /// Begins the next generation with whoever is a member now.
    pub(crate) fn next_generation(&mut self, now: Timestamp) {
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        self.sync_write = None;
        self.pending_syncs.clear();
        let state = if self.members.is_empty() {
            self.protocol = None;
            GroupState::Empty
        } else {
            self.protocol = self.select_protocol();
            GroupState::CompletingRebalance
        };
        self.subscribed = self.compute_subscribed();
        self.transition(state, now);
    }

    /// The protocol with most votes among those that all members offer; each member votes for
    /// its first. A tie goes to the one that the leader likes better.
    pub(crate) fn select_protocol(&self) -> Option<String> {
        let everyone = self.members.len();
        let mut votes: HashMap<&str, usize> = HashMap::new();
        for member in self.members.values() {
            let choice = member
                .protocols
                .iter()
                .find(|(name, _)| self.supported.get(name).copied() == Some(everyone));
            if let Some((name, _)) = choice {
                *votes.entry(name).or_default() += 1;
            }
        }
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id))?;
        let rank = |name: &str| leader.protocols.iter().position(|(own, _)| own == name);
        votes
            .into_iter()
            .max_by_key(|(name, count)| (*count, std::cmp::Reverse(rank(name))))
            .map(|(name, _)| name.to_owned())
    }

    fn compute_subscribed(&self) -> Option<HashSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(HashSet::new());
        }
        let protocol = self.protocol.as_deref();
        protocol?;
        let metadata: Vec<Bytes> =
            self.members.values().map(|member| member.metadata(protocol)).collect();
        subscribed_topics(metadata.iter())
    }

    /// What the leader is told about the members.
    pub(crate) fn join_members(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref();
        self.members
            .values()
            .map(|member| JoinGroupResponseMember {
                member_id: member.id.to_string(),
                group_instance_id: member.instance_id.clone(),
                metadata: member.metadata(protocol),
            })
            .collect()
    }

    pub(crate) fn assignments(&self) -> HashMap<String, Bytes> {
        self.members
            .values()
            .map(|member| (member.id.to_string(), member.assignment.clone()))
            .collect()
    }

    /// Panics if the group contradicts itself.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        let awaiting = self.members.values().filter(|m| m.awaiting_join.is_some()).count();
        assert_eq!(self.awaiting_joins, awaiting);
        assert_eq!(
            self.record_bytes,
            self.members.values().map(Member::record_bytes).sum::<usize>()
        );
        let statics = self.members.values().filter(|m| m.instance_id.is_some()).count();
        assert_eq!(self.static_members.len(), statics);
        for (instance_id, id) in &self.static_members {
            assert_eq!(self.members[id].instance_id.as_ref(), Some(instance_id));
        }
        assert_eq!(self.leader.is_some(), !self.members.is_empty());
        assert!(self.leader.as_ref().is_none_or(|id| self.members.contains_key(id)));
        assert!(self.pending_joins.iter().all(|id| !self.members.contains_key(id)));
        assert!(self.pending_syncs.iter().all(|id| self.members.contains_key(id)));
        match self.state {
            GroupState::Empty => assert!(self.members.is_empty()),
            GroupState::Stable | GroupState::CompletingRebalance => {
                assert!(!self.members.is_empty());
            }
            GroupState::PreparingRebalance => {}
            GroupState::Dead => panic!("a dead group is not kept"),
        }
        if self.state != GroupState::CompletingRebalance {
            assert!(self.members.values().all(|m| m.awaiting_sync.is_none()));
        }
    }
}

fn loaded_member(member: MemberMetadata, protocol: &str) -> Member {
    let rebalance_timeout_ms = if member.rebalance_timeout == -1 {
        member.session_timeout
    } else {
        member.rebalance_timeout
    };
    Member {
        id: member.member_id.into(),
        instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        rebalance_timeout_ms,
        session_timeout_ms: member.session_timeout,
        // Copies, so that a small group does not keep a large read buffer alive.
        protocols: vec![(protocol.to_owned(), Bytes::copy_from_slice(&member.subscription))],
        assignment: Bytes::copy_from_slice(&member.assignment),
        is_new: false,
        awaiting_join: None,
        awaiting_sync: None,
    }
}
