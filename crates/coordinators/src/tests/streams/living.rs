//! Threads that come, go, and do not behave.

use naru_model::ErrorCode;
use naru_protocol::messages::streams_group_heartbeat_request::{
    Endpoint, StreamsGroupHeartbeatRequest, TaskIds,
};

use super::super::bench::{GROUP, commit_request, join_request};
use super::world::{Thread, World, word_count};
use crate::config::StreamsConfig;
use crate::timers::Timer;
use crate::{Command, Reply, StreamsGroupState};

fn refused(world: &mut World, request: StreamsGroupHeartbeatRequest) -> (ErrorCode, String) {
    let response = world.ask(request);
    (ErrorCode::from_code(response.error_code), response.error_message.unwrap_or_default())
}

fn leave(thread: &Thread) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest { member_epoch: -1, topology: None, ..thread.request() }
}

#[test]
fn internal_topics_are_asked_for_and_then_a_thread_gets_everything() {
    let mut world = World::with(0, &[("in", 3)]);
    let mut a = Thread::named("a", "p");
    let token = world.send(a.request());
    let (response, missing) = world.answer(token);
    a.told(&response);
    assert_eq!(a.statuses, [(3, "Internal topics are missing: g-counts, g-words".into())]);
    let widths: Vec<_> =
        missing.iter().map(|one| (one.name.as_str(), one.num_partitions)).collect();
    assert_eq!(widths, [("g-counts", 3), ("g-words", 3)]);
    assert!(missing.iter().all(|one| one.replication_factor == -1));
    assert_eq!(world.state(), Some(StreamsGroupState::NotReady));
    world.create(missing);
    world.beat(&mut a);
    assert_eq!((a.active.len(), a.statuses.len()), (6, 0));
    assert_eq!(world.state(), Some(StreamsGroupState::Stable));
}

#[test]
fn a_second_process_gets_half_when_the_first_has_given_it_up() {
    let mut world = World::with(0, &[("in", 2)]);
    let mut a = Thread::named("a", "p");
    world.converge(std::slice::from_mut(&mut a));
    let mut b = Thread::named("b", "q");
    world.beat(&mut b);
    assert!(b.active.is_empty(), "nothing is free yet");
    let before = a.epoch;
    world.beat(&mut a);
    assert_eq!((a.epoch, a.active.len()), (before, 2), "it has to give up two first");
    world.beat(&mut b);
    assert!(b.active.is_empty(), "the coordinator does not know yet that they are free");
    world.beat(&mut a);
    world.beat(&mut b);
    assert_eq!(b.active.len(), 2);
    assert!(a.active.is_disjoint(&b.active));
    assert_eq!(world.state(), Some(StreamsGroupState::Stable));
}

#[test]
fn standby_tasks_are_kept_in_another_process_and_take_over() {
    let mut world = World::with(1, &[("in", 2)]);
    let mut threads = [Thread::named("a", "p"), Thread::named("b", "q")];
    world.converge(&mut threads);
    for thread in &threads {
        assert!(thread.active.is_disjoint(&thread.standby), "{thread:?}");
        assert!(thread.standby.iter().all(|(id, _)| id == "1"), "only tasks with state");
    }
    assert_eq!(threads[0].standby.len() + threads[1].standby.len(), 2);
    let [a, mut b] = threads;
    world.ask(leave(&a));
    world.converge(std::slice::from_mut(&mut b));
    assert_eq!((b.active.len(), b.standby.len()), (4, 0));
}

#[test]
fn threads_of_one_process_keep_no_copies_for_each_other() {
    let mut world = World::with(1, &[("in", 2)]);
    let mut threads = [Thread::named("a", "p"), Thread::named("b", "p")];
    world.converge(&mut threads);
    assert!(threads.iter().all(|thread| thread.standby.is_empty()));
    assert_eq!(threads.iter().map(|thread| thread.active.len()).sum::<usize>(), 4);
}

#[test]
fn the_first_assignment_waits_for_more_threads() {
    let mut world = World::configured(StreamsConfig::default(), &[("in", 2)]);
    let mut threads = [Thread::named("a", "p"), Thread::named("b", "q")];
    world.beat(&mut threads[0]);
    world.beat(&mut threads[1]);
    let text = "Assignment delayed due to the configured initial rebalance delay.";
    assert!(threads[1].statuses.contains(&(5, text.into())), "{:?}", threads[1].statuses);
    assert_eq!(threads[1].epoch, 1);
    world.bench.advance(3_000);
    world.converge(&mut threads);
    assert_eq!((threads[0].active.len(), threads[1].active.len()), (2, 2), "nobody gave up any");
}

#[test]
fn a_stable_thread_writes_nothing() {
    let mut world = World::with(1, &[("in", 2)]);
    let mut a = Thread::named("a", "p");
    world.converge(std::slice::from_mut(&mut a));
    let before = world.bench.log.len();
    for _ in 0..10 {
        let request = StreamsGroupHeartbeatRequest {
            active_tasks: None,
            standby_tasks: None,
            warmup_tasks: None,
            ..a.request()
        };
        let response = world.ask(request);
        assert_eq!((response.error_code, response.active_tasks), (0, None));
        assert_eq!(response.status, Some(Vec::new()));
    }
    assert_eq!(world.bench.log.len(), before);
}

#[test]
fn a_silent_thread_is_removed_and_its_tasks_go_to_the_others() {
    let mut world = World::with(0, &[("in", 2)]);
    let mut threads = [Thread::named("a", "p"), Thread::named("b", "q")];
    world.converge(&mut threads);
    let [mut a, b] = threads;
    for _ in 0..46 {
        world.bench.advance(1_000);
        world.beat(&mut a);
    }
    world.converge(std::slice::from_mut(&mut a));
    assert_eq!(a.active.len(), 4);
    assert_eq!(refused(&mut world, b.request()).0, ErrorCode::UnknownMemberId);
}

#[test]
fn a_thread_that_gives_nothing_up_is_removed_after_its_rebalance_timeout() {
    let mut world = World::with(0, &[("in", 2)]);
    let mut a = Thread::named("a", "p");
    world.converge(std::slice::from_mut(&mut a));
    let all = a.active.clone();
    let mut b = Thread::named("b", "q");
    world.beat(&mut b);
    for _ in 0..61 {
        world.bench.advance(1_000);
        world.beat(&mut b);
        a.active.clone_from(&all);
        world.beat(&mut a);
    }
    assert!(!a.joined);
    world.converge(&mut [a, b]);
}

#[test]
fn epochs_that_are_not_the_threads_are_fenced() {
    let mut world = World::with(0, &[("in", 1)]);
    let mut a = Thread::named("a", "p");
    world.converge(std::slice::from_mut(&mut a));
    let with_epoch = |member_epoch| StreamsGroupHeartbeatRequest { member_epoch, ..a.request() };
    let (code, text) = refused(&mut world, with_epoch(99));
    assert_eq!(code, ErrorCode::FencedMemberEpoch);
    let known = a.epoch;
    assert_eq!(
        text,
        format!(
            "The streams group member has a greater member epoch (99) than the one known by the \
             group coordinator ({known}). The member must abandon all its partitions and rejoin."
        )
    );
    assert_eq!(refused(&mut world, with_epoch(1)).0, ErrorCode::FencedMemberEpoch);
    let unknown = StreamsGroupHeartbeatRequest { member_id: "x".into(), ..with_epoch(2) };
    let (code, text) = refused(&mut world, unknown);
    assert_eq!(code, ErrorCode::UnknownMemberId);
    assert_eq!(text, "Member x is not a member of group g.");
}

#[test]
fn a_lost_answer_does_not_fence() {
    let mut world = World::with(0, &[("in", 2)]);
    let mut threads = [Thread::named("a", "p"), Thread::named("b", "q")];
    world.converge(&mut threads);
    let [mut a, b] = threads;
    world.ask(leave(&b));
    let lost = a.clone();
    world.beat(&mut a);
    assert!(a.epoch > lost.epoch);
    assert_eq!(refused(&mut world, lost.request()).0, ErrorCode::None);
}

#[test]
fn one_thread_ends_the_whole_application() {
    let mut world = World::with(0, &[("in", 2)]);
    let mut threads = [Thread::named("a", "p"), Thread::named("b", "q")];
    world.converge(&mut threads);
    let [a, mut b] = threads;
    world.ask(StreamsGroupHeartbeatRequest { shutdown_application: true, ..leave(&a) });
    world.beat(&mut b);
    let text = "Streams group member a encountered a fatal error and requested a shutdown for \
                the entire application.";
    assert!(b.statuses.contains(&(4, text.into())), "{:?}", b.statuses);
    world.ask(leave(&b));
    let mut c = Thread::named("c", "p");
    world.beat(&mut c);
    assert!(c.statuses.iter().all(|(code, _)| *code != 4), "an empty group forgets it");
}

#[test]
fn who_runs_what_is_told_by_endpoint() {
    let mut world = World::with(1, &[("in", 1)]);
    let mut threads = [Thread::named("a", "p"), Thread::named("b", "q")];
    for (thread, port) in threads.iter_mut().zip([1, 2]) {
        let user_endpoint = Some(Endpoint { host: "h".into(), port });
        let request = StreamsGroupHeartbeatRequest { user_endpoint, ..thread.request() };
        let token = world.send(request);
        let (response, missing) = world.answer(token);
        world.create(missing);
        thread.told(&response);
    }
    world.converge(&mut threads);
    let request = |epoch| StreamsGroupHeartbeatRequest {
        endpoint_information_epoch: epoch,
        ..threads[0].request()
    };
    let response = world.ask(request(-1));
    let endpoints = response.partitions_by_user_endpoint.expect("told");
    let ports: Vec<u16> = endpoints.iter().map(|one| one.user_endpoint.port).collect();
    assert_eq!(ports, [2, 1], "its own last");
    let mut active: Vec<&str> = endpoints
        .iter()
        .flat_map(|one| &one.active_partitions)
        .map(|one| one.topic.as_str())
        .collect();
    active.sort_unstable();
    assert_eq!(active, ["g-words", "in"]);
    let standby = endpoints.iter().flat_map(|one| &one.standby_partitions);
    assert_eq!(standby.map(|one| one.topic.as_str()).collect::<Vec<_>>(), ["g-words"]);
    let again = world.ask(request(response.endpoint_information_epoch));
    assert_eq!(again.partitions_by_user_endpoint, None);
}

#[test]
fn requests_that_make_no_sense_are_refused_in_kafkas_words() {
    let mut world = World::with(0, &[("in", 1)]);
    let good = || Thread::named("a", "p").request();
    let mut check = |request: StreamsGroupHeartbeatRequest, code, text: &str| {
        assert_eq!(refused(&mut world, request), (code, text.to_owned()));
    };
    let invalid = ErrorCode::InvalidRequest;
    let request = StreamsGroupHeartbeatRequest { member_id: " ".into(), ..good() };
    check(request, invalid, "MemberId can't be empty.");
    let request = StreamsGroupHeartbeatRequest { instance_id: Some("i".into()), ..good() };
    check(request, invalid, "Static membership is not yet supported.");
    let request = StreamsGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..good() };
    check(request, invalid, "RebalanceTimeoutMs must be provided in first request.");
    let request = StreamsGroupHeartbeatRequest { topology: None, ..good() };
    check(request, invalid, "Topology must be non-null when (re-)joining.");
    let request = StreamsGroupHeartbeatRequest { member_epoch: 1, ..good() };
    check(request, invalid, "Topology can only be provided when (re-)joining.");
    let request = StreamsGroupHeartbeatRequest { standby_tasks: None, ..good() };
    check(request, invalid, "StandbyTasks must be empty when (re-)joining.");
    let request = StreamsGroupHeartbeatRequest { member_epoch: -3, topology: None, ..good() };
    check(request, invalid, "MemberEpoch is -3, but must be greater than or equal to -2.");
    let request = StreamsGroupHeartbeatRequest { member_epoch: 1, topology: None, ..good() };
    check(request, ErrorCode::GroupIdNotFound, "Streams group g not found.");
    let request = StreamsGroupHeartbeatRequest { member_epoch: -1, topology: None, ..good() };
    check(request, ErrorCode::GroupIdNotFound, "Group g not found.");
    let mut topology = word_count();
    topology.subtopologies[1].state_changelog_topics[0].partitions = 2;
    let request = StreamsGroupHeartbeatRequest { topology: Some(topology), ..good() };
    let text =
        "Changelog topic g-counts must have an undefined partition count, but it is set to 2.";
    check(request, ErrorCode::StreamsInvalidTopology, text);
}

#[test]
fn a_thread_cannot_have_tasks_that_do_not_exist() {
    let mut world = World::with(0, &[("in", 1)]);
    let mut a = Thread::named("a", "p");
    world.converge(std::slice::from_mut(&mut a));
    let claim = |id: &str, task| StreamsGroupHeartbeatRequest {
        active_tasks: Some(vec![TaskIds { subtopology_id: id.into(), partitions: vec![task] }]),
        ..a.request()
    };
    let (code, text) = refused(&mut world, claim("7", 0));
    assert_eq!(code, ErrorCode::InvalidRequest);
    assert_eq!(text, "Subtopology 7 does not exist in the topology.");
    let (_, text) = refused(&mut world, claim("1", 1));
    assert_eq!(
        text,
        "Task 1 for subtopology 1 is invalid. Number of tasks for this subtopology: 1"
    );
}

#[test]
fn offsets_are_committed_by_threads_for_what_they_had_in_their_epoch() {
    let mut world = World::with(0, &[("t", 2)]);
    let mut topology = word_count();
    topology.subtopologies[0].source_topics = vec!["t".into()];
    let mut a = Thread { topology, ..Thread::named("a", "p") };
    world.converge(std::slice::from_mut(&mut a));
    let epoch = a.epoch;
    let mut commit =
        |version, epoch| world.bench.commit_as(version, commit_request("a", epoch, 0, 5));
    assert_eq!(commit(9, epoch), ErrorCode::None);
    assert_eq!(commit(9, epoch + 1), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit(9, epoch - 1), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit(8, epoch), ErrorCode::UnsupportedVersion);
    assert_eq!(world.bench.position(0), Some(5));
    world.set_topic("t", 2); // Nothing new.
    let mut b = Thread { topology: a.topology.clone(), ..Thread::named("b", "q") };
    let before = a.epoch;
    world.converge(&mut [a.clone(), b.clone()]);
    b.joined = false;
    let late = world.bench.commit_as(9, commit_request("a", before, 0, 6));
    assert_eq!(late, ErrorCode::None, "it had the task in that epoch already");
}

#[test]
fn an_empty_group_can_be_deleted_or_become_classic_and_one_with_threads_cannot() {
    let mut world = World::with(0, &[("in", 1)]);
    let mut a = Thread::named("a", "p");
    world.beat(&mut a);
    let delete = |world: &mut World| match world
        .bench
        .ask(Command::DeleteGroup { group_id: GROUP.into() })
    {
        Reply::DeleteGroup(result) => ErrorCode::from_code(result.error_code),
        other => panic!("{other:?}"),
    };
    assert_eq!(delete(&mut world), ErrorCode::NonEmptyGroup);
    let token = world.bench.join_as(9, join_request(""));
    let refused = world.bench.joined(token);
    assert_eq!(refused.error_code, ErrorCode::InconsistentGroupProtocol.code());
    world.ask(leave(&a));
    assert_eq!(world.state(), Some(StreamsGroupState::Empty));
    let _ = world.bench.stable(1);
    assert_eq!(world.state(), None);
    let other = Thread::named("b", "p").request();
    let response = world.ask(other.clone());
    assert_eq!(response.error_message.as_deref(), Some("Group g is not a streams group."));
    world.bench.advance(11_000); // The classic member's session ends.
    assert_eq!(world.ask(other).error_code, 0);
    assert_eq!(world.state(), Some(StreamsGroupState::Stable));
    world.ask(StreamsGroupHeartbeatRequest {
        member_epoch: -1,
        topology: None,
        ..Thread::named("b", "p").request()
    });
    assert_eq!(delete(&mut world), ErrorCode::None);
    assert_eq!(delete(&mut world), ErrorCode::GroupIdNotFound);
    world.crash();
    assert_eq!(world.state(), None);
}

#[test]
fn a_group_is_listed_and_described() {
    let mut world = World::with(0, &[("in", 2)]);
    let mut a = Thread::named("a", "p");
    world.converge(std::slice::from_mut(&mut a));
    let list = Command::ListGroups { states_filter: vec![], types_filter: vec!["Streams".into()] };
    let Reply::ListGroups(groups) = world.bench.ask(list) else { panic!("a list") };
    let listed = &groups[0];
    let (kind, state) = (listed.group_type.as_str(), listed.group_state.as_str());
    assert_eq!((kind, listed.protocol_type.as_str(), state), ("streams", "streams", "Stable"));
    let describe = Command::StreamsGroupDescribe { group_id: GROUP.into() };
    let Reply::StreamsGroupDescribe(group) = world.bench.ask(describe.clone()) else { panic!() };
    let topology = group.topology.expect("a topology");
    let subtopologies = topology.subtopologies.expect("told");
    assert_eq!(subtopologies[1].state_changelog_topics[0].partitions, 2);
    let member = &group.members[0];
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!((member.process_id.as_str(), member.topology_epoch), ("p", 0));
    world.crash();
    let Reply::StreamsGroupDescribe(group) = world.bench.ask(describe) else { panic!() };
    let subtopologies = group.topology.and_then(|topology| topology.subtopologies);
    let known = subtopologies.expect("told")[1].state_changelog_topics[0].partitions;
    assert_eq!(known, 0, "until somebody asks, nobody has looked at the topics");
}

#[test]
fn a_join_is_refused_if_the_empty_group_cannot_be_ended() {
    let mut world = World::with(0, &[("in", 1)]);
    let a = Thread::named("a", "p");
    world.ask(a.request());
    world.ask(leave(&a));
    world.bench.auto_commit = false;
    let token = world.bench.join_as(3, join_request(""));
    assert!(world.bench.waiting.contains(&token));
    assert!(world.bench.settle_one(Err(ErrorCode::NotEnoughReplicas)));
    let refused = world.bench.joined(token);
    assert_eq!(refused.error_code, ErrorCode::CoordinatorNotAvailable.code());
    world.bench.settle(Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(world.state(), Some(StreamsGroupState::Empty));
    assert!(world.bench.shard.group_state(GROUP).is_none());
    let join = Timer::Join { group: GROUP.into() };
    assert!(!world.bench.shard.timers.is_set(&join), "no timer is left");
}
