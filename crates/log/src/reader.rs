//! Reading a log while it is being written.
//!
//! A [`LogReader`] is cheap to clone and may be used from any thread; it never waits for the
//! writer. It hands out places in files, which stay readable after their segment is deleted.

use std::path::PathBuf;
use std::sync::Arc;

use naru_model::{LeaderEpoch, Offset, Timestamp};
use naru_records::{BatchHeader, Records, TimestampType};

use crate::disk::DiskFile;
use crate::epochs::EpochEnd;
use crate::error::{Context, ReadError, StorageError};
use crate::examine::{Stretch, examine};
use crate::segment::Segment;
use crate::shared::{Published, Shared};
use crate::txn_index::AbortedTxn;

/// A handle for reading; see the module.
#[derive(Debug, Clone)]
pub struct LogReader {
    shared: Arc<Shared>,
}

/// A run of bytes in a segment's file.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The segment's file.
    pub file: Arc<dyn DiskFile>,
    /// First byte.
    pub position: u64,
    /// How many bytes; 0 if there is nothing to read below the given bound, or if the first
    /// batch does not fit. The last batch may be cut short.
    pub len: usize,
    /// Base offset of the first batch; the offset asked for if `len` is 0.
    pub first: Offset,
    /// Base offset of the segment.
    pub segment_base: Offset,
    /// Bytes of the first batch, even if `len` is 0 because it does not fit.
    pub first_batch_len: usize,
}

impl Slice {
    /// Reads the bytes.
    pub fn read_bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes)
    }
}

/// The ends of a log, all taken at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOffsets {
    /// First offset that may be read.
    pub start: Offset,
    /// The offset after the last record.
    pub end: Offset,
    /// What a power cut would leave.
    pub synced_end: Offset,
    /// First offset of the oldest open transaction; see also [`LogReader::last_stable`].
    pub first_unstable: Option<Offset>,
}

/// Where an offset lies, so that two of them can be subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetMetadata {
    /// The offset.
    pub offset: Offset,
    /// Base offset of its segment.
    pub segment_base: Offset,
    /// Position in the segment.
    pub position: u64,
}

/// An offset found by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: Timestamp,
    /// Leader epoch of its batch.
    pub epoch: LeaderEpoch,
}

/// What a batch in the log may inflate to when its records are searched for a time. Producing is
/// limited more tightly, this only guards against a damaged file.
const INFLATED_MAX: u64 = 1 << 30;

/// How far a read goes in the segment it was found in.
struct Plan {
    segment: Arc<Segment>,
    /// Where the first batch is, if it is among the recent ones.
    start: Option<(Offset, u64, u64)>,
    /// End of what may be read, if the bound lies in this segment and is recent.
    end: Option<u64>,
    /// The bound lies in this segment but is not recent.
    bound_inside: bool,
    /// Recent batch boundary that keeps the limit.
    cut: Option<u64>,
}

impl LogReader {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// All ends of the log.
    pub fn offsets(&self) -> LogOffsets {
        let published = self.shared.lock();
        LogOffsets {
            start: published.log_start,
            end: published.log_end,
            synced_end: published.synced_end,
            first_unstable: published.first_unstable,
        }
    }

    /// The last stable offset (KIP-98) at this high watermark: below it every transaction has
    /// ended and its marker is committed. High watermarks that are asked for must not go back,
    /// except after a truncation.
    pub fn last_stable(&self, high_watermark: Offset) -> Offset {
        self.shared.lock().last_stable(high_watermark)
    }

    /// The aborted transactions that may have records in `slice`, which was read at `from`.
    pub fn aborted_in(&self, slice: &Slice, from: Offset) -> Result<Vec<AbortedTxn>, ReadError> {
        let mut found = Vec::new();
        if slice.len == 0 {
            return Ok(found);
        }
        let (segments, log_start, log_end) = {
            let published = self.shared.lock();
            let at = published.segments.partition_point(|s| s.base < slice.segment_base);
            (published.segments[at..].to_vec(), published.log_start, published.log_end)
        };
        let Some(first) = segments.first().filter(|first| first.base == slice.segment_base) else {
            return Err(ReadError::OutOfRange { start: log_start, end: log_end });
        };
        let next = segments.get(1).map_or(log_end, |next| next.base);
        let upto = first.indexed_from(slice.position + slice.len as u64)?.unwrap_or(next);
        for segment in &segments {
            match segment.collect_aborted(from, upto, &mut found) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
                    // Deleted just now.
                    return Err(ReadError::OutOfRange { start: log_start, end: log_end });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// First offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.shared.lock().log_start
    }

    /// The offset after the last record.
    pub fn log_end(&self) -> Offset {
        self.shared.lock().log_end
    }

    /// Bytes of all segments' `.log` files.
    pub fn size(&self) -> u64 {
        self.shared.lock().segments.iter().map(|segment| segment.size()).sum()
    }

    /// Finds up to `max_bytes` of batches from the one that has `offset`, none of which begins
    /// at `upto` or later. If the first batch alone is larger, it is given whole with
    /// `min_one_batch`, and nothing without.
    pub fn read(
        &self,
        offset: Offset,
        max_bytes: usize,
        min_one_batch: bool,
        upto: Offset,
    ) -> Result<Slice, ReadError> {
        let mut next = offset;
        loop {
            let plan = {
                let published = self.shared.lock();
                plan(&published, offset, next, max_bytes, upto)?
            };
            let segment = Arc::clone(&plan.segment);
            let read = read_planned(&plan, offset, max_bytes, min_one_batch, upto);
            let read = match read {
                // What was appended just now is good; all else is looked at when first read.
                Ok(Some(slice)) if plan.start.is_none() => {
                    if slice.first > offset && self.hides_damage(&segment, slice.position) {
                        continue;
                    }
                    match self.good_part(&segment, slice) {
                        Ok(Some(slice)) => Ok(Some(slice)),
                        // It was cut or mended while it was looked at.
                        Ok(None) => continue,
                        Err(error) => Err(error),
                    }
                }
                other => other,
            };
            match read {
                Ok(Some(slice)) => return Ok(slice),
                // Once it is known how far damage reaches, what lies before it can be read.
                Err(ReadError::Damaged { position, .. }) if self.discover(&segment, position) => {}
                // Compaction may leave nothing at or after the offset in its segment.
                Ok(None) => match self.base_after(segment.base) {
                    Some(base) if base < upto => next = base,
                    _ => return Ok(nothing(segment.file()?, offset, &segment)),
                },
                Err(error) => {
                    // Truncation and deletion may have overtaken this reader.
                    let published = self.shared.lock();
                    let gone = !published.segments.iter().any(|s| Arc::ptr_eq(s, &segment));
                    let outside = offset > published.log_end || offset < published.log_start;
                    if !gone && !outside {
                        return Err(error);
                    }
                    if outside {
                        return Err(out_of_range(&published));
                    }
                }
            }
        }
    }

    /// Whether a gap before `position` is damage that was not known.
    fn hides_damage(&self, segment: &Arc<Segment>, position: u64) -> bool {
        let begin = segment.sure_boundary_before(position);
        begin.is_ok_and(|begin| !segment.is_verified(begin, position))
            && self.discover(segment, position)
    }

    /// The part of a slice before any damage; verifies what nobody has looked at yet. None if
    /// the log has changed meanwhile.
    fn good_part(
        &self,
        segment: &Arc<Segment>,
        mut slice: Slice,
    ) -> Result<Option<Slice>, ReadError> {
        let (from, len) = (slice.position, slice.len as u64);
        if len == 0 || segment.is_verified(from, from + len) {
            return Ok(Some(slice));
        }
        let mut known = segment.damage_from(from);
        let unseen_end = known.map_or(from + len, |damage| damage.position.min(from + len));
        if from < unseen_end && !segment.is_verified(from, unseen_end) {
            let Some(look) = self.look_at(segment) else { return Ok(None) };
            // Whether the first batch stands where it should shows with the one before it.
            let (mut begin, mut after) = (segment.sure_boundary_before(from)?, None);
            while begin < unseen_end {
                let stretch = Stretch { from: begin, after, budget: unseen_end - begin };
                let examined = examine(segment, stretch, &look.outside)?;
                if !self.is_current(&look) {
                    return Ok(None);
                }
                segment.note_verified(begin, examined.end);
                let Some(damage) = examined.damage else { break };
                let is_news = segment.note_damage(damage);
                if damage.position >= from {
                    break;
                }
                if is_news && damage.end_position > from {
                    // The place was found by what the damaged batch says of itself.
                    return Ok(None);
                }
                begin = damage.end_position.max(begin + 1);
                after = Some(damage.last.plus(1));
            }
            known = segment.damage_from(from);
        }
        let good = known.map_or(len, |damage| damage.position.saturating_sub(from).min(len));
        if good == 0 {
            let path = segment.path().to_path_buf();
            return Err(ReadError::Damaged { path, position: from });
        }
        slice.len = usize::try_from(good).unwrap_or(slice.len);
        Ok(Some(slice))
    }

    /// Where an offset lies; the log end's place is after the last byte.
    pub fn offset_metadata(&self, offset: Offset) -> Result<OffsetMetadata, ReadError> {
        let (segment, size) = {
            let published = self.shared.lock();
            if offset < published.log_start || offset > published.log_end {
                return Err(out_of_range(&published));
            }
            let at = published.segment_at(offset).ok_or_else(|| out_of_range(&published))?;
            let segment = Arc::clone(&published.segments[at]);
            if let Some(at) = published.tail_at(offset)
                && at + 1 < published.tail.len()
                && published.tail[at].base == offset
            {
                let position = published.tail[at].position;
                return Ok(OffsetMetadata { offset, segment_base: segment.base, position });
            }
            let size = segment.size();
            if offset == published.log_end {
                return Ok(OffsetMetadata { offset, segment_base: segment.base, position: size });
            }
            (segment, size)
        };
        let position = segment.find(offset)?.map_or(size, |(_, position)| position);
        Ok(OffsetMetadata { offset, segment_base: segment.base, position })
    }

    /// The last epoch, if the log has any.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.shared.lock().epochs.latest()
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.shared.lock().epochs.epoch_at(offset)
    }

    /// Where an epoch ended (OffsetForLeaderEpoch); none if it is above all known.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let published = self.shared.lock();
        published.epochs.end_of(epoch, published.log_end)
    }

    /// The first record that is at least as late as `time`.
    pub fn offset_at_time(&self, time: Timestamp) -> Result<Option<TimedOffset>, ReadError> {
        let (segments, start) = {
            let published = self.shared.lock();
            (published.segments.clone(), published.log_start)
        };
        for segment in segments {
            if segment.greatest_timestamp()?.is_none_or(|(greatest, _)| greatest < time) {
                continue;
            }
            let mut scan = segment.scan_to_time(time)?;
            while let Some((header, position)) = scan.next()? {
                if header.max_timestamp < time || header.last_offset() < start {
                    continue;
                }
                let wanted = |at: Offset, is: Timestamp| is >= time && at >= start;
                if let Some(found) = first_record(&segment, &header, position, wanted)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The first record that has the greatest timestamp of all.
    pub fn max_timestamp(&self) -> Result<Option<TimedOffset>, ReadError> {
        let segments = self.shared.lock().segments.clone();
        let mut best: Option<(Timestamp, Offset, Arc<Segment>)> = None;
        for segment in segments {
            if let Some((time, offset)) = segment.greatest_timestamp()?
                && best.as_ref().is_none_or(|best| time > best.0)
            {
                best = Some((time, offset, segment));
            }
        }
        let Some((time, offset, segment)) = best else { return Ok(None) };
        let Some((header, position)) = segment.find(offset)? else { return Ok(None) };
        first_record(&segment, &header, position, |_, is| is >= time)
    }

    fn base_after(&self, base: Offset) -> Option<Offset> {
        self.shared.lock().segments.iter().map(|segment| segment.base).find(|next| *next > base)
    }
}

fn out_of_range(published: &Published) -> ReadError {
    ReadError::OutOfRange { start: published.log_start, end: published.log_end }
}

fn nothing(file: Arc<dyn DiskFile>, offset: Offset, segment: &Segment) -> Slice {
    Slice {
        file,
        position: segment.size(),
        len: 0,
        first: offset,
        segment_base: segment.base,
        first_batch_len: 0,
    }
}

fn plan(
    published: &Published,
    asked: Offset,
    offset: Offset,
    max_bytes: usize,
    upto: Offset,
) -> Result<Plan, ReadError> {
    if asked < published.log_start || asked > published.log_end {
        return Err(out_of_range(published));
    }
    let at = published.segment_at(offset).ok_or_else(|| out_of_range(published))?;
    let segment = Arc::clone(&published.segments[at]);
    let is_active = at + 1 == published.segments.len();
    let segment_ends = published.segments.get(at + 1).map_or(published.log_end, |s| s.base);
    let upto = upto.min(published.log_end);

    let mut plan =
        Plan { segment, start: None, end: None, bound_inside: upto < segment_ends, cut: None };
    if upto <= offset {
        plan.end = Some(0);
        plan.bound_inside = false;
        return Ok(plan);
    }
    if !plan.bound_inside {
        plan.end = Some(plan.segment.size());
    } else if is_active && let Some(at) = published.tail_at(upto) {
        plan.end = Some(published.tail[at].position);
    }
    if is_active && let Some(at) = published.tail_at(offset) {
        let first = published.tail[at];
        plan.start = Some((first.base, first.position, first.end));
        let limit = first.position + max_bytes as u64;
        let fitting = published.tail.partition_point(|batch| batch.end <= limit);
        plan.cut = fitting.checked_sub(1).map(|at| published.tail[at].end);
    }
    Ok(plan)
}

fn read_planned(
    plan: &Plan,
    offset: Offset,
    max_bytes: usize,
    min_one_batch: bool,
    upto: Offset,
) -> Result<Option<Slice>, ReadError> {
    let segment = &plan.segment;
    if let Some(damage) = segment.damage_at(offset) {
        let path = segment.path().to_path_buf();
        return Err(ReadError::Damaged { path, position: damage.position });
    }
    let file = segment.file()?;
    if plan.end == Some(0) {
        // Compaction may leave nothing of a segment; what is asked for comes later then.
        return Ok((upto <= offset).then(|| nothing(file, offset, segment)));
    }
    let (first, start, first_end) = match plan.start {
        Some(start) => start,
        None => match segment.find(offset)? {
            Some((header, position)) => {
                (header.base_offset, position, position + header.size() as u64)
            }
            None => return Ok(None),
        },
    };
    let end = match plan.end {
        Some(end) => end,
        None => segment.find(upto)?.map_or_else(|| segment.size(), |(_, position)| position),
    };
    let first_len = usize::try_from(first_end - start).unwrap_or(usize::MAX);
    let mut slice = Slice {
        file,
        position: start,
        len: 0,
        first,
        segment_base: segment.base,
        first_batch_len: first_len,
    };
    if first_end > end {
        // The bound lies before the first batch.
        slice.first_batch_len = 0;
        return Ok(Some(slice));
    }
    if first_len > max_bytes {
        slice.len = if min_one_batch { first_len } else { 0 };
        return Ok(Some(slice));
    }
    let limit = start + max_bytes as u64;
    let stop = if end <= limit {
        end
    } else {
        // Whole batches if their border is known; a partial one at the end is allowed too.
        match plan.cut {
            Some(cut) => cut,
            None => segment.boundary_below(limit)?.unwrap_or(0),
        }
    };
    let stop = if stop >= first_end { stop.min(end) } else { limit.min(end) };
    slice.len = usize::try_from(stop - start).unwrap_or(usize::MAX);
    Ok(Some(slice))
}

fn first_record(
    segment: &Segment,
    header: &BatchHeader,
    position: u64,
    wanted: impl Fn(Offset, Timestamp) -> bool,
) -> Result<Option<TimedOffset>, ReadError> {
    let epoch = header.partition_leader_epoch;
    if header.timestamp_type() == TimestampType::LogAppendTime
        && wanted(header.base_offset, header.max_timestamp)
    {
        let (offset, timestamp) = (header.base_offset, header.max_timestamp);
        return Ok(Some(TimedOffset { offset, timestamp, epoch }));
    }
    let bytes = read_batch(segment, header, position)?;
    let damaged = || ReadError::Damaged { path: segment.path().to_path_buf(), position };
    header.check_crc(&bytes).map_err(|_| damaged())?;
    let mut scratch = Vec::new();
    let records = Records::open(&bytes, INFLATED_MAX, &mut scratch).map_err(|_| damaged())?;
    for record in records {
        let record = record.map_err(|_| damaged())?;
        if wanted(record.offset, record.timestamp) {
            let (offset, timestamp) = (record.offset, record.timestamp);
            return Ok(Some(TimedOffset { offset, timestamp, epoch }));
        }
    }
    Ok(None)
}

/// Reads one whole batch.
pub(crate) fn read_batch(
    segment: &Segment,
    header: &BatchHeader,
    position: u64,
) -> Result<Vec<u8>, StorageError> {
    let mut bytes = vec![0; header.size()];
    let path: PathBuf = segment.path().to_path_buf();
    segment.file()?.read_exact_at(&mut bytes, position).context("read", &path)?;
    Ok(bytes)
}
