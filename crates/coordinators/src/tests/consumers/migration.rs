//! Groups that change their protocol while members run.

use bytes::Bytes;
use naru_model::ErrorCode;
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_protocol::messages::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use naru_protocol::messages::consumer_protocol_subscription::{
    ConsumerProtocolSubscription, TopicPartition as OwnedPartition,
};
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use naru_protocol::{Reader, Wire, Writer};

use super::super::bench::{GROUP, join_request, sync_request};
use super::world::{Client, World};
use crate::{Command, ConsumerGroupState, GroupState};

fn cooperative(member_id: &str, owned: &[i32]) -> JoinGroupRequest {
    let mut writer = Writer::default();
    writer.i16(1);
    let subscription = ConsumerProtocolSubscription {
        topics: vec!["t".into()],
        owned_partitions: vec![OwnedPartition { topic: "t".into(), partitions: owned.to_vec() }],
        ..Default::default()
    };
    subscription.write(&mut writer, 1);
    let metadata = writer.into_bytes().into();
    let protocols = vec![JoinGroupRequestProtocol { name: "range".into(), metadata }];
    JoinGroupRequest { protocols, ..join_request(member_id) }
}

pub(super) fn assignment(partitions: &[i32]) -> Bytes {
    let mut writer = Writer::default();
    writer.i16(1);
    let assigned_partitions =
        vec![TopicPartition { topic: "t".into(), partitions: partitions.to_vec() }];
    ConsumerProtocolAssignment { assigned_partitions, user_data: None }.write(&mut writer, 1);
    writer.into_bytes().into()
}

pub(super) fn read(assignment: &Bytes) -> Vec<i32> {
    let mut reader = Reader::new(assignment);
    let version = reader.i16().expect("a version");
    let read = ConsumerProtocolAssignment::read(&mut reader, version).expect("an assignment");
    read.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect()
}

/// A classic group of one member that has all four partitions.
fn classic(world: &mut World) -> (String, i32) {
    let id = world.bench.new_id();
    let token = world.bench.join_as(9, cooperative(&id, &[]));
    world.bench.advance(10_000);
    let generation = world.bench.joined(token).generation_id;
    let entry =
        SyncGroupRequestAssignment { member_id: id.clone(), assignment: assignment(&[0, 1, 2, 3]) };
    let request =
        SyncGroupRequest { assignments: vec![entry], ..sync_request(&id, generation, &[]) };
    let token = world.bench.send(Command::SyncGroup { api_version: 5, request });
    assert_eq!(world.bench.synced(token).error_code, 0);
    assert_eq!(world.bench.state().0, GroupState::Stable);
    (id, generation)
}

#[test]
fn a_classic_group_is_upgraded_by_the_first_consumer_and_downgraded_by_the_last() {
    let mut world = World::new(&[("t", 4)]);
    let (old, generation) = classic(&mut world);
    let mut new = Client::named("new", &["t"]);
    assert_eq!(world.beat(&mut new), ErrorCode::None);
    assert!(world.bench.shard.group_state(GROUP).is_none());
    assert_eq!(new.owned.len(), 0);

    // The classic member is told to join, gives two up, and joins again.
    assert_eq!(world.bench.heartbeat(&old, generation), ErrorCode::RebalanceInProgress);
    let token = world.bench.join_as(9, cooperative(&old, &[0, 1, 2, 3]));
    let joined = world.bench.joined(token);
    assert_eq!((joined.error_code, joined.generation_id), (0, generation));
    let token = world.bench.sync(&old, joined.generation_id, &[]);
    let kept = read(&world.bench.synced(token).assignment);
    assert_eq!(kept.len(), 2);
    assert_eq!(world.bench.heartbeat(&old, generation), ErrorCode::RebalanceInProgress);
    let token = world.bench.join_as(9, cooperative(&old, &kept));
    let joined = world.bench.joined(token);
    assert!(joined.generation_id > generation);
    let token = world.bench.sync(&old, joined.generation_id, &[]);
    assert_eq!(read(&world.bench.synced(token).assignment), kept);
    assert_eq!(world.bench.heartbeat(&old, joined.generation_id), ErrorCode::None);
    world.beat(&mut new);
    assert_eq!(new.owned.len(), 2);
    assert_eq!(world.state(), Some(ConsumerGroupState::Stable));
    world.bench.shard.check_invariants();

    // What is in the log says the same.
    let replayed = world.bench.replayed();
    let facts = |shard: &crate::GroupShard| shard.consumers[GROUP].as_facts();
    assert_eq!(facts(&replayed), facts(&world.bench.shard));
    assert!(replayed.group_state(GROUP).is_none());

    // The last consumer goes: the group is classic again and rebalances.
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..new.request() };
    assert_eq!(world.ask(leave).error_code, 0);
    assert_eq!(world.state(), None);
    assert_eq!(world.bench.state().0, GroupState::PreparingRebalance);
    let again = world.bench.heartbeat(&old, world.bench.state().1);
    assert_eq!(again, ErrorCode::RebalanceInProgress);
    world.crash();
    assert_eq!(world.bench.state().0, GroupState::Stable);
}

/// A group of one static member that speaks the consumer protocol, and a classic one that joins
/// in its name.
fn taken_over(world: &mut World) -> (Client, JoinGroupRequest) {
    let mut owner = Client { instance: Some("i".into()), ..Client::named("owner", &["t"]) };
    assert_eq!(world.beat(&mut owner), ErrorCode::None);
    assert_eq!(owner.owned.len(), 4);
    let heir = JoinGroupRequest { group_instance_id: Some("i".into()), ..cooperative("", &[]) };
    (owner, heir)
}

#[test]
fn a_classic_static_member_in_the_place_of_the_last_consumer_makes_the_group_classic() {
    let mut world = World::new(&[("t", 4)]);
    let (owner, heir) = taken_over(&mut world);
    let token = world.bench.join_as(9, heir);
    let joined = world.bench.joined(token);
    assert_eq!((joined.error_code, joined.leader.as_str()), (0, ""));
    assert_eq!(world.state(), None);
    assert_eq!(world.bench.state(), (GroupState::Stable, joined.generation_id));

    // It has what the other had, without a rebalance, also after a crash.
    for crash in [false, true] {
        if crash {
            world.crash();
        }
        let id = joined.member_id.as_str();
        assert_eq!(world.bench.heartbeat(id, joined.generation_id), ErrorCode::None);
        let request = SyncGroupRequest {
            group_instance_id: Some("i".into()),
            ..sync_request(id, joined.generation_id, &[])
        };
        let token = world.bench.send(Command::SyncGroup { api_version: 5, request });
        assert_eq!(read(&world.bench.synced(token).assignment), [0, 1, 2, 3]);
    }
    assert_ne!(world.ask(owner.request()).error_code, 0);
    // Its session runs.
    world.bench.advance(60_000);
    assert_eq!(world.bench.state().0, GroupState::Empty);
}

#[test]
fn a_downgrade_by_a_join_that_cannot_be_stored_leaves_the_consumer_group() {
    let mut world = World::new(&[("t", 4)]);
    let (mut owner, heir) = taken_over(&mut world);
    let before = world.bench.shard.consumers[GROUP].as_facts();
    world.bench.auto_commit = false;
    let token = world.bench.join_as(9, heir);
    world.bench.settle(Err(ErrorCode::NotEnoughReplicas));
    let refused = world.bench.joined(token);
    assert_eq!(refused.error_code, ErrorCode::CoordinatorNotAvailable.code());
    world.bench.auto_commit = true;
    assert_eq!(world.bench.shard.consumers[GROUP].as_facts(), before);
    assert!(world.bench.shard.group_state(GROUP).is_none());
    assert_eq!(world.beat(&mut owner), ErrorCode::None);
    // Its session runs.
    world.bench.advance(60_000);
    assert_eq!(world.state(), Some(ConsumerGroupState::Empty));
}

#[test]
fn a_classic_group_that_comes_back_still_ends_sessions() {
    let mut world = World::new(&[("t", 4)]);
    classic(&mut world);
    world.bench.auto_commit = false;
    world.send(Client::named("new", &["t"]).request());
    world.bench.settle(Err(ErrorCode::NotEnoughReplicas));
    world.bench.auto_commit = true;
    assert_eq!(world.bench.state().0, GroupState::Stable);
    world.bench.advance(60_000);
    assert_eq!(world.bench.state().0, GroupState::Empty);
}

#[test]
fn a_member_that_was_taken_back_too_early_has_a_session() {
    let mut world = World::new(&[("t", 4)]);
    let mut first = Client::named("a", &["t"]);
    world.beat(&mut first);
    world.bench.auto_commit = false;
    // Two joins are on their way; the first is lost for all the shard knows, and takes the second
    // with it.
    let lost = world.send(Client::named("b", &["t"]).request());
    let late = world.send(Client::named("c", &["t"]).request());
    assert!(world.bench.settle_one(Err(ErrorCode::NotEnoughReplicas)));
    assert_ne!(world.answer(lost).error_code, 0);
    let members = |world: &World| world.bench.shard.consumers[GROUP].len();
    assert_eq!(members(&world), 1);
    assert!(world.bench.settle_one(Ok(())));
    assert_eq!(world.answer(late).error_code, 0);
    assert_eq!(members(&world), 2);
    world.bench.auto_commit = true;
    world.bench.advance(60_000);
    assert_eq!(members(&world), 0);
}

#[test]
fn a_downgrade_that_was_taken_back_too_early_is_whole_after_it_is_read_again() {
    let mut world = World::new(&[("t", 4), ("u", 1)]);
    let (old, _) = classic(&mut world);
    let mut new = Client::named("new", &["t"]);
    assert_eq!(world.beat(&mut new), ErrorCode::None);
    world.bench.auto_commit = false;
    // The consumer wants more, then goes, which makes the group classic. The first is lost, and
    // takes the second with it for all the shard knows.
    new.topics = Some(vec!["t".into(), "u".into()]);
    let lost = world.send(new.request());
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..new.request() };
    let left = world.send(leave);
    assert!(world.bench.shard.group_state(GROUP).is_some());
    assert!(world.bench.settle_one(Err(ErrorCode::NotEnoughReplicas)));
    assert_ne!(world.answer(lost).error_code, 0);
    assert!(world.bench.shard.consumers.contains_key(GROUP));
    assert!(world.bench.settle_one(Ok(())));
    assert_eq!(world.answer(left).error_code, 0);
    world.bench.auto_commit = true;

    assert_eq!(world.state(), None);
    let (state, generation) = world.bench.state();
    assert_eq!(state, GroupState::Stable);
    assert_eq!(world.bench.heartbeat(&old, generation), ErrorCode::None);
    let settled = |shard: &crate::GroupShard| shard.settled_state().1;
    assert_eq!(settled(&world.bench.replayed()), settled(&world.bench.shard));
    // Its session runs.
    world.bench.advance(60_000);
    assert_eq!(world.bench.state().0, GroupState::Empty);
}

#[test]
fn a_clock_that_is_set_keeps_sessions_and_assignments_going() {
    for by_ms in [-7_200_000, 7_200_000] {
        let mut world = World::new(&[("t", 4)]);
        world.bench.now = naru_model::Timestamp(10_000_000);
        let (old, generation) = classic(&mut world);
        world.bench.advance(5_000);
        world.bench.set_clock(by_ms);
        world.bench.advance(4_000);
        assert_eq!(world.bench.heartbeat(&old, generation), ErrorCode::None, "{by_ms}");
        world.bench.advance(11_000);
        assert_eq!(world.bench.state().0, GroupState::Empty, "{by_ms}");

        let mut members = [Client::named("a", &["t"]), Client::named("b", &["t"])];
        world.converge(&mut members[..1]);
        world.bench.set_clock(by_ms);
        // A second member needs a new assignment, however old the last one seems.
        world.converge(&mut members);
        assert_eq!(members[1].owned.len(), 2, "{by_ms}");
        world.bench.set_clock(-by_ms);
        world.bench.advance(43_000);
        assert_eq!(world.beat(&mut members[0]), ErrorCode::None, "{by_ms}");
        world.bench.advance(3_000);
        assert_eq!(world.bench.shard.consumers[GROUP].len(), 1, "{by_ms}");
    }
}

#[test]
fn an_upgrade_that_cannot_be_stored_leaves_the_classic_group() {
    let mut world = World::new(&[("t", 4)]);
    let (old, generation) = classic(&mut world);
    world.bench.auto_commit = false;
    let token = world.send(Client::named("new", &["t"]).request());
    world.bench.settle(Err(ErrorCode::NotEnoughReplicas));
    let response = world.answer(token);
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::CoordinatorNotAvailable);
    world.bench.auto_commit = true;
    assert_eq!(world.state(), None);
    assert_eq!(world.bench.heartbeat(&old, generation), ErrorCode::None);
}

#[test]
fn an_empty_classic_group_becomes_what_comes_first() {
    let mut world = World::new(&[("t", 1)]);
    world.bench.commit_as(9, super::super::bench::commit_request("", -1, 0, 3));
    let mut a = Client::named("a", &["t"]);
    assert_eq!(world.beat(&mut a), ErrorCode::None);
    assert_eq!(world.bench.position(0), Some(3));
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..a.request() };
    world.ask(leave);
    let token = world.bench.join_as(3, join_request(""));
    world.bench.advance(10_000);
    assert_eq!(world.bench.joined(token).error_code, 0);
    assert_eq!(world.state(), None);
    assert_eq!(world.bench.position(0), Some(3));
}

#[test]
fn a_join_is_refused_if_the_empty_consumer_group_cannot_be_ended() {
    let mut world = World::new(&[("t", 1)]);
    let mut client = Client::named("c", &["t"]);
    world.beat(&mut client);
    world.ask(ConsumerGroupHeartbeatRequest { member_epoch: -1, ..client.request() });
    world.bench.auto_commit = false;
    let token = world.bench.join_as(3, join_request(""));
    assert!(world.bench.waiting.contains(&token));
    assert!(world.bench.settle_one(Err(ErrorCode::NotEnoughReplicas)));
    let refused = world.bench.joined(token);
    assert_eq!(refused.error_code, ErrorCode::CoordinatorNotAvailable.code());
    world.bench.settle(Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(world.state(), Some(ConsumerGroupState::Empty));
    assert!(world.bench.shard.group_state(GROUP).is_none());
}
