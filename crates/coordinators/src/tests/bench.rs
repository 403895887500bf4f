//! A shell for tests: a log, a clock that is moved by hand, and every answer remembered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use naru_model::{ErrorCode, Timestamp, Uuid};
use naru_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::join_group_response::JoinGroupResponse;
use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use naru_protocol::messages::leave_group_response::LeaveGroupResponse;
use naru_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use naru_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use naru_protocol::messages::sync_group_response::SyncGroupResponse;
use naru_protocol::{Wire, Writer};

use crate::{
    ClientContext, Command, CoordinatorRecord, GroupConfig, GroupShard, GroupState, Outcome, Reply,
    ReplyToken, Shard as _, Write,
};

pub(super) const GROUP: &str = "g";
pub(super) const TOPIC: &str = "t";

pub(super) struct Bench {
    pub(super) shard: GroupShard,
    pub(super) config: GroupConfig,
    pub(super) now: Timestamp,
    pub(super) log: Vec<CoordinatorRecord>,
    pub(super) in_flight: VecDeque<Write>,
    /// The last record of a group was lost, so memory is ahead of the log, as in Kafka.
    pub(super) group_unsaved: bool,
    /// Commit at once what the shard writes.
    pub(super) auto_commit: bool,
    pub(super) waiting: BTreeSet<ReplyToken>,
    pub(super) answers: BTreeMap<ReplyToken, Reply>,
    next: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(GroupConfig::default())
    }

    pub(super) fn with(config: GroupConfig) -> Self {
        let mut bench = Self {
            shard: GroupShard::new(config),
            config,
            now: Timestamp(1_000_000),
            log: Vec::new(),
            in_flight: VecDeque::new(),
            group_unsaved: false,
            auto_commit: true,
            waiting: BTreeSet::new(),
            answers: BTreeMap::new(),
            next: 0,
        };
        let outcome = bench.shard.on_loaded(bench.now);
        bench.run(outcome);
        bench
    }

    pub(super) fn run(&mut self, outcome: Outcome) {
        for (token, reply) in outcome.replies {
            assert!(self.waiting.remove(&token), "{token:?} answered twice or never asked");
            self.answers.insert(token, reply);
        }
        for write in outcome.writes {
            assert!(!write.records.is_empty());
            self.in_flight.push_back(write);
        }
        self.shard.check_invariants();
        if outcome.in_doubt {
            self.read_again();
        }
        if self.auto_commit {
            self.settle(Ok(()));
        }
    }

    /// What is in flight is stored, then the shard is what the log says.
    fn read_again(&mut self) {
        let topics = std::sync::Arc::clone(&self.shard.topics);
        let outcome = self.shard.unload();
        self.run(outcome);
        self.log.extend(self.in_flight.drain(..).flat_map(|write| write.records));
        self.shard = self.replayed();
        self.shard.on_metadata(topics, &[], true);
        let outcome = self.shard.on_loaded(self.now);
        self.run(outcome);
    }

    /// Somebody sets the clock; no time passes.
    pub(super) fn set_clock(&mut self, by_ms: i64) {
        self.now = Timestamp(self.now.get() + by_ms);
        self.shard.clock_was_set(by_ms);
    }

    /// Ends the oldest append; `false` if there is none.
    pub(super) fn settle_one(&mut self, result: Result<(), ErrorCode>) -> bool {
        let Some(write) = self.in_flight.pop_front() else { return false };
        if write.records.iter().any(|record| record.key.starts_with(&[0, 2])) {
            self.group_unsaved = result.is_err();
        }
        if result.is_ok() {
            self.log.extend(write.records);
        }
        let outcome = self.shard.on_written(self.now, write.id, result);
        self.run(outcome);
        true
    }

    pub(super) fn settle(&mut self, result: Result<(), ErrorCode>) {
        while self.settle_one(result) {}
    }

    pub(super) fn send(&mut self, command: Command) -> ReplyToken {
        self.next += 1;
        let token = ReplyToken(self.next);
        self.waiting.insert(token);
        let outcome = self.shard.handle(self.now, token, command);
        self.run(outcome);
        token
    }

    pub(super) fn ask(&mut self, command: Command) -> Reply {
        let token = self.send(command);
        self.answer(token)
    }

    pub(super) fn answer(&mut self, token: ReplyToken) -> Reply {
        self.answers.remove(&token).expect("an answer")
    }

    /// Moves time on, ticking at every deadline on the way.
    pub(super) fn advance(&mut self, milliseconds: i64) {
        let until = Timestamp(self.now.get() + milliseconds);
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let outcome = self.shard.tick(self.now);
            self.run(outcome);
        }
        self.now = until;
    }

    /// The process dies; what the log holds comes back.
    pub(super) fn crash(&mut self) {
        self.in_flight.clear();
        self.waiting.clear();
        self.group_unsaved = false;
        self.shard = self.replayed();
        let outcome = self.shard.on_loaded(self.now);
        self.run(outcome);
    }

    /// What another node would load.
    pub(super) fn replayed(&self) -> GroupShard {
        let mut shard = GroupShard::new(self.config);
        for record in &self.log {
            let value = record.value.clone().map(Bytes::from);
            shard.replay(None, &record.key.clone().into(), value.as_ref()).expect("our own record");
        }
        shard
    }

    pub(super) fn state(&self) -> (GroupState, i32) {
        self.shard.group_state(GROUP).expect("the group")
    }

    pub(super) fn join_as(&mut self, version: i16, request: JoinGroupRequest) -> ReplyToken {
        let member_uuid = Uuid(u128::from(self.next) + 1);
        self.send(Command::JoinGroup { context: context(version), request, member_uuid })
    }

    pub(super) fn join(&mut self, member_id: &str) -> ReplyToken {
        self.join_as(9, join_request(member_id))
    }

    pub(super) fn joined(&mut self, token: ReplyToken) -> JoinGroupResponse {
        match self.answer(token) {
            Reply::JoinGroup(response) => response,
            other => panic!("not to a join: {other:?}"),
        }
    }

    /// Gets an id for a new dynamic member.
    pub(super) fn new_id(&mut self) -> String {
        let token = self.join("");
        let response = self.joined(token);
        assert_eq!(response.error_code, ErrorCode::MemberIdRequired.code());
        response.member_id
    }

    /// Brings a group of `members` to Stable; the first of the ids leads.
    pub(super) fn stable(&mut self, members: usize) -> Vec<String> {
        let ids: Vec<String> = (0..members).map(|_| self.new_id()).collect();
        let tokens: Vec<ReplyToken> = ids.iter().map(|id| self.join(id)).collect();
        while tokens.iter().any(|token| self.waiting.contains(token)) {
            self.advance(500);
        }
        let responses: Vec<_> = tokens.into_iter().map(|token| self.joined(token)).collect();
        let leader = responses[0].leader.clone();
        let generation = responses[0].generation_id;
        let mut ids = ids;
        ids.sort_by_key(|id| *id != leader);
        let everyone = ids.clone();
        for id in &ids {
            let assignment: &[String] = if *id == leader { &everyone } else { &[] };
            let token = self.sync(id, generation, assignment);
            assert_eq!(self.synced(token).error_code, 0);
        }
        assert_eq!(self.state().0, GroupState::Stable);
        ids
    }

    pub(super) fn sync(
        &mut self,
        member_id: &str,
        generation_id: i32,
        members: &[String],
    ) -> ReplyToken {
        let request = sync_request(member_id, generation_id, members);
        self.send(Command::SyncGroup { api_version: 5, request })
    }

    pub(super) fn synced(&mut self, token: ReplyToken) -> SyncGroupResponse {
        match self.answer(token) {
            Reply::SyncGroup(response) => response,
            other => panic!("not to a sync: {other:?}"),
        }
    }

    pub(super) fn heartbeat(&mut self, member_id: &str, generation_id: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            member_id: member_id.into(),
            generation_id,
            ..Default::default()
        };
        match self.ask(Command::Heartbeat(request)) {
            Reply::Heartbeat(response) => ErrorCode::from_code(response.error_code),
            other => panic!("not to a heartbeat: {other:?}"),
        }
    }

    pub(super) fn leave(&mut self, member_id: &str) -> LeaveGroupResponse {
        let member = MemberIdentity { member_id: member_id.into(), ..Default::default() };
        self.leave_batch(vec![member])
    }

    pub(super) fn leave_batch(&mut self, members: Vec<MemberIdentity>) -> LeaveGroupResponse {
        let request = LeaveGroupRequest { group_id: GROUP.into(), members, ..Default::default() };
        match self.ask(Command::LeaveGroup { context: context(5), request }) {
            Reply::LeaveGroup(response) => response,
            other => panic!("not to a leave: {other:?}"),
        }
    }

    pub(super) fn commit_as(&mut self, version: i16, request: OffsetCommitRequest) -> ErrorCode {
        let token = self.send(Command::OffsetCommit { context: context(version), request });
        self.committed(token)
    }

    pub(super) fn committed(&mut self, token: ReplyToken) -> ErrorCode {
        match self.answer(token) {
            Reply::OffsetCommit(response) => {
                ErrorCode::from_code(response.topics[0].partitions[0].error_code)
            }
            other => panic!("not to a commit: {other:?}"),
        }
    }

    pub(super) fn position(&self, partition: i32) -> Option<i64> {
        self.shard.committed(GROUP, TOPIC, partition).map(|value| value.offset)
    }
}

pub(super) fn context(api_version: i16) -> ClientContext {
    ClientContext {
        api_version,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        viewer: None,
    }
}

pub(super) fn join_request(member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.into(),
        protocol_type: "consumer".into(),
        protocols: protocols(&["range"]),
        ..Default::default()
    }
}

pub(super) fn protocols(names: &[&str]) -> Vec<JoinGroupRequestProtocol> {
    names
        .iter()
        .map(|name| JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: subscription(&[TOPIC]),
        })
        .collect()
}

pub(super) fn subscription(topics: &[&str]) -> Bytes {
    let mut writer = Writer::default();
    writer.i16(0);
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    ConsumerProtocolSubscription { topics, ..Default::default() }.write(&mut writer, 0);
    writer.into_bytes().into()
}

pub(super) fn sync_request(
    member_id: &str,
    generation_id: i32,
    members: &[String],
) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id,
        member_id: member_id.into(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: members
            .iter()
            .map(|id| SyncGroupRequestAssignment {
                member_id: id.clone(),
                assignment: assignment_of(id, generation_id),
            })
            .collect(),
        ..Default::default()
    }
}

pub(super) fn assignment_of(member_id: &str, generation_id: i32) -> Bytes {
    format!("{member_id}@{generation_id}").into()
}

pub(super) fn commit_request(
    member_id: &str,
    generation_id: i32,
    partition: i32,
    offset: i64,
) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: generation_id,
        member_id: member_id.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: offset,
                committed_leader_epoch: -1,
                committed_metadata: Some(String::new()),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(super) fn code(error_code: i16) -> ErrorCode {
    ErrorCode::from_code(error_code)
}
