//! The producer snapshot file, version 1: version, CRC-32C, then one entry per producer.

use naru_model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::producers::{KnownBatch, ProducerEntry, Producers};

const VERSION: i16 = 1;
const ENTRIES_AT: usize = 6;
const ENTRY_LEN: usize = 46;

/// The bytes of a snapshot file.
pub(crate) fn to_bytes(producers: &Producers) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENTRIES_AT + 4 + producers.len() * ENTRY_LEN);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&i32::try_from(producers.len()).unwrap_or(i32::MAX).to_be_bytes());
    for (id, entry) in producers.iter() {
        let last = entry.last_batch();
        let (sequence, offset, delta) =
            last.map_or((-1, -1, 0), |b| (b.last_sequence.0, b.last_offset.0, b.offset_delta));
        out.extend_from_slice(&id.0.to_be_bytes());
        out.extend_from_slice(&entry.epoch.0.to_be_bytes());
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&offset.to_be_bytes());
        out.extend_from_slice(&delta.to_be_bytes());
        out.extend_from_slice(&entry.last_timestamp.0.to_be_bytes());
        out.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        let txn = entry.txn_first_offset.map_or(-1, |offset| offset.0);
        out.extend_from_slice(&txn.to_be_bytes());
    }
    let crc = crc32c::crc32c(&out[ENTRIES_AT..]);
    out[2..ENTRIES_AT].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Reads a snapshot file; none if it is damaged.
pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Producers> {
    let mut at = Cursor(bytes);
    if i16::from_be_bytes(at.take()?) != VERSION {
        return None;
    }
    if u32::from_be_bytes(at.take()?) != crc32c::crc32c(at.0) {
        return None;
    }
    let count = usize::try_from(i32::from_be_bytes(at.take()?)).ok()?;
    let mut producers = Producers::default();
    for _ in 0..count {
        let id = ProducerId(i64::from_be_bytes(at.take()?));
        let mut entry = ProducerEntry::new(ProducerEpoch(i16::from_be_bytes(at.take()?)));
        let last_sequence = Sequence(i32::from_be_bytes(at.take()?));
        let last_offset = Offset(i64::from_be_bytes(at.take()?));
        let offset_delta = i32::from_be_bytes(at.take()?);
        let timestamp = Timestamp(i64::from_be_bytes(at.take()?));
        entry.last_timestamp = timestamp;
        entry.coordinator_epoch = i32::from_be_bytes(at.take()?);
        let txn = i64::from_be_bytes(at.take()?);
        entry.txn_first_offset = (txn >= 0).then_some(Offset(txn));
        if last_offset.0 >= 0 {
            entry.push(KnownBatch { last_sequence, last_offset, offset_delta, timestamp });
        }
        producers.restore(id, Some(entry));
    }
    at.0.is_empty().then_some(producers)
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}
