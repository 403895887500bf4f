use naru_model::{Offset, Timestamp};

use super::{World, batch};
use crate::{AckType, AcquireMode, DeliveryState, Limits, ReadBatch, SharePartition, StateBatch};

#[test]
fn records_go_to_one_member_at_a_time_in_whole_batches() {
    let mut world = World::new(4);
    assert_eq!(world.acquire("a", 15), [(0, 19, 1)]);
    assert_eq!(world.acquire("b", 500), [(20, 39, 1)]);
    assert_eq!(world.acquire("a", 500), []);
}

#[test]
fn with_a_strict_limit_batches_are_cut() {
    let mut world = World::new(2);
    let acquired = world.acquire_as("a", 3, AcquireMode::RecordLimit);
    assert_eq!((acquired[0].first, acquired[0].last), (Offset(0), Offset(2)));
    assert_eq!(world.partition.next_fetch_offset(), Offset(3));
    assert_eq!(world.partition.end(), Offset(10), "the rest of the batch is known");
    let acquired = world.acquire_as("b", 3, AcquireMode::RecordLimit);
    assert_eq!((acquired[0].first, acquired[0].last), (Offset(3), Offset(5)));
}

#[test]
fn records_are_delivered_again_when_the_hold_ends_and_not_before() {
    let mut world = World::new(1);
    world.acquire("a", 500);
    assert_eq!(world.partition.next_deadline(), Some(Timestamp(31_000)));
    world.now = Timestamp(30_999);
    assert!(!world.partition.tick(world.now, &world.limits));
    world.now = Timestamp(31_000);
    assert!(world.partition.tick(world.now, &world.limits));
    assert_eq!(world.acquire("b", 500), [(0, 9, 2)]);
    assert!(world.acknowledge("a", 0, 9, &[AckType::Accept]).is_err());
}

#[test]
fn a_record_that_fails_is_delivered_in_ever_smaller_groups_and_given_up_at_the_limit() {
    let mut world = World::new(1);
    let mut deliveries = [0_u16; 10];
    for _ in 0..200 {
        let acquired = world.acquire("a", 500);
        if acquired.is_empty() {
            break;
        }
        for (first, last, count) in acquired {
            for offset in first..=last {
                deliveries[usize::try_from(offset).expect("an offset of the log")] += 1;
            }
            assert!(count <= 5);
            assert!(count < 5 || first == last, "the last time alone");
            world.acknowledge("a", first, last, &[AckType::Release]).expect("held");
        }
        world.store();
    }
    assert_eq!(deliveries, [5; 10]);
    assert_eq!(world.partition.start(), Offset(10));
}

#[test]
fn no_more_records_are_in_flight_than_allowed_but_those_given_back_are_delivered() {
    let mut world = World::new(40);
    world.limits = Limits { in_flight_max: 100, ..world.limits };
    assert_eq!(world.acquire("a", 500), [(0, 99, 1)]);
    assert!(!world.partition.can_acquire(&world.limits));
    assert_eq!(world.acquire("b", 500), []);
    world.acknowledge("a", 50, 59, &[AckType::Release]).expect("held");
    world.store();
    assert!(world.partition.can_acquire(&world.limits));
    assert_eq!(world.acquire("b", 500), [(50, 59, 2)]);
}

#[test]
fn gaps_of_the_log_and_aborted_records_are_passed_over() {
    let mut world = World::new(0);
    world.batches = vec![
        batch(5, 9),
        ReadBatch { aborted: true, ..batch(10, 14) },
        batch(20, 24),
        ReadBatch { aborted: true, ..batch(25, 29) },
    ];
    assert_eq!(world.acquire("a", 500), [(5, 9, 1), (20, 24, 1)]);
    assert_eq!(world.partition.start(), Offset(5));
    world.acknowledge("a", 5, 24, &[AckType::Accept]).expect("gaps are nobody's");
    world.store();
    assert_eq!(world.partition.start(), Offset(30));
}

#[test]
fn the_start_of_the_log_takes_records_away_from_everybody() {
    let mut world = World::new(3);
    world.acquire("a", 500);
    world.partition.move_log_start(Offset(25));
    assert_eq!(world.partition.start(), Offset(25));
    world.acknowledge("a", 0, 29, &[AckType::Accept]).expect("what is gone does not matter");
    world.store();
    assert_eq!(world.partition.start(), Offset(30));
    world.partition.move_log_start(Offset(3));
    assert_eq!(world.partition.start(), Offset(30), "it never goes back");
}

#[test]
fn what_was_stored_is_taken_over_and_the_rest_is_delivered() {
    let stored = |first, last, state, deliveries| StateBatch {
        first: Offset(first),
        last: Offset(last),
        state,
        deliveries,
    };
    let batches = [
        stored(0, 4, DeliveryState::Acknowledged, 1),
        stored(8, 9, DeliveryState::Archived, 5),
        stored(10, 14, DeliveryState::Available, 2),
        stored(15, 3, DeliveryState::Available, 2),
        stored(16, i64::MAX, DeliveryState::Available, 2),
    ];
    let mut world = World::new(2);
    world.partition = SharePartition::load(Offset(0), &batches);
    assert_eq!(world.partition.start(), Offset(5));
    assert_eq!(world.acquire("a", 500), [(5, 7, 1), (10, 14, 3), (15, 19, 1)]);
}

#[test]
fn new_ranges_are_divided_at_the_ends_of_batches() {
    let mut world = World::new(4);
    let fetch_offset = world.partition.next_fetch_offset();
    let ask = crate::Acquire {
        member: &"a".into(),
        fetch_offset,
        batches: &world.batches,
        records_max: 500,
        range_len: 15,
        mode: AcquireMode::BatchOptimized,
    };
    let acquired = world.partition.acquire(world.now, &ask, &world.limits);
    let ranges: Vec<_> = acquired.iter().map(|range| (range.first.0, range.last.0)).collect();
    assert_eq!(ranges, [(0, 19), (20, 39)]);
}
