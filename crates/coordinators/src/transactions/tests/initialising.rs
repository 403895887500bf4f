//! InitProducerId: epochs, fencing, recovery (KIP-360), used-up epochs.

use naru_model::ErrorCode;

use super::bench::*;
use crate::transactions::{TransactionState, TransactionVersion};

const V0: TransactionVersion = TransactionVersion::V0;
const V2: TransactionVersion = TransactionVersion::V2;

#[test]
fn each_start_of_a_producer_raises_the_epoch() {
    let mut bench = Bench::new();
    let first = bench.init();
    assert_eq!((first.id.0, first.epoch.0), (1_001, 0));
    assert_eq!(bench.init(), at_epoch(first, 1));
    bench.crash();
    assert_eq!(bench.init(), at_epoch(first, 2));
}

#[test]
fn a_timeout_must_be_positive_and_not_above_the_brokers() {
    let mut bench = Bench::new();
    for timeout in [0, -1, 900_001] {
        let refused = bench.init_as(None, timeout);
        assert_eq!(refused, Err(ErrorCode::InvalidTransactionTimeout));
    }
    assert!(bench.init_as(None, 900_000).is_ok());
}

#[test]
fn a_producer_that_comes_back_with_its_epoch_gets_the_next_and_a_repetition_the_same() {
    let mut bench = Bench::new();
    let first = bench.init();
    let second = bench.init_as(Some(first), 60_000).unwrap();
    assert_eq!(second, at_epoch(first, 1));
    assert_eq!(bench.init_as(Some(first), 60_000), Ok(second));
    assert_eq!(bench.init_as(Some(second), 60_000), Ok(at_epoch(first, 2)));
    assert_eq!(bench.init_as(Some(first), 60_000), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_producer_that_was_replaced_cannot_come_back() {
    let mut bench = Bench::new();
    let first = bench.init();
    bench.init();
    assert_eq!(bench.init_as(Some(first), 60_000), Err(ErrorCode::ProducerFenced));
    let stranger = crate::Identity { id: 7.into(), ..first };
    assert_eq!(bench.init_as(Some(stranger), 60_000), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_new_producer_aborts_what_the_old_one_left_open() {
    for (version, bump) in [(V0, 1), (V2, 2)] {
        let mut bench = Bench::with(crate::TransactionConfig { version, ..Default::default() });
        let old = bench.init();
        bench.add(old, version, 0).unwrap();
        assert_eq!(bench.init_as(None, 60_000), Err(ErrorCode::ConcurrentTransactions));
        assert_eq!(bench.state(), Some(TransactionState::PrepareAbort));
        // Until the markers are written the new one has to wait, and the old one is out.
        assert_eq!(bench.init_as(None, 60_000), Err(ErrorCode::ConcurrentTransactions));
        assert_eq!(bench.add(old, version, 1), Err(ErrorCode::ProducerFenced));
        assert_eq!(bench.end(old, version, true), Err(told_meanwhile(version)));
        let written = bench.write_markers();
        assert!(!written[0].commit);
        assert_eq!(written[0].producer, at_epoch(old, old.epoch.0 + bump));
        assert_eq!(bench.init(), at_epoch(old, old.epoch.0 + bump + 1));
        assert_eq!(bench.end(old, version, true), Err(ErrorCode::ProducerFenced));
    }
}

#[test]
fn used_up_epochs_lead_to_a_new_producer_id() {
    let mut bench = Bench::new();
    let first = bench.init();
    for _ in 0..i16::MAX - 1 {
        bench.init();
    }
    let next = bench.init();
    assert_ne!(next.id, first.id);
    assert_eq!(next.epoch.0, 0);
    // One that lost the answer is told the same by its former identity.
    let last = at_epoch(first, i16::MAX - 1);
    assert_eq!(bench.init_as(Some(last), 60_000), Err(ErrorCode::ProducerFenced));
    let mut bench = Bench::new();
    let first = bench.init();
    for _ in 0..i16::MAX - 1 {
        bench.init();
    }
    let last = at_epoch(first, i16::MAX - 1);
    let next = bench.init_as(Some(last), 60_000).unwrap();
    assert_eq!(bench.init_as(Some(last), 60_000), Ok(next));
}

#[test]
fn a_failed_append_leaves_no_trace() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    let request = init_request(None, 60_000);
    let spare = Some(bench.spare());
    let token = bench.send(crate::TxnCommand::InitProducerId { request, spare });
    bench.settle_one(Err(ErrorCode::NotEnoughReplicas));
    let refused = crate::TxnReply::Refused(ErrorCode::CoordinatorNotAvailable);
    assert_eq!(bench.answers[&token], refused);
    assert_eq!(bench.state(), None);
}
