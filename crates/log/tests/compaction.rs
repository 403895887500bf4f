//! Compaction against a map, through crashes, with transactions, and beside readers.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::hash::RandomState;
use std::path::PathBuf;
use std::sync::Arc;

use naru_log::{
    CompactionError, Disk, Log, LogConfig, NewBatch, OffsetMap, OpenOptions, Origin, Step,
};
use naru_model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use naru_records::{
    BatchBuilder, BatchHeader, BatchOptions, Compression, EndTxnMarker, ProducerStamp, batches,
    read_records,
};
use proptest::prelude::*;
use support::sim_disk::{Fault, SimDisk};
use support::{EPOCH, NOW, open, options};

type Row = (i64, u8, Option<String>);

fn dir() -> PathBuf {
    PathBuf::from("/data/t-0")
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 600,
        index_interval_bytes: 100,
        compact: true,
        delete: false,
        delete_retention_ms: 1000,
        ..LogConfig::default()
    }
}

fn as_disk(disk: &Arc<SimDisk>) -> Arc<dyn Disk> {
    Arc::clone(disk) as Arc<dyn Disk>
}

fn map(bytes: usize) -> OffsetMap {
    OffsetMap::new(bytes, 0.9, [RandomState::new(), RandomState::new()])
}

fn keyed(rows: &[(u8, Option<String>)], options: &BatchOptions) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for (key, value) in rows {
        builder.append_plain(NOW, Some(&[*key]), value.as_ref().map(String::as_bytes));
    }
    builder.build(options).unwrap()
}

fn stamp(id: i64, sequence: i32) -> ProducerStamp {
    ProducerStamp { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence: Sequence(sequence) }
}

fn append(log: &mut Log, bytes: &[u8], origin: Origin) -> naru_log::Appended {
    log.append_one(NewBatch::built(bytes).unwrap(), origin, EPOCH, NOW).unwrap()
}

fn put(log: &mut Log, key: u8, value: &str) -> i64 {
    let bytes = keyed(&[(key, Some(value.to_owned()))], &BatchOptions::default());
    append(log, &bytes, Origin::Client).first_offset.0
}

/// One record of a producer's transaction.
fn in_transaction(id: i64, sequence: i32, key: u8, value: Option<String>) -> Vec<u8> {
    let producer = Some(stamp(id, sequence));
    keyed(&[(key, value)], &BatchOptions { producer, transactional: true, ..Default::default() })
}

/// The end of a producer's transaction.
fn marker(id: i64, marker: EndTxnMarker) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append_plain(NOW, Some(&marker.key()), Some(&marker.value()));
    let options = BatchOptions {
        producer: Some(stamp(id, -1)),
        transactional: true,
        control: true,
        ..Default::default()
    };
    builder.build(&options).unwrap()
}

/// Values of a few keys in turn.
fn fill(log: &mut Log, count: u8, keys: u8) {
    (0..count).for_each(|n| assert_eq!(put(log, n % keys, &format!("v{n}")), i64::from(n)));
}

/// A whole round; how far it came.
fn compact(log: &mut Log, map: &mut OffsetMap, now: Timestamp) -> Result<Offset, CompactionError> {
    let extent = log.reader().compactable(log.config(), log.log_end(), now)?;
    let mut round = log.begin_compaction(extent, map, now);
    let mut go = |_: Step| true;
    round.fill_map(&mut go)?;
    while let Some(cleaned) = round.clean_next(&mut go)? {
        let replaced = log.put_cleaned(cleaned)?;
        replaced.sync()?;
        replaced.deleted.remove()?;
    }
    let end = round.end();
    log.set_cleaned_upto(end);
    Ok(end)
}

fn headers(log: &Log) -> Vec<BatchHeader> {
    let reader = log.reader();
    let (mut next, mut all) = (reader.log_start(), Vec::new());
    loop {
        let slice = reader.read(next, 1 << 20, true, reader.log_end()).unwrap();
        if slice.len == 0 {
            return all;
        }
        for item in batches(&slice.read_bytes().unwrap()) {
            let (header, batch) = item.unwrap();
            header.check_crc(batch).unwrap();
            next = header.next_offset();
            all.push(header);
        }
    }
}

fn rows(log: &Log) -> Vec<Row> {
    let reader = log.reader();
    let (mut next, mut rows) = (reader.log_start(), Vec::new());
    loop {
        let slice = reader.read(next, 300, true, reader.log_end()).unwrap();
        if slice.len == 0 {
            return rows;
        }
        let bytes = slice.read_bytes().unwrap();
        for item in batches(&bytes) {
            let (header, batch) = item.unwrap();
            next = header.next_offset();
            let batch = bytes::Bytes::copy_from_slice(batch);
            for record in read_records(&batch, 1 << 20).unwrap().filter(|_| !header.is_control()) {
                let record = record.unwrap();
                let value = record.value.map(|v| String::from_utf8(v.to_vec()).unwrap());
                rows.push((record.offset.0, record.key.unwrap()[0], value));
            }
        }
    }
}

/// What is left of `all` when everything before `end` was compacted.
fn last_of_keys(all: &[Row], end: i64) -> Vec<Row> {
    let mut seen = HashSet::new();
    let below = all.iter().rev().filter(|row| row.0 < end && seen.insert(row.1));
    let mut left: Vec<Row> = below.cloned().collect();
    left.reverse();
    left.extend(all.iter().filter(|row| row.0 >= end).cloned());
    left
}

#[test]
fn the_last_value_of_every_key_stays() {
    let (mut log, _) = open(&as_disk(&SimDisk::new()), &dir(), &config(), true);
    fill(&mut log, 100, 7);
    let all = rows(&log);
    let before = log.segment_count();
    let end = compact(&mut log, &mut map(1 << 16), NOW).unwrap();
    assert!(end.0 > 90 && end < log.log_end());
    assert_eq!(rows(&log), last_of_keys(&all, end.0));
    assert_eq!(log.reader().cleaned_upto(), Some(end));
    let again = log.reader().compactable(log.config(), log.log_end(), NOW).unwrap();
    assert_eq!((again.dirty_bytes, again.first_dirty), (0, end));
    assert_eq!(log.segment_count(), before);
    put(&mut log, 1, "one more");
    log.roll_now(NOW).unwrap();
    compact(&mut log, &mut map(1 << 16), NOW).unwrap();
    assert!(log.segment_count() < before / 3, "what has become small becomes one");
}

#[test]
fn a_small_map_takes_several_rounds() {
    let (mut log, _) = open(&as_disk(&SimDisk::new()), &dir(), &config(), true);
    fill(&mut log, 200, 50);
    let all = rows(&log);
    let mut map = map(24 * 12);
    let (mut end, mut rounds) = (Offset(0), 0);
    let uncleanable =
        log.reader().compactable(log.config(), log.log_end(), NOW).unwrap().first_uncleanable;
    while end < uncleanable {
        let next = compact(&mut log, &mut map, NOW).unwrap();
        assert!(next > end, "each round comes further");
        (end, rounds) = (next, rounds + 1);
    }
    assert!(rounds > 5, "{rounds}");
    assert_eq!(rows(&log), last_of_keys(&all, end.0));
}

#[test]
fn tombstones_stay_until_their_horizon() {
    let (mut log, _) = open(&as_disk(&SimDisk::new()), &dir(), &config(), true);
    put(&mut log, 1, "old");
    append(&mut log, &keyed(&[(1, None)], &BatchOptions::default()), Origin::Client);
    put(&mut log, 2, "kept");
    log.roll_now(NOW).unwrap();
    let at = |ms: i64| Timestamp(NOW.0 + ms);
    compact(&mut log, &mut map(1 << 10), at(0)).unwrap();
    let kept = (2, 2, Some("kept".to_owned()));
    assert_eq!(rows(&log), [(1, 1, None), kept.clone()]);
    assert_eq!(headers(&log)[0].delete_horizon(), Some(at(1000)));

    let round = |log: &mut Log, now| {
        put(log, 9, "x");
        log.roll_now(NOW).unwrap();
        compact(log, &mut map(1 << 10), now).unwrap();
        rows(log)
    };
    assert_eq!(round(&mut log, at(999))[..2], [(1, 1, None), kept.clone()]);
    assert_eq!(round(&mut log, at(1000))[0], kept, "the horizon is over");
}

#[test]
fn the_last_batch_of_a_producer_stays_for_its_sequence() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    let one = |key, sequence| {
        let options = BatchOptions { producer: Some(stamp(5, sequence)), ..Default::default() };
        keyed(&[(key, Some("a".to_owned())), (key, Some("b".to_owned()))], &options)
    };
    append(&mut log, &one(1, 0), Origin::Client);
    append(&mut log, &one(1, 2), Origin::Client);
    put(&mut log, 1, "newer");
    log.roll_now(NOW).unwrap();
    compact(&mut log, &mut map(1 << 10), NOW).unwrap();
    let left = headers(&log);
    assert_eq!(
        left.iter().map(|h| (h.base_offset.0, h.record_count)).collect::<Vec<_>>(),
        [(2, 0), (4, 1)]
    );

    for clean in [true, false] {
        let copy = disk.after_kill();
        for path in copy.paths().iter().filter(|p| p.extension().is_some_and(|e| e == "snapshot")) {
            copy.remove_file(path).unwrap();
        }
        let (mut log, _) = open(&as_disk(&copy), &dir(), &config(), clean);
        let again = append(&mut log, &one(1, 2), Origin::Client);
        assert!(again.is_duplicate && again.first_offset.0 == 2, "{again:?}");
        assert!(!append(&mut log, &one(1, 4), Origin::Client).is_duplicate);
    }
}

#[test]
fn records_of_aborted_transactions_go_and_markers_follow() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    let data = |id, sequence, key| in_transaction(id, sequence, key, Some(format!("of {id}")));
    let (commit, abort) = (
        EndTxnMarker::Commit { coordinator_epoch: 0 },
        EndTxnMarker::Abort { coordinator_epoch: 0 },
    );
    let at = |ms: i64| Timestamp(NOW.0 + ms);
    append(&mut log, &data(1, 0, 10), Origin::Client);
    append(&mut log, &data(2, 0, 11), Origin::Client);
    append(&mut log, &data(1, 1, 12), Origin::Client);
    append(&mut log, &marker(1, abort), Origin::Coordinator);
    append(&mut log, &marker(2, commit), Origin::Coordinator);
    // An open transaction bounds what is compacted.
    append(&mut log, &data(3, 0, 11), Origin::Client);
    log.roll_now(NOW).unwrap();
    append(&mut log, &data(2, 1, 13), Origin::Client);
    log.roll_now(NOW).unwrap();
    assert_eq!(compact(&mut log, &mut map(1 << 10), NOW).unwrap(), Offset(0));
    assert_eq!(rows(&log).len(), 5);

    append(&mut log, &marker(3, abort), Origin::Coordinator);
    append(&mut log, &marker(2, commit), Origin::Coordinator);
    put(&mut log, 20, "last");
    log.roll_now(NOW).unwrap();
    compact(&mut log, &mut map(1 << 10), NOW).unwrap();
    let kept: Vec<_> = rows(&log).into_iter().map(|row| (row.0, row.1)).collect();
    assert_eq!(kept, [(1, 11), (6, 13), (9, 20)], "what was aborted is gone");
    // Producers 1 and 3 have their last batches still, and so their markers.
    let markers = |log: &Log| headers(log).iter().filter(|h| h.is_control()).count();
    assert_eq!(markers(&log), 4);

    // When the producers are forgotten, their batches go, then their markers.
    log.expire_producers(at(1 << 40));
    for round in 0..4 {
        put(&mut log, 30, "more");
        log.roll_now(NOW).unwrap();
        compact(&mut log, &mut map(1 << 10), at(2000 * (round + 1))).unwrap();
    }
    let of = |id: i64| headers(&log).iter().filter(|h| h.producer_id.0 == id).count();
    assert_eq!((of(1), of(3)), (0, 0));
    let told =
        disk.paths().into_iter().filter(|path| path.extension().is_some_and(|e| e == "txnindex"));
    assert_eq!(told.count(), 0, "nobody need be told of what is not there");
    assert_eq!((of(2), markers(&log)), (4, 2), "committed records are there, and so their markers");
}

#[test]
fn a_key_deleted_after_its_producer_aborted_stays_deleted() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    let (commit, abort) = (
        EndTxnMarker::Commit { coordinator_epoch: 0 },
        EndTxnMarker::Abort { coordinator_epoch: 0 },
    );
    put(&mut log, 10, "value");
    append(&mut log, &in_transaction(1, 0, 11, Some("aborted".to_owned())), Origin::Client);
    append(&mut log, &marker(1, abort), Origin::Coordinator);
    log.roll_now(NOW).unwrap();
    compact(&mut log, &mut map(1 << 10), NOW).unwrap();

    append(&mut log, &in_transaction(1, 1, 10, None), Origin::Client);
    append(&mut log, &marker(1, commit), Origin::Coordinator);
    for round in 0..4 {
        put(&mut log, 30, "more");
        log.roll_now(NOW).unwrap();
        let now = Timestamp(NOW.0 + (1 << 40) * round);
        compact(&mut log, &mut map(1 << 10), now).unwrap();
    }
    let of_the_key: Vec<_> = rows(&log).into_iter().filter(|row| row.1 == 10).collect();
    assert!(of_the_key.iter().all(|row| row.2.is_none()), "{of_the_key:?}");
}

#[test]
fn damage_ends_a_round_and_changes_nothing() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 60, 3);
    let second = disk.paths().into_iter().filter(|p| p.extension().is_some_and(|e| e == "log"));
    let second = second.collect::<Vec<_>>()[1].clone();
    disk.tamper(&second, |bytes| bytes[80] ^= 4);
    let before = disk.paths();
    let error = compact(&mut log, &mut map(1 << 10), NOW).unwrap_err();
    assert!(matches!(&error, CompactionError::Damaged { path, .. } if *path == second), "{error}");
    assert_eq!(disk.paths(), before);
}

#[test]
fn a_log_that_was_cut_meanwhile_is_left_alone() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 60, 3);
    let mut map = map(1 << 10);
    let extent = log.reader().compactable(log.config(), log.log_end(), NOW).unwrap();
    let mut round = log.begin_compaction(extent, &mut map, NOW);
    let mut go = |_: Step| true;
    round.fill_map(&mut go).unwrap();
    let cleaned = round.clean_next(&mut go).unwrap().unwrap();
    log.truncate_to(Offset(20), NOW).unwrap();
    (20..40).for_each(|n| assert!(put(&mut log, n % 3, &format!("w{n}")) >= 20));
    let left = rows(&log);
    assert!(matches!(log.put_cleaned(cleaned), Err(CompactionError::Overtaken)));
    assert_eq!(rows(&log), left);
    assert!(disk.paths().iter().all(|path| !path.to_string_lossy().contains(".cleaned")));
}

#[test]
fn who_reads_an_old_segment_reads_on() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 60, 3);
    let slice = log.reader().read(Offset(3), 200, true, log.log_end()).unwrap();
    let before = slice.read_bytes().unwrap();
    compact(&mut log, &mut map(1 << 10), NOW).unwrap();
    assert_eq!(slice.read_bytes().unwrap(), before);
    let after = log.reader().read(Offset(3), 200, true, log.log_end()).unwrap();
    assert!(after.first > Offset(40), "the old records are gone: {after:?}");
}

#[test]
fn gaps_are_no_damage_when_the_policy_is_delete_again() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 100, 3);
    compact(&mut log, &mut map(1 << 10), NOW).unwrap();
    let left = rows(&log);
    let plain = LogConfig { compact: false, ..config() };
    log.set_config(plain.clone());
    let mut scrub = naru_log::Scrub::new(log.reader());
    for _ in 0..50 {
        assert_eq!(scrub.step(1 << 16).unwrap().damage, None);
    }
    for clean in [false, true] {
        let (log, report) = open(&as_disk(&disk.after_kill()), &dir(), &plain, clean);
        assert_eq!((rows(&log), report.bytes_cut, report.damages), (left.clone(), 0, 0));
    }
}

/// The last value of each key, and everything from `end` on, is there; nothing is there that was
/// not appended.
fn check(left: &[Row], all: &[Row], end: i64) {
    let known: HashSet<&Row> = all.iter().collect();
    assert!(left.iter().all(|row| known.contains(row)), "{left:?}");
    assert!(left.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let there: HashSet<&Row> = left.iter().collect();
    for row in last_of_keys(all, end) {
        assert!(there.contains(&row), "{row:?} is lost");
    }
}

#[test]
fn a_crash_at_any_step_loses_nothing() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 60, 5);
    let all = rows(&log);
    let plan = log.sync_plan().unwrap().unwrap();
    plan.execute().unwrap();
    log.mark_synced(&plan);
    log.checkpoint().unwrap();
    drop(log);
    disk.settle();
    let end = 60;
    let open_synced = |disk: &Arc<SimDisk>, clean| {
        let recovery_point = Some(Offset(end));
        let options = OpenOptions { recovery_point, ..options(&config(), clean) };
        Log::open(as_disk(disk), &dir(), options, &|_| {}).unwrap().0
    };
    let mut step = 0;
    loop {
        let running = disk.after_kill();
        running.settle();
        let mut log = open_synced(&running, true);
        step += 1;
        running.fail_at(step, Fault::Io);
        let done = compact(&mut log, &mut map(1 << 10), NOW);
        running.heal();
        if log.failure().is_none() {
            check(&rows(&log), &all, end);
        }
        for seed in 0..8u64 {
            let mut state = seed * 7919 + step;
            let survived = if seed == 0 {
                running.after_kill()
            } else {
                running.after_power_cut(|n| {
                    state =
                        state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 33) % n
                })
            };
            let mut log = open_synced(&survived, false);
            check(&rows(&log), &all, end);
            assert_eq!(log.log_end(), Offset(end));
            let unfinished = |path: &PathBuf| {
                let name = path.to_string_lossy().into_owned();
                [".swap", ".cleaned", ".deleted"].iter().any(|suffix| name.ends_with(suffix))
            };
            assert!(!survived.paths().iter().any(unfinished), "{:?}", survived.paths());
            // It can be compacted, and written to.
            compact(&mut log, &mut map(1 << 10), NOW).unwrap();
            check(&rows(&log), &all, end);
            assert_eq!(put(&mut log, 9, "new"), end);
        }
        if done.is_ok() {
            assert!(step > 20, "only {step} steps");
            return;
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Append { rows: Vec<(u8, bool)>, codec: u8, producer: Option<i64> },
    Roll,
    Compact { map_keys: usize, later_ms: i64 },
    Kill,
    PowerCut { seed: u64 },
    Stop,
    AdvanceStart { percent: i64 },
}

fn op() -> impl Strategy<Value = Op> {
    let rows = proptest::collection::vec((0u8..8, proptest::bool::weighted(0.8)), 1..5);
    prop_oneof![
        8 => (rows, 0u8..5, proptest::option::of(1i64..3))
            .prop_map(|(rows, codec, producer)| Op::Append { rows, codec, producer }),
        1 => Just(Op::Roll),
        3 => (3usize..20, 0i64..800).prop_map(|(map_keys, later_ms)| Op::Compact { map_keys, later_ms }),
        1 => Just(Op::Kill),
        1 => any::<u64>().prop_map(|seed| Op::PowerCut { seed }),
        1 => Just(Op::Stop),
        1 => (0i64..60).prop_map(|percent| Op::AdvanceStart { percent }),
    ]
}

/// A log and what was put into it.
struct Pair {
    disk: Arc<SimDisk>,
    log: Option<Log>,
    all: Vec<Row>,
    now: Timestamp,
    count: usize,
    /// Each producer's next sequence, and its last batch with the offset behind it.
    sequences: BTreeMap<i64, (i32, (Offset, Vec<u8>))>,
}

impl Pair {
    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn sync(&mut self) {
        let log = self.log();
        if let Some(plan) = log.sync_plan().unwrap() {
            plan.execute().unwrap();
            log.mark_synced(&plan);
        }
    }

    fn reopen(&mut self, disk: Arc<SimDisk>, clean: bool) {
        let (cleaned, start) = match &self.log {
            Some(log) => (log.reader().cleaned_upto(), log.log_start()),
            None => (None, Offset(0)),
        };
        let start = start.max(Offset(0));
        let options = OpenOptions { log_start: Some(start), ..options(&config(), clean) };
        let mut log = Log::open(as_disk(&disk), &dir(), options, &|_| {}).unwrap().0;
        if let Some(upto) = cleaned {
            log.set_cleaned_upto(upto);
        }
        (self.disk, self.log) = (disk, Some(log));
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append { rows, codec, producer } => {
                let mut values = Vec::new();
                for (key, has_value) in rows {
                    self.count += 1;
                    values.push((*key, has_value.then(|| format!("value {}", self.count))));
                }
                let known = producer.and_then(|id| self.sequences.get(&id)).map_or(0, |s| s.0);
                let options = BatchOptions {
                    compression: Compression::from_number(*codec).unwrap(),
                    producer: producer.map(|id| stamp(id, known)),
                    ..Default::default()
                };
                let bytes = keyed(&values, &options);
                let at = append(self.log(), &bytes, Origin::Client);
                assert!(!at.is_duplicate);
                if let Some(id) = producer {
                    let next = known + i32::try_from(values.len()).unwrap();
                    let end = self.log().log_end();
                    self.sequences.insert(*id, (next, (end, bytes)));
                }
                let first = at.first_offset.0;
                self.all.extend(
                    (first..).zip(values).map(|(offset, (key, value))| (offset, key, value)),
                );
                self.sync();
            }
            Op::Roll => self.log().roll_now(NOW).unwrap(),
            Op::Compact { map_keys, later_ms } => {
                self.now = Timestamp(self.now.0 + later_ms);
                let now = self.now;
                compact(self.log(), &mut map(24 * map_keys), now).unwrap();
            }
            Op::Kill => self.reopen(self.disk.after_kill(), false),
            Op::PowerCut { seed } => {
                let mut state = *seed;
                let disk = self.disk.after_power_cut(|n| {
                    state =
                        state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 33) % n
                });
                self.reopen(disk, false);
            }
            Op::Stop => {
                let disk = Arc::clone(&self.disk);
                let log = self.log.take().unwrap();
                let (cleaned, start) = (log.reader().cleaned_upto(), log.log_start());
                log.close().unwrap();
                let options = OpenOptions { log_start: Some(start), ..options(&config(), true) };
                let mut log = Log::open(as_disk(&disk), &dir(), options, &|_| {}).unwrap().0;
                if let Some(upto) = cleaned {
                    log.set_cleaned_upto(upto);
                }
                self.log = Some(log);
            }
            Op::AdvanceStart { percent } => {
                let log = self.log();
                let (start, end) = (log.log_start().0, log.log_end().0);
                log.advance_log_start(Offset(start + (end - start) * percent / 100)).unwrap();
            }
        }
    }

    /// Of each key the last record is there unless it is a tombstone; producers are remembered.
    fn check(&mut self) {
        let start = self.log().log_start().0;
        let left: Vec<Row> = rows(self.log()).into_iter().filter(|row| row.0 >= start).collect();
        let known: HashSet<&Row> = self.all.iter().collect();
        assert!(left.iter().all(|row| known.contains(row)), "{left:?}");
        assert!(left.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let mut of_log: BTreeMap<u8, &Option<String>> =
            left.iter().map(|row| (row.1, &row.2)).collect();
        let since = self.all.iter().filter(|row| row.0 >= start);
        let mut of_all: BTreeMap<u8, &Option<String>> = since.map(|row| (row.1, &row.2)).collect();
        of_log.retain(|_, value| value.is_some());
        of_all.retain(|_, value| value.is_some());
        assert_eq!(of_log, of_all);
        for (id, (next, (end, last))) in self.sequences.clone() {
            // What was deleted before a power cut nothing tells of any more, as in Kafka.
            if end.0 <= start {
                continue;
            }
            let again = append(self.log(), &last, Origin::Client);
            assert!(again.is_duplicate, "producer {id} would write twice, next is {next}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_compacted_log_tells_what_a_map_tells(ops in proptest::collection::vec(op(), 1..50)) {
        let disk = SimDisk::new();
        let log = open(&as_disk(&disk), &dir(), &config(), true).0;
        let mut pair = Pair {
            disk,
            log: Some(log),
            all: Vec::new(),
            now: NOW,
            count: 0,
            sequences: BTreeMap::new(),
        };
        for op in &ops {
            pair.apply(op);
            pair.check();
        }
    }
}
