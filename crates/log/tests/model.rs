//! A log against a plain vector: random lives with appends, rolls, cuts, retention, stops, kills
//! and power cuts.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use naru_log::{Disk, Log, LogConfig, NewBatch, OpenOptions, Origin, Scrub};
use naru_model::{LeaderEpoch, Offset};
use naru_records::{Compression, HEADER_LEN, batches};
use proptest::prelude::*;
use support::sim_disk::SimDisk;
use support::{NOW, build, idempotent, options, read_all};

#[derive(Debug, Clone)]
enum Step {
    Append { records: usize, codec: u8 },
    AppendTogether { batches: usize },
    Idempotent { records: usize },
    Repeat,
    NextEpoch,
    Roll,
    Sync,
    Checkpoint,
    Truncate { keep_percent: usize },
    StartAnew { skip: i64 },
    AdvanceStart { percent: usize },
    Retain,
    Stop,
    Kill,
    PowerCut { seed: u64 },
    Follow,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1usize..6, 0u8..5).prop_map(|(records, codec)| Step::Append { records, codec }),
        2 => (1usize..8).prop_map(|batches| Step::AppendTogether { batches }),
        4 => (1usize..4).prop_map(|records| Step::Idempotent { records }),
        2 => Just(Step::Repeat),
        1 => Just(Step::NextEpoch),
        1 => Just(Step::Roll),
        2 => Just(Step::Sync),
        1 => Just(Step::Checkpoint),
        1 => (0usize..100).prop_map(|keep_percent| Step::Truncate { keep_percent }),
        1 => (0i64..50).prop_map(|skip| Step::StartAnew { skip }),
        1 => (0usize..100).prop_map(|percent| Step::AdvanceStart { percent }),
        1 => Just(Step::Retain),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(|seed| Step::PowerCut { seed }),
        1 => Just(Step::Follow),
    ];
    proptest::collection::vec(step, 1..60)
}

/// One record as the model knows it.
type Row = (i64, String);

struct Life {
    disk: Arc<SimDisk>,
    log: Option<Log>,
    /// What the log holds, from its start.
    rows: Vec<Row>,
    /// First offsets of the batches.
    borders: Vec<i64>,
    start: i64,
    end: i64,
    synced: i64,
    /// The recovery point in the checkpoint file.
    recovery_point: i64,
    log_start_checkpoint: i64,
    epoch: i32,
    producer_id: i64,
    sequence: i32,
    last_idempotent: Option<(Vec<u8>, i64)>,
    count: usize,
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 700, index_interval_bytes: 150, ..LogConfig::default() }
}

fn dir() -> PathBuf {
    PathBuf::from("/data/t-0")
}

impl Life {
    fn new() -> Self {
        let mut life = Self {
            disk: SimDisk::new(),
            log: None,
            rows: Vec::new(),
            borders: Vec::new(),
            start: 0,
            end: 0,
            synced: 0,
            recovery_point: 0,
            log_start_checkpoint: 0,
            epoch: 0,
            producer_id: 0,
            sequence: 0,
            last_idempotent: None,
            count: 0,
        };
        life.open(true);
        life
    }

    fn open(&mut self, clean: bool) {
        let options = OpenOptions {
            recovery_point: Some(Offset(self.recovery_point)),
            log_start: Some(Offset(self.log_start_checkpoint)),
            tail_bytes: 1 << 20,
            ..options(&config(), clean)
        };
        let disk: Arc<dyn Disk> = self.disk.clone();
        let (log, report) = Log::open(disk, &dir(), options, &|_| {}).unwrap();
        assert_eq!((report.lost, report.damages), (None, 0), "nothing is missed that is there");
        assert!(!clean || report.bytes_cut == 0, "{report:?}");
        self.log = Some(log);
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn values(&mut self, records: usize) -> Vec<String> {
        (0..records)
            .map(|_| {
                self.count += 1;
                format!("value {}", self.count)
            })
            .collect()
    }

    fn wrote(&mut self, first: Offset, values: &[String]) {
        assert_eq!(first.0, self.end);
        self.borders.push(self.end);
        for value in values {
            self.rows.push((self.end, value.clone()));
            self.end += 1;
        }
    }

    fn append(&mut self, bytes: &[u8]) -> naru_log::Appended {
        let epoch = LeaderEpoch(self.epoch);
        let batch = NewBatch::built(bytes).unwrap();
        self.log().append_one(batch, Origin::Client, epoch, NOW).unwrap()
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Append { records, codec } => {
                let values = self.values(records);
                let texts: Vec<&str> = values.iter().map(String::as_str).collect();
                let codec = Compression::from_number(codec).unwrap();
                let time = NOW.0 + self.end;
                let bytes = build(time, &texts, None, codec);
                let at = self.append(&bytes);
                self.wrote(at.first_offset, &values);
            }
            Step::AppendTogether { batches } => self.append_together(batches),
            Step::Idempotent { records } => {
                let values = self.values(records);
                let texts: Vec<&str> = values.iter().map(String::as_str).collect();
                let bytes = idempotent(self.producer_id, 0, self.sequence, &texts);
                let at = self.append(&bytes);
                assert!(!at.is_duplicate);
                self.wrote(at.first_offset, &values);
                self.sequence += i32::try_from(records).unwrap();
                self.last_idempotent = Some((bytes, at.first_offset.0));
            }
            Step::Repeat => {
                if let Some((bytes, first)) = self.last_idempotent.clone() {
                    let at = self.append(&bytes);
                    assert_eq!((at.is_duplicate, at.first_offset.0), (true, first));
                }
            }
            Step::NextEpoch => self.epoch += 1,
            Step::Roll => self.log().roll_now(NOW).unwrap(),
            Step::Sync => {
                if let Some(plan) = self.log().sync_plan().unwrap() {
                    plan.execute().unwrap();
                    self.log().mark_synced(&plan);
                }
                self.synced = self.end;
                assert_eq!(self.log().offsets().synced_end.0, self.end);
            }
            Step::Checkpoint => {
                self.recovery_point = self.log().checkpoint().unwrap().0;
                assert!(self.recovery_point <= self.synced.max(self.start));
            }
            Step::Truncate { keep_percent } => self.truncate(keep_percent),
            Step::StartAnew { skip } => {
                let at = self.end + skip;
                self.log().truncate_fully_and_start_at(Offset(at), NOW).unwrap();
                (self.start, self.end, self.synced) = (at, at, at);
                // The broker writes both checkpoints before it goes on.
                (self.recovery_point, self.log_start_checkpoint) = (at, at);
                self.rows.clear();
                self.borders.clear();
                self.forget_producer();
                self.settle();
            }
            Step::AdvanceStart { percent } => {
                let to = self.start + (self.end - self.start) * percent as i64 / 100;
                let got = self.log().advance_log_start(Offset(to)).unwrap();
                self.start = got.0;
                self.log_start_checkpoint = self.start;
            }
            Step::Retain => {
                let end = Offset(self.end);
                if let Some(deleted) = self.log().delete_old_segments(end, NOW).unwrap() {
                    deleted.remove().unwrap();
                }
            }
            Step::Stop => {
                let end = self.log.take().unwrap().close().unwrap().0;
                assert_eq!(end, self.end);
                (self.synced, self.recovery_point) = (end, end);
                self.open(true);
            }
            Step::Kill => {
                self.disk = self.disk.after_kill();
                self.open(false);
                self.synced = self.log().offsets().synced_end.0;
            }
            Step::PowerCut { seed } => self.power_cut(seed),
            Step::Follow => self.follow(),
        }
    }

    fn append_together(&mut self, count: usize) {
        let all: Vec<Vec<String>> = (0..count).map(|n| self.values(n % 3 + 1)).collect();
        let bytes: Vec<Vec<u8>> = all
            .iter()
            .map(|values| {
                let texts: Vec<&str> = values.iter().map(String::as_str).collect();
                build(NOW.0, &texts, None, Compression::None)
            })
            .collect();
        let given: Vec<_> = bytes.iter().map(|bytes| NewBatch::built(bytes).unwrap()).collect();
        let (mut results, epoch) = (Vec::new(), LeaderEpoch(self.epoch));
        self.log().append_as_leader(&given, Origin::Client, epoch, NOW, &mut results);
        for (result, values) in results.into_iter().zip(&all) {
            self.wrote(result.unwrap().first_offset, values);
        }
    }

    fn truncate(&mut self, keep_percent: usize) {
        let to = self.start + (self.end - self.start) * keep_percent as i64 / 100;
        let end = self.log().truncate_to(Offset(to), NOW).unwrap().0;
        let border = self.borders.iter().copied().rfind(|border| *border <= to);
        let expected = if to == self.end { to } else { border.unwrap_or(to) };
        assert_eq!(end, expected);
        self.rows.retain(|row| row.0 < end);
        self.borders.retain(|border| *border < end);
        (self.end, self.start) = (end, self.start.min(end));
        self.synced = self.synced.min(end);
        self.recovery_point = self.recovery_point.min(end);
        self.log_start_checkpoint = self.log_start_checkpoint.min(end);
        self.forget_producer();
        self.settle();
    }

    /// A power cut after a cut could bring back what was cut, which the model does not follow.
    fn settle(&mut self) {
        self.disk.settle();
    }

    /// The model does not follow what a cut does to a producer: another one goes on.
    fn forget_producer(&mut self) {
        self.last_idempotent = None;
        self.sequence = 0;
        self.producer_id += 1;
    }

    fn power_cut(&mut self, seed: u64) {
        let mut state = seed;
        self.disk = self.disk.after_power_cut(|below| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below.max(1)
        });
        self.open(false);
        let end = self.log().log_end().0;
        assert!(end >= self.synced, "{end} is before {}", self.synced);
        assert!(end <= self.end);
        self.rows.retain(|row| row.0 < end);
        self.borders.retain(|border| *border < end);
        self.end = end;
        self.synced = self.log().offsets().synced_end.0;
        self.start = self.log().log_start().0;
        self.forget_producer();
    }

    /// A second log that follows this one must become equal, byte for byte.
    fn follow(&mut self) {
        let other = SimDisk::new();
        let as_disk: Arc<dyn Disk> = other;
        let options =
            OpenOptions { log_start: Some(Offset(self.start)), ..options(&config(), true) };
        let (mut follower, _) = Log::open(as_disk, &dir(), options, &|_| {}).unwrap();
        let reader = self.log().reader();
        while follower.log_end().0 < self.end {
            let from = follower.log_end();
            let slice = reader.read(from, 300, true, Offset(self.end)).unwrap();
            let bytes = slice.read_bytes().unwrap();
            // A follower that begins inside a batch gets that batch, and skips it.
            let (header, _) = batches(&bytes).next().unwrap().unwrap();
            if header.base_offset < from {
                let next = header.next_offset();
                follower.truncate_fully_and_start_at(next, NOW).unwrap();
                continue;
            }
            follower.append_as_follower(&bytes, NOW).unwrap();
        }
        let from = follower.log_start();
        let all = |log: &Log| {
            let mut bytes = Vec::new();
            let mut next = from;
            while next < log.log_end() {
                let slice = log.reader().read(next, 1 << 20, true, log.log_end()).unwrap();
                bytes.extend(slice.read_bytes().unwrap());
                next = batches(&bytes).last().unwrap().unwrap().0.next_offset();
            }
            bytes
        };
        assert_eq!(all(&follower), all(self.log()));
        assert_eq!(HEADER_LEN, 61);
    }

    fn check(&mut self) {
        let log = self.log.as_ref().unwrap();
        let mut scrub = Scrub::new(log.reader());
        while let step = scrub.step(300).unwrap()
            && !step.done
        {
            assert_eq!(step.damage, None);
        }
        let offsets = log.offsets();
        assert_eq!((offsets.start.0, offsets.end.0), (self.start, self.end));
        assert!(offsets.synced_end <= offsets.end);
        let rows: Vec<Row> = self.rows.iter().filter(|row| row.0 >= self.start).cloned().collect();
        for max_bytes in [1, 200, 1 << 20] {
            assert_eq!(read_all(&log.reader(), max_bytes), rows);
        }
        for border in &self.borders {
            if *border >= self.start {
                let metadata = log.reader().offset_metadata(Offset(*border)).unwrap();
                let slice = log.reader().read(Offset(*border), 1, true, Offset(self.end)).unwrap();
                assert_eq!((metadata.position, slice.first.0), (slice.position, *border));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_what_was_put_into_it(steps in steps()) {
        let mut life = Life::new();
        for step in &steps {
            life.apply(step);
            life.check();
        }
    }
}
