//! A partition's folder: segments, indexes, leader epochs, producer snapshots and what else lies
//! there, any of it wrong. The log opens or says why not; once open it can be read, appended to,
//! closed, and opened again with the same records.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use naru_log::{Disk, Log, LogConfig, NewBatch, OpenOptions, Origin};
use naru_model::{LeaderEpoch, Offset, Timestamp};
use naru_records::{BatchBuilder, BatchHeader, BatchOptions};

use super::{Memory, Target, batches};
use crate::random::Random;
use crate::sim_disk::SimDisk;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const FOLDER: &str = "/t-0";
/// The disk is in memory, each file of it twice, and recovery has buffers of its own.
const MEMORY: Memory = Memory { factor: 256, floor: 24 << 20 };

/// See the module. An input is a byte of circumstances, then files: a byte that names one, a
/// length of two bytes, its bytes.
pub(super) fn target() -> Target {
    Target {
        name: "log-folder",
        about: "a partition's files, opened after a crash or a clean stop",
        make: Box::new(make),
        repair,
        take: Box::new(take),
        memory: MEMORY,
    }
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 700, index_interval_bytes: 100, ..LogConfig::default() }
}

fn open(disk: &Arc<dyn Disk>, clean: bool) -> Option<Log> {
    let options = OpenOptions {
        config: config(),
        clean,
        recovery_point: clean.then_some(Offset(0)),
        log_start: None,
        tail_bytes: 4096,
        now: NOW,
    };
    Log::open(Arc::clone(disk), Path::new(FOLDER), options, &|_| {}).ok().map(|(log, _)| log)
}

/// The files of a log that was written to for a while.
fn make(random: &mut Random) -> Vec<u8> {
    let sim = SimDisk::new();
    let disk: Arc<dyn Disk> = Arc::clone(&sim) as Arc<dyn Disk>;
    let mut log = open(&disk, true).expect("an empty folder opens");
    for _ in 0..random.below(12) {
        let bytes = batches::batch(random, Some(0));
        let batch = NewBatch::built(&bytes).expect("a batch that was built");
        let epoch = LeaderEpoch(i32::from(random.byte() % 2));
        let _ = log.append_one(batch, Origin::Replication, epoch, NOW);
    }
    if random.once_in(2) {
        let _ = log.close();
    } else {
        drop(log);
    }
    let mut out = vec![random.byte()];
    for path in sim.paths() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (Some(number), Some(bytes)) = (number_of(name), sim.bytes_of(&path)) else { continue };
        out.push(number);
        out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(&bytes[..bytes.len().min(usize::from(u16::MAX))]);
    }
    out
}

const SUFFIXES: [&str; 8] = [
    ".log",
    ".index",
    ".timeindex",
    ".txnindex",
    ".snapshot",
    ".log.swap",
    ".index.swap",
    ".log.deleted",
];
const OTHERS: [&str; 3] = ["leader-epoch-checkpoint", "partition.metadata", "other"];

/// Files of offsets up to 28 have numbers; eight kinds each.
fn number_of(name: &str) -> Option<u8> {
    if let Some(at) = OTHERS.iter().position(|other| *other == name) {
        return u8::try_from(0xf0 + at).ok();
    }
    let (offset, suffix) = name.split_at_checked(20)?;
    let kind = SUFFIXES.iter().position(|known| *known == suffix)?;
    let offset: usize = offset.parse().ok()?;
    (offset < 29).then(|| u8::try_from(offset * 8 + kind).ok()).flatten()
}

fn name_of(number: u8) -> String {
    match number {
        0xf0.. => OTHERS[usize::from(number - 0xf0) % OTHERS.len()].to_owned(),
        _ => format!("{:020}{}", number / 8, SUFFIXES[usize::from(number % 8)]),
    }
}

/// Where each file's number and bytes are.
fn files(input: &[u8]) -> Vec<(u8, std::ops::Range<usize>)> {
    let mut files = Vec::new();
    let mut at = 1;
    while let Some([number, high, low]) = input.get(at..).and_then(<[u8]>::first_chunk).copied() {
        let len = usize::from(u16::from_be_bytes([high, low]));
        let end = (at + 3 + len).min(input.len());
        files.push((number, at + 3..end));
        at = end;
    }
    files
}

#[expect(clippy::ptr_arg, reason = "the type of `Target::repair`: others change the length")]
fn repair(input: &mut Vec<u8>) {
    for (number, range) in files(input) {
        let name = name_of(number);
        if name.ends_with(".log") {
            let mut bytes = input[range.clone()].to_vec();
            batches::repair(&mut bytes);
            input[range].copy_from_slice(&bytes);
        } else if name.ends_with(".snapshot") && range.len() > 6 {
            let crc = crc32c::crc32c(&input[range.start + 6..range.end]);
            input[range.start + 2..range.start + 6].copy_from_slice(&crc.to_be_bytes());
        }
    }
}

fn take(input: &[u8]) -> bool {
    let sim = SimDisk::new();
    let disk: Arc<dyn Disk> = Arc::clone(&sim) as Arc<dyn Disk>;
    disk.create_dir_all(Path::new(FOLDER)).expect("a simulated disk");
    for (number, range) in files(input) {
        let path: PathBuf = Path::new(FOLDER).join(name_of(number));
        let file = disk.open(&path, true).expect("a simulated disk");
        file.set_len(0).expect("a simulated disk");
        let mut bytes = [std::io::IoSlice::new(&input[range])];
        file.write_all_at(&mut bytes, 0).expect("a simulated disk");
    }
    let clean = input.first().is_some_and(|byte| byte & 1 != 0);
    let Some(mut log) = open(&disk, clean) else { return false };
    let _ = read(&log);
    let appended = append(&mut log);
    let (before, end) = (read(&log), log.reader().log_end());
    if input.first().is_some_and(|byte| byte & 2 != 0) {
        let _ = log.close();
    } else {
        drop(log);
    }
    let Some(log) = open(&disk, false) else { return false };
    let after = read(&log);
    // What was not verified at the first opening may be found to be damaged at the second.
    if appended.is_some() && !clean {
        assert_eq!(log.reader().log_end(), end, "an opened log keeps its end");
        assert_eq!(after, before, "an opened log keeps its records");
    }
    true
}

/// Appends a batch at the end; its offset.
fn append(log: &mut Log) -> Option<Offset> {
    let mut builder = BatchBuilder::new();
    builder.append_plain(NOW, Some(b"k"), Some(b"v"));
    let bytes = builder.build(&BatchOptions::default()).expect("a small batch");
    let batch = NewBatch::built(&bytes).expect("a batch that was built");
    let epoch = log.reader().latest_epoch().unwrap_or(LeaderEpoch(0));
    log.append_one(batch, Origin::Client, epoch, NOW).ok().map(|appended| appended.first_offset)
}

/// First and next offset of every batch, as far as they can be read; and all else that is asked
/// of a log.
fn read(log: &Log) -> Vec<(Offset, Offset)> {
    let reader = log.reader();
    let (start, end) = (reader.log_start(), reader.log_end());
    assert!(start <= end, "a log does not end before it begins: {start} {end}");
    let mut found = Vec::new();
    let mut next = start;
    while next < end {
        let Ok(slice) = reader.read(next, 512, true, end) else { break };
        let _ = reader.aborted_in(&slice, next);
        let Ok(bytes) = slice.read_bytes() else { break };
        let before = next;
        for item in naru_records::batches(&bytes) {
            let Ok((header, _)) = item else { break };
            found.push(places(&header));
            next = next.max(header.next_offset());
        }
        if next == before {
            break;
        }
    }
    let _ = reader.offset_at_time(NOW);
    let _ = reader.max_timestamp();
    let _ = reader.offset_metadata(end);
    let _ = (reader.epoch_at(start), reader.epoch_end(LeaderEpoch(1)), log.producers());
    found
}

fn places(header: &BatchHeader) -> (Offset, Offset) {
    (header.base_offset, header.next_offset())
}
