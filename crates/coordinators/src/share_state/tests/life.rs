//! A share partition's life, request by request.

use naru_model::{ErrorCode, Offset, Uuid};

use super::super::{ShareCommand, ShareReply, ShareStateError, ShareSummary, StateWrite};
use super::bench::{Bench, TOPIC, at, batch, initialize, read, write};

fn state(bench: &mut Bench, leader_epoch: i32) -> super::super::ShareState {
    match bench.ask(read(0, leader_epoch)) {
        ShareReply::State(state) => state,
        other => panic!("not a state: {other:?}"),
    }
}

fn refused(reply: ShareReply) -> ShareStateError {
    match reply {
        ShareReply::Refused(error) => error,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_was_written_is_read_and_what_lies_before_the_start_is_forgotten() {
    let mut bench = Bench::new(500);
    assert_eq!(bench.ask(initialize(0, 3, -1)), ShareReply::Done);
    assert_eq!(state(&mut bench, 1).start_offset, -1);
    bench.ask(write(0, 10, &[batch(10, 14, 2, 1), batch(15, 19, 0, 1)]));
    bench.ask(write(0, -1, &[batch(15, 16, 2, 2)]));
    let got = state(&mut bench, 1);
    assert_eq!((got.state_epoch, got.start_offset), (3, 10));
    assert_eq!(got.batches, [batch(10, 14, 2, 1), batch(15, 16, 2, 2), batch(17, 19, 0, 1)]);
    bench.ask(write(0, 17, &[]));
    assert_eq!(state(&mut bench, 1).batches, [batch(17, 19, 0, 1)]);
}

#[test]
fn nothing_is_written_or_read_before_it_is_initialized() {
    let mut bench = Bench::new(500);
    assert_eq!(refused(bench.ask(read(0, 0))), ShareStateError::ReadUninitialized);
    assert_eq!(refused(bench.ask(write(0, 0, &[]))), ShareStateError::WriteUninitialized);
    assert_eq!(refused(bench.ask(write(-1, 0, &[]))), ShareStateError::NegativePartition);
    assert_eq!(refused(bench.ask(initialize(3, 0, 0))), ShareStateError::UnknownTopicOrPartition);
    let nothing = ShareSummary {
        state_epoch: 0,
        leader_epoch: 0,
        start_offset: -1,
        delivery_complete_count: -1,
    };
    let asked = ShareCommand::Summary { partition: at(0) };
    assert_eq!(bench.ask(asked), ShareReply::Summary(nothing));
}

#[test]
fn a_newer_leader_fences_the_older_and_a_newer_state_too() {
    let mut bench = Bench::new(500);
    bench.ask(initialize(0, 3, 0));
    state(&mut bench, 5);
    assert_eq!(refused(bench.ask(read(0, 4))), ShareStateError::FencedLeaderEpoch);
    let by = |leader_epoch, state_epoch| ShareCommand::Write {
        partition: at(0),
        write: StateWrite { leader_epoch, state_epoch, start_offset: -1, ..Default::default() },
    };
    assert_eq!(refused(bench.ask(by(4, 3))), ShareStateError::FencedLeaderEpoch);
    assert_eq!(bench.ask(by(5, 3)), ShareReply::Done);
    assert_eq!(bench.ask(initialize(0, 4, 100)), ShareReply::Done);
    assert_eq!(refused(bench.ask(by(5, 3))), ShareStateError::FencedStateEpoch);
    assert_eq!(refused(bench.ask(initialize(0, 3, 0))), ShareStateError::FencedStateEpoch);
    // The fence outlives a new coordinator.
    bench.crash();
    assert_eq!(refused(bench.ask(by(4, 4))), ShareStateError::FencedLeaderEpoch);
    assert_eq!(bench.ask(by(5, 4)), ShareReply::Done);
}

#[test]
fn snapshots_come_after_as_many_updates_as_are_configured() {
    let mut bench = Bench::new(2);
    bench.ask(initialize(0, 0, 0));
    for offset in 0..8 {
        bench.ask(write(0, offset, &[]));
    }
    let kinds: Vec<u8> = bench.log.iter().flatten().map(|record| record.key[1]).collect();
    // As Kafka counts: the first update as none, then two updates between snapshots.
    assert_eq!(kinds, [0, 1, 1, 1, 0, 1, 1, 0, 1]);
}

#[test]
fn the_log_is_cut_off_before_the_oldest_snapshot_that_is_needed() {
    let mut bench = Bench::new(1);
    bench.ask(initialize(0, 0, 0));
    bench.ask(initialize(1, 0, 0));
    for offset in 0..6 {
        bench.ask(write(0, offset, &[batch(offset, offset, 2, 1)]));
    }
    bench.advance(300_000);
    // Partition 1 has not been written since offset 1, but is written anew as it is cold.
    assert!(bench.prunes.iter().all(|prune| prune.before >= Offset(1)));
    bench.advance(300_000);
    let last = bench.prunes.last().expect("cut off").before;
    assert!(last > Offset(2), "{last:?}");
    assert_eq!(bench.replayed().settled(), bench.shard.settled());
}

#[test]
fn state_ends_with_its_topic_and_by_deletion() {
    let mut bench = Bench::new(500);
    bench.ask(initialize(0, 0, 0));
    bench.ask(initialize(1, 0, 0));
    assert_eq!(bench.ask(ShareCommand::Delete { partition: at(0) }), ShareReply::Done);
    assert_eq!(bench.ask(ShareCommand::Delete { partition: at(0) }), ShareReply::Done);
    assert_eq!(refused(bench.ask(read(0, 0))), ShareStateError::ReadUninitialized);
    assert_eq!(bench.shard.partition_count(), 1);
    bench.ask(ShareCommand::TopicsDeleted { topics: vec![Uuid(99)] });
    assert_eq!(bench.shard.partition_count(), 1);
    bench.ask(ShareCommand::TopicsDeleted { topics: vec![TOPIC] });
    assert_eq!(bench.shard.partition_count(), 0);
    assert!(bench.replayed().settled().is_empty());
}

#[test]
fn what_cannot_be_stored_is_taken_back_and_answered_as_an_error() {
    let mut bench = Bench::new(500);
    bench.ask(initialize(0, 0, 0));
    bench.auto_commit = false;
    let lost = bench.send(write(0, 5, &[batch(5, 9, 2, 1)]));
    let seen = bench.send(read(0, 0));
    assert_eq!(bench.answer(seen), None, "it tells what is not stored yet");
    bench.settle_one(Err(ErrorCode::NotLeaderOrFollower));
    let error = ShareStateError::Log(ErrorCode::NotCoordinator);
    assert_eq!(bench.answer(lost), Some(ShareReply::Refused(error)));
    assert_eq!(bench.answer(seen), Some(ShareReply::Refused(error)));
    bench.auto_commit = true;
    assert_eq!(state(&mut bench, 0).start_offset, 0);
}

#[test]
fn a_late_request_to_begin_in_the_same_epoch_takes_nothing_back() {
    let mut bench = Bench::new(500);
    bench.ask(initialize(0, 3, -1));
    bench.ask(write(0, 10, &[batch(10, 14, 2, 1)]));
    let kept = state(&mut bench, 0);
    let records = bench.log.len();
    assert_eq!(bench.ask(initialize(0, 3, -1)), ShareReply::Done);
    assert_eq!((state(&mut bench, 0), bench.log.len()), (kept, records));
    assert_eq!(bench.ask(initialize(0, 3, 5)), ShareReply::Done);
    let moved = state(&mut bench, 0);
    assert_eq!((moved.start_offset, moved.batches.len()), (5, 0), "an administrator says where");
    bench.ask(initialize(0, 4, -1));
    assert_eq!(state(&mut bench, 0).start_offset, -1, "a new epoch begins anew");
}

#[test]
fn behind_a_record_that_is_held_for_long_batches_stay_few() {
    let mut bench = Bench::new(100);
    bench.ask(initialize(0, 0, 0));
    for first in (1..20_000).step_by(100) {
        let states = [2_i8, 4, 2];
        let mixed: Vec<_> = (first..first + 100)
            .zip(states.into_iter().cycle())
            .map(|(offset, state)| batch(offset, offset, state, 1))
            .collect();
        bench.ask(write(0, 0, &mixed));
    }
    let kept = state(&mut bench, 0).batches;
    assert!(kept.len() <= 1100, "{} batches", kept.len());
    assert_eq!(kept.first().map(|one| one.first_offset), Some(1));
    assert!(kept.windows(2).all(|pair| pair[0].last_offset + 1 == pair[1].first_offset));
    assert_eq!(bench.replayed().settled(), bench.shard.settled());
}
