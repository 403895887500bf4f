//! A disk that is full: appends are refused, all else goes on, and it heals by itself. So it is
//! with index entries while there are no file descriptors left.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use naru_log::{
    AppendError, Checkpoint, Disk, Health, Log, LogConfig, LogDir, NewBatch, OffsetCheckpoint,
    Origin,
};
use naru_model::{LeaderEpoch, Offset};
use support::sim_disk::{Fault, SimDisk};
use support::{NOW, append, batch, batch_at, open, read_all, try_append};

fn dir() -> PathBuf {
    PathBuf::from("/data/t-0")
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 600, index_interval_bytes: 100, ..LogConfig::default() }
}

fn as_disk(disk: &Arc<SimDisk>) -> Arc<dyn Disk> {
    Arc::clone(disk) as Arc<dyn Disk>
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

fn is_full(result: Result<Offset, AppendError>) -> bool {
    matches!(result, Err(AppendError::Storage(error)) if error.is_full())
}

#[test]
fn wherever_space_ends_nothing_is_lost_and_appends_go_on_when_it_returns() {
    for room in 0..1500 {
        let disk = SimDisk::new();
        let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
        fill(&mut log, 0, 5);
        disk.limit_room(room);
        let mut there = 5;
        // Batches of other sizes come between, so that the next one may fit where one did not.
        for n in 0..30 {
            let value = format!("v{there}");
            let padded = format!("{value:>width$}", width = 1 + (n * 13) % 60);
            match try_append(&mut log, &batch(&[&padded])) {
                Ok(_) => there += 1,
                Err(AppendError::Storage(error)) if error.is_full() => {}
                Err(error) => panic!("room {room}: {error}"),
            }
            assert_eq!(log.failure(), None, "room {room}");
            assert_eq!(log.log_end().0, there);
        }
        let read = || -> Vec<String> {
            values(&log).into_iter().map(|value| value.trim().to_owned()).collect()
        };
        assert_eq!(read(), names(usize::try_from(there).unwrap()), "room {room}");
        // A crash on the full disk: it opens, and reads the same.
        let crashed = disk.after_kill();
        crashed.limit_room(0);
        let (again, _) = open(&as_disk(&crashed), &dir(), &config(), false);
        assert_eq!(values(&again).len() as i64, there, "room {room}");
        disk.heal();
        append(&mut log, &batch(&["on"]));
        assert_eq!(log.log_end().0, there + 1);
    }
}

#[test]
fn a_stop_on_a_full_disk_is_a_clean_stop() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    fill(&mut log, 0, 20);
    disk.limit_room(0);
    assert!(log.checkpoint().is_ok());
    assert_eq!(log.close().unwrap(), Offset(20));
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config(), true);
    assert_eq!(values(&log), names(20));
    assert!(is_full(try_append(&mut log, &batch(&["x"]))));
    disk.heal();
    fill(&mut log, 20, 40);
    assert_eq!(values(&log), names(40));
}

#[test]
fn retention_deletion_and_truncation_work_on_a_full_disk() {
    let disk = SimDisk::new();
    let config = LogConfig { retention_ms: Some(1000), ..config() };
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config, true);
    for n in 0..30 {
        let bytes = batch_at(NOW.0 - 100_000, &[&format!("v{n}")]);
        let epoch = LeaderEpoch(n / 10);
        log.append_one(NewBatch::built(&bytes).unwrap(), Origin::Client, epoch, NOW).unwrap();
    }
    disk.limit_room(0);
    assert_eq!(log.advance_log_start(Offset(12)).unwrap(), Offset(12));
    assert_eq!(log.truncate_to(Offset(25), NOW).unwrap(), Offset(25));
    disk.limit_room(0);
    // All are old, the active one too, for whose successor there is no space yet.
    let deleted = log.delete_old_segments(Offset(25), NOW).unwrap().unwrap();
    assert!(deleted.segments >= 2);
    deleted.remove().unwrap();
    assert!(disk.room().unwrap() > 500);
    let last = log.delete_old_segments(Offset(25), NOW).unwrap().unwrap();
    assert_eq!((last.segments, last.log_start), (1, Offset(25)));
    append(log_of_epoch(&mut log), &batch(&["v25"]));
}

/// Appends in these tests are of epoch 0 otherwise.
fn log_of_epoch(log: &mut Log) -> &mut Log {
    log.truncate_fully_and_start_at(log.log_end(), NOW).unwrap();
    log
}

#[test]
fn a_full_directory_keeps_a_reserve_for_what_must_go_on() {
    let temp = tempfile::tempdir().unwrap();
    let disk = SimDisk::new();
    // The lock is the operating system's, whatever the disk.
    let mut log_dir = LogDir::open(as_disk(&disk), temp.path()).unwrap();
    assert_eq!(log_dir.refill_reserve(4000).unwrap(), Health::Online);
    let folder = temp.path().join("t-0");
    let (mut log, _) = open(&as_disk(&disk), &folder, &config(), true);
    log.report_to(Arc::clone(log_dir.health()));
    fill(&mut log, 0, 5);
    disk.limit_room(100);
    while try_append(&mut log, &batch(&["more"])).is_ok() {}
    assert_eq!(log_dir.health().now(), Health::Full);
    // Nothing is written any more, however small.
    let room = disk.room();
    assert!(is_full(try_append(&mut log, &batch(&["x"]))));
    assert_eq!(disk.room(), room);
    log_dir.release_reserve().unwrap();
    assert!(is_full(try_append(&mut log, &batch(&["x"]))), "the reserve is not for appends");
    let offsets = OffsetCheckpoint::from([(naru_model::TopicPartition::new("t", 0), Offset(5))]);
    log_dir.write_checkpoint(Checkpoint::RecoveryPoint, &offsets).unwrap();
    log_dir.mark_clean_shutdown(3).unwrap();
    // The reserve's own space is not taken for space that has returned.
    assert_eq!(log_dir.refill_reserve(4000).unwrap(), Health::Full);
    disk.heal();
    assert_eq!(log_dir.refill_reserve(4000).unwrap(), Health::Online);
    append(&mut log, &batch(&["on"]));
    let meta =
        naru_log::MetaProperties { cluster_id: "c".to_owned(), node_id: 1, directory_id: None };
    log_dir.format(meta).unwrap();
}

#[test]
fn the_real_disk_keeps_a_reserve_too() {
    let temp = tempfile::tempdir().unwrap();
    let dir = LogDir::open(Arc::new(naru_log::OsDisk), temp.path()).unwrap();
    assert_eq!(dir.refill_reserve(1 << 20).unwrap(), Health::Online);
    let kept = temp.path().join(".naru-reserve");
    assert_eq!(std::fs::metadata(&kept).unwrap().len(), 1 << 20);
    assert!(dir.folders().unwrap().is_empty());
    dir.release_reserve().unwrap();
    assert!(!kept.exists());
    // Twice is once.
    dir.release_reserve().unwrap();
}

#[test]
fn a_disk_that_fails_takes_the_log_and_its_directory_offline() {
    let temp = tempfile::tempdir().unwrap();
    for sync_fails in [true, false] {
        let disk = SimDisk::new();
        let log_dir = LogDir::open(as_disk(&disk), temp.path()).unwrap();
        let folder = |name: &str| temp.path().join(name);
        let (mut log, _) = open(&as_disk(&disk), &folder("t-0"), &config(), true);
        let (mut other, _) = open(&as_disk(&disk), &folder("t-1"), &config(), true);
        log.report_to(Arc::clone(log_dir.health()));
        other.report_to(Arc::clone(log_dir.health()));
        fill(&mut log, 0, 2);
        if sync_fails {
            disk.fail_syncs();
            let plan = log.sync_plan().unwrap().unwrap();
            let error = plan.execute().unwrap_err();
            log.mark_failed(&error);
        } else {
            disk.fail_at(1, Fault::Io);
            let refused = try_append(&mut log, &batch(&["x"]));
            assert!(matches!(refused, Err(AppendError::Storage(_))));
        }
        disk.heal();
        assert!(log.failure().is_some());
        assert_eq!(log_dir.health().now(), Health::Failed);
        for log in [&mut log, &mut other] {
            // Never tried again into silence.
            assert!(matches!(try_append(log, &batch(&["x"])), Err(AppendError::Failed(_))));
        }
        assert_eq!(log_dir.refill_reserve(100).unwrap(), Health::Failed);
        assert_eq!(values(&log), names(2), "reading goes on");
    }
}

#[test]
fn a_follower_forgets_the_epoch_of_what_it_could_not_append() {
    let leader_disk = SimDisk::new();
    let (mut leader, _) = open(&as_disk(&leader_disk), &dir(), &config(), true);
    let disk = SimDisk::new();
    let (mut follower, _) = open(&as_disk(&disk), &dir(), &config(), true);
    for epoch in [3, 5] {
        let bytes = batch(&["x"]);
        let epoch = LeaderEpoch(epoch);
        leader.append_one(NewBatch::built(&bytes).unwrap(), Origin::Client, epoch, NOW).unwrap();
    }
    let bytes = |from: i64, to: i64| {
        let slice = leader.reader().read(Offset(from), 1 << 20, true, Offset(to)).unwrap();
        slice.read_bytes().unwrap()
    };
    follower.append_as_follower(&bytes(0, 1), NOW).unwrap();
    // Room for the checkpoint of epochs, not for the batch.
    disk.limit_room(30);
    let refused = follower.append_as_follower(&bytes(1, 2), NOW);
    assert!(matches!(refused, Err(AppendError::Storage(error)) if error.is_full()));
    assert_eq!(follower.latest_epoch(), Some(LeaderEpoch(3)));
    disk.heal();
    follower.append_as_follower(&bytes(1, 2), NOW).unwrap();
    assert_eq!(follower.latest_epoch(), Some(LeaderEpoch(5)));
    assert_eq!(follower.reader().epoch_end(LeaderEpoch(3)).unwrap().end, Offset(1));
    // What an old leader would send is refused by name.
    let mut old = bytes(0, 1);
    let mut header = *old.first_chunk().unwrap();
    naru_records::patch_placement(&mut header, Offset(2), LeaderEpoch(4));
    old[..header.len()].copy_from_slice(&header);
    let refused = follower.append_as_follower(&old, NOW);
    assert!(matches!(
        refused,
        Err(AppendError::EpochWentBack { request: LeaderEpoch(4), current: LeaderEpoch(5) })
    ));
}

#[test]
fn index_entries_wait_for_a_descriptor_and_rise() {
    let disk = SimDisk::new();
    let config = LogConfig { segment_bytes: 1 << 20, ..config() };
    let (mut log, _) = open(&as_disk(&disk), &dir(), &config, true);
    log.release_files();
    let size = |kind: &str| {
        disk.bytes_of(&dir().join(format!("00000000000000000000.{kind}"))).map_or(0, |b| b.len())
    };
    fill(&mut log, 0, 1);
    disk.take_descriptors();
    log.write_pending_entries().unwrap();
    assert_eq!(size("timeindex"), 0, "there was none for it");
    disk.heal();
    log.write_pending_entries().unwrap();
    assert_eq!(size("timeindex"), 12);
    disk.take_descriptors();
    // Of the same time: no entry is due, but what the last one says cannot be read.
    fill(&mut log, 1, 20);
    log.write_pending_entries().unwrap();
    assert_eq!(size("index"), 0);
    disk.heal();
    log.write_pending_entries().unwrap();
    assert!(size("index") > 8, "{}", size("index"));
    assert_eq!(size("timeindex"), 12);
    assert_eq!(values(&log), names(20));
}
