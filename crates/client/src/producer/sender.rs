//! The task that sends: takes ready batches, groups them by leader, deals with the answers.
//!
//! A produce request is a future of its own in a set that this task owns: dropping the task drops
//! them all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use naru_model::{ErrorCode, ProducerEpoch, ProducerId, Sequence, TopicPartition};
use naru_protocol::Records;
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use naru_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use naru_records::ProducerStamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shared;
use super::accumulator::Batch;
use super::delivery::Placed;
use crate::cluster::Lane;
use crate::config::{Acks, ClientEvent};
use crate::error::{Error, Result};

/// How often delivery timeouts are looked for while nothing else happens.
const EXPIRY_CHECK: Duration = Duration::from_secs(1);
/// Produce version 13 names topics by id; names are understood everywhere.
const PRODUCE_VERSION_MAX: i16 = 12;

/// One answered (or failed) request.
struct Answered {
    broker: i32,
    batches: Vec<Batch>,
    outcome: Result<Option<ProduceResponse>>,
}

struct Sender {
    shared: Arc<Shared>,
    requests: JoinSet<Answered>,
    in_flight: HashMap<i32, usize>,
    identity: Identity,
}

/// Who an idempotent producer is.
enum Identity {
    /// Not idempotent.
    None,
    /// To be asked for, or asked for again.
    Wanted,
    Known(ProducerStamp),
}

pub(super) async fn run(shared: Arc<Shared>) {
    let wanted = shared.config.idempotence.unwrap_or(
        shared.config.acks == Acks::All
            && shared.config.max_in_flight <= 5
            && shared.config.retries > 0,
    );
    let identity = if wanted { Identity::Wanted } else { Identity::None };
    let mut sender =
        Sender { shared, requests: JoinSet::new(), in_flight: HashMap::new(), identity };
    loop {
        let next = sender.send_ready().await;
        if sender.shared.accumulator.is_closed() && sender.shared.accumulator.is_idle() {
            return;
        }
        let until = next.unwrap_or_else(|| Instant::now() + EXPIRY_CHECK);
        tokio::select! {
            () = sender.shared.wake.notified() => {}
            Some(answered) = sender.requests.join_next() => {
                if let Ok(answered) = answered {
                    sender.settle(answered).await;
                }
            }
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

impl Sender {
    /// Sends what may be sent; when to look again.
    async fn send_ready(&mut self) -> Option<Instant> {
        let shared = Arc::clone(&self.shared);
        let now = Instant::now();
        let expired = shared.accumulator.take_expired(&shared.config, now);
        self.expire(expired);
        let (ready, next) = shared.accumulator.ready(&shared.config, now);
        if ready.is_empty() {
            return next;
        }
        if let Err(error) = self.identify().await {
            return Some(self.cannot_identify(&error));
        }
        let mut by_broker: HashMap<i32, Vec<TopicPartition>> = HashMap::new();
        let mut without_leader = Vec::new();
        let metadata = shared.cluster.metadata();
        for partition in ready {
            match metadata.leader(&partition.topic, partition.partition) {
                Some((leader, _)) => by_broker.entry(leader).or_default().push(partition),
                None => without_leader.push(partition),
            }
        }
        let mut next = next;
        if !without_leader.is_empty() {
            self.find_leaders(&without_leader).await;
            let retry = Instant::now() + shared.cluster.config().retry_backoff;
            next = Some(next.map_or(retry, |next| next.min(retry)));
        }
        for (broker, partitions) in by_broker {
            if self.in_flight.get(&broker).copied().unwrap_or(0) < shared.config.max_in_flight {
                self.send_to(broker, partitions);
            }
        }
        next
    }

    fn send_to(&mut self, broker: i32, partitions: Vec<TopicPartition>) {
        let stamp = match self.identity {
            Identity::Known(stamp) => Some(stamp),
            Identity::None | Identity::Wanted => None,
        };
        let mut batches = Vec::with_capacity(partitions.len());
        let mut bytes = 0;
        for partition in partitions {
            if bytes > self.shared.config.max_request_size {
                break;
            }
            if let Some(batch) = self.shared.accumulator.take(&partition, stamp) {
                bytes += batch.builder.uncompressed_size();
                batches.push(batch);
            }
        }
        if batches.is_empty() {
            return;
        }
        *self.in_flight.entry(broker).or_default() += 1;
        let shared = Arc::clone(&self.shared);
        self.requests.spawn(async move {
            let outcome = produce(&shared, broker, &batches).await;
            Answered { broker, batches, outcome }
        });
    }

    /// Gives every batch of an answered request its outcome, or another try.
    async fn settle(&mut self, answered: Answered) {
        let Answered { broker, batches, outcome } = answered;
        if let Some(count) = self.in_flight.get_mut(&broker) {
            *count = count.saturating_sub(1);
        }
        let mut stale = Vec::new();
        match outcome {
            Ok(None) => {
                for batch in batches {
                    self.finish(batch, Ok(Placed { base_offset: None, log_append_time: None }));
                }
            }
            Ok(Some(response)) => {
                let mut answers = answers_of(response);
                for batch in batches {
                    let answer = answers.remove(&batch.partition);
                    let error = self.settle_one(batch, answer);
                    stale.extend(error);
                }
            }
            Err(error) => {
                for batch in batches {
                    stale.push(batch.partition.clone());
                    self.retry_or_fail(batch, error.clone());
                }
            }
        }
        if !stale.is_empty() {
            for partition in &stale {
                self.shared.cluster.forget_leader(&partition.topic, partition.partition);
            }
            self.find_leaders(&stale).await;
        }
    }

    /// The partition, if its leader has to be looked up again.
    fn settle_one(
        &mut self,
        batch: Batch,
        answer: Option<PartitionProduceResponse>,
    ) -> Option<TopicPartition> {
        let Some(answer) = answer else {
            self.retry_or_fail(batch, Error::code_only(ErrorCode::UnknownServerError));
            return None;
        };
        let placed = Placed {
            base_offset: (answer.base_offset >= 0).then_some(answer.base_offset),
            log_append_time: (answer.log_append_time_ms >= 0).then_some(answer.log_append_time_ms),
        };
        let code = ErrorCode::from_code(answer.error_code);
        let error = Error::broker(code, answer.error_message);
        match code {
            // A duplicate was written by an earlier attempt whose answer got lost.
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => {
                self.finish(batch, Ok(placed));
                None
            }
            ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId
                if batch.stamp.is_some() =>
            {
                self.settle_out_of_order(batch, error);
                None
            }
            ErrorCode::InvalidProducerEpoch if batch.stamp.is_some() => {
                self.settle_out_of_order(batch, error);
                None
            }
            _ => {
                let stale = error.is_stale_metadata().then(|| batch.partition.clone());
                self.retry_or_fail(batch, error);
                stale
            }
        }
    }

    /// A batch behind one that failed is refused by the broker until that one is there; only the
    /// first in line has really lost its place, and needs a new identity (KIP-360).
    fn settle_out_of_order(&mut self, batch: Batch, error: Error) {
        if !self.shared.accumulator.has_earlier(&batch.partition, &batch) {
            self.identity = Identity::Wanted;
        }
        if batch.created.elapsed() < self.shared.config.delivery_timeout {
            self.try_again(batch);
        } else {
            self.finish(batch, Err(error));
        }
    }

    fn retry_or_fail(&mut self, batch: Batch, error: Error) {
        let config = &self.shared.config;
        let in_time = batch.created.elapsed() < config.delivery_timeout;
        if error.is_retriable() && in_time && batch.attempts < config.retries {
            self.try_again(batch);
        } else {
            self.finish(batch, Err(error));
        }
    }

    fn try_again(&self, mut batch: Batch) {
        batch.attempts += 1;
        let wait = self.shared.cluster.config().retry_backoff * batch.attempts.min(10);
        let wait = wait.min(self.shared.cluster.config().retry_backoff_max);
        batch.not_before = Some(Instant::now() + wait);
        let partition = batch.partition.clone();
        self.shared.accumulator.land(&partition, Some(batch));
    }

    /// The end of a batch that was in flight. When a stamped one fails, its sequence numbers are
    /// missing from then on: the producer needs a new identity.
    fn finish(&mut self, batch: Batch, outcome: Result<Placed>) {
        if outcome.is_err() && batch.stamp.is_some() {
            self.identity = Identity::Wanted;
        }
        self.shared.accumulator.land(&batch.partition, None);
        self.resolve(batch, outcome);
    }

    fn resolve(&self, batch: Batch, outcome: Result<Placed>) {
        batch.resolve(outcome);
        if self.shared.accumulator.resolved(1) {
            self.shared.drained.notify_waiters();
        }
    }

    /// Batches that waited too long in their queue.
    fn expire(&mut self, expired: Vec<Batch>) {
        for batch in expired {
            if batch.stamp.is_some() {
                self.identity = Identity::Wanted;
            }
            let what = format!("delivery to {}", batch.partition);
            let after = self.shared.config.delivery_timeout;
            self.resolve(batch, Err(Error::Timeout { what, after }));
        }
    }

    /// Gets a producer id if one is needed. A changed identity waits until nothing is in flight,
    /// because what is in flight belongs to the old one.
    async fn identify(&mut self) -> Result<()> {
        if !matches!(self.identity, Identity::Wanted) {
            return Ok(());
        }
        while self.shared.accumulator.in_flight() > 0 {
            match self.requests.join_next().await {
                Some(Ok(answered)) => Box::pin(self.settle(answered)).await,
                Some(Err(_)) => {}
                None => break,
            }
        }
        let cluster = &self.shared.cluster;
        let connection = cluster.any().await?;
        let asked = cluster
            .call(&connection, 5, |_| InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: i32::MAX,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            })
            .await;
        let response = match asked {
            Err(Error::UnsupportedVersion { .. }) if self.shared.config.idempotence.is_none() => {
                self.identity = Identity::None;
                return Ok(());
            }
            other => other?,
        };
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {}
            // Old brokers want a right for it that others do not have (before KIP-679).
            ErrorCode::ClusterAuthorizationFailed if self.shared.config.idempotence.is_none() => {
                self.identity = Identity::None;
                return Ok(());
            }
            code => return Err(Error::code_only(code)),
        }
        self.shared.accumulator.restart_sequences();
        self.identity = Identity::Known(ProducerStamp {
            id: ProducerId(response.producer_id),
            epoch: ProducerEpoch(response.producer_epoch),
            base_sequence: Sequence(0),
        });
        Ok(())
    }

    /// When to try again, or the end of all that waits.
    fn cannot_identify(&self, error: &Error) -> Instant {
        if !error.is_retriable() {
            for batch in self.shared.accumulator.take_all() {
                self.resolve(batch, Err(error.clone()));
            }
        }
        Instant::now() + self.shared.cluster.config().retry_backoff
    }

    async fn find_leaders(&self, partitions: &[TopicPartition]) {
        let mut topics: Vec<String> = partitions.iter().map(|p| p.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        // What the cluster does not know yet is asked for again before the next attempt.
        if let Err(error) = self.shared.cluster.refresh_topics(&topics, true).await {
            for topic in topics {
                let event = ClientEvent::TopicUnavailable { topic, error: error.clone() };
                self.shared.tell(&event);
            }
        }
    }
}

async fn produce(
    shared: &Shared,
    broker: i32,
    batches: &[Batch],
) -> Result<Option<ProduceResponse>> {
    let mut request = ProduceRequest {
        acks: shared.config.acks.number(),
        timeout_ms: i32::try_from(shared.cluster.config().request_timeout.as_millis())
            .unwrap_or(i32::MAX),
        ..Default::default()
    };
    for batch in batches {
        let records = Records::Inline(batch.encode(&shared.config)?.into());
        let data = PartitionProduceData { index: batch.partition.partition, records };
        let name = &batch.partition.topic;
        match request.topic_data.iter_mut().find(|topic| topic.name == *name) {
            Some(topic) => topic.partition_data.push(data),
            None => request.topic_data.push(TopicProduceData {
                name: name.clone(),
                partition_data: vec![data],
                ..Default::default()
            }),
        }
    }
    let connection = shared.cluster.broker(broker, Lane::Main).await?;
    let version = connection.versions().pick::<ProduceRequest>(PRODUCE_VERSION_MAX)?;
    if shared.config.acks == Acks::None {
        connection.send_only(&request, version).await?;
        return Ok(None);
    }
    connection.call(&request, version, Duration::ZERO).await.map(Some)
}

fn answers_of(response: ProduceResponse) -> HashMap<TopicPartition, PartitionProduceResponse> {
    let topics = response.responses.into_iter();
    topics
        .flat_map(|topic| {
            let name = topic.name;
            topic
                .partition_responses
                .into_iter()
                .map(move |p| (TopicPartition::new(name.clone(), p.index), p))
        })
        .collect()
}
