//! Appending: judge, place, write, publish.
//!
//! Batches are written as they were received. Only the header is copied, patched (offset and
//! epoch, which the checksum does not cover; the time of the append where the topic asks for it)
//! and written before the untouched rest. Batches given together go into one write.

use std::io::IoSlice;

use naru_model::{LeaderEpoch, Offset, ProducerId, Timestamp};
use naru_records::{
    BatchError, BatchHeader, HEADER_LEN, TimestampType, ValidBatch, batches, end_txn_marker,
    patch_max_timestamp, patch_placement,
};

use crate::error::{AppendError, Context, StorageError};
use crate::log::Log;
use crate::producers::{Origin, ProducerEntry, Verdict};
use crate::segment::Placed;
use crate::shared::TailBatch;
use crate::transactions::CompletedTxn;
use crate::verification::Verification;

/// Positions in an index are 32 bits and signed in Kafka's readers.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// A batch to append.
#[derive(Debug, Clone, Copy)]
pub struct NewBatch<'a> {
    bytes: &'a [u8],
    valid: ValidBatch,
    verification: Verification,
}

impl<'a> NewBatch<'a> {
    /// A batch that `validate_produced` has accepted.
    pub const fn validated(bytes: &'a [u8], valid: ValidBatch) -> Self {
        Self { bytes, valid, verification: Verification::NotNeeded }
    }

    /// A batch that this process has built.
    pub fn built(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        if header.size() != bytes.len() {
            let (needed, available) = (header.size() as u64, bytes.len() as u64);
            return Err(BatchError::Truncated { needed, available });
        }
        let valid = ValidBatch { header, max_timestamp: header.max_timestamp };
        Ok(Self { bytes, valid, verification: Verification::NotNeeded })
    }

    /// The same, which must have been verified if it begins a transaction.
    pub const fn with_verification(self, verification: Verification) -> Self {
        Self { verification, ..self }
    }
}

/// Where a batch stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// The time of the append, if the topic uses that.
    pub log_append_time: Option<Timestamp>,
    /// The log start at that moment.
    pub log_start: Offset,
    /// It had been appended before; these are the offsets it got then.
    pub is_duplicate: bool,
}

/// What a follower has appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Log end before.
    pub from: Offset,
    /// Log end after.
    pub log_end: Offset,
}

/// Placed batches that have not been written yet.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    batches: Vec<Staged>,
    bytes: u64,
    /// Producers as they were before the staged batches, oldest first.
    undo: Vec<(ProducerId, Option<ProducerEntry>)>,
    /// Transactions that the staged batches end.
    completed: Vec<CompletedTxn>,
}

#[derive(Debug)]
struct Staged {
    header: [u8; HEADER_LEN],
    /// Index among the batches given.
    given: usize,
    first: Offset,
    placed: Placed,
}

impl Log {
    /// Appends batches as the partition's leader in epoch `epoch`, giving them the next offsets.
    ///
    /// `results` gets one entry per batch, in order: a refused batch does not hold back those
    /// after it. If the disk refuses, every batch of the same write fails and none is there.
    pub fn append_as_leader(
        &mut self,
        given: &[NewBatch<'_>],
        origin: Origin,
        epoch: LeaderEpoch,
        now: Timestamp,
        results: &mut Vec<Result<Appended, AppendError>>,
    ) {
        let log_start = match self.begin_leader_append(epoch) {
            Ok(log_start) => log_start,
            Err(error) => {
                fail_all(results, given.len(), &self.report(error));
                return;
            }
        };
        let first_result = results.len();
        let mut next = self.log_end;
        for (index, batch) in given.iter().enumerate() {
            let header = &batch.valid.header;
            let size = batch.bytes.len() as u64;
            let last = Offset(next.0 + i64::from(header.last_offset_delta));
            let verdict = match self.admit(batch, origin) {
                Ok(verdict) => verdict,
                Err(error) => {
                    results.push(Err(error));
                    continue;
                }
            };
            if let Verdict::Duplicate(known) = verdict {
                results.push(Ok(Appended {
                    first_offset: known.first_offset(),
                    last_offset: known.last_offset,
                    // Kafka tells the time of a duplicate whatever the topic's kind of time is.
                    log_append_time: Some(known.timestamp),
                    log_start,
                    is_duplicate: true,
                }));
                continue;
            }
            let (max_timestamp, log_append_time) = match self.config.timestamp_type {
                TimestampType::LogAppendTime => (now, Some(now)),
                TimestampType::CreateTime => (batch.valid.max_timestamp, None),
            };
            if self.must_roll(size, last, max_timestamp, now) {
                let rolled = self.write_staged(given).and_then(|()| Ok(self.roll(next, now)?));
                if let Err(error) = rolled {
                    results.truncate(first_result);
                    fail_all(results, given.len(), &self.report(error));
                    return;
                }
            }
            let mut patched = *batch.bytes.first_chunk::<HEADER_LEN>().unwrap_or(&[0; HEADER_LEN]);
            if max_timestamp != header.max_timestamp
                || self.config.timestamp_type != header.timestamp_type()
            {
                let records = &batch.bytes[HEADER_LEN.min(batch.bytes.len())..];
                let timestamp_type = self.config.timestamp_type;
                patch_max_timestamp(&mut patched, records, timestamp_type, max_timestamp);
            }
            patch_placement(&mut patched, next, epoch);
            let position = self.position + self.staging.bytes;
            let placed = Placed { last_offset: last, max_timestamp, position, size };
            self.stage(Staged { header: patched, given: index, first: next, placed });
            self.note_producer(header, batch.bytes, next, max_timestamp);
            results.push(Ok(Appended {
                first_offset: next,
                last_offset: last,
                log_append_time,
                log_start,
                is_duplicate: false,
            }));
            next = last.plus(1);
        }
        if let Err(error) = self.write_staged(given) {
            results.truncate(first_result);
            fail_all(results, given.len(), &self.report(error));
        }
    }

    /// Appends one batch as leader; see [`Log::append_as_leader`].
    pub fn append_one(
        &mut self,
        batch: NewBatch<'_>,
        origin: Origin,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let mut results = Vec::with_capacity(1);
        self.append_as_leader(&[batch], origin, epoch, now, &mut results);
        results.pop().unwrap_or_else(|| Err(AppendError::Failed("no result".to_owned())))
    }

    /// Appends what the leader has sent, with the offsets and epochs it has given.
    ///
    /// Every batch is verified. A partial last batch is left out; a bad batch ends the append
    /// with an error, after the good ones before it have been appended.
    pub fn append_as_follower(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Followed, AppendError> {
        self.begin_append()?;
        self.append_followed(bytes, now).map_err(|error| self.report(error))
    }

    fn append_followed(&mut self, bytes: &[u8], now: Timestamp) -> Result<Followed, AppendError> {
        let from = self.log_end;
        let mut given: Vec<NewBatch<'_>> = Vec::new();
        let mut next = self.log_end;
        let mut trouble = None;
        for item in batches(bytes) {
            let checked = item.and_then(|(header, batch)| {
                header.check_crc(batch)?;
                NewBatch::built(batch)
            });
            let batch = match checked {
                Ok(batch) => batch,
                Err(error) => {
                    trouble = Some(AppendError::Damaged { at: next, error });
                    break;
                }
            };
            let header = batch.valid.header;
            if header.base_offset < next || header.last_offset_delta < 0 {
                let first = header.base_offset;
                trouble = Some(AppendError::OffsetsOutOfOrder { first, log_end: next });
                break;
            }
            let request = header.partition_leader_epoch;
            if given.is_empty() && self.latest_epoch.is_some_and(|current| request < current) {
                // This replica may have led since, and appended nothing.
                self.forget_epochs_without_records();
            }
            if let Some(current) = self.latest_epoch.filter(|current| request < *current) {
                trouble = Some(AppendError::EpochWentBack { request, current });
                break;
            }
            next = header.next_offset();
            if let Err(error) = self.follow(&given, &batch, now) {
                self.undo_staged();
                self.forget_epochs_without_records();
                return Err(error);
            }
            given.push(batch);
        }
        if let Err(error) = self.write_staged(&given) {
            self.forget_epochs_without_records();
            return Err(error);
        }
        match trouble {
            Some(error) => Err(error),
            None => Ok(Followed { from, log_end: self.log_end }),
        }
    }

    fn follow(
        &mut self,
        before: &[NewBatch<'_>],
        batch: &NewBatch<'_>,
        now: Timestamp,
    ) -> Result<(), AppendError> {
        let header = batch.valid.header;
        let size = batch.bytes.len() as u64;
        let (first, last) = (header.base_offset, header.last_offset());
        if self.must_roll(size, last, header.max_timestamp, now) {
            self.write_staged(before)?;
            self.roll(first, now)?;
        }
        let is_new = self.shared.lock().epochs.assign(header.partition_leader_epoch, first);
        if is_new || self.epochs_unwritten {
            self.write_epochs()?;
        }
        let position = self.position + self.staging.bytes;
        if position > 0 && first > before.last().map_or(self.log_end, NewBatch::next_offset) {
            self.may_have_gaps();
        }
        let max_timestamp = header.max_timestamp;
        let placed = Placed { last_offset: last, max_timestamp, position, size };
        let header_bytes = *batch.bytes.first_chunk().unwrap_or(&[0; HEADER_LEN]);
        self.stage(Staged { header: header_bytes, given: before.len(), first, placed });
        self.note_producer(&header, batch.bytes, first, max_timestamp);
        Ok(())
    }

    /// Of a follower that could not append: another leader may begin another epoch here.
    fn forget_epochs_without_records(&mut self) {
        let mut published = self.shared.lock();
        let changed = published.epochs.truncate_from_end(self.log_end);
        self.latest_epoch = published.epochs.latest();
        self.epochs_unwritten |= changed;
    }

    pub(crate) fn check_open(&self) -> Result<(), AppendError> {
        match &self.failed {
            Some(why) => Err(AppendError::Failed(why.clone())),
            None => Ok(()),
        }
    }

    /// Tells the directory's health why a change failed.
    pub(crate) fn report(&self, error: AppendError) -> AppendError {
        if let (AppendError::Storage(error), Some(health)) = (&error, &self.health) {
            health.note(error);
        }
        error
    }

    fn begin_append(&self) -> Result<(), AppendError> {
        self.check_open()?;
        self.health.as_ref().map_or(Ok(()), |health| health.admit())
    }

    fn begin_leader_append(&mut self, epoch: LeaderEpoch) -> Result<Offset, AppendError> {
        self.begin_append()?;
        if self.latest_epoch != Some(epoch) {
            if let Some(current) = self.latest_epoch
                && epoch < current
            {
                return Err(AppendError::EpochWentBack { request: epoch, current });
            }
            // Before the records: an epoch that turns out to have none is dropped at opening.
            self.epochs_unwritten |= self.shared.lock().epochs.assign(epoch, self.log_end);
        }
        if self.epochs_unwritten {
            self.write_epochs()?;
        }
        Ok(self.shared.lock().log_start)
    }

    fn admit(&self, batch: &NewBatch<'_>, origin: Origin) -> Result<Verdict, AppendError> {
        let (bytes, max) = (batch.bytes.len() as u64, self.config.segment_bytes);
        if bytes > max.min(SEGMENT_BYTES_MAX) {
            return Err(AppendError::LargerThanSegment { bytes, max });
        }
        let header = &batch.valid.header;
        let Some(stamp) = header.producer() else { return Ok(Verdict::New) };
        let marker = if header.is_control() { end_txn_marker(batch.bytes) } else { None };
        let verification = (batch.verification, self.verifications.of(stamp.id));
        self.producers.check(header, &stamp, origin, marker, verification)
    }

    /// Whether a batch belongs into a new segment.
    fn must_roll(&self, size: u64, last: Offset, latest: Timestamp, now: Timestamp) -> bool {
        let there = self.position + self.staging.bytes;
        if there == 0 {
            // A base far behind the first offset would not fit the index.
            return i32::try_from(last.0 - self.active.base.0).is_err();
        }
        let limit = self.config.segment_bytes.min(SEGMENT_BYTES_MAX);
        let waits = self.config.segment_age_max_ms().saturating_sub(self.segment_jitter());
        there + size > limit
            || self.active.is_full(&self.config, last)
            || self.active.age(now, latest) > waits
    }

    fn stage(&mut self, staged: Staged) {
        self.staging.bytes += staged.placed.size;
        self.staging.batches.push(staged);
    }

    fn note_producer(
        &mut self,
        header: &BatchHeader,
        bytes: &[u8],
        first: Offset,
        timestamp: Timestamp,
    ) {
        let Some(stamp) = header.producer() else { return };
        self.staging.undo.push((stamp.id, self.producers.entry(stamp.id).copied()));
        if !header.is_control() {
            self.producers.note_data(header, &stamp, first, timestamp);
        } else if let Some(marker) = end_txn_marker(bytes) {
            let completed = self.producers.note_marker(&stamp, marker, first, timestamp);
            self.staging.completed.extend(completed);
        }
        if header.is_transactional() {
            self.verifications.end(stamp.id);
        }
    }

    /// Writes the staged batches in one go and publishes them.
    fn write_staged(&mut self, given: &[NewBatch<'_>]) -> Result<(), AppendError> {
        if self.staging.batches.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.write_bytes(given) {
            self.undo_staged();
            self.cut_back(&error);
            return Err(error.into());
        }
        let interval = self.config.index_interval_bytes;
        for staged in &self.staging.batches {
            self.active.note(&staged.placed, interval);
        }
        self.position += self.staging.bytes;
        if let Some(staged) = self.staging.batches.last() {
            self.log_end = staged.placed.last_offset.plus(1);
        }
        // Before readers may see the markers: they look into the index for what was aborted.
        self.index_completed();
        let mut published = self.shared.lock();
        self.active.set_size(self.position);
        published.log_end = self.log_end;
        published.first_unstable = self.producers.first_unstable();
        self.staging.completed.drain(..).for_each(|ended| published.unreplicated.note(&ended));
        for staged in &self.staging.batches {
            published.push_tail(TailBatch {
                base: staged.first,
                last: staged.placed.last_offset,
                position: staged.placed.position,
                end: staged.placed.position + staged.placed.size,
            });
        }
        drop(published);
        self.staging.batches.clear();
        self.staging.undo.clear();
        self.staging.bytes = 0;
        Ok(())
    }

    /// Enters aborted transactions into the index of the active segment.
    fn index_completed(&mut self) {
        for aborted in self.staging.completed.iter().filter_map(CompletedTxn::index_entry) {
            // What cannot be written now stays pending; recovery can do without it.
            if let Ok(true) = self.active.note_aborted(&aborted) {
                self.loose.renamed();
            }
        }
    }

    fn write_bytes(&self, given: &[NewBatch<'_>]) -> Result<(), StorageError> {
        let file = self.active.file()?;
        let rest = |staged: &Staged| given.get(staged.given).map_or(&[][..], NewBatch::rest);
        let wrote = match self.staging.batches.as_slice() {
            // The common case needs no allocation.
            [one] => file.write_all_at(
                &mut [IoSlice::new(&one.header), IoSlice::new(rest(one))],
                self.position,
            ),
            many => {
                let mut parts = Vec::with_capacity(many.len() * 2);
                for staged in many {
                    parts.push(IoSlice::new(&staged.header));
                    parts.push(IoSlice::new(rest(staged)));
                }
                file.write_all_at(&mut parts, self.position)
            }
        };
        wrote.context("write", self.active.path())
    }

    /// Takes back what the staged batches have changed in memory.
    fn undo_staged(&mut self) {
        while let Some((id, entry)) = self.staging.undo.pop() {
            self.producers.restore(id, entry);
        }
        self.staging.batches.clear();
        self.staging.completed.clear();
        self.staging.bytes = 0;
    }

    /// Cuts off what a failed write may have left behind the last batch. Only a full disk may be
    /// tried again; after any other failure nobody knows what is on the disk.
    fn cut_back(&mut self, error: &StorageError) {
        if !error.is_full() {
            self.failed.get_or_insert_with(|| error.to_string());
        }
        let cut = self
            .active
            .file()
            .and_then(|file| file.set_len(self.position).context("truncate", self.active.path()));
        if let Err(second) = cut {
            self.failed.get_or_insert_with(|| format!("{error}; then {second}"));
        }
    }
}

impl<'a> NewBatch<'a> {
    fn next_offset(&self) -> Offset {
        self.valid.header.next_offset()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }
}

/// The same failure for each of several batches.
fn fail_all(results: &mut Vec<Result<Appended, AppendError>>, count: usize, error: &AppendError) {
    for _ in 0..count {
        results.push(Err(match error {
            AppendError::Storage(error) => AppendError::Storage(error.again()),
            AppendError::EpochWentBack { request, current } => {
                AppendError::EpochWentBack { request: *request, current: *current }
            }
            other => AppendError::Failed(other.to_string()),
        }));
    }
}
