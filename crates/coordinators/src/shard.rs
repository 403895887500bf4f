//! The coordinator of one partition of `__consumer_offsets`.
//!
//! Invariants: committed offsets change only by replaying facts, at load or when their batch is
//! committed, in log order; every token is answered exactly once, at the latest by
//! [`GroupShard::unload`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use naru_model::{ErrorCode, ProducerId, Timestamp};
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::heartbeat_response::HeartbeatResponse;
use naru_protocol::messages::leave_group_request::LeaveGroupRequest;
use naru_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use naru_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use naru_protocol::messages::sync_group_request::SyncGroupRequest;

use crate::admin::{describe_group, list_groups};
use crate::command::{ClientContext, Command};
use crate::config::{
    ConsumerOverrides, ConsumerSettings, GroupConfig, StreamsOverrides, StreamsSettings,
};
use crate::consumer::{ConsumerGroup, ConsumerGroupState, NoTopics, TopicHashes, Topics};
use crate::error::{GroupError, ReplayError, append_error};
use crate::group::ClassicGroup;
use crate::join::Join;
use crate::membership::{leave_response, leaving_members};
use crate::offset_api::{GroupRef, fetch_offsets, refused_fetch};
use crate::offsets::{OffsetAndMetadata, Offsets};
use crate::records::Fact;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::runtime::{Replayed, Shard};
use crate::share::{ShareGroup, ShareOverrides};
use crate::state::GroupState;
use crate::step::{Step, join_error};
use crate::streams::{StreamsGroup, StreamsGroupState};
use crate::sync::validate_sync;
use crate::timers::{Timer, Timers};
use crate::transactional_offsets::PendingOffsets;
use crate::writes::{Completion, WriteId, Writes};

/// The groups and offsets of one partition. README.md says how to drive it.
#[derive(Debug)]
pub struct GroupShard {
    pub(crate) config: GroupConfig,
    pub(crate) groups: HashMap<Arc<str>, ClassicGroup>,
    /// An id is in one of the four at most.
    pub(crate) consumers: HashMap<Arc<str>, ConsumerGroup>,
    pub(crate) streams: HashMap<Arc<str>, StreamsGroup>,
    pub(crate) shares: HashMap<Arc<str>, ShareGroup>,
    overrides: HashMap<String, ConsumerOverrides>,
    streams_overrides: HashMap<String, StreamsOverrides>,
    pub(crate) share_overrides: HashMap<String, ShareOverrides>,
    pub(crate) topics: Arc<dyn Topics>,
    pub(crate) topic_hashes: TopicHashes,
    pub(crate) offsets: Offsets,
    pub(crate) pending: PendingOffsets,
    pub(crate) timers: Timers,
    pub(crate) writes: Writes,
    /// When the log was read: what was under way then may be so still.
    pub(crate) loaded_at: Option<Timestamp>,
    skipped: u64,
}

impl GroupShard {
    /// An empty shard, to be filled by [`Self::replay`].
    pub fn new(config: GroupConfig) -> Self {
        Self {
            config,
            groups: HashMap::new(),
            consumers: HashMap::new(),
            streams: HashMap::new(),
            shares: HashMap::new(),
            overrides: HashMap::new(),
            streams_overrides: HashMap::new(),
            share_overrides: HashMap::new(),
            topics: Arc::new(NoTopics),
            topic_hashes: TopicHashes::default(),
            offsets: Offsets::default(),
            pending: PendingOffsets::default(),
            timers: Timers::default(),
            writes: Writes::default(),
            loaded_at: None,
            skipped: 0,
        }
    }
}

impl Shard for GroupShard {
    type Command = Command;
    type Reply = Reply;
    type Effect = Infallible;

    fn replay(
        &mut self,
        producer: Option<ProducerId>,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Replayed, ReplayError> {
        let fact = Fact::from_bytes(key, value)?;
        if let (Some(producer), true) = (producer, fact != Fact::Unknown) {
            self.apply_pending(producer, fact);
            return Ok(Replayed::Applied);
        }
        match fact {
            Fact::Unknown => {
                self.skipped += 1;
                return Ok(Replayed::Skipped);
            }
            Fact::Group { group, value: Some(value) } => {
                // Only the last of two lives that overtook each other counts.
                self.consumers.remove(&group);
                self.streams.remove(&group);
                self.shares.remove(&group);
                let loaded = ClassicGroup::from_record(Arc::clone(&group), value);
                self.groups.insert(group, loaded);
            }
            Fact::Group { group, value: None } => {
                self.groups.remove(&group);
            }
            Fact::Consumer { group, fact } => self.replay_group::<ConsumerGroup>(&group, fact),
            Fact::Streams { group, fact } => self.replay_group::<StreamsGroup>(&group, fact),
            Fact::Share { group, fact } => self.replay_group::<ShareGroup>(&group, fact),
            fact @ Fact::Offset { .. } => self.apply(fact),
        }
        Ok(Replayed::Applied)
    }

    fn replay_marker(&mut self, producer: ProducerId, commit: bool) {
        self.apply_marker(producer, commit);
    }

    /// The log is read: sessions begin, so that members that have not survived time out.
    fn on_loaded(&mut self, now: Timestamp) -> Outcome {
        let mut out = Outcome::default();
        self.loaded_at = Some(now);
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
        self.load_groups::<ConsumerGroup>(now);
        self.load_groups::<StreamsGroup>(now);
        self.load_groups::<ShareGroup>(now);
        self.schedule_expiry(now);
        out
    }

    fn handle(&mut self, now: Timestamp, token: ReplyToken, command: Command) -> Outcome {
        let mut out = Outcome::default();
        self.dispatch(now, token, command, &mut out);
        out
    }

    fn on_written(
        &mut self,
        now: Timestamp,
        id: WriteId,
        result: Result<(), ErrorCode>,
    ) -> Outcome {
        let mut out = Outcome::default();
        let Some(write) = self.writes.take(id) else { return out };
        match (result, write.undo) {
            // What has been decided since may contradict it.
            (Ok(()), _) if write.undone => out.in_doubt = true,
            (Ok(()), _) => self.apply_as(write.kind, write.facts),
            (Err(error), Some(undo)) => {
                for later in self.writes.undo_after(id, undo.group()) {
                    self.take_back(now, later, error, &mut out);
                }
                self.take_back(now, undo, error, &mut out);
            }
            (Err(_), None) => {}
        }
        for (token, reply) in write.behind {
            out.reply(token, settled(reply, result));
        }
        self.complete(now, id, write.completion, result, &mut out);
        out
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    fn tick(&mut self, now: Timestamp) -> Outcome {
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
                timer @ (Timer::MemberSession { .. }
                | Timer::Revocation { .. }
                | Timer::MemberJoin { .. }
                | Timer::MemberSync { .. }
                | Timer::Patterns { .. }) => self.on_consumer_timer(now, timer, &mut out),
                timer @ (Timer::StreamsSession { .. }
                | Timer::StreamsRevocation { .. }
                | Timer::StreamsFirst { .. }) => self.on_streams_timer(now, timer, &mut out),
                Timer::ShareSession { group, member } => {
                    self.on_share_session_timeout(now, &group, &member, &mut out);
                }
            }
        }
        out
    }

    fn postpone(&mut self, by_ms: i64) {
        self.timers.postpone(by_ms);
    }

    fn clock_was_set(&mut self, by_ms: i64) {
        self.timers.move_by(by_ms);
        self.loaded_at = self.loaded_at.map(|at| Timestamp(at.0.saturating_add(by_ms)));
    }

    fn unload(&mut self) -> Outcome {
        let mut out = Outcome::default();
        let error = ErrorCode::NotCoordinator;
        let writes: Vec<_> = self.writes.drain().collect();
        for write in writes {
            for (token, reply) in write.behind {
                out.reply(token, reply.failed(error));
            }
            match write.completion {
                Completion::Reply(token, reply)
                | Completion::Deleted { reply: Some((token, reply)), .. } => {
                    out.reply(token, reply.failed(error));
                }
                Completion::Marker(token) => {
                    out.reply(token, Reply::TransactionEnded(Err(error)));
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
        self.consumers.clear();
        self.streams.clear();
        self.shares.clear();
        self.offsets.clear();
        self.pending.clear();
        self.timers.clear();
        out
    }
}

impl GroupShard {
    /// Changes the configuration; deadlines already set stay.
    pub fn reconfigure(&mut self, config: GroupConfig) {
        self.config = config;
    }

    /// What a consumer group sets for itself; `None` if nothing.
    pub fn configure_group(&mut self, group: &str, own: Option<ConsumerOverrides>) {
        match own {
            Some(own) => self.overrides.insert(group.to_owned(), own),
            None => self.overrides.remove(group),
        };
    }

    pub(crate) fn settings_of(&self, group: &str) -> ConsumerSettings {
        let own = self.overrides.get(group).copied().unwrap_or_default();
        ConsumerSettings::new(&self.config.consumer, own)
    }

    /// What a streams group sets for itself; `None` if nothing.
    pub fn configure_streams_group(&mut self, group: &str, own: Option<StreamsOverrides>) {
        match own {
            Some(own) => self.streams_overrides.insert(group.to_owned(), own),
            None => self.streams_overrides.remove(group),
        };
    }

    pub(crate) fn streams_settings_of(&self, group: &str) -> StreamsSettings {
        let own = self.streams_overrides.get(group).copied().unwrap_or_default();
        StreamsSettings::new(&self.config.streams, own)
    }

    /// Every streams group with its state and its number of members, for metrics.
    pub fn streams_groups(&self) -> impl Iterator<Item = (&str, StreamsGroupState, usize)> {
        self.streams.values().map(|group| (&*group.id, group.state(), group.len()))
    }

    /// Every consumer group with its state and its number of members, for metrics.
    pub fn consumer_groups(&self) -> impl Iterator<Item = (&str, ConsumerGroupState, usize)> {
        self.consumers.values().map(|group| (&*group.id, group.state(), group.len()))
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
        self.groups.len() + self.consumers.len() + self.streams.len() + self.shares.len()
    }

    /// Whether there is a group of this id, of whatever kind.
    pub(crate) fn has_group(&self, id: &str) -> bool {
        self.groups.contains_key(id)
            || self.consumers.contains_key(id)
            || self.streams.contains_key(id)
            || self.shares.contains_key(id)
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

    #[expect(clippy::too_many_lines, reason = "an arm for every request")]
    fn dispatch(&mut self, now: Timestamp, token: ReplyToken, command: Command, out: &mut Outcome) {
        match command {
            Command::JoinGroup { context, request, member_uuid } => {
                let join = Join { token, context: &context, request, member_uuid };
                self.join(now, &join, out);
            }
            Command::ConsumerGroupHeartbeat { context, request, member_uuid } => {
                self.consumer_heartbeat(now, token, (&context, &request), member_uuid, out);
            }
            Command::ConsumerGroupDescribe { group_id } => {
                let described = self.describe_consumer_group(group_id);
                out.reply(token, Reply::ConsumerGroupDescribe(described));
            }
            Command::StreamsGroupHeartbeat { context, request } => {
                self.streams_heartbeat(now, token, (&context, &request), out);
            }
            Command::StreamsGroupDescribe { group_id } => {
                let described = self.describe_streams_group(group_id);
                out.reply(token, Reply::StreamsGroupDescribe(described));
            }
            Command::SyncGroup { api_version, request } => {
                self.sync(now, token, api_version, &request, out);
            }
            Command::Heartbeat(request) => {
                let response = self.heartbeat(now, &request, out);
                out.reply(token, Reply::Heartbeat(response));
            }
            Command::LeaveGroup { context, request } => {
                self.leave(now, token, &context, request, out);
            }
            Command::OffsetCommit { context, request } => {
                let Self { config, timers, writes, groups, consumers, streams, shares, .. } = self;
                let group = GroupRef::find(groups, consumers, streams, shares, &request.group_id);
                Step { now, config, timers, writes, out }.commit(
                    group,
                    token,
                    context.api_version,
                    &request,
                );
            }
            Command::OffsetFetch { group, require_stable } => {
                let mut response = match self.may_fetch(&group) {
                    Ok(()) => fetch_offsets(self.offsets.group(&group.group_id), group),
                    Err(error) => refused_fetch(group, error),
                };
                if require_stable && response.error_code == 0 {
                    self.pending.mark_unstable(&mut response);
                }
                out.reply(token, Reply::OffsetFetch(response));
            }
            Command::TxnOffsetCommit(request) => {
                self.commit_in_transaction(now, token, &request, out);
            }
            Command::EndTransaction(marker) => self.end_transaction(now, token, marker, out),
            Command::OffsetDelete(request) => {
                let Self {
                    config,
                    timers,
                    writes,
                    groups,
                    consumers,
                    streams,
                    shares,
                    offsets,
                    ..
                } = self;
                let group = GroupRef::find(groups, consumers, streams, shares, &request.group_id);
                Step { now, config, timers, writes, out }
                    .delete_offsets(group, offsets, token, &request);
            }
            Command::ListGroups { states_filter, types_filter } => {
                let (classic, consumer) = (self.groups.values(), self.consumers.values());
                let (streams, share) = (self.streams.values(), self.shares.values());
                let (states, types) = (&states_filter, &types_filter);
                let listed = list_groups(classic, consumer, streams, share, states, types);
                out.reply(token, Reply::ListGroups(listed));
            }
            Command::DescribeGroup { api_version, group_id } => {
                let group = self.groups.get(group_id.as_str());
                let is_other = group.is_none() && self.has_group(&group_id);
                let described = describe_group(group, is_other, api_version, group_id);
                out.reply(token, Reply::DescribeGroup(described));
            }
            Command::DeleteGroup { group_id } => self.delete_group(now, token, group_id, out),
            Command::TopicsDeleted { topics, ids } => {
                self.forget_share_topics(now, &ids.into_iter().collect(), out);
                self.delete_topics(now, token, topics, out);
            }
            Command::ShareGroupHeartbeat { context, request } => {
                self.share_heartbeat(now, token, &context, &request, out);
            }
            Command::ShareGroupDescribe { group_id } => {
                let described = self.describe_share_group(group_id);
                out.reply(token, Reply::ShareGroupDescribe(described));
            }
            Command::ShareStateInitialized { group_id, partitions, success } => {
                self.on_share_state_initialized(now, token, &group_id, &partitions, success, out);
            }
            Command::SharePartitions { group_id } => {
                let partitions = self.initialized_partitions(&group_id);
                out.reply(token, Reply::SharePartitions(partitions));
            }
            Command::AlterShareGroupOffsets(request) => {
                self.alter_share_offsets(now, token, &request, out);
            }
            Command::DeleteShareGroupOffsets(request) => {
                self.delete_share_offsets(now, token, &request, out);
            }
            Command::ShareStateDeleted { group_id, topics } => {
                self.on_share_state_deleted(now, token, &group_id, &topics, out);
            }
            Command::PrepareShareGroupDeletion { group_id } => {
                self.prepare_share_deletion(now, token, &group_id, out);
            }
        }
    }

    fn sync(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        api_version: i16,
        request: &SyncGroupRequest,
        out: &mut Outcome,
    ) {
        let result = validate_sync(api_version, request);
        if result.is_ok() && self.consumers.contains_key(request.group_id.as_str()) {
            return self.sync_consumer_group(now, token, request, out);
        }
        let found = result.and_then(|()| {
            self.with_group(now, out, &request.group_id, |step, group| {
                step.sync(group, token, request);
            })
            .ok_or(GroupError::UnknownMemberId)
        });
        if let Err(error) = found {
            self.step(now, out).refuse_sync(token, error);
        }
    }

    fn heartbeat(
        &mut self,
        now: Timestamp,
        request: &HeartbeatRequest,
        out: &mut Outcome,
    ) -> HeartbeatResponse {
        if self.consumers.contains_key(request.group_id.as_str()) {
            return self.heartbeat_consumer_group(now, request);
        }
        let error = unknown_unless_empty_id(&request.group_id);
        let result = self
            .with_group(now, out, &request.group_id, |step, group| step.heartbeat(group, request))
            .unwrap_or(Err(error));
        let error_code = result.err().map_or(ErrorCode::None, ErrorCode::from).code();
        HeartbeatResponse { error_code, ..Default::default() }
    }

    fn may_fetch(&self, request: &OffsetFetchRequestGroup) -> Result<(), ErrorCode> {
        let (member, epoch) = (request.member_id.as_deref(), request.member_epoch);
        if let Some(group) = self.consumers.get(request.group_id.as_str()) {
            return group.validate_fetch(member, epoch).map_err(|error| (&error).into());
        }
        let streams = self.streams.get(request.group_id.as_str());
        let allowed = streams.map_or(Ok(()), |group| group.validate_fetch(member, epoch));
        allowed.map_err(|error| (&error).into())
    }

    fn join(&mut self, now: Timestamp, join: &Join<'_>, out: &mut Outcome) {
        let member_id = join.request.member_id.as_str();
        if let Err(error) = join.validate(&self.config) {
            return out.reply(join.token, Reply::JoinGroup(join_error(member_id, error.into())));
        }
        let consumer = self.consumers.get(join.request.group_id.as_str());
        if consumer.is_some_and(|group| !group.is_empty()) {
            return self.join_consumer_group(now, join, out);
        }
        let streams = self.streams.get(join.request.group_id.as_str());
        let is_share = self.shares.contains_key(join.request.group_id.as_str());
        if is_share || streams.is_some_and(|group| !group.is_empty()) {
            let error = GroupError::InconsistentGroupProtocol.into();
            return out.reply(join.token, Reply::JoinGroup(join_error("", error)));
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
            // Whoever comes first decides what an empty group is.
            self.end_empty::<ConsumerGroup>(now, &id, out);
            self.end_empty::<StreamsGroup>(now, &id, out);
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
        if self.consumers.contains_key(id.as_str()) {
            return self.leave_as_classic(now, token, version, request, out);
        }
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

    pub(crate) fn put_offset(
        &mut self,
        group: &Arc<str>,
        topic: String,
        partition: i32,
        value: OffsetAndMetadata,
    ) {
        // A deletion that is in flight already ends this offset too.
        if !self.has_group(group) && !self.writes.buries(group) {
            let simple = ClassicGroup::new(Arc::clone(group), Some(value.commit_timestamp));
            self.groups.insert(Arc::clone(group), simple);
        }
        self.offsets.put(group, topic, partition, value);
    }

    /// Makes a committed fact part of the state.
    pub(crate) fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::Offset { group, topic, partition, value: Some(value) } => {
                self.pending.note_plain(&group, &topic, partition, false);
                self.put_offset(&group, topic, partition, value);
            }
            Fact::Offset { group, topic, partition, value: None } => {
                self.pending.note_plain(&group, &topic, partition, true);
                self.offsets.remove(&group, &topic, partition);
            }
            // A live group is ahead of its records, and a deleted one is gone already.
            Fact::Group { .. }
            | Fact::Consumer { .. }
            | Fact::Streams { .. }
            | Fact::Share { .. }
            | Fact::Unknown => {}
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
            Completion::Marker(token) => out.reply(token, Reply::TransactionEnded(result)),
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
