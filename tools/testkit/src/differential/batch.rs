//! Record batches for the scenarios: whole ones, and damaged ones.

use naru_model::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use naru_protocol::Records;
use naru_records::{BatchBuilder, BatchOptions, ProducerStamp, crc_of};

/// The time of the first record of a batch; an answer that holds it is the same in every run.
pub const TIME: i64 = 1_700_000_000_000;

/// A batch of records `v0`, `v1`, ... a second apart.
pub fn plain(count: usize) -> Vec<u8> {
    at(TIME, count)
}

/// Like [`plain`], beginning at `time`.
pub fn at(time: i64, count: usize) -> Vec<u8> {
    build(time, count, BatchOptions::default())
}

/// A batch of an idempotent producer.
pub fn stamped(id: i64, epoch: i16, base_sequence: i32, count: usize) -> Vec<u8> {
    let producer = Some(ProducerStamp {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(base_sequence),
    });
    build(TIME, count, BatchOptions { producer, ..BatchOptions::default() })
}

pub fn build(time: i64, count: usize, options: BatchOptions) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for index in 0..count {
        let time = Timestamp(time + 1000 * i64::try_from(index).expect("few records"));
        let (key, value) = (format!("k{index}"), format!("v{index}"));
        builder.append_plain(time, Some(key.as_bytes()), Some(value.as_bytes()));
    }
    builder.build(&options).expect("a small batch")
}

/// One record of `size` bytes.
pub fn large(size: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append_plain(Timestamp(TIME), None, Some(&vec![b'x'; size]));
    builder.build(&BatchOptions::default()).expect("a batch")
}

/// One record without a key; without a value too if `tombstone`.
pub fn keyless(tombstone: bool) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append_plain(Timestamp(TIME), None, (!tombstone).then_some(b"v"));
    builder.build(&BatchOptions::default()).expect("a small batch")
}

/// The batch with bytes at a place of its header replaced; the CRC is made right again.
pub fn patched(mut batch: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc_of(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// The batch with its last byte flipped, which its CRC does not forgive.
pub fn corrupt(mut batch: Vec<u8>) -> Vec<u8> {
    if let Some(last) = batch.last_mut() {
        *last ^= 0xff;
    }
    batch
}

pub fn records(batch: Vec<u8>) -> Records {
    Records::Inline(batch.into())
}
