//! What a log does when nothing goes wrong.

mod support;

use std::path::Path;
use std::sync::Arc;

use naru_log::{
    AppendError, Disk, Log, LogConfig, NewBatch, OpenOptions, Origin, OsDisk, ReadError, Reason,
};
use naru_model::{LeaderEpoch, Offset, Timestamp};
use naru_records::{BatchBuilder, BatchHeader, BatchOptions, TimestampType, batches};
use support::{
    EPOCH, NOW, append, batch, batch_at, idempotent, open, options, read_all, try_append,
};

fn disk() -> Arc<dyn Disk> {
    Arc::new(OsDisk)
}

fn small() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 100, ..LogConfig::default() }
}

fn filled(dir: &Path, config: &LogConfig, count: usize) -> Log {
    let (mut log, _) = open(&disk(), dir, config, true);
    for n in 0..count {
        append(&mut log, &batch(&[&format!("a{n}"), &format!("b{n}")]));
    }
    log
}

fn values(count: usize) -> Vec<(i64, String)> {
    let of = |n: usize| [(n * 2, format!("a{n}")), (n * 2 + 1, format!("b{n}"))];
    (0..count).flat_map(of).map(|(offset, value)| (offset as i64, value)).collect()
}

#[test]
fn what_is_appended_is_read_in_steps_of_any_size() {
    let temp = tempfile::tempdir().unwrap();
    let log = filled(temp.path(), &small(), 200);
    assert!(log.segment_count() > 5);
    for step in [1, 80, 100, 333, 5000, 1 << 20] {
        assert_eq!(read_all(&log.reader(), step), values(200), "step {step}");
    }
    assert_eq!(log.log_end(), Offset(400));
}

#[test]
fn a_clean_stop_needs_no_recovery_and_loses_nothing() {
    let temp = tempfile::tempdir().unwrap();
    for round in 1..4 {
        let (mut log, report) = open(&disk(), temp.path(), &small(), true);
        assert!(!report.mended(), "{report:?}");
        assert!(report.bytes_verified < 1500, "{report:?}");
        for n in (round - 1) * 50..round * 50 {
            append(&mut log, &batch(&[&format!("a{n}"), &format!("b{n}")]));
        }
        assert_eq!(read_all(&log.reader(), 300), values(round * 50));
        assert_eq!(log.close().unwrap(), Offset(round as i64 * 100));
    }
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    let temp = tempfile::tempdir().unwrap();
    let log = filled(temp.path(), &small(), 100);
    let size = log.reader().size();
    drop(log);
    let (log, report) = open(&disk(), temp.path(), &small(), false);
    assert_eq!(report.bytes_verified, size);
    assert_eq!(report.bytes_cut, 0);
    assert_eq!(read_all(&log.reader(), 300), values(100));
    assert_eq!(log.offsets().synced_end, Offset(0));
}

#[test]
fn recovery_begins_at_the_recovery_point() {
    let temp = tempfile::tempdir().unwrap();
    let mut log = filled(temp.path(), &LogConfig { segment_bytes: 1 << 20, ..small() }, 500);
    let plan = log.sync_plan().unwrap().unwrap();
    plan.execute().unwrap();
    log.mark_synced(&plan);
    assert_eq!(log.checkpoint().unwrap(), Offset(1000));
    for n in 500..600 {
        append(&mut log, &batch(&[&format!("a{n}"), &format!("b{n}")]));
    }
    drop(log);
    let options = OpenOptions { recovery_point: Some(Offset(1000)), ..options(&small(), false) };
    let (log, report) = Log::open(disk(), temp.path(), options, &|_| {}).unwrap();
    let per_batch = log.reader().size() / 600;
    assert!(report.bytes_verified < per_batch * 105, "{report:?}");
    assert_eq!(report.indexes_rebuilt, 0);
    assert_eq!(read_all(&log.reader(), 999), values(600));
    assert_eq!(log.offsets().synced_end, Offset(1000));
}

#[test]
fn reading_outside_says_where_the_log_is() {
    let temp = tempfile::tempdir().unwrap();
    let log = filled(temp.path(), &small(), 3);
    let reader = log.reader();
    for offset in [-1, 7, i64::MAX, i64::MIN] {
        let error = reader.read(Offset(offset), 100, true, Offset(6)).unwrap_err();
        assert!(matches!(error, ReadError::OutOfRange { start: Offset(0), end: Offset(6) }));
    }
    let at_end = reader.read(Offset(6), 100, true, Offset(6)).unwrap();
    assert_eq!((at_end.len, at_end.first), (0, Offset(6)));
}

#[test]
fn a_read_stops_at_its_bound_and_at_its_limit() {
    let temp = tempfile::tempdir().unwrap();
    for tail in [true, false] {
        let log = filled(&temp.path().join(tail.to_string()), &LogConfig::default(), 20);
        // Reopening forgets the recent batches, so that the index is used.
        let log = if tail {
            log
        } else {
            let dir = log.dir().to_path_buf();
            log.close().unwrap();
            open(&disk(), &dir, &LogConfig::default(), true).0
        };
        let reader = log.reader();
        let one = reader.read(Offset(0), 1, true, Offset(40)).unwrap();
        assert_eq!(one.len, one.first_batch_len);
        assert_eq!(reader.read(Offset(0), 1, false, Offset(40)).unwrap().len, 0);
        assert_eq!(reader.read(Offset(0), 1 << 20, true, Offset(4)).unwrap().len, one.len * 2);
        assert_eq!(reader.read(Offset(0), 1 << 20, true, Offset(0)).unwrap().len, 0);
        assert_eq!(reader.read(Offset(4), 1 << 20, true, Offset(2)).unwrap().len, 0);
        // A bound inside a batch leaves that batch out.
        assert_eq!(reader.read(Offset(0), 1 << 20, true, Offset(5)).unwrap().len, one.len * 2);
        // An offset inside a batch gives the whole batch.
        assert_eq!(reader.read(Offset(3), 1, true, Offset(40)).unwrap().first, Offset(2));
        let metadata = reader.offset_metadata(Offset(4)).unwrap();
        assert_eq!(metadata.position, one.len as u64 * 2);
        assert_eq!(reader.offset_metadata(Offset(40)).unwrap().position, reader.size());
    }
}

#[test]
fn several_batches_are_written_together_and_judged_one_by_one() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&disk(), temp.path(), &small(), true);
    let sent = [
        idempotent(7, 0, 0, &["a", "b"]),
        idempotent(7, 0, 5, &["lost before"]),
        idempotent(7, 0, 2, &["c"]),
        idempotent(7, 0, 0, &["a", "b"]),
        batch(&["d"]),
    ];
    let given: Vec<_> = sent.iter().map(|bytes| NewBatch::built(bytes).unwrap()).collect();
    let mut results = Vec::new();
    log.append_as_leader(&given, Origin::Client, EPOCH, NOW, &mut results);
    let got: Vec<_> = results
        .iter()
        .map(|result| match result {
            Ok(at) => (at.first_offset.0, at.last_offset.0, at.is_duplicate),
            Err(_) => (-1, -1, false),
        })
        .collect();
    assert_eq!(got, [(0, 1, false), (-1, -1, false), (2, 2, false), (0, 1, true), (3, 3, false)]);
    assert!(matches!(results[1], Err(AppendError::OutOfOrderSequence { .. })));
    let written: Vec<_> = read_all(&log.reader(), 1 << 20).into_iter().map(|r| r.1).collect();
    assert_eq!(written, ["a", "b", "c", "d"]);
}

/// A snapshot has the last batch of each producer. A client that repeats an earlier one, because
/// its answer was lost with the broker, would number its records anew and write them twice.
#[test]
fn whatever_a_client_may_repeat_is_known_after_a_stop_and_after_a_cut() {
    let temp = tempfile::tempdir().unwrap();
    // Each batch is a segment, and another producer writes in between.
    let config = LogConfig { segment_bytes: 100, ..small() };
    let (mut log, _) = open(&disk(), temp.path(), &config, true);
    for n in 0..8 {
        append(&mut log, &idempotent(9, 0, 2 * n, &["x", "y"]));
        append(&mut log, &idempotent(10, 0, n, &["other"]));
    }
    let repeats = |log: &mut Log, last: i32| {
        for n in last - 4..=last {
            let at = append(log, &idempotent(9, 0, 2 * n, &["x", "y"]));
            assert_eq!(at, Offset(3 * i64::from(n)), "batch {n} of {last}");
            let at = append(log, &idempotent(10, 0, n, &["other"]));
            assert_eq!(at, Offset(3 * i64::from(n) + 2), "batch {n} of {last}");
        }
        assert_eq!(log.offsets().end, Offset(3 * i64::from(last) + 3), "nothing was written");
    };
    repeats(&mut log, 7);
    log.close().unwrap();
    let mut log = open(&disk(), temp.path(), &config, true).0;
    repeats(&mut log, 7);
    log.truncate_to(Offset(18), NOW).unwrap();
    repeats(&mut log, 5);
    drop(log);
    let mut log = open(&disk(), temp.path(), &config, false).0;
    repeats(&mut log, 5);
    assert_eq!(append(&mut log, &idempotent(9, 0, 12, &["x", "y"])), Offset(18));
}

#[test]
fn producers_are_judged_as_kafka_does_and_remembered_across_restarts() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&disk(), temp.path(), &small(), true);
    assert_eq!(append(&mut log, &idempotent(9, 3, 77, &["any first sequence"])), Offset(0));
    for n in 0..6 {
        append(&mut log, &idempotent(9, 3, 78 + n, &["x"]));
    }
    for clean in [true, false] {
        // The last five are answered with their offsets, older ones are gaps.
        for n in 2..=6 {
            assert_eq!(append(&mut log, &idempotent(9, 3, 77 + n, &["x"])), Offset(i64::from(n)));
        }
        let old = try_append(&mut log, &idempotent(9, 3, 77, &["any first sequence"]));
        assert!(matches!(old, Err(AppendError::OutOfOrderSequence { .. })));
        let gap = try_append(&mut log, &idempotent(9, 3, 85, &["x"]));
        assert!(matches!(gap, Err(AppendError::OutOfOrderSequence { .. })));
        let fenced = try_append(&mut log, &idempotent(9, 2, 0, &["x"]));
        assert!(matches!(fenced, Err(AppendError::InvalidProducerEpoch { .. })));
        let new_epoch = try_append(&mut log, &idempotent(9, 4, 1, &["x"]));
        assert!(matches!(new_epoch, Err(AppendError::OutOfOrderSequence { .. })));
        if clean {
            log.close().unwrap();
        } else {
            drop(log);
        }
        log = open(&disk(), temp.path(), &small(), clean).0;
    }
    assert_eq!(append(&mut log, &idempotent(9, 4, 0, &["new epoch"])), Offset(7));
    assert_eq!(append(&mut log, &idempotent(9, 4, 1, &["next"])), Offset(8));
    log.expire_producers(Timestamp(NOW.0 + 86_400_000 - 1));
    assert_eq!(log.producer_count(), 1);
    log.expire_producers(Timestamp(NOW.0 + 86_400_000));
    assert_eq!(log.producer_count(), 0);
}

#[test]
fn log_append_time_is_written_into_the_batch() {
    let temp = tempfile::tempdir().unwrap();
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..small() };
    let (mut log, _) = open(&disk(), temp.path(), &config, true);
    let sent = batch_at(5, &["x", "y"]);
    let at = log.append_one(NewBatch::built(&sent).unwrap(), Origin::Client, EPOCH, NOW).unwrap();
    assert_eq!(at.log_append_time, Some(NOW));
    let stored = log.reader().read(Offset(0), 1000, true, Offset(2)).unwrap().read_bytes().unwrap();
    let (header, bytes) = batches(&stored).next().unwrap().unwrap();
    header.check_crc(bytes).unwrap();
    assert_eq!(
        (header.max_timestamp, header.timestamp_type()),
        (NOW, TimestampType::LogAppendTime)
    );
    assert_eq!(stored[naru_records::HEADER_LEN..], sent[naru_records::HEADER_LEN..]);
}

#[test]
fn records_are_stored_as_received() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&disk(), temp.path(), &small(), true);
    let sent = batch(&["x", "y"]);
    append(&mut log, &sent);
    log.append_one(NewBatch::built(&sent).unwrap(), Origin::Client, LeaderEpoch(5), NOW).unwrap();
    let stored = log.reader().read(Offset(2), 1000, true, Offset(4)).unwrap().read_bytes().unwrap();
    assert_eq!(stored[21..], sent[21..]);
    assert_eq!(stored[17..21], sent[17..21]);
    let header = BatchHeader::parse(&stored).unwrap();
    assert_eq!((header.base_offset, header.partition_leader_epoch), (Offset(2), LeaderEpoch(5)));
    let reader = log.reader();
    assert_eq!(reader.epoch_at(Offset(1)), Some(EPOCH));
    assert_eq!(reader.epoch_end(EPOCH).map(|e| e.end), Some(Offset(2)));
    assert_eq!(reader.epoch_end(LeaderEpoch(5)).map(|e| e.end), Some(Offset(4)));
    assert!(matches!(
        try_append(&mut log, &sent),
        Err(AppendError::EpochWentBack { request: EPOCH, .. })
    ));
}

#[test]
fn offsets_are_found_by_time() {
    let temp = tempfile::tempdir().unwrap();
    for reopen in [false, true] {
        let dir = temp.path().join(reopen.to_string());
        let (mut log, _) = open(&disk(), &dir, &small(), true);
        for n in 0..100 {
            append(&mut log, &batch_at(1000 + n * 10, &["x", "y", "z"]));
        }
        if reopen {
            log.close().unwrap();
            log = open(&disk(), &dir, &small(), true).0;
        }
        let reader = log.reader();
        let at = |time| reader.offset_at_time(Timestamp(time)).unwrap().map(|t| t.offset.0);
        assert_eq!(at(0), Some(0));
        assert_eq!(at(1000), Some(0));
        assert_eq!(at(1001), Some(1));
        assert_eq!(at(1003), Some(3));
        assert_eq!(at(1500), Some(150));
        assert_eq!(at(1992), Some(299));
        assert_eq!(at(1993), None);
        let greatest = reader.max_timestamp().unwrap().unwrap();
        assert_eq!((greatest.offset, greatest.timestamp), (Offset(299), Timestamp(1992)));
    }
}

#[test]
fn segments_roll_by_time_of_the_records() {
    let temp = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_ms: 100, ..LogConfig::default() };
    let (mut log, _) = open(&disk(), temp.path(), &config, true);
    append(&mut log, &batch_at(1000, &["a"]));
    append(&mut log, &batch_at(1100, &["a"]));
    assert_eq!(log.segment_count(), 1);
    append(&mut log, &batch_at(1101, &["a"]));
    assert_eq!(log.segment_count(), 2);
}

#[test]
fn index_entries_are_in_the_files_of_a_running_log_when_they_were_written_out() {
    let temp = tempfile::tempdir().unwrap();
    let mut log = filled(temp.path(), &LogConfig { segment_bytes: 1 << 20, ..small() }, 20);
    let entries = |kind: &str, size: u64| {
        let file = temp.path().join(format!("00000000000000000000.{kind}"));
        std::fs::metadata(file).map_or(0, |found| found.len()) / size
    };
    assert_eq!((entries("index", 8), entries("timeindex", 12)), (0, 0));
    log.write_pending_entries().unwrap();
    assert!(entries("index", 8) > 5, "{}", entries("index", 8));
    // All batches have the same time.
    assert_eq!(entries("timeindex", 12), 1);
    assert_eq!(read_all(&log.reader(), 80), values(20));
}

#[test]
fn the_time_index_of_a_running_log_has_an_entry_as_soon_as_there_is_a_record() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&disk(), temp.path(), &LogConfig::default(), true);
    let times = || std::fs::read(temp.path().join("00000000000000000000.timeindex")).unwrap();
    let entry =
        |time: i64, relative: u32| [&time.to_be_bytes()[..], &relative.to_be_bytes()[..]].concat();
    log.write_pending_entries().unwrap();
    assert!(times().is_empty());
    append(&mut log, &batch_at(1000, &["a", "b"]));
    append(&mut log, &batch_at(3000, &["c"]));
    log.write_pending_entries().unwrap();
    let first = entry(1001, 1);
    assert_eq!(times(), first);
    // What is cut off takes its entry along, and the next record has one again.
    log.truncate_to(Offset(0), NOW).unwrap();
    assert!(times().is_empty());
    append(&mut log, &batch_at(2000, &["a"]));
    append(&mut log, &batch_at(2500, &["b"]));
    log.write_pending_entries().unwrap();
    assert_eq!(times(), entry(2000, 0));
    log.close().unwrap();
    assert_eq!(times(), [entry(2000, 0), entry(2500, 1)].concat());
    // Also after a crash, which takes what is behind the last entry of the other index.
    let (log, _) = open(&disk(), temp.path(), &LogConfig::default(), false);
    let found = log.reader().offset_at_time(Timestamp(2200)).unwrap();
    assert_eq!(found.map(|found| found.offset), Some(Offset(1)));
    log.close().unwrap();
    assert_eq!(times(), [entry(2000, 0), entry(2500, 1)].concat());
}

#[test]
fn a_full_index_rolls_the_segment() {
    let temp = tempfile::tempdir().unwrap();
    let config = LogConfig { index_bytes_max: 80, index_interval_bytes: 1, ..LogConfig::default() };
    let (mut log, _) = open(&disk(), temp.path(), &config, true);
    for n in 0..30 {
        append(&mut log, &batch_at(n, &["a"]));
    }
    assert!(log.segment_count() > 2);
    assert_eq!(read_all(&log.reader(), 100).len(), 30);
}

#[test]
fn retention_deletes_and_readers_finish_what_they_hold() {
    let temp = tempfile::tempdir().unwrap();
    let config = LogConfig { retention_bytes: Some(3000), retention_ms: None, ..small() };
    let mut log = filled(temp.path(), &config, 200);
    let reader = log.reader();
    let held = reader.read(Offset(0), 500, true, Offset(400)).unwrap();
    assert!(log.delete_old_segments(Offset(0), NOW).unwrap().is_none());
    let deleted = log.delete_old_segments(Offset(400), NOW).unwrap().unwrap();
    assert_eq!(deleted.reason, Reason::Size);
    let start = deleted.log_start;
    assert!(reader.size() >= 3000 && reader.size() < 4100);
    deleted.remove().unwrap();
    assert!(!held.read_bytes().unwrap().is_empty());
    assert!(matches!(
        reader.read(Offset(0), 500, true, Offset(400)),
        Err(ReadError::OutOfRange { start: s, .. }) if s == start
    ));
    assert_eq!(read_all(&reader, 500), values(200)[usize::try_from(start.0).unwrap()..]);
    assert_eq!(reader.epoch_at(start), Some(EPOCH));
    // Everything is old: one empty segment remains, offsets go on.
    log.set_config(LogConfig { retention_ms: Some(0), ..config });
    log.delete_old_segments(Offset(400), Timestamp(NOW.0 + 10)).unwrap().unwrap().remove().unwrap();
    assert_eq!(
        (log.log_start(), log.log_end(), log.segment_count()),
        (Offset(400), Offset(400), 1)
    );
    assert_eq!(append(&mut log, &batch(&["on"])), Offset(400));
    log.close().unwrap();
    let (log, report) = open(&disk(), temp.path(), &small(), true);
    assert!(!report.mended());
    assert_eq!((log.log_start(), log.log_end()), (Offset(400), Offset(401)));
}

#[test]
fn deleted_records_stay_deleted_by_the_checkpoint() {
    let temp = tempfile::tempdir().unwrap();
    let mut log = filled(temp.path(), &small(), 20);
    assert_eq!(log.advance_log_start(Offset(7)).unwrap(), Offset(7));
    assert_eq!(log.advance_log_start(Offset(5)).unwrap(), Offset(7));
    assert_eq!(log.advance_log_start(Offset(99)).unwrap(), Offset(40));
    log.close().unwrap();
    let options = OpenOptions { log_start: Some(Offset(7)), ..options(&small(), true) };
    let (log, _) = Log::open(disk(), temp.path(), options, &|_| {}).unwrap();
    assert_eq!(log.log_start(), Offset(7));
    assert!(matches!(
        log.reader().read(Offset(6), 1, true, Offset(40)),
        Err(ReadError::OutOfRange { .. })
    ));
    assert_eq!(read_all(&log.reader(), 100).first().unwrap().0, 7);
}

#[test]
fn truncation_cuts_at_a_batch_and_producers_forget_what_was_cut() {
    let temp = tempfile::tempdir().unwrap();
    let (mut log, _) = open(&disk(), temp.path(), &small(), true);
    for n in 0..60 {
        append(&mut log, &idempotent(1, 0, n * 2, &[&format!("a{n}"), &format!("b{n}")]));
    }
    let reader = log.reader();
    assert_eq!(log.truncate_to(Offset(500), NOW).unwrap(), Offset(120));
    for to in [119, 90, 51, 3] {
        // Inside a batch the whole batch goes.
        let end = log.truncate_to(Offset(to), NOW).unwrap();
        assert_eq!(end.0, to - to % 2);
        assert_eq!(read_all(&reader, 333), values(60)[..usize::try_from(end.0).unwrap()]);
        assert_eq!(log.offsets().end, end);
        let next = i32::try_from(end.0).unwrap();
        let repeated = try_append(&mut log, &idempotent(1, 0, next + 2, &["gap"]));
        assert!(matches!(repeated, Err(AppendError::OutOfOrderSequence { .. })));
    }
    assert_eq!(append(&mut log, &idempotent(1, 0, 2, &["a1", "b1"])), Offset(2));
    log.truncate_fully_and_start_at(Offset(1000), NOW).unwrap();
    assert_eq!((log.log_start(), log.log_end()), (Offset(1000), Offset(1000)));
    assert_eq!(log.producer_count(), 0);
    assert_eq!(append(&mut log, &batch(&["x"])), Offset(1000));
    log.close().unwrap();
    let (log, _) = open(&disk(), temp.path(), &small(), true);
    assert_eq!((log.log_start(), log.log_end()), (Offset(1000), Offset(1001)));
}

#[test]
fn a_follower_gets_the_same_log_from_the_bytes_that_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let leader = filled(&temp.path().join("leader"), &small(), 120);
    let (mut follower, _) = open(&disk(), &temp.path().join("follower"), &small(), true);
    while follower.log_end() < leader.log_end() {
        let slice = leader.reader().read(follower.log_end(), 777, true, leader.log_end()).unwrap();
        follower.append_as_follower(&slice.read_bytes().unwrap(), NOW).unwrap();
    }
    assert_eq!(read_all(&follower.reader(), 100), values(120));
    assert_eq!(follower.latest_epoch(), Some(EPOCH));
    let again =
        leader.reader().read(Offset(0), 100, true, Offset(2)).unwrap().read_bytes().unwrap();
    assert!(matches!(
        follower.append_as_follower(&again, NOW),
        Err(AppendError::OffsetsOutOfOrder { .. })
    ));
    let mut damaged = batch(&["x"]);
    damaged[..8].copy_from_slice(&240i64.to_be_bytes());
    damaged[65] ^= 1;
    assert!(matches!(follower.append_as_follower(&damaged, NOW), Err(AppendError::Damaged { .. })));
    assert_eq!(follower.log_end(), Offset(240));
}

#[test]
fn syncing_is_planned_executed_and_noted() {
    let temp = tempfile::tempdir().unwrap();
    let mut log = filled(temp.path(), &small(), 100);
    assert_eq!(log.unsynced_records(), 200);
    let closed = log.sync_plan_closed().unwrap().unwrap();
    closed.execute().unwrap();
    log.mark_synced(&closed);
    assert!(log.offsets().synced_end > Offset(150));
    assert!(log.sync_plan_closed().unwrap().is_none());

    let plan = log.sync_plan().unwrap().unwrap();
    append(&mut log, &batch(&["later"]));
    plan.execute().unwrap();
    log.mark_synced(&plan);
    assert_eq!(log.offsets().synced_end, Offset(200));

    // A plan from before a truncation vouches for nothing.
    let plan = log.sync_plan().unwrap().unwrap();
    assert_eq!(plan.end(), Offset(201));
    log.truncate_to(Offset(100), NOW).unwrap();
    append(&mut log, &batch(&["other"]));
    plan.execute().unwrap();
    log.mark_synced(&plan);
    assert_eq!(log.offsets().synced_end, Offset(100));
    let plan = log.sync_plan().unwrap().unwrap();
    plan.execute().unwrap();
    log.mark_synced(&plan);
    assert_eq!(log.unsynced_records(), 0);
    assert!(log.sync_plan().unwrap().is_none());
}

#[test]
fn an_epoch_that_was_led_without_records_does_not_hinder_a_follower() {
    let disk: Arc<dyn Disk> = support::sim_disk::SimDisk::new();
    let (mut log, _) = open(&disk, Path::new("/d/t-0"), &LogConfig::default(), false);
    append(&mut log, &idempotent(7, 0, 0, &["a", "b"]));
    let gap = idempotent(7, 0, 9, &["x"]);
    let refused =
        log.append_one(NewBatch::built(&gap).unwrap(), Origin::Client, LeaderEpoch(2), NOW);
    assert!(matches!(refused, Err(AppendError::OutOfOrderSequence { .. })), "{refused:?}");

    // The leader of epoch 3 has more of epoch 1.
    let mut builder = BatchBuilder::new();
    builder.append_plain(NOW, None, Some(b"c"));
    let of_leader = builder
        .build(&BatchOptions {
            base_offset: Offset(2),
            leader_epoch: Some(LeaderEpoch(1)),
            ..BatchOptions::default()
        })
        .unwrap();
    assert_eq!(log.append_as_follower(&of_leader, NOW).unwrap().log_end, Offset(3));
    assert_eq!(log.reader().epoch_at(Offset(2)), Some(LeaderEpoch(1)));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(1)));
}
