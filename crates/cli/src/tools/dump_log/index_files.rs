//! `.index`, `.timeindex`, `.txnindex` and producer `.snapshot` files.

use std::io;
use std::path::Path;

use super::log_file::BatchFile;
use crate::text::Streams;

/// What is wrong with indexes, told when all files have been shown.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// File, then index offset and log offset.
    mismatches: Vec<(String, Vec<(i64, i64)>)>,
    /// File, then index timestamp and log timestamp.
    timestamps: Vec<(String, Vec<(i64, i64)>)>,
    /// File, then index timestamp and the one before.
    out_of_order: Vec<(String, Vec<(i64, i64)>)>,
    /// File, then index offset and log offset.
    not_found: Vec<(String, Vec<(i64, i64)>)>,
    /// File, then an offset and what follows it.
    pub(super) gaps: Vec<(String, Vec<(i64, i64)>)>,
}

impl Complaints {
    /// Says it all.
    pub(super) fn tell(&self, streams: &mut Streams) {
        let mut each =
            |list: &[(String, Vec<(i64, i64)>)], title: &str, line: &dyn Fn(i64, i64) -> String| {
                for (file, pairs) in list.iter().filter(|(_, pairs)| !pairs.is_empty()) {
                    streams.error(format!("{title}{file}"));
                    for (a, b) in pairs {
                        streams.error(line(*a, *b));
                    }
                }
            };
        each(&self.mismatches, "Mismatches in :", &|a, b| {
            format!("  Index offset: {a}, log offset: {b}")
        });
        each(&self.timestamps, "Found timestamp mismatch in :", &|a, b| {
            format!("  Index timestamp: {a}, log timestamp: {b}")
        });
        each(&self.out_of_order, "Found out of order timestamp in :", &|a, b| {
            format!("  Index timestamp: {a}, Previously indexed timestamp: {b}")
        });
        each(&self.not_found, "The following indexed offsets are not found in :", &|a, b| {
            format!("Indexed offset: {a}, found log offset: {b}")
        });
        each(&self.gaps, "Non-consecutive offsets in ", &|a, b| {
            format!("  {a} is followed by {b}")
        });
    }
}

/// How an index is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct IndexView {
    pub(super) sanity_only: bool,
    pub(super) verify_only: bool,
}

/// A batch of the log beside an index.
struct Place {
    position: u64,
    last_offset: i64,
    max_timestamp: i64,
}

fn places(path: &Path) -> io::Result<Vec<Place>> {
    let mut file = BatchFile::open(&path.with_extension("log"), None)?;
    let mut places = Vec::new();
    while let Some((position, header, _)) = file.next()? {
        places.push(Place {
            position,
            last_offset: header.last_offset().0,
            max_timestamp: header.max_timestamp.0,
        });
    }
    Ok(places)
}

/// The offset in a file's name.
pub(super) fn base_offset(path: &Path) -> io::Result<i64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let digits = name.split(['.', '-']).next().unwrap_or_default();
    digits.parse().map_err(|_| io::Error::other(format!("For input string: \"{digits}\"")))
}

pub(super) fn dump_offsets(
    path: &Path,
    view: IndexView,
    complaints: &mut Complaints,
    streams: &mut Streams,
) -> io::Result<()> {
    let base = base_offset(path)?;
    let bytes = std::fs::read(path)?;
    let shown = path.display();
    let (entries, _) = bytes.as_chunks::<8>();
    if entries.is_empty() {
        streams.line(format!("{shown} is empty."));
        return Ok(());
    }
    if view.sanity_only {
        streams.line(format!("{shown} passed sanity check."));
        return Ok(());
    }
    let places = places(path)?;
    let mut wrong = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let [a, b, c, d, e, f, g, h] = *entry;
        let offset = base + i64::from(u32::from_be_bytes([a, b, c, d]));
        let position = u32::from_be_bytes([e, f, g, h]);
        // A file that was made large in advance ends with zeros.
        if offset == base && index > 0 {
            break;
        }
        let found = places.iter().find(|place| place.position == u64::from(position));
        let found = found.map_or(-1, |place| place.last_offset);
        if found != offset {
            wrong.push((offset, found));
        }
        if !view.verify_only {
            streams.line(format!("offset: {offset} position: {position}"));
        }
    }
    wrong.reverse();
    complaints.mismatches.push((shown.to_string(), wrong));
    Ok(())
}

pub(super) fn dump_times(
    path: &Path,
    view: IndexView,
    complaints: &mut Complaints,
    streams: &mut Streams,
) -> io::Result<()> {
    let base = base_offset(path)?;
    let bytes = std::fs::read(path)?;
    let shown = path.display().to_string();
    if view.sanity_only {
        streams.line(format!("{shown} passed sanity check."));
        return Ok(());
    }
    let places = places(path)?;
    let (mut wrong, mut disorder, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let mut before = -1;
    let (entries, _) = bytes.as_chunks::<12>();
    for (index, entry) in entries.iter().enumerate() {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
        let timestamp = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let offset = base + i64::from(u32::from_be_bytes([i, j, k, l]));
        if offset == base && index > 0 {
            break;
        }
        match places.iter().find(|place| place.last_offset >= offset) {
            None => missing.push((offset, -1)),
            Some(place) if place.last_offset != offset => {
                missing.push((offset, place.last_offset));
            }
            Some(place) => {
                if place.max_timestamp != timestamp {
                    wrong.push((timestamp, place.max_timestamp));
                }
                if before >= timestamp {
                    disorder.push((timestamp, before));
                }
            }
        }
        if !view.verify_only {
            streams.line(format!("timestamp: {timestamp} offset: {offset}"));
        }
        before = timestamp;
    }
    complaints.timestamps.push((shown.clone(), wrong));
    complaints.out_of_order.push((shown.clone(), disorder));
    complaints.not_found.push((shown, missing));
    Ok(())
}

/// Big-endian numbers one after the other.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn short(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn int(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }
}

pub(super) fn dump_aborted(path: &Path, streams: &mut Streams) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let mut numbers = Numbers(&bytes);
    let mut entry = || -> Option<String> {
        Some(format!(
            "version: {} producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            numbers.short()?,
            numbers.long()?,
            numbers.long()?,
            numbers.long()?,
            numbers.long()?
        ))
    };
    while let Some(line) = entry() {
        streams.line(line);
    }
    Ok(())
}

pub(super) fn dump_producers(path: &Path, streams: &mut Streams) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    match producer_lines(&bytes) {
        Some(lines) => lines.iter().for_each(|line| streams.line(line)),
        None => streams.error(format!("Snapshot {} is corrupt", path.display())),
    }
    Ok(())
}

/// Version, CRC, count, entries.
fn producer_lines(bytes: &[u8]) -> Option<Vec<String>> {
    let mut numbers = Numbers(bytes);
    let (_version, _crc, count) = (numbers.short()?, numbers.int()?, numbers.int()?);
    let mut lines = Vec::new();
    for _ in 0..count {
        let (id, epoch) = (numbers.long()?, numbers.short()?);
        let (last_sequence, last_offset) = (numbers.int()?, numbers.long()?);
        let (delta, timestamp) = (numbers.int()?, numbers.long()?);
        let (coordinator_epoch, first) = (numbers.int()?, numbers.long()?);
        let first =
            if first >= 0 { format!("OptionalLong[{first}]") } else { "OptionalLong.empty".into() };
        let mut line = format!(
            "producerId: {id} producerEpoch: {epoch} coordinatorEpoch: {coordinator_epoch} \
             currentTxnFirstOffset: {first} lastTimestamp: {timestamp}"
        );
        if last_offset >= 0 {
            let first_sequence = if delta > last_sequence {
                // The sequence has wrapped within the batch.
                i32::MAX - (delta - last_sequence) + 1
            } else {
                last_sequence - delta
            };
            line.push_str(&format!(
                " firstSequence: {first_sequence} lastSequence: {last_sequence} lastOffset: \
                 {last_offset} offsetDelta: {delta} timestamp: {timestamp}"
            ));
        }
        lines.push(line);
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_is_cut_short_is_not_shown() {
        assert_eq!(producer_lines(&[0; 9]), None);
        assert_eq!(producer_lines(&[0; 10]), Some(vec![]));
        assert_eq!(producer_lines(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]), None);
    }

    #[test]
    fn the_offset_is_in_the_name() {
        assert_eq!(base_offset(Path::new("d/00000000000000000042.index")).unwrap(), 42);
        assert!(base_offset(Path::new("d/x.index")).is_err());
    }
}
