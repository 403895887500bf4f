//! Batches that Apache Kafka 4.3.1's own classes wrote, one per codec, with the same 40 records.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use bytes::Bytes;
use naru_model::Timestamp;
use naru_records::{
    BatchBuilder, BatchHeader, BatchOptions, Compression, ProduceLimits, Records, TimestampType,
    read_records, validate_produced, verify_stored,
};

type Row = (i64, Option<String>, Option<String>, Vec<(String, Option<String>)>);

fn golden(codec: Compression) -> Vec<u8> {
    let path = format!("{}/tests/golden/java-{codec}.batch", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn expected() -> Vec<Row> {
    (0..40i64)
        .map(|n| {
            let timestamp = 1_700_000_000_000 + n * 7 - if n == 5 { 100 } else { 0 };
            let key = (n % 3 != 0).then(|| format!("key-{n}"));
            let value = (n % 5 != 0).then(|| format!("value {n} lorem ipsum dolor sit amet"));
            let mut headers = vec![];
            if n % 4 == 0 {
                headers = vec![("h".to_owned(), Some(format!("v{n}"))), ("h".to_owned(), None)];
            }
            (timestamp, key, value, headers)
        })
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn rows(batch: &[u8]) -> Vec<Row> {
    let mut scratch = Vec::new();
    let records = Records::open(batch, 1 << 20, &mut scratch).unwrap();
    records
        .enumerate()
        .map(|(index, record)| {
            let record = record.unwrap();
            assert_eq!(record.offset.0, index as i64);
            let headers = record.headers.map(|h| (text(h.key), h.value.map(text))).collect();
            (record.timestamp.0, record.key.map(text), record.value.map(text), headers)
        })
        .collect()
}

fn limits() -> ProduceLimits {
    ProduceLimits {
        max_message_bytes: 1_048_588,
        inflated_max: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted: false,
        now: Timestamp(1_700_000_000_000),
    }
}

#[test]
fn what_java_writes_is_read_record_for_record() {
    for codec in Compression::ALL {
        let batch = golden(codec);
        assert_eq!(rows(&batch), expected(), "{codec}");
        let owned = read_records(&Bytes::from(batch.clone()), 1 << 20).unwrap();
        let values: Vec<_> = owned.map(|r| r.unwrap().value.map(|v| text(&v))).collect();
        assert_eq!(values, expected().into_iter().map(|row| row.2).collect::<Vec<_>>());
    }
}

#[test]
fn what_java_writes_is_accepted_with_its_true_maximum_timestamp() {
    for codec in Compression::ALL {
        let valid = validate_produced(&golden(codec), &limits()).unwrap();
        assert_eq!(valid.max_timestamp, Timestamp(1_700_000_000_000 + 39 * 7));
        assert_eq!(valid.max_timestamp, valid.header.max_timestamp);
        assert_eq!(valid.record_count(), 40);
        assert_eq!(valid.header.compression(), Ok(codec));
        let stamp = valid.header.producer().unwrap();
        assert_eq!((stamp.id.0, stamp.epoch.0, stamp.base_sequence.0), (4000, 3, 17));
        assert_eq!(valid.header.last_sequence().0, 56);
    }
}

#[test]
fn we_build_the_very_bytes_that_java_builds() {
    let java = golden(Compression::None);
    let header = BatchHeader::parse(&java).unwrap();
    let mut builder = BatchBuilder::new();
    for (timestamp, key, value, headers) in expected() {
        builder.append(
            Timestamp(timestamp),
            key.as_ref().map(String::as_bytes),
            value.as_ref().map(String::as_bytes),
            headers.iter().map(|(k, v)| (k.as_bytes(), v.as_ref().map(String::as_bytes))),
        );
    }
    let options = BatchOptions { producer: header.producer(), ..BatchOptions::default() };
    assert_eq!(builder.build(&options).unwrap(), java);
    assert_eq!(builder.uncompressed_size(), java.len());
    // Snappy and LZ4 have no freedom worth naming, but encoders differ: only reading back counts.
    for compression in Compression::ALL {
        let batch = builder.build(&BatchOptions { compression, ..options }).unwrap();
        assert_eq!(rows(&batch), expected());
        if let Some(folder) = std::env::var_os("NARU_WRITE_BATCHES") {
            let path = std::path::Path::new(&folder).join(format!("naru-{compression}.batch"));
            std::fs::write(path, &batch).unwrap();
        }
    }
}

#[test]
fn stored_batches_are_verified_up_to_the_first_bad_byte() {
    let mut log = Vec::new();
    for (index, codec) in Compression::ALL.into_iter().enumerate() {
        let mut batch = golden(codec);
        batch[..8].copy_from_slice(&(index as i64 * 40).to_be_bytes());
        log.extend_from_slice(&batch);
    }
    let whole = verify_stored(&log);
    assert_eq!((whole.batches, whole.valid_bytes, whole.fault), (5, log.len(), None));
    assert_eq!(whole.next_offset.map(|o| o.0), Some(200));

    let first = golden(Compression::None).len();
    for at in (first + 21)..log.len().min(first + 400) {
        let mut damaged = log.clone();
        damaged[at] ^= 1;
        let summary = verify_stored(&damaged);
        assert_eq!(summary.valid_bytes, first, "byte {at}");
        assert!(summary.fault.is_some());
    }
    let cut = verify_stored(&log[..log.len() - 1]);
    assert_eq!(cut.batches, 4);
    assert!(cut.fault.is_some());
}
