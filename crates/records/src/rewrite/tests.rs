use bytes::Bytes;
use naru_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use proptest::prelude::*;

use super::*;
use crate::{BatchBuilder, BatchOptions, OwnedRecord, ProducerStamp, read_records};

const CAP: u64 = 1 << 20;

type Given = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn batch_of(records: &[Given], codec: Compression, append_time: Option<i64>) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for (time, key, value, headers) in records {
        let headers = headers.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
        builder.append(Timestamp(*time), key.as_deref(), value.as_deref(), headers);
    }
    let options = BatchOptions {
        compression: codec,
        base_offset: Offset(1000),
        leader_epoch: Some(LeaderEpoch(3)),
        producer: Some(ProducerStamp {
            id: ProducerId(7),
            epoch: ProducerEpoch(1),
            base_sequence: Sequence(40),
        }),
        log_append_time: append_time.map(Timestamp),
        ..BatchOptions::default()
    };
    builder.build(&options).unwrap()
}

fn records(batch: &[u8]) -> Vec<OwnedRecord> {
    let batch = Bytes::copy_from_slice(batch);
    let records = read_records(&batch, CAP).unwrap();
    records.header().check_crc(&batch).unwrap();
    records.map(Result::unwrap).collect()
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40));
    let headers =
        proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..8), bytes()), 0..3);
    let time = 1_700_000_000_000i64..1_700_000_100_000;
    proptest::collection::vec((time, bytes(), bytes(), headers), 1..20)
}

proptest! {
    #[test]
    fn what_is_kept_is_what_it_was(
        given in given(),
        codec in 0u8..5,
        keep in any::<u32>(),
        append_time in proptest::option::of(1_700_000_000_000i64..1_700_000_100_000),
        horizon in proptest::option::of(1_600_000_000_000i64..1_800_000_000_000),
    ) {
        let codec = Compression::from_number(codec).unwrap();
        let batch = batch_of(&given, codec, append_time);
        let before = records(&batch);
        let wanted = |offset: Offset| keep >> (offset.0 - 1000) & 1 == 1;
        let mut scratch = Vec::new();
        let selection = select(&batch, CAP, &mut scratch, |record| wanted(record.offset)).unwrap();
        let expected: Vec<_> = before.iter().filter(|r| wanted(r.offset)).cloned().collect();
        prop_assert_eq!(selection.len(), expected.len());
        prop_assert_eq!(selection.is_whole(), expected.len() == before.len());
        prop_assert_eq!(selection.has_tombstone(), expected.iter().any(|r| r.value.is_none()));
        let fewer = selection.to_batch(horizon.map(Timestamp)).unwrap();
        prop_assert_eq!(&records(&fewer), &expected);
        let (was, is) = (BatchHeader::parse(&batch).unwrap(), BatchHeader::parse(&fewer).unwrap());
        prop_assert_eq!((was.base_offset, was.last_offset()), (is.base_offset, is.last_offset()));
        prop_assert_eq!(was.producer(), is.producer());
        prop_assert_eq!(was.last_sequence(), is.last_sequence());
        prop_assert_eq!(was.partition_leader_epoch, is.partition_leader_epoch);
        prop_assert_eq!(was.timestamp_type(), is.timestamp_type());
        if !expected.is_empty() {
            prop_assert_eq!(is.delete_horizon(), horizon.map(Timestamp));
        }
        if let Some(max) = expected.iter().map(|record| record.timestamp).max() {
            prop_assert_eq!(is.max_timestamp, max);
        }
    }

    #[test]
    fn another_codec_changes_nothing_else(
        given in given(),
        from in 0u8..5,
        to in 0u8..5,
        append_time in proptest::option::of(1_700_000_000_000i64..1_700_000_100_000),
    ) {
        let (from, to) = (Compression::ALL[usize::from(from)], Compression::ALL[usize::from(to)]);
        let batch = batch_of(&given, from, append_time);
        let other = recompress(&batch, to, None, CAP).unwrap();
        prop_assert_eq!(records(&other), records(&batch));
        let (was, is) = (BatchHeader::parse(&batch).unwrap(), BatchHeader::parse(&other).unwrap());
        prop_assert_eq!(is.compression().unwrap(), to);
        let same = BatchHeader {
            length: was.length,
            crc: was.crc,
            attributes: was.attributes,
            ..is
        };
        prop_assert_eq!(same, was);
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut scratch = Vec::new();
        let _ = select(&bytes, CAP, &mut scratch, |_| true).map(|all| all.to_batch(None));
        let _ = recompress(&bytes, Compression::Gzip, None, CAP);
    }
}

#[test]
fn an_empty_batch_remembers_its_place_and_its_producer() {
    let batch = batch_of(
        &[(5, None, Some(b"a".to_vec()), Vec::new()), (9, None, None, Vec::new())],
        Compression::Zstd,
        None,
    );
    let was = BatchHeader::parse(&batch).unwrap();
    let empty = empty_batch(&was).unwrap();
    let is = BatchHeader::parse(&empty).unwrap();
    is.check_crc(&empty).unwrap();
    assert_eq!((empty.len(), is.record_count), (HEADER_LEN, 0));
    assert_eq!((is.base_offset, is.last_offset()), (was.base_offset, was.last_offset()));
    assert_eq!((is.producer(), is.last_sequence()), (was.producer(), was.last_sequence()));
    assert_eq!((is.base_timestamp, is.max_timestamp), (Timestamp(-1), Timestamp(9)));
    assert_eq!(is.compression(), Ok(Compression::None));
    assert!(records(&empty).is_empty());
}

#[test]
fn what_inflates_to_too_much_is_refused() {
    let value = vec![0; 1 << 16];
    let batch = batch_of(&[(5, None, Some(value), Vec::new())], Compression::Lz4, None);
    let error = recompress(&batch, Compression::None, None, 1 << 10);
    assert_eq!(error, Err(BatchError::InflatedTooLarge { limit: 1 << 10 }));
}
