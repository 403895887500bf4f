use naru_model::{Offset, Timestamp};

use super::World;
use crate::{AckError, AckType, Acknowledged, DeliveryState, StateBatch};

#[test]
fn an_acknowledgement_counts_when_it_is_stored() {
    let mut world = World::new(1);
    world.acquire("a", 500);
    let Ok(Acknowledged::WhenStored(ticket)) = world.acknowledge("a", 0, 9, &[AckType::Accept])
    else {
        panic!("it has to be stored")
    };
    assert_eq!(world.partition.start(), Offset(0));
    let write = world.partition.begin_write().expect("something to store");
    assert_eq!((write.start, write.complete), (Offset(0), 10));
    let all = StateBatch {
        first: Offset(0),
        last: Offset(9),
        state: DeliveryState::Acknowledged,
        deliveries: 1,
    };
    assert_eq!(write.batches, [all]);
    assert!(world.partition.begin_write().is_none(), "one at a time");
    assert_eq!(world.partition.end_write(write.id, true), [ticket]);
    assert_eq!(world.partition.start(), Offset(10));
    assert!(world.partition.is_stored());
}

#[test]
fn what_could_not_be_stored_is_still_held_until_its_time_is_over() {
    let mut world = World::new(1);
    world.acquire("a", 500);
    world.acknowledge("a", 0, 9, &[AckType::Accept]).expect("held");
    let write = world.partition.begin_write().expect("something to store");
    world.now = Timestamp(31_000);
    assert!(!world.partition.tick(world.now, &world.limits), "it is being stored");
    world.partition.end_write(write.id, false);
    assert!(world.partition.tick(world.now, &world.limits));
    assert_eq!(world.acquire("b", 500), [(0, 9, 2)]);
}

#[test]
fn each_record_has_its_own_type() {
    use AckType::{Accept, Gap, Reject, Release};
    let mut world = World::new(1);
    world.acquire("a", 500);
    let types = [Accept, Accept, Release, Release, Reject, Gap, Accept, Accept, Accept, Release];
    world.acknowledge("a", 0, 9, &types).expect("held");
    let states: Vec<_> = world
        .store()
        .expect("a write")
        .batches
        .iter()
        .map(|batch| (batch.first.0, batch.last.0, batch.state.id()))
        .collect();
    assert_eq!(states, [(0, 1, 2), (2, 3, 0), (4, 5, 4), (6, 8, 2), (9, 9, 0)]);
    assert_eq!(world.partition.start(), Offset(2));
    assert_eq!(world.acquire("b", 500), [(2, 3, 2), (9, 9, 2)]);
}

#[test]
fn only_the_holder_acknowledges_and_all_or_nothing_counts() {
    let mut world = World::new(3);
    world.acquire("a", 10);
    world.acquire("b", 10);
    let accept = [AckType::Accept];
    assert_eq!(world.acknowledge("b", 0, 9, &accept), Err(AckError::NotOwner));
    assert_eq!(world.acknowledge("a", 0, 19, &accept), Err(AckError::NotOwner));
    assert_eq!(world.acknowledge("a", 0, 25, &accept), Err(AckError::LastPastAcquired));
    assert_eq!(world.acknowledge("a", 25, 29, &accept), Err(AckError::FirstPastAcquired));
    assert!(world.partition.is_stored(), "nothing of it counted");
    world.acknowledge("a", 0, 9, &accept).expect("held");
    assert_eq!(world.acknowledge("a", 0, 9, &accept), Err(AckError::UnderWay));
    world.store();
    assert_eq!(world.acknowledge("a", 0, 9, &accept), Ok(Acknowledged::AtOnce), "done already");
    world.acknowledge("b", 12, 12, &[AckType::Release]).expect("held");
    world.store();
    assert_eq!(world.acknowledge("b", 12, 12, &accept), Err(AckError::OffsetNotAcquired));
}

#[test]
fn a_hold_is_extended_if_the_group_allows_it() {
    let mut world = World::new(1);
    world.acquire("a", 500);
    world.now = Timestamp(20_000);
    assert_eq!(world.acknowledge("a", 0, 4, &[AckType::Renew]), Ok(Acknowledged::AtOnce));
    world.now = Timestamp(31_000);
    world.partition.tick(world.now, &world.limits);
    assert_eq!(world.acquire("b", 500), [(5, 9, 2)]);
    assert_eq!(world.partition.next_deadline(), Some(Timestamp(50_000)));
    world.limits.may_renew = false;
    assert_eq!(world.acknowledge("a", 0, 4, &[AckType::Renew]), Err(AckError::RenewDisabled));
}

#[test]
fn what_a_member_holds_is_given_back_when_it_goes() {
    let mut world = World::new(2);
    world.acquire("a", 10);
    world.acquire("b", 10);
    world.acknowledge("a", 0, 4, &[AckType::Accept]).expect("held");
    assert!(world.partition.release_member("a", &world.limits));
    world.store();
    assert_eq!(world.acquire("c", 500), [(5, 9, 2)]);
    assert_eq!(world.partition.start(), Offset(5));
}

#[test]
fn changes_that_wait_go_out_together_and_the_last_one_counts() {
    let mut world = World::new(1);
    world.acquire("a", 500);
    world.acknowledge("a", 0, 0, &[AckType::Accept]).expect("held");
    let first = world.partition.begin_write().expect("something to store");
    world.acknowledge("a", 4, 5, &[AckType::Accept]).expect("held");
    world.now = Timestamp(31_000);
    world.partition.tick(world.now, &world.limits);
    world.acquire("b", 500);
    world.acknowledge("b", 7, 7, &[AckType::Accept]).expect("held");
    world.partition.end_write(first.id, true);
    let second = world.partition.begin_write().expect("the rest");
    let states: Vec<_> = second
        .batches
        .iter()
        .map(|batch| (batch.first.0, batch.last.0, batch.state.id(), batch.deliveries))
        .collect();
    assert_eq!(states, [(1, 3, 0, 1), (4, 5, 2, 1), (6, 6, 0, 1), (7, 7, 2, 2), (8, 9, 0, 1)]);
    assert_eq!(second.start, Offset(1));
}

#[test]
fn what_is_done_behind_a_record_that_is_held_does_not_pile_up() {
    let mut world = World::new(5);
    // Between the second batch and the fourth, and before the last, the log was compacted.
    world.batches.remove(2);
    world.batches[3].first = Offset(45);
    world.acquire("a", 500);
    for offset in (1..20).chain(30..40).chain(45..50) {
        let of = if offset % 3 == 0 { AckType::Reject } else { AckType::Accept };
        world.acknowledge("a", offset, offset, &[of]).expect("held");
        world.store();
    }
    assert_eq!(world.partition.start(), Offset(0));
    assert_eq!(world.partition.runs.iter().count(), 2);
    assert_eq!(world.partition.in_flight(), 1);
    world.acknowledge("a", 0, 0, &[AckType::Accept]).expect("held");
    world.store();
    assert_eq!(world.partition.start(), Offset(50));
}
