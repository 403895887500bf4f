use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use naru_protocol::messages::api_versions_response::{ApiVersionsResponse, SupportedFeatureKey};
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use naru_protocol::messages::update_raft_voter_request::{
    KRaftVersionFeature, Listener as UpdatedListener, UpdateRaftVoterRequest,
};

use super::harness::*;
use crate::raft::{
    ControlRecord, Effect, Event, LogView, QuorumStart, RaftRequest, RaftResponse, Voter, VoterLog,
};

fn add(id: i32) -> AddRaftVoterRequest {
    let own = endpoint(id);
    AddRaftVoterRequest {
        cluster_id: Some("cluster".to_owned()),
        timeout_ms: 1000,
        voter_id: id,
        voter_directory_id: directory(id),
        listeners: vec![Listener { name: own.name, host: own.host, port: own.port }],
        ack_when_committed: true,
    }
}

fn remove(id: i32) -> RaftRequest {
    RaftRequest::RemoveRaftVoter(RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: id,
        voter_directory_id: directory(id),
    })
}

fn update(id: i32, port: u16) -> UpdateRaftVoterRequest {
    let own = endpoint(id);
    UpdateRaftVoterRequest {
        cluster_id: None,
        current_leader_epoch: 0,
        voter_id: id,
        voter_directory_id: directory(id),
        listeners: vec![UpdatedListener { name: own.name, host: own.host, port }],
        k_raft_version_feature: KRaftVersionFeature {
            min_supported_version: 0,
            max_supported_version: 1,
        },
    }
}

fn error(response: &RaftResponse) -> ErrorCode {
    ErrorCode::from_code(match response {
        RaftResponse::AddRaftVoter(answer) => answer.error_code,
        RaftResponse::RemoveRaftVoter(answer) => answer.error_code,
        RaftResponse::UpdateRaftVoter(answer) => answer.error_code,
        other => panic!("{other:?}"),
    })
}

fn written(node: &Node) -> Option<Vec<Voter>> {
    node.effects.iter().rev().find_map(|effect| match effect {
        Effect::AppendControl { records, .. } => records.iter().find_map(|record| match record {
            ControlRecord::Voters(record) => Some(record.voters.iter().map(Voter::from).collect()),
            _ => None,
        }),
        _ => None,
    })
}

fn sync(node: &mut Node) {
    let end = node.log.end();
    node.feed(Event::Appended { log_end: end });
    node.feed(Event::Synced { end });
}

/// A leader whose epoch is committed.
fn leader() -> Node {
    let mut node = Node::start(start(), Log::default()).lead();
    let end = node.log.end();
    node.fetched_by(2, end);
    node.effects.clear();
    node
}

#[test]
fn a_voter_is_added_once_it_has_caught_up_and_told_when_that_is_committed() {
    let mut node = leader();
    let end = node.log.end();
    let token = node.ask_later(1, RaftRequest::AddRaftVoter(add(4)));
    node.fetched_by(4, end);
    assert_eq!(written(&node), None, "it has not said what it knows");
    node.fetched_by(4, end - 1);
    says_versions(&mut node, 0, 1);
    assert_eq!(written(&node), None);
    node.fetched_by(4, end - 1);
    assert_eq!(written(&node), None);
    node.fetched_by(4, end);
    assert_eq!(written(&node), Some(voters(&[1, 2, 3, 4])));
    assert_eq!(node.core.voters().len(), 4, "it counts at once");
    sync(&mut node);
    node.fetched_by(2, end + 1);
    assert!(node.answer(token).is_none(), "two of four are no majority");
    node.fetched_by(4, end + 1);
    assert_eq!(error(&node.answer(token).unwrap()), ErrorCode::None);
}

/// Answers what the leader has asked a node that is to be a voter.
fn says_versions(node: &mut Node, min_version: i16, max_version: i16) {
    let asked = node.sent().into_iter().rev().find_map(|(id, to, request)| {
        matches!(request, RaftRequest::ApiVersions(_)).then_some((id, to))
    });
    let (id, to) = asked.expect("it was asked what it knows");
    assert_eq!(to, Some(4));
    let name = "kraft.version".to_owned();
    let feature = SupportedFeatureKey { name, min_version, max_version };
    let supported_features = vec![feature];
    let says = ApiVersionsResponse { supported_features, ..ApiVersionsResponse::default() };
    node.respond(id, RaftResponse::ApiVersions(says));
}

#[test]
fn a_node_that_does_not_know_the_kraft_version_is_not_added() {
    for ack_when_committed in [true, false] {
        let mut node = leader();
        let end = node.log.end();
        node.fetched_by(4, end);
        let request = AddRaftVoterRequest { ack_when_committed, ..add(4) };
        let token = node.ask_later(1, RaftRequest::AddRaftVoter(request));
        assert!(node.answer(token).is_none());
        says_versions(&mut node, 0, 0);
        assert_eq!(error(&node.answer(token).unwrap()), ErrorCode::InvalidRequest);
        assert_eq!(written(&node), None);
        node.ask_later(0, remove(3));
        assert_eq!(written(&node), Some(voters(&[1, 2])), "the next change may come");
    }
}

#[test]
fn whoever_does_not_wait_for_the_commit_is_answered_at_once() {
    let mut node = leader();
    let request = AddRaftVoterRequest { ack_when_committed: false, ..add(4) };
    let token = node.ask_later(1, RaftRequest::AddRaftVoter(request.clone()));
    says_versions(&mut node, 0, 1);
    let answer = node.answer(token).unwrap();
    assert_eq!(error(&answer), ErrorCode::RequestTimedOut, "it has not caught up");
    let end = node.log.end();
    node.fetched_by(4, end);
    let token = node.ask_later(1, RaftRequest::AddRaftVoter(request));
    says_versions(&mut node, 0, 1);
    assert_eq!(error(&node.answer(token).unwrap()), ErrorCode::None);
    assert_eq!(node.core.voters().len(), 4);
}

#[test]
fn a_voter_that_does_not_catch_up_is_given_up_in_time() {
    let mut node = leader();
    let token = node.ask_later(1, RaftRequest::AddRaftVoter(add(4)));
    assert_eq!(error(&node.ask(remove(3))), ErrorCode::RequestTimedOut, "one at a time");
    node.pass(1000);
    assert_eq!(error(&node.answer(token).unwrap()), ErrorCode::RequestTimedOut);
    node.effects.clear();
    node.ask_later(0, remove(3));
    assert_eq!(written(&node), Some(voters(&[1, 2])));
}

#[test]
fn changes_are_refused_with_kafkas_errors() {
    let mut node = leader();
    let mut check = |request, expected| assert_eq!(error(&node.ask(request)), expected);
    let added = RaftRequest::AddRaftVoter;
    check(added(add(2)), ErrorCode::DuplicateVoter);
    check(
        added(AddRaftVoterRequest { cluster_id: Some("other".to_owned()), ..add(4) }),
        ErrorCode::InconsistentClusterId,
    );
    let no_directory = AddRaftVoterRequest { voter_directory_id: Uuid::ZERO, ..add(4) };
    check(added(no_directory), ErrorCode::InvalidRequest);
    check(
        added(AddRaftVoterRequest { listeners: Vec::new(), ..add(4) }),
        ErrorCode::InvalidRequest,
    );
    check(remove(4), ErrorCode::VoterNotFound);
    let mut follower = Node::start(start(), Log::default()).follow(5);
    let answer = follower.ask(remove(3));
    assert_eq!(error(&answer), ErrorCode::NotLeaderOrFollower);
    let mut young = Node::start(start(), Log::default()).lead();
    assert_eq!(error(&young.ask(remove(3))), ErrorCode::RequestTimedOut, "nothing committed yet");
    let alone = QuorumStart { voter_log: formatted(&[1]), ..start() };
    let mut alone = Node::start(alone, Log::default());
    sync(&mut alone);
    assert_eq!(error(&alone.ask(remove(1))), ErrorCode::VoterNotFound, "the last voter stays");
    let fixed = QuorumStart { voter_log: VoterLog::new(), static_voters: voters(&[1]), ..start() };
    let mut fixed = Node::start(fixed, Log::default());
    sync(&mut fixed);
    assert_eq!(error(&fixed.ask(remove(1))), ErrorCode::UnsupportedVersion);
}

#[test]
fn a_removed_leader_does_not_count_itself_and_leaves_when_it_is_committed() {
    let mut node = leader();
    let token = node.ask_later(0, remove(1));
    sync(&mut node);
    let end = node.log.end();
    node.fetched_by(2, end);
    assert!(node.core.is_leader() && node.answer(token).is_none(), "one of two");
    node.fetched_by(3, end);
    assert_eq!(error(&node.answer(token).unwrap()), ErrorCode::None);
    assert_eq!(node.core.state_name(), "resigned");
    node.pass(3000);
    assert_eq!(node.core.state_name(), "observer");
}

#[test]
fn a_change_of_a_deposed_leader_is_answered_and_taken_back_with_its_log() {
    let mut node = leader();
    let token = node.ask_later(0, remove(3));
    assert_eq!(node.core.voters().len(), 2);
    sync(&mut node);
    node.ask(RaftRequest::BeginQuorumEpoch(begin_from(2, 9)));
    assert_eq!(error(&node.answer(token).unwrap()), ErrorCode::NotLeaderOrFollower);
    let (epoch, end) = (node.log.last_epoch(), node.log.end() - 1);
    node.answer_fetch(diverging(epoch, end));
    assert_eq!(node.core.voters().len(), 3);
}

#[test]
fn a_voter_says_where_it_listens_now() {
    let mut node = leader();
    let request = |node: &Node, port| {
        let current_leader_epoch = node.core.epoch();
        RaftRequest::UpdateRaftVoter(UpdateRaftVoterRequest {
            current_leader_epoch,
            ..update(2, port)
        })
    };
    let same = request(&node, 9002);
    assert_eq!(error(&node.ask(same)), ErrorCode::None);
    assert_eq!(written(&node), None, "nothing to write");
    let moved = request(&node, 9999);
    assert_eq!(error(&node.ask(moved)), ErrorCode::None);
    assert_eq!(written(&node).unwrap()[1].endpoints[0].port, 9999);
    let fenced = RaftRequest::UpdateRaftVoter(update(2, 9998));
    assert_eq!(error(&node.ask(fenced)), ErrorCode::FencedLeaderEpoch);
}

#[test]
fn a_change_that_is_not_committed_keeps_the_next_one_out_even_when_nobody_waits_for_it() {
    let mut node = leader();
    let before = node.log.end();
    let token = node.ask_later(0, remove(3));
    sync(&mut node);
    for _ in 0..61 {
        node.pass(1000);
        node.fetched_by(2, before);
    }
    assert_eq!(error(&node.answer(token).unwrap()), ErrorCode::RequestTimedOut);
    assert!(node.core.is_leader());
    assert_eq!(error(&node.ask(remove(2))), ErrorCode::RequestTimedOut);
    let end = node.log.end();
    node.fetched_by(2, end);
    node.effects.clear();
    node.ask_later(0, remove(2));
    assert_eq!(written(&node), Some(voters(&[1])));
}

fn asked(node: &Node) -> Option<RaftRequest> {
    node.sent().into_iter().map(|(_, _, request)| request.clone()).find(|request| {
        matches!(
            request,
            RaftRequest::AddRaftVoter(_)
                | RaftRequest::RemoveRaftVoter(_)
                | RaftRequest::UpdateRaftVoter(_)
        )
    })
}

#[test]
fn a_follower_that_listens_elsewhere_tells_its_leader() {
    let mut moved = start();
    moved.listeners[0].port = 9999;
    let mut node = Node::start(moved, Log::default()).follow(5);
    node.pass(1990);
    assert_eq!(asked(&node), None);
    node.answer_fetch(partition(0));
    node.pass(20);
    let Some(RaftRequest::UpdateRaftVoter(request)) = asked(&node) else { panic!() };
    assert_eq!((request.listeners[0].port, request.current_leader_epoch), (9999, 5));
}

#[test]
fn a_controller_joins_by_itself_only_if_it_may_and_its_old_directory_leaves_first() {
    let join = |auto_join, voter_log| {
        let start = QuorumStart { auto_join, voter_log, ..start() };
        let start = QuorumStart { bootstrap: vec![("host2".to_owned(), 9002)], ..start };
        let mut node = Node::start(start, Log::default()).follow(5);
        node.pass(1990);
        node.answer_fetch(partition(0));
        node.pass(20);
        asked(&node)
    };
    assert_eq!(join(false, formatted(&[2, 3])), None);
    let Some(RaftRequest::AddRaftVoter(request)) = join(true, formatted(&[2, 3])) else { panic!() };
    assert_eq!((request.voter_id, request.voter_directory_id), (1, directory(1)));
    assert!(!request.ack_when_committed);
    let mut other = voters(&[1, 2, 3]);
    other[0].directory_id = directory(9);
    let mut log = VoterLog::new();
    log.read_snapshot(0, &ControlRecord::kraft_version(1));
    log.read_snapshot(0, &ControlRecord::voters(&other));
    let Some(RaftRequest::RemoveRaftVoter(request)) = join(true, log) else { panic!() };
    assert_eq!((request.voter_id, request.voter_directory_id), (1, directory(9)));
}

#[test]
fn a_leader_that_listens_elsewhere_corrects_the_voters() {
    let mut moved = QuorumStart { voter_log: formatted(&[1]), ..start() };
    moved.listeners[0].port = 9999;
    let mut node = Node::start(moved, Log::default());
    node.effects.clear();
    sync(&mut node);
    assert_eq!(written(&node).unwrap()[0].endpoints[0].port, 9999);
}
