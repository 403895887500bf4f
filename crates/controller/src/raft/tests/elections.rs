use naru_model::ErrorCode;

use super::harness::*;
use crate::raft::{
    ControlRecord, Effect, ElectionState, Event, LogView, QuorumError, QuorumStart, QuorumTimeouts,
    RaftRequest, RaftResponse, VotedFor, VoterLog,
};

fn log(epochs: &[i32]) -> Log {
    Log { epochs: epochs.to_vec(), ..Log::default() }
}

fn own_vote() -> Option<VotedFor> {
    Some(VotedFor { id: 1, directory_id: directory(1) })
}

#[test]
fn the_only_voter_leads_at_once_and_writes_its_voters() {
    let alone = QuorumStart { voter_log: formatted(&[1]), ..start() };
    let mut node = Node::start(alone, Log::default());
    let own = voters(&[1]);
    let records = vec![
        ControlRecord::leader_change(1, &own, &own),
        ControlRecord::kraft_version(1),
        ControlRecord::voters(&own),
    ];
    assert_eq!(
        node.take(),
        [
            Effect::SaveState(ElectionState { epoch: 1, leader: Some(1), voted: None }),
            Effect::AppendControl { epoch: 1, records },
            Effect::BecameLeader { epoch: 1 },
            Effect::LeaderChanged { leader: Some(1), epoch: 1 },
        ]
    );
    node.feed(Event::Appended { log_end: 3 });
    assert_eq!(node.take(), []);
    node.feed(Event::Synced { end: 3 });
    assert_eq!(node.take(), [Effect::AdvanceHighWatermark { to: 3 }]);
    assert_eq!(node.core.next_deadline(), None, "nothing to do until something happens");
}

#[test]
fn the_only_voter_leads_the_next_epoch_after_a_restart() {
    let mut voter_log = formatted(&[1]);
    voter_log.read_log(2, &ControlRecord::voters(&voters(&[1])));
    let again = QuorumStart { voter_log, state: state(4, Some(1)), ..start() };
    let mut node = Node::start(again, log(&[1, 1, 1, 4]));
    assert_eq!(node.core.epoch(), 5);
    let Effect::AppendControl { records, .. } = &node.take()[1] else { panic!() };
    assert!(matches!(records.as_slice(), [ControlRecord::LeaderChange(_)]));
}

#[test]
fn the_epoch_passes_that_of_the_log_when_the_state_file_is_lost() {
    let alone = QuorumStart { voter_log: formatted(&[1]), ..start() };
    assert_eq!(Node::start(alone, log(&[9])).core.epoch(), 10);
}

#[test]
fn a_static_voter_writes_no_voters_and_saves_the_old_form() {
    let fixed = QuorumStart { voter_log: VoterLog::new(), static_voters: voters(&[1]), ..start() };
    let mut node = Node::start(fixed, Log::default());
    let Effect::AppendControl { records, .. } = &node.take()[1] else { panic!() };
    assert_eq!(records.len(), 1);
    let text = node.core.state_json(&ElectionState { epoch: 1, leader: Some(1), voted: None });
    assert!(text.contains(r#""currentVoters":[{"voterId":1}],"data_version":0"#));
}

#[test]
fn a_quorum_without_this_node_or_without_anybody_is_refused() {
    let refused = |start| Node::try_start(start, Log::default()).map(|_| ()).unwrap_err();
    let none = QuorumStart { voter_log: VoterLog::new(), ..start() };
    assert_eq!(refused(none), QuorumError::NoVoters);
    let other = QuorumStart { voter_log: formatted(&[1]), directory_id: directory(9), ..start() };
    let error = QuorumError::NotAVoter { node_id: 1, directory_id: directory(9) };
    assert_eq!(refused(other), error);
    let last = QuorumStart { voter_log: formatted(&[1]), state: state(i32::MAX, None), ..start() };
    assert_eq!(refused(last), QuorumError::EpochExhausted(i32::MAX));
}

#[test]
fn an_election_begins_with_a_pre_vote_that_changes_nothing() {
    let mut node = Node::start(start(), log(&[1, 1]));
    node.pass(200);
    let votes = node.sent_votes();
    assert_eq!(votes.iter().map(|(_, to, _)| *to).collect::<Vec<_>>(), [2, 3]);
    for (_, _, asked) in &votes {
        assert!(asked.pre_vote);
        assert_eq!((asked.replica_epoch, asked.last_offset_epoch, asked.last_offset), (1, 1, 2));
    }
    assert_eq!((node.core.epoch(), node.core.state_name()), (1, "prospective"));
    assert!(!node.effects.iter().any(|effect| matches!(effect, Effect::SaveState(_))));
}

#[test]
fn a_won_pre_vote_makes_a_candidate_that_saves_its_vote_before_it_asks() {
    let mut node = Node::start(start(), log(&[1]));
    node.pass(200);
    node.vote(true);
    let state = ElectionState { epoch: 2, leader: None, voted: own_vote() };
    assert_eq!(node.effects[0], Effect::SaveState(state));
    assert!(node.sent_votes().iter().all(|(_, _, asked)| !asked.pre_vote));
    assert_eq!(node.sent_votes().len(), 2);
}

#[test]
fn a_won_election_makes_a_leader_that_tells_the_others() {
    let node = Node::start(start(), log(&[1])).lead();
    let begun = node.sent().into_iter().filter_map(|(_, to, request)| match request {
        RaftRequest::BeginQuorumEpoch(_) => to,
        _ => None,
    });
    assert_eq!(begun.collect::<Vec<_>>(), [2, 3]);
    assert_eq!(node.core.leader_endpoint(), Some(("host1", 9001)));
    assert_eq!(node.core.high_watermark(), None, "one of three is no majority");
}

#[test]
fn one_vote_of_three_is_no_majority_and_a_refused_candidate_tries_again_later() {
    let mut node = Node::start(start(), log(&[1]));
    node.pass(200);
    node.vote(true);
    node.vote(false);
    assert_eq!((node.core.state_name(), node.core.epoch()), ("candidate", 2));
    node.pass(1000);
    assert_eq!(node.core.state_name(), "prospective");
    assert!(node.sent_votes().iter().all(|(_, _, asked)| asked.pre_vote));
}

#[test]
fn a_voter_that_does_not_answer_is_asked_again() {
    let mut node = Node::start(start(), log(&[1]));
    node.pass(200);
    let (id, to, _) = node.sent_votes()[0].clone();
    node.effects.clear();
    node.fail(id);
    assert!(node.sent_votes().is_empty());
    node.pass(60);
    assert_eq!(node.sent_votes()[0].1, to);
}

#[test]
fn a_vote_goes_to_a_log_that_is_as_long_and_is_saved_before_the_answer() {
    for (last, granted) in
        [((2, 3), true), ((3, 1), true), ((2, 4), true), ((2, 2), false), ((1, 9), false)]
    {
        let mut node = Node::start(start(), log(&[1, 1, 2]));
        node.effects.clear();
        let answer = node.ask(vote_by(2, 5, last, false));
        assert_eq!(voted(&answer), (ErrorCode::None, granted), "{last:?}");
        let saved = node.effects.iter().filter_map(|effect| match effect {
            Effect::SaveState(state) => Some(*state),
            _ => None,
        });
        let vote = granted.then_some(VotedFor { id: 2, directory_id: directory(2) });
        let expected = ElectionState { epoch: 5, leader: None, voted: vote };
        assert_eq!(saved.last(), Some(expected));
        let save = node.effects.iter().rposition(|e| matches!(e, Effect::SaveState(_)));
        let reply = node.effects.iter().position(|e| matches!(e, Effect::Reply { .. }));
        assert!(save < reply);
    }
}

#[test]
fn there_is_one_vote_an_epoch_even_after_a_restart() {
    let mut node = Node::start(start(), log(&[1]));
    assert!(voted(&node.ask(vote_by(2, 5, (1, 1), false))).1);
    assert!(!voted(&node.ask(vote_by(3, 5, (1, 1), false))).1);
    assert!(voted(&node.ask(vote_by(2, 5, (1, 1), false))).1, "the same again");
    let vote = Some(VotedFor { id: 2, directory_id: directory(2) });
    let saved = ElectionState { epoch: 5, leader: None, voted: vote };
    let mut again = Node::start(QuorumStart { state: Some(saved), ..start() }, log(&[1]));
    assert!(!voted(&again.ask(vote_by(3, 5, (1, 1), false))).1);
    assert!(voted(&again.ask(vote_by(2, 5, (1, 1), false))).1);
}

#[test]
fn a_leader_that_restarts_votes_for_nobody_in_its_epoch() {
    // What it wrote in its epoch was not on the disk yet.
    let mut node = Node::start(QuorumStart { state: state(5, Some(1)), ..start() }, log(&[4]));
    assert!(!voted(&node.ask(vote_by(3, 5, (4, 9), false))).1);
    assert_eq!(node.core.leader(), None);
}

#[test]
fn a_pre_vote_changes_neither_epoch_nor_vote() {
    let mut node = Node::start(start(), log(&[1]));
    node.effects.clear();
    assert!(voted(&node.ask(vote_by(2, 1, (1, 1), true))).1);
    assert!(voted(&node.ask(vote_by(3, 1, (1, 1), true))).1);
    assert!(!node.effects.iter().any(|effect| matches!(effect, Effect::SaveState(_))));
}

#[test]
fn a_follower_refuses_pre_votes_once_its_leader_has_answered() {
    let mut node = Node::start(start(), log(&[1]));
    node.ask(RaftRequest::BeginQuorumEpoch(begin_from(2, 5)));
    assert!(voted(&node.ask(vote_by(3, 5, (1, 1), true))).1);
    node.answer_fetch(partition(0));
    assert!(!voted(&node.ask(vote_by(3, 5, (1, 1), true))).1);
    node.feed(Event::PeerGone { id: 2 });
    assert!(voted(&node.ask(vote_by(3, 5, (1, 1), true))).1, "its leader is dead");
}

#[test]
fn requests_that_are_wrong_get_kafkas_errors() {
    let mut node = Node::start(QuorumStart { state: state(5, None), ..start() }, log(&[1]));
    let mut check = |request, error| assert_eq!(voted(&node.ask(request)), (error, false));
    check(vote_by(2, 4, (1, 1), false), ErrorCode::FencedLeaderEpoch);
    check(vote_by(-1, 5, (1, 1), false), ErrorCode::InvalidRequest);
    check(vote_by(2, 5, (5, 1), false), ErrorCode::InvalidRequest);
    check(vote_by(2, 5, (6, 1), true), ErrorCode::InvalidRequest);
    check(vote_by(2, 5, (1, -1), false), ErrorCode::InvalidRequest);
    let changed = |change: fn(&mut naru_protocol::messages::vote_request::VoteRequest)| {
        let RaftRequest::Vote(mut request) = vote_by(2, 5, (1, 1), false) else { panic!() };
        change(&mut request);
        RaftRequest::Vote(request)
    };
    let other_cluster = changed(|request| request.cluster_id = Some("other".to_owned()));
    check(other_cluster, ErrorCode::InconsistentClusterId);
    check(changed(|request| request.topics.clear()), ErrorCode::InvalidRequest);
    check(changed(|request| request.voter_id = 2), ErrorCode::InvalidVoterKey);
    let other_directory = changed(|r| r.topics[0].partitions[0].voter_directory_id = directory(9));
    check(other_directory, ErrorCode::InvalidVoterKey);
}

#[test]
fn a_leader_and_a_candidate_give_their_epochs_vote_to_nobody_but_yield_to_a_newer_one() {
    let mut leader = Node::start(start(), log(&[1])).lead();
    let epoch = leader.core.epoch();
    leader.effects.clear();
    assert!(!voted(&leader.ask(vote_by(2, epoch, (1, 9), false))).1);
    assert!(!voted(&leader.ask(vote_by(2, epoch, (1, 9), true))).1);
    assert!(voted(&leader.ask(vote_by(2, epoch + 1, (epoch, 9), false))).1);
    assert!(leader.effects.contains(&Effect::LostLeadership { epoch }));
    assert!(!leader.core.is_leader());
}

#[test]
fn a_dead_leader_is_replaced_within_a_moment() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    let before = node.now;
    node.feed(Event::PeerGone { id: 2 });
    node.pass(50);
    assert!(node.sent_votes().iter().all(|(_, _, asked)| asked.pre_vote));
    // Node 3 has lost its leader too; node 2 does not answer.
    let third = node.sent_votes().into_iter().find(|(_, to, _)| *to == 3).unwrap();
    node.respond(
        third.0,
        RaftResponse::Vote(says(Some(2), 5).vote_response(ErrorCode::None, true)),
    );
    assert_eq!((node.core.state_name(), node.core.epoch()), ("candidate", 6));
    assert!(node.now - before <= 50);
}

#[test]
fn the_death_of_another_follower_changes_nothing() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    let deadline = node.core.next_deadline();
    node.feed(Event::PeerGone { id: 3 });
    assert_eq!(node.core.next_deadline(), deadline);
}

#[test]
fn a_suspicion_that_others_do_not_share_leads_back_to_the_leader() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    node.feed(Event::PeerGone { id: 2 });
    node.pass(50);
    for (id, _, _) in node.sent_votes() {
        let response = says(Some(2), 5).vote_response(ErrorCode::None, false);
        node.respond(id, RaftResponse::Vote(response));
    }
    assert_eq!((node.core.state_name(), node.core.leader()), ("follower", Some(2)));
    assert_eq!(node.core.epoch(), 5);
    // It asks its leader again, which does answer.
    node.answer_fetch(partition(0));
    node.pass(1000);
    assert_eq!(node.core.state_name(), "follower");
}

#[test]
fn a_silent_leader_is_given_up_after_the_fetch_timeout() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    node.pass(1900);
    assert_eq!(node.core.state_name(), "follower");
    node.pass(101);
    assert_eq!(node.core.state_name(), "prospective");
}

#[test]
fn the_first_successor_stands_at_once_and_without_a_pre_vote() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    node.ask(end_from(2, 5, &[1, 3]));
    assert_eq!((node.core.state_name(), node.core.epoch()), ("candidate", 6));
    let mut second = Node::start(start(), log(&[1])).follow(5);
    second.ask(end_from(2, 5, &[3, 1]));
    assert_eq!(second.core.state_name(), "follower");
    second.pass(1000);
    assert_eq!(second.core.state_name(), "prospective");
}

#[test]
fn a_leader_that_stops_names_the_longest_log_first_and_stands_no_more() {
    let mut node = Node::start(start(), log(&[1])).lead();
    let end = node.log.end();
    node.fetched_by(2, end - 1);
    node.fetched_by(3, end);
    node.effects.clear();
    node.feed(Event::Resign);
    let ended = node.sent().into_iter().find_map(|(_, _, request)| match request {
        RaftRequest::EndQuorumEpoch(end) => Some(end.topics[0].partitions[0].clone()),
        _ => None,
    });
    assert_eq!(ended.unwrap().preferred_successors, [3, 2]);
    node.effects.clear();
    node.pass(60_000);
    assert!(node.sent_votes().is_empty());
    assert_eq!(node.core.state_name(), "resigned");
}

/// A follower waits for a whole fetch timeout before it stands for election.
#[test]
fn a_leader_knows_before_the_others_that_it_may_have_lost_them() {
    let mut node = Node::start(start(), log(&[1])).lead();
    let recent = QuorumTimeouts::default().fetch_timeout_ms * 3 / 4;
    let began = node.now;
    assert!(node.core.hears_majority(began + recent));
    assert!(!node.core.hears_majority(began + recent + 1));
    node.pass(1000);
    let from = node.log.end();
    node.fetched_by(2, from);
    assert!(node.core.hears_majority(began + 1000 + recent));
    assert!(!node.core.hears_majority(began + 1000 + recent + 1));
}

#[test]
fn only_a_leader_hears_a_majority_and_a_single_one_always_does() {
    let alone = QuorumStart { voter_log: formatted(&[1]), ..start() };
    let alone = Node::start(alone, Log::default());
    assert!(alone.core.hears_majority(i64::MAX / 2));
    let follower = Node::start(start(), Log::default());
    assert!(!follower.core.hears_majority(0));
}

#[test]
fn a_leader_whose_disk_is_full_hands_over_and_stands_again_only_when_there_is_room() {
    let mut node = Node::start(start(), log(&[1])).lead();
    node.effects.clear();
    node.feed(Event::NoRoom { control: false });
    let ended = node
        .sent()
        .iter()
        .filter(|(_, _, request)| matches!(request, RaftRequest::EndQuorumEpoch(_)))
        .count();
    assert_eq!((ended, node.core.state_name()), (2, "resigned"));
    assert!(node.effects.iter().any(|effect| matches!(effect, Effect::LostLeadership { .. })));
    node.effects.clear();
    node.pass(60_000);
    assert!(node.sent_votes().is_empty(), "it would lead without being able to write");
    node.feed(Event::Room);
    assert!(node.sent_votes().is_empty(), "nobody is disturbed at once");
    node.pass(2000);
    assert!(node.sent_votes().iter().all(|(_, _, asked)| asked.pre_vote));
    assert!(!node.sent_votes().is_empty());
}

#[test]
fn a_voter_whose_disk_is_full_leaves_the_election_to_others_but_votes() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    node.feed(Event::NoRoom { control: false });
    node.effects.clear();
    // Its leader is silent, then names it the first of its successors.
    node.pass(10_000);
    node.ask(end_from(2, 5, &[1, 3]));
    node.pass(10_000);
    assert!(node.sent_votes().is_empty());
    let mut campaigning = Node::start(start(), log(&[1]));
    campaigning.pass(200);
    assert_eq!(campaigning.core.state_name(), "prospective");
    campaigning.feed(Event::NoRoom { control: false });
    assert_eq!(campaigning.core.state_name(), "unattached");
    campaigning.feed(Event::Room);
    campaigning.pass(2000);
    assert_eq!(campaigning.core.state_name(), "prospective");
}

#[test]
fn the_only_voter_keeps_leading_with_a_full_disk() {
    let alone = QuorumStart { voter_log: formatted(&[1]), ..start() };
    let mut node = Node::start(alone, Log::default());
    node.feed(Event::NoRoom { control: false });
    assert!(node.core.is_leader());
    // Without the record of its epoch it cannot lead.
    node.feed(Event::NoRoom { control: true });
    assert_eq!(node.core.state_name(), "resigned");
    node.pass(60_000);
    assert!(!node.core.is_leader());
    node.feed(Event::Room);
    node.pass(2000);
    assert!(node.core.is_leader());
}

#[test]
fn voters_that_were_never_written_do_not_count() {
    let alone = QuorumStart { voter_log: formatted(&[1]), ..start() };
    let mut node = Node::start(alone, Log::default());
    assert!(!node.core.voter_log.only_in_bootstrap_snapshot());
    node.log.epochs.clear();
    node.feed(Event::NoRoom { control: true });
    assert!(node.core.voter_log.only_in_bootstrap_snapshot());
}

#[test]
fn a_leader_without_a_majority_resigns() {
    let mut node = Node::start(start(), log(&[1])).lead();
    node.pass(2000);
    let from = node.log.end();
    node.fetched_by(2, from);
    node.pass(2900);
    assert!(node.core.is_leader());
    node.pass(100);
    assert!(!node.core.is_leader());
}

#[test]
fn a_leader_that_says_it_does_not_lead_is_suspected() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    let (id, _, _) = node.sent_fetch().unwrap();
    let mut answer = partition(-1);
    answer.error_code = ErrorCode::NotLeaderOrFollower.code();
    node.respond(id, RaftResponse::Fetch(says(None, 5).fetch_response(answer)));
    node.pass(50);
    assert_eq!(node.core.state_name(), "prospective");
}

#[test]
fn a_leader_that_asks_for_a_pre_vote_has_started_anew_and_gets_it() {
    let mut node = Node::start(start(), log(&[1])).follow(5);
    assert!(!voted(&node.ask(vote_by(3, 5, (1, 1), true))).1);
    assert!(voted(&node.ask(vote_by(2, 5, (1, 1), true))).1);
    node.pass(50);
    assert_eq!(node.core.state_name(), "prospective");
}

#[test]
fn a_leader_that_is_not_proven_is_asked_for_an_answer_at_once() {
    let wait = |node: &Node| {
        let last = node.sent().into_iter().rev().find_map(|(_, _, request)| match request {
            RaftRequest::Fetch(fetch) => Some(fetch.max_wait_ms),
            _ => None,
        });
        last.expect("a fetch")
    };
    let mut node = Node::start(start(), log(&[1]));
    node.ask(RaftRequest::BeginQuorumEpoch(begin_from(2, 5)));
    assert_eq!(wait(&node), 0);
    node.answer_fetch(partition(0));
    assert_eq!(wait(&node), 500);
}
