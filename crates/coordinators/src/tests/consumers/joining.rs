//! Members that come, go, and do not behave.

use naru_model::ErrorCode;
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_security::Principal;

use super::super::bench::{GROUP, commit_request};
use super::world::{Client, World};
use crate::config::ConsumerConfig;
use crate::{Command, ConsumerGroupState, GroupConfig, Reply, Viewer};

fn error(world: &mut World, request: ConsumerGroupHeartbeatRequest) -> (ErrorCode, String) {
    let response = world.ask(request);
    (ErrorCode::from_code(response.error_code), response.error_message.unwrap_or_default())
}

#[test]
fn a_member_gets_everything_and_gives_half_to_the_next() {
    let mut world = World::new(&[("t", 4)]);
    let mut a = Client::named("a", &["t"]);
    assert_eq!(world.beat(&mut a), ErrorCode::None);
    assert_eq!((a.epoch, a.owned.len()), (2, 4));
    let mut b = Client::named("b", &["t"]);
    world.bench.advance(2_000);
    assert_eq!(world.beat(&mut b), ErrorCode::None);
    assert_eq!((b.epoch, b.owned.len()), (3, 0), "nothing is free yet");
    world.beat(&mut a);
    assert_eq!((a.epoch, a.owned.len()), (2, 2), "it has to give up two first");
    world.beat(&mut b);
    assert_eq!(b.owned.len(), 0, "the coordinator does not know yet that they are free");
    world.beat(&mut a);
    assert_eq!(a.epoch, 3);
    world.beat(&mut b);
    assert_eq!(b.owned.len(), 2);
    assert!(a.owned.is_disjoint(&b.owned));
    assert_eq!(world.state(), Some(ConsumerGroupState::Stable));
}

#[test]
fn a_stable_member_writes_nothing() {
    let mut world = World::new(&[("t", 4)]);
    let mut a = Client::named("a", &["t"]);
    world.beat(&mut a);
    world.beat(&mut a);
    let before = world.bench.log.len();
    for _ in 0..10 {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: "a".into(),
            member_epoch: a.epoch,
            ..Default::default()
        };
        let response = world.ask(request);
        assert_eq!((response.error_code, response.assignment), (0, None));
    }
    assert_eq!(world.bench.log.len(), before);
}

#[test]
fn assignments_are_not_made_more_often_than_the_interval() {
    let mut world = World::new(&[("t", 4)]);
    let (mut a, mut b) = (Client::named("a", &["t"]), Client::named("b", &["t"]));
    world.beat(&mut a);
    world.beat(&mut b);
    assert_eq!(world.state(), Some(ConsumerGroupState::Assigning));
    assert_eq!(b.epoch, 2, "until then it has nothing of the last assignment");
    world.bench.advance(1_000);
    world.beat(&mut b);
    assert_eq!(b.epoch, 3);
}

#[test]
fn a_silent_member_is_removed_and_its_partitions_go_to_the_others() {
    let mut world = World::new(&[("t", 4)]);
    let mut clients = [Client::named("a", &["t"]), Client::named("b", &["t"])];
    world.converge(&mut clients);
    let [mut a, b] = clients;
    for _ in 0..46 {
        world.bench.advance(1_000);
        world.beat(&mut a);
    }
    world.converge(std::slice::from_mut(&mut a));
    assert_eq!(a.owned.len(), 4);
    assert_eq!(error(&mut world, b.request()).0, ErrorCode::UnknownMemberId);
}

#[test]
fn a_member_that_gives_nothing_up_is_removed_after_its_rebalance_timeout() {
    let mut world = World::new(&[("t", 4)]);
    let mut a = Client::named("a", &["t"]);
    world.beat(&mut a);
    let all = a.owned.clone();
    world.bench.advance(2_000);
    let mut b = Client::named("b", &["t"]);
    world.beat(&mut b);
    for _ in 0..61 {
        world.bench.advance(1_000);
        world.beat(&mut b);
        a.owned.clone_from(&all);
        world.beat(&mut a);
    }
    assert!(!a.joined);
    world.converge(&mut [a, b]);
}

#[test]
fn epochs_that_are_not_the_members_are_fenced() {
    let mut world = World::new(&[("t", 1)]);
    let mut a = Client::named("a", &["t"]);
    world.beat(&mut a);
    let with_epoch = |member_epoch| ConsumerGroupHeartbeatRequest { member_epoch, ..a.request() };
    let (code, text) = error(&mut world, with_epoch(9));
    assert_eq!(code, ErrorCode::FencedMemberEpoch);
    assert_eq!(
        text,
        "The consumer group member has a greater member epoch (9) than the one known by the group \
         coordinator (2). The member must abandon all its partitions and rejoin."
    );
    let unknown = ConsumerGroupHeartbeatRequest { member_id: "x".into(), ..with_epoch(2) };
    let (code, text) = error(&mut world, unknown);
    assert_eq!(code, ErrorCode::UnknownMemberId);
    assert_eq!(text, "Member x is not a member of group g.");
}

#[test]
fn a_lost_answer_does_not_fence() {
    let mut world = World::new(&[("t", 2)]);
    let mut clients = [Client::named("a", &["t"]), Client::named("b", &["t"])];
    world.converge(&mut clients);
    world.set_topic("t", 4);
    let lost = clients[0].clone();
    world.beat(&mut clients[0]);
    assert!(clients[0].epoch > lost.epoch);
    assert_eq!(error(&mut world, lost.request()).0, ErrorCode::None);
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let mut world = World::new(&[("t", 4)]);
    let with_instance = |id: &str, instance: &str| Client {
        instance: Some(instance.into()),
        ..Client::named(id, &["t"])
    };
    let mut clients = [with_instance("a", "i1"), with_instance("b", "i2")];
    world.converge(&mut clients);
    let other = with_instance("a2", "i1");
    let (code, _) = error(&mut world, other.request());
    assert_eq!(code, ErrorCode::UnreleasedInstanceId);
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -2, ..clients[0].request() };
    assert_eq!(error(&mut world, leave).0, ErrorCode::None);
    let epoch = clients[1].epoch;
    let mut back = other;
    assert_eq!(world.beat(&mut back), ErrorCode::None);
    assert_eq!(back.owned, clients[0].owned);
    assert_eq!(back.epoch, epoch, "nobody else notices");
    let fenced = clients[0].request();
    assert_eq!(error(&mut world, fenced).0, ErrorCode::FencedInstanceId);
}

#[test]
fn patterns_are_resolved_beside_the_request_and_follow_new_topics() {
    let mut world = World::new(&[("orders-1", 2), ("other", 2)]);
    let mut a = Client { id: "a".into(), regex: Some("orders-.*".into()), ..Client::default() };
    world.beat(&mut a);
    assert_eq!(a.owned.len(), 0);
    world.bench.advance(1_000);
    world.beat(&mut a);
    assert_eq!(a.owned, world.all_partitions(&["orders-1".into()]));
    world.set_topic("orders-2", 3);
    world.bench.advance(11_000);
    world.beat(&mut a);
    world.bench.advance(1_000);
    world.beat(&mut a);
    assert_eq!(a.owned.len(), 5);
    let bad = Client { regex: Some("[".into()), id: "b".into(), ..Client::default() };
    let (code, text) = error(&mut world, bad.request());
    assert_eq!(code, ErrorCode::InvalidRegularExpression);
    assert!(text.starts_with("SubscribedTopicRegex `[` is not a valid regular expression: "));
}

#[test]
fn a_pattern_does_not_stand_for_what_its_member_may_not_describe() {
    let mut world = World::new(&[("orders-1", 2), ("orders-secret", 2)]);
    let viewer = Viewer { principal: Principal::user("a"), host: "127.0.0.1".into() };
    let regex = Some("orders-.*".into());
    let mut a = Client { id: "a".into(), regex, viewer: Some(viewer), ..Client::default() };
    world.beat(&mut a);
    world.bench.advance(1_000);
    world.beat(&mut a);
    assert_eq!(a.owned, world.all_partitions(&["orders-1".into()]));
    // What is new is looked at in the same way.
    world.set_topic("orders-secret-2", 1);
    world.set_topic("orders-2", 1);
    world.bench.advance(11_000);
    world.beat(&mut a);
    world.bench.advance(1_000);
    world.beat(&mut a);
    assert_eq!(a.owned, world.all_partitions(&["orders-1".into(), "orders-2".into()]));
}

#[test]
fn requests_that_make_no_sense_are_refused_in_kafkas_words() {
    let mut world = World::new(&[("t", 1)]);
    let good = Client::named("a", &["t"]).request();
    let mut check = |request: ConsumerGroupHeartbeatRequest, code, text: &str| {
        assert_eq!(error(&mut world, request), (code, text.to_owned()));
    };
    let invalid = ErrorCode::InvalidRequest;
    let request = ConsumerGroupHeartbeatRequest { member_id: String::new(), ..good.clone() };
    check(request, invalid, "MemberId can't be empty.");
    let request = ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..good.clone() };
    check(request, invalid, "RebalanceTimeoutMs must be provided in first request.");
    let request = ConsumerGroupHeartbeatRequest { member_epoch: -3, ..good.clone() };
    check(request, invalid, "MemberEpoch is invalid.");
    let request =
        ConsumerGroupHeartbeatRequest { server_assignor: Some("x".into()), ..good.clone() };
    let text = "ServerAssignor x is not supported. Supported assignors: uniform, range.";
    check(request, ErrorCode::UnsupportedAssignor, text);
    let request = ConsumerGroupHeartbeatRequest { member_epoch: 1, ..good };
    check(request, ErrorCode::GroupIdNotFound, "Consumer group g not found.");
}

#[test]
fn a_full_group_takes_nobody_more() {
    let consumer = ConsumerConfig { max_size: 1, ..ConsumerConfig::default() };
    let mut world = World::with(GroupConfig { consumer, ..GroupConfig::default() }, &[("t", 1)]);
    world.beat(&mut Client::named("a", &["t"]));
    let (code, text) = error(&mut world, Client::named("b", &["t"]).request());
    assert_eq!(code, ErrorCode::GroupMaxSizeReached);
    assert_eq!(text, "The consumer group has reached its maximum capacity of 1 members.");
}

#[test]
fn offsets_are_committed_by_members_in_their_epoch() {
    let mut world = World::new(&[("t", 1)]);
    let mut a = Client::named("a", &["t"]);
    world.beat(&mut a);
    let mut commit =
        |version, epoch| world.bench.commit_as(version, commit_request("a", epoch, 0, 5));
    assert_eq!(commit(9, 2), ErrorCode::None);
    assert_eq!(commit(9, 3), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit(9, 1), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit(8, 2), ErrorCode::UnsupportedVersion);
    assert_eq!(world.bench.position(0), Some(5));
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..a.request() };
    assert_eq!(error(&mut world, leave).0, ErrorCode::None);
    assert_eq!(world.state(), Some(ConsumerGroupState::Empty));
    let admin = world.bench.commit_as(9, commit_request("", -1, 0, 6));
    assert_eq!(admin, ErrorCode::None, "an empty group's offsets are an administrator's");
}

#[test]
fn an_empty_group_can_be_deleted_and_one_with_members_cannot() {
    let mut world = World::new(&[("t", 1)]);
    let mut a = Client::named("a", &["t"]);
    world.beat(&mut a);
    let delete = |world: &mut World| match world
        .bench
        .ask(Command::DeleteGroup { group_id: GROUP.into() })
    {
        Reply::DeleteGroup(result) => ErrorCode::from_code(result.error_code),
        other => panic!("{other:?}"),
    };
    assert_eq!(delete(&mut world), ErrorCode::NonEmptyGroup);
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..a.request() };
    world.ask(leave);
    assert_eq!(delete(&mut world), ErrorCode::None);
    assert_eq!(world.state(), None);
    assert_eq!(delete(&mut world), ErrorCode::GroupIdNotFound);
    world.crash();
    assert_eq!(world.state(), None);
}
