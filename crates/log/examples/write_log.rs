//! Writes a partition's folder, for Apache Kafka's own DumpLogSegments to read:
//! `cargo run -p naru-log --example write_log -- FOLDER`.

#![expect(clippy::unwrap_used, reason = "a program for tests may stop at what it did not expect")]

use std::path::PathBuf;
use std::sync::Arc;

use naru_log::{Log, LogConfig, NewBatch, OpenOptions, Origin, OsDisk};
use naru_model::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence, Timestamp};
use naru_records::{BatchBuilder, BatchOptions, Compression, ProducerStamp};

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("a folder"));
    let now = Timestamp(1_700_000_000_000);
    let config = LogConfig { segment_bytes: 300_000, ..LogConfig::default() };
    let options = OpenOptions {
        config,
        clean: true,
        recovery_point: None,
        log_start: None,
        tail_bytes: 0,
        now,
    };
    let mut sequence = 0;
    // Closing and reopening in between leaves its traces in the indexes.
    for round in 0..3 {
        let (mut log, report) =
            Log::open(Arc::new(OsDisk), &folder, options.clone(), &|_| {}).unwrap();
        println!("opened: {report:?}");
        for n in 0..1500 {
            let mut builder = BatchBuilder::new();
            let records = 1 + n % 7;
            for r in 0..records {
                let time = Timestamp(now.0 + i64::from(round * 100_000 + n * 10 + r));
                let value = format!("round {round} batch {n} record {r}");
                builder.append(
                    time,
                    Some(n.to_string().as_bytes()),
                    Some(value.as_bytes()),
                    [(b"h".as_slice(), Some(b"v".as_slice()))],
                );
            }
            let producer = (n % 3 == 0).then_some(ProducerStamp {
                id: ProducerId(77),
                epoch: ProducerEpoch(1),
                base_sequence: Sequence(sequence),
            });
            if producer.is_some() {
                sequence += records;
            }
            let compression = Compression::ALL[usize::try_from(n).unwrap() % 5];
            let options = BatchOptions { compression, producer, ..BatchOptions::default() };
            let bytes = builder.build(&options).unwrap();
            let batch = NewBatch::built(&bytes).unwrap();
            log.append_one(batch, Origin::Client, LeaderEpoch(round), now).unwrap();
        }
        println!("closed at {}", log.close().unwrap());
    }
}
