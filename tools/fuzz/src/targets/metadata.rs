//! The metadata log: records in any order are replayed or refused, and the state that comes of
//! them can be written as a snapshot and read again.

use bytes::Bytes;
use naru_controller::batch::{BatchPlace, LogRecord, metadata_batch, read_batch, snapshot};
use naru_controller::quorum::{ControlRecord, KraftVersion};
use naru_controller::raft::VoterLog;
use naru_controller::{Controller, MetadataDelta, MetadataImage, RecordAndVersion};
use naru_model::Timestamp;
use naru_protocol::metadata::MetadataRecord;
use naru_records::batches;
use naru_schema::Schema;

use super::{Memory, Target, joined, parts};
use crate::random::Random;
use crate::schema_bytes;

const EPOCH: i32 = 3;
/// The state, once more with its snapshot, and the decoder's budget.
const MEMORY: Memory = Memory { factor: 512, floor: 16 << 20 };

/// Framed records.
fn records(random: &mut Random, kinds: &[Schema]) -> Vec<Vec<u8>> {
    let record = |random: &mut Random| {
        let schema = &kinds[random.below(kinds.len())];
        let count = usize::try_from(schema.versions.high - schema.versions.low).unwrap_or(0) + 1;
        let version = schema.versions.low + i16::try_from(random.below(count)).unwrap_or(0);
        let key = u8::try_from(schema.key.unwrap_or_default()).unwrap_or(0);
        let version_byte = u8::try_from(version).unwrap_or(0);
        let mut out = vec![1, key, version_byte];
        out.extend(schema_bytes::message(random, schema, version).bytes);
        out
    };
    (0..=random.below(24)).map(|_| record(random)).collect()
}

fn kinds(schemas: &[Schema]) -> Vec<Schema> {
    schemas.iter().filter(|schema| schema.kind == "metadata").cloned().collect()
}

/// Any records, replayed.
pub(super) fn target(schemas: &[Schema]) -> Target {
    let kinds = kinds(schemas);
    Target {
        name: "metadata-records",
        about: "records of __cluster_metadata: replayed, and the image as a snapshot",
        make: Box::new(move |random| joined(&records(random, &kinds))),
        repair: super::as_it_is,
        take: Box::new(|input| {
            let mut controller = Controller::new(1, std::sync::Arc::default());
            let mut applied = 0;
            for (offset, part) in (0..).zip(parts(input)) {
                let bytes = Bytes::copy_from_slice(part);
                let Ok(record) = MetadataRecord::from_bytes(&bytes) else { continue };
                // A log that does not fit together ends a node; here the next record is tried.
                applied += usize::from(controller.replay(offset, EPOCH, &record).is_ok());
            }
            reads_back(controller.image());
            let _ = controller.publish();
            applied > 0
        }),
        memory: MEMORY,
    }
}

/// An image is what its records say.
fn reads_back(image: &MetadataImage) {
    let records = image.to_records();
    let mut again = MetadataImage::default();
    let mut delta = MetadataDelta::default();
    for (offset, RecordAndVersion { record, version }) in (0..).zip(&records) {
        let bytes = Bytes::from(record.to_bytes(*version));
        let read = MetadataRecord::from_bytes(&bytes).expect("what is written can be read");
        let applied = again.apply(offset, EPOCH, &read, &mut delta);
        assert!(applied.is_ok(), "a snapshot fits together: {applied:?} for {read:?}");
    }
    again.advance_to(image.end_offset(), image.epoch());
    let (left, right) = (format!("{again:?}"), format!("{image:?}"));
    assert!(again == *image || left == right, "an image is what its snapshot says: {left} {right}");
}

/// Batches of the metadata log and of snapshots.
pub(super) fn batch_target(schemas: &[Schema]) -> Target {
    let kinds = kinds(schemas);
    Target {
        name: "metadata-batches",
        about: "batches of the metadata log and of snapshots, control records among them",
        make: Box::new(move |random| {
            if random.once_in(3) {
                let (version, now) = (KraftVersion::Dynamic, Timestamp(7));
                let image = MetadataImage::default();
                return snapshot(&image, version, &[], now, now).expect("a small snapshot");
            }
            let records: Vec<RecordAndVersion> = records(random, &kinds)
                .into_iter()
                .filter_map(|bytes| {
                    let version = i16::from(bytes[2]);
                    let record = MetadataRecord::from_bytes(&Bytes::from(bytes)).ok()?;
                    Some(RecordAndVersion { record, version })
                })
                .collect();
            let place = BatchPlace { base_offset: 5, epoch: EPOCH, timestamp: Timestamp(9) };
            metadata_batch(place, &records).expect("a small batch")
        }),
        repair: super::batches::repair,
        take: Box::new(|input| {
            let mut voters = VoterLog::new();
            let mut read = 0;
            for item in batches(input) {
                let Ok((_, batch)) = item else { break };
                let Ok((_, records)) = read_batch(&Bytes::copy_from_slice(batch)) else { continue };
                for record in records {
                    read += 1;
                    if let LogRecord::Control { offset, record } = record {
                        voters.read_log(offset, &record);
                        let value = Bytes::from(record.value());
                        let again = ControlRecord::read(record_kind(&record), &value);
                        assert!(matches!(again, Ok(Some(_))), "what is written can be read");
                    }
                }
            }
            let _ = (voters.kraft_version(), voters.voters().len());
            read > 0
        }),
        memory: MEMORY,
    }
}

fn record_kind(record: &ControlRecord) -> i16 {
    match record {
        ControlRecord::LeaderChange(_) => 2,
        ControlRecord::SnapshotHeader(_) => 3,
        ControlRecord::SnapshotFooter(_) => 4,
        ControlRecord::KraftVersion(_) => 5,
        ControlRecord::Voters(_) => 6,
    }
}
