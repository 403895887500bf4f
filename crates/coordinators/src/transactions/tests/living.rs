//! Partitions, verification, timeouts, expiry, reloads, inspection.

use naru_model::ErrorCode;
use naru_protocol::messages::list_transactions_request::ListTransactionsRequest;

use super::bench::*;
use crate::transactions::{
    TransactionConfig, TransactionState, TransactionVersion, TxnCommand, TxnReply,
};

const V0: TransactionVersion = TransactionVersion::V0;
const V2: TransactionVersion = TransactionVersion::V2;

fn verified(bench: &mut Bench, producer: crate::Identity, index: i32) -> ErrorCode {
    match bench.ask(TxnCommand::Verify(participants(producer, index))) {
        TxnReply::Verified(verified) => verified[0].1,
        TxnReply::Refused(error) => error,
        other => panic!("not to a verification: {other:?}"),
    }
}

#[test]
fn a_partition_is_verified_only_while_it_is_in_the_transaction() {
    let mut bench = Bench::new();
    let producer = bench.init();
    assert_eq!(verified(&mut bench, producer, 0), ErrorCode::TransactionAbortable);
    bench.add(producer, V0, 0).unwrap();
    assert_eq!(verified(&mut bench, producer, 0), ErrorCode::None);
    assert_eq!(verified(&mut bench, producer, 1), ErrorCode::TransactionAbortable);
    let old = at_epoch(producer, producer.epoch.0 - 1);
    assert_eq!(verified(&mut bench, old, 0), ErrorCode::ProducerFenced);
    bench.end(producer, V0, true).unwrap();
    assert_eq!(verified(&mut bench, producer, 0), ErrorCode::ConcurrentTransactions);
    bench.write_markers();
    assert_eq!(verified(&mut bench, producer, 0), ErrorCode::TransactionAbortable);
}

#[test]
fn what_is_there_already_is_added_without_a_record() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, V0, 0).unwrap();
    let records = bench.log.len();
    bench.add(producer, V0, 0).unwrap();
    assert_eq!(bench.log.len(), records);
}

#[test]
fn a_second_transition_has_to_wait_for_the_first() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.auto_commit = false;
    let participants = participants(producer, 0);
    let first = bench.send(TxnCommand::AddPartitions { participants, version: V2, via: None });
    assert_eq!(bench.end(producer, V2, true), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(bench.add(producer, V2, 1), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(bench.init_as(None, 60_000), Err(ErrorCode::ConcurrentTransactions));
    bench.settle_one(Ok(()));
    assert_eq!(bench.answers[&first], TxnReply::Added);
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    for version in [V0, V2] {
        let mut bench = Bench::with(TransactionConfig { version, ..Default::default() });
        let producer = bench.init();
        bench.add(producer, version, 0).unwrap();
        bench.advance(60_000);
        assert_eq!(bench.state(), Some(TransactionState::Ongoing));
        bench.advance(10_001);
        assert_eq!(bench.state(), Some(TransactionState::PrepareAbort));
        assert_eq!(bench.end(producer, version, true), Err(told_meanwhile(version)));
        let written = bench.write_markers();
        assert!(!written[0].commit && written[0].producer.epoch > producer.epoch);
        assert_eq!(bench.state(), Some(TransactionState::CompleteAbort));
        assert_eq!(bench.end(producer, version, true), Err(ErrorCode::ProducerFenced));
    }
}

#[test]
fn an_id_that_nobody_uses_is_forgotten_but_not_in_the_middle_of_a_transaction() {
    let week = TransactionConfig::default().id_expiration_ms;
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.advance(week - 3_600_000);
    assert_eq!(bench.state(), Some(TransactionState::Empty));
    bench.add(producer, V2, 0).unwrap();
    bench.end(producer, V2, true).unwrap();
    bench.advance(2 * week);
    assert_eq!(bench.state(), Some(TransactionState::PrepareCommit));
    bench.write_markers();
    bench.advance(week + 3_600_000);
    assert_eq!(bench.state(), None);
    assert_eq!(bench.log.last().unwrap().value, None);
    assert!(bench.replayed().settled().is_empty());
}

#[test]
fn a_decision_survives_the_coordinator() {
    for (commit, prepared, complete) in [
        (true, TransactionState::PrepareCommit, TransactionState::CompleteCommit),
        (false, TransactionState::PrepareAbort, TransactionState::CompleteAbort),
    ] {
        let mut bench = Bench::new();
        let producer = bench.init();
        bench.add(producer, V2, 0).unwrap();
        bench.end(producer, V2, commit).unwrap();
        let before = bench.markers.clone();
        bench.crash();
        assert_eq!(bench.state(), Some(prepared));
        assert_eq!(bench.markers, before);
        bench.write_markers();
        assert_eq!(bench.state(), Some(complete));
        bench.crash();
        assert!(bench.markers.is_empty());
    }
}

#[test]
fn no_marker_is_asked_for_before_the_decision_is_in_the_log() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, V2, 0).unwrap();
    bench.auto_commit = false;
    let command = TxnCommand::EndTxn {
        transactional_id: ID.to_owned(),
        producer,
        commit: true,
        version: V2,
        via: None,
        spare: None,
    };
    bench.send(command);
    assert!(bench.markers.is_empty());
    bench.settle_one(Err(ErrorCode::NotEnoughReplicas));
    assert!(bench.markers.is_empty());
    assert_eq!(bench.state(), Some(TransactionState::Ongoing));
}

#[test]
fn a_clock_that_is_set_neither_ends_a_transaction_nor_lets_it_live_on() {
    for by_ms in [-7_200_000, 7_200_000] {
        let mut bench = Bench::new();
        bench.now = naru_model::Timestamp(10_000_000);
        let producer = bench.init();
        bench.add(producer, V2, 0).unwrap();
        bench.advance(30_000);
        bench.set_clock(by_ms);
        bench.advance(20_000);
        assert_eq!(bench.state(), Some(TransactionState::Ongoing), "{by_ms}");
        bench.add(producer, V2, 1).unwrap();
        bench.advance(25_000);
        assert_eq!(bench.state(), Some(TransactionState::PrepareAbort), "{by_ms}");
        // The next one has its own time.
        bench.write_markers();
        let producer = bench.init();
        bench.add(producer, V2, 0).unwrap();
        bench.advance(55_000);
        assert_eq!(bench.state(), Some(TransactionState::Ongoing), "{by_ms}");
        bench.advance(20_000);
        assert_eq!(bench.state(), Some(TransactionState::PrepareAbort), "{by_ms}");
    }
}

#[test]
fn a_transaction_that_began_in_the_future_is_bounded_after_a_reload() {
    let mut bench = Bench::new();
    bench.now = naru_model::Timestamp(10_000_000);
    let producer = bench.init();
    bench.add(producer, V2, 0).unwrap();
    bench.now = naru_model::Timestamp(1_000_000);
    bench.crash();
    bench.advance(55_000);
    assert_eq!(bench.state(), Some(TransactionState::Ongoing));
    bench.advance(20_000);
    assert_eq!(bench.state(), Some(TransactionState::PrepareAbort));
}

#[test]
fn a_completion_that_cannot_be_written_is_tried_again() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, V2, 0).unwrap();
    bench.end(producer, V2, true).unwrap();
    bench.auto_commit = false;
    bench.write_markers();
    bench.settle_one(Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(bench.state(), Some(TransactionState::PrepareCommit));
    bench.advance(500);
    assert!(bench.settle_one(Ok(())));
    assert_eq!(bench.state(), Some(TransactionState::CompleteCommit));
}

#[test]
fn transactions_are_listed_by_state_producer_and_duration() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, V2, 0).unwrap();
    bench.advance(1_000);
    let mut count = |request: ListTransactionsRequest| match bench.ask(TxnCommand::List(request)) {
        TxnReply::Listed(listed) => listed.len(),
        other => panic!("not to a list: {other:?}"),
    };
    let all = ListTransactionsRequest { duration_filter: -1, ..Default::default() };
    assert_eq!(count(all.clone()), 1);
    let by_state = |name: &str| ListTransactionsRequest {
        state_filters: vec![name.to_owned()],
        ..all.clone()
    };
    assert_eq!(count(by_state("Ongoing")), 1);
    assert_eq!(count(by_state("Empty")), 0);
    let by_producer = |id| ListTransactionsRequest { producer_id_filters: vec![id], ..all.clone() };
    assert_eq!(count(by_producer(producer.id.0)), 1);
    assert_eq!(count(by_producer(1)), 0);
    let longer_than = |ms| ListTransactionsRequest { duration_filter: ms, ..all.clone() };
    assert_eq!(count(longer_than(999)), 1);
    assert_eq!(count(longer_than(1_000)), 0);
}

#[test]
fn a_transaction_is_described_and_an_unknown_one_is_not() {
    let mut bench = Bench::new();
    let producer = bench.init();
    bench.add(producer, V2, 4).unwrap();
    let described = match bench.ask(TxnCommand::Describe { transactional_id: ID.to_owned() }) {
        TxnReply::Described(described) => described,
        other => panic!("not to a description: {other:?}"),
    };
    assert_eq!(described.transaction_state, "Ongoing");
    assert_eq!(described.transaction_start_time_ms, bench.now.0);
    assert_eq!(described.topics[0].partitions, [4]);
    let refused = |id: &str, bench: &mut Bench| {
        bench.ask(TxnCommand::Describe { transactional_id: id.to_owned() })
    };
    let not_found = TxnReply::Refused(ErrorCode::TransactionalIdNotFound);
    assert_eq!(refused("other", &mut bench), not_found);
    assert_eq!(refused("", &mut bench), TxnReply::Refused(ErrorCode::InvalidRequest));
}

#[test]
fn who_waits_is_told_when_the_partition_moves_away() {
    let mut bench = Bench::new();
    bench.auto_commit = false;
    let request = init_request(None, 60_000);
    let spare = Some(bench.spare());
    bench.send(TxnCommand::InitProducerId { request, spare });
    bench.give_up();
}
