//! A shell for tests: a log, a clock that is moved by hand, markers that are written when told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use naru_model::{ErrorCode, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;

use crate::reply::ReplyToken;
use crate::transactions::{
    ConnectionId, Identity, Markers, Participants, TransactionConfig, TransactionShard,
    TransactionState, TransactionVersion, TxnCommand, TxnOutcome, TxnReply,
};
use crate::{CoordinatorRecord, Shard as _, Write};

pub(super) const ID: &str = "tx";

pub(super) struct Bench {
    pub(super) shard: TransactionShard,
    pub(super) config: TransactionConfig,
    pub(super) now: Timestamp,
    pub(super) log: Vec<CoordinatorRecord>,
    pub(super) in_flight: VecDeque<Write>,
    /// Commit at once what the shard writes.
    pub(super) auto_commit: bool,
    /// Asked for and not written yet.
    pub(super) markers: Vec<Markers>,
    pub(super) answers: BTreeMap<ReplyToken, TxnReply>,
    waiting: BTreeSet<ReplyToken>,
    next: u64,
    next_producer_id: i64,
    /// The connection that requests come by.
    pub(super) via: Option<ConnectionId>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(TransactionConfig::default())
    }

    pub(super) fn with(config: TransactionConfig) -> Self {
        Self {
            shard: TransactionShard::new(config),
            config,
            now: Timestamp(1_000_000),
            log: Vec::new(),
            in_flight: VecDeque::new(),
            auto_commit: true,
            markers: Vec::new(),
            answers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            next: 0,
            next_producer_id: 1_000,
            via: Some(ConnectionId(1)),
        }
    }

    pub(super) fn run(&mut self, outcome: TxnOutcome) {
        for (token, reply) in outcome.replies {
            assert!(self.waiting.remove(&token), "{token:?} answered twice or never asked");
            self.answers.insert(token, reply);
        }
        for write in outcome.writes {
            assert!(!write.records.is_empty());
            self.in_flight.push_back(write);
        }
        self.markers.extend(outcome.effects);
        self.shard.check_invariants();
        if self.auto_commit {
            while self.settle_one(Ok(())) {}
        }
    }

    /// Somebody sets the clock; no time passes.
    pub(super) fn set_clock(&mut self, by_ms: i64) {
        self.now = Timestamp(self.now.0 + by_ms);
        self.shard.clock_was_set(by_ms);
    }

    /// Ends the oldest append; `false` if there is none.
    pub(super) fn settle_one(&mut self, result: Result<(), ErrorCode>) -> bool {
        let Some(write) = self.in_flight.pop_front() else { return false };
        if result.is_ok() {
            self.log.extend(write.records);
        }
        let outcome = self.shard.on_written(self.now, write.id, result);
        self.run(outcome);
        true
    }

    pub(super) fn send(&mut self, command: TxnCommand) -> ReplyToken {
        self.next += 1;
        let token = ReplyToken(self.next);
        self.waiting.insert(token);
        let outcome = self.shard.handle(self.now, token, command);
        self.run(outcome);
        token
    }

    pub(super) fn ask(&mut self, command: TxnCommand) -> TxnReply {
        let token = self.send(command);
        self.answers.remove(&token).expect("an answer")
    }

    pub(super) fn spare(&mut self) -> ProducerId {
        self.next_producer_id += 1;
        ProducerId(self.next_producer_id)
    }

    /// As the shell does: with a new producer id if the shard needs one.
    pub(super) fn init_as(
        &mut self,
        expected: Option<Identity>,
        timeout_ms: i32,
    ) -> Result<Identity, ErrorCode> {
        let request = init_request(expected, timeout_ms);
        let command = TxnCommand::InitProducerId { request: request.clone(), spare: None };
        let mut reply = self.ask(command);
        if reply == TxnReply::NeedsProducerId {
            let spare = Some(self.spare());
            reply = self.ask(TxnCommand::InitProducerId { request, spare });
        }
        match reply {
            TxnReply::Initialised(producer) => Ok(producer),
            TxnReply::Refused(error) => Err(error),
            other => panic!("not to InitProducerId: {other:?}"),
        }
    }

    pub(super) fn init(&mut self) -> Identity {
        self.init_as(None, 60_000).expect("a producer")
    }

    pub(super) fn add(
        &mut self,
        producer: Identity,
        version: TransactionVersion,
        index: i32,
    ) -> Result<(), ErrorCode> {
        let participants = participants(producer, index);
        match self.ask(TxnCommand::AddPartitions { participants, version, via: self.via }) {
            TxnReply::Added => Ok(()),
            TxnReply::Refused(error) => Err(error),
            other => panic!("not to AddPartitionsToTxn: {other:?}"),
        }
    }

    pub(super) fn end(
        &mut self,
        producer: Identity,
        version: TransactionVersion,
        commit: bool,
    ) -> Result<Identity, ErrorCode> {
        let via = self.via;
        let command = |spare| TxnCommand::EndTxn {
            transactional_id: ID.to_owned(),
            producer,
            commit,
            version,
            via,
            spare,
        };
        let mut reply = self.ask(command(None));
        if reply == TxnReply::NeedsProducerId {
            let spare = Some(self.spare());
            reply = self.ask(command(spare));
        }
        match reply {
            TxnReply::Ended(producer) => Ok(producer),
            TxnReply::Refused(error) => Err(error),
            other => panic!("not to EndTxn: {other:?}"),
        }
    }

    /// All markers asked for are written, and the shard is told.
    pub(super) fn write_markers(&mut self) -> Vec<Markers> {
        let written = std::mem::take(&mut self.markers);
        for Markers { transactional_id, producer, .. } in written.clone() {
            self.ask(TxnCommand::MarkersWritten { transactional_id, producer });
        }
        written
    }

    /// Moves time on, ticking at every deadline on the way.
    pub(super) fn advance(&mut self, milliseconds: i64) {
        let until = Timestamp(self.now.0 + milliseconds);
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let outcome = self.shard.tick(self.now);
            self.run(outcome);
        }
        self.now = until;
    }

    /// The process dies; what the log holds comes back.
    pub(super) fn crash(&mut self) {
        self.in_flight.clear();
        self.waiting.clear();
        self.markers.clear();
        self.shard = self.replayed();
        let outcome = self.shard.on_loaded(self.now);
        self.run(outcome);
    }

    /// What another node would load.
    pub(super) fn replayed(&self) -> TransactionShard {
        let mut shard = TransactionShard::new(self.config);
        for record in &self.log {
            let value = record.value.clone().map(Bytes::from);
            let key = record.key.clone().into();
            shard.replay(None, &key, value.as_ref()).expect("our own record");
        }
        shard
    }

    pub(super) fn state(&self) -> Option<TransactionState> {
        self.shard.transactions().find(|(id, _)| *id == ID).map(|(_, state)| state)
    }

    pub(super) fn give_up(mut self) {
        let outcome = self.shard.unload();
        self.auto_commit = false;
        self.run(outcome);
        assert!(self.waiting.is_empty(), "{:?}", self.waiting);
    }
}

pub(super) fn init_request(expected: Option<Identity>, timeout_ms: i32) -> InitProducerIdRequest {
    let expected = expected.unwrap_or(Identity::NONE);
    InitProducerIdRequest {
        transactional_id: Some(ID.to_owned()),
        transaction_timeout_ms: timeout_ms,
        producer_id: expected.id.0,
        producer_epoch: expected.epoch.0,
        ..Default::default()
    }
}

pub(super) fn participants(producer: Identity, index: i32) -> Participants {
    Participants {
        transactional_id: ID.to_owned(),
        producer,
        partitions: BTreeSet::from([TopicPartition::new("t", index)]),
    }
}

pub(super) fn at_epoch(producer: Identity, epoch: i16) -> Identity {
    Identity { epoch: ProducerEpoch(epoch), ..producer }
}

/// What somebody who is out is told who would end a transaction while markers are under way: with
/// epochs of their own for transactions nobody is looked at before they are written.
pub(super) fn told_meanwhile(version: TransactionVersion) -> ErrorCode {
    if version.bumps_epoch() {
        ErrorCode::ConcurrentTransactions
    } else {
        ErrorCode::ProducerFenced
    }
}
