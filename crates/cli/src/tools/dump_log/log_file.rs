//! Batches and records of `.log` and `.checkpoint` files.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use bytes::Bytes;
use naru_records::{
    BatchHeader, ControlRecord, EndTxnMarker, OwnedRecord, Record, Records, TimestampType,
    read_records,
};

use super::decoders::{Decoder, show};
use crate::text::Streams;

/// What one compressed batch may inflate to.
const INFLATED_MAX: u64 = 1 << 30;
/// Batches larger than this are taken for damage.
const BATCH_MAX: usize = 512 << 20;

/// How a file is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) deep: bool,
    pub(super) print: bool,
    pub(super) decoder: Decoder,
    pub(super) skip_metadata: bool,
    pub(super) max_bytes: Option<u64>,
}

/// Batch after batch of a file.
#[derive(Debug)]
pub(super) struct BatchFile {
    input: BufReader<File>,
    length: u64,
    position: u64,
}

impl BatchFile {
    pub(super) fn open(path: &Path, max_bytes: Option<u64>) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let length = max_bytes.map_or(length, |max| length.min(max));
        Ok(Self { input: BufReader::with_capacity(1 << 20, file), length, position: 0 })
    }

    /// The position and bytes of the next whole batch; none where what follows is no batch.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, BatchHeader, Bytes)>> {
        let left = self.length - self.position;
        let mut head = [0u8; naru_records::HEADER_LEN];
        if left < head.len() as u64 {
            return Ok(None);
        }
        self.input.read_exact(&mut head)?;
        let Ok(header) = BatchHeader::parse(&head) else { return Ok(None) };
        let size = header.size();
        if size as u64 > left || size > BATCH_MAX {
            return Ok(None);
        }
        let mut bytes = head.to_vec();
        bytes.resize(size, 0);
        self.input.read_exact(&mut bytes[head.len()..])?;
        let position = self.position;
        self.position += size as u64;
        Ok(Some((position, header, bytes.into())))
    }

    /// Bytes behind the last batch.
    pub(super) const fn trailing(&self) -> u64 {
        self.length - self.position
    }
}

/// Shows a file; pairs of offsets that do not follow each other.
pub(super) fn dump(path: &Path, view: &View, streams: &mut Streams) -> io::Result<Vec<(i64, i64)>> {
    let mut file = BatchFile::open(path, view.max_bytes)?;
    let mut last = -1;
    let mut gaps = Vec::new();
    while let Some((position, header, bytes)) = file.next()? {
        streams.line(batch_line(position, &header, &bytes));
        if !view.deep {
            continue;
        }
        let records = read_records(&bytes, INFLATED_MAX).map_err(io::Error::other)?;
        for (index, record) in records.enumerate() {
            let record = record.map_err(io::Error::other)?;
            if record.offset.0 != last + 1 {
                gaps.push((last, record.offset.0));
            }
            last = record.offset.0;
            streams.raw(&record_line(&header, index, &record, &bytes, view));
        }
    }
    if file.trailing() > 0 && view.max_bytes.is_none() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let count = file.trailing();
        streams.line(format!("Found {count} invalid bytes at the end of {name}"));
    }
    Ok(gaps)
}

const fn time_name(header: &BatchHeader) -> &'static str {
    match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn batch_line(position: u64, h: &BatchHeader, bytes: &[u8]) -> String {
    let horizon = match h.delete_horizon() {
        Some(time) => format!("OptionalLong[{time}]"),
        None => "OptionalLong.empty".to_owned(),
    };
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} \
         producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} \
         deleteHorizonMs: {horizon} position: {position} {}: {} size: {} magic: 2 compresscodec: \
         {} crc: {} isvalid: {}",
        h.base_offset,
        h.last_offset(),
        h.record_count,
        h.base_sequence,
        h.last_sequence(),
        h.producer_id,
        h.producer_epoch,
        h.partition_leader_epoch,
        h.is_transactional(),
        h.is_control(),
        time_name(h),
        h.max_timestamp,
        bytes.len(),
        h.compression().map_or("unknown", naru_records::Compression::name),
        h.crc,
        h.check_crc(bytes).is_ok()
    )
}

fn record_line(
    header: &BatchHeader,
    index: usize,
    record: &OwnedRecord,
    batch: &Bytes,
    view: &View,
) -> Vec<u8> {
    let mut line = Vec::new();
    if !view.skip_metadata {
        let size = |field: &Option<Bytes>| {
            field.as_ref().map_or_else(|| "-1".to_owned(), |bytes| bytes.len().to_string())
        };
        let delta = i32::try_from(index).unwrap_or(i32::MAX);
        let sequence = match header.base_sequence {
            base if base.0 >= 0 => base.plus(delta).0,
            _ => -1,
        };
        let keys: Vec<String> = record
            .headers
            .iter()
            .map(|(key, _)| String::from_utf8_lossy(key).into_owned())
            .collect();
        let text = format!(
            "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
            record.offset,
            time_name(header),
            record.timestamp,
            size(&record.key),
            size(&record.value),
            keys.join(",")
        );
        line.extend_from_slice(text.as_bytes());
        if header.is_control() {
            line.extend_from_slice(control_text(batch, index).as_bytes());
        }
    }
    if view.print && !header.is_control() {
        let contents = view.decoder.contents(record);
        let mut prefix = if view.skip_metadata { "| " } else { " " };
        for (name, bytes) in [("key: ", contents.key), ("payload: ", contents.payload)] {
            if let Some(bytes) = bytes {
                line.extend_from_slice(prefix.as_bytes());
                line.extend_from_slice(name.as_bytes());
                line.extend_from_slice(&bytes);
                prefix = " ";
            }
        }
    }
    line.push(b'\n');
    line
}

/// What a control record says.
fn control_text(batch: &Bytes, index: usize) -> String {
    let mut scratch = Vec::new();
    let Ok(mut records) = Records::open(batch, INFLATED_MAX, &mut scratch) else {
        return String::new();
    };
    let Some(Ok(record)) = records.nth(index) else { return String::new() };
    control_of(&record)
}

fn control_of(record: &Record<'_>) -> String {
    let shown = |title: &str, name: &str, bytes: &[u8]| {
        // Each of these messages begins with its own version.
        let version = bytes.first_chunk::<2>().map_or(0, |version| i16::from_be_bytes(*version));
        let json = show(name, &Bytes::copy_from_slice(bytes), version).unwrap_or_default();
        format!(" {title} {json}")
    };
    match ControlRecord::read(record) {
        None => String::new(),
        Some(ControlRecord::EndTxn(EndTxnMarker::Commit { coordinator_epoch })) => {
            format!(" endTxnMarker: COMMIT coordinatorEpoch: {coordinator_epoch}")
        }
        Some(ControlRecord::EndTxn(EndTxnMarker::Abort { coordinator_epoch })) => {
            format!(" endTxnMarker: ABORT coordinatorEpoch: {coordinator_epoch}")
        }
        Some(ControlRecord::LeaderChange(b)) => shown("LeaderChange:", "LeaderChangeMessage", b),
        Some(ControlRecord::SnapshotHeader(b)) => {
            shown("SnapshotHeader", "SnapshotHeaderRecord", b)
        }
        Some(ControlRecord::SnapshotFooter(b)) => {
            shown("SnapshotFooter", "SnapshotFooterRecord", b)
        }
        Some(ControlRecord::KraftVersion(b)) => shown("KRaftVersion", "KRaftVersionRecord", b),
        Some(ControlRecord::KraftVoters(b)) => shown("KRaftVoters", "VotersRecord", b),
        Some(ControlRecord::Unknown(kind)) => format!(" controlType: UNKNOWN({kind})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
    use naru_records::{BatchBuilder, BatchOptions, ProducerStamp};

    const VIEW: View = View {
        deep: true,
        print: true,
        decoder: Decoder::Text,
        skip_metadata: false,
        max_bytes: None,
    };

    fn sample() -> Bytes {
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp(5), Some(b"k3"), Some(b"v3"), [(&b"h1"[..], None)]);
        builder.append_plain(Timestamp(7), None, Some(b"world"));
        let producer = Some(ProducerStamp {
            id: ProducerId(5),
            epoch: ProducerEpoch(0),
            base_sequence: Sequence(4),
        });
        let options = BatchOptions {
            base_offset: Offset(10),
            leader_epoch: Some(LeaderEpoch(2)),
            producer,
            ..Default::default()
        };
        builder.build(&options).unwrap().into()
    }

    #[test]
    fn batches_and_records_look_as_kafkas_tool_shows_them() {
        let bytes = sample();
        let header = BatchHeader::parse(&bytes).unwrap();
        let expect = format!(
            "baseOffset: 10 lastOffset: 11 count: 2 baseSequence: 4 lastSequence: 5 producerId: 5 \
             producerEpoch: 0 partitionLeaderEpoch: 2 isTransactional: false isControl: false \
             deleteHorizonMs: OptionalLong.empty position: 99 CreateTime: 7 size: {} magic: 2 \
             compresscodec: none crc: {} isvalid: true",
            bytes.len(),
            header.crc
        );
        assert_eq!(batch_line(99, &header, &bytes), expect);
        let records: Vec<OwnedRecord> =
            read_records(&bytes, 1 << 20).unwrap().collect::<Result<_, _>>().unwrap();
        let line = |index: usize, view: &View| {
            let line = record_line(&header, index, &records[index], &bytes, view);
            String::from_utf8(line).unwrap()
        };
        let expect = "| offset: 10 CreateTime: 5 keySize: 2 valueSize: 2 sequence: 4 headerKeys: \
                      [h1] key: k3 payload: v3\n";
        assert_eq!(line(0, &VIEW), expect);
        let bare = View { skip_metadata: true, ..VIEW };
        assert_eq!(line(1, &bare), "| payload: world\n");
    }
}
