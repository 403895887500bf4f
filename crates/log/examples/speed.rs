//! Measures appending, reading and recovering on this machine:
//! `cargo run --release -p naru-log --example speed -- FOLDER [MIB] [RECORDS_PER_BATCH]`.

#![expect(clippy::unwrap_used, reason = "a program for measuring may stop at any surprise")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use naru_log::{Log, LogConfig, NewBatch, OpenOptions, Origin, OsDisk};
use naru_model::{LeaderEpoch, Timestamp};
use naru_records::{BatchBuilder, BatchOptions, ProduceLimits, TimestampType, validate_produced};

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().expect("a folder")).join("t-0");
    let mib: usize = args.next().map_or(1024, |mib| mib.parse().unwrap());
    let records: usize = args.next().map_or(600, |records| records.parse().unwrap());
    let now = Timestamp(1_700_000_000_000);
    let options = |clean| OpenOptions {
        config: LogConfig::default(),
        clean,
        recovery_point: None,
        log_start: None,
        tail_bytes: 0,
        now,
    };
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.append_plain(now, None, Some(&[b'x'; 100]));
    }
    let bytes = builder.build(&BatchOptions::default()).unwrap();
    let limits = ProduceLimits {
        max_message_bytes: 1 << 30,
        inflated_max: 1 << 30,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        compacted: false,
        now,
    };
    let (mut log, _) = Log::open(Arc::new(OsDisk), &folder, options(true), &|_| {}).unwrap();
    let total = mib << 20;
    let count = total / bytes.len();
    let gigabytes = (count * bytes.len()) as f64 / 1e9;

    let began = Instant::now();
    for _ in 0..count {
        validate_produced(&bytes, &limits).unwrap();
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "validate  {:6.2} GB/s, {:5.0} ns a batch",
        gigabytes / took,
        took * 1e9 / count as f64
    );

    let valid = validate_produced(&bytes, &limits).unwrap();
    let began = Instant::now();
    for _ in 0..count {
        let batch = NewBatch::validated(&bytes, valid);
        log.append_one(batch, Origin::Client, LeaderEpoch(0), now).unwrap();
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "append    {:6.2} GB/s, {:5.0} ns a batch",
        gigabytes / took,
        took * 1e9 / count as f64
    );

    read_through("read", &log, gigabytes);

    drop(log);
    let began = Instant::now();
    let (log, report) = Log::open(Arc::new(OsDisk), &folder, options(false), &|_| {}).unwrap();
    let took = began.elapsed().as_secs_f64();
    println!("recover   {:6.2} GB/s, {took:.3} s: {report:?}", gigabytes / took);
    log.close().unwrap();
    let began = Instant::now();
    let (log, report) = Log::open(Arc::new(OsDisk), &folder, options(true), &|_| {}).unwrap();
    println!("clean start {:?}: {report:?}", began.elapsed());
    // What was there before is verified when it is first read.
    read_through("first read", &log, gigabytes);
    read_through("read again", &log, gigabytes);
}

fn read_through(what: &str, log: &Log, gigabytes: f64) {
    let reader = log.reader();
    let (mut next, mut buffer) = (log.log_start(), vec![0; 2 << 20]);
    let began = Instant::now();
    let mut reads = 0;
    while next < log.log_end() {
        let slice = reader.read(next, 1 << 20, true, log.log_end()).unwrap();
        let part = &mut buffer[..slice.len];
        slice.file.read_exact_at(part, slice.position).unwrap();
        let last = naru_records::batches(part).last().unwrap().unwrap().0;
        next = last.next_offset();
        reads += 1;
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{what:<10} {:6.2} GB/s, {:5.0} ns a read",
        gigabytes / took,
        took * 1e9 / f64::from(reads)
    );
}
