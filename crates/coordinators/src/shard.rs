//! The coordinator of one partition of `__consumer_offsets`.
//!
//! Invariants: committed offsets change only by replaying facts, at load or when their batch is
//! committed, in log order; every token is answered exactly once, at the latest by
//! [`GroupShard::unload`].

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use naru_model::{ErrorCode, Timestamp};
use naru_protocol::messages::heartbeat_response::HeartbeatResponse;
use naru_protocol::messages::leave_group_request::LeaveGroupRequest;
use naru_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

use crate::admin::{describe_group, list_groups};
use crate::command::{ClientContext, Command};
use crate::config::GroupConfig;
use crate::error::{GroupError, ReplayError, append_error};
use crate::group::ClassicGroup;
use crate::join::Join;
use crate::membership::{leave_response, leaving_members};
use crate::offset_api::fetch_offsets;
use crate::offsets::{OffsetAndMetadata, Offsets};
use crate::records::Fact;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::state::GroupState;
use crate::step::{Step, join_error};
use crate::sync::validate_sync;
use crate::timers::{Timer, Timers};
use crate::writes::{Completion, WriteId, Writes};

/// What became of a replayed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// It is part of the state now.
    Applied,
    /// Its type is not known here; it was skipped and counted.
    Skipped,
}

/// The groups and offsets of one partition. README.md says how to drive it.
#[derive(Debug)]
pub struct GroupShard {
    pub(crate) config: GroupConfig,
    pub(crate) groups: HashMap<Arc<str>, ClassicGroup>,
    pub(crate) offsets: Offsets,
    pub(crate) timers: Timers,
    pub(crate) writes: Writes,
    skipped: u64,
}

impl GroupShard {
    /// An empty shard, to be filled by [`Self::replay`].
    pub fn new(config: GroupConfig) -> Self {
        Self {
            config,
            groups: HashMap::new(),
            offsets: Offsets::default(),
            timers: Timers::default(),
            writes: Writes::default(),
            skipped: 0,
        }
    }

    /// Takes in a record of the log, in log order, before [`Self::on_loaded`].
    pub fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<Replayed, ReplayError> {
        match Fact::from_bytes(key, value)? {
            Fact::Unknown => {
                self.skipped += 1;
                return Ok(Replayed::Skipped);
            }
            Fact::Group { group, value: Some(value) } => {
                let loaded = ClassicGroup::from_record(Arc::clone(&group), value);
                self.groups.insert(group, loaded);
            }
            Fact::Group { group, value: None } => {
                self.groups.remove(&group);
            }
            fact @ Fact::Offset { .. } => self.apply(fact),
        }
        Ok(Replayed::Applied)
    }

    /// The log is read: sessions begin, so that members that have not survived time out.
    pub fn on_loaded(&mut self, now: Timestamp) -> Outcome {
        let mut out = Outcome::default();
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            self.with_group(now, &mut out, &id, |step, group| {
                for member in group.member_ids() {
                    step.restart_session(group, &member);
                }
                if group.len() > step.config.max_size {
                    step.prepare_rebalance(group);
                }
            });
        }
        self.schedule_expiry(now);
        out
    }

    /// Takes a request. Its answer is in this outcome or in a later one.
    pub fn handle(&mut self, now: Timestamp, token: ReplyToken, command: Command) -> Outcome {
        let mut out = Outcome::default();
        self.dispatch(now, token, command, &mut out);
        out
    }

    /// The fate of a batch: committed, or the error with which its append failed. Batches that
    /// were committed are told in the order in which they were asked for.
    pub fn on_written(
        &mut self,
        now: Timestamp,
        id: WriteId,
        result: Result<(), ErrorCode>,
    ) -> Outcome {
        let mut out = Outcome::default();
        let Some(write) = self.writes.take(id) else { return out };
        if result.is_ok() {
            for fact in write.facts {
                self.apply(fact);
            }
        }
        self.complete(now, id, write.completion, result, &mut out);
        out
    }

    /// When [`Self::tick`] is due; may be early, never late.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Does what time demands.
    pub fn tick(&mut self, now: Timestamp) -> Outcome {
        let mut out = Outcome::default();
        // One at a time, because what one timer does may cancel or move the next. Timers set here
        // lie in the future, or each of them takes a member away, so this ends.
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Session { group, member } => {
                    self.with_group(now, &mut out, &group, |step, group| {
                        step.on_session_timeout(group, &member);
                    });
                }
                Timer::Join { group } => {
                    self.with_group(now, &mut out, &group, |step, group| {
                        step.on_join_timeout(group);
                    });
                }
                Timer::Sync { group } => {
                    self.with_group(now, &mut out, &group, |step, group| {
                        step.on_sync_timeout(group);
                    });
                }
                Timer::Expiry => self.expire(now, &mut out),
            }
        }
        out
    }

    /// Gives the partition up: whatever waits is told to look for the coordinator again. The
    /// shard is empty afterwards.
    pub fn unload(&mut self) -> Outcome {
        let mut out = Outcome::default();
        let error = ErrorCode::NotCoordinator;
        let writes: Vec<_> = self.writes.drain().collect();
        for write in writes {
            match write.completion {
                Completion::Reply(token, reply)
                | Completion::Deleted { reply: Some((token, reply)), .. } => {
                    out.reply(token, reply.failed(error));
                }
                // Their tokens are their members'.
                Completion::None
                | Completion::NewGroup { .. }
                | Completion::Sync { .. }
                | Completion::StaticReplaced(_)
                | Completion::Deleted { reply: None, .. } => {}
            }
        }
        let mut groups = std::mem::take(&mut self.groups);
        let mut step = self.step(Timestamp(0), &mut out);
        for group in groups.values_mut() {
            for id in group.member_ids() {
                if let Some(token) = group.take_join(&id) {
                    step.refuse_join(token, &id, error);
                }
                if let Some(token) = group.take_sync(&id) {
                    step.refuse_sync(token, error);
                }
            }
        }
        self.offsets.clear();
        self.timers.clear();
        out
    }

    /// Changes the configuration; deadlines already set stay.
    pub fn reconfigure(&mut self, config: GroupConfig) {
        self.config = config;
    }

    /// A committed position.
    pub fn committed(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Option<&OffsetAndMetadata> {
        self.offsets.get(group, topic, partition)
    }

    /// A group's state and generation.
    pub fn group_state(&self, group: &str) -> Option<(GroupState, i32)> {
        self.groups.get(group).map(|group| (group.state, group.generation))
    }

    /// Every group with its state and its number of members, for metrics.
    pub fn groups(&self) -> impl Iterator<Item = (&str, GroupState, usize)> {
        self.groups.values().map(|group| (&*group.id, group.state, group.len()))
    }

    /// Every committed position by group, topic and partition, for metrics.
    pub fn offsets(&self) -> impl Iterator<Item = (&str, &str, i32, &OffsetAndMetadata)> {
        self.offsets.iter().flat_map(|(group, topics)| {
            topics.iter().flat_map(move |(topic, partitions)| {
                partitions
                    .iter()
                    .map(move |(partition, value)| (&**group, topic.as_str(), *partition, value))
            })
        })
    }

    /// How many groups there are, for metrics.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// How many positions are held, for metrics; counts them.
    pub fn offset_count(&self) -> usize {
        self.offsets.len()
    }

    /// Batches whose fate is not known yet.
    pub fn writes_in_flight(&self) -> usize {
        self.writes.len()
    }

    /// Records of types this version does not know, skipped by [`Self::replay`].
    pub fn skipped_records(&self) -> u64 {
        self.skipped
    }

    pub(crate) fn step<'a>(&'a mut self, now: Timestamp, out: &'a mut Outcome) -> Step<'a> {
        let Self { config, timers, writes, .. } = self;
        Step { now, config, timers, writes, out }
    }

    /// Runs `act` on a group and everything else a step needs.
    fn with_group<R>(
        &mut self,
        now: Timestamp,
        out: &mut Outcome,
        id: &str,
        act: impl FnOnce(&mut Step<'_>, &mut ClassicGroup) -> R,
    ) -> Option<R> {
        let Self { config, timers, writes, groups, .. } = self;
        let group = groups.get_mut(id)?;
        Some(act(&mut Step { now, config, timers, writes, out }, group))
    }

    fn dispatch(&mut self, now: Timestamp, token: ReplyToken, command: Command, out: &mut Outcome) {
        match command {
            Command::JoinGroup { context, request, member_uuid } => {
                let join = Join { token, context: &context, request, member_uuid };
                self.join(now, &join, out);
            }
            Command::SyncGroup { api_version, request } => {
                let result = validate_sync(api_version, &request);
                let found = result.and_then(|()| {
                    self.with_group(now, out, &request.group_id, |step, group| {
                        step.sync(group, token, &request);
                    })
                    .ok_or(GroupError::UnknownMemberId)
                });
                if let Err(error) = found {
                    self.step(now, out).refuse_sync(token, error);
                }
            }
            Command::Heartbeat(request) => {
                let error = unknown_unless_empty_id(&request.group_id);
                let result = self
                    .with_group(now, out, &request.group_id, |step, group| {
                        step.heartbeat(group, &request)
                    })
                    .unwrap_or(Err(error));
                let error_code = result.err().map_or(ErrorCode::None, ErrorCode::from).code();
                let response = HeartbeatResponse { error_code, ..Default::default() };
                out.reply(token, Reply::Heartbeat(response));
            }
            Command::LeaveGroup { context, request } => {
                self.leave(now, token, &context, request, out);
            }
            Command::OffsetCommit { context, request } => {
                let Self { config, timers, writes, groups, .. } = self;
                let group = groups.get(request.group_id.as_str());
                Step { now, config, timers, writes, out }.commit(
                    group,
                    token,
                    context.api_version,
                    &request,
                );
            }
            Command::OffsetFetch { group, require_stable: _ } => {
                let response = fetch_offsets(self.offsets.group(&group.group_id), group);
                out.reply(token, Reply::OffsetFetch(response));
            }
            Command::OffsetDelete(request) => {
                let Self { config, timers, writes, groups, offsets, .. } = self;
                let group = groups.get(request.group_id.as_str());
                Step { now, config, timers, writes, out }
                    .delete_offsets(group, offsets, token, &request);
            }
            Command::ListGroups { states_filter, types_filter } => {
                let listed = list_groups(self.groups.values(), &states_filter, &types_filter);
                out.reply(token, Reply::ListGroups(listed));
            }
            Command::DescribeGroup { api_version, group_id } => {
                let group = self.groups.get(group_id.as_str());
                let described = describe_group(group, api_version, group_id);
                out.reply(token, Reply::DescribeGroup(described));
            }
            Command::DeleteGroup { group_id } => self.delete_group(now, token, group_id, out),
            Command::TopicsDeleted { topics } => self.delete_topics(now, token, topics, out),
        }
    }

    fn join(&mut self, now: Timestamp, join: &Join<'_>, out: &mut Outcome) {
        let member_id = join.request.member_id.as_str();
        if let Err(error) = join.validate(&self.config) {
            return out.reply(join.token, Reply::JoinGroup(join_error(member_id, error.into())));
        }
        let is_new = !self.groups.contains_key(join.request.group_id.as_str());
        if is_new {
            let refusal = if !member_id.is_empty() {
                Some(GroupError::UnknownMemberId)
            } else if join.request.protocol_type.is_empty() || join.request.protocols.is_empty() {
                // Kafka makes the group before it refuses this member.
                Some(GroupError::InconsistentGroupProtocol)
            } else {
                None
            };
            if let Some(error) = refusal {
                let refused = join_error(member_id, error.into());
                return out.reply(join.token, Reply::JoinGroup(refused));
            }
            let id: Arc<str> = join.request.group_id.as_str().into();
            let group = ClassicGroup::new(Arc::clone(&id), Some(now));
            self.groups.insert(id, group);
        }
        self.with_group(now, out, &join.request.group_id, |step, group| {
            if is_new {
                step.announce(group, join.token);
            }
            step.join(group, join);
        });
    }

    fn leave(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        context: &ClientContext,
        request: LeaveGroupRequest,
        out: &mut Outcome,
    ) {
        let version = context.api_version;
        if request.group_id.is_empty() {
            let error_code = ErrorCode::InvalidGroupId.code();
            let response = LeaveGroupResponse { error_code, ..Default::default() };
            return out.reply(token, Reply::LeaveGroup(response));
        }
        let id = request.group_id.clone();
        let members = leaving_members(version, request);
        let writes_before = out.writes.len();
        let responses = if self.groups.contains_key(id.as_str()) {
            self.with_group(now, out, &id, |step, group| step.leave(group, members))
                .unwrap_or_default()
        } else {
            let unknown = |member: naru_protocol::messages::leave_group_request::MemberIdentity| {
                MemberResponse {
                    member_id: member.member_id,
                    group_instance_id: member.group_instance_id,
                    error_code: ErrorCode::UnknownMemberId.code(),
                }
            };
            members.into_iter().map(unknown).collect()
        };
        let reply = Reply::LeaveGroup(leave_response(version, responses));
        // The last one out has the empty group stored; its answer says that it is.
        match out.writes.get(writes_before) {
            Some(write) => self.writes.answer_with(write.id, token, reply),
            None => out.reply(token, reply),
        }
    }

    /// Makes a committed fact part of the state.
    fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::Offset { group, topic, partition, value: Some(value) } => {
                // A deletion that is in flight already ends this offset too.
                if !self.groups.contains_key(&group) && !self.writes.buries(&group) {
                    let simple =
                        ClassicGroup::new(Arc::clone(&group), Some(value.commit_timestamp));
                    self.groups.insert(Arc::clone(&group), simple);
                }
                self.offsets.put(&group, topic, partition, value);
            }
            Fact::Offset { group, topic, partition, value: None } => {
                self.offsets.remove(&group, &topic, partition);
            }
            // A live group is ahead of its records, and a deleted one is gone already.
            Fact::Group { .. } | Fact::Unknown => {}
        }
    }

    fn complete(
        &mut self,
        now: Timestamp,
        id: WriteId,
        completion: Completion,
        result: Result<(), ErrorCode>,
        out: &mut Outcome,
    ) {
        match completion {
            Completion::None => {}
            Completion::Reply(token, reply) => out.reply(token, settled(reply, result)),
            Completion::NewGroup { group, token } => {
                if let Err(error) = result {
                    self.with_group(now, out, &group, |step, group| {
                        step.on_announce_failed(group, token, error);
                    });
                }
            }
            Completion::Sync { group, assignment } => {
                self.with_group(now, out, &group, |step, group| {
                    step.on_sync_written(group, id, &assignment, result);
                });
            }
            Completion::StaticReplaced(replaced) => {
                let group = Arc::clone(&replaced.group);
                self.with_group(now, out, &group, |step, group| {
                    step.on_static_replaced(group, *replaced, result);
                });
            }
            Completion::Deleted { group, reply } => {
                let replaced = self.groups.contains_key(&group.id) || self.writes.buries(&group.id);
                if result.is_err() && !replaced {
                    self.groups.insert(Arc::clone(&group.id), *group);
                }
                if let Some((token, reply)) = reply {
                    out.reply(token, settled(reply, result));
                }
            }
        }
    }
}

fn settled(reply: Reply, result: Result<(), ErrorCode>) -> Reply {
    match result {
        Ok(()) => reply,
        Err(error) => reply.failed(append_error(error)),
    }
}

fn unknown_unless_empty_id(group_id: &str) -> GroupError {
    if group_id.is_empty() { GroupError::InvalidGroupId } else { GroupError::UnknownMemberId }
}
