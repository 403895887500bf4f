//! Rot in closed segments: found by the scrub and by reads, never served, mended byte by byte.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use naru_log::{
    Damage, Disk, Log, LogConfig, LogReader, NewBatch, Origin, ReadError, RepairError, Scrub,
};
use naru_model::{LeaderEpoch, Offset};
use naru_records::batches;
use proptest::prelude::*;
use support::sim_disk::{Fault, SimDisk};
use support::{NOW, batch, open, read_all};

const COUNT: i64 = 61;

fn dir() -> PathBuf {
    PathBuf::from("/data/t-0")
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 900, index_interval_bytes: 200, ..LogConfig::default() }
}

fn as_disk(disk: &Arc<SimDisk>) -> Arc<dyn Disk> {
    Arc::clone(disk) as Arc<dyn Disk>
}

/// Sixty-one records in batches of one and two, of three epochs, in several segments.
fn written(disk: &Arc<SimDisk>) -> Log {
    let (mut log, _) = open(&as_disk(disk), &dir(), &config(), true);
    let mut n = 0;
    while n < COUNT - 1 {
        let values: Vec<String> = (n..(n + 1 + n % 3 / 2)).map(|n| format!("v{n:02}")).collect();
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let epoch = LeaderEpoch(i32::try_from(n / 25).unwrap());
        let bytes = batch(&texts);
        log.append_one(NewBatch::built(&bytes).unwrap(), Origin::Client, epoch, NOW).unwrap();
        n += values.len() as i64;
    }
    log
}

fn stopped() -> Arc<SimDisk> {
    let disk = SimDisk::new();
    written(&disk).close().unwrap();
    disk
}

fn reopened(disk: &Arc<SimDisk>) -> Log {
    open(&as_disk(disk), &dir(), &config(), true).0
}

fn logs(disk: &SimDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.extension() == Some("log".as_ref())).collect()
}

/// One whole look, in steps of `budget` bytes.
fn scrubbed(reader: &LogReader, budget: u64) -> Vec<Damage> {
    let mut scrub = Scrub::new(reader.clone());
    let mut found = Vec::new();
    for _ in 0..10_000 {
        let step = scrub.step(budget).unwrap();
        found.extend(step.damage);
        if step.done {
            return found;
        }
    }
    panic!("a look through a log must end");
}

/// What another replica answers for these offsets.
fn fetched(good: &Log, damage: &Damage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = damage.first;
    while next <= damage.last {
        let slice = good.reader().read(next, 100, true, good.log_end()).unwrap();
        let part = slice.read_bytes().unwrap();
        for item in batches(&part) {
            let (header, batch) = item.unwrap();
            bytes.extend_from_slice(batch);
            next = header.next_offset();
        }
    }
    bytes
}

fn mend(log: &mut Log, good: &Log) {
    for damage in log.reader().damages() {
        log.repair(&damage, &fetched(good, &damage), false).unwrap();
    }
}

/// Reads everything that can be read; every batch must be good. The offsets that cannot.
fn readable(log: &Log) -> (Vec<i64>, Vec<i64>) {
    let (mut read, mut refused) = (Vec::new(), Vec::new());
    let end = log.log_end();
    let mut next = log.log_start();
    while next < end {
        match log.reader().read(next, 400, true, end) {
            Ok(slice) => {
                let bytes = slice.read_bytes().unwrap();
                let before = next;
                for (header, batch) in batches(&bytes).map_while(Result::ok) {
                    header.check_crc(batch).unwrap();
                    read.extend(header.base_offset.0..header.next_offset().0);
                    next = header.next_offset();
                }
                assert!(next > before, "a read must bring something");
            }
            Err(ReadError::Damaged { .. }) => {
                refused.push(next.0);
                next = next.plus(1);
            }
            Err(error) => panic!("{error}"),
        }
    }
    (read, refused)
}

#[test]
fn a_healthy_log_is_looked_through_in_steps_of_any_size() {
    let disk = stopped();
    let log = reopened(&disk);
    assert!(log.segment_count() > 3);
    for budget in [0, 1, 100, 1000, u64::MAX] {
        assert_eq!(scrubbed(&log.reader(), budget), []);
    }
    let mut scrub = Scrub::new(log.reader());
    let mut bytes = 0;
    loop {
        let step = scrub.step(300).unwrap();
        assert!(step.bytes <= 300 + 200);
        bytes += step.bytes;
        if step.done {
            break;
        }
    }
    let closed =
        log.reader().size() - disk.bytes_of(&logs(&disk).pop().unwrap()).unwrap().len() as u64;
    assert_eq!(bytes, closed);
}

#[test]
fn a_flipped_bit_in_any_byte_of_closed_segments_is_found_refused_and_mended() {
    let good_disk = stopped();
    let good = reopened(&good_disk);
    let files = logs(&good_disk);
    for path in &files[..files.len() - 1] {
        let original = good_disk.bytes_of(path).unwrap();
        for at in 0..original.len() {
            let disk = good_disk.after_kill();
            disk.tamper(path, |bytes| bytes[at] ^= 1 << (at % 8));
            let mut log = reopened(&disk);
            let found = scrubbed(&log.reader(), 500);
            let case = format!("byte {at} of {}", path.display());
            assert_eq!(found.len(), 1, "{case}");
            let lost = found[0].last.0 - found[0].first.0 + 1;
            assert!(lost <= 12, "{case}: {lost} records are given up");
            assert_eq!(log.reader().damages(), found, "{case}");
            mend(&mut log, &good);
            assert_eq!(disk.bytes_of(path).unwrap(), original, "{case}");
            assert_eq!(log.reader().damages(), []);
            assert_eq!(scrubbed(&log.reader(), 500), [], "{case}");
        }
    }
}

#[test]
fn what_no_scrub_has_seen_yet_is_not_served_either() {
    let good_disk = stopped();
    let files = logs(&good_disk);
    let path = &files[1];
    let len = good_disk.bytes_of(path).unwrap().len();
    for at in (0..len).step_by(3) {
        let disk = good_disk.after_kill();
        disk.tamper(path, |bytes| bytes[at] ^= 0x40);
        let log = reopened(&disk);
        let (read, refused) = readable(&log);
        assert!(!refused.is_empty(), "byte {at}");
        assert!(refused.len() <= 12, "byte {at}: {refused:?}");
        let mut all = [read, refused].concat();
        all.sort_unstable();
        assert_eq!(all, (0..COUNT).collect::<Vec<i64>>(), "byte {at}");
        assert_eq!(log.reader().damages().len(), 1, "byte {at}");
    }
}

#[test]
fn records_before_and_after_damage_are_found_by_offset_and_time() {
    let disk = stopped();
    let path = logs(&disk).swap_remove(1);
    disk.tamper(&path, |bytes| bytes[300..364].fill(0xa5));
    let log = reopened(&disk);
    let damage = scrubbed(&log.reader(), 1 << 20)[0];
    let end = log.log_end();
    for offset in 0..COUNT {
        let read = log.reader().read(Offset(offset), 1, true, end);
        assert_eq!(read.is_err(), damage.contains(Offset(offset)), "{offset} {read:?}");
        if let Ok(slice) = read {
            assert!(slice.first <= Offset(offset));
        }
    }
    assert!(log.reader().offset_at_time(NOW).unwrap().is_some());
    assert!(log.reader().max_timestamp().is_ok());
    log.mend_indexes().unwrap();
}

#[test]
fn damage_outlives_a_restart_until_it_is_mended() {
    let good_disk = stopped();
    let good = reopened(&good_disk);
    let disk = good_disk.after_kill();
    let path = logs(&disk).swap_remove(1);
    disk.tamper(&path, |bytes| bytes[100] ^= 1);
    let mut log = reopened(&disk);
    let found = scrubbed(&log.reader(), 1 << 20);
    log.save_damages().unwrap();
    log.close().unwrap();
    let (mut log, report) = open(&as_disk(&disk), &dir(), &config(), true);
    assert_eq!((report.damages, log.reader().damages()), (1, found));
    mend(&mut log, &good);
    log.close().unwrap();
    assert!(!disk.paths().iter().any(|path| path.ends_with("naru-damages")));
    let (log, report) = open(&as_disk(&disk), &dir(), &config(), true);
    assert!(!report.mended(), "{report:?}");
    assert_eq!(readable(&log).1, Vec::<i64>::new());
}

#[test]
fn a_lost_end_or_a_lost_file_is_missed_and_written_anew() {
    let good_disk = stopped();
    let good = reopened(&good_disk);
    let files = logs(&good_disk);
    for keep_percent in [0, 40, 99] {
        let disk = good_disk.after_kill();
        let original = disk.bytes_of(&files[1]).unwrap();
        disk.tamper(&files[1], |bytes| bytes.truncate(bytes.len() * keep_percent / 100));
        let mut log = reopened(&disk);
        let found = scrubbed(&log.reader(), 600);
        assert_eq!(found.len(), 1, "{keep_percent} %");
        let (_, refused) = readable(&log);
        let lost = found[0].first.0..=found[0].last.0;
        assert_eq!(refused, lost.collect::<Vec<i64>>(), "{keep_percent} %");
        mend(&mut log, &good);
        assert_eq!(disk.bytes_of(&files[1]).unwrap(), original);
        assert_eq!(readable(&log).1, Vec::<i64>::new());
        assert_eq!(read_all(&log.reader(), 300), read_all(&good.reader(), 300));
        assert_eq!(scrubbed(&log.reader(), 600), []);
        // The indexes are whole again: what the next start makes of them is nothing.
        log.close().unwrap();
        let (_, report) = open(&as_disk(&disk), &dir(), &config(), true);
        assert!(!report.mended(), "{report:?}");
    }
}

#[test]
fn two_damages_in_one_segment_are_mended_one_after_the_other() {
    let good_disk = stopped();
    let good = reopened(&good_disk);
    let disk = good_disk.after_kill();
    let path = logs(&disk).swap_remove(1);
    let original = disk.bytes_of(&path).unwrap();
    disk.tamper(&path, |bytes| {
        bytes[70] ^= 1;
        bytes.truncate(bytes.len() - 40);
    });
    let mut log = reopened(&disk);
    let found = scrubbed(&log.reader(), 1 << 20);
    assert_eq!(found.len(), 2, "{found:?}");
    // The one at the end needs a new file, in which the other one is still closed to readers.
    log.repair(&found[1], &fetched(&good, &found[1]), false).unwrap();
    assert_eq!(log.reader().damages(), [found[0]]);
    assert!(log.reader().read(found[0].first, 100, true, log.log_end()).is_err());
    mend(&mut log, &good);
    assert_eq!(disk.bytes_of(&path).unwrap(), original);
}

#[test]
fn only_the_right_records_mend_damage() {
    let good_disk = stopped();
    let good = reopened(&good_disk);
    let disk = good_disk.after_kill();
    let path = logs(&disk).swap_remove(1);
    disk.tamper(&path, |bytes| bytes[100..400].fill(7));
    let mut log = reopened(&disk);
    let damage = scrubbed(&log.reader(), 1 << 20)[0];
    let right = fetched(&good, &damage);
    let first = naru_records::BatchHeader::parse(&right).unwrap();
    let mut refuse = |bytes: &[u8]| log.repair(&damage, bytes, false).unwrap_err();
    assert!(matches!(refuse(&[]), RepairError::NotCovering { .. }));
    assert!(matches!(refuse(&right[first.size()..]), RepairError::NotCovering { .. }));
    assert!(matches!(refuse(&right[..first.size()]), RepairError::NotCovering { .. }));
    assert!(matches!(refuse(&right[..right.len() - 1]), RepairError::NotCovering { .. }));
    let mut flipped = right.clone();
    flipped[80] ^= 1;
    assert!(matches!(refuse(&flipped), RepairError::Damaged { .. }));
    let mut other_epoch = right.clone();
    let mut header = *other_epoch.first_chunk().unwrap();
    naru_records::patch_placement(&mut header, first.base_offset, LeaderEpoch(77));
    other_epoch[..header.len()].copy_from_slice(&header);
    assert!(matches!(refuse(&other_epoch), RepairError::OtherHistory { .. }));
    let elsewhere = Damage { first: Offset(0), ..damage };
    assert!(matches!(log.repair(&elsewhere, &right, false), Err(RepairError::Gone)));
    assert_eq!(log.reader().damages(), [damage]);
    // More than is needed, on both sides, does no harm.
    let wider = Damage { first: damage.first.plus(-2), last: damage.last.plus(3), ..damage };
    log.repair(&damage, &fetched(&good, &wider), false).unwrap();
    assert!(matches!(log.repair(&damage, &right, false), Err(RepairError::Gone)));
    assert_eq!(readable(&log).1, Vec::<i64>::new());
}

#[test]
fn a_failure_at_any_call_of_mending_leaves_damage_or_what_is_good() {
    let good_disk = stopped();
    let good = reopened(&good_disk);
    let path = logs(&good_disk).swap_remove(1);
    let original = good_disk.bytes_of(&path).unwrap();
    for cut in [false, true] {
        for fault in [Fault::Io, Fault::FullAfter(0), Fault::FullAfter(20)] {
            for step in 1..20 {
                let disk = good_disk.after_kill();
                disk.tamper(&path, |bytes| match cut {
                    true => bytes.truncate(500),
                    false => bytes[100] ^= 1,
                });
                let mut log = reopened(&disk);
                let damage = scrubbed(&log.reader(), 1 << 20)[0];
                log.save_damages().unwrap();
                let bytes = fetched(&good, &damage);
                disk.fail_at(step, fault);
                let mended = log.repair(&damage, &bytes, false);
                disk.heal();
                let case = format!("cut {cut} {fault:?} at {step}: {mended:?}");
                // Whatever became of it, neither this process nor the next serves bad bytes.
                let (_, refused) = readable(&log);
                if mended.is_ok() {
                    assert_eq!(disk.bytes_of(&path).unwrap(), original, "{case}");
                    assert!(refused.is_empty(), "{case}");
                }
                drop(log);
                let crashed = disk.after_kill();
                let mut log = reopened(&crashed);
                scrubbed(&log.reader(), 1 << 20);
                let (_, refused) = readable(&log);
                assert!(refused.iter().all(|offset| damage.contains(Offset(*offset))), "{case}");
                mend(&mut log, &good);
                assert_eq!(crashed.bytes_of(&path).unwrap(), original, "{case}");
                assert_eq!(read_all(&log.reader(), 300), read_all(&good.reader(), 300), "{case}");
            }
        }
    }
}

#[test]
fn a_follower_may_be_cut_at_the_damage_and_fetch_again() {
    let good_disk = stopped();
    let good = reopened(&good_disk);
    let disk = good_disk.after_kill();
    let path = logs(&disk).swap_remove(1);
    disk.tamper(&path, |bytes| bytes[100..164].fill(0x5a));
    let mut log = reopened(&disk);
    let damage = scrubbed(&log.reader(), 1 << 20)[0];
    assert_eq!(log.truncate_to(damage.last, NOW).unwrap(), damage.first);
    assert_eq!(log.reader().damages(), []);
    while log.log_end() < good.log_end() {
        let slice = good.reader().read(log.log_end(), 300, true, good.log_end()).unwrap();
        log.append_as_follower(&slice.read_bytes().unwrap(), NOW).unwrap();
    }
    assert_eq!(read_all(&log.reader(), 300), read_all(&good.reader(), 300));
    // Damage that nobody knows of does not stop a cut behind it either.
    let disk = good_disk.after_kill();
    disk.tamper(&path, |bytes| bytes[100..164].fill(0x5a));
    let mut log = reopened(&disk);
    let end = log.truncate_to(damage.last.plus(2), NOW).unwrap();
    assert!(end > damage.last && end <= damage.last.plus(2));
}

#[test]
fn a_snapshot_takes_the_place_of_the_beginning() {
    let disk = stopped();
    let mut log = reopened(&disk);
    let segments = log.segment_count();
    let deleted = log.trim_to(Offset(30)).unwrap().unwrap();
    assert!(deleted.segments > 0 && deleted.segments < segments);
    assert_eq!(deleted.log_start, Offset(30));
    deleted.remove().unwrap();
    assert!(log.trim_to(Offset(20)).unwrap().is_none(), "never back");
    assert_eq!(log.log_start(), Offset(30));
    assert_eq!(read_all(&log.reader(), 300).first().map(|record| record.0), Some(30));
    assert_eq!(log.reader().epoch_at(Offset(30)), Some(LeaderEpoch(1)));
    let all = log.trim_to(Offset(i64::MAX)).unwrap().unwrap();
    assert_eq!((all.log_start, log.segment_count()), (Offset(COUNT), 1));
    log.truncate_fully_and_start_at(Offset(500), NOW).unwrap();
    assert_eq!((log.log_start(), log.log_end()), (Offset(500), Offset(500)));
    assert_eq!(log.latest_epoch(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random bytes over random stretches of random closed segments.
    #[test]
    fn whatever_is_overwritten_is_never_served_and_comes_back(
        wounds in proptest::collection::vec((any::<u16>(), any::<u16>(), 1usize..200, any::<u8>()), 1..5),
        scrub_first in any::<bool>(),
    ) {
        let good_disk = stopped();
        let good = reopened(&good_disk);
        let files = logs(&good_disk);
        let disk = good_disk.after_kill();
        for (file, at, len, noise) in wounds {
            let path = &files[usize::from(file) % (files.len() - 1)];
            disk.tamper(path, |bytes| {
                let from = usize::from(at) % bytes.len();
                let to = (from + len).min(bytes.len());
                for (n, byte) in bytes[from..to].iter_mut().enumerate() {
                    *byte = noise.wrapping_mul(31).wrapping_add(u8::try_from(n % 251).unwrap());
                }
            });
        }
        let mut log = reopened(&disk);
        if scrub_first {
            scrubbed(&log.reader(), 333);
        }
        let before = read_all(&good.reader(), 1 << 20);
        let (read, refused) = readable(&log);
        prop_assert!(read.iter().chain(&refused).count() >= before.len());
        scrubbed(&log.reader(), 333);
        mend(&mut log, &good);
        for path in &files {
            prop_assert_eq!(disk.bytes_of(path), good_disk.bytes_of(path));
        }
        prop_assert_eq!(read_all(&log.reader(), 300), before);
    }
}
