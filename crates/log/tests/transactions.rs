//! Transactions in a log against a vector of batches: random lives with commits, aborts, rolls,
//! truncations, stops, kills and power cuts.
//!
//! Whoever reads committed records at any moment sees, in order, the records of transactions that
//! were committed and those without a transaction, and never one of a transaction that was
//! aborted or is open.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use naru_log::{AppendError, Disk, Log, LogConfig, LogReader, NewBatch, OpenOptions, Origin};
use naru_log::{Verification, VerificationGuard};
use naru_model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use naru_records::{
    BatchBuilder, BatchHeader, BatchOptions, EndTxnMarker, ProducerStamp, batches, end_txn_batch,
    end_txn_marker, read_records,
};
use proptest::prelude::*;
use support::sim_disk::SimDisk;
use support::{EPOCH, NOW, batch, idempotent, open, options};

fn dir() -> PathBuf {
    PathBuf::from("/data/t-0")
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 600, index_interval_bytes: 150, ..LogConfig::default() }
}

fn transactional(id: i64, epoch: i16, sequence: i32, values: &[&str]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.append_plain(NOW, None, Some(value.as_bytes()));
    }
    let producer = Some(ProducerStamp {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
    });
    builder
        .build(&BatchOptions { producer, transactional: true, ..BatchOptions::default() })
        .unwrap()
}

fn marker(id: i64, epoch: i16, commit: bool, coordinator_epoch: i32) -> Vec<u8> {
    let marker = if commit {
        EndTxnMarker::Commit { coordinator_epoch }
    } else {
        EndTxnMarker::Abort { coordinator_epoch }
    };
    end_txn_batch(ProducerId(id), ProducerEpoch(epoch), marker, NOW).unwrap()
}

fn produce(log: &mut Log, bytes: &[u8]) -> Result<Offset, AppendError> {
    let batch = NewBatch::built(bytes).unwrap();
    log.append_one(batch, Origin::Client, EPOCH, NOW).map(|appended| appended.first_offset)
}

fn end(log: &mut Log, bytes: &[u8], version: i8) -> Result<Offset, AppendError> {
    let origin = Origin::Marker { transaction_version: version };
    let batch = NewBatch::built(bytes).unwrap();
    log.append_one(batch, origin, EPOCH, NOW).map(|appended| appended.first_offset)
}

/// What a client with `isolation.level=read_committed` makes of the log.
fn read_committed(
    reader: &LogReader,
    from: Offset,
    high_watermark: Offset,
    max_bytes: usize,
) -> Vec<(i64, String)> {
    let mut records = Vec::new();
    let mut next = from;
    loop {
        let stable = reader.last_stable(high_watermark);
        let slice = reader.read(next, max_bytes, true, stable).unwrap();
        if slice.len == 0 {
            return records;
        }
        let mut aborted = reader.aborted_in(&slice, next).unwrap();
        aborted.sort_by_key(|txn| txn.first_offset);
        let mut aborted = aborted.into_iter().peekable();
        let mut open_aborted: Vec<ProducerId> = Vec::new();
        let bytes = slice.read_bytes().unwrap();
        for item in batches(&bytes) {
            let (header, batch) = item.unwrap();
            while let Some(txn) = aborted.next_if(|txn| txn.first_offset <= header.last_offset()) {
                open_aborted.push(txn.producer_id);
            }
            next = header.next_offset();
            if header.is_control() {
                if matches!(end_txn_marker(batch), Some(EndTxnMarker::Abort { .. })) {
                    open_aborted.retain(|id| *id != header.producer_id);
                }
                continue;
            }
            if header.is_transactional() && open_aborted.contains(&header.producer_id) {
                continue;
            }
            for record in read_records(&bytes::Bytes::copy_from_slice(batch), 1 << 20).unwrap() {
                let record = record.unwrap();
                if record.offset >= from {
                    let value = record.value.map(|value| value.to_vec()).unwrap_or_default();
                    records.push((record.offset.0, String::from_utf8(value).unwrap()));
                }
            }
        }
    }
}

#[test]
fn a_marker_ends_a_transaction_and_the_stable_part_follows_the_high_watermark() {
    let temp = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(naru_log::OsDisk);
    let (mut log, _) = open(&disk, temp.path(), &LogConfig::default(), true);
    let reader = log.reader();
    produce(&mut log, &batch(&["a", "b"])).unwrap();
    produce(&mut log, &transactional(7, 0, 0, &["c", "d"])).unwrap();
    produce(&mut log, &transactional(8, 0, 0, &["e"])).unwrap();
    assert_eq!(reader.last_stable(Offset(5)), Offset(2));
    assert_eq!(reader.last_stable(Offset(1)), Offset(1));
    end(&mut log, &marker(7, 0, false, 3), 0).unwrap();
    assert_eq!(reader.last_stable(Offset(5)), Offset(2), "the marker is not replicated");
    assert_eq!(reader.last_stable(Offset(6)), Offset(4), "producer 8 is not done");
    end(&mut log, &marker(8, 0, true, 3), 0).unwrap();
    assert_eq!(reader.last_stable(Offset(6)), Offset(4));
    assert_eq!(reader.last_stable(Offset(7)), Offset(7));
    let records = read_committed(&reader, Offset(0), Offset(7), 1 << 20);
    let expected = [(0, "a"), (1, "b"), (4, "e")].map(|(at, value)| (at, value.to_owned()));
    assert_eq!(records, expected);
    let producers = log.producers();
    let seven = producers.iter().find(|known| known.id == ProducerId(7)).unwrap();
    assert_eq!((seven.coordinator_epoch, seven.txn_first_offset), (3, None));
    let index = std::fs::read(temp.path().join("00000000000000000000.txnindex")).unwrap();
    assert_eq!(index.len(), 34);
    assert_eq!(index[2..10], 7i64.to_be_bytes());
    assert_eq!(index[26..], 4i64.to_be_bytes(), "last stable when the marker came");
}

#[test]
fn markers_are_fenced_by_both_epochs() {
    let disk: Arc<dyn Disk> = SimDisk::new();
    let (mut log, _) = open(&disk, &dir(), &config(), true);
    produce(&mut log, &transactional(7, 5, 0, &["a"])).unwrap();
    let is_old = |result| matches!(result, Err(AppendError::InvalidProducerEpoch { .. }));
    assert!(is_old(end(&mut log, &marker(7, 4, true, 2), 0)));
    assert!(is_old(end(&mut log, &marker(7, 5, true, 2), 2)), "version 2 bumps the epoch");
    end(&mut log, &marker(7, 6, true, 2), 2).unwrap();
    end(&mut log, &marker(7, 6, true, 2), 2).expect("a marker that is repeated does no harm");
    assert!(is_old(produce(&mut log, &transactional(7, 5, 1, &["zombie"]))));
    let fenced = end(&mut log, &marker(7, 6, true, 1), 0);
    assert!(matches!(fenced, Err(AppendError::CoordinatorFenced { request: 1, current: 2 })));
    produce(&mut log, &transactional(7, 6, 0, &["b"])).unwrap();
    end(&mut log, &marker(7, 6, false, 2), 1).expect("before version 2 the epoch stays");
}

/// What librdkafka makes of an abort while the answers to its records are lost.
#[test]
fn the_sequences_of_an_ended_transaction_are_not_taken_for_its_next_ones_records() {
    let disk: Arc<dyn Disk> = SimDisk::new();
    let (mut log, _) = open(&disk, &dir(), &config(), true);
    let (lost, next) = (transactional(5, 0, 0, &["lost"]), transactional(5, 0, 0, &["next"]));
    let first = produce(&mut log, &lost).unwrap();
    assert_eq!(produce(&mut log, &lost).unwrap(), first, "a repetition within the transaction");
    end(&mut log, &marker(5, 0, false, 0), 0).unwrap();
    let refused = produce(&mut log, &next);
    assert!(matches!(refused, Err(AppendError::SequenceOfEndedTxn { .. })), "{refused:?}");
    // In the next transaction as well, once that has begun.
    let begun = produce(&mut log, &transactional(5, 0, 1, &["begun"])).unwrap();
    let refused = produce(&mut log, &next);
    assert!(matches!(refused, Err(AppendError::SequenceOfEndedTxn { .. })), "{refused:?}");
    assert_eq!(produce(&mut log, &transactional(5, 0, 1, &["begun"])).unwrap(), begun);
}

#[test]
fn a_plain_batch_does_not_fit_into_a_transaction() {
    let disk: Arc<dyn Disk> = SimDisk::new();
    let (mut log, _) = open(&disk, &dir(), &config(), true);
    produce(&mut log, &transactional(7, 0, 0, &["a"])).unwrap();
    let refused = produce(&mut log, &idempotent(7, 0, 1, &["b"]));
    assert!(matches!(refused, Err(AppendError::InvalidTxnState { .. })));
}

#[test]
fn a_transaction_begins_only_with_the_guard_that_was_given_out_last() {
    let disk: Arc<dyn Disk> = SimDisk::new();
    let (mut log, _) = open(&disk, &dir(), &config(), true);
    let try_with = |log: &mut Log, bytes: &[u8], guard: Option<VerificationGuard>| {
        let batch = NewBatch::built(bytes).unwrap().with_verification(Verification::Needed(guard));
        log.append_one(batch, Origin::Client, EPOCH, NOW).map(drop)
    };
    let first = transactional(7, 0, 0, &["a"]);
    let producer = BatchHeader::parse(&first).unwrap().producer().unwrap();
    let refused = try_with(&mut log, &first, None);
    assert!(matches!(refused, Err(AppendError::NotVerified { .. })));
    let stale = log.begin_verification(producer, false, NOW);
    // An abort comes between the coordinator's answer and the append.
    end(&mut log, &marker(7, 0, false, 0), 0).unwrap();
    let refused = try_with(&mut log, &first, stale);
    assert!(matches!(refused, Err(AppendError::NotVerified { .. })));
    let guard = log.begin_verification(producer, false, NOW);
    assert_ne!(guard, stale);
    try_with(&mut log, &first, guard).unwrap();
    assert_eq!(log.begin_verification(producer, false, NOW), None, "it has begun");
    try_with(&mut log, &transactional(7, 0, 1, &["b"]), None).unwrap();
}

#[test]
fn with_version_2_an_unknown_producer_begins_at_sequence_zero() {
    let disk: Arc<dyn Disk> = SimDisk::new();
    let (mut log, _) = open(&disk, &dir(), &config(), true);
    let later = transactional(7, 3, 4, &["a"]);
    let producer = BatchHeader::parse(&later).unwrap().producer().unwrap();
    let guard = log.begin_verification(producer, true, NOW);
    let batch = NewBatch::built(&later).unwrap().with_verification(Verification::Needed(guard));
    let refused = log.append_one(batch, Origin::Client, EPOCH, NOW);
    assert!(matches!(refused, Err(AppendError::OutOfOrderSequence { .. })));
}

#[test]
fn a_producer_with_an_open_transaction_is_never_forgotten() {
    let disk: Arc<dyn Disk> = SimDisk::new();
    let (mut log, _) = open(&disk, &dir(), &config(), true);
    produce(&mut log, &transactional(7, 0, 0, &["a"])).unwrap();
    produce(&mut log, &idempotent(8, 0, 0, &["b"])).unwrap();
    let much_later = Timestamp(NOW.0 + 1_000_000_000_000);
    log.expire_producers(much_later);
    assert_eq!(log.producers().iter().map(|known| known.id.0).collect::<Vec<_>>(), [7]);
    end(&mut log, &marker(7, 0, true, 0), 0).unwrap();
    log.expire_producers(much_later);
    assert_eq!(log.producer_count(), 0);
}

#[test]
fn five_batches_in_flight_may_be_repeated_after_a_restart() {
    for clean in [true, false] {
        let disk = SimDisk::new();
        let as_disk: Arc<dyn Disk> = disk.clone();
        let (mut log, _) = open(&as_disk, &dir(), &LogConfig::default(), true);
        let all: Vec<_> = (0..7).map(|n| idempotent(7, 2, n * 2, &["x", "y"])).collect();
        for bytes in &all {
            produce(&mut log, bytes).unwrap();
            produce(&mut log, &batch(&["between"])).unwrap();
        }
        let (mut log, _) = if clean {
            log.close().unwrap();
            open(&as_disk, &dir(), &LogConfig::default(), true)
        } else {
            let after: Arc<dyn Disk> = disk.after_kill();
            open(&after, &dir(), &LogConfig::default(), false)
        };
        for (n, bytes) in all.iter().enumerate().skip(2) {
            let batch = NewBatch::built(bytes).unwrap();
            let repeated = log.append_one(batch, Origin::Client, EPOCH, NOW).unwrap();
            assert!(repeated.is_duplicate);
            assert_eq!(repeated.first_offset, Offset(n as i64 * 3));
        }
        let forgotten = produce(&mut log, &all[1]);
        assert!(matches!(forgotten, Err(AppendError::OutOfOrderSequence { .. })));
        assert_eq!(produce(&mut log, &idempotent(7, 2, 14, &["z"])).unwrap(), Offset(21));
    }
}

// ---- random lives ---------------------------------------------------------------------------

#[derive(Debug, Clone)]
enum Step {
    Plain,
    Write { producer: usize, records: usize },
    End { producer: usize, commit: bool },
    Roll,
    Sync,
    Checkpoint,
    RaiseHighWatermark,
    Truncate { percent: usize },
    Retain { percent: usize },
    Stop,
    Kill,
    PowerCut { seed: u64 },
    Follow,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Plain),
        8 => (0usize..4, 1usize..4).prop_map(|(producer, records)| Step::Write { producer, records }),
        6 => (0usize..4, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit }),
        1 => Just(Step::Roll),
        2 => Just(Step::Sync),
        2 => Just(Step::Checkpoint),
        4 => Just(Step::RaiseHighWatermark),
        1 => (0usize..100).prop_map(|percent| Step::Truncate { percent }),
        1 => (0usize..100).prop_map(|percent| Step::Retain { percent }),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(|seed| Step::PowerCut { seed }),
        1 => Just(Step::Follow),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A batch as the model knows it.
#[derive(Debug, Clone)]
enum Batch {
    Plain(Vec<String>),
    Data { producer: usize, values: Vec<String> },
    End { producer: usize, commit: bool },
}

impl Batch {
    fn len(&self) -> i64 {
        match self {
            Self::Plain(values) | Self::Data { values, .. } => values.len() as i64,
            Self::End { .. } => 1,
        }
    }
}

struct Life {
    disk: Arc<SimDisk>,
    log: Option<Log>,
    /// By first offset.
    batches: BTreeMap<i64, Batch>,
    start: i64,
    high_watermark: i64,
    stable: i64,
    /// Where the log ended when it was opened last. Of a transaction that had ended by then it is
    /// not remembered whether its marker was committed.
    opened_at: i64,
    synced: i64,
    recovery_point: i64,
    log_start_checkpoint: i64,
    /// Epoch and next sequence of each producer.
    producers: [(i16, i32); 4],
    count: usize,
}

impl Life {
    fn new() -> Self {
        let mut life = Self {
            disk: SimDisk::new(),
            log: None,
            batches: BTreeMap::new(),
            start: 0,
            high_watermark: 0,
            stable: 0,
            opened_at: 0,
            synced: 0,
            recovery_point: 0,
            log_start_checkpoint: 0,
            producers: [(0, 0); 4],
            count: 0,
        };
        life.open(true);
        life
    }

    fn end(&self) -> i64 {
        self.batches.last_key_value().map_or(self.start, |(first, batch)| first + batch.len())
    }

    fn open(&mut self, clean: bool) {
        let options = OpenOptions {
            recovery_point: Some(Offset(self.recovery_point)),
            log_start: Some(Offset(self.log_start_checkpoint)),
            tail_bytes: 1 << 20,
            ..options(&config(), clean)
        };
        let disk: Arc<dyn Disk> = self.disk.clone();
        self.log = Some(Log::open(disk, &dir(), options, &|_| {}).unwrap().0);
        self.opened_at = self.log().log_end().0;
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn values(&mut self, records: usize) -> Vec<String> {
        self.count += 1;
        (0..records).map(|n| format!("{}.{n}", self.count)).collect()
    }

    fn wrote(&mut self, at: Offset, batch: Batch) {
        assert_eq!(at.0, self.end());
        self.batches.insert(at.0, batch);
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Plain => {
                let values = self.values(2);
                let bytes = batch(&[&values[0], &values[1]]);
                let at = produce(self.log(), &bytes).unwrap();
                self.wrote(at, Batch::Plain(values));
            }
            Step::Write { producer, records } => {
                let values = self.values(records);
                let (epoch, sequence) = self.producers[producer];
                let texts: Vec<&str> = values.iter().map(String::as_str).collect();
                let bytes = transactional(producer as i64, epoch, sequence, &texts);
                let at = produce(self.log(), &bytes).unwrap();
                self.producers[producer].1 += i32::try_from(records).unwrap();
                self.wrote(at, Batch::Data { producer, values });
            }
            Step::End { producer, commit } => {
                // As with version 2: each transaction has an epoch of its own.
                let epoch = self.producers[producer].0 + 1;
                let bytes = marker(producer as i64, epoch, commit, 0);
                let at = end(self.log(), &bytes, 2).unwrap();
                self.producers[producer] = (epoch, 0);
                self.wrote(at, Batch::End { producer, commit });
            }
            Step::Roll => self.log().roll_now(NOW).unwrap(),
            Step::Sync => {
                if let Some(plan) = self.log().sync_plan().unwrap() {
                    plan.execute().unwrap();
                    self.log().mark_synced(&plan);
                }
                self.synced = self.end();
            }
            Step::Checkpoint => self.recovery_point = self.log().checkpoint().unwrap().0,
            Step::RaiseHighWatermark => {
                let (from, to) = (self.high_watermark, self.end());
                // Replicas have whole batches.
                let to = from + (to - from + 1) / 2;
                let border = self.batches.range(..to).next_back();
                let border = border.map_or(from, |(first, batch)| first + batch.len());
                self.high_watermark = border.max(from);
            }
            Step::Truncate { percent } => {
                let (from, to) = (self.high_watermark, self.end());
                let to = from + (to - from) * percent as i64 / 100;
                let end = self.log().truncate_to(Offset(to), NOW).unwrap().0;
                if end < self.opened_at {
                    self.stable = 0;
                }
                self.cut(end);
                self.disk.settle();
            }
            Step::Retain { percent } => {
                let to = self.start + (self.stable - self.start) * percent as i64 / 100;
                let got = self.log().advance_log_start(Offset(to)).unwrap();
                self.start = got.0;
                self.log_start_checkpoint = self.start;
                let upto = Offset(self.high_watermark);
                if let Some(deleted) = self.log().delete_old_segments(upto, NOW).unwrap() {
                    deleted.remove().unwrap();
                }
            }
            Step::Stop => {
                let end = self.log.take().unwrap().close().unwrap().0;
                (self.synced, self.recovery_point) = (end, end);
                self.open(true);
            }
            Step::Kill => {
                self.stable = 0;
                self.disk = self.disk.after_kill();
                self.open(false);
                self.synced = self.log().offsets().synced_end.0;
            }
            Step::PowerCut { seed } => {
                let mut state = seed;
                self.disk = self.disk.after_power_cut(|below| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33) % below.max(1)
                });
                self.open(false);
                let end = self.log().log_end().0;
                assert!(end >= self.synced);
                if end <= self.start {
                    // Nothing of it is left; it begins anew.
                    self.batches.clear();
                    self.log().truncate_fully_and_start_at(Offset(end), NOW).unwrap();
                }
                self.cut(end);
                // Markers that were committed may be lost here.
                self.stable = 0;
                self.synced = self.log().offsets().synced_end.0;
            }
            Step::Follow => self.follow(),
        }
    }

    /// The log ends at `end` now.
    fn cut(&mut self, end: i64) {
        self.batches.retain(|first, _| *first < end);
        assert_eq!(self.end(), end.max(self.start));
        // With one replica what is lost may have been committed.
        self.high_watermark = self.high_watermark.min(end);
        self.stable = self.stable.min(end);
        self.synced = self.synced.min(end);
        self.opened_at = self.opened_at.min(end);
        self.recovery_point = self.recovery_point.min(end);
        self.producers = [(0, 0); 4];
        for batch in self.batches.values() {
            match batch {
                Batch::Plain(_) => {}
                Batch::Data { producer, values } => {
                    self.producers[*producer].1 += i32::try_from(values.len()).unwrap();
                }
                Batch::End { producer, .. } => {
                    self.producers[*producer] = (self.producers[*producer].0 + 1, 0);
                }
            }
        }
    }

    /// A follower that gets all of it becomes equal and goes on in its place.
    fn follow(&mut self) {
        if self.start > 0 {
            // It would begin without the transactions that are open there.
            return;
        }
        let other = SimDisk::new();
        let disk: Arc<dyn Disk> = other.clone();
        let (mut follower, _) = Log::open(disk, &dir(), options(&config(), true), &|_| {}).unwrap();
        let reader = self.log().reader();
        while follower.log_end() < reader.log_end() {
            let end = reader.log_end();
            let slice = reader.read(follower.log_end(), 250, true, end).unwrap();
            follower.append_as_follower(&slice.read_bytes().unwrap(), NOW).unwrap();
        }
        (self.synced, self.recovery_point, self.opened_at) = (0, 0, 0);
        // It goes by the high watermark alone.
        self.stable = 0;
        (self.disk, self.log) = (other, Some(follower));
    }

    /// The offset below which every transaction has ended with a marker below the high watermark,
    /// or below `or_below`.
    fn expected_stable(&self, or_below: i64) -> i64 {
        let mut open: [Option<i64>; 4] = [None; 4];
        for (first, batch) in self.batches.range(..self.high_watermark.max(or_below)) {
            match batch {
                Batch::Plain(_) => {}
                Batch::Data { producer, .. } => {
                    open[*producer].get_or_insert(*first);
                }
                Batch::End { producer, .. } => open[*producer] = None,
            }
        }
        let first = open.into_iter().flatten().min();
        first.map_or(self.high_watermark, |first| first.max(self.start).min(self.high_watermark))
    }

    fn expected_committed(&self, stable: i64) -> Vec<(i64, String)> {
        let mut rows = Vec::new();
        for (first, batch) in self.batches.range(..stable) {
            let values = match batch {
                Batch::Plain(values) => values,
                Batch::Data { producer, values } => {
                    let mut later = self.batches.range(first + 1..);
                    let committed = later.find_map(|(_, batch)| match batch {
                        Batch::End { producer: whose, commit } if whose == producer => {
                            Some(*commit)
                        }
                        _ => None,
                    });
                    if committed != Some(true) {
                        continue;
                    }
                    values
                }
                Batch::End { .. } => continue,
            };
            // The log start may lie within a batch, and the stable part end there.
            let offsets = self.start..stable;
            let all = (*first..).zip(values.iter().cloned());
            rows.extend(all.filter(|row| offsets.contains(&row.0)));
        }
        rows
    }

    fn check(&mut self) {
        let (high_watermark, start) = (Offset(self.high_watermark), Offset(self.start));
        let expected = self.expected_stable(0)..=self.expected_stable(self.opened_at);
        let reader = self.log().reader();
        let stable = reader.last_stable(high_watermark).0;
        assert!(expected.contains(&stable), "{stable} is not in {expected:?}");
        assert!(stable >= self.stable, "what was stable stays stable: {stable} {}", self.stable);
        self.stable = stable;
        let rows = self.expected_committed(stable);
        for max_bytes in [1, 300, 1 << 20] {
            assert_eq!(read_committed(&reader, start, high_watermark, max_bytes), rows);
        }
        let mut known = self.log().producers();
        known.sort_by_key(|producer| producer.id);
        for producer in &known {
            let index = usize::try_from(producer.id.0).unwrap();
            let (epoch, sequence) = self.producers[index];
            assert_eq!(producer.epoch, epoch);
            assert_eq!(producer.last_sequence, (sequence > 0).then_some(sequence - 1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_of_committed_records_see_whole_transactions_and_no_aborted_ones(steps in steps()) {
        let mut life = Life::new();
        for step in &steps {
            life.apply(step);
            life.check();
        }
    }
}

/// Zeros in the transaction index of a segment that begins where recovery begins.
#[test]
fn a_power_cut_that_leaves_zeros_in_the_index_aborts_nothing() {
    let write = |producer, records| Step::Write { producer, records };
    let end = |producer, commit| Step::End { producer, commit };
    let plain = || Step::Plain;
    let mut life = Life::new();
    for step in [
        end(0, true),
        write(0, 1),
        plain(),
        plain(),
        plain(),
        plain(),
        write(2, 1),
        write(0, 1),
        write(0, 1),
        end(0, true),
        Step::Stop,
        plain(),
        end(2, false),
        plain(),
        plain(),
        Step::PowerCut { seed: 2_346_102_941_655_144_857 },
        Step::RaiseHighWatermark,
        Step::RaiseHighWatermark,
    ] {
        life.apply(&step);
        life.check();
    }
}
