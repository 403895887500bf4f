//! OffsetCommit, OffsetFetch, OffsetDelete, expiry.

use naru_model::{ErrorCode, Timestamp, Uuid};
use naru_protocol::messages::offset_commit_request::OffsetCommitRequest;
use naru_protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use naru_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use naru_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;

use super::bench::*;
use crate::{Command, GroupState, Reply};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn fetch(bench: &mut Bench, topics: Option<&[(&str, Uuid, &[i32])]>) -> OffsetFetchResponseGroup {
    let topics = topics.map(|topics| {
        topics
            .iter()
            .map(|(name, topic_id, partitions)| OffsetFetchRequestTopics {
                name: (*name).into(),
                topic_id: *topic_id,
                partition_indexes: partitions.to_vec(),
            })
            .collect()
    });
    let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics, ..Default::default() };
    match bench.ask(Command::OffsetFetch { group, require_stable: true }) {
        Reply::OffsetFetch(response) => response,
        other => panic!("not to a fetch: {other:?}"),
    }
}

fn delete(bench: &mut Bench, topic: &str, partitions: &[i32]) -> (ErrorCode, Vec<ErrorCode>) {
    let request = OffsetDeleteRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: topic.into(),
            partitions: partitions
                .iter()
                .map(|index| OffsetDeleteRequestPartition { partition_index: *index })
                .collect(),
        }],
    };
    match bench.ask(Command::OffsetDelete(request)) {
        Reply::OffsetDelete(response) => {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            (code(response.error_code), partitions.map(|p| code(p.error_code)).collect())
        }
        other => panic!("not to a delete: {other:?}"),
    }
}

#[test]
fn a_simple_consumer_makes_its_group_by_committing() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit_as(9, commit_request("", -1, 0, 42)), ErrorCode::None);
    assert_eq!(bench.state(), (GroupState::Empty, 0));
    bench.crash();
    assert_eq!(bench.position(0), Some(42));
    assert_eq!(bench.state(), (GroupState::Empty, 0));
}

#[test]
fn what_is_not_committed_is_not_seen() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    let request = commit_request("", -1, 0, 42);
    let token = bench.send(Command::OffsetCommit { context: context(9), request });
    assert_eq!(bench.position(0), None);
    bench.settle(Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(bench.committed(token), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(bench.position(0), None);
}

#[test]
fn a_commit_too_large_for_a_batch_says_so() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    let request = commit_request("", -1, 0, 42);
    let token = bench.send(Command::OffsetCommit { context: context(9), request });
    bench.settle(Err(ErrorCode::MessageTooLarge));
    assert_eq!(bench.committed(token), ErrorCode::InvalidCommitOffsetSize);
}

#[test]
fn a_commit_into_an_unknown_generation_depends_on_the_version() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit_as(8, commit_request("m", 3, 0, 1)), ErrorCode::IllegalGeneration);
    assert_eq!(bench.commit_as(9, commit_request("m", 3, 0, 1)), ErrorCode::GroupIdNotFound);
    assert_eq!(bench.shard.group_count(), 0);
}

#[test]
fn commits_are_fenced_by_member_and_generation() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    let cases = [
        (commit_request(&ids[0], 1, 0, 1), ErrorCode::None),
        (commit_request(&ids[0], 0, 0, 2), ErrorCode::IllegalGeneration),
        (commit_request("stranger", 1, 0, 2), ErrorCode::UnknownMemberId),
        (commit_request("", -1, 0, 2), ErrorCode::UnknownMemberId),
        (commit_request("", 1, 0, 2), ErrorCode::UnknownMemberId),
    ];
    for (request, expected) in cases {
        assert_eq!(bench.commit_as(9, request), expected);
    }
    assert_eq!(bench.position(0), Some(1));
}

#[test]
fn a_commit_is_taken_while_members_join_and_refused_until_they_are_assigned() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    bench.join(&ids[0]);
    assert_eq!(bench.commit_as(9, commit_request(&ids[1], 1, 0, 7)), ErrorCode::None);
    bench.join(&ids[1]);
    assert_eq!(bench.state(), (GroupState::CompletingRebalance, 2));
    let commit = commit_request(&ids[1], 2, 0, 8);
    assert_eq!(bench.commit_as(9, commit), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_commit_keeps_a_member_alive() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    for offset in 0..5 {
        bench.advance(9_000);
        let commit = commit_request(&ids[0], 1, 0, offset);
        assert_eq!(bench.commit_as(9, commit), ErrorCode::None);
    }
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::None);
}

#[test]
fn everything_of_a_commit_comes_back() {
    let mut bench = Bench::new();
    let mut request = commit_request("", -1, 5, -9);
    request.topics[0].topic_id = Uuid(77);
    request.topics[0].partitions[0].committed_leader_epoch = 3;
    request.topics[0].partitions[0].committed_metadata = Some("note".into());
    assert_eq!(bench.commit_as(10, request), ErrorCode::None);
    bench.crash();
    let asked = [(TOPIC, Uuid::ZERO, [4, 5].as_slice())];
    let topics = fetch(&mut bench, Some(&asked)).topics;
    let partitions = &topics[0].partitions;
    assert_eq!((partitions[0].committed_offset, partitions[0].committed_leader_epoch), (-1, -1));
    assert_eq!((partitions[1].committed_offset, partitions[1].committed_leader_epoch), (-9, 3));
    assert_eq!(partitions[1].metadata.as_deref(), Some("note"));
    let all = fetch(&mut bench, None).topics;
    assert_eq!((all.len(), all[0].partitions.len()), (1, 1));
}

#[test]
fn a_topic_made_again_does_not_inherit_offsets() {
    let mut bench = Bench::new();
    let mut request = commit_request("", -1, 0, 5);
    request.topics[0].topic_id = Uuid(1);
    bench.commit_as(10, request);
    let position = |bench: &mut Bench, id| {
        fetch(bench, Some(&[(TOPIC, id, &[0])])).topics[0].partitions[0].committed_offset
    };
    assert_eq!(position(&mut bench, Uuid(1)), 5);
    assert_eq!(position(&mut bench, Uuid(2)), -1);
    assert_eq!(position(&mut bench, Uuid::ZERO), 5);
}

#[test]
fn text_that_is_too_long_spoils_only_its_partition() {
    let mut bench = Bench::new();
    let mut request = commit_request("", -1, 0, 1);
    let mut long = request.topics[0].partitions[0].clone();
    long.partition_index = 1;
    // Kafka counts UTF-16 units, of which this character has two.
    long.committed_metadata = Some("\u{1f600}".repeat(2_048) + "x");
    request.topics[0].partitions.push(long);
    let Reply::OffsetCommit(response) =
        bench.ask(Command::OffsetCommit { context: context(9), request })
    else {
        panic!("not to a commit");
    };
    let codes: Vec<ErrorCode> =
        response.topics[0].partitions.iter().map(|p| code(p.error_code)).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::OffsetMetadataTooLarge]);
    assert_eq!((bench.position(0), bench.position(1)), (Some(1), None));
}

#[test]
fn offsets_of_subscribed_topics_cannot_be_deleted() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    bench.commit_as(9, commit_request(&ids[0], 1, 0, 5));
    let subscribed = ErrorCode::GroupSubscribedToTopic;
    assert_eq!(delete(&mut bench, TOPIC, &[0]), (ErrorCode::None, vec![subscribed]));
    assert_eq!(delete(&mut bench, "other", &[0]), (ErrorCode::None, vec![ErrorCode::None]));
    bench.leave(&ids[0]);
    let expected = (ErrorCode::None, vec![ErrorCode::None, ErrorCode::None]);
    assert_eq!(delete(&mut bench, TOPIC, &[0, 9]), expected);
    assert_eq!(bench.position(0), None);
    bench.crash();
    assert_eq!(bench.position(0), None);
}

#[test]
fn offsets_of_unknown_and_of_other_groups_with_members_cannot_be_deleted() {
    let mut bench = Bench::new();
    assert_eq!(delete(&mut bench, TOPIC, &[0]).0, ErrorCode::GroupIdNotFound);
    let mut request = join_request("");
    request.protocol_type = "connect".into();
    bench.join_as(3, request);
    assert_eq!(delete(&mut bench, TOPIC, &[0]).0, ErrorCode::NonEmptyGroup);
}

#[test]
fn a_delete_reaches_a_commit_that_is_still_in_flight() {
    let mut bench = Bench::new();
    bench.commit_as(9, commit_request("", -1, 1, 1));
    bench.auto_commit = false;
    let request = commit_request("", -1, 0, 42);
    bench.send(Command::OffsetCommit { context: context(9), request });
    let group_id = GROUP.to_owned();
    bench.send(Command::DeleteGroup { group_id });
    bench.settle(Ok(()));
    assert_eq!((bench.shard.group_count(), bench.shard.offset_count()), (0, 0));
    bench.crash();
    assert_eq!((bench.shard.group_count(), bench.shard.offset_count()), (0, 0));
}

#[test]
fn offsets_of_deleted_topics_go() {
    let mut bench = Bench::new();
    bench.commit_as(9, commit_request("", -1, 0, 1));
    let mut other = commit_request("", -1, 0, 2);
    other.topics[0].name = "kept".into();
    bench.commit_as(9, other);
    assert_eq!(
        bench.ask(Command::TopicsDeleted { topics: vec![TOPIC.into()], ids: Vec::new() }),
        Reply::Done
    );
    assert_eq!(bench.position(0), None);
    assert_eq!(bench.shard.offset_count(), 1);
}

#[test]
fn offsets_of_a_simple_group_expire_after_their_commit() {
    let mut bench = Bench::new();
    bench.commit_as(9, commit_request("", -1, 0, 1));
    bench.advance(DAY_MS);
    bench.commit_as(9, commit_request("", -1, 1, 1));
    bench.advance(6 * DAY_MS + 600_000);
    assert_eq!((bench.position(0), bench.position(1)), (None, Some(1)));
    bench.advance(DAY_MS + 600_000);
    assert_eq!(bench.shard.group_count(), 0);
    bench.crash();
    assert_eq!((bench.shard.group_count(), bench.shard.offset_count()), (0, 0));
}

#[test]
fn offsets_of_a_group_expire_after_it_became_empty() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    bench.commit_as(9, commit_request(&ids[0], 1, 0, 1));
    for _ in 0..(8 * DAY_MS / 9_000) {
        bench.now = Timestamp(bench.now.get() + 9_000);
        bench.heartbeat(&ids[0], 1);
    }
    bench.advance(1);
    assert_eq!(bench.position(0), Some(1), "its topic is subscribed to");
    bench.leave(&ids[0]);
    bench.advance(6 * DAY_MS);
    assert_eq!(bench.position(0), Some(1));
    bench.crash();
    bench.advance(DAY_MS + 600_000);
    assert_eq!((bench.position(0), bench.shard.group_count()), (None, 0));
}

#[test]
fn offsets_of_topics_no_longer_subscribed_expire_in_a_live_group() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    let mut old = commit_request(&ids[0], 1, 0, 1);
    old.topics[0].name = "old".into();
    bench.commit_as(9, old);
    bench.commit_as(9, commit_request(&ids[0], 1, 0, 1));
    for _ in 0..(7 * DAY_MS / 9_000 + 100) {
        bench.advance(9_000);
        bench.heartbeat(&ids[0], 1);
    }
    assert!(bench.shard.committed(GROUP, "old", 0).is_none());
    assert_eq!(bench.position(0), Some(1));
    assert_eq!(bench.state(), (GroupState::Stable, 1));
}

#[test]
fn a_request_may_bring_its_own_retention() {
    let mut bench = Bench::new();
    let request = OffsetCommitRequest { retention_time_ms: DAY_MS, ..commit_request("", -1, 0, 1) };
    bench.commit_as(4, request);
    bench.crash();
    bench.advance(DAY_MS - 1);
    assert_eq!(bench.position(0), Some(1));
    bench.advance(600_000);
    assert_eq!(bench.position(0), None);
}

#[test]
fn an_empty_group_id_is_as_good_as_another_for_offsets() {
    let mut bench = Bench::new();
    let request = OffsetCommitRequest { group_id: String::new(), ..commit_request("", -1, 0, 1) };
    assert_eq!(bench.commit_as(9, request), ErrorCode::None);
    assert!(bench.shard.committed("", TOPIC, 0).is_some());
}
