//! Looking at a stretch of a segment: is every batch what was written, and if not, how far does
//! the damage reach.
//!
//! A checksum covers a batch from its attributes on. What lies before is held against what is
//! known otherwise: offsets must follow each other, epochs must be those of the epoch cache.

use naru_model::Offset;
use naru_records::BatchHeader;

use crate::damage::Damage;
use crate::epochs::LeaderEpochs;
use crate::error::StorageError;
use crate::segment::Segment;
use crate::verify::{Span, Visit, verify};

/// What is known of a segment from outside.
#[derive(Debug)]
pub(crate) struct Outside {
    /// Base offset of the next segment, or the log end.
    pub(crate) next_base: Offset,
    /// Bytes that end there.
    pub(crate) size: u64,
    pub(crate) epochs: LeaderEpochs,
}

/// What an examination has found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Examined {
    /// Everything before this is good.
    pub(crate) end: u64,
    /// The offset after the last good batch; none if no batch was looked at.
    pub(crate) next: Option<Offset>,
    /// Offsets followed each other without a gap.
    pub(crate) dense: bool,
    pub(crate) damage: Option<Damage>,
}

/// One batch that has passed.
#[derive(Debug, Clone, Copy)]
struct Passed {
    end: u64,
    next: Offset,
}

/// Where an examination begins and how far it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// A batch boundary.
    pub(crate) from: u64,
    /// The offset after the batch before it, if that is known.
    pub(crate) after: Option<Offset>,
    /// At least so many bytes, unless the segment ends before.
    pub(crate) budget: u64,
}

/// Verifies batches one after the other.
pub(crate) fn examine(
    segment: &Segment,
    stretch: Stretch,
    outside: &Outside,
) -> Result<Examined, StorageError> {
    let Stretch { from, after, budget } = stretch;
    let (file, size) = (segment.file()?, outside.size);
    let start = if from == 0 { Some(segment.base) } else { after };
    // The last two batches that passed: whether a base offset is right shows with the next one.
    let (mut last, mut before): (Option<Passed>, Option<Passed>) = (None, None);
    // Where the batch ends that lies before its predecessor's end.
    let mut overlaps = None;
    let mut dense = true;
    let mut confirming = false;
    let span = Span::new(from, size).expecting(budget);
    let outcome = verify(&*file, segment.path(), span, &mut Vec::new(), &|_| {}, |batch| {
        let header = &batch.header;
        let expected = last.map(|passed| passed.next).or(start);
        let outlies = header.base_offset < segment.base || header.next_offset() > outside.next_base;
        if header.last_offset_delta < 0 || outlies {
            return Visit::Wrong;
        }
        if expected.is_some_and(|expected| header.base_offset < expected) {
            overlaps = Some(batch.position + header.size() as u64);
            return Visit::Wrong;
        }
        let epoch = outside.epochs.epoch_at(header.base_offset);
        if epoch.is_some_and(|epoch| epoch != header.partition_leader_epoch) {
            return Visit::Wrong;
        }
        if confirming {
            return Visit::Last;
        }
        let follows = expected.is_none_or(|expected| header.base_offset == expected);
        dense &= follows;
        let (end, next) = (batch.position + header.size() as u64, header.next_offset());
        before = last.replace(Passed { end, next });
        if end - from < budget {
            Visit::Good
        } else if follows {
            Visit::Last
        } else {
            // A gap is right, or this base offset is wrong: then the next batch lies before it.
            confirming = true;
            Visit::Good
        }
    });
    let is_faulty = match &outcome {
        Ok(outcome) => outcome.fault.is_some(),
        // A sector that cannot be read is damage like any other.
        Err(error) if error.action == "read" => true,
        Err(error) => return Err(error.again()),
    };
    // What was only to confirm the last batch is another stretch's business.
    let is_faulty = is_faulty && (overlaps.is_some() || !confirming);
    if overlaps.is_some() {
        // Either of the two batches may have the wrong offset.
        last = before;
    }
    let end = last.map_or(from, |passed| passed.end);
    let next = last.map(|passed| passed.next).or(start);
    let damage =
        if is_faulty { Some(extent(segment, (end, next), overlaps, outside)?) } else { None };
    // With the first batch bad, where the damage begins may have been found only further up.
    let end = damage.map_or(end, |damage| damage.position.min(end));
    Ok(Examined { end, next, dense, damage })
}

/// How far the damage reaches that begins at a position, after an offset if that is known; at
/// least up to `upto`, if that is.
fn extent(
    segment: &Segment,
    begin: (u64, Option<Offset>),
    upto: Option<u64>,
    outside: &Outside,
) -> Result<Damage, StorageError> {
    let (position, next) = begin;
    let (first, position) = match next {
        Some(next) => (next, position),
        None => begin_of(segment, position),
    };
    let is_good = |at: u64, last_offset: Option<Offset>| {
        let header = good_batch(segment, at)?;
        let fits = header.base_offset > first
            && header.next_offset() <= outside.next_base
            && last_offset.is_none_or(|offset| offset == header.last_offset());
        fits.then_some(header.base_offset)
    };
    // The length may be right although the rest is not; else an index entry leads on.
    let behind =
        upto.or_else(|| header_at(segment, position).map(|header| position + header.size() as u64));
    let resumed = match behind.and_then(|at| Some((at, is_good(at, None)?))) {
        Some(found) => Some(found),
        None => {
            let after = upto.map_or(position, |upto| upto - 1);
            segment.indexed_after(after, |offset, at| is_good(at, Some(offset)))?
        }
    };
    let (end_position, last) = match resumed {
        Some((at, base)) => (at, base.plus(-1)),
        None => (outside.size, outside.next_base.plus(-1)),
    };
    Ok(Damage { segment_base: segment.base, first, last: last.max(first), position, end_position })
}

/// Offset and position after the batch before `position`; the segment's beginning if the headers
/// before it do not lead there.
fn begin_of(segment: &Segment, position: u64) -> (Offset, u64) {
    let whole = (segment.base, 0);
    let Some(below) = position.checked_sub(1) else { return whole };
    let Ok(boundary) = segment.boundary_below(below) else { return whole };
    let Ok(mut scan) = segment.scan_from(boundary.unwrap_or(0)) else { return whole };
    while let Ok(Some((header, at))) = scan.next() {
        if at + header.size() as u64 == position {
            return (header.next_offset(), position);
        }
    }
    whole
}

fn header_at(segment: &Segment, position: u64) -> Option<BatchHeader> {
    let (header, at) = segment.scan_all_from(position).ok()?.next().ok()??;
    (at == position).then_some(header)
}

/// The header of the batch at `position`, if its checksum is right.
fn good_batch(segment: &Segment, position: u64) -> Option<BatchHeader> {
    let header = header_at(segment, position)?;
    let bytes = crate::reader::read_batch(segment, &header, position).ok()?;
    header.check_crc(&bytes).ok()?;
    (header.last_offset_delta >= 0).then_some(header)
}
