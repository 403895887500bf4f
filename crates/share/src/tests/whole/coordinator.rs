//! A share coordinator with its log.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use naru_coordinators::{
    CoordinatorRecord, Outcome, Prune, ReplyToken, Shard as _, ShareCommand, SharePartition,
    ShareReply, ShareShard, ShareStateConfig, TopicInfo, Topics, Viewer, Write,
};
use naru_model::{ErrorCode, Offset, Timestamp, Uuid};

const TOPIC: Uuid = Uuid(7);

#[derive(Debug)]
struct OneTopic;

impl Topics for OneTopic {
    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        (name == "t").then_some(TopicInfo { id: TOPIC, partitions: 1 })
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

pub(super) fn the_partition() -> SharePartition {
    SharePartition { group: "g".into(), topic_id: TOPIC, partition: 0 }
}

pub(super) struct Coordinator {
    shard: ShareShard,
    now: Timestamp,
    /// Committed records by offset; those cut off are none.
    log: Vec<Option<CoordinatorRecord>>,
    in_flight: VecDeque<Write>,
    answers: Vec<(ReplyToken, ShareReply)>,
    last_token: u64,
}

impl Coordinator {
    pub(super) fn new() -> Self {
        Self {
            shard: replayed(&[]),
            now: Timestamp(0),
            log: Vec::new(),
            in_flight: VecDeque::new(),
            answers: Vec::new(),
            last_token: 0,
        }
    }

    pub(super) fn ask(&mut self, command: ShareCommand) -> ReplyToken {
        self.last_token += 1;
        let token = ReplyToken(self.last_token);
        let outcome = self.shard.handle(self.now, token, command);
        self.take(outcome);
        token
    }

    fn take(&mut self, outcome: Outcome<ShareReply, Prune>) {
        self.answers.extend(outcome.replies);
        self.in_flight.extend(outcome.writes);
        for prune in outcome.effects {
            let before = usize::try_from(prune.before.0).expect("positive");
            self.log[..before].fill(None);
        }
    }

    /// Answers since the last time.
    pub(super) fn take_answers(&mut self) -> Vec<(ReplyToken, ShareReply)> {
        std::mem::take(&mut self.answers)
    }

    /// Ends the oldest append well, or all of them badly; false if there is none.
    pub(super) fn append(&mut self, stored: bool) -> bool {
        let Some(write) = self.in_flight.pop_front() else { return false };
        let result = if stored {
            let first = i64::try_from(self.log.len()).expect("few");
            self.shard.on_appended(write.id, Offset(first));
            self.log.extend(write.records.into_iter().map(Some));
            Ok(())
        } else {
            Err(ErrorCode::NotEnoughReplicas)
        };
        let outcome = self.shard.on_written(self.now, write.id, result);
        self.take(outcome);
        if !stored {
            self.append(false);
        }
        true
    }

    /// Another takes over: of the records that were being appended the first `kept` have made it.
    pub(super) fn crash(&mut self, kept: usize) {
        let made_it = self.in_flight.drain(..).take(kept).flat_map(|write| write.records);
        self.log.extend(made_it.map(Some));
        self.answers.clear();
        self.shard = replayed(&self.log);
        let outcome = self.shard.on_loaded(self.now);
        self.take(outcome);
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = now;
        while self.shard.next_deadline().is_some_and(|at| at <= now) {
            let outcome = self.shard.tick(now);
            self.take(outcome);
        }
    }
}

fn replayed(log: &[Option<CoordinatorRecord>]) -> ShareShard {
    let config = ShareStateConfig {
        updates_per_snapshot: 3,
        cold_snapshot_interval_ms: 60_000,
        prune_interval_ms: 20_000,
    };
    let mut shard = ShareShard::new(config);
    for (offset, record) in (0_i64..).zip(log) {
        let Some(record) = record else { continue };
        shard.replay_from(Offset(offset));
        let key = Bytes::from(record.key.clone());
        let value = record.value.clone().map(Bytes::from);
        shard.replay(None, &key, value.as_ref()).expect("our record");
    }
    shard.on_metadata(Arc::new(OneTopic));
    shard
}
