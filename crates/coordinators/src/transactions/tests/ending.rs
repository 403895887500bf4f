//! EndTxn by both protocols, as tables.

use naru_model::ErrorCode::{
    self, ConcurrentTransactions, InvalidProducerIdMapping, InvalidTxnState, ProducerFenced,
};

use super::bench::*;
use crate::transactions::{ConnectionId, Identity, TransactionState, TransactionVersion};

const V0: TransactionVersion = TransactionVersion::V0;
const V2: TransactionVersion = TransactionVersion::V2;

/// A shard whose id is in `state`, and who the producer was and is.
fn in_state(version: TransactionVersion, state: TransactionState) -> (Bench, Identity, Identity) {
    let mut bench = Bench::new();
    let producer = bench.init();
    let commit =
        matches!(state, TransactionState::CompleteCommit | TransactionState::PrepareCommit);
    if state == TransactionState::Empty {
        return (bench, producer, producer);
    }
    bench.add(producer, version, 0).unwrap();
    let mut now = producer;
    if state != TransactionState::Ongoing {
        now = bench.end(producer, version, commit).unwrap();
        now = if version == V2 { now } else { producer };
    }
    if !state.is_prepared() {
        bench.write_markers();
    }
    assert_eq!(bench.state(), Some(state));
    (bench, producer, now)
}

#[test]
fn without_epoch_bumps_a_repetition_is_told_by_the_state() {
    let cases = [
        (TransactionState::Empty, Err(InvalidTxnState), Err(InvalidTxnState)),
        (TransactionState::Ongoing, Ok(()), Ok(())),
        (TransactionState::PrepareCommit, Err(ConcurrentTransactions), Err(ConcurrentTransactions)),
        (TransactionState::PrepareAbort, Err(ConcurrentTransactions), Err(ConcurrentTransactions)),
        (TransactionState::CompleteCommit, Ok(()), Err(InvalidTxnState)),
        (TransactionState::CompleteAbort, Err(InvalidTxnState), Ok(())),
    ];
    for (state, on_commit, on_abort) in cases {
        for (commit, expected) in [(true, on_commit), (false, on_abort)] {
            let (mut bench, producer, _) = in_state(V0, state);
            let ended = bench.end(producer, V0, commit).map(drop);
            assert_eq!(ended, expected, "{state:?} commit {commit}");
        }
    }
}

#[test]
fn with_epoch_bumps_a_repetition_is_told_by_its_old_epoch() {
    // State, whether it is asked to commit, answer to the old epoch, answer to the current one:
    // who the producer is then, by how much its epoch is raised.
    type Expected = Result<i16, ErrorCode>;
    let cases: [(TransactionState, bool, Expected, Expected); 8] = [
        (TransactionState::CompleteCommit, true, Ok(0), Err(InvalidTxnState)),
        (TransactionState::CompleteCommit, false, Err(InvalidTxnState), Ok(1)),
        (TransactionState::CompleteAbort, true, Err(InvalidTxnState), Err(InvalidTxnState)),
        (TransactionState::CompleteAbort, false, Ok(0), Ok(1)),
        (
            TransactionState::PrepareCommit,
            true,
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
        ),
        (
            TransactionState::PrepareCommit,
            false,
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
        ),
        (
            TransactionState::PrepareAbort,
            false,
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
        ),
        (
            TransactionState::PrepareAbort,
            true,
            Err(ConcurrentTransactions),
            Err(ConcurrentTransactions),
        ),
    ];
    for (state, commit, on_old, on_current) in cases {
        let (mut bench, before, now) = in_state(V2, state);
        let by = |raised: i16| at_epoch(now, now.epoch.0 + raised);
        assert_eq!(bench.end(before, V2, commit), on_old.map(by), "{state:?} {commit} again");
        let (mut bench, _, now) = in_state(V2, state);
        assert_eq!(bench.end(now, V2, commit), on_current.map(by), "{state:?} {commit}");
    }
    let (mut bench, producer, _) = in_state(V2, TransactionState::Empty);
    assert_eq!(bench.end(producer, V2, true), Err(InvalidTxnState));
    assert_eq!(bench.end(producer, V2, false), Ok(at_epoch(producer, 1)));
    // Nothing to mark: it is complete at once.
    assert_eq!(bench.state(), Some(TransactionState::CompleteAbort));
}

#[test]
fn strangers_and_other_epochs_end_nothing() {
    for version in [V0, V2] {
        let (mut bench, producer, _) = in_state(version, TransactionState::Ongoing);
        let stranger = Identity { id: 5.into(), ..producer };
        assert_eq!(bench.end(stranger, version, true), Err(InvalidProducerIdMapping));
        let newer = at_epoch(producer, producer.epoch.0 + 1);
        assert_eq!(bench.end(newer, version, true), Err(ProducerFenced));
        assert_eq!(bench.state(), Some(TransactionState::Ongoing));
    }
}

#[test]
fn a_transaction_that_uses_up_the_epochs_ends_with_a_new_producer_id() {
    let mut bench = Bench::new();
    let mut producer = bench.init();
    let first = producer;
    while producer.epoch.0 < i16::MAX - 1 {
        producer = bench.end(producer, V2, false).unwrap();
    }
    bench.add(producer, V2, 0).unwrap();
    let next = bench.end(producer, V2, true).unwrap();
    assert_ne!(next.id, first.id);
    assert_eq!(next.epoch.0, 0);
    // The markers still carry the old id, with the one epoch that no client ever has.
    let written = bench.write_markers();
    assert_eq!(written[0].producer, at_epoch(first, i16::MAX));
    assert_eq!(bench.end(producer, V2, true), Ok(next), "the answer was lost");
    assert_eq!(bench.add(next, V2, 0), Ok(()));
}

#[test]
fn markers_name_every_partition_and_the_version_they_are_judged_by() {
    let mut bench = Bench::new();
    let producer = bench.init();
    for index in [3, 1, 3] {
        bench.add(producer, V2, index).unwrap();
    }
    bench.end(producer, V2, true).unwrap();
    let markers = bench.markers[0].clone();
    assert!(markers.commit);
    assert_eq!(markers.version, V2);
    assert_eq!(markers.producer, at_epoch(producer, 1));
    let indexes: Vec<i32> = markers.partitions.iter().map(|one| one.partition).collect();
    assert_eq!(indexes, [1, 3]);
}

#[test]
fn without_epoch_bumps_an_end_by_another_connection_is_heard_the_second_time() {
    for commit in [true, false] {
        let mut bench = Bench::new();
        let producer = bench.init();
        // The end of this transaction is held up on connection 1; the client repeats it by
        // connection 2 and begins the next one there.
        bench.add(producer, V0, 0).unwrap();
        bench.via = Some(ConnectionId(2));
        assert_eq!(bench.end(producer, V0, commit), Err(ConcurrentTransactions));
        bench.end(producer, V0, commit).unwrap();
        bench.write_markers();
        bench.add(producer, V0, 0).unwrap();
        // What was held up comes, from the old connection or by one of its own, and only once.
        for late in [1, 3] {
            bench.via = Some(ConnectionId(late));
            assert_eq!(bench.end(producer, V0, commit), Err(ConcurrentTransactions));
            assert_eq!(bench.state(), Some(TransactionState::Ongoing));
        }
        bench.via = Some(ConnectionId(2));
        bench.end(producer, V0, commit).unwrap();
    }
}

#[test]
fn with_epoch_bumps_the_epoch_tells_and_the_connection_says_nothing() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, V2, 0).unwrap();
    bench.via = Some(ConnectionId(2));
    bench.end(producer, V2, true).unwrap();
}
