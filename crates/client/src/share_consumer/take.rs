//! Records of a share fetch: those that were acquired, and the holes between them. Pure.

use naru_model::TopicPartition;
use naru_protocol::messages::share_fetch_response::{AcquiredRecords, PartitionData};

use super::{SharedBatch, Source};
use crate::config::ConsumerConfig;
use crate::consumer::{Buffer, Next};
use crate::error::Result;

/// What one partition brought: batches of acquired records, and acquired offsets without one.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) batches: Vec<SharedBatch>,
    /// First and last.
    pub(super) holes: Vec<(i64, i64)>,
}

/// Reads what was acquired of a partition. Offsets that hold no record for the user (markers,
/// what compaction has removed) are holes.
pub(super) fn take(
    partition: &TopicPartition,
    data: &PartitionData,
    from: Source,
    config: &ConsumerConfig,
) -> Result<Taken> {
    let mut taken = Taken::default();
    let Some(first) = data.acquired_records.first() else { return Ok(taken) };
    let bytes = data.records.inline();
    let (crcs, inflated_max) = (config.check_crcs, config.inflated_max);
    let mut buffer = Buffer::new(partition.clone(), bytes, Vec::new(), crcs, inflated_max);
    let mut position = first.first_offset;
    let mut seen = Vec::new();
    loop {
        match buffer.next(position)? {
            Next::Records(batch, next) => {
                position = next;
                let mut records = Vec::with_capacity(batch.records.len());
                for record in batch.records {
                    if let Some(range) = range_of(&data.acquired_records, record.offset) {
                        seen.push(record.offset);
                        records.push((record, range.delivery_count));
                    }
                }
                if !records.is_empty() {
                    taken.batches.push(SharedBatch {
                        partition: partition.clone(),
                        timestamp_type: batch.timestamp_type,
                        records,
                        from,
                    });
                }
            }
            Next::Skip(next) => position = next,
            Next::Empty => break,
        }
    }
    for range in &data.acquired_records {
        // What lies behind the bytes that came is not a hole: it is given back with the rest.
        let end = range.last_offset.min(position - 1);
        let mut at = range.first_offset;
        for offset in seen.iter().filter(|offset| (range.first_offset..=end).contains(*offset)) {
            if *offset > at {
                taken.holes.push((at, offset - 1));
            }
            at = offset + 1;
        }
        if at <= end {
            taken.holes.push((at, end));
        }
    }
    Ok(taken)
}

fn range_of(ranges: &[AcquiredRecords], offset: i64) -> Option<&AcquiredRecords> {
    ranges.iter().find(|range| (range.first_offset..=range.last_offset).contains(&offset))
}

#[cfg(test)]
mod tests {
    use naru_model::{Offset, Timestamp, Uuid};
    use naru_protocol::Records;
    use naru_records::{BatchBuilder, BatchOptions};

    use super::*;

    fn batch(base: i64, values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for value in values {
            builder.append_plain(Timestamp(7), None, Some(value.as_bytes()));
        }
        let options = BatchOptions { base_offset: Offset(base), ..Default::default() };
        builder.build(&options).unwrap()
    }

    #[test]
    fn only_what_was_acquired_comes_out_and_holes_are_told() {
        let bytes = [batch(10, &["a", "b", "c"]), batch(15, &["d"])].concat();
        let range = |first_offset, last_offset, delivery_count| AcquiredRecords {
            first_offset,
            last_offset,
            delivery_count,
        };
        let data = PartitionData {
            records: Records::Inline(bytes.into()),
            acquired_records: vec![range(11, 11, 2), range(12, 20, 1)],
            ..PartitionData::default()
        };
        let from = Source { broker: 1, session: 1, key: (Uuid::ONE, 0) };
        let partition = TopicPartition::new("t", 0);
        let taken = take(&partition, &data, from, &ConsumerConfig::default()).unwrap();
        let records = taken.batches.iter().flat_map(|batch| &batch.records);
        let records: Vec<_> = records.map(|(record, count)| (record.offset, *count)).collect();
        assert_eq!(records, [(11, 2), (12, 1), (15, 1)]);
        // 16 to 20 did not come: they are not dealt with.
        assert_eq!(taken.holes, [(13, 14)]);
    }
}
