//! Which batches of a Produce request belong to a transaction, and whether its coordinator knows
//! that (KIP-890).
//!
//! A transaction begins in a partition only with the coordinator's word: before version 12 it is
//! asked whether the client has added the partition, from then on it adds it itself. While it is
//! asked, the guard that the partition gave out keeps an answer that comes late from opening a
//! transaction that nobody would end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use naru_coordinators::Identity;
use naru_log::Verification;
use naru_model::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition};
use naru_protocol::Records;
use naru_protocol::messages::produce_request::{ProduceRequest, TopicProduceData};
use naru_records::{ProducerStamp, batches};
use tokio::time::Instant;

use super::lookup;
use super::produce::may_write;
use crate::dispatch::RequestContext;
use crate::partition::{Partition, Refused};
use crate::peer::verify;
use crate::security::{Operation, Resource};

/// First version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 11;
/// First version that adds partitions to the transaction (`transaction.version` 2).
const ADDS_PARTITIONS_SINCE: i16 = 12;
/// First version that names topics by id.
const TOPIC_IDS_SINCE: i16 = 13;

/// Index of a topic in the request and of a partition in it.
pub(super) type Place = (usize, usize);

/// What is known of the batches before they are appended; those that are not named need nothing.
pub(super) type Verdicts = HashMap<Place, Result<Verification, Refused>>;

/// The transactional batches of a request.
#[derive(Debug)]
pub(super) struct Transactional {
    transactional_id: String,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    batches: Vec<(Place, ProducerStamp)>,
}

/// What the partitions say before the coordinator is asked.
pub(super) enum Begun {
    /// It need not be asked.
    Known(Verdicts),
    /// It must be asked for these.
    Asks(Verdicts, Vec<Asked>),
}

/// A partition in which a transaction would begin.
#[derive(Debug)]
pub(super) struct Asked {
    place: Place,
    topic: String,
    index: i32,
    verification: Verification,
}

impl Transactional {
    /// Finds the transactional batches; none if there are none. The error refuses the whole
    /// request.
    pub(super) fn find(
        context: &RequestContext,
        request: &ProduceRequest,
    ) -> Result<Option<Self>, ErrorCode> {
        let mut found = Vec::new();
        let mut is_transactional = false;
        for (place, records) in places(request) {
            let Records::Inline(bytes) = records else { continue };
            let headers = batches(bytes).map_while(Result::ok).map(|(header, _)| header);
            for header in headers.filter(|header| header.is_transactional()) {
                is_transactional = true;
                found.extend(header.producer().map(|producer| (place, producer)));
            }
        }
        if !is_transactional {
            return Ok(None);
        }
        let Some(transactional_id) = request.transactional_id.clone() else {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed);
        };
        if !context.may(Operation::Write, Resource::TransactionalId(&transactional_id)) {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        let Some((_, first)) = found.first() else { return Ok(None) };
        let (producer_id, producer_epoch) = (first.id, first.epoch);
        let is_other = |(_, producer): &(Place, ProducerStamp)| {
            (producer.id, producer.epoch) != (producer_id, producer_epoch)
        };
        if found.iter().any(is_other) {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        Ok(Some(Self { transactional_id, producer_id, producer_epoch, batches: found }))
    }

    /// Asks the partitions whether the transaction has begun there.
    pub(super) fn begin(&self, context: &RequestContext, request: &ProduceRequest) -> Begun {
        let mut verdicts = Verdicts::new();
        let mut asks = Vec::new();
        let (adds, is_needed) = (adds_partitions(context), must_verify(context));
        if !adds && !is_needed {
            return Begun::Known(verdicts);
        }
        let needed = |guard| {
            if is_needed { Verification::Needed(guard) } else { Verification::NotNeeded }
        };
        for (place, producer) in &self.batches {
            let topic = &request.topic_data[place.0];
            let index = topic.partition_data[place.1].index;
            let by_id = context.version >= TOPIC_IDS_SINCE;
            if context.is_judged() && !may_write(context, topic, by_id) {
                // Refused when it comes to the append.
                continue;
            }
            let begun = find(context, topic, index).and_then(|partition| {
                let now = context.node.now();
                Ok((partition.begin_verification(*producer, adds, now)?, partition))
            });
            let verdict = match begun {
                Ok((None, _)) => Ok(needed(None)),
                Ok((guard, partition)) => {
                    let verification = needed(guard);
                    let topic = partition.topic().to_owned();
                    asks.push(Asked { place: *place, topic, index, verification });
                    Ok(verification)
                }
                Err(error) => Err(refused(context, error)),
            };
            verdicts.insert(*place, verdict);
        }
        if asks.is_empty() { Begun::Known(verdicts) } else { Begun::Asks(verdicts, asks) }
    }

    /// The same, and asks the coordinator where that is needed.
    pub(super) async fn verify(
        &self,
        context: &RequestContext,
        request: &ProduceRequest,
    ) -> Verdicts {
        let config = &context.node.config().log;
        let retry_until =
            Instant::now() + Duration::from_millis(config.add_partitions_retry_backoff_max_ms);
        let pause = Duration::from_millis(config.add_partitions_retry_backoff_ms);
        loop {
            let (mut verdicts, asks) = match self.begin(context, request) {
                Begun::Known(verdicts) => return verdicts,
                Begun::Asks(verdicts, asks) => (verdicts, asks),
            };
            let answers = self.ask(context, &asks).await;
            let is_busy = answers.contains(&ErrorCode::ConcurrentTransactions);
            if is_busy && adds_partitions(context) && Instant::now() < retry_until {
                // The last transaction's markers are on their way; a client would wait longer.
                tokio::time::sleep(pause).await;
                continue;
            }
            for (asked, error) in asks.iter().zip(answers) {
                let verdict = match error {
                    ErrorCode::None => Ok(asked.verification),
                    error => Err(refused(context, error)),
                };
                verdicts.insert(asked.place, verdict);
            }
            return verdicts;
        }
    }

    /// The coordinator's answer for each of the partitions.
    async fn ask(&self, context: &RequestContext, asks: &[Asked]) -> Vec<ErrorCode> {
        let name = |asked: &Asked| TopicPartition::new(&*asked.topic, asked.index);
        let partitions = asks.iter().map(name).collect();
        let producer = Identity { id: self.producer_id, epoch: self.producer_epoch };
        let verify_only = !adds_partitions(context);
        let node = &context.node;
        match verify(node, &self.transactional_id, producer, partitions, verify_only).await {
            Ok(answers) => {
                let answer = |asked| answers.get(&name(asked)).copied();
                asks.iter()
                    .map(|asked| answer(asked).unwrap_or(ErrorCode::UnknownServerError))
                    .collect()
            }
            Err(error) => asks.iter().map(|_| error).collect(),
        }
    }
}

fn places(request: &ProduceRequest) -> impl Iterator<Item = (Place, &Records)> {
    request.topic_data.iter().enumerate().flat_map(|(topic_at, topic)| {
        let partitions = topic.partition_data.iter().enumerate();
        partitions.map(move |(at, data)| ((topic_at, at), &data.records))
    })
}

fn find(
    context: &RequestContext,
    topic: &TopicProduceData,
    index: i32,
) -> Result<Arc<Partition>, ErrorCode> {
    if context.version >= TOPIC_IDS_SINCE {
        lookup::by_id(&context.node, topic.topic_id, index)
    } else {
        lookup::by_name(&context.node, &topic.name, index)
    }
}

const fn adds_partitions(context: &RequestContext) -> bool {
    context.version >= ADDS_PARTITIONS_SINCE
}

fn must_verify(context: &RequestContext) -> bool {
    context.node.live().verifies_transactions()
}

/// What a client is told when the coordinator has not said yes.
fn refused(context: &RequestContext, error: ErrorCode) -> Refused {
    let told =
        |error: ErrorCode, message: String| Refused { message: Some(message), ..error.into() };
    let not_now = || {
        // Makes clients of any age try again without looking for another leader.
        let message = format!(
            "Unable to verify the partition has been added to the transaction. Underlying error: {}",
            error.name()
        );
        told(ErrorCode::NotEnoughReplicas, message)
    };
    match error {
        ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => not_now(),
        ErrorCode::ConcurrentTransactions if !adds_partitions(context) => not_now(),
        // What producers expect of one that was replaced.
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch.into(),
        ErrorCode::TransactionAbortable if context.version < ABORTABLE_SINCE => not_added(),
        ErrorCode::InvalidTxnState => not_added(),
        error => error.into(),
    }
}

fn not_added() -> Refused {
    let message = "Partition was not added to the transaction".to_owned();
    Refused { message: Some(message), ..ErrorCode::InvalidTxnState.into() }
}
