//! Members with a group.instance.id (KIP-345, KIP-814).

use naru_model::ErrorCode;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::join_group_request::JoinGroupRequest;
use naru_protocol::messages::leave_group_request::MemberIdentity;

use super::bench::*;
use crate::{Command, GroupState, Reply, ReplyToken};

fn static_join(instance_id: &str, member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest { group_instance_id: Some(instance_id.into()), ..join_request(member_id) }
}

/// Static members `a` and `b` in a stable generation 1; returns (bench, leader's and follower's
/// instance id and member id).
fn stable_pair() -> (Bench, [(String, String); 2]) {
    let mut bench = Bench::new();
    let tokens: Vec<ReplyToken> =
        ["a", "b"].iter().map(|name| bench.join_as(9, static_join(name, ""))).collect();
    bench.advance(6_000);
    let responses: Vec<_> = tokens.into_iter().map(|token| bench.joined(token)).collect();
    let leader = responses[0].leader.clone();
    let mut pairs: Vec<(String, String)> = ["a", "b"]
        .iter()
        .zip(responses)
        .map(|(name, response)| ((*name).to_owned(), response.member_id))
        .collect();
    pairs.sort_by_key(|(_, id)| *id != leader);
    let ids: Vec<String> = pairs.iter().map(|(_, id)| id.clone()).collect();
    for id in &ids {
        let token = bench.sync(id, 1, &ids);
        bench.synced(token);
    }
    let pairs = pairs.try_into().expect("two members");
    (bench, pairs)
}

fn static_heartbeat(bench: &mut Bench, instance_id: &str, member_id: &str) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: GROUP.into(),
        member_id: member_id.into(),
        generation_id: 1,
        group_instance_id: Some(instance_id.into()),
    };
    match bench.ask(Command::Heartbeat(request)) {
        Reply::Heartbeat(response) => code(response.error_code),
        other => panic!("not to a heartbeat: {other:?}"),
    }
}

#[test]
fn a_static_member_joins_in_one_step_with_an_id_of_its_instance() {
    let (_, [(name, id), _]) = stable_pair();
    assert!(id.starts_with(&format!("{name}-")), "{id}");
}

#[test]
fn a_returning_follower_gets_a_new_id_and_no_rebalance() {
    let (mut bench, [leader, (name, old_id)]) = stable_pair();
    let token = bench.join_as(9, static_join(&name, ""));
    let response = bench.joined(token);
    assert_eq!((response.error_code, response.generation_id), (0, 1));
    assert_ne!(response.member_id, old_id);
    assert_eq!((response.leader, response.skip_assignment), (leader.1, false));
    assert_eq!(bench.state(), (GroupState::Stable, 1));
    let sync = bench.sync(&response.member_id, 1, &[]);
    assert_eq!(bench.synced(sync).assignment, assignment_of(&old_id, 1));
    assert_eq!(static_heartbeat(&mut bench, &name, &old_id), ErrorCode::FencedInstanceId);
    assert_eq!(static_heartbeat(&mut bench, &name, &response.member_id), ErrorCode::None);
    assert_eq!(static_heartbeat(&mut bench, "nobody", &old_id), ErrorCode::UnknownMemberId);
    bench.crash();
    assert_eq!(static_heartbeat(&mut bench, &name, &response.member_id), ErrorCode::None);
}

#[test]
fn a_returning_leader_learns_that_it_leads_only_if_it_can_skip_the_assignment() {
    for (version, skips) in [(8, false), (9, true)] {
        let (mut bench, [(name, old_id), _]) = stable_pair();
        let token = bench.join_as(version, static_join(&name, ""));
        let response = bench.joined(token);
        assert_eq!((response.error_code, response.generation_id), (0, 1));
        assert_eq!(response.skip_assignment, skips);
        assert_eq!(response.members.len(), if skips { 2 } else { 0 });
        let expected = if skips { &response.member_id } else { &old_id };
        assert_eq!(response.leader, *expected);
    }
}

#[test]
fn a_replacement_is_answered_only_when_it_is_stored() {
    let (mut bench, [_, (name, old_id)]) = stable_pair();
    bench.auto_commit = false;
    let token = bench.join_as(9, static_join(&name, ""));
    assert!(bench.waiting.contains(&token));
    bench.settle(Err(ErrorCode::NotEnoughReplicas));
    let response = bench.joined(token);
    assert_eq!(code(response.error_code), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(static_heartbeat(&mut bench, &name, &old_id), ErrorCode::None);
}

#[test]
fn a_returning_member_with_other_protocols_begins_a_rebalance() {
    let (mut bench, [(name, _), (other, other_id)]) = stable_pair();
    // The other one must offer the new protocol before it can win the vote.
    let both = |names: &[&str], request: JoinGroupRequest| JoinGroupRequest {
        protocols: protocols(names),
        ..request
    };
    bench.join_as(9, both(&["new", "range"], static_join(&other, &other_id)));
    assert_eq!(bench.state(), (GroupState::PreparingRebalance, 1));
    let token = bench.join_as(9, both(&["new", "range"], static_join(&name, "")));
    let response = bench.joined(token);
    assert_eq!((response.generation_id, response.protocol_name.as_deref()), (2, Some("new")));
}

#[test]
fn the_old_incarnations_parked_requests_are_fenced() {
    let (mut bench, [_, (name, old_id)]) = stable_pair();
    bench.join_as(3, join_request(""));
    let parked = bench.join_as(9, static_join(&name, &old_id));
    assert!(bench.waiting.contains(&parked));
    bench.join_as(9, static_join(&name, ""));
    let response = bench.joined(parked);
    assert_eq!(code(response.error_code), ErrorCode::FencedInstanceId);
    assert_eq!(response.member_id, old_id);
    let again = bench.join_as(9, static_join(&name, &old_id));
    assert_eq!(code(bench.joined(again).error_code), ErrorCode::FencedInstanceId);
}

#[test]
fn a_static_member_keeps_its_place_over_a_rebalance_it_misses() {
    let (mut bench, [(leader, leader_id), (follower, follower_id)]) = stable_pair();
    let token = bench.join_as(9, static_join(&leader, &leader_id));
    for _ in 0..7 {
        bench.advance(9_000);
        static_heartbeat(&mut bench, &follower, &follower_id);
    }
    let response = bench.joined(token);
    assert_eq!((response.generation_id, response.members.len()), (2, 2));
}

#[test]
fn a_leader_that_misses_the_rebalance_hands_over() {
    let (mut bench, [(leader, leader_id), (follower, follower_id)]) = stable_pair();
    let changed = JoinGroupRequest {
        protocols: protocols(&["range", "more"]),
        ..static_join(&follower, &follower_id)
    };
    let token = bench.join_as(9, changed);
    for _ in 0..7 {
        bench.advance(9_000);
        static_heartbeat(&mut bench, &leader, &leader_id);
    }
    let response = bench.joined(token);
    assert_eq!((response.generation_id, response.leader), (2, follower_id));
    assert_eq!(response.members.len(), 2);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance() {
    let (mut bench, [_, (name, id)]) = stable_pair();
    let by_instance = |instance: &str, member_id: &str| MemberIdentity {
        member_id: member_id.into(),
        group_instance_id: Some(instance.into()),
        ..Default::default()
    };
    let members =
        vec![by_instance("nobody", ""), by_instance(&name, "old"), by_instance(&name, "")];
    let response = bench.leave_batch(members);
    let codes: Vec<ErrorCode> = response.members.iter().map(|m| code(m.error_code)).collect();
    let expected = [ErrorCode::UnknownMemberId, ErrorCode::FencedInstanceId, ErrorCode::None];
    assert_eq!(codes, expected);
    assert_eq!(static_heartbeat(&mut bench, &name, &id), ErrorCode::UnknownMemberId);
}
