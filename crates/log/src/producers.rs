//! What a log knows of its idempotent producers (KIP-98): enough to refuse gaps and to answer a
//! repeated batch with the offsets it already has.
//!
//! Pure. Offsets are those of whole batches; the last five of each producer are remembered.
//!
//! Invariant: `ongoing` has exactly the producers whose entry has a transaction's first offset.

use std::collections::{BTreeMap, HashMap};

use naru_model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use naru_records::{BatchHeader, EndTxnMarker, ProducerStamp};

use crate::error::AppendError;
use crate::transactions::CompletedTxn;
use crate::verification::{Verification, Verifying};

/// How many batches of a producer are remembered, as many as a client may have in flight.
pub(crate) const BATCHES_MAX: usize = 5;

/// Who asks for an append, which says how much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client: epoch and sequence.
    Client,
    /// A coordinator of this cluster: the epoch only.
    Coordinator,
    /// A transaction coordinator, which ends a transaction: epochs of both.
    Marker {
        /// `transaction.version` of the transaction: from 2 on a marker has a new epoch (KIP-890).
        transaction_version: i8,
    },
    /// The partition's leader has checked all.
    Replication,
}

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KnownBatch {
    pub(crate) last_sequence: Sequence,
    pub(crate) last_offset: Offset,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: Timestamp,
}

impl KnownBatch {
    /// The batch with this header, as it stands at `first`.
    pub(crate) fn of(header: &BatchHeader, first: Offset, timestamp: Timestamp) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: first.plus(i64::from(header.last_offset_delta)),
            offset_delta: header.last_offset_delta,
            timestamp,
        }
    }

    fn first_sequence(&self) -> Sequence {
        let (last, delta) = (self.last_sequence.0, self.offset_delta);
        if last >= delta { Sequence(last - delta) } else { Sequence(i32::MAX - (delta - last) + 1) }
    }

    pub(crate) fn first_offset(&self) -> Offset {
        Offset(self.last_offset.0 - i64::from(self.offset_delta))
    }
}

/// What is known of one producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerEntry {
    pub(crate) epoch: ProducerEpoch,
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp: Timestamp,
    pub(crate) txn_first_offset: Option<Offset>,
    batches: [KnownBatch; BATCHES_MAX],
    count: u8,
}

impl ProducerEntry {
    pub(crate) fn new(epoch: ProducerEpoch) -> Self {
        Self {
            epoch,
            coordinator_epoch: -1,
            last_timestamp: Timestamp(-1),
            txn_first_offset: None,
            batches: [KnownBatch::default(); BATCHES_MAX],
            count: 0,
        }
    }

    /// The remembered batches, oldest first.
    pub(crate) fn batches(&self) -> &[KnownBatch] {
        &self.batches[..usize::from(self.count)]
    }

    pub(crate) fn last_batch(&self) -> Option<&KnownBatch> {
        self.batches().last()
    }

    pub(crate) fn push(&mut self, batch: KnownBatch) {
        if usize::from(self.count) == BATCHES_MAX {
            self.batches.rotate_left(1);
            self.count -= 1;
        }
        self.batches[usize::from(self.count)] = batch;
        self.count += 1;
    }

    /// Takes over what the log's tail shows of the batches before the last one, which is all that
    /// a snapshot remembers. `recent` are the last batches of the producer's epoch.
    pub(crate) fn recall(&mut self, recent: &[KnownBatch]) {
        let is_same = |a: &KnownBatch, b: &KnownBatch| {
            (a.last_offset, a.last_sequence) == (b.last_offset, b.last_sequence)
        };
        if let (Some(known), Some(last)) = (self.last_batch(), recent.last())
            && is_same(known, last)
            && recent.len() > usize::from(self.count)
        {
            self.count = 0;
            recent.iter().for_each(|batch| self.push(*batch));
        }
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.count = 0;
        }
    }

    /// Whether the transaction of a known batch has ended.
    ///
    /// What comes with the batch's sequences again is then no repetition that anybody waits for:
    /// producers end a transaction when its batches are answered. librdkafka, though, gives the
    /// sequences of records that it throws away when it aborts to records of the next transaction,
    /// also when the first ones had been stored and only their answer was lost. Whoever takes those
    /// for stored tears that transaction. (With an epoch per transaction, KIP-890, there is no such
    /// doubt. Apache Kafka takes them for stored.)
    fn has_ended(&self, known: &KnownBatch) -> bool {
        self.txn_first_offset.is_none_or(|first| known.first_offset() < first)
    }

    fn duplicate_of(&self, stamp: &ProducerStamp, last_sequence: Sequence) -> Option<KnownBatch> {
        if stamp.epoch != self.epoch {
            return None;
        }
        let same = |known: &&KnownBatch| {
            known.first_sequence() == stamp.base_sequence && known.last_sequence == last_sequence
        };
        self.batches().iter().find(same).copied()
    }
}

/// Whether a batch is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    New,
    Duplicate(KnownBatch),
}

/// All producers of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    entries: HashMap<ProducerId, ProducerEntry>,
    /// First offsets of the transactions that have not ended.
    ongoing: BTreeMap<Offset, ProducerId>,
}

impl Producers {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    pub(crate) fn entry(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&id)
    }

    /// Puts an entry back as it was, or takes it away.
    pub(crate) fn restore(&mut self, id: ProducerId, entry: Option<ProducerEntry>) {
        if let Some(first) = self.entries.get(&id).and_then(|entry| entry.txn_first_offset) {
            self.ongoing.remove(&first);
        }
        match entry {
            Some(entry) => {
                if let Some(first) = entry.txn_first_offset {
                    self.ongoing.insert(first, id);
                }
                self.entries.insert(id, entry);
            }
            None => {
                self.entries.remove(&id);
            }
        }
    }

    /// Whether a transaction of this producer is open, in this epoch.
    pub(crate) fn has_ongoing(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| entry.txn_first_offset.is_some() && entry.epoch == epoch)
    }

    /// Completes what a snapshot does not remember; see [`ProducerEntry::recall`].
    pub(crate) fn recall(&mut self, id: ProducerId, epoch: ProducerEpoch, recent: &[KnownBatch]) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.epoch == epoch
        {
            entry.recall(recent);
        }
    }

    /// The first offset of the oldest open transaction.
    pub(crate) fn first_unstable(&self) -> Option<Offset> {
        self.ongoing.first_key_value().map(|(first, _)| *first)
    }

    /// Forgets the producers that have written nothing for so long and have no transaction open.
    pub(crate) fn expire(&mut self, now: Timestamp, after_ms: i64) {
        self.entries.retain(|_, entry| {
            entry.txn_first_offset.is_some()
                || now.0.saturating_sub(entry.last_timestamp.0) < after_ms
        });
    }

    /// Judges a batch against what is known, without changing anything. `verifying` is what is
    /// known of its producer's verification, `marker` what the batch says if it is one.
    pub(crate) fn check(
        &self,
        header: &BatchHeader,
        stamp: &ProducerStamp,
        origin: Origin,
        marker: Option<EndTxnMarker>,
        verification: (Verification, Option<&Verifying>),
    ) -> Result<Verdict, AppendError> {
        if origin == Origin::Replication {
            return Ok(Verdict::New);
        }
        let entry = self.entries.get(&stamp.id);
        if let Some(marker) = marker {
            return check_marker(entry, stamp, origin, marker);
        }
        if origin == Origin::Client
            && let Some(entry) = entry
            && let Some(known) = entry.duplicate_of(stamp, header.last_sequence())
        {
            if header.is_transactional() && entry.has_ended(&known) {
                let (producer_id, request) = (stamp.id, stamp.base_sequence);
                return Err(AppendError::SequenceOfEndedTxn { producer_id, request });
            }
            return Ok(Verdict::Duplicate(known));
        }
        check_epoch(entry, stamp, |request, current| request < current)?;
        if header.is_control() {
            return Ok(Verdict::New);
        }
        let (needed, verifying) = verification;
        if let Verification::Needed(guard) = needed
            && header.is_transactional()
            && !self.has_ongoing(stamp.id, stamp.epoch)
            && (guard.is_none() || guard != verifying.map(|verifying| verifying.guard))
        {
            return Err(AppendError::NotVerified { producer_id: stamp.id });
        }
        if origin == Origin::Client {
            if let Some(verifying) = verifying {
                check_first_sequence(entry, stamp, verifying)?;
            }
            if let Some(entry) = entry {
                check_sequence(entry, stamp)?;
            }
        }
        if !header.is_transactional() && entry.is_some_and(|e| e.txn_first_offset.is_some()) {
            return Err(AppendError::InvalidTxnState { producer_id: stamp.id });
        }
        Ok(Verdict::New)
    }

    /// Remembers a data batch that stands at this offset.
    pub(crate) fn note_data(
        &mut self,
        header: &BatchHeader,
        stamp: &ProducerStamp,
        first: Offset,
        timestamp: Timestamp,
    ) {
        let entry = self.entries.entry(stamp.id).or_insert_with(|| ProducerEntry::new(stamp.epoch));
        entry.enter_epoch(stamp.epoch);
        entry.push(KnownBatch::of(header, first, timestamp));
        entry.last_timestamp = timestamp;
        if header.is_transactional() && entry.txn_first_offset.is_none() {
            entry.txn_first_offset = Some(first);
            self.ongoing.insert(first, stamp.id);
        }
    }

    /// Remembers the end of a producer's transaction, whose marker stands at this offset; what
    /// ended, if something had begun.
    pub(crate) fn note_marker(
        &mut self,
        stamp: &ProducerStamp,
        marker: EndTxnMarker,
        at: Offset,
        timestamp: Timestamp,
    ) -> Option<CompletedTxn> {
        let entry = self.entries.entry(stamp.id).or_insert_with(|| ProducerEntry::new(stamp.epoch));
        entry.enter_epoch(stamp.epoch);
        entry.coordinator_epoch = marker.coordinator_epoch();
        entry.last_timestamp = timestamp;
        let first = entry.txn_first_offset.take()?;
        self.ongoing.remove(&first);
        Some(CompletedTxn {
            producer_id: stamp.id,
            first,
            marker: at,
            aborted: matches!(marker, EndTxnMarker::Abort { .. }),
            last_stable: self.first_unstable().unwrap_or_else(|| at.plus(1)),
        })
    }
}

fn check_epoch(
    entry: Option<&ProducerEntry>,
    stamp: &ProducerStamp,
    is_old: impl FnOnce(ProducerEpoch, ProducerEpoch) -> bool,
) -> Result<(), AppendError> {
    match entry {
        Some(entry) if is_old(stamp.epoch, entry.epoch) => Err(AppendError::InvalidProducerEpoch {
            producer_id: stamp.id,
            request: stamp.epoch,
            current: entry.epoch,
        }),
        _ => Ok(()),
    }
}

fn check_marker(
    entry: Option<&ProducerEntry>,
    stamp: &ProducerStamp,
    origin: Origin,
    marker: EndTxnMarker,
) -> Result<Verdict, AppendError> {
    // With version 2 every marker has a new epoch: one that has not may be of an earlier
    // transaction, or it is repeated, which does no harm once the transaction has ended.
    let is_strict =
        matches!(origin, Origin::Marker { transaction_version } if transaction_version >= 2);
    let is_open = entry.is_some_and(|entry| entry.txn_first_offset.is_some());
    check_epoch(entry, stamp, |request, current| {
        request < current || (is_strict && is_open && request == current)
    })?;
    let current = entry.map_or(-1, |entry| entry.coordinator_epoch);
    let request = marker.coordinator_epoch();
    if request < current {
        return Err(AppendError::CoordinatorFenced { request, current });
    }
    Ok(Verdict::New)
}

/// What a producer begins a transaction with after its verification has begun: nothing later than
/// what it asked for first, and zero with version 2 if nothing is known of it.
fn check_first_sequence(
    entry: Option<&ProducerEntry>,
    stamp: &ProducerStamp,
    verifying: &Verifying,
) -> Result<(), AppendError> {
    let request = stamp.base_sequence;
    let is_unknown = entry.is_none_or(|entry| entry.batches().is_empty());
    if (verifying.bumps_epochs && is_unknown && request.0 != 0)
        || request > verifying.lowest_sequence
    {
        return Err(AppendError::OutOfOrderSequence { producer_id: stamp.id, request, last: None });
    }
    Ok(())
}

fn check_sequence(entry: &ProducerEntry, stamp: &ProducerStamp) -> Result<(), AppendError> {
    let request = stamp.base_sequence;
    if stamp.epoch != entry.epoch {
        // A new epoch begins at zero, unless the entry knows no epoch yet.
        if request.0 != 0 && entry.epoch.0 >= 0 {
            return Err(AppendError::OutOfOrderSequence {
                producer_id: stamp.id,
                request,
                last: None,
            });
        }
        return Ok(());
    }
    let last = entry.last_batch().map(|known| known.last_sequence);
    let follows = match last {
        Some(last) => request == last.plus(1),
        None => request.0 == 0,
    };
    if follows || entry.epoch.0 < 0 {
        return Ok(());
    }
    Err(AppendError::OutOfOrderSequence { producer_id: stamp.id, request, last })
}
