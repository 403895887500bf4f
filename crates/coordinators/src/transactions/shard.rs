//! The transaction coordinator of one partition of `__transaction_state`.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use naru_model::{ErrorCode, ProducerId, Timestamp, TopicPartition};
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;

use super::command::{ConnectionId, Participants, TxnCommand, TxnReply};
use super::config::TransactionConfig;
use super::end::{self, End, Wish};
use super::error::{TxnError, log_error};
use super::init::{self, Init};
use super::inspect;
use super::metadata::{Identity, Metadata, TransactionVersion};
use super::records::{self, Change};
use super::state::TransactionState;
use crate::error::ReplayError;
use crate::reply::{Outcome, ReplyToken};
use crate::runtime::{Replayed, Shard};
use crate::writes::{Write, WriteId, WriteKind};

/// What one step of the transaction coordinator wants done.
pub type TxnOutcome = Outcome<TxnReply, Markers>;

/// Markers to be written to every partition of a transaction whose end is decided. When they are,
/// [`TxnCommand::MarkersWritten`] says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    /// The transactional id.
    pub transactional_id: String,
    /// Who the producer is in the markers.
    pub producer: Identity,
    /// Commit or abort.
    pub commit: bool,
    /// Which rules the partitions judge the epoch by.
    pub version: TransactionVersion,
    /// Where to.
    pub partitions: BTreeSet<TopicPartition>,
}

/// The transactional ids of one partition.
#[derive(Debug)]
pub struct TransactionShard {
    config: TransactionConfig,
    transactions: HashMap<Arc<str>, Transaction>,
    writes: VecDeque<InFlight>,
    last_write: WriteId,
    /// When overdue transactions, expired ids and completions to try again are looked for; none
    /// while there is no id.
    abort_due: Option<Timestamp>,
    expiry_due: Option<Timestamp>,
    retry_due: Option<Timestamp>,
    skipped: u64,
}

/// One transactional id.
#[derive(Debug, Default)]
struct Transaction {
    /// What the log holds; none while the first record is on its way.
    known: Option<Metadata>,
    /// A transition is in flight.
    is_moving: bool,
    /// All markers are written; the record that says so is not.
    has_markers: bool,
    /// The client's connection that last added to the transaction under way, if it is known.
    via: Option<ConnectionId>,
    /// Another connection that has asked for its end once.
    asked_via: Option<ConnectionId>,
    /// By how much the clock was set since the transaction began: its producer's time goes on as
    /// before.
    clock_set_ms: i64,
}

impl Transaction {
    fn is_overdue(&self, now: Timestamp) -> bool {
        let now = Timestamp(now.0.saturating_sub(self.clock_set_ms));
        self.known.as_ref().is_some_and(|known| known.is_overdue(now))
    }
}

#[derive(Debug)]
struct InFlight {
    id: WriteId,
    changes: Vec<Change>,
    answer: Option<(ReplyToken, TxnReply)>,
}

impl TransactionShard {
    /// An empty shard, to be filled by [`Shard::replay`].
    pub fn new(config: TransactionConfig) -> Self {
        Self {
            config,
            transactions: HashMap::new(),
            writes: VecDeque::new(),
            last_write: WriteId::default(),
            abort_due: None,
            expiry_due: None,
            retry_due: None,
            skipped: 0,
        }
    }

    /// Changes the configuration; deadlines already set stay.
    pub fn reconfigure(&mut self, config: TransactionConfig) {
        self.config = config;
    }

    /// Every transactional id with its state, for metrics.
    pub fn transactions(&self) -> impl Iterator<Item = (&str, TransactionState)> {
        self.transactions.iter().filter_map(|(id, one)| Some((&**id, one.known.as_ref()?.state)))
    }

    /// Records of types this version does not know, skipped by [`Shard::replay`].
    pub fn skipped_records(&self) -> u64 {
        self.skipped
    }

    fn known(&self, id: &str) -> Option<&Metadata> {
        self.transactions.get(id)?.known.as_ref()
    }

    fn is_moving(&self, id: &str) -> bool {
        self.transactions.get(id).is_some_and(|one| one.is_moving)
    }

    fn dispatch(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        command: TxnCommand,
        out: &mut TxnOutcome,
    ) -> Result<(), TxnError> {
        match command {
            TxnCommand::InitProducerId { request, spare } => {
                self.init(now, token, &request, spare, out)
            }
            TxnCommand::AddPartitions { participants, version, via } => {
                self.add_partitions(now, token, participants, (version, via), out)
            }
            TxnCommand::Verify(participants) => {
                let verified = self.verify(participants)?;
                out.reply(token, TxnReply::Verified(verified));
                Ok(())
            }
            TxnCommand::EndTxn { transactional_id, producer, commit, version, via, spare } => {
                let wish = Wish { producer, commit, version, via };
                self.end(now, token, &transactional_id, wish, spare, out)
            }
            TxnCommand::MarkersWritten { transactional_id, producer } => {
                self.markers_written(now, &transactional_id, producer, out);
                out.reply(token, TxnReply::Done);
                Ok(())
            }
            TxnCommand::List(request) => {
                let asked_for = self.transactions.iter().filter_map(|(id, one)| {
                    let known = one.known.as_ref()?;
                    inspect::is_asked_for(known, &request, now).then(|| inspect::listed(id, known))
                });
                let listed = asked_for.collect();
                out.reply(token, TxnReply::Listed(listed));
                Ok(())
            }
            TxnCommand::Describe { transactional_id } => {
                if transactional_id.is_empty() {
                    return Err(TxnError::EmptyTransactionalId);
                }
                let known =
                    self.known(&transactional_id).ok_or(TxnError::TransactionalIdNotFound)?;
                let described = inspect::described(&transactional_id, known);
                out.reply(token, TxnReply::Described(described));
                Ok(())
            }
        }
    }

    fn init(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        request: &InitProducerIdRequest,
        spare: Option<ProducerId>,
        out: &mut TxnOutcome,
    ) -> Result<(), TxnError> {
        let id = request.transactional_id.as_deref().unwrap_or_default();
        if id.is_empty() {
            return Err(TxnError::EmptyTransactionalId);
        }
        if !(1..=self.config.max_timeout_ms).contains(&request.transaction_timeout_ms) {
            return Err(TxnError::InvalidTimeout);
        }
        if self.is_moving(id) {
            return Err(TxnError::ConcurrentTransactions);
        }
        let expected = (request.producer_id != -1).then(|| Identity {
            id: request.producer_id.into(),
            epoch: request.producer_epoch.into(),
        });
        let known = self.known(id);
        match init::decide(known, expected, request.transaction_timeout_ms, spare, now)? {
            Init::NeedsProducerId => out.reply(token, TxnReply::NeedsProducerId),
            Init::Begin(next) => {
                let reply = TxnReply::Initialised(next.producer);
                self.change(now, &Arc::from(id), next, Some((token, reply)), out);
            }
            Init::Fence => {
                let Some(known) = known else { return Err(TxnError::InvalidTxnState) };
                let next = known.fenced(self.config.version, now);
                // The producer asks again until the abort is done.
                let reply = TxnReply::Refused(ErrorCode::ConcurrentTransactions);
                self.change(now, &Arc::from(id), next, Some((token, reply)), out);
            }
        }
        Ok(())
    }

    /// The transaction of a producer that may change it.
    fn owned(&self, participants: &Participants) -> Result<&Metadata, TxnError> {
        if participants.transactional_id.is_empty() {
            return Err(TxnError::EmptyTransactionalId);
        }
        let known = self
            .known(&participants.transactional_id)
            .filter(|known| known.producer.id == participants.producer.id)
            .ok_or(TxnError::InvalidProducerIdMapping)?;
        if known.producer.epoch == participants.producer.epoch {
            Ok(known)
        } else {
            Err(TxnError::ProducerFenced)
        }
    }

    fn add_partitions(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        participants: Participants,
        (version, via): (TransactionVersion, Option<ConnectionId>),
        out: &mut TxnOutcome,
    ) -> Result<(), TxnError> {
        let known = self.owned(&participants)?;
        if self.is_moving(&participants.transactional_id) || known.state.is_prepared() {
            return Err(TxnError::ConcurrentTransactions);
        }
        let Participants { transactional_id, partitions, .. } = participants;
        let is_in =
            known.state == TransactionState::Ongoing && partitions.is_subset(&known.partitions);
        let next = (!is_in).then(|| known.with_partitions(partitions, version, now));
        if let Some(one) = self.transactions.get_mut(transactional_id.as_str()) {
            one.via = via;
        }
        let Some(next) = next else {
            out.reply(token, TxnReply::Added);
            return Ok(());
        };
        let id = Arc::from(transactional_id);
        self.change(now, &id, next, Some((token, TxnReply::Added)), out);
        Ok(())
    }

    /// What is on its way is not looked at: the partition judges the batch once more.
    fn verify(
        &self,
        participants: Participants,
    ) -> Result<Vec<(TopicPartition, ErrorCode)>, TxnError> {
        let known = self.owned(&participants)?;
        if known.state.is_prepared() {
            return Err(TxnError::ConcurrentTransactions);
        }
        let verdict = |one: TopicPartition| {
            let is_in = known.partitions.contains(&one);
            (one, if is_in { ErrorCode::None } else { ErrorCode::TransactionAbortable })
        };
        Ok(participants.partitions.into_iter().map(verdict).collect())
    }

    fn end(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        id: &str,
        wish: Wish,
        spare: Option<ProducerId>,
        out: &mut TxnOutcome,
    ) -> Result<(), TxnError> {
        if id.is_empty() {
            return Err(TxnError::EmptyTransactionalId);
        }
        let known = self.known(id).ok_or(TxnError::InvalidProducerIdMapping)?;
        match end::decide(known, self.is_moving(id), wish, spare, now)? {
            End::Done(producer) => out.reply(token, TxnReply::Ended(producer)),
            End::NeedsProducerId => out.reply(token, TxnReply::NeedsProducerId),
            End::Prepare(_) if self.may_be_late(id, wish) => {
                return Err(TxnError::ConcurrentTransactions);
            }
            End::Prepare(next) => {
                let reply = TxnReply::Ended(next.after_completion());
                self.change(now, &Arc::from(id), next, Some((token, reply)), out);
            }
        }
        Ok(())
    }

    /// Whether this may be the end of an earlier transaction, held up on its way while its client
    /// asked again by another connection and has gone on. Before version 2 nothing in the request
    /// tells. But a request that was held up is not asked again, and a living client's is: who
    /// did not come by the connection that added to the transaction is heard the second time.
    fn may_be_late(&mut self, id: &str, wish: Wish) -> bool {
        let Some(one) = self.transactions.get_mut(id) else { return false };
        if wish.version.bumps_epoch()
            || one.via.is_none()
            || [one.via, one.asked_via].contains(&wish.via)
        {
            return false;
        }
        one.asked_via = wish.via;
        true
    }

    fn markers_written(
        &mut self,
        now: Timestamp,
        id: &str,
        producer: Identity,
        out: &mut TxnOutcome,
    ) {
        let Some(one) = self.transactions.get_mut(id) else { return };
        let is_meant = |known: &Metadata| known.state.is_prepared() && known.producer == producer;
        if one.known.as_ref().is_some_and(is_meant) && !one.is_moving {
            one.has_markers = true;
            self.complete(now, &Arc::from(id), out);
        }
    }

    /// Writes that a prepared transaction is complete.
    fn complete(&mut self, now: Timestamp, id: &Arc<str>, out: &mut TxnOutcome) {
        if let Some(known) = self.known(id) {
            let next = known.completed(now);
            self.change(now, id, next, None, out);
        }
    }

    /// Begins a transition; it counts when its record is committed.
    fn change(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        next: Metadata,
        answer: Option<(ReplyToken, TxnReply)>,
        out: &mut TxnOutcome,
    ) {
        let one = self.transactions.entry(Arc::clone(id)).or_default();
        one.is_moving = true;
        if one.known.as_ref().is_none_or(|known| known.started != next.started) {
            one.clock_set_ms = 0;
        }
        self.set_deadlines(now);
        self.write(now, vec![(Arc::clone(id), Some(next))], answer, out);
    }

    fn write(
        &mut self,
        now: Timestamp,
        changes: Vec<Change>,
        answer: Option<(ReplyToken, TxnReply)>,
        out: &mut TxnOutcome,
    ) {
        self.last_write = WriteId(self.last_write.0 + 1);
        let id = self.last_write;
        let version = self.config.version;
        let record = |(id, next): &Change| records::record(id, next.as_ref(), version, now);
        let records = changes.iter().map(record).collect();
        self.writes.push_back(InFlight { id, changes, answer });
        out.writes.push(Write { id, records, kind: WriteKind::Plain });
    }

    /// Takes in what is committed, and does what follows from it.
    fn apply(&mut self, now: Timestamp, (id, next): Change, out: &mut TxnOutcome) {
        let Some(next) = next else {
            self.transactions.remove(&id);
            return;
        };
        let is_prepared = next.state.is_prepared();
        let goes_on = next.state == TransactionState::Ongoing;
        let before = self.transactions.get(&id);
        let via = before.and_then(|one| one.via).filter(|_| goes_on);
        let clock_set_ms = before.map_or(0, |one| one.clock_set_ms);
        let one = Transaction { known: Some(next), via, clock_set_ms, ..Transaction::default() };
        self.transactions.insert(Arc::clone(&id), one);
        if is_prepared {
            self.go_on(now, &id, out);
        }
    }

    /// Has the markers of a prepared transaction written; without partitions it is complete.
    fn go_on(&mut self, now: Timestamp, id: &Arc<str>, out: &mut TxnOutcome) {
        let Some(one) = self.transactions.get_mut(id) else { return };
        let Some(known) = &one.known else { return };
        if known.partitions.is_empty() {
            one.has_markers = true;
            return self.complete(now, id, out);
        }
        out.effects.push(Markers {
            transactional_id: id.to_string(),
            producer: known.producer,
            commit: known.state == TransactionState::PrepareCommit,
            version: known.client_version,
            partitions: known.partitions.clone(),
        });
    }

    /// A record was not appended: all is as it was before.
    fn undo(&mut self, now: Timestamp, id: &Arc<str>) {
        let Some(one) = self.transactions.get_mut(id) else { return };
        one.is_moving = false;
        if one.known.is_none() {
            self.transactions.remove(id);
        } else if one.has_markers {
            self.retry_due = Some(after(now, self.config.retry_ms));
        }
    }

    fn set_deadlines(&mut self, now: Timestamp) {
        let abort_ms = self.config.abort_timed_out_interval_ms;
        let expiry_ms = self.config.remove_expired_interval_ms;
        self.abort_due.get_or_insert_with(|| after(now, abort_ms));
        self.expiry_due.get_or_insert_with(|| after(now, expiry_ms));
    }

    fn idle(&self, is_meant: impl Fn(&Transaction, &Metadata) -> bool) -> Vec<Arc<str>> {
        let idle = self.transactions.iter().filter(|(_, one)| !one.is_moving);
        let mut ids: Vec<Arc<str>> = idle
            .filter(|(_, one)| one.known.as_ref().is_some_and(|known| is_meant(one, known)))
            .map(|(id, _)| Arc::clone(id))
            .collect();
        ids.sort_unstable();
        ids
    }

    fn abort_overdue(&mut self, now: Timestamp, out: &mut TxnOutcome) {
        for id in self.idle(|one, _| one.is_overdue(now)) {
            if let Some(known) = self.known(&id) {
                let next = known.fenced(self.config.version, now);
                self.change(now, &id, next, None, out);
            }
        }
    }

    fn forget_expired(&mut self, now: Timestamp, out: &mut TxnOutcome) {
        let expiration_ms = self.config.id_expiration_ms;
        let is_expired = |_: &Transaction, known: &Metadata| {
            known.state.may_expire() && now.0.saturating_sub(known.updated.0) >= expiration_ms
        };
        for ids in self.idle(is_expired).chunks(BATCH_RECORDS) {
            for id in ids {
                if let Some(one) = self.transactions.get_mut(id) {
                    one.is_moving = true;
                }
            }
            let changes = ids.iter().map(|id| (Arc::clone(id), None)).collect();
            self.write(now, changes, None, out);
        }
    }

    fn retry_completions(&mut self, now: Timestamp, out: &mut TxnOutcome) {
        for id in self.idle(|one, known| one.has_markers && known.state.is_prepared()) {
            self.complete(now, &id, out);
        }
    }

    /// What the log alone decides, for tests of replay.
    #[cfg(test)]
    pub(super) fn settled(&self) -> std::collections::BTreeMap<String, Metadata> {
        let settled = self.transactions.iter().filter_map(|(id, one)| {
            let known = one.known.clone()?;
            // The first version of values has no place for it.
            let is_kept = self.config.version > TransactionVersion::V0;
            let previous_id = known.previous_id.filter(|_| is_kept);
            Some((id.to_string(), Metadata { last_epoch: None, previous_id, ..known }))
        });
        settled.collect()
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        for (id, one) in &self.transactions {
            let in_flight = self.writes.iter().flat_map(|write| &write.changes);
            let count = in_flight.filter(|(changed, _)| changed == id).count();
            assert_eq!(count, usize::from(one.is_moving), "one transition of {id} at a time");
            assert!(one.known.is_some() || one.is_moving, "{id} is known or becomes so");
        }
    }
}

impl Shard for TransactionShard {
    type Command = TxnCommand;
    type Reply = TxnReply;
    type Effect = Markers;

    fn replay(
        &mut self,
        _producer: Option<ProducerId>,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Replayed, ReplayError> {
        let Some((id, next)) = records::read(key, value)? else {
            self.skipped += 1;
            return Ok(Replayed::Skipped);
        };
        match next {
            Some(known) => {
                let one = Transaction { known: Some(known), ..Transaction::default() };
                self.transactions.insert(id, one);
            }
            None => {
                self.transactions.remove(&id);
            }
        }
        Ok(Replayed::Applied)
    }

    /// Nobody's transaction writes here.
    fn replay_marker(&mut self, _producer: ProducerId, _commit: bool) {}

    /// The log is read: what was decided before goes on.
    fn on_loaded(&mut self, now: Timestamp) -> TxnOutcome {
        let mut out = TxnOutcome::default();
        if !self.transactions.is_empty() {
            self.set_deadlines(now);
        }
        for one in self.transactions.values_mut() {
            // What began in the future did so by a clock that was set back since.
            let started = one.known.as_ref().and_then(|known| known.started);
            one.clock_set_ms = started.map_or(0, |at| now.0.saturating_sub(at.0).min(0));
        }
        for id in self.idle(|_, known| known.state.is_prepared()) {
            self.go_on(now, &id, &mut out);
        }
        out
    }

    fn handle(&mut self, now: Timestamp, token: ReplyToken, command: TxnCommand) -> TxnOutcome {
        let mut out = TxnOutcome::default();
        if let Err(error) = self.dispatch(now, token, command, &mut out) {
            out.reply(token, TxnReply::Refused(error.into()));
        }
        out
    }

    fn on_written(
        &mut self,
        now: Timestamp,
        id: WriteId,
        result: Result<(), ErrorCode>,
    ) -> TxnOutcome {
        let mut out = TxnOutcome::default();
        let Ok(at) = self.writes.binary_search_by_key(&id, |write| write.id) else { return out };
        let Some(InFlight { changes, answer, .. }) = self.writes.remove(at) else { return out };
        for change in changes {
            match result {
                Ok(()) => self.apply(now, change, &mut out),
                Err(_) => self.undo(now, &change.0),
            }
        }
        if let Some((token, reply)) = answer {
            out.reply(token, result.err().map_or(reply, |e| TxnReply::Refused(log_error(e))));
        }
        out
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        [self.abort_due, self.expiry_due, self.retry_due].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Timestamp) -> TxnOutcome {
        let mut out = TxnOutcome::default();
        let due = |at: &mut Option<Timestamp>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.abort_due) {
            self.abort_overdue(now, &mut out);
        }
        if due(&mut self.expiry_due) {
            self.forget_expired(now, &mut out);
        }
        if due(&mut self.retry_due) {
            self.retry_completions(now, &mut out);
        }
        if !self.transactions.is_empty() {
            self.set_deadlines(now);
        }
        out
    }

    /// Transactions that became overdue meanwhile are looked for when their producers have had
    /// time to end them. What expires after days is not moved.
    fn postpone(&mut self, by_ms: i64) {
        for due in [&mut self.abort_due, &mut self.retry_due].into_iter().flatten() {
            *due = after(*due, by_ms.max(0));
        }
    }

    fn clock_was_set(&mut self, by_ms: i64) {
        let dues = [&mut self.abort_due, &mut self.expiry_due, &mut self.retry_due];
        for due in dues.into_iter().flatten() {
            *due = Timestamp(due.0.saturating_add(by_ms));
        }
        for one in self.transactions.values_mut() {
            one.clock_set_ms = one.clock_set_ms.saturating_add(by_ms);
        }
    }

    fn unload(&mut self) -> TxnOutcome {
        let mut out = TxnOutcome::default();
        for write in self.writes.drain(..) {
            if let Some((token, _)) = write.answer {
                out.reply(token, TxnReply::Refused(ErrorCode::NotCoordinator));
            }
        }
        self.transactions.clear();
        (self.abort_due, self.expiry_due, self.retry_due) = (None, None, None);
        out
    }
}

fn after(now: Timestamp, milliseconds: i64) -> Timestamp {
    Timestamp(now.0.saturating_add(milliseconds.max(1)))
}

/// Tombstones that go into one batch: far below any `max.message.bytes`.
const BATCH_RECORDS: usize = 1_000;
