//! A shard, its log and its time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use naru_model::{ErrorCode, Offset, Timestamp, Uuid};

use super::super::{
    Prune, ShareCommand, SharePartition, ShareReply, ShareShard, ShareStateConfig, StateBatch,
    StateWrite,
};
use crate::reply::{Outcome, ReplyToken};
use crate::runtime::Shard as _;
use crate::writes::Write;
use crate::{CoordinatorRecord, TopicInfo, Topics, Viewer};

pub(super) const TOPIC: Uuid = Uuid(7);
pub(super) const PARTITIONS: i32 = 3;

#[derive(Debug)]
struct OneTopic;

impl Topics for OneTopic {
    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        (name == "t").then_some(TopicInfo { id: TOPIC, partitions: PARTITIONS })
    }

    fn name(&self, id: Uuid) -> Option<Arc<str>> {
        (id == TOPIC).then(|| "t".into())
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&str)) {
        visit("t");
    }

    fn may_describe(&self, _: &Viewer, _: &str) -> bool {
        true
    }

    fn racks(&self, _: Uuid, _: i32) -> Vec<String> {
        Vec::new()
    }

    fn version(&self) -> i64 {
        0
    }
}

pub(super) struct Bench {
    pub(super) shard: ShareShard,
    config: ShareStateConfig,
    pub(super) now: Timestamp,
    pub(super) auto_commit: bool,
    in_flight: VecDeque<Write>,
    /// Committed records by offset; those cut off are none.
    pub(super) log: Vec<Option<CoordinatorRecord>>,
    answers: HashMap<ReplyToken, ShareReply>,
    pub(super) prunes: Vec<Prune>,
    next: u64,
}

impl Bench {
    pub(super) fn new(updates_per_snapshot: u32) -> Self {
        let config = ShareStateConfig { updates_per_snapshot, ..ShareStateConfig::default() };
        let mut bench = Self {
            shard: ShareShard::new(config),
            config,
            now: Timestamp(1_000),
            auto_commit: true,
            in_flight: VecDeque::new(),
            log: Vec::new(),
            answers: HashMap::new(),
            prunes: Vec::new(),
            next: 0,
        };
        bench.shard.on_metadata(Arc::new(OneTopic));
        bench
    }

    fn run(&mut self, outcome: Outcome<ShareReply, Prune>) {
        for (token, reply) in outcome.replies {
            assert_eq!(self.answers.insert(token, reply), None, "answered once");
        }
        for prune in outcome.effects {
            let before = usize::try_from(prune.before.0).expect("positive");
            assert!(before < self.log.len(), "what is not committed is not cut off");
            self.log[..before].fill(None);
            self.prunes.push(prune);
        }
        self.in_flight.extend(outcome.writes);
        if self.auto_commit {
            while self.settle_one(Ok(())) {}
        }
    }

    /// Ends the oldest append; `false` if there is none.
    pub(super) fn settle_one(&mut self, result: Result<(), ErrorCode>) -> bool {
        let Some(write) = self.in_flight.pop_front() else { return false };
        if result.is_ok() {
            let first = i64::try_from(self.log.len()).expect("few");
            self.shard.on_appended(write.id, Offset(first));
            self.log.extend(write.records.into_iter().map(Some));
        }
        let outcome = self.shard.on_written(self.now, write.id, result);
        self.run(outcome);
        true
    }

    pub(super) fn send(&mut self, command: ShareCommand) -> ReplyToken {
        self.next += 1;
        let token = ReplyToken(self.next);
        let outcome = self.shard.handle(self.now, token, command);
        self.run(outcome);
        token
    }

    pub(super) fn answer(&mut self, token: ReplyToken) -> Option<ShareReply> {
        self.answers.remove(&token)
    }

    pub(super) fn ask(&mut self, command: ShareCommand) -> ShareReply {
        let token = self.send(command);
        self.answer(token).expect("an answer")
    }

    pub(super) fn advance(&mut self, milliseconds: i64) {
        let until = Timestamp(self.now.0 + milliseconds);
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let outcome = self.shard.tick(self.now);
            self.run(outcome);
        }
        self.now = until;
    }

    /// A shard that has read the log.
    pub(super) fn replayed(&self) -> ShareShard {
        let mut shard = ShareShard::new(self.config);
        for (offset, record) in (0_i64..).zip(&self.log) {
            let Some(record) = record else { continue };
            shard.replay_from(Offset(offset));
            let key = Bytes::from(record.key.clone());
            let value = record.value.clone().map(Bytes::from);
            shard.replay(None, &key, value.as_ref()).expect("our record");
        }
        shard.on_metadata(Arc::new(OneTopic));
        shard
    }

    pub(super) fn crash(&mut self) {
        self.in_flight.clear();
        self.shard = self.replayed();
        let outcome = self.shard.on_loaded(self.now);
        self.run(outcome);
    }
}

pub(super) fn at(partition: i32) -> SharePartition {
    SharePartition { group: "g".into(), topic_id: TOPIC, partition }
}

pub(super) fn initialize(partition: i32, state_epoch: i32, start_offset: i64) -> ShareCommand {
    ShareCommand::Initialize { partition: at(partition), state_epoch, start_offset }
}

pub(super) fn batch(first: i64, last: i64, state: i8, count: i16) -> StateBatch {
    StateBatch {
        first_offset: first,
        last_offset: last,
        delivery_state: state,
        delivery_count: count,
    }
}

pub(super) fn write(partition: i32, start_offset: i64, batches: &[StateBatch]) -> ShareCommand {
    let write = StateWrite {
        state_epoch: -1,
        leader_epoch: -1,
        start_offset,
        delivery_complete_count: 0,
        batches: batches.to_vec(),
    };
    ShareCommand::Write { partition: at(partition), write }
}

pub(super) fn read(partition: i32, leader_epoch: i32) -> ShareCommand {
    ShareCommand::Read { partition: at(partition), leader_epoch }
}
