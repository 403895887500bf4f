//! SyncGroup: one assignment a generation, stored before anybody acts on it.

use naru_model::ErrorCode;
use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use naru_protocol::messages::sync_group_request::SyncGroupRequest;

use super::bench::*;
use crate::{Command, GroupState, ReplyToken};

/// Two members joined into generation 1; the first leads.
fn completing() -> (Bench, Vec<String>) {
    let mut bench = Bench::new();
    let mut ids = vec![bench.new_id(), bench.new_id()];
    let tokens: Vec<ReplyToken> = ids.iter().map(|id| bench.join(id)).collect();
    bench.advance(6_000);
    let leaders: Vec<String> = tokens.into_iter().map(|t| bench.joined(t).leader).collect();
    ids.sort_by_key(|id| *id != leaders[0]);
    assert_eq!(bench.state(), (GroupState::CompletingRebalance, 1));
    (bench, ids)
}

#[test]
fn nobody_has_an_assignment_before_it_is_stored() {
    let (mut bench, ids) = completing();
    bench.auto_commit = false;
    let follower = bench.sync(&ids[1], 1, &[]);
    let leader = bench.sync(&ids[0], 1, &ids);
    assert_eq!(bench.answers.len(), 0);
    bench.settle(Ok(()));
    assert_eq!(bench.state(), (GroupState::Stable, 1));
    assert_eq!(bench.synced(leader).assignment, assignment_of(&ids[0], 1));
    let response = bench.synced(follower);
    assert_eq!(response.assignment, assignment_of(&ids[1], 1));
    assert_eq!(response.protocol_name.as_deref(), Some("range"));
}

#[test]
fn a_late_follower_gets_the_stored_assignment_at_once() {
    let (mut bench, ids) = completing();
    let leader = bench.sync(&ids[0], 1, &ids);
    bench.synced(leader);
    let follower = bench.sync(&ids[1], 1, &[]);
    assert_eq!(bench.synced(follower).assignment, assignment_of(&ids[1], 1));
}

#[test]
fn an_assignment_that_cannot_be_stored_fails_all_and_rebalances() {
    let cases = [
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::RequestTimedOut, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::UnknownTopicOrPartition, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
        (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::MessageTooLarge),
    ];
    for (append, told) in cases {
        let (mut bench, ids) = completing();
        bench.auto_commit = false;
        let tokens = [bench.sync(&ids[1], 1, &[]), bench.sync(&ids[0], 1, &ids)];
        bench.settle(Err(append));
        for token in tokens {
            assert_eq!(code(bench.synced(token).error_code), told);
        }
        assert_eq!(bench.state(), (GroupState::PreparingRebalance, 1));
    }
}

#[test]
fn an_assignment_too_large_for_a_record_is_refused_without_writing() {
    let (mut bench, ids) = completing();
    let records = bench.log.len();
    let mut request = sync_request(&ids[0], 1, &ids);
    request.assignments[0].assignment = vec![1; 1 << 20].into();
    let token = bench.send(Command::SyncGroup { api_version: 5, request });
    assert_eq!(code(bench.synced(token).error_code), ErrorCode::MessageTooLarge);
    assert_eq!(bench.log.len(), records);
}

#[test]
fn a_leader_that_asks_twice_writes_once() {
    let (mut bench, ids) = completing();
    bench.auto_commit = false;
    let first = bench.sync(&ids[0], 1, &ids);
    let second = bench.sync(&ids[0], 1, &[]);
    assert_eq!(bench.in_flight.len(), 1);
    assert_eq!(code(bench.synced(first).error_code), ErrorCode::RebalanceInProgress);
    bench.settle(Ok(()));
    assert_eq!(bench.synced(second).assignment, assignment_of(&ids[0], 1));
}

#[test]
fn a_rebalance_overtakes_an_assignment_in_flight() {
    let (mut bench, ids) = completing();
    bench.auto_commit = false;
    let leader = bench.sync(&ids[0], 1, &ids);
    let newcomer = bench.join_as(3, join_request(""));
    assert_eq!(code(bench.synced(leader).error_code), ErrorCode::RebalanceInProgress);
    bench.settle(Ok(()));
    assert_eq!(bench.state(), (GroupState::PreparingRebalance, 1));
    for id in &ids {
        bench.join(id);
    }
    assert_eq!(bench.joined(newcomer).generation_id, 2);
}

#[test]
fn syncs_of_strangers_of_the_past_and_of_other_protocols_are_refused() {
    let (mut bench, ids) = completing();
    let cases = [
        (sync_request("stranger", 1, &[]), ErrorCode::UnknownMemberId),
        (sync_request(&ids[0], 0, &[]), ErrorCode::IllegalGeneration),
        (
            SyncGroupRequest {
                protocol_type: Some("connect".into()),
                ..sync_request(&ids[0], 1, &[])
            },
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            SyncGroupRequest {
                protocol_name: Some("sticky".into()),
                ..sync_request(&ids[0], 1, &[])
            },
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            SyncGroupRequest { group_id: "nowhere".into(), ..sync_request(&ids[0], 1, &[]) },
            ErrorCode::UnknownMemberId,
        ),
        (
            SyncGroupRequest { group_id: String::new(), ..sync_request(&ids[0], 1, &[]) },
            ErrorCode::InvalidGroupId,
        ),
    ];
    for (request, expected) in cases {
        let token = bench.send(Command::SyncGroup { api_version: 5, request });
        assert_eq!(code(bench.synced(token).error_code), expected);
    }
}

#[test]
fn members_that_never_sync_are_dropped_after_the_rebalance_timeout() {
    let (mut bench, ids) = completing();
    let leader = bench.sync(&ids[0], 1, &ids);
    bench.synced(leader);
    for _ in 0..6 {
        bench.advance(9_000);
        for id in &ids {
            assert_eq!(bench.heartbeat(id, 1), ErrorCode::None);
        }
    }
    bench.advance(6_000);
    assert_eq!(bench.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId);
    assert_eq!(bench.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_join_lost_on_the_way_back_is_answered_again_in_the_same_generation() {
    let (mut bench, ids) = completing();
    for (id, members) in [(&ids[0], 2), (&ids[1], 0)] {
        let token = bench.join(id);
        let response = bench.joined(token);
        assert_eq!((response.generation_id, response.members.len()), (1, members));
    }
    assert_eq!(bench.state(), (GroupState::CompletingRebalance, 1));
}

#[test]
fn a_sync_during_a_rebalance_is_told_so() {
    let mut bench = Bench::new();
    let ids = bench.stable(2);
    bench.join(&ids[0]);
    let token = bench.sync(&ids[1], 1, &[]);
    assert_eq!(code(bench.synced(token).error_code), ErrorCode::RebalanceInProgress);
}

#[test]
fn version_5_must_name_type_and_protocol() {
    let (mut bench, ids) = completing();
    let mute = SyncGroupRequest { protocol_name: None, ..sync_request(&ids[0], 1, &ids) };
    for (api_version, expected) in [(5, ErrorCode::InconsistentGroupProtocol), (4, ErrorCode::None)]
    {
        let request = mute.clone();
        let token = bench.send(Command::SyncGroup { api_version, request });
        assert_eq!(code(bench.synced(token).error_code), expected);
    }
}

#[test]
fn an_assignment_of_a_deleted_group_does_not_reach_its_successor() {
    let (mut bench, ids) = completing();
    bench.auto_commit = false;
    bench.sync(&ids[0], 1, &ids);
    for id in &ids {
        let member = MemberIdentity { member_id: id.clone(), ..Default::default() };
        let members = vec![member];
        let request = LeaveGroupRequest { group_id: GROUP.into(), members, ..Default::default() };
        bench.send(Command::LeaveGroup { context: context(5), request });
    }
    bench.send(Command::DeleteGroup { group_id: GROUP.into() });
    let token = bench.join_as(3, join_request(""));
    bench.advance(3_000);
    let id = bench.joined(token).member_id;
    let sync = bench.sync(&id, 1, std::slice::from_ref(&id));
    bench.settle(Ok(()));
    assert_eq!(bench.synced(sync).assignment, assignment_of(&id, 1));
}
