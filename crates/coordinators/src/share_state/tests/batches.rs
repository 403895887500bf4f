//! Combined batches against a map of offsets.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::batches::{StateBatch, combine};
use super::bench::batch;

#[test]
fn what_was_delivered_more_often_holds() {
    let known = [batch(100, 109, 0, 1)];
    assert_eq!(
        combine(&known, &[batch(105, 112, 2, 2)], -1),
        [batch(100, 104, 0, 1), batch(105, 112, 2, 2)]
    );
    assert_eq!(
        combine(&known, &[batch(103, 105, 4, 1)], -1),
        [batch(100, 102, 0, 1), batch(103, 105, 4, 1), batch(106, 109, 0, 1)]
    );
    // A statement of fewer deliveries came late.
    assert_eq!(
        combine(&[batch(100, 109, 2, 3)], &[batch(100, 109, 0, 2)], -1),
        [batch(100, 109, 2, 3)]
    );
}

#[test]
fn neighbours_that_fared_alike_are_one_and_nothing_is_kept_before_the_start() {
    let batches = [batch(100, 109, 2, 1), batch(110, 119, 2, 1), batch(121, 130, 2, 1)];
    assert_eq!(combine(&batches, &[], -1), [batch(100, 119, 2, 1), batch(121, 130, 2, 1)]);
    assert_eq!(combine(&batches, &[], 105), [batch(105, 119, 2, 1), batch(121, 130, 2, 1)]);
    assert_eq!(combine(&batches, &[], 131), []);
}

#[test]
fn a_batch_that_ends_before_it_begins_counts_for_nothing() {
    assert_eq!(combine(&[], &[batch(5, 4, 2, 1), batch(7, 7, 2, 1)], -1), [batch(7, 7, 2, 1)]);
    let all = batch(i64::MIN, i64::MAX, 0, 1);
    assert_eq!(combine(&[all], &[], -1), [batch(-1, i64::MAX - 1, 0, 1)]);
}

fn some_batches() -> impl Strategy<Value = Vec<StateBatch>> {
    let one = (0..30_i64, 0..12_i64, prop_oneof![Just(0_i8), Just(2), Just(4)], 1..4_i16);
    prop::collection::vec(
        one.prop_map(|(first, len, state, count)| batch(first, first + len, state, count)),
        0..8,
    )
}

proptest! {
    #[test]
    fn every_offset_has_the_strongest_statement_about_it(
        known in some_batches(),
        new in some_batches(),
        start in -1..20_i64,
    ) {
        let mut map: BTreeMap<i64, (i16, i8)> = BTreeMap::new();
        for batch in known.iter().chain(&new) {
            for offset in batch.first_offset.max(start)..=batch.last_offset {
                let rank = (batch.delivery_count, batch.delivery_state);
                let entry = map.entry(offset).or_insert(rank);
                *entry = rank.max(*entry);
            }
        }
        let combined = combine(&known, &new, start);
        let mut said = BTreeMap::new();
        for batch in &combined {
            prop_assert!(batch.first_offset <= batch.last_offset);
            for offset in batch.first_offset..=batch.last_offset {
                let rank = (batch.delivery_count, batch.delivery_state);
                prop_assert_eq!(said.insert(offset, rank), None);
            }
        }
        prop_assert_eq!(said, map);
        let joinable = combined.windows(2).any(|pair| {
            pair[0].last_offset + 1 == pair[1].first_offset
                && (pair[0].delivery_count, pair[0].delivery_state)
                    == (pair[1].delivery_count, pair[1].delivery_state)
        });
        prop_assert!(!joinable);
    }
}
