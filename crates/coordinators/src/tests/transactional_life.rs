//! Random lives of offsets, committed plainly and in transactions, with failing appends and
//! crashes: what the shard says is what its log says, and positions never go back.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use naru_model::{ErrorCode, Timestamp};
use naru_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use proptest::prelude::*;

use super::bench::{GROUP, TOPIC, commit_request, context};
use crate::{
    Command, GroupConfig, GroupShard, Identity, Marker, Outcome, ReplyToken, Shard as _,
    TransactionVersion, Write, WriteKind,
};

const NOW: Timestamp = Timestamp(1_000_000);
const PRODUCERS: i64 = 3;

#[derive(Debug, Clone)]
enum Action {
    Plain,
    InTransaction {
        producer: i64,
    },
    End {
        producer: i64,
        commit: bool,
    },
    /// The oldest write is committed.
    Settle,
    /// The oldest write fails, and what was behind it with it.
    Fail,
    /// The process dies; so many of its writes were in the log.
    Crash {
        kept: usize,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let producer = 0..PRODUCERS;
    prop_oneof![
        4 => Just(Action::Plain),
        6 => producer.clone().prop_map(|producer| Action::InTransaction { producer }),
        4 => (producer, any::<bool>())
            .prop_map(|(producer, commit)| Action::End { producer, commit }),
        10 => Just(Action::Settle),
        1 => Just(Action::Fail),
        1 => (0..4_usize).prop_map(|kept| Action::Crash { kept }),
    ]
}

/// What a log says: the position, and the offsets of open transactions. Of two offsets the one
/// that was written later counts.
#[derive(Debug, Default)]
struct Model {
    position: Option<(usize, i64)>,
    open: BTreeMap<i64, (usize, i64)>,
}

impl Model {
    fn take(&mut self, at: usize, entry: &Entry) {
        match entry.write.kind {
            WriteKind::Plain => self.position = entry.offset.map(|offset| (at, offset)),
            WriteKind::Transactional(producer) => {
                let offset = entry.offset.expect("it was written for an offset");
                self.open.insert(producer.id.0, (at, offset));
            }
            WriteKind::Marker(marker) => {
                let open = self.open.remove(&marker.producer.id.0);
                if marker.commit {
                    self.position = self.position.max(open);
                }
            }
        }
    }
}

/// A write, and the offset it is about if it is about one.
#[derive(Debug)]
struct Entry {
    write: Write,
    offset: Option<i64>,
}

struct Life {
    shard: GroupShard,
    log: Vec<Entry>,
    in_flight: VecDeque<Entry>,
    model: Model,
    highest: i64,
}

impl Life {
    fn new() -> Self {
        let mut shard = GroupShard::new(GroupConfig::default());
        assert!(shard.on_loaded(NOW).writes.is_empty());
        Self {
            shard,
            log: Vec::new(),
            in_flight: VecDeque::new(),
            model: Model::default(),
            highest: 0,
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Plain => {
                self.highest += 1;
                let request = commit_request("", -1, 0, self.highest);
                self.send(Command::OffsetCommit { context: context(8), request });
            }
            Action::InTransaction { producer } => {
                self.highest += 1;
                let request = in_transaction(producer, self.highest);
                self.send(Command::TxnOffsetCommit(request));
            }
            Action::End { producer, commit } => {
                let producer = Identity { id: producer.into(), epoch: 0.into() };
                let version = TransactionVersion::V2;
                let marker = Marker { producer, commit, coordinator_epoch: 0, version };
                self.send(Command::EndTransaction(marker));
            }
            Action::Settle => self.settle(),
            Action::Fail => self.fail(),
            Action::Crash { kept } => {
                for entry in std::mem::take(&mut self.in_flight).into_iter().take(kept) {
                    self.append(entry);
                }
                self.reload();
            }
        }
        self.check();
    }

    fn send(&mut self, command: Command) {
        let outcome = self.shard.handle(NOW, ReplyToken(1), command);
        self.take(outcome, Some(self.highest));
    }

    fn take(&mut self, outcome: Outcome, offset: Option<i64>) {
        let entries = outcome.writes.into_iter().map(|write| Entry { write, offset });
        self.in_flight.extend(entries);
    }

    fn append(&mut self, entry: Entry) {
        self.model.take(self.log.len(), &entry);
        self.log.push(entry);
    }

    fn settle(&mut self) {
        let Some(entry) = self.in_flight.pop_front() else { return };
        let id = entry.write.id;
        self.append(entry);
        let outcome = self.shard.on_written(NOW, id, Ok(()));
        self.take(outcome, None);
    }

    fn fail(&mut self) {
        for entry in std::mem::take(&mut self.in_flight) {
            let error = Err(ErrorCode::NotEnoughReplicas);
            let outcome = self.shard.on_written(NOW, entry.write.id, error);
            self.take(outcome, None);
        }
    }

    /// Another node loads the log.
    fn reload(&mut self) {
        self.shard = GroupShard::new(GroupConfig::default());
        for Entry { write, .. } in &self.log {
            let producer = match write.kind {
                WriteKind::Plain => None,
                WriteKind::Transactional(producer) => Some(producer.id),
                WriteKind::Marker(marker) => {
                    self.shard.replay_marker(marker.producer.id, marker.commit);
                    continue;
                }
            };
            for record in &write.records {
                let value = record.value.clone().map(Bytes::from);
                let key = record.key.clone().into();
                self.shard.replay(producer, &key, value.as_ref()).expect("our own record");
            }
        }
        let outcome = self.shard.on_loaded(NOW);
        self.take(outcome, None);
    }

    /// What is committed is what the log says, whatever is in flight; offsets were committed in
    /// rising order, so a later one is never followed by an earlier one.
    fn check(&self) {
        let position = self.shard.committed(GROUP, TOPIC, 0).map(|value| value.offset);
        assert_eq!(position, self.model.position.map(|(_, offset)| offset));
    }
}

fn in_transaction(producer: i64, offset: i64) -> TxnOffsetCommitRequest {
    TxnOffsetCommitRequest {
        transactional_id: "tx".into(),
        group_id: GROUP.into(),
        producer_id: producer,
        generation_id: -1,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![TxnOffsetCommitRequestPartition {
                committed_offset: offset,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn positions_are_what_the_log_says_and_never_go_back(
        actions in prop::collection::vec(action(), 1..80),
    ) {
        let mut life = Life::new();
        let mut before = None;
        for action in &actions {
            life.act(action);
            let now = life.model.position.map(|(_, offset)| offset);
            prop_assert!(now >= before, "{:?} after {:?}", now, before);
            before = now;
        }
        life.in_flight.clear();
        life.reload();
        life.check();
    }
}
