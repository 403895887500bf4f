//! JoinGroup, heartbeats, leaving, sessions.

use naru_model::ErrorCode;
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};

use super::bench::*;
use crate::Shard as _;
use crate::{Command, GroupConfig, GroupState, Reply, ReplyToken};

fn refusal(bench: &mut Bench, version: i16, request: JoinGroupRequest) -> ErrorCode {
    let token = bench.join_as(version, request);
    code(bench.joined(token).error_code)
}

#[test]
fn joins_that_cannot_be_are_refused_without_a_trace() {
    type Spoil = fn(&mut JoinGroupRequest);
    let cases: [(ErrorCode, Spoil); 9] = [
        (ErrorCode::InvalidGroupId, |r| r.group_id.clear()),
        (ErrorCode::InvalidSessionTimeout, |r| r.session_timeout_ms = 5_999),
        (ErrorCode::InvalidSessionTimeout, |r| r.session_timeout_ms = 1_800_001),
        (ErrorCode::InvalidSessionTimeout, |r| r.session_timeout_ms = -1),
        (ErrorCode::UnknownMemberId, |r| r.member_id = "stranger".into()),
        (ErrorCode::InconsistentGroupProtocol, |r| r.protocols.clear()),
        (ErrorCode::InconsistentGroupProtocol, |r| r.protocol_type.clear()),
        (ErrorCode::MessageTooLarge, |r| r.protocols[0].metadata = vec![7; 50 << 20].into()),
        (ErrorCode::MessageTooLarge, |r| r.protocols = protocols(&["p"; 1_001])),
    ];
    for (expected, spoil) in cases {
        let mut bench = Bench::new();
        let mut request = join_request("");
        spoil(&mut request);
        assert_eq!(refusal(&mut bench, 9, request), expected);
        assert_eq!((bench.shard.group_count(), bench.log.len()), (0, 0), "{expected}");
    }
}

#[test]
fn a_dynamic_member_learns_its_id_before_it_joins() {
    let mut bench = Bench::new();
    let id = bench.new_id();
    assert!(id.starts_with("c-"), "{id}");
    assert_eq!(id.len(), "c-".len() + 36);
    assert_eq!(bench.state(), (GroupState::Empty, 0));
    let token = bench.join(&id);
    assert!(bench.waiting.contains(&token));
    bench.advance(3_000);
    let response = bench.joined(token);
    assert_eq!((response.error_code, response.generation_id), (0, 1));
    assert_eq!((response.leader.as_str(), response.member_id.as_str()), (&*id, &*id));
    assert_eq!(response.protocol_name.as_deref(), Some("range"));
    assert_eq!(response.members[0].metadata, subscription(&[TOPIC]));
}

#[test]
fn an_older_client_joins_in_one_step() {
    let mut bench = Bench::new();
    let token = bench.join_as(3, join_request(""));
    bench.advance(3_000);
    assert_eq!(bench.joined(token).generation_id, 1);
}

#[test]
fn version_0_has_one_timeout_for_session_and_rebalance() {
    let mut bench = Bench::new();
    let request = JoinGroupRequest { rebalance_timeout_ms: -1, ..join_request("") };
    let first = bench.join_as(0, request);
    bench.advance(3_000);
    let id = bench.joined(first).member_id;
    let second = bench.join_as(0, join_request(""));
    bench.advance(9_000);
    assert_eq!(bench.heartbeat(&id, 1), ErrorCode::RebalanceInProgress);
    assert!(bench.waiting.contains(&second));
    bench.advance(1_001);
    assert_eq!(bench.joined(second).generation_id, 2);
}

#[test]
fn the_first_rebalance_waits_longer_while_members_come() {
    let mut bench = Bench::new();
    let mut tokens: Vec<ReplyToken> = Vec::new();
    for _ in 0..4 {
        let id = bench.new_id();
        tokens.push(bench.join(&id));
        bench.advance(2_000);
    }
    // Joins at 0, 2, 4 and 6 s; each period of 3 s with a newcomer is followed by another.
    assert_eq!(bench.state(), (GroupState::PreparingRebalance, 0));
    bench.advance(4_000);
    for token in tokens {
        assert_eq!(bench.joined(token).generation_id, 1);
    }
}

#[test]
fn the_first_rebalance_does_not_wait_beyond_the_rebalance_timeout() {
    let mut bench = Bench::new();
    let start = bench.now;
    let mut tokens = Vec::new();
    while bench.shard.group_state(GROUP).is_none_or(|(_, generation)| generation == 0) {
        let id = bench.new_id();
        let request = JoinGroupRequest { rebalance_timeout_ms: 10_000, ..join_request(&id) };
        tokens.push(bench.join_as(9, request));
        bench.advance(1_000);
    }
    assert_eq!(bench.now.get() - start.get(), 10_000);
}

#[test]
fn a_member_that_joins_a_stable_group_begins_a_rebalance() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    let id = bench.new_id();
    let newcomer = bench.join(&id);
    assert_eq!(bench.state(), (GroupState::PreparingRebalance, 1));
    let mut tokens = vec![newcomer];
    for member in &ids {
        assert_eq!(bench.heartbeat(member, 1), ErrorCode::RebalanceInProgress);
        tokens.push(bench.join(member));
    }
    for token in tokens {
        assert_eq!(bench.joined(token).generation_id, 2);
    }
}

#[test]
fn members_that_do_not_rejoin_in_time_are_left_behind() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    let id = bench.new_id();
    let newcomer = bench.join(&id);
    for _ in 0..7 {
        bench.advance(9_000);
        for member in &ids {
            bench.heartbeat(member, 1);
        }
    }
    let response = bench.joined(newcomer);
    assert_eq!((response.generation_id, response.members.len()), (2, 1));
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_follower_that_rejoins_unchanged_keeps_its_generation() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    let token = bench.join(&ids[1]);
    let response = bench.joined(token);
    assert_eq!((response.error_code, response.generation_id, response.members.len()), (0, 1, 0));
    assert_eq!(bench.state(), (GroupState::Stable, 1));
}

#[test]
fn a_leader_or_a_changed_follower_that_rejoins_begins_a_rebalance() {
    for (who, names) in [(0, ["range"].as_slice()), (1, ["range", "sticky"].as_slice())] {
        let mut bench = Bench::new();
        let ids = bench.stable(2);
        let request = JoinGroupRequest { protocols: protocols(names), ..join_request(&ids[who]) };
        bench.join_as(9, request);
        assert_eq!(bench.state(), (GroupState::PreparingRebalance, 1));
    }
}

#[test]
fn the_protocol_with_most_votes_among_common_ones_wins() {
    let mut bench = Bench::new();
    let offers = [["a", "b", "x"], ["b", "a", "y"], ["b", "z", "a"]];
    let tokens: Vec<ReplyToken> = offers
        .iter()
        .map(|names| {
            let request = JoinGroupRequest { protocols: protocols(names), ..join_request("") };
            bench.join_as(3, request)
        })
        .collect();
    bench.advance(9_000);
    for token in tokens {
        assert_eq!(bench.joined(token).protocol_name.as_deref(), Some("b"));
    }
}

#[test]
fn members_must_have_type_and_a_protocol_in_common() {
    let mut bench = Bench::new();
    bench.stable(1);
    let other = JoinGroupRequest { protocols: protocols(&["other"]), ..join_request("") };
    assert_eq!(refusal(&mut bench, 9, other), ErrorCode::InconsistentGroupProtocol);
    let connect = JoinGroupRequest { protocol_type: "connect".into(), ..join_request("") };
    assert_eq!(refusal(&mut bench, 9, connect), ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn a_full_group_takes_no_more_members() {
    let mut bench = Bench::with(GroupConfig { max_size: 2, ..GroupConfig::default() });
    let ids = bench.stable(2);
    assert_eq!(refusal(&mut bench, 3, join_request("")), ErrorCode::GroupMaxSizeReached);
    let token = bench.join(&ids[1]);
    assert_eq!(bench.joined(token).error_code, 0);
}

#[test]
fn a_group_whose_record_would_not_fit_takes_no_more_members() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    let garbage =
        JoinGroupRequestProtocol { name: "range".into(), metadata: vec![b'm'; 1_048_580].into() };
    let request = JoinGroupRequest { protocols: vec![garbage], ..join_request("") };
    assert_eq!(refusal(&mut bench, 3, request), ErrorCode::GroupMaxSizeReached);
    assert_eq!(bench.state(), (GroupState::Stable, 1));
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::None);
}

#[test]
fn garbage_metadata_neither_hangs_nor_breaks_a_group() {
    // It announces collections of a size that nobody could allocate.
    let metadata = vec![b'm'; 1_000_000];
    let mut bench = Bench::new();
    let garbage = JoinGroupRequestProtocol { name: "range".into(), metadata: metadata.into() };
    let request = JoinGroupRequest { protocols: vec![garbage], ..join_request("") };
    let token = bench.join_as(3, request);
    bench.advance(3_000);
    let response = bench.joined(token);
    assert_eq!((response.error_code, response.generation_id), (0, 1));
    let token = bench.sync(&response.member_id, 1, std::slice::from_ref(&response.member_id));
    assert_eq!(bench.synced(token).error_code, 0);
    assert_eq!(bench.state(), (GroupState::Stable, 1));
}

#[test]
fn pending_members_are_forgotten_after_their_session() {
    let config = GroupConfig { max_pending_members: 1, ..GroupConfig::default() };
    let mut bench = Bench::with(config);
    let id = bench.new_id();
    assert_eq!(refusal(&mut bench, 9, join_request("")), ErrorCode::GroupMaxSizeReached);
    bench.advance(10_000);
    let token = bench.join(&id);
    assert_eq!(code(bench.joined(token).error_code), ErrorCode::UnknownMemberId);
    bench.new_id();
}

#[test]
fn a_pending_member_holds_up_a_rebalance_until_it_joins_or_leaves() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    let pending = bench.new_id();
    let token = bench.join(&ids[0]);
    assert!(bench.waiting.contains(&token));
    assert_eq!(bench.leave(&pending).members[0].error_code, 0);
    assert_eq!(bench.joined(token).generation_id, 2);
}

#[test]
fn a_silent_member_is_removed_after_its_session_timeout() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    bench.advance(9_999);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::None);
    bench.advance(1);
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress);
    let token = bench.join(&ids[0]);
    assert_eq!(bench.joined(token).generation_id, 2);
}

#[test]
fn a_member_that_waits_for_a_rebalance_is_not_silent() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    let waiting = bench.join(&ids[0]);
    for _ in 0..3 {
        bench.advance(9_000);
        bench.heartbeat(&ids[1], 1);
    }
    assert!(bench.waiting.contains(&waiting));
    let token = bench.join(&ids[1]);
    assert_eq!(bench.joined(token).generation_id, 2);
    assert_eq!(bench.joined(waiting).generation_id, 2);
}

#[test]
fn a_newcomer_that_vanishes_while_it_waits_is_dropped_after_five_minutes() {
    let mut bench = Bench::new();
    let slow = JoinGroupRequest { rebalance_timeout_ms: 1_000_000, ..join_request("") };
    let first = bench.join_as(3, slow);
    bench.advance(3_000);
    let id = bench.joined(first).member_id;
    let newcomer = bench.join_as(3, join_request(""));
    for _ in 0..300 {
        bench.advance(1_000);
        bench.heartbeat(&id, 1);
    }
    assert_eq!(code(bench.joined(newcomer).error_code), ErrorCode::UnknownMemberId);
}

#[test]
fn heartbeats_of_strangers_and_of_the_past_are_refused() {
    let mut bench = Bench::new();
    assert_eq!(bench.heartbeat("x", 1), ErrorCode::UnknownMemberId);
    let ids = bench.stable(1);
    assert_eq!(bench.heartbeat("x", 1), ErrorCode::UnknownMemberId);
    assert_eq!(bench.heartbeat(&ids[0], 0), ErrorCode::IllegalGeneration);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::None);
}

#[test]
fn the_last_member_leaves_an_empty_group_and_is_answered_when_that_is_stored() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    bench.auto_commit = false;
    let member = MemberIdentity { member_id: ids[0].clone(), ..Default::default() };
    let request =
        LeaveGroupRequest { group_id: GROUP.into(), members: vec![member], ..Default::default() };
    let token = bench.send(Command::LeaveGroup { context: context(5), request });
    assert_eq!(bench.state(), (GroupState::Empty, 2));
    assert!(bench.waiting.contains(&token));
    bench.settle(Ok(()));
    assert!(matches!(bench.answer(token), Reply::LeaveGroup(r) if r.members[0].error_code == 0));
    bench.crash();
    assert_eq!(bench.state(), (GroupState::Empty, 2));
}

#[test]
fn one_members_fault_does_not_keep_others_from_leaving() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    let names = [ids[0].as_str(), "stranger", ""];
    let members =
        names.map(|id| MemberIdentity { member_id: id.into(), ..Default::default() }).to_vec();
    let response = bench.leave_batch(members);
    let codes: Vec<ErrorCode> = response.members.iter().map(|m| code(m.error_code)).collect();
    let unknown = ErrorCode::UnknownMemberId;
    assert_eq!(codes, [ErrorCode::None, unknown, unknown]);
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn before_version_3_one_members_error_is_the_answers() {
    let mut bench = Bench::new();
    let ids = bench.stable(1);
    for (id, expected) in [("x", ErrorCode::UnknownMemberId), (&ids[0], ErrorCode::None)] {
        let request = LeaveGroupRequest {
            group_id: GROUP.into(),
            member_id: id.into(),
            ..Default::default()
        };
        let reply = bench.ask(Command::LeaveGroup { context: context(1), request });
        let Reply::LeaveGroup(response) = reply else { panic!("{reply:?}") };
        assert_eq!((code(response.error_code), response.members.len()), (expected, 0));
    }
}

#[test]
fn a_join_repeated_by_its_member_displaces_the_first() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    let first = bench.join(&ids[0]);
    let second = bench.join(&ids[0]);
    assert_eq!(code(bench.joined(first).error_code), ErrorCode::RebalanceInProgress);
    let other = bench.join(&ids[1]);
    assert_eq!(bench.joined(second).generation_id, 2);
    assert_eq!(bench.joined(other).generation_id, 2);
}

#[test]
fn members_of_a_loaded_group_go_on_or_time_out() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    bench.crash();
    assert_eq!(bench.state(), (GroupState::Stable, 1));
    bench.advance(9_000);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::None);
    let token = bench.sync(&ids[0], 1, &[]);
    assert_eq!(bench.synced(token).assignment, assignment_of(&ids[0], 1));
    bench.advance(1_000);
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_new_group_that_cannot_be_stored_refuses_its_first_member() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    let token = bench.join_as(3, join_request(""));
    bench.settle_one(Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(code(bench.joined(token).error_code), ErrorCode::CoordinatorNotAvailable);
    bench.auto_commit = true;
    bench.settle(Ok(()));
    assert_eq!(bench.state().0, GroupState::Empty);
}

#[test]
fn giving_the_partition_up_answers_all_who_wait() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    let join = bench.join(&ids[0]);
    bench.auto_commit = false;
    let request = commit_request(&ids[1], 1, 0, 5);
    let commit = bench.send(Command::OffsetCommit { context: context(9), request });
    let outcome = bench.shard.unload();
    bench.run(outcome);
    assert!(bench.waiting.is_empty());
    assert_eq!(code(bench.joined(join).error_code), ErrorCode::NotCoordinator);
    assert_eq!(bench.committed(commit), ErrorCode::NotCoordinator);
    assert_eq!(bench.shard.next_deadline(), None);
}
