//! Fetched bytes of one partition and the records that come out of them, batch by batch. Pure.
//!
//! Records of aborted transactions and control records never come out; the position passes them.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use naru_model::TopicPartition;
use naru_protocol::messages::fetch_response::AbortedTransaction;
use naru_records::{
    BatchError, ControlRecord, EndTxnMarker, Records, TimestampType, batches, read_records,
};

use crate::error::{Error, Result};

/// A record as a consumer sees it. All parts are owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// Offset within the partition.
    pub offset: i64,
    /// Milliseconds since 1970, -1 if it has none.
    pub timestamp: i64,
    /// Null or bytes.
    pub key: Option<Bytes>,
    /// Null (a tombstone) or bytes.
    pub value: Option<Bytes>,
    /// Keys and values, in order; keys should be UTF-8.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Consecutive records of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    /// Where they are from.
    pub partition: TopicPartition,
    /// Whose clock their timestamps are from.
    pub timestamp_type: TimestampType,
    /// Epoch of the leader that wrote them, -1 if unknown.
    pub leader_epoch: i32,
    /// The records, by rising offset; never none.
    pub records: Vec<ConsumerRecord>,
}

impl RecordBatch {
    /// What to commit when all of them have been dealt with.
    pub fn next_offset(&self) -> i64 {
        self.records.last().map_or(0, |record| record.offset + 1)
    }
}

/// What one fetch brought for a partition.
#[derive(Debug)]
pub(crate) struct Buffer {
    partition: TopicPartition,
    bytes: Bytes,
    at: usize,
    /// Transactions that were aborted, by first offset; empty unless committed data is read.
    aborted: VecDeque<AbortedTransaction>,
    /// Producers whose records are being skipped.
    skipped: HashSet<i64>,
    check_crcs: bool,
    inflated_max: u64,
}

/// What comes next out of a buffer.
#[derive(Debug)]
pub(crate) enum Next {
    /// Records, and the offset after them.
    Records(RecordBatch, i64),
    /// Nothing for the user, but the position moves.
    Skip(i64),
    /// The buffer is used up.
    Empty,
}

impl Buffer {
    pub(crate) fn new(
        partition: TopicPartition,
        bytes: Bytes,
        mut aborted: Vec<AbortedTransaction>,
        check_crcs: bool,
        inflated_max: u64,
    ) -> Self {
        aborted.sort_by_key(|transaction| transaction.first_offset);
        let (aborted, skipped) = (aborted.into(), HashSet::new());
        Self { partition, bytes, at: 0, aborted, skipped, check_crcs, inflated_max }
    }

    /// Whether no whole batch is left.
    pub(super) fn is_empty(&self) -> bool {
        batches(&self.bytes[self.at..]).next().is_none()
    }

    /// The next batch's records from `position` on.
    pub(crate) fn next(&mut self, position: i64) -> Result<Next> {
        let rest = self.bytes.slice(self.at..);
        let Some(item) = batches(&rest).next() else { return Ok(Next::Empty) };
        let (header, batch) = item.map_err(|source| self.error(source))?;
        self.at += batch.len();
        let next_offset = header.next_offset().0;
        if next_offset <= position {
            return Ok(Next::Skip(position));
        }
        if self.check_crcs {
            header.check_crc(batch).map_err(|source| self.error(source))?;
        }
        let batch = rest.slice_ref(batch);
        if header.is_control() {
            self.note_markers(header.producer_id.0, &batch)?;
            return Ok(Next::Skip(next_offset));
        }
        if header.is_transactional() && self.is_aborted(header.producer_id.0, next_offset) {
            return Ok(Next::Skip(next_offset));
        }
        let mut wanted = Vec::new();
        for record in read_records(&batch, self.inflated_max).map_err(|s| self.error(s))? {
            let record = record.map_err(|source| self.error(source))?;
            if record.offset.0 >= position {
                wanted.push(ConsumerRecord {
                    offset: record.offset.0,
                    timestamp: record.timestamp.0,
                    key: record.key,
                    value: record.value,
                    headers: record.headers,
                });
            }
        }
        if wanted.is_empty() {
            return Ok(Next::Skip(next_offset));
        }
        let batch = RecordBatch {
            partition: self.partition.clone(),
            timestamp_type: header.timestamp_type(),
            leader_epoch: header.partition_leader_epoch.0,
            records: wanted,
        };
        Ok(Next::Records(batch, next_offset))
    }

    /// Whether a batch of this producer before `end` belongs to an aborted transaction.
    fn is_aborted(&mut self, producer_id: i64, end: i64) -> bool {
        while let Some(first) = self.aborted.front()
            && first.first_offset < end
        {
            self.skipped.insert(first.producer_id);
            self.aborted.pop_front();
        }
        self.skipped.contains(&producer_id)
    }

    /// An abort marker ends the skipping of its producer's records.
    fn note_markers(&mut self, producer_id: i64, batch: &Bytes) -> Result<()> {
        let mut scratch = Vec::new();
        let records = Records::open(batch, self.inflated_max, &mut scratch);
        for record in records.map_err(|source| self.error(source))? {
            let record = record.map_err(|source| self.error(source))?;
            if let Some(ControlRecord::EndTxn(EndTxnMarker::Abort { .. })) =
                ControlRecord::read(&record)
            {
                self.skipped.remove(&producer_id);
            }
        }
        Ok(())
    }

    fn error(&self, source: BatchError) -> Error {
        Error::Batch {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_model::{Offset, Timestamp};
    use naru_records::{BatchBuilder, BatchOptions};

    fn batch(base: i64, values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for value in values {
            builder.append_plain(Timestamp(7), None, Some(value.as_bytes()));
        }
        let options = BatchOptions { base_offset: Offset(base), ..Default::default() };
        builder.build(&options).unwrap()
    }

    fn buffer(bytes: Vec<u8>) -> Buffer {
        Buffer::new(TopicPartition::new("t", 0), bytes.into(), vec![], true, 1 << 20)
    }

    #[test]
    fn records_before_the_position_do_not_come_out() {
        let mut buffer = buffer([batch(10, &["a", "b", "c"]), batch(13, &["d"])].concat());
        let Next::Records(first, next) = buffer.next(11).unwrap() else { panic!("records") };
        assert_eq!(next, 13);
        assert_eq!(first.records.iter().map(|r| r.offset).collect::<Vec<_>>(), [11, 12]);
        let Next::Records(second, _) = buffer.next(13).unwrap() else { panic!("records") };
        assert_eq!(second.records[0].value.as_deref(), Some(&b"d"[..]));
        assert!(matches!(buffer.next(14).unwrap(), Next::Empty));
    }

    #[test]
    fn a_partial_last_batch_is_left_for_the_next_fetch() {
        let mut bytes = batch(0, &["a"]);
        bytes.extend_from_slice(&batch(1, &["b"])[..40]);
        let mut buffer = buffer(bytes);
        assert!(matches!(buffer.next(0).unwrap(), Next::Records(..)));
        assert!(matches!(buffer.next(1).unwrap(), Next::Empty));
    }

    #[test]
    fn a_wrong_checksum_is_an_error_and_not_a_record() {
        let mut bytes = batch(0, &["a"]);
        *bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(buffer(bytes).next(0), Err(Error::Batch { .. })));
    }
}
