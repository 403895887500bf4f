//! Batches and logs for tests.

#![expect(dead_code, reason = "each test program uses a part of this")]
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

pub mod sim_disk;

use std::path::Path;
use std::sync::Arc;

use naru_log::{Disk, Log, LogConfig, LogReader, NewBatch, OpenOptions, Origin, Recovery};
use naru_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use naru_records::{BatchBuilder, BatchOptions, Compression, ProducerStamp, read_records};

pub const NOW: Timestamp = Timestamp(1_700_000_000_000);
pub const EPOCH: LeaderEpoch = LeaderEpoch(0);

/// A batch of these values, one millisecond apart from `time` on.
pub fn batch_at(time: i64, values: &[&str]) -> Vec<u8> {
    build(time, values, None, Compression::None)
}

pub fn batch(values: &[&str]) -> Vec<u8> {
    batch_at(NOW.0, values)
}

pub fn idempotent(id: i64, epoch: i16, sequence: i32, values: &[&str]) -> Vec<u8> {
    let stamp = ProducerStamp {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
    };
    build(NOW.0, values, Some(stamp), Compression::None)
}

pub fn build(
    time: i64,
    values: &[&str],
    producer: Option<ProducerStamp>,
    compression: Compression,
) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for (index, value) in values.iter().enumerate() {
        let time = Timestamp(time + index as i64);
        builder.append_plain(time, None, Some(value.as_bytes()));
    }
    builder.build(&BatchOptions { producer, compression, ..BatchOptions::default() }).unwrap()
}

pub fn options(config: &LogConfig, clean: bool) -> OpenOptions {
    OpenOptions {
        config: config.clone(),
        clean,
        recovery_point: None,
        log_start: None,
        tail_bytes: 0,
        now: NOW,
    }
}

pub fn open(disk: &Arc<dyn Disk>, dir: &Path, config: &LogConfig, clean: bool) -> (Log, Recovery) {
    Log::open(Arc::clone(disk), dir, options(config, clean), &|_| {}).unwrap()
}

pub fn append(log: &mut Log, bytes: &[u8]) -> Offset {
    try_append(log, bytes).unwrap()
}

pub fn try_append(log: &mut Log, bytes: &[u8]) -> Result<Offset, naru_log::AppendError> {
    let batch = NewBatch::built(bytes).unwrap();
    log.append_one(batch, Origin::Client, EPOCH, NOW).map(|appended| appended.first_offset)
}

/// Every record of the log, read through the reader in steps of `max_bytes`.
pub fn read_all(reader: &LogReader, max_bytes: usize) -> Vec<(i64, String)> {
    let mut records = Vec::new();
    let mut next = reader.log_start();
    loop {
        let end = reader.log_end();
        let slice = reader.read(next, max_bytes, true, end).unwrap();
        if slice.len == 0 {
            assert_eq!(next, end, "a read below the end must give something");
            return records;
        }
        let bytes = slice.read_bytes().unwrap();
        assert!(bytes.len() <= max_bytes.max(slice.first_batch_len));
        let mut walk = naru_records::batches(&bytes);
        for item in walk.by_ref() {
            let (header, batch) = item.unwrap();
            header.check_crc(batch).unwrap();
            for record in read_records(&bytes::Bytes::copy_from_slice(batch), 1 << 20).unwrap() {
                let record = record.unwrap();
                if record.offset >= next {
                    let value = record.value.map(|value| value.to_vec()).unwrap_or_default();
                    records.push((record.offset.0, String::from_utf8(value).unwrap()));
                }
            }
            next = header.next_offset();
        }
        assert!(walk.position() > 0, "the first batch must be whole");
    }
}
