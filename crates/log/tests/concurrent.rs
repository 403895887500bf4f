//! Readers beside a writer that rolls and deletes.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::sync::Arc;

use naru_log::{Disk, Log, LogConfig, LogReader, OsDisk, ReadError, SyncPlan};
use naru_model::Offset;
use naru_records::batches;
use support::{NOW, append, batch, open};

const BATCHES: i64 = 4000;

fn is_send<T: Send>() {}
fn is_shared<T: Send + Sync + Clone>() {}

#[test]
fn a_log_may_move_and_a_reader_may_be_shared() {
    is_send::<Log>();
    is_send::<SyncPlan>();
    is_shared::<LogReader>();
}

#[test]
fn readers_see_whole_batches_in_order_whatever_the_writer_does() {
    let temp = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let config = LogConfig {
        segment_bytes: 3000,
        index_interval_bytes: 200,
        retention_bytes: Some(20_000),
        ..LogConfig::default()
    };
    let (mut log, _) = open(&disk, temp.path(), &config, true);
    let readers: Vec<_> = [100usize, 900, 5000]
        .into_iter()
        .map(|max_bytes| {
            let reader = log.reader();
            std::thread::spawn(move || follow(&reader, max_bytes))
        })
        .collect();
    for n in 0..BATCHES {
        append(&mut log, &batch(&[&n.to_string(), "second"]));
        if n % 50 == 0 {
            let end = log.log_end();
            if let Some(deleted) = log.delete_old_segments(end, NOW).unwrap() {
                deleted.remove().unwrap();
            }
        }
    }
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
}

/// Reads to the end that the writer will reach; returns how many batches were seen.
fn follow(reader: &LogReader, max_bytes: usize) -> usize {
    let (mut next, mut seen) = (Offset(0), 0);
    while next < Offset(BATCHES * 2) {
        let slice = match reader.read(next, max_bytes, true, reader.log_end()) {
            Ok(slice) => slice,
            Err(ReadError::OutOfRange { start, .. }) => {
                assert!(start > next, "only retention may overtake a reader");
                next = start;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let bytes = slice.read_bytes().unwrap();
        for item in batches(&bytes) {
            let (header, batch) = item.unwrap();
            header.check_crc(batch).unwrap();
            assert_eq!(header.base_offset, next);
            next = header.next_offset();
            seen += 1;
        }
    }
    seen
}
