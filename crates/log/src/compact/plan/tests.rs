use super::*;

const NOW: i64 = 1_000_000;

/// Segments by base, size and age of their records.
fn segments(of: &[(i64, u64, i64)]) -> Vec<SegmentView> {
    let view = |&(base, size, age): &(i64, u64, i64)| SegmentView {
        base: Offset(base),
        size,
        offset_index: 8,
        time_index: 12,
        first_time: (size > 0).then_some(Timestamp(NOW - age)),
        latest: Timestamp(NOW - age),
    };
    of.iter().map(view).collect()
}

const ALL: Bounds = Bounds {
    log_start: Offset(0),
    log_end: Offset(100),
    stable_end: Offset(100),
    cleaned_upto: None,
    min_lag_ms: 0,
    max_lag_ms: i64::MAX,
    now: Timestamp(NOW),
};

const FOUR: [(i64, u64, i64); 4] = [(0, 10, 900), (30, 20, 600), (60, 30, 300), (90, 5, 0)];

/// First dirty, first uncleanable, clean and dirty bytes.
fn check(of: &[(i64, u64, i64)], bounds: Bounds, expect: (i64, i64, u64, u64)) {
    let got = extent(&segments(of), &bounds);
    let (dirty, uncleanable) = (got.first_dirty.0, got.first_uncleanable.0);
    assert_eq!((dirty, uncleanable, got.clean_bytes, got.dirty_bytes), expect, "{bounds:?}");
    let all: u64 = of.iter().map(|segment| segment.1).sum();
    assert!(got.waiting_bytes <= all);
}

#[test]
fn the_active_segment_is_never_compacted() {
    check(&FOUR, ALL, (0, 90, 0, 60));
    check(&FOUR[3..], ALL, (0, 90, 0, 0));
    check(&[(0, 50, 0)], ALL, (0, 0, 0, 0));
}

#[test]
fn compaction_goes_on_where_it_ended() {
    let from = |upto| Bounds { cleaned_upto: Some(Offset(upto)), ..ALL };
    check(&FOUR, from(60), (60, 90, 30, 30));
    check(&FOUR, from(90), (90, 90, 60, 0));
    check(&FOUR, from(40), (40, 90, 30, 50));
    check(&FOUR, from(101), (0, 90, 0, 60));
    check(&FOUR, Bounds { log_start: Offset(35), ..from(20) }, (35, 90, 30, 50));
}

#[test]
fn nothing_that_may_still_be_undone_is_touched() {
    let stable = |end| Bounds { stable_end: Offset(end), ..ALL };
    check(&FOUR, stable(75), (0, 60, 0, 30));
    check(&FOUR, stable(60), (0, 60, 0, 30));
    check(&FOUR, stable(59), (0, 30, 0, 10));
    check(&FOUR, stable(90), (0, 90, 0, 60));
    check(&FOUR, stable(5), (0, 0, 0, 0));
    let cleaned = Bounds { cleaned_upto: Some(Offset(60)), ..stable(40) };
    check(&FOUR, cleaned, (60, 60, 30, 0));
}

#[test]
fn young_segments_wait() {
    let lag = |min_lag_ms| Bounds { min_lag_ms, ..ALL };
    check(&FOUR, lag(100), (0, 90, 0, 60));
    check(&FOUR, lag(301), (0, 60, 0, 30));
    check(&FOUR, lag(300), (0, 90, 0, 60));
    check(&FOUR, lag(10_000), (0, 0, 0, 0));
}

#[test]
fn it_is_due_when_enough_is_dirty_or_something_is_too_old() {
    let at = |upto, max_lag_ms| {
        extent(&segments(&FOUR), &Bounds { cleaned_upto: Some(Offset(upto)), max_lag_ms, ..ALL })
    };
    let half = at(60, i64::MAX);
    assert_eq!((half.dirty_ratio(), half.overdue_ms), (0.5, 0));
    assert!(half.is_due(0.4) && !half.is_due(0.5));
    let old = at(60, 250);
    assert_eq!(old.overdue_ms, 50);
    assert!(old.is_due(0.9));
    let nothing = at(90, 250);
    assert_eq!((nothing.dirty_ratio(), nothing.overdue_ms), (0.0, 0));
    assert!(!nothing.is_due(0.0));
}

#[test]
fn small_neighbours_become_one() {
    let check = |max_bytes, max_index, lens: &[usize]| {
        let groups = group(&segments(&FOUR[..3]), max_bytes, max_index, Offset(90));
        assert_eq!(groups.iter().map(Range::len).collect::<Vec<_>>(), lens);
        assert!(groups.windows(2).all(|pair| pair[0].end == pair[1].start));
    };
    check(60, 100, &[3]);
    check(59, 100, &[2, 1]);
    check(5, 100, &[1, 1, 1]);
    check(60, 24, &[2, 1]);
    assert!(group(&[], 10, 10, Offset(0)).is_empty());
}

#[test]
fn a_segment_reaches_no_further_than_its_index_can_tell() {
    let far = i64::from(i32::MAX);
    let of = segments(&[(0, 1, 0), (10, 1, 0), (20, 1, 0)]);
    assert_eq!(group(&of, 100, 100, Offset(far + 1)).len(), 1);
    assert_eq!(group(&of, 100, 100, Offset(far + 2)), [0..2, 2..3]);
    let empty = segments(&[(0, 1, 0), (10, 0, 0), (far + 20, 1, 0)]);
    assert_eq!(group(&empty, 100, 100, Offset(far + 30)), [0..2, 2..3]);
}
