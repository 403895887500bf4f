//! Every lie a client can tell in a batch, and the error code it gets.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use naru_model::{ErrorCode, ProducerEpoch, ProducerId, Sequence, Timestamp};
use naru_records::{
    BatchBuilder, BatchOptions, Compression, HEADER_LEN, InvalidBatch, ProduceLimits,
    ProducerStamp, TimestampType, batches, compress, crc_of, read_records, validate_produced,
    verify_stored,
};
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000_000;

fn limits() -> ProduceLimits {
    ProduceLimits {
        max_message_bytes: 1_048_588,
        inflated_max: 64 << 20,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted: false,
        now: Timestamp(NOW),
    }
}

fn three_records(compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for n in 0..3 {
        builder.append_plain(Timestamp(NOW + n), Some(b"k"), Some(b"some value"));
    }
    builder.build(&BatchOptions { compression, ..BatchOptions::default() }).unwrap()
}

/// Changes the batch at `at` and mends the checksum.
fn forged(mut batch: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    mend(batch)
}

fn mend(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc_of(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// A batch of `count` records around these bytes.
fn around(records: &[u8], count: i32, attributes: i16) -> Vec<u8> {
    let mut batch = three_records(Compression::None);
    batch.truncate(HEADER_LEN);
    batch.extend_from_slice(records);
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    mend(batch)
}

fn check(name: &str, batch: &[u8], expect: ErrorCode) {
    check_with(name, batch, &limits(), expect);
}

fn check_with(name: &str, batch: &[u8], limits: &ProduceLimits, expect: ErrorCode) {
    let code = match validate_produced(batch, limits) {
        Ok(_) => ErrorCode::None,
        Err(error) => ErrorCode::from(&error),
    };
    assert_eq!(code, expect, "{name}");
}

#[test]
fn honest_batches_of_every_codec_are_accepted() {
    for codec in Compression::ALL {
        check("honest", &three_records(codec), ErrorCode::None);
    }
}

#[test]
fn lies_in_the_header_are_refused() {
    use ErrorCode::{CorruptMessage, InvalidRecord, MessageTooLarge, UnsupportedCompressionType};
    let good = three_records(Compression::None);
    check("no bytes", b"", InvalidRecord);
    check("ten bytes", &good[..10], InvalidRecord);
    check("cut short", &good[..good.len() - 1], InvalidRecord);
    check("two batches", &[good.clone(), good.clone()].concat(), InvalidRecord);
    for (magic, code) in
        [(5i8, CorruptMessage), (1, InvalidRecord), (0, InvalidRecord), (-1, CorruptMessage)]
    {
        check("magic", &forged(good.clone(), 16, &magic.to_be_bytes()), code);
    }
    let mut bad_crc = good.clone();
    bad_crc[20] ^= 1;
    check("crc", &bad_crc, CorruptMessage);

    let length = i32::try_from(good.len() - 12).unwrap();
    for (value, code) in [
        (length - 5, CorruptMessage),
        (length + 5, InvalidRecord),
        (i32::MAX, InvalidRecord),
        (-1, CorruptMessage),
        (i32::MIN, CorruptMessage),
        (0, CorruptMessage),
    ] {
        check("length", &forged(good.clone(), 8, &value.to_be_bytes()), code);
    }
    for delta in [500i32, -5, 1, i32::MAX, i32::MIN] {
        check("last delta", &forged(good.clone(), 23, &delta.to_be_bytes()), InvalidRecord);
    }
    for count in [0i32, -1, 2, 4, i32::MAX, i32::MIN] {
        check("count", &forged(good.clone(), 57, &count.to_be_bytes()), InvalidRecord);
    }
    check("base offset", &forged(good.clone(), 0, &7i64.to_be_bytes()), InvalidRecord);
    check("codec", &forged(good.clone(), 21, &7i16.to_be_bytes()), UnsupportedCompressionType);
    check("gzip bit", &forged(good.clone(), 21, &1i16.to_be_bytes()), InvalidRecord);
    check("control bit", &forged(good.clone(), 21, &0x20i16.to_be_bytes()), InvalidRecord);
    check("transactional", &forged(good.clone(), 21, &0x10i16.to_be_bytes()), InvalidRecord);
    let small = ProduceLimits { max_message_bytes: good.len() - 1, ..limits() };
    check_with("too large", &good, &small, MessageTooLarge);
    let fits = ProduceLimits { max_message_bytes: good.len(), ..limits() };
    check_with("just fits", &good, &fits, ErrorCode::None);
}

#[test]
fn lies_in_the_records_are_refused_whether_compressed_or_not() {
    // length, attributes, timestamp delta, offset delta, key, value, headers
    let record = |delta: u8| [14u8, 0, 0, delta << 1, 1, 2, b'x', 0];
    let cases: [(&str, Vec<u8>, i32, bool); 12] = [
        ("good", [record(0), record(1)].concat(), 2, true),
        ("gap", [record(0), record(7)].concat(), 2, false),
        ("twice the same", [record(0), record(0)].concat(), 2, false),
        ("fewer than counted", record(0).to_vec(), 2, false),
        ("more than counted", [record(0), record(1)].concat(), 1, false),
        ("length too long", vec![16, 0, 0, 0, 1, 2, b'x', 0], 1, false),
        ("length too short", vec![12, 0, 0, 0, 1, 2, b'x', 0], 1, false),
        ("negative length", vec![13, 0, 0, 0, 1, 2, b'x', 0], 1, false),
        ("key beyond the end", vec![14, 0, 0, 0, 0xfe, 0xff, 3, 0], 1, false),
        ("negative key length", vec![14, 0, 0, 0, 5, 2, b'x', 0], 1, false),
        ("header count", vec![14, 0, 0, 0, 1, 2, b'x', 0x7e], 1, false),
        ("endless varint", vec![0xff; 20], 1, false),
    ];
    for (name, records, count, good) in cases {
        let expect = if good { ErrorCode::None } else { ErrorCode::InvalidRecord };
        for codec in Compression::ALL {
            let mut packed = Vec::new();
            compress(codec, None, &records, &mut packed).unwrap();
            let attributes = i16::from(codec.number());
            check(&format!("{name}, {codec}"), &around(&packed, count, attributes), expect);
        }
    }
}

#[test]
fn idempotent_batches_need_an_epoch_and_a_sequence() {
    let mut builder = BatchBuilder::new();
    builder.append_plain(Timestamp(NOW), None, Some(b"v"));
    for (epoch, sequence, code) in [
        (0, 0, ErrorCode::None),
        (0, 77, ErrorCode::None),
        (0, -7, ErrorCode::InvalidRecord),
        (-1, 0, ErrorCode::InvalidRecord),
    ] {
        let producer = Some(ProducerStamp {
            id: ProducerId(9),
            epoch: ProducerEpoch(epoch),
            base_sequence: Sequence(sequence),
        });
        let batch = builder.build(&BatchOptions { producer, ..BatchOptions::default() }).unwrap();
        check("stamp", &batch, code);
    }
}

#[test]
fn bombs_are_refused_by_the_inflated_size_and_cost_little_memory() {
    let mut builder = BatchBuilder::new();
    let zeros = vec![0; 70 << 20];
    builder.append_plain(Timestamp(NOW), None, Some(&zeros));
    for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        let batch =
            builder.build(&BatchOptions { compression: codec, ..BatchOptions::default() }).unwrap();
        assert!(batch.len() < 1_048_588, "{codec}");
        check(codec.name(), &batch, ErrorCode::MessageTooLarge);
        let roomy = ProduceLimits { inflated_max: 71 << 20, ..limits() };
        check_with(codec.name(), &batch, &roomy, ErrorCode::None);
    }
}

#[test]
fn refused_records_are_named_one_by_one() {
    let mut builder = BatchBuilder::new();
    for (time, key) in [(NOW, true), (NOW - 5000, true), (NOW + 9_000_000, false), (-1, true)] {
        builder.append_plain(Timestamp(time), key.then_some(b"k".as_slice()), Some(b"v"));
    }
    let batch = builder.build(&BatchOptions::default()).unwrap();
    let strict = ProduceLimits { timestamp_before_max_ms: 1000, ..limits() };
    let error = validate_produced(&batch, &strict).unwrap_err();
    assert_eq!(ErrorCode::from(&error), ErrorCode::InvalidTimestamp);
    let refused: Vec<_> = error.record_errors().iter().map(|e| e.batch_index).collect();
    assert_eq!(refused, [1, 2]);
    assert_eq!(
        error.record_errors()[0].problem.to_string(),
        format!(
            "Timestamp {} of message with offset 1 is out of range. The timestamp should be \
             within [{}, {}]",
            NOW - 5000,
            NOW - 1000,
            NOW + 3_600_000
        )
    );
    let append_time = ProduceLimits { timestamp_type: TimestampType::LogAppendTime, ..strict };
    check_with("append time", &batch, &append_time, ErrorCode::None);
    let compacted = ProduceLimits { compacted: true, ..append_time };
    let error = validate_produced(&batch, &compacted).unwrap_err();
    assert_eq!(ErrorCode::from(&error), ErrorCode::InvalidRecord);
    assert!(matches!(&error, InvalidBatch::Records(r) if r.len() == 1 && r[0].batch_index == 2));
}

proptest! {
    #[test]
    fn no_bytes_make_any_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        codec in 0u8..5,
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let _ = validate_produced(&bytes, &limits());
        let mut damaged = three_records(Compression::from_number(codec).unwrap());
        let at = at.index(damaged.len());
        damaged[at] = with;
        let damaged = mend(damaged);
        let accepted = validate_produced(&damaged, &limits()).is_ok();
        let _ = verify_stored(&damaged);
        let _ = batches(&damaged).count();
        let shared = bytes::Bytes::from(damaged);
        if let Ok(records) = read_records(&shared, 1 << 20) {
            let read: Vec<_> = records.collect();
            // What is accepted from clients can be read back whole.
            prop_assert!(!accepted || read.len() == 3 && read.iter().all(Result::is_ok));
        } else {
            prop_assert!(!accepted);
        }
        let framed = around(&bytes, 3, i16::from(codec));
        if validate_produced(&framed, &limits()).is_ok() {
            let shared = bytes::Bytes::from(framed);
            prop_assert_eq!(read_records(&shared, 1 << 20).unwrap().filter(|r| r.is_ok()).count(), 3);
        }
    }

    #[test]
    fn records_round_trip_through_every_codec(
        rows in proptest::collection::vec(
            (
                0i64..1 << 45,
                proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
                proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
                proptest::collection::vec(
                    (
                        proptest::collection::vec(any::<u8>(), 0..9),
                        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
                    ),
                    0..3,
                ),
            ),
            1..30,
        ),
        codec in 0u8..5,
    ) {
        let mut builder = BatchBuilder::new();
        for (time, key, value, headers) in &rows {
            builder.append(
                Timestamp(*time),
                key.as_deref(),
                value.as_deref(),
                headers.iter().map(|(k, v)| (k.as_slice(), v.as_deref())),
            );
        }
        let compression = Compression::from_number(codec).unwrap();
        let batch = builder.build(&BatchOptions { compression, ..BatchOptions::default() }).unwrap();
        let free = ProduceLimits { timestamp_type: TimestampType::LogAppendTime, ..limits() };
        let valid = validate_produced(&batch, &free).unwrap();
        prop_assert_eq!(Some(valid.max_timestamp.0), rows.iter().map(|row| row.0).max());
        let back: Vec<_> = read_records(&bytes::Bytes::from(batch), 1 << 20)
            .unwrap()
            .map(|record| {
                let record = record.unwrap();
                let own = |b: bytes::Bytes| b.to_vec();
                let headers: Vec<_> =
                    record.headers.into_iter().map(|(k, v)| (k.to_vec(), v.map(own))).collect();
                (record.timestamp.0, record.key.map(own), record.value.map(own), headers)
            })
            .collect();
        prop_assert_eq!(back, rows);
    }
}
