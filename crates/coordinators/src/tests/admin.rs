//! ListGroups, DescribeGroups, DeleteGroups.

use naru_model::ErrorCode;
use naru_protocol::messages::describe_groups_response::DescribedGroup;

use super::bench::*;
use crate::{Command, GroupState, Reply};

fn describe(bench: &mut Bench, api_version: i16, group: &str) -> DescribedGroup {
    match bench.ask(Command::DescribeGroup { api_version, group_id: group.into() }) {
        Reply::DescribeGroup(described) => described,
        other => panic!("not to a describe: {other:?}"),
    }
}

fn delete(bench: &mut Bench, group: &str) -> ErrorCode {
    match bench.ask(Command::DeleteGroup { group_id: group.into() }) {
        Reply::DeleteGroup(result) => code(result.error_code),
        other => panic!("not to a delete: {other:?}"),
    }
}

fn list(bench: &mut Bench, states: &[&str], types: &[&str]) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let (states_filter, types_filter) = (owned(states), owned(types));
    match bench.ask(Command::ListGroups { states_filter, types_filter }) {
        Reply::ListGroups(groups) => groups.into_iter().map(|group| group.group_id).collect(),
        other => panic!("not to a list: {other:?}"),
    }
}

#[test]
fn groups_are_listed_by_state_and_type_in_any_case() {
    let mut bench = Bench::new();
    bench.stable(1);
    let mut simple = commit_request("", -1, 0, 1);
    simple.group_id = "simple".into();
    bench.commit_as(9, simple);
    let cases: [(&[&str], &[&str], &[&str]); 7] = [
        (&[], &[], &["g", "simple"]),
        (&["stable"], &[], &["g"]),
        (&[" Empty "], &[], &["simple"]),
        (&["Empty", "STABLE"], &["Classic"], &["g", "simple"]),
        (&["Dead"], &[], &[]),
        (&[], &["consumer"], &[]),
        (&["nonsense"], &[], &[]),
    ];
    for (states, types, expected) in cases {
        assert_eq!(list(&mut bench, states, types), expected, "{states:?} {types:?}");
    }
}

#[test]
fn a_stable_group_shows_its_members_whole() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    let group = describe(&mut bench, 6, GROUP);
    assert_eq!((group.error_code, group.group_state.as_str()), (0, "Stable"));
    assert_eq!((group.protocol_type.as_str(), group.protocol_data.as_str()), ("consumer", "range"));
    let member = group.members.iter().find(|m| m.member_id == ids[1]).expect("the member");
    assert_eq!(member.member_assignment, assignment_of(&ids[1], 1));
    assert_eq!(member.member_metadata, subscription(&[TOPIC]));
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("c", "/127.0.0.1"));
}

#[test]
fn a_group_between_generations_hides_metadata() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    bench.join(&ids[0]);
    let group = describe(&mut bench, 5, GROUP);
    assert_eq!(
        (group.group_state.as_str(), group.protocol_data.as_str()),
        ("PreparingRebalance", "")
    );
    assert!(group.members.iter().all(|member| member.member_metadata.is_empty()));
    assert_eq!(group.members.len(), 2);
}

#[test]
fn an_unknown_group_is_dead_and_since_version_6_an_error() {
    let mut bench = Bench::new();
    let old = describe(&mut bench, 5, "x");
    assert_eq!((old.error_code, old.group_state.as_str()), (0, "Dead"));
    let new = describe(&mut bench, 6, "x");
    assert_eq!(code(new.error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(new.error_message.as_deref(), Some("Group x not found."));
    assert_eq!(new.group_state, "Dead");
}

#[test]
fn only_a_group_without_members_can_be_deleted() {
    let mut bench = Bench::new();
    assert_eq!(delete(&mut bench, GROUP), ErrorCode::GroupIdNotFound);
    let ids = bench.stable(1);
    bench.commit_as(9, commit_request(&ids[0], 1, 0, 5));
    assert_eq!(delete(&mut bench, GROUP), ErrorCode::NonEmptyGroup);
    bench.leave(&ids[0]);
    assert_eq!(delete(&mut bench, GROUP), ErrorCode::None);
    assert_eq!(delete(&mut bench, GROUP), ErrorCode::GroupIdNotFound);
    assert_eq!(bench.position(0), None);
    bench.crash();
    assert_eq!((bench.shard.group_count(), bench.position(0)), (0, None));
}

#[test]
fn a_group_comes_back_if_it_could_not_be_deleted() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    bench.leave(&ids[0]);
    bench.auto_commit = false;
    let token = bench.send(Command::DeleteGroup { group_id: GROUP.into() });
    bench.settle(Err(ErrorCode::KafkaStorageError));
    let Reply::DeleteGroup(result) = bench.answer(token) else { panic!("not to a delete") };
    assert_eq!(code(result.error_code), ErrorCode::NotCoordinator);
    assert_eq!(bench.state(), (GroupState::Empty, 2));
}

#[test]
fn a_group_joined_while_it_is_deleted_is_a_new_one() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    bench.leave(&ids[0]);
    bench.auto_commit = false;
    bench.send(Command::DeleteGroup { group_id: GROUP.into() });
    let token = bench.join("");
    assert_eq!(code(bench.joined(token).error_code), ErrorCode::MemberIdRequired);
    bench.settle(Ok(()));
    assert_eq!(bench.state(), (GroupState::Empty, 0));
    bench.crash();
    assert_eq!(bench.state(), (GroupState::Empty, 0));
}

#[test]
fn a_group_of_many_offsets_is_deleted_in_several_batches() {
    let mut bench = Bench::new();
    for partition in 0..2_500 {
        bench.commit_as(9, commit_request("", -1, partition, 1));
    }
    bench.auto_commit = false;
    bench.send(Command::DeleteGroup { group_id: GROUP.into() });
    assert_eq!(bench.in_flight.len(), 3);
    bench.settle(Ok(()));
    assert_eq!((bench.shard.offset_count(), bench.shard.group_count()), (0, 0));
}

#[test]
fn a_commit_in_flight_does_not_revive_a_group_that_is_being_deleted() {
    let mut bench = Bench::new();
    bench.commit_as(9, commit_request("", -1, 0, 1));
    bench.auto_commit = false;
    let request = commit_request("", -1, 0, 2);
    bench.send(Command::OffsetCommit { context: context(9), request });
    bench.send(Command::DeleteGroup { group_id: GROUP.into() });
    bench.settle_one(Ok(()));
    assert_eq!(bench.shard.group_count(), 0);
    let token = bench.join("");
    assert_eq!(code(bench.joined(token).error_code), ErrorCode::MemberIdRequired);
    assert_eq!(bench.in_flight.len(), 2, "the new group is announced behind the old one's end");
}

#[test]
fn a_failed_deletion_does_not_bring_back_what_a_later_one_deletes() {
    let mut bench = Bench::new();
    bench.commit_as(9, commit_request("", -1, 0, 1));
    bench.auto_commit = false;
    bench.send(Command::DeleteGroup { group_id: GROUP.into() });
    bench.join("");
    bench.send(Command::DeleteGroup { group_id: GROUP.into() });
    bench.settle_one(Err(ErrorCode::NotEnoughReplicas));
    bench.settle(Ok(()));
    assert_eq!((bench.shard.group_count(), bench.position(0)), (0, None));
}
