use bytes::Bytes;
use naru_model::ErrorCode;
use naru_protocol::Records;
use naru_protocol::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData, TopicData,
};
use naru_protocol::messages::fetch_snapshot_response::{self, FetchSnapshotResponse};

use super::harness::*;
use crate::raft::messages::TOPIC;
use crate::raft::{
    ControlRecord, Effect, Event, LogView, QuorumStart, RaftRequest, RaftResponse, ReadPlan,
    SnapshotId, SnapshotRead,
};

fn log(epochs: &[i32]) -> Log {
    Log { epochs: epochs.to_vec(), ..Log::default() }
}

fn high_watermarks(node: &Node) -> Vec<i64> {
    let moved = node.effects.iter().filter_map(|effect| match effect {
        Effect::AdvanceHighWatermark { to } => Some(*to),
        _ => None,
    });
    moved.collect()
}

/// The epoch of a leader over the log 1, 1, 1.
fn leader() -> Node {
    let mut node = Node::start(start(), log(&[1, 1, 1])).lead();
    node.effects.clear();
    node
}

#[test]
fn the_high_watermark_waits_for_a_majority_and_for_the_leaders_own_epoch() {
    let mut node = leader();
    let end = node.log.end();
    node.fetched_by(2, 3);
    assert!(high_watermarks(&node).is_empty(), "an older epoch is not committed alone");
    node.fetched_by(2, end);
    assert_eq!(high_watermarks(&node), [end]);
    node.fetched_by(2, 3);
    node.fetched_by(3, end);
    assert_eq!(high_watermarks(&node), [end], "it never goes back, and nothing is new");
}

#[test]
fn what_the_leader_has_not_synced_counts_only_by_the_others() {
    let mut node = leader();
    node.log.epochs.extend([node.core.epoch(); 2]);
    let end = node.log.end();
    node.feed(Event::Appended { log_end: end });
    node.fetched_by(2, end);
    assert_eq!(high_watermarks(&node), [end - 2]);
    node.fetched_by(3, end);
    assert_eq!(high_watermarks(&node), [end - 2, end], "two of three have it");
}

#[test]
fn observers_do_not_count() {
    let mut node = leader();
    let end = node.log.end();
    for id in 4..9 {
        node.fetched_by(id, end);
    }
    assert!(high_watermarks(&node).is_empty());
}

#[test]
fn a_fetch_with_nothing_new_waits_for_records_for_the_high_watermark_or_its_time() {
    let mut node = leader();
    let end = node.log.end();
    let token = node.fetched_by(2, end);
    let mut knows = fetch_of(3, node.core.epoch(), end, node.core.epoch());
    knows.topics[0].partitions[0].high_watermark = -1;
    let told = node.ask_later(18, RaftRequest::Fetch(knows.clone()));
    assert_eq!(fetched(node.answer(told)).high_watermark, end, "a newer high watermark is news");
    knows.topics[0].partitions[0].high_watermark = end;
    let waits = node.ask_later(18, RaftRequest::Fetch(knows));
    assert!(node.answer(waits).is_none());
    assert!(node.answer(token).is_none());
    node.log.epochs.push(node.core.epoch());
    node.feed(Event::Appended { log_end: end + 1 });
    for token in [token, waits] {
        let read = node.effects.iter().find_map(|effect| match effect {
            Effect::ReplyFetch { token: answered, read, .. } if *answered == token => Some(*read),
            _ => None,
        });
        assert_eq!(read, Some(Some(ReadPlan { from: end, max_bytes: 1000 })));
    }
    let last = node.fetched_by(2, end + 1);
    node.pass(499);
    assert!(node.answer(last).is_none());
    node.pass(1);
    assert_eq!(fetch_error(&node.answer(last).unwrap()), ErrorCode::None);
}

#[test]
fn waiting_fetches_learn_that_the_leader_has_gone() {
    let mut node = leader();
    let end = node.log.end();
    let token = node.fetched_by(2, end);
    node.ask(RaftRequest::BeginQuorumEpoch(begin_from(3, 9)));
    let answer = node.answer(token).unwrap();
    assert_eq!(fetch_error(&answer), ErrorCode::NotLeaderOrFollower);
    let RaftResponse::Fetch(answer) = answer else { panic!() };
    assert_eq!(answer.node_endpoints[0].host, "host3");
    assert_eq!(answer.responses[0].partitions[0].current_leader.leader_epoch, 9);
}

#[test]
fn a_fetch_of_the_wrong_epoch_or_node_or_cluster_gets_kafkas_error() {
    let mut node = leader();
    let epoch = node.core.epoch();
    let mut check = |request, error| {
        let answer = node.ask(RaftRequest::Fetch(request));
        assert_eq!(fetch_error(&answer), error);
    };
    check(fetch_of(2, epoch - 1, 0, 0), ErrorCode::FencedLeaderEpoch);
    check(fetch_of(2, epoch + 1, 0, 0), ErrorCode::UnknownLeaderEpoch);
    check(fetch_of(2, epoch, -1, 0), ErrorCode::InvalidRequest);
    check(fetch_of(2, epoch, 0, epoch + 1), ErrorCode::InvalidRequest);
    let mut other = fetch_of(2, epoch, 0, 0);
    other.cluster_id = Some("other".to_owned());
    check(other, ErrorCode::InconsistentClusterId);
    let mut none = fetch_of(2, epoch, 0, 0);
    none.topics.clear();
    check(none, ErrorCode::InvalidRequest);
    let mut follower = Node::start(start(), log(&[1])).follow(5);
    let answer = follower.ask(RaftRequest::Fetch(fetch_of(3, 5, 0, 0)));
    assert_eq!(fetch_error(&answer), ErrorCode::NotLeaderOrFollower);
    let RaftResponse::Fetch(answer) = answer else { panic!() };
    assert_eq!((answer.node_endpoints[0].node_id, answer.node_endpoints[0].port), (2, 9002));
}

#[test]
fn a_log_that_diverges_is_told_where() {
    // The leader has epoch 1 up to 3, epoch 4 up to 6.
    let mut node = Node::start(start(), log(&[1, 1, 1, 4, 4, 4])).lead();
    let epoch = node.core.epoch();
    let mut check = |offset, last, expected: (i32, i64)| {
        let answer = node.ask(RaftRequest::Fetch(fetch_of(2, epoch, offset, last)));
        let found = fetched(Some(answer)).diverging_epoch;
        assert_eq!((found.epoch, found.end_offset), expected, "{offset} {last}");
    };
    check(5, 1, (1, 3));
    check(5, 3, (1, 3));
    check(9, 4, (4, 6));
}

#[test]
fn a_replica_below_the_log_is_sent_to_the_snapshot() {
    let id = SnapshotId { end_offset: 10, epoch: 3 };
    let old = Log { epochs: vec![4, 4], start: 10, snapshot: Some(id) };
    let mut node = Node::start(QuorumStart { state: state(4, None), ..start() }, old).lead();
    let epoch = node.core.epoch();
    let mut ask = |offset, last| {
        node.effects.clear();
        let token = node.ask_later(18, RaftRequest::Fetch(fetch_of(2, epoch, offset, last)));
        node.answer(token).map(|answer| fetched(Some(answer)))
    };
    for (offset, last) in [(0, 0), (9, 3), (10, 2), (11, 2)] {
        let found = ask(offset, last).unwrap().snapshot_id;
        assert_eq!((found.end_offset, found.epoch), (10, 3), "{offset} {last}");
    }
    // Epoch 3 ends where the snapshot does.
    let found = ask(12, 3).unwrap().diverging_epoch;
    assert_eq!((found.epoch, found.end_offset), (3, 10));
    assert_eq!(ask(10, 3).unwrap().snapshot_id.end_offset, -1, "it begins where the log does");
}

#[test]
fn snapshots_are_served_by_the_leader_and_checked() {
    let id = SnapshotId { end_offset: 10, epoch: 3 };
    let old = Log { epochs: vec![4, 4], start: 10, snapshot: Some(id) };
    let mut node = Node::start(QuorumStart { state: state(4, None), ..start() }, old).lead();
    let epoch = node.core.epoch();
    node.effects.clear();
    node.ask(snapshot_of(2, epoch, id, 7));
    let Some(Effect::ReplySnapshot { read, .. }) = node.effects.first() else { panic!() };
    assert_eq!(*read, Some(SnapshotRead { id, position: 7, max_bytes: 1000 }));
    let mut check = |request, error: ErrorCode| {
        let RaftResponse::FetchSnapshot(answer) = node.ask(request) else { panic!() };
        assert_eq!(answer.topics[0].partitions[0].error_code, error.code());
    };
    check(snapshot_of(2, epoch, id, -1), ErrorCode::PositionOutOfRange);
    check(snapshot_of(2, epoch, SnapshotId::default(), 0), ErrorCode::SnapshotNotFound);
    check(snapshot_of(2, epoch - 1, id, 0), ErrorCode::FencedLeaderEpoch);
    check(snapshot_of(2, epoch + 1, id, 0), ErrorCode::UnknownLeaderEpoch);
}

#[test]
fn a_follower_fetches_on_only_when_what_it_has_is_on_disk() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    node.answer_fetch(records(2));
    let appended = Effect::AppendFetched { records: Bytes::from_static(b"batches") };
    assert_eq!(node.take(), [appended]);
    node.log.epochs.extend([5, 5]);
    node.feed(Event::Tick);
    assert!(node.sent_fetch().is_none());
    node.feed(Event::Fetched { end: 3, control: Vec::new() });
    assert_eq!(high_watermarks(&node), [2]);
    let (_, to, fetch) = node.sent_fetch().unwrap();
    assert_eq!((to, fetch.fetch_offset, fetch.last_fetched_epoch), (Some(2), 3, 5));
    assert_eq!(fetch.high_watermark, 2);
}

#[test]
fn a_follower_is_as_current_as_the_fetch_that_left_nothing_committed_unknown() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    let asked = node.now;
    node.now += 300;
    node.answer_fetch(partition(1));
    assert_eq!(node.core.current_at(node.now), Some(asked));
    // Cut off, and heard again: the leader has more than this answer brings.
    node.now += 500;
    let (id, _, _) = node.sent_fetch().unwrap();
    node.effects.clear();
    node.fail(id).pass(100);
    node.answer_fetch(records(4));
    node.log.epochs.extend([5, 5]);
    node.feed(Event::Fetched { end: 3, control: Vec::new() });
    assert_eq!(node.core.current_at(node.now), Some(asked));
    let asked = node.now;
    node.answer_fetch(records(4));
    node.log.epochs.extend([5]);
    node.feed(Event::Fetched { end: 4, control: Vec::new() });
    assert_eq!(node.core.current_at(node.now), Some(asked));
}

#[test]
fn a_leader_that_was_deposed_syncs_its_tail_before_it_fetches() {
    let mut node = leader();
    node.log.epochs.push(node.core.epoch());
    let end = node.log.end();
    node.feed(Event::Appended { log_end: end });
    node.effects.clear();
    node.ask(RaftRequest::BeginQuorumEpoch(begin_from(2, 9)));
    assert!(node.sent_fetch().is_none());
    node.feed(Event::Synced { end });
    assert_eq!(node.sent_fetch().unwrap().2.fetch_offset, end);
}

#[test]
fn a_follower_cuts_what_the_leader_does_not_have_and_takes_voters_back() {
    let mut node = Node::start(start(), log(&[1, 1, 1, 4, 4, 4])).follow(5);
    node.core.read_control(&[(4, ControlRecord::voters(&voters(&[1, 2])))]);
    assert_eq!(node.core.voters().len(), 2);
    node.answer_fetch(diverging(3, 4));
    assert_eq!(node.effects[0], Effect::TruncateTo { offset: 3 });
    assert_eq!(node.core.voters().len(), 3);
    let (_, _, fetch) = node.sent_fetch().unwrap();
    assert_eq!((fetch.fetch_offset, fetch.last_fetched_epoch), (3, 1));
}

#[test]
fn committed_records_are_never_cut() {
    let mut node = Node::start(start(), log(&[1, 1, 1, 4, 4, 4])).follow(5);
    node.answer_fetch(partition(5));
    assert_eq!(node.core.high_watermark(), Some(5));
    node.answer_fetch(diverging(1, 3));
    assert!(!node.effects.iter().any(|effect| matches!(effect, Effect::TruncateTo { .. })));
}

#[test]
fn a_snapshot_comes_piece_by_piece_and_then_the_log_begins_after_it() {
    let mut node = Node::start(start(), log(&[])).follow(5);
    node.answer_fetch(see_snapshot(10, 3));
    let id = SnapshotId { end_offset: 10, epoch: 3 };
    let piece = |position, bytes: &'static [u8]| {
        let leader = fetch_snapshot_response::PartitionSnapshot {
            snapshot_id: fetch_snapshot_response::SnapshotId { end_offset: 10, epoch: 3 },
            size: 5,
            position,
            unaligned_records: Records::Inline(Bytes::from_static(bytes)),
            ..Default::default()
        };
        says(Some(2), 5).snapshot_response(leader)
    };
    let respond = |node: &mut Node, response: FetchSnapshotResponse| {
        let id = node.sent().into_iter().find_map(|(id, _, request)| {
            matches!(request, RaftRequest::FetchSnapshot(_)).then_some(id)
        });
        node.effects.clear();
        node.respond(id.expect("asked for"), RaftResponse::FetchSnapshot(response));
    };
    respond(&mut node, piece(0, b"abc"));
    let chunk = |position, bytes: &'static [u8], last| {
        let bytes = Bytes::from_static(bytes);
        Effect::SnapshotChunk { id, position, bytes, last }
    };
    assert_eq!(node.effects[0], chunk(0, b"abc", false));
    respond(&mut node, piece(3, b"de"));
    assert_eq!(node.take(), [chunk(3, b"de", true)]);
    node.log = Log { epochs: Vec::new(), start: 10, snapshot: Some(id) };
    let control = vec![ControlRecord::kraft_version(1), ControlRecord::voters(&voters(&[1, 2]))];
    node.feed(Event::SnapshotInstalled { id, control });
    assert_eq!(high_watermarks(&node), [10]);
    assert_eq!(node.core.voters().len(), 2);
    let (_, _, fetch) = node.sent_fetch().unwrap();
    assert_eq!((fetch.fetch_offset, fetch.last_fetched_epoch), (10, 3));
}

#[test]
fn a_piece_that_does_not_fit_is_refused_and_the_leader_asked_again() {
    let mut node = Node::start(start(), log(&[])).follow(5);
    node.answer_fetch(see_snapshot(10, 3));
    let (id, _, _) = node.sent()[0];
    let wrong = fetch_snapshot_response::PartitionSnapshot {
        snapshot_id: fetch_snapshot_response::SnapshotId { end_offset: 10, epoch: 3 },
        size: 5,
        position: 2,
        unaligned_records: Records::Inline(Bytes::from_static(b"abc")),
        ..Default::default()
    };
    node.effects.clear();
    let response = says(Some(2), 5).snapshot_response(wrong);
    node.respond(id, RaftResponse::FetchSnapshot(response));
    assert!(!node.effects.iter().any(|effect| matches!(effect, Effect::SnapshotChunk { .. })));
    node.pass(100);
    assert_eq!(node.sent_fetch().unwrap().2.fetch_offset, 0);
}

#[test]
fn an_observer_finds_its_leader_by_the_bootstrap_servers_in_turn() {
    let observer = QuorumStart {
        node_id: 7,
        directory_id: directory(7),
        can_vote: false,
        listeners: Vec::new(),
        voter_log: crate::raft::VoterLog::new(),
        bootstrap: vec![("host1".to_owned(), 9001), ("host2".to_owned(), 9002)],
        ..start()
    };
    let mut node = Node::start(observer, Log::default());
    let (id, to, _) = node.sent_fetch().unwrap();
    assert_eq!(to, None);
    let host = |node: &Node| {
        node.effects.iter().rev().find_map(|effect| match effect {
            Effect::Send { to, .. } => Some(to.host.clone()),
            _ => None,
        })
    };
    let first = host(&node).unwrap();
    node.fail(id);
    node.pass(30);
    assert_ne!(host(&node).unwrap(), first);
    let (id, _, _) = node.sent_fetch().unwrap();
    let mut answer = partition(-1);
    answer.error_code = ErrorCode::FencedLeaderEpoch.code();
    node.effects.clear();
    node.respond(id, RaftResponse::Fetch(says(Some(2), 5).fetch_response(answer)));
    assert!(node.effects.contains(&Effect::LeaderChanged { leader: Some(2), epoch: 5 }));
    assert_eq!(node.sent_fetch().unwrap().1, Some(2));
    assert_eq!(node.core.state_name(), "observer");
    // An observer never stands, and asks others when its leader is silent.
    node.effects.clear();
    node.pass(20_000);
    assert!(node.sent_votes().is_empty());
    assert!(node.sent().iter().any(|(_, to, _)| to.is_none()));
}

#[test]
fn an_answer_that_comes_late_or_for_another_epoch_is_ignored() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    let (id, _, _) = node.sent_fetch().unwrap();
    node.ask(RaftRequest::BeginQuorumEpoch(begin_from(3, 6)));
    node.effects.clear();
    node.respond(id, RaftResponse::Fetch(says(Some(2), 5).fetch_response(records(9))));
    assert_eq!(node.take(), []);
}

#[test]
fn the_quorum_is_described_by_its_leader() {
    let mut node = leader();
    let end = node.log.end();
    node.now += 1000;
    node.fetched_by(2, end);
    node.fetched_by(9, 3);
    let request = |name: &str| {
        let partitions = vec![PartitionData { partition_index: 0 }];
        let topic = TopicData { topic_name: name.to_owned(), partitions };
        RaftRequest::DescribeQuorum(DescribeQuorumRequest { topics: vec![topic] })
    };
    let described = |node: &mut Node, version, name| {
        let RaftResponse::DescribeQuorum(answer) = node.ask_version(version, request(name)) else {
            panic!()
        };
        answer
    };
    let answer = described(&mut node, 2, TOPIC);
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.leader_id, partition.high_watermark), (1, end));
    let voters = partition.current_voters.iter();
    let voters: Vec<_> = voters.map(|state| (state.replica_id, state.log_end_offset)).collect();
    assert_eq!(voters, [(1, end), (2, end), (3, -1)]);
    assert_eq!(partition.current_voters[1].last_caught_up_timestamp, node.now);
    assert_eq!(partition.current_voters[1].replica_directory_id, directory(2));
    let observer = &partition.observers[0];
    assert_eq!((observer.replica_id, observer.log_end_offset), (9, 3));
    assert_eq!(observer.last_caught_up_timestamp, -1);
    assert_eq!(answer.nodes[2].listeners[0].port, 9003);
    assert!(described(&mut node, 1, TOPIC).nodes.is_empty());
    let unknown = described(&mut node, 2, "other");
    let error = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(unknown.topics[0].partitions[0].error_code, error);
    let mut follower = Node::start(start(), log(&[1])).follow(5);
    let answer = described(&mut follower, 2, TOPIC);
    let error = ErrorCode::NotLeaderOrFollower.code();
    assert_eq!(answer.topics[0].partitions[0].error_code, error);
}
