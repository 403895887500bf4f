//! What a start finds behind the mark of a clean stop.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use naru_log::{Disk, Log, LogConfig, Lost, OpenOptions, ReadError, Recovery, tail_budget};
use naru_model::Offset;
use support::sim_disk::SimDisk;
use support::{append, batch, open, options, read_all};

fn dir() -> PathBuf {
    PathBuf::from("/data/t-0")
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 4000, index_interval_bytes: 300, ..LogConfig::default() }
}

fn as_disk(disk: &Arc<SimDisk>) -> Arc<dyn Disk> {
    Arc::clone(disk) as Arc<dyn Disk>
}

/// A log of `count` batches of one record, stopped cleanly.
fn stopped(count: usize) -> Arc<SimDisk> {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    for n in 0..count {
        append(&mut log, &batch(&[&format!("v{n:02}")]));
    }
    log.close().unwrap();
    disk
}

fn reopened(disk: &Arc<SimDisk>, count: usize, tail_bytes: u64) -> (Log, Recovery) {
    let recovery_point = Some(Offset(i64::try_from(count).unwrap()));
    let options = OpenOptions { recovery_point, tail_bytes, ..options(&config(), true) };
    Log::open(as_disk(disk), &dir(), options, &|_| {}).unwrap()
}

fn logs(disk: &SimDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.extension() == Some("log".as_ref())).collect()
}

fn values(log: &Log) -> Vec<String> {
    read_all(&log.reader(), 700).into_iter().map(|record| record.1).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("v{n:02}")).collect()
}

fn zero_end(disk: &SimDisk, path: &Path, bytes: usize) {
    disk.tamper(path, |content| {
        let from = content.len().saturating_sub(bytes);
        content[from..].fill(0);
    });
}

#[test]
fn any_zeroed_end_of_the_active_segment_is_cut_and_told() {
    const COUNT: usize = 40;
    // The last byte of all is the count of headers, which is 0 already.
    for bytes in (2..2200).step_by(37) {
        let disk = stopped(COUNT);
        let path = logs(&disk).pop().unwrap();
        let len = disk.bytes_of(&path).unwrap().len();
        zero_end(&disk, &path, bytes);
        let (mut log, report) = reopened(&disk, COUNT, tail_budget(1));
        let left = values(&log);
        assert_eq!(left, names(left.len()), "{bytes} zeroed");
        assert!(left.len() < COUNT, "{bytes} zeroed of {len}");
        let (from, upto) = (log.log_end(), Offset(COUNT as i64));
        assert_eq!(report.lost, Some(Lost { from, upto, clean: true }), "{bytes} zeroed");
        assert_eq!(from, Offset(left.len() as i64));
        for n in left.len()..COUNT + 5 {
            append(&mut log, &batch(&[&format!("v{n:02}")]));
        }
        assert_eq!(values(&log), names(COUNT + 5));
    }
}

#[test]
fn one_flipped_bit_anywhere_in_the_tail_is_found() {
    const COUNT: usize = 30;
    let disk = stopped(COUNT);
    let path = logs(&disk).pop().unwrap();
    let len = disk.bytes_of(&path).unwrap().len();
    for at in (0..len).step_by(5) {
        let copy = disk.after_kill();
        copy.tamper(&path, |content| content[at] ^= 0x10);
        let (log, report) = reopened(&copy, COUNT, tail_budget(1));
        assert!(report.lost.is_some(), "byte {at} of {len}");
        let left = values(&log);
        assert_eq!(left, names(left.len()), "byte {at} of {len}");
        assert_eq!(log.latest_epoch().unwrap_or(support::EPOCH), support::EPOCH);
    }
}

#[test]
fn a_tail_that_is_cut_at_a_batch_border_is_missed() {
    const COUNT: usize = 20;
    let disk = stopped(COUNT);
    let path = logs(&disk).pop().unwrap();
    disk.tamper(&path, |content| content.truncate(content.len() / COUNT * (COUNT - 3)));
    let (log, report) = reopened(&disk, COUNT, tail_budget(1));
    let lost = Lost { from: Offset(17), upto: Offset(20), clean: true };
    assert_eq!((report.lost, report.bytes_cut, log.log_end()), (Some(lost), 0, Offset(17)));
    assert!(report.mended());
}

#[test]
fn a_wiped_folder_is_told_from_a_new_one() {
    let (_, fresh) = reopened(&SimDisk::new(), 0, 0);
    assert_eq!((fresh.is_new, fresh.lost), (true, None));
    let (_, wiped) = reopened(&SimDisk::new(), 7, 0);
    let lost = Lost { from: Offset(0), upto: Offset(7), clean: true };
    assert_eq!((wiped.is_new, wiped.lost), (true, Some(lost)));
}

#[test]
fn damage_at_the_end_of_a_closed_segment_cuts_nothing_and_is_not_served() {
    const COUNT: usize = 60;
    let disk = stopped(COUNT);
    let all = logs(&disk);
    assert!(all.len() >= 2);
    let closed = &all[all.len() - 2];
    zero_end(&disk, closed, 10);
    let (log, report) = reopened(&disk, COUNT, tail_budget(1));
    assert_eq!((report.lost, report.damages), (None, 1));
    assert_eq!(log.log_end(), Offset(COUNT as i64));
    let damage = log.reader().damages()[0];
    assert_eq!(damage.first, damage.last, "one batch of one record");
    let read = |offset: Offset| log.reader().read(offset, 300, true, log.log_end());
    assert!(matches!(read(damage.first), Err(ReadError::Damaged { .. })));
    assert_eq!(read(damage.last.plus(1)).unwrap().first, damage.last.plus(1));
    let before = read(damage.first.plus(-1)).unwrap();
    assert_eq!(before.len, before.first_batch_len, "ends before the damage");
}

#[test]
fn so_much_is_verified_as_the_budget_allows() {
    let disk = stopped(40);
    let active = disk.bytes_of(&logs(&disk).pop().unwrap()).unwrap().len() as u64;
    let (_, none) = reopened(&disk, 40, 0);
    assert!(none.bytes_verified <= 500, "{none:?}");
    let (_, some) = reopened(&disk, 40, active / 2);
    assert!(some.bytes_verified >= active / 2 && some.bytes_verified < active, "{some:?}");
    let (_, more) = reopened(&disk, 40, active + 100);
    assert!(more.bytes_verified > active + 99 || logs(&disk).len() == 1, "{more:?}");
    assert!(!none.mended() && !some.mended() && !more.mended());
    assert_eq!(tail_budget(1), 16 << 20);
    assert_eq!(tail_budget(100_000), 64 << 10);
}
