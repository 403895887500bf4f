//! Record batches as produced and as stored: the checks, walks, rewrites and codecs.

use bytes::Bytes;
use naru_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use naru_records::{
    BatchBuilder, BatchHeader, BatchOptions, Compression, EndTxnMarker, HEADER_LEN, ProduceLimits,
    ProducerStamp, TimestampType, batches, crc_of, empty_batch, end_txn_batch, end_txn_marker,
    read_records, recompress, select, validate_produced, verify_stored,
};

use super::{Memory, Target};
use crate::random::Random;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// What compressed records may inflate to.
const INFLATED_MAX: u64 = 1 << 20;
/// Compressors and decompressors have tables and windows of their own (zstd: 8 MiB and more),
/// inflated records are held twice, and each record that stays costs some dozen bytes.
const MEMORY: Memory = Memory { factor: 32, floor: 48 << 20 };
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// A batch of some records, as a client or a leader makes it.
pub(super) fn batch(random: &mut Random, base: Option<i64>) -> Vec<u8> {
    let producer = random.once_in(2).then(|| ProducerStamp {
        id: ProducerId(i64::from(random.byte() % 4)),
        epoch: ProducerEpoch(i16::from(random.byte() % 2)),
        base_sequence: Sequence(i32::from(random.byte() % 8)),
    });
    if base.is_some() && random.once_in(8) {
        let coordinator_epoch = 3;
        let marker = if random.once_in(2) {
            EndTxnMarker::Commit { coordinator_epoch }
        } else {
            EndTxnMarker::Abort { coordinator_epoch }
        };
        let (id, epoch) = producer.map_or((ProducerId(0), ProducerEpoch(0)), |p| (p.id, p.epoch));
        return end_txn_batch(id, epoch, marker, NOW).expect("a marker is small");
    }
    let mut builder = BatchBuilder::new();
    let same: Vec<u8> = (0..random.below(300)).map(|at| b"abcab"[at % 5]).collect();
    for index in 0..=random.below(6) {
        let key = (!random.once_in(3)).then(|| vec![b'k', random.byte() % 4]);
        let value = (!random.once_in(5)).then_some(same.as_slice());
        let header: [(&[u8], Option<&[u8]>); 1] = [(b"h", random.once_in(2).then_some(b"v"))];
        let headers = header.into_iter().take(random.below(2));
        let time = Timestamp(NOW.0 + i64::try_from(index).expect("a few records"));
        builder.append(time, key.as_deref(), value, headers);
    }
    let options = BatchOptions {
        compression: random.pick(&CODECS),
        base_offset: Offset(base.unwrap_or(0)),
        leader_epoch: base.map(|_| LeaderEpoch(i32::from(random.byte() % 3))),
        producer,
        transactional: producer.is_some() && random.once_in(2),
        ..BatchOptions::default()
    };
    builder.build(&options).expect("a small batch")
}

/// Gives every batch the length and the checksum that it should have.
#[expect(clippy::ptr_arg, reason = "the type of `Target::repair`: others change the length")]
pub(super) fn repair(input: &mut Vec<u8>) {
    let mut at = 0;
    while input.len() >= at + HEADER_LEN {
        let batch = &mut input[at..];
        let announced = i32::from_be_bytes([batch[8], batch[9], batch[10], batch[11]]);
        let size = usize::try_from(announced).unwrap_or(0).saturating_add(12);
        let size = if size < HEADER_LEN || size > batch.len() { batch.len() } else { size };
        let length = i32::try_from(size - 12).expect("inputs are small");
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[16] = 2;
        let crc = crc_of(&batch[..size]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        at += size;
    }
}

/// What a client sends for one partition.
pub(super) fn produced() -> Target {
    Target {
        name: "produced-batch",
        about: "a produced batch: the check, and all that may be done to one that is good",
        make: Box::new(|random| batch(random, None)),
        repair,
        take: Box::new(take_produced),
        memory: MEMORY,
    }
}

fn take_produced(input: &[u8]) -> bool {
    let limits = |timestamp_type, compacted| ProduceLimits {
        max_message_bytes: 1 << 20,
        inflated_max: INFLATED_MAX,
        timestamp_type,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted,
        now: NOW,
    };
    let _ = validate_produced(input, &limits(TimestampType::LogAppendTime, true));
    let Ok(valid) = validate_produced(input, &limits(TimestampType::CreateTime, false)) else {
        // A reader may meet what no leader takes; it must stand it as well.
        walk(input);
        return false;
    };
    let records = read_all(input).expect("what is good can be read");
    let count = i32::try_from(records.len()).expect("records are counted in 32 bits");
    assert_eq!(count, valid.record_count(), "as many records as the header says");
    let latest = records.iter().map(|record| record.0).max();
    // -1 says that there is no time, and is not exceeded by those before 1970.
    let latest = latest.map(|latest| latest.max(Timestamp(-1)));
    assert_eq!(latest, Some(valid.max_timestamp), "the greatest time is that of a record");
    for codec in CODECS {
        let again = recompress(input, codec, None, INFLATED_MAX).expect("good records compress");
        assert_eq!(read_all(&again).expect("and inflate"), records, "{codec:?} keeps the records");
    }
    let mut scratch = Vec::new();
    let all = select(input, INFLATED_MAX, &mut scratch, |_| true).expect("good records");
    assert_eq!(all.len(), records.len());
    walk(input);
    true
}

type Plain = (Timestamp, Offset, Option<Vec<u8>>, Option<Vec<u8>>);

fn read_all(batch: &[u8]) -> Option<Vec<Plain>> {
    let batch = Bytes::copy_from_slice(batch);
    read_records(&batch, INFLATED_MAX)
        .ok()?
        .map(|record| {
            let record = record.ok()?;
            let owned = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.to_vec());
            Some((record.timestamp, record.offset, owned(record.key), owned(record.value)))
        })
        .collect()
}

/// Whatever walks over bytes that nobody has checked.
fn walk(input: &[u8]) {
    let _ = BatchHeader::parse(input).map(|header| {
        // What can be read is written as it was.
        assert_eq!(header.to_bytes().as_slice(), &input[..HEADER_LEN]);
        let _ = (header.compression(), header.last_sequence(), header.next_offset());
        let _ = empty_batch(&header);
    });
    let _ = read_all(input);
    let _ = end_txn_marker(input);
    let mut scratch = Vec::new();
    let mut odd = false;
    let kept = select(input, INFLATED_MAX, &mut scratch, |_| {
        odd = !odd;
        odd
    });
    if let Ok(kept) = kept
        && !kept.is_empty()
    {
        let _ = kept.to_batch(Some(NOW));
    }
    for codec in CODECS {
        let _ = recompress(input, codec, None, INFLATED_MAX);
    }
}

/// What lies in a log.
pub(super) fn stored() -> Target {
    Target {
        name: "stored-batches",
        about: "batches as they lie in a log: the check and the walks",
        make: Box::new(|random| {
            let mut out = Vec::new();
            for index in 0..=random.below(4) {
                out.extend(batch(random, Some(i64::try_from(index * 10).expect("small"))));
            }
            out
        }),
        repair,
        take: Box::new(|input| {
            let summary = verify_stored(input);
            assert!(summary.valid_bytes <= input.len());
            let whole = batches(&input[..summary.valid_bytes]).filter_map(Result::ok);
            assert_eq!(whole.count(), summary.batches, "good batches can be walked over");
            for item in batches(input) {
                let Ok((_, batch)) = item else { break };
                walk(batch);
            }
            summary.batches > 0
        }),
        memory: MEMORY,
    }
}
