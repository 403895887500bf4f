//! Building batches: what our client, the coordinators and the controller write.

use std::io;

use naru_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::codec::{Compression, compress};
use crate::header::{BatchHeader, HEADER_LEN, LOG_OVERHEAD, ProducerStamp, TimestampType, crc_of};
use crate::varint;

/// Everything about a batch but its records.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchOptions {
    /// The codec.
    pub compression: Compression,
    /// The codec's level; its default if none.
    pub level: Option<i32>,
    /// Offset of the first record: 0 from producers.
    pub base_offset: Offset,
    /// The epoch of the leader that places it; none from producers.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The idempotent producer, if any.
    pub producer: Option<ProducerStamp>,
    /// Part of a transaction.
    pub transactional: bool,
    /// Holds control records.
    pub control: bool,
    /// If set, the broker's time of the append for the whole batch.
    pub log_append_time: Option<Timestamp>,
}

/// Collects records, then makes one batch of them.
#[derive(Debug, Clone, Default)]
pub struct BatchBuilder {
    records: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a record; the first one's timestamp becomes the batch's base.
    pub fn append<'h>(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'h [u8], Option<&'h [u8]>), IntoIter: Clone>,
    ) {
        let headers = headers.into_iter();
        if self.count == 0 {
            self.base_timestamp = timestamp.0;
            self.max_timestamp = timestamp.0;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp.0);
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp);
        let offset_delta = i64::from(self.count);

        let mut header_count = 0i64;
        let mut length = 1 + varint::len(timestamp_delta) + varint::len(offset_delta);
        length += nullable_len(key) + nullable_len(value);
        for (key, value) in headers.clone() {
            header_count += 1;
            length += nullable_len(Some(key)) + nullable_len(value);
        }
        length += varint::len(header_count);

        let out = &mut self.records;
        out.reserve(length + 5);
        varint::write(out, length as i64);
        out.push(0);
        varint::write(out, timestamp_delta);
        varint::write(out, offset_delta);
        write_nullable(out, key);
        write_nullable(out, value);
        varint::write(out, header_count);
        for (key, value) in headers {
            write_nullable(out, Some(key));
            write_nullable(out, value);
        }
        self.count += 1;
    }

    /// Appends a record without headers.
    pub fn append_plain(&mut self, timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.append(timestamp, key, value, []);
    }

    /// How many records it has.
    pub const fn record_count(&self) -> i32 {
        self.count
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch if it were built without compression.
    pub const fn uncompressed_size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// An upper bound of what a record without headers adds, in bytes.
    pub fn size_bound(key: Option<&[u8]>, value: Option<&[u8]>) -> usize {
        // Length, attributes, timestamp delta, offset delta and header count at their longest.
        22 + nullable_len(key) + nullable_len(value)
    }

    /// Makes the batch. An error can only come from a codec that cannot get its memory, or from
    /// a batch of more than 2 GiB.
    pub fn build(&self, options: &BatchOptions) -> io::Result<Vec<u8>> {
        let mut out = vec![0; HEADER_LEN];
        compress(options.compression, options.level, &self.records, &mut out)?;
        let length = i32::try_from(out.len() - LOG_OVERHEAD)
            .map_err(|_| io::Error::other("a batch of more than 2 GiB"))?;
        let producer = options.producer.unwrap_or(ProducerStamp {
            id: ProducerId(-1),
            epoch: ProducerEpoch(-1),
            base_sequence: Sequence(-1),
        });
        let timestamp_type = match options.log_append_time {
            Some(_) => TimestampType::LogAppendTime,
            None => TimestampType::CreateTime,
        };
        let mut header = BatchHeader {
            base_offset: options.base_offset,
            length,
            partition_leader_epoch: options.leader_epoch.unwrap_or(LeaderEpoch(-1)),
            crc: 0,
            attributes: BatchHeader::attributes_of(
                options.compression,
                timestamp_type,
                options.transactional,
                options.control,
            ),
            last_offset_delta: self.count - 1,
            base_timestamp: Timestamp(self.base_timestamp),
            max_timestamp: options.log_append_time.unwrap_or(Timestamp(self.max_timestamp)),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: producer.base_sequence,
            record_count: self.count,
        };
        out[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        header.crc = crc_of(&out);
        out[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        Ok(out)
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.count = 0;
    }
}

fn nullable_len(field: Option<&[u8]>) -> usize {
    match field {
        None => 1,
        Some(bytes) => varint::len(bytes.len() as i64) + bytes.len(),
    }
}

fn write_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => varint::write(out, -1),
        Some(bytes) => {
            varint::write(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
