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

/// How many batches of a producer are remembered, as many as a client may have in flight.
pub(crate) const BATCHES_MAX: usize = 5;

/// Who asks for an append, which says how much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client: epoch and sequence.
    Client,
    /// A coordinator of this cluster: the epoch only.
    Coordinator,
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

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.count = 0;
        }
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

    /// Judges a batch against what is known, without changing anything.
    pub(crate) fn check(
        &self,
        header: &BatchHeader,
        stamp: &ProducerStamp,
        origin: Origin,
    ) -> Result<Verdict, AppendError> {
        if origin == Origin::Replication {
            return Ok(Verdict::New);
        }
        let Some(entry) = self.entries.get(&stamp.id) else { return Ok(Verdict::New) };
        if origin == Origin::Client
            && let Some(known) = entry.duplicate_of(stamp, header.last_sequence())
        {
            return Ok(Verdict::Duplicate(known));
        }
        if stamp.epoch < entry.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id: stamp.id,
                request: stamp.epoch,
                current: entry.epoch,
            });
        }
        if header.is_control() {
            return Ok(Verdict::New);
        }
        if origin == Origin::Client {
            check_sequence(entry, stamp)?;
        }
        if entry.txn_first_offset.is_some() && !header.is_transactional() {
            return Err(AppendError::InvalidTxnState { producer_id: stamp.id });
        }
        Ok(Verdict::New)
    }

    /// Remembers a data batch that stands at these offsets.
    pub(crate) fn note_data(
        &mut self,
        header: &BatchHeader,
        stamp: &ProducerStamp,
        first: Offset,
        last: Offset,
        timestamp: Timestamp,
    ) {
        let entry = self.entries.entry(stamp.id).or_insert_with(|| ProducerEntry::new(stamp.epoch));
        entry.enter_epoch(stamp.epoch);
        entry.push(KnownBatch {
            last_sequence: header.last_sequence(),
            last_offset: last,
            offset_delta: i32::try_from(last.0 - first.0).unwrap_or(i32::MAX),
            timestamp,
        });
        entry.last_timestamp = timestamp;
        if header.is_transactional() && entry.txn_first_offset.is_none() {
            entry.txn_first_offset = Some(first);
            self.ongoing.insert(first, stamp.id);
        }
    }

    /// Remembers the end of a producer's transaction.
    pub(crate) fn note_marker(
        &mut self,
        stamp: &ProducerStamp,
        marker: EndTxnMarker,
        timestamp: Timestamp,
    ) {
        let (EndTxnMarker::Commit { coordinator_epoch }
        | EndTxnMarker::Abort { coordinator_epoch }) = marker;
        let entry = self.entries.entry(stamp.id).or_insert_with(|| ProducerEntry::new(stamp.epoch));
        entry.enter_epoch(stamp.epoch);
        if let Some(first) = entry.txn_first_offset.take() {
            self.ongoing.remove(&first);
        }
        entry.coordinator_epoch = coordinator_epoch;
        entry.last_timestamp = timestamp;
    }
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
