//! Batches that wait to be sent, per partition.
//!
//! Locked for moments only. A batch is either in a queue here or in the hands of the sender.
//!
//! Invariants: in a queue, batches that already have a sequence (retries) come first, in order of
//! sequence; `pending` counts the batches that have no outcome yet.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use naru_model::{Sequence, Timestamp, TopicPartition};
use naru_records::{BatchBuilder, BatchOptions, HEADER_LEN, ProducerStamp};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::ProducerRecord;
use super::delivery::{BatchOutcome, Delivery, Placed};
use crate::config::ProducerConfig;
use crate::error::{Error, Result};
use crate::partitioner::Sticky;

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) partition: TopicPartition,
    pub(super) builder: BatchBuilder,
    pub(super) created: Instant,
    pub(super) attempts: u32,
    /// Not before this, after a failed attempt.
    pub(super) not_before: Option<Instant>,
    /// Set when it is first sent by an idempotent producer; stays for all retries.
    pub(super) stamp: Option<ProducerStamp>,
    outcome: Arc<BatchOutcome>,
    memory: OwnedSemaphorePermit,
}

impl Batch {
    pub(super) fn resolve(self, outcome: Result<Placed>) {
        self.outcome.resolve(outcome);
        drop(self.memory);
    }

    /// The bytes to send.
    pub(super) fn encode(&self, config: &ProducerConfig) -> Result<Vec<u8>> {
        let options = BatchOptions {
            compression: config.compression,
            level: config.compression_level,
            producer: self.stamp,
            ..BatchOptions::default()
        };
        self.builder.build(&options).map_err(|error| Error::Argument(error.to_string()))
    }
}

/// What waits for one partition.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) batches: VecDeque<Batch>,
    pub(super) in_flight: usize,
    /// Sequence of the next new batch.
    pub(super) next_sequence: Sequence,
}

#[derive(Debug, Default)]
struct State {
    queues: HashMap<TopicPartition, Queue>,
    sticky: HashMap<String, Sticky>,
    pending: usize,
    flushes: usize,
    closed: bool,
}

/// The queues of all partitions.
#[derive(Debug, Default)]
pub(super) struct Accumulator {
    state: Mutex<State>,
}

pub(super) struct Appended {
    pub(super) delivery: Delivery,
    /// A batch is full, or a first one waits whose linger must be watched.
    pub(super) wake_sender: bool,
}

impl Accumulator {
    pub(super) fn append(
        &self,
        config: &ProducerConfig,
        record: &ProducerRecord,
        partition: TopicPartition,
        timestamp: i64,
        size: usize,
        permit: OwnedSemaphorePermit,
    ) -> Result<Appended> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        let State { queues, pending, .. } = &mut *state;
        let queue = queues.entry(partition.clone()).or_default();
        let joins = queue.batches.back().is_some_and(|batch| {
            batch.stamp.is_none()
                && batch.attempts == 0
                && batch.builder.uncompressed_size() + size <= config.batch_size
        });
        let mut wake_sender = false;
        if !joins {
            // The batch before is as full as it gets; a first one starts its linger.
            wake_sender = true;
            *pending += 1;
            queue.batches.push_back(Batch {
                outcome: BatchOutcome::new(partition.clone()),
                partition,
                builder: BatchBuilder::new(),
                created: Instant::now(),
                attempts: 0,
                not_before: None,
                stamp: None,
                memory: permit,
            });
        } else if let Some(batch) = queue.batches.back_mut() {
            batch.memory.merge(permit);
        }
        let batch = queue.batches.back_mut().ok_or(Error::Closed)?;
        let index = i64::from(batch.builder.record_count());
        let headers = record.headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref()));
        batch.builder.append(
            Timestamp(timestamp),
            record.key.as_deref(),
            record.value.as_deref(),
            headers,
        );
        wake_sender |= is_full(batch, config);
        Ok(Appended { delivery: Delivery::new(Arc::clone(&batch.outcome), index), wake_sender })
    }

    pub(super) fn choose_sticky(
        &self,
        topic: &str,
        available: &[i32],
        size: usize,
        batch_size: usize,
        chance: impl FnOnce() -> u64,
    ) -> Option<i32> {
        let mut state = self.lock();
        if !state.sticky.contains_key(topic) {
            state.sticky.insert(topic.to_owned(), Sticky::default());
        }
        state.sticky.get_mut(topic)?.choose(available, size, batch_size, chance())
    }

    /// Whether every batch has an outcome.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().pending == 0
    }

    pub(super) fn begin_flush(&self) {
        self.lock().flushes += 1;
    }

    pub(super) fn end_flush(&self) {
        let mut state = self.lock();
        state.flushes = state.flushes.saturating_sub(1);
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Counts batches that got their outcome; whether none is left.
    pub(super) fn resolved(&self, batches: usize) -> bool {
        let mut state = self.lock();
        state.pending = state.pending.saturating_sub(batches);
        state.pending == 0
    }

    /// Partitions whose first batch may be sent now, and when the next one may.
    pub(super) fn ready(
        &self,
        config: &ProducerConfig,
        now: Instant,
    ) -> (Vec<TopicPartition>, Option<Instant>) {
        let state = self.lock();
        let hurry = state.flushes > 0 || state.closed;
        let mut ready = Vec::new();
        let mut next: Option<Instant> = None;
        for (partition, queue) in &state.queues {
            let Some(first) = queue.batches.front() else { continue };
            // Retries go one at a time, so that they stay in order.
            let blocked = first.attempts > 0 && queue.in_flight > 0;
            if blocked || queue.in_flight >= config.max_in_flight {
                continue;
            }
            let due = match first.not_before {
                Some(at) => at,
                None if hurry || queue.batches.len() > 1 || is_full(first, config) => now,
                None => first.created + config.linger,
            };
            if due <= now {
                ready.push(partition.clone());
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        (ready, next)
    }

    /// The first delivery timeout that comes up, of batches still in a queue.
    pub(super) fn take_expired(&self, config: &ProducerConfig, now: Instant) -> Vec<Batch> {
        let mut state = self.lock();
        let mut expired = Vec::new();
        for queue in state.queues.values_mut() {
            while queue
                .batches
                .front()
                .is_some_and(|batch| now.duration_since(batch.created) >= config.delivery_timeout)
            {
                expired.extend(queue.batches.pop_front());
            }
        }
        expired
    }

    /// Takes the first batch of a partition and counts it in flight; an idempotent producer
    /// stamps it.
    pub(super) fn take(
        &self,
        partition: &TopicPartition,
        producer: Option<ProducerStamp>,
    ) -> Option<Batch> {
        let mut state = self.lock();
        let queue = state.queues.get_mut(partition)?;
        let mut batch = queue.batches.pop_front()?;
        queue.in_flight += 1;
        if let (Some(producer), None) = (producer, batch.stamp) {
            batch.stamp = Some(ProducerStamp { base_sequence: queue.next_sequence, ..producer });
            queue.next_sequence = queue.next_sequence.plus(batch.builder.record_count());
        }
        Some(batch)
    }

    /// Ends the flight of a batch; a batch that is to be tried again is put back in order.
    pub(super) fn land(&self, partition: &TopicPartition, again: Option<Batch>) {
        let mut state = self.lock();
        let queue = state.queues.entry(partition.clone()).or_default();
        queue.in_flight = queue.in_flight.saturating_sub(1);
        if let Some(batch) = again {
            let place = queue.batches.iter().position(|other| comes_before(&batch, other));
            queue.batches.insert(place.unwrap_or(queue.batches.len()), batch);
        }
    }

    /// Whether a retry of an earlier batch than `stamp` is still to come, or in flight.
    pub(super) fn has_earlier(&self, partition: &TopicPartition, batch: &Batch) -> bool {
        let state = self.lock();
        state.queues.get(partition).is_some_and(|queue| {
            queue.in_flight > 1 || queue.batches.iter().any(|other| comes_before(other, batch))
        })
    }

    /// How many batches are in flight altogether.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().queues.values().map(|queue| queue.in_flight).sum()
    }

    /// A new producer id or epoch: sequences begin at 0, and retries get new stamps.
    pub(super) fn restart_sequences(&self) {
        for queue in self.lock().queues.values_mut() {
            queue.next_sequence = Sequence(0);
            for batch in &mut queue.batches {
                batch.stamp = None;
            }
        }
    }

    /// Everything that still waits, when the producer cannot go on.
    pub(super) fn take_all(&self) -> Vec<Batch> {
        let mut state = self.lock();
        state.queues.values_mut().flat_map(|queue| queue.batches.drain(..)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under this lock; what a panic could leave is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(batch: &Batch, config: &ProducerConfig) -> bool {
    batch.builder.uncompressed_size() + HEADER_LEN >= config.batch_size
}

/// Retries with a stamp go by sequence; those without, by age.
fn comes_before(one: &Batch, other: &Batch) -> bool {
    match (one.stamp, other.stamp) {
        (Some(a), Some(b)) => {
            // Wrapping distance: sequences start again at 0 after 2^31-1.
            let distance = b.base_sequence.0.wrapping_sub(a.base_sequence.0) & i32::MAX;
            distance != 0 && distance < i32::MAX / 2
        }
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (None, None) => one.created < other.created,
    }
}
