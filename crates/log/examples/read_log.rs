//! Opens a partition's folder and says what is in it:
//! `cargo run -p naru-log --example read_log -- FOLDER [clean]`. Without `clean` everything is
//! verified. The folder may be mended by that, so give it a copy.

#![expect(clippy::unwrap_used, reason = "a program for tests may stop at what it did not expect")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use naru_log::{Log, LogConfig, OpenOptions, OsDisk};
use naru_model::Timestamp;
use naru_records::{batches, read_records};

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().expect("a folder"));
    let clean = args.next().is_some_and(|arg| arg == "clean");
    let options = OpenOptions {
        config: LogConfig::default(),
        clean,
        recovery_point: None,
        log_start: None,
        tail_bytes: 0,
        now: Timestamp(0),
    };
    let began = Instant::now();
    let (log, report) = Log::open(Arc::new(OsDisk), &folder, options, &|_| {}).unwrap();
    println!("opened in {:?}: {report:?}", began.elapsed());
    println!("{:?}, {} segments", log.offsets(), log.segment_count());
    println!("greatest timestamp: {:?}", log.reader().max_timestamp().unwrap());
    for producer in log.producers() {
        println!("{producer:?}");
    }
    let began = Instant::now();
    let (mut next, mut records, mut bytes) = (log.log_start(), 0usize, 0usize);
    while next < log.log_end() {
        let slice = log.reader().read(next, 1 << 20, true, log.log_end()).unwrap();
        let run = bytes::Bytes::from(slice.read_bytes().unwrap());
        bytes += run.len();
        for item in batches(&run) {
            let (header, batch) = item.unwrap();
            header.check_crc(batch).unwrap();
            let batch = run.slice_ref(batch);
            records += read_records(&batch, 1 << 30).unwrap().map(Result::unwrap).count();
            next = header.next_offset();
        }
    }
    println!("{records} records, {bytes} bytes read in {:?}", began.elapsed());
}
