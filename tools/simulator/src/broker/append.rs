//! Appending as the leader, as `broker::partition::{append, markers}` do.

use naru_coordinators::Marker;
use naru_log::{AppendError, Appended, NewBatch, Origin, Verification};
use naru_model::{ErrorCode, Offset};
use naru_records::{EndTxnMarker, end_txn_batch};
use naru_replication::Brokers;

use super::partition::{Partition, short};
use crate::env::Env;
use crate::message::{ProduceAnswer, Response, Ticket};
use crate::settings::Mutation;
use crate::trace::note;

/// Who asks for an append, and what the batch brings with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) origin: Origin,
    pub(crate) verification: Verification,
}

/// A producer, or a coordinator with a marker, that waits for its batch to be stored.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) end: Offset,
    ticket: Ticket,
    /// None of a marker.
    base_offset: Option<i64>,
}

impl Producer {
    pub(super) fn answer(self, env: &mut Env<'_>, error: ErrorCode) {
        let response = match self.base_offset {
            Some(base) => {
                let base_offset = if error == ErrorCode::None { base } else { -1 };
                Response::Produce(ProduceAnswer { error, base_offset })
            }
            None => Response::Marker(error),
        };
        env.answer(self.ticket, response);
    }
}

impl Partition {
    /// Appends what a client produced with acks=all; the answer comes when it is stored.
    pub(crate) fn produce(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        ticket: Ticket,
        bytes: &[u8],
        verification: Verification,
    ) {
        let appended = match self.place(env, bytes, Place { origin: Origin::Client, verification })
        {
            Ok(appended) => appended,
            Err(error) => {
                note!(
                    env,
                    "n{} {:?} refuses rpc {}: {error}",
                    env.node,
                    short(self.key),
                    ticket.rpc
                );
                let answer = ProduceAnswer { error, base_offset: -1 };
                return env.answer(ticket, Response::Produce(answer));
            }
        };
        let base_offset = appended.first_offset.0;
        note!(
            env,
            "n{} {:?} appends rpc {} at {base_offset}",
            env.node,
            short(self.key),
            ticket.rpc
        );
        let early = env.settings.has(Mutation::AckBeforeHighWatermark);
        if early {
            let answer = ProduceAnswer { error: ErrorCode::None, base_offset };
            env.answer(ticket, Response::Produce(answer));
        }
        self.after_append(env, brokers);
        if !early {
            let end = appended.last_offset.plus(1);
            self.wait(env, Producer { end, ticket, base_offset: Some(base_offset) });
        }
    }

    fn wait(&mut self, env: &mut Env<'_>, producer: Producer) {
        self.producers.push(producer);
        if self.leading_since.is_none() {
            self.fail_waiters(env, ErrorCode::NotLeaderOrFollower);
        } else {
            self.release(env);
        }
    }

    /// Ends a producer's transaction; the answer comes when the marker is stored.
    pub(crate) fn write_marker(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        ticket: Ticket,
        marker: Marker,
    ) {
        match self.place_marker(env, brokers, marker) {
            Ok(appended) => {
                let (at, end) = (appended.first_offset, appended.last_offset.plus(1));
                note!(env, "n{} {:?} {marker:?} at {at}", env.node, short(self.key));
                self.wait(env, Producer { end, ticket, base_offset: None });
            }
            Err(error) => {
                note!(env, "n{} {:?} refuses {marker:?}: {error}", env.node, short(self.key));
                env.answer(ticket, Response::Marker(error));
            }
        }
    }

    /// Appends a marker.
    pub(crate) fn place_marker(
        &mut self,
        env: &mut Env<'_>,
        brokers: &dyn Brokers,
        marker: Marker,
    ) -> Result<Appended, ErrorCode> {
        let coordinator_epoch = marker.coordinator_epoch;
        let end = if marker.commit {
            EndTxnMarker::Commit { coordinator_epoch }
        } else {
            EndTxnMarker::Abort { coordinator_epoch }
        };
        let (id, epoch) = (marker.producer.id, marker.producer.epoch);
        let batch =
            end_txn_batch(id, epoch, end, env.wall()).map_err(|_| ErrorCode::UnknownServerError)?;
        let transaction_version = i8::try_from(marker.version.0).unwrap_or(i8::MAX);
        let origin = Origin::Marker { transaction_version };
        let place = Place { origin, verification: Verification::NotNeeded };
        let appended = self.place(env, &batch, place)?;
        self.after_append(env, brokers);
        Ok(appended)
    }

    /// Appends a batch if this is the leader and enough replicas are in sync.
    pub(crate) fn place(
        &mut self,
        env: &mut Env<'_>,
        bytes: &[u8],
        place: Place,
    ) -> Result<Appended, ErrorCode> {
        if self.offline {
            return Err(ErrorCode::KafkaStorageError);
        }
        let usurps =
            place.origin == Origin::Client && env.settings.has(Mutation::AppendWithoutLeading);
        if !self.replica.is_leader() && !usurps {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if self.replica.is_under_min_isr() {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        let batch = NewBatch::built(bytes).map_err(|error| ErrorCode::from(&error))?;
        let batch = batch.with_verification(place.verification);
        let epoch = self.replica.epoch();
        self.log.append_one(batch, place.origin, epoch, env.wall()).map_err(|error| {
            if let AppendError::OutOfOrderSequence { producer_id, request, .. } = &error {
                self.judge_refusal(env, producer_id.0, request.0);
            }
            self.note_failure(env, &error);
            ErrorCode::from(&error)
        })
    }

    /// A batch that the log has is refused as out of order: the leader has forgotten.
    fn judge_refusal(&self, env: &mut Env<'_>, producer: i64, sequence: i32) {
        let (start, end) = (self.reader.log_start().0, self.reader.log_end().0);
        let facts = crate::facts::facts_of(&self.reader, start, end).unwrap_or_default();
        let same = |(_, fact): &(i64, crate::facts::Fact)| {
            (fact.producer, fact.sequence) == (producer, sequence)
        };
        if facts.iter().any(same) {
            let key = self.key;
            if let Some(judge) = env.judge() {
                judge.forgotten.insert((key, producer, sequence));
            }
        }
    }
}
