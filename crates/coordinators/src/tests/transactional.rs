//! Offsets that are part of a producer's transaction.

use std::collections::VecDeque;

use bytes::Bytes;
use naru_model::{ErrorCode, Timestamp};
use naru_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use naru_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::bench::{GROUP, TOPIC, code, commit_request, context};
use crate::{
    Command, GroupConfig, GroupShard, Identity, Marker, Outcome, Reply, ReplyToken, Shard as _,
    TransactionVersion, Write, WriteKind,
};

const NOW: Timestamp = Timestamp(1_000_000);

/// A shard and the log of all it wrote, transactions and markers too.
struct Shell {
    shard: GroupShard,
    log: Vec<Write>,
    answers: VecDeque<Reply>,
}

impl Shell {
    fn new() -> Self {
        let mut shard = GroupShard::new(GroupConfig::default());
        assert!(shard.on_loaded(NOW).writes.is_empty());
        Self { shard, log: Vec::new(), answers: VecDeque::new() }
    }

    fn run(&mut self, outcome: Outcome) {
        self.answers.extend(outcome.replies.into_iter().map(|(_, reply)| reply));
        for write in outcome.writes {
            let outcome = self.shard.on_written(NOW, write.id, Ok(()));
            self.log.push(write);
            self.run(outcome);
        }
    }

    fn ask(&mut self, command: Command) -> Reply {
        let outcome = self.shard.handle(NOW, ReplyToken(1), command);
        self.run(outcome);
        self.answers.pop_front().expect("an answer")
    }

    fn commit(&mut self, producer: i64, request: TxnOffsetCommitRequest) -> ErrorCode {
        let request = TxnOffsetCommitRequest { producer_id: producer, ..request };
        match self.ask(Command::TxnOffsetCommit(request)) {
            Reply::TxnOffsetCommit(response) => code(response.topics[0].partitions[0].error_code),
            other => panic!("not to a commit: {other:?}"),
        }
    }

    fn plain_commit(&mut self, offset: i64) {
        let request = commit_request("", -1, 0, offset);
        self.ask(Command::OffsetCommit { context: context(8), request });
    }

    fn end(&mut self, producer: i64, commit: bool) {
        let marker = Marker {
            producer: Identity { id: producer.into(), epoch: 0.into() },
            commit,
            coordinator_epoch: 0,
            version: TransactionVersion::V2,
        };
        let answer = self.ask(Command::EndTransaction(marker));
        assert_eq!(answer, Reply::TransactionEnded(Ok(())));
    }

    fn position(&self) -> Option<i64> {
        self.shard.committed(GROUP, TOPIC, 0).map(|value| value.offset)
    }

    /// Offset and error as a consumer fetches them.
    fn fetched(&mut self, require_stable: bool) -> (i64, ErrorCode) {
        let topics = OffsetFetchRequestTopics {
            name: TOPIC.into(),
            partition_indexes: vec![0],
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            topics: Some(vec![topics]),
            ..Default::default()
        };
        match self.ask(Command::OffsetFetch { group, require_stable }) {
            Reply::OffsetFetch(response) => {
                let partition = &response.topics[0].partitions[0];
                (partition.committed_offset, code(partition.error_code))
            }
            other => panic!("not to a fetch: {other:?}"),
        }
    }

    /// Another node loads the log.
    fn reload(&mut self) {
        self.shard = GroupShard::new(GroupConfig::default());
        for write in &self.log {
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
        assert!(self.shard.on_loaded(NOW).writes.is_empty());
    }
}

fn request(offset: i64) -> TxnOffsetCommitRequest {
    TxnOffsetCommitRequest {
        transactional_id: "tx".into(),
        group_id: GROUP.into(),
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

#[test]
fn offsets_count_when_their_transaction_is_committed_also_after_a_reload() {
    for reloads in [false, true] {
        let mut shell = Shell::new();
        assert_eq!(shell.commit(7, request(3)), ErrorCode::None);
        if reloads {
            shell.reload();
        }
        assert_eq!(shell.position(), None);
        shell.end(7, true);
        assert_eq!(shell.position(), Some(3));
        shell.reload();
        assert_eq!(shell.position(), Some(3));
    }
}

#[test]
fn offsets_of_an_aborted_transaction_never_count() {
    let mut shell = Shell::new();
    shell.plain_commit(1);
    shell.commit(7, request(3));
    shell.end(7, false);
    assert_eq!(shell.position(), Some(1));
    // What the producer's next transaction commits is another matter.
    shell.commit(7, request(5));
    shell.end(7, true);
    shell.reload();
    assert_eq!(shell.position(), Some(5));
}

#[test]
fn a_consumer_that_wants_stable_offsets_waits_for_the_end() {
    let mut shell = Shell::new();
    shell.plain_commit(1);
    shell.commit(7, request(3));
    assert_eq!(shell.fetched(true), (-1, ErrorCode::UnstableOffsetCommit));
    assert_eq!(shell.fetched(false), (1, ErrorCode::None));
    shell.end(7, true);
    assert_eq!(shell.fetched(true), (3, ErrorCode::None));
}

#[test]
fn the_later_commit_wins_not_the_later_marker() {
    let mut shell = Shell::new();
    shell.commit(7, request(3));
    shell.plain_commit(9);
    shell.end(7, true);
    assert_eq!(shell.position(), Some(9));
    // Two producers: the one that wrote later.
    shell.commit(7, request(11));
    shell.commit(8, request(12));
    shell.end(8, true);
    shell.end(7, true);
    assert_eq!(shell.position(), Some(12));
    shell.commit(7, request(21));
    shell.commit(8, request(22));
    shell.end(7, true);
    assert_eq!(shell.position(), Some(21));
    shell.end(8, true);
    assert_eq!(shell.position(), Some(22));
    shell.reload();
    assert_eq!(shell.position(), Some(22));
}

#[test]
fn strangers_to_the_group_are_fenced() {
    let mut shell = Shell::new();
    let of = |member: &str, generation| TxnOffsetCommitRequest {
        member_id: member.into(),
        generation_id: generation,
        ..request(1)
    };
    assert_eq!(shell.commit(7, of("m", 3)), ErrorCode::IllegalGeneration);
    let mut bench = super::bench::Bench::new();
    let ids = bench.stable(1);
    let mut fence =
        |request: TxnOffsetCommitRequest| match bench.ask(Command::TxnOffsetCommit(request)) {
            Reply::TxnOffsetCommit(response) => code(response.topics[0].partitions[0].error_code),
            other => panic!("not to a commit: {other:?}"),
        };
    assert_eq!(fence(of(&ids[0], 1)), ErrorCode::None);
    assert_eq!(fence(of(&ids[0], 0)), ErrorCode::IllegalGeneration);
    assert_eq!(fence(of("other", 1)), ErrorCode::UnknownMemberId);
    // Clients before KIP-447 name no member.
    assert_eq!(fence(of("", -1)), ErrorCode::None);
}

#[test]
fn a_deleted_group_does_not_come_back_by_a_commit() {
    let mut shell = Shell::new();
    shell.plain_commit(1);
    shell.commit(7, request(3));
    let deleted = shell.ask(Command::DeleteGroup { group_id: GROUP.into() });
    assert!(matches!(deleted, Reply::DeleteGroup(result) if result.error_code == 0));
    shell.end(7, true);
    assert_eq!(shell.position(), None);
    shell.reload();
    assert_eq!(shell.position(), None);
}
