//! What is known of one transactional id, and the transitions between what is known.
//!
//! Each transition takes the present and yields the next; the caller writes it down before it
//! counts.

use std::collections::BTreeSet;

use naru_model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};

use super::state::TransactionState;

/// A producer as partitions know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The producer id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

impl Identity {
    /// Nobody: what answers carry when there is nothing to tell.
    pub const NONE: Self = Self { id: ProducerId(-1), epoch: ProducerEpoch(-1) };
}

/// A level of the feature `transaction.version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionVersion(pub i16);

impl TransactionVersion {
    /// Records of the transaction log without tagged fields.
    pub const V0: Self = Self(0);
    /// KIP-890's second part: partitions are added implicitly, each transaction has an epoch of
    /// its own.
    pub const V2: Self = Self(2);

    /// Whether the end of a transaction raises the producer's epoch.
    pub fn bumps_epoch(self) -> bool {
        self >= Self::V2
    }

    /// Version of the transaction log's values.
    pub(super) fn record_version(self) -> i16 {
        i16::from(self > Self::V0)
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(super) producer: Identity,
    /// The producer id before the last transition.
    pub(super) previous_id: Option<ProducerId>,
    /// The producer id that follows when this transaction is complete, its epochs being used up.
    pub(super) next_id: Option<ProducerId>,
    /// The epoch before the last bump that the producer asked for; not in the log, so unknown
    /// after a reload, as in Kafka.
    pub(super) last_epoch: Option<ProducerEpoch>,
    pub(super) timeout_ms: i32,
    pub(super) state: TransactionState,
    pub(super) partitions: BTreeSet<TopicPartition>,
    /// When the transaction began, none before the first.
    pub(super) started: Option<Timestamp>,
    pub(super) updated: Timestamp,
    /// The version the client spoke when the state was last changed.
    pub(super) client_version: TransactionVersion,
}

impl Metadata {
    /// A transactional id that was not known before.
    pub(super) fn new(id: ProducerId, timeout_ms: i32, now: Timestamp) -> Self {
        Self {
            producer: Identity { id, epoch: ProducerEpoch(0) },
            previous_id: Some(id),
            next_id: None,
            last_epoch: None,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            started: None,
            updated: now,
            client_version: TransactionVersion::V0,
        }
    }

    /// No epoch is left for another producer: the highest one is kept for fencing.
    pub(super) fn is_exhausted(&self) -> bool {
        is_exhausted(self.producer.epoch)
    }

    /// The transaction has taken longer than its producer allowed.
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        let Some(started) = self.started else { return false };
        self.state == TransactionState::Ongoing
            && started.0.saturating_add(i64::from(self.timeout_ms)) < now.0
    }

    fn next(&self, state: TransactionState, now: Timestamp) -> Self {
        Self { state, previous_id: Some(self.producer.id), updated: now, ..self.clone() }
    }

    /// A producer begins anew, with this identity.
    pub(super) fn initialised(
        &self,
        producer: Identity,
        last_epoch: Option<ProducerEpoch>,
        timeout_ms: i32,
        now: Timestamp,
    ) -> Self {
        Self {
            producer,
            last_epoch,
            timeout_ms,
            partitions: BTreeSet::new(),
            started: None,
            ..self.next(TransactionState::Empty, now)
        }
    }

    /// Partitions join the transaction, or begin it.
    pub(super) fn with_partitions(
        &self,
        added: BTreeSet<TopicPartition>,
        client_version: TransactionVersion,
        now: Timestamp,
    ) -> Self {
        let begins = self.state != TransactionState::Ongoing;
        let mut next = self.next(TransactionState::Ongoing, now);
        next.partitions.extend(added);
        next.started = if begins { Some(now) } else { self.started };
        next.client_version = client_version;
        next
    }

    /// The transaction ends as its producer wants.
    pub(super) fn ending(
        &self,
        commit: bool,
        client_version: TransactionVersion,
        next_id: Option<ProducerId>,
        now: Timestamp,
    ) -> Self {
        let state =
            if commit { TransactionState::PrepareCommit } else { TransactionState::PrepareAbort };
        let mut next = self.next(state, now);
        if client_version.bumps_epoch() {
            // At the highest epoch, where only a fencing can have led, an abort goes through.
            next.producer.epoch = bumped(self.producer.epoch);
            next.last_epoch = Some(self.producer.epoch);
        }
        if self.state != TransactionState::Ongoing {
            // An abort without a partition has no beginning of its own.
            next.started = Some(now);
        }
        next.next_id = next_id;
        next.client_version = client_version;
        next
    }

    /// The transaction is aborted because of a newer producer or because it took too long. The
    /// epoch rises, so that nobody else can write in its name.
    pub(super) fn fenced(&self, server_version: TransactionVersion, now: Timestamp) -> Self {
        let mut fenced = self.clone();
        fenced.producer.epoch = bumped(self.producer.epoch);
        fenced.last_epoch = None;
        let version =
            if server_version.bumps_epoch() { server_version } else { TransactionVersion::V0 };
        fenced.ending(false, version, None, now)
    }

    /// All markers are written.
    pub(super) fn completed(&self, now: Timestamp) -> Self {
        let state = if self.state == TransactionState::PrepareCommit {
            TransactionState::CompleteCommit
        } else {
            TransactionState::CompleteAbort
        };
        let mut next = self.next(state, now);
        next.producer = self.after_completion();
        next.next_id = None;
        next.partitions = BTreeSet::new();
        next
    }

    /// Who the producer is when the prepared transaction is complete.
    pub(super) fn after_completion(&self) -> Identity {
        match self.next_id {
            Some(id) if self.client_version.bumps_epoch() => {
                Identity { id, epoch: ProducerEpoch(0) }
            }
            Some(_) | None => self.producer,
        }
    }
}

/// The next epoch; the highest one stays.
fn bumped(epoch: ProducerEpoch) -> ProducerEpoch {
    ProducerEpoch(epoch.0.saturating_add(1))
}

/// Whether nobody may be given a higher epoch than this.
pub(super) fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch >= EPOCH_MAX_FOR_CLIENTS
}

/// The highest epoch that a client ever sees.
pub(super) const EPOCH_MAX_FOR_CLIENTS: ProducerEpoch = ProducerEpoch(i16::MAX - 1);
