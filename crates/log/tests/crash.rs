//! What is left after kills, power cuts, torn writes, full disks, failing disks and rot.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use naru_log::{AppendError, Disk, Log, LogConfig, NewBatch, OpenOptions, Origin};
use naru_model::{Offset, Timestamp};
use support::sim_disk::{Fault, SimDisk};
use support::{EPOCH, NOW, append, batch, idempotent, open, options, read_all, try_append};

fn dir() -> PathBuf {
    PathBuf::from("/data/t-0")
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 400, index_interval_bytes: 100, ..LogConfig::default() }
}

fn as_disk(disk: &Arc<SimDisk>) -> Arc<dyn Disk> {
    Arc::clone(disk) as Arc<dyn Disk>
}

fn sync(log: &mut Log) {
    if let Some(plan) = log.sync_plan().unwrap() {
        plan.execute().unwrap();
        log.mark_synced(&plan);
    }
}

fn values(log: &Log) -> Vec<String> {
    read_all(&log.reader(), 250).into_iter().map(|record| record.1).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("v{n}")).collect()
}

fn fill(log: &mut Log, from: usize, to: usize) {
    for n in from..to {
        append(log, &batch(&[&format!("v{n}")]));
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_after_the_last_whole_batch() {
    let disk = SimDisk::new();
    let (mut log, _) =
        open(&as_disk(&disk), &dir(), &LogConfig { segment_bytes: 1 << 20, ..config() }, true);
    fill(&mut log, 0, 8);
    let path = dir().join("00000000000000000000.log");
    let whole = disk.bytes_of(&path).unwrap();
    let one = whole.len() / 8;
    for cut in 0..whole.len() {
        for junk in [None, Some(0u8), Some(0xff)] {
            let crashed = disk.after_kill();
            crashed.tamper(&path, |bytes| match junk {
                None => bytes.truncate(cut),
                Some(byte) => bytes[cut..].fill(byte),
            });
            let (mut log, report) = open(&as_disk(&crashed), &dir(), &config(), false);
            let left = values(&log);
            assert_eq!(left, names(left.len()), "cut at {cut} {junk:?}");
            // Filling with the byte that was there anyway may spare the next byte or two.
            assert!(left.len() >= cut / one && left.len() <= cut / one + 1, "cut at {cut}");
            assert!(junk.is_some() || (report.bytes_cut > 0) == (cut % one != 0), "cut at {cut}");
            let next = left.len();
            fill(&mut log, next, 12);
            assert_eq!(values(&log), names(12));
        }
    }
}

#[test]
fn a_clean_stop_is_not_believed_about_the_tail() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 0, 17);
    log.close().unwrap();
    let path = disk.paths().into_iter().rfind(|p| p.extension() == Some("log".as_ref())).unwrap();
    disk.tamper(&path, |bytes| {
        let len = bytes.len();
        bytes[len - 3..].fill(0);
    });
    let (log, report) = open(&as_disk(&disk), &dir(), &config(), true);
    assert!(report.bytes_cut > 0);
    assert_eq!(values(&log), names(16));
}

#[test]
fn damage_in_the_middle_ends_the_log_there() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 0, 40);
    let crashed = disk.after_kill();
    let logs: Vec<_> =
        disk.paths().into_iter().filter(|p| p.extension() == Some("log".as_ref())).collect();
    assert!(logs.len() > 4);
    crashed.tamper(&logs[2], |bytes| bytes[100] ^= 1);
    let (mut log, report) = open(&as_disk(&crashed), &dir(), &config(), false);
    assert!(report.segments_removed >= logs.len() - 3, "{report:?}");
    let left = values(&log);
    assert_eq!(left, names(left.len()));
    assert!(left.len() >= 10);
    let next = left.len();
    fill(&mut log, next, 50);
    assert_eq!(values(&log), names(50));
}

#[test]
fn damaged_indexes_are_noticed_and_rebuilt() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("emptied", Vec::clear),
        ("cut inside an entry", |bytes| bytes.truncate(bytes.len() - 3)),
        ("zeros behind", |bytes| bytes.extend([0; 240])),
        ("all zero", |bytes| bytes.fill(0)),
        ("all ones", |bytes| bytes.fill(0xff)),
        ("swapped ends", |bytes| bytes.rotate_left(12)),
    ];
    let config = LogConfig { segment_bytes: 2000, ..config() };
    for clean in [true, false] {
        for suffix in ["index", "timeindex"] {
            for (name, damage) in damages {
                let disk = SimDisk::new();
                let (mut log, _) = open(&as_disk(&disk), &dir(), &config, true);
                for n in 0..80 {
                    let bytes = support::batch_at(1000 + n, &[&format!("v{n}")]);
                    append(&mut log, &bytes);
                }
                log.close().unwrap();
                for path in disk.paths() {
                    if path.extension() == Some(suffix.as_ref()) {
                        disk.tamper(&path, damage);
                    }
                }
                let (log, _) = open(&as_disk(&disk), &dir(), &config, clean);
                let case = format!("{suffix} {name} clean={clean}");
                let reader = log.reader();
                for offset in 0..80 {
                    let slice = reader.read(Offset(offset), 1, true, Offset(80)).unwrap();
                    assert_eq!(slice.first, Offset(offset), "{case}");
                }
                log.mend_indexes().unwrap();
                assert_eq!(values(&log), names(80), "{case}");
                if !clean || suffix == "index" && name != "cut inside an entry" {
                    for n in [0, 1, 40, 79] {
                        let found = reader.offset_at_time(Timestamp(1000 + n)).unwrap();
                        assert_eq!(found.map(|f| f.offset), Some(Offset(n)), "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn missing_files_are_made_anew() {
    for suffix in ["index", "timeindex", "snapshot"] {
        let disk = SimDisk::new();
        let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
        for n in 0..30 {
            append(&mut log, &idempotent(5, 0, n, &[&format!("v{n}")]));
        }
        log.close().unwrap();
        for path in disk.paths() {
            if path.extension() == Some(suffix.as_ref()) {
                disk.remove_file(&path).unwrap();
            }
        }
        let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
        assert_eq!(values(&log), names(30));
        assert_eq!(append(&mut log, &idempotent(5, 0, 29, &["v29"])), Offset(29), "a duplicate");
        assert_eq!(append(&mut log, &idempotent(5, 0, 30, &["v30"])), Offset(30));
    }
}

#[test]
fn a_missing_or_torn_epoch_checkpoint_is_rebuilt_from_the_batches() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    for n in 0..30 {
        let bytes = batch(&["x"]);
        let epoch = naru_model::LeaderEpoch(n / 10);
        log.append_one(NewBatch::built(&bytes).unwrap(), Origin::Client, epoch, NOW).unwrap();
    }
    log.close().unwrap();
    let path = dir().join("leader-epoch-checkpoint");
    disk.tamper(&path, |bytes| bytes.truncate(9));
    let (log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    let end = |epoch| log.reader().epoch_end(naru_model::LeaderEpoch(epoch)).unwrap().end;
    assert_eq!((end(0), end(1), end(2)), (Offset(10), Offset(20), Offset(30)));
}

/// Every changing call of a busy life fails once, in two ways; whatever the log then says is
/// true, and after a restart the log holds what was acknowledged.
#[test]
fn a_failure_at_any_call_loses_nothing_that_was_acknowledged() {
    let total = {
        let disk = SimDisk::new();
        live(&disk);
        disk.steps()
    };
    assert!(total > 100, "{total} steps");
    for fault in [Fault::Io, Fault::FullAfter(0), Fault::FullAfter(30)] {
        for step in 1..=total {
            let disk = SimDisk::new();
            disk.fail_at(step, fault);
            let acknowledged = live(&disk);
            disk.heal();
            let crashed = disk.after_kill();
            let (mut log, _) = open(&as_disk(&crashed), &dir(), &config(), false);
            let left = values(&log);
            for value in &acknowledged {
                assert!(left.contains(value), "{value} is lost by {fault:?} at {step}");
            }
            // Every append that was repeated until it was acknowledged is there once, in order.
            assert_eq!(left, acknowledged, "{fault:?} at {step}");
            append(&mut log, &batch(&["on"]));
        }
    }
}

/// Appends idempotently with retries, as a producer does, reopening the log when it must be;
/// returns the values that were acknowledged.
fn live(disk: &Arc<SimDisk>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut opened: Option<Log> = None;
    for n in 0..24 {
        let value = format!("v{n}");
        let bytes = idempotent(1, 0, n, &[&value]);
        for attempt in 0.. {
            assert!(attempt < 5, "a single failure must not last");
            let mut log = match opened.take() {
                Some(log) => log,
                None => {
                    let options = options(&config(), false);
                    match Log::open(as_disk(disk), &dir(), options, &|_| {}) {
                        Ok((log, _)) => log,
                        Err(_) => continue,
                    }
                }
            };
            let done = try_append(&mut log, &bytes);
            if let Ok(Some(plan)) = log.sync_plan() {
                match plan.execute() {
                    Ok(()) => log.mark_synced(&plan),
                    Err(error) => log.mark_failed(&error),
                }
            }
            if log.failure().is_none() {
                opened = Some(log);
            }
            match done {
                Ok(_) => break,
                Err(AppendError::Storage(_) | AppendError::Failed(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        acknowledged.push(value);
    }
    acknowledged
}

#[test]
fn a_full_disk_refuses_appends_and_heals_when_there_is_room() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 0, 3);
    disk.limit_room(40);
    for _ in 0..5 {
        match try_append(&mut log, &batch(&["too much"])) {
            Err(AppendError::Storage(error)) => assert!(error.is_full(), "{error}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(values(&log), names(3));
        assert_eq!(log.failure(), None);
    }
    disk.heal();
    fill(&mut log, 3, 30);
    assert_eq!(values(&log), names(30));
}

#[test]
fn a_failed_sync_closes_the_log() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 0, 3);
    disk.fail_syncs();
    let plan = log.sync_plan().unwrap().unwrap();
    let error = plan.execute().unwrap_err();
    log.mark_failed(&error);
    assert!(matches!(try_append(&mut log, &batch(&["x"])), Err(AppendError::Failed(_))));
    assert_eq!(log.offsets().synced_end, Offset(0));
    assert_eq!(values(&log), names(3));
}

#[test]
fn what_was_synced_survives_a_power_cut() {
    for seed in 0..300u64 {
        let disk = SimDisk::new();
        let mut dice = Dice(seed);
        let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
        let mut written = 0;
        for _ in 0..6 {
            let more = usize::try_from(dice.roll(9)).unwrap();
            fill(&mut log, written, written + more);
            written += more;
            if dice.roll(2) == 0 {
                sync(&mut log);
            }
        }
        let synced = log.offsets().synced_end;
        let known = Offset(i64::try_from(dice.roll(synced.0.unsigned_abs() + 1)).unwrap());
        let cut = disk.after_power_cut(|below| dice.roll(below));
        let options = OpenOptions { recovery_point: Some(known), ..options(&config(), false) };
        let (mut log, _) = Log::open(as_disk(&cut), &dir(), options, &|_| {}).unwrap();
        let left = values(&log);
        assert!(left.len() as i64 >= synced.0, "seed {seed}: {} of {synced}", left.len());
        assert_eq!(left, names(left.len()), "seed {seed}");
        let next = left.len();
        fill(&mut log, next, next + 10);
        assert_eq!(values(&log), names(next + 10), "seed {seed}");
    }
}

#[test]
fn an_interrupted_compaction_is_completed() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 0, 30);
    log.close().unwrap();
    let logs: Vec<_> =
        disk.paths().into_iter().filter(|p| p.extension() == Some("log".as_ref())).collect();
    // The swap file holds the first two segments; the second is still there.
    let both = [disk.bytes_of(&logs[0]).unwrap(), disk.bytes_of(&logs[1]).unwrap()].concat();
    let swap = PathBuf::from(format!("{}.swap", logs[0].display()));
    disk.rename(&logs[0], &swap).unwrap();
    disk.tamper(&swap, |bytes| *bytes = both);
    let cleaned = PathBuf::from(format!("{}.cleaned", logs[2].display()));
    disk.open(&cleaned, true).unwrap();
    let (log, _) = open(&as_disk(&disk), &dir(), &config(), false);
    assert_eq!(values(&log), names(30));
    let left = disk.paths();
    assert!(!left.contains(&logs[1]) && !left.contains(&swap) && !left.contains(&cleaned));
}

/// A small generator, so that a seed names a run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

#[test]
fn paths_are_under_the_folder() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 0, 9);
    log.close().unwrap();
    assert!(disk.paths().iter().all(|path| path.starts_with(Path::new("/data/t-0"))));
    assert_eq!(EPOCH.0, 0);
}
