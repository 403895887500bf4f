//! Transactions: what coordinators know, what partitions know, and ending those that hang (KIP-664).

use naru_model::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition};
use naru_protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use naru_protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_protocol::messages::list_transactions_request::ListTransactionsRequest;
use naru_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};

use super::Admin;
use crate::cluster::Lane;
use crate::error::{Error, Result};

/// First version of ListTransactions that knows how long a transaction has lasted.
const DURATION_SINCE: i16 = 1;
/// First version that knows a pattern of transactional ids.
const PATTERN_SINCE: i16 = 2;

/// Which transactions are listed; all by default.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    /// Those of these producers.
    pub producers: Vec<ProducerId>,
    /// Those that have lasted longer than this, in milliseconds.
    pub lasted_ms: Option<i64>,
    /// Those whose transactional id matches, as RE2 reads it.
    pub pattern: Option<String>,
}

/// A transactional id in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionListing {
    /// The id.
    pub transactional_id: String,
    /// Its producer.
    pub producer: ProducerId,
    /// State, as the broker names it.
    pub state: String,
}

/// What its coordinator knows of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionDescription {
    /// Node id of the coordinator.
    pub coordinator: i32,
    /// State, as the broker names it.
    pub state: String,
    /// Its producer.
    pub producer: ProducerId,
    /// The producer's epoch.
    pub epoch: ProducerEpoch,
    /// How long a transaction may last.
    pub timeout_ms: i64,
    /// When it began, in milliseconds since 1970; none if there is none.
    pub started: Option<i64>,
    /// The partitions in it.
    pub partitions: Vec<TopicPartition>,
}

/// What a partition knows of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerDescription {
    /// The producer.
    pub producer: ProducerId,
    /// Its epoch.
    pub epoch: i32,
    /// The coordinator's epoch of its last marker.
    pub coordinator_epoch: Option<i32>,
    /// The sequence of its last record.
    pub last_sequence: i32,
    /// The time of its last record.
    pub last_timestamp: i64,
    /// Where its open transaction begins, if it has one.
    pub transaction_start: Option<i64>,
}

/// A transaction that is to be aborted where it hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HangingTransaction {
    /// Where.
    pub partition: TopicPartition,
    /// Whose.
    pub producer: ProducerId,
    /// In which epoch.
    pub epoch: ProducerEpoch,
    /// The coordinator's epoch; a marker of an older one is refused.
    pub coordinator_epoch: i32,
}

impl Admin {
    /// Lists the transactional ids of every coordinator, by its node id.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<Vec<(i32, Vec<TransactionListing>)>> {
        let metadata = self.cluster.retry(async || self.cluster.refresh_brokers().await).await?;
        let mut all = Vec::new();
        for broker in metadata.brokers.keys() {
            let listed = self
                .cluster
                .retry(async || self.list_transactions_of(*broker, filter).await)
                .await?;
            all.push((*broker, listed));
        }
        Ok(all)
    }

    async fn list_transactions_of(
        &self,
        broker: i32,
        filter: &TransactionFilter,
    ) -> Result<Vec<TransactionListing>> {
        let connection = self.cluster.broker(broker, Lane::Main).await?;
        let needed = match filter {
            TransactionFilter { pattern: Some(_), .. } => PATTERN_SINCE,
            TransactionFilter { lasted_ms: Some(_), .. } => DURATION_SINCE,
            _ => 0,
        };
        let version = connection.versions().pick::<ListTransactionsRequest>(i16::MAX)?;
        if version < needed {
            let text = "this broker cannot list transactions by duration or pattern";
            return Err(Error::Argument(text.to_owned()));
        }
        let request = ListTransactionsRequest {
            producer_id_filters: filter.producers.iter().map(|producer| producer.0).collect(),
            duration_filter: filter.lasted_ms.unwrap_or(-1),
            transactional_id_pattern: filter.pattern.clone(),
            ..Default::default()
        };
        let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
        Error::check(response.error_code)?;
        let listing =
            |one: naru_protocol::messages::list_transactions_response::TransactionState| {
                TransactionListing {
                    transactional_id: one.transactional_id,
                    producer: ProducerId(one.producer_id),
                    state: one.transaction_state,
                }
            };
        Ok(response.transaction_states.into_iter().map(listing).collect())
    }

    /// Describes a transactional id.
    pub async fn describe_transaction(&self, id: &str) -> Result<TransactionDescription> {
        self.cluster
            .retry(async || {
                let coordinator = self.cluster.transaction_coordinator(id).await?;
                let connection = self.cluster.broker(coordinator, Lane::Main).await?;
                let request =
                    DescribeTransactionsRequest { transactional_ids: vec![id.to_owned()] };
                let mut response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                let Some(state) = response.transaction_states.pop() else {
                    return Err(Error::code_only(ErrorCode::UnknownServerError));
                };
                Error::check(state.error_code)?;
                let partitions = state.topics.into_iter().flat_map(|topic| {
                    let name = topic.topic;
                    topic
                        .partitions
                        .into_iter()
                        .map(move |index| TopicPartition::new(name.clone(), index))
                });
                let started = state.transaction_start_time_ms;
                Ok(TransactionDescription {
                    coordinator,
                    state: state.transaction_state,
                    producer: ProducerId(state.producer_id),
                    epoch: ProducerEpoch(state.producer_epoch),
                    timeout_ms: state.transaction_timeout_ms.into(),
                    started: (started >= 0).then_some(started),
                    partitions: partitions.collect(),
                })
            })
            .await
    }

    /// The producers that a partition remembers, on its leader or on the replica of `broker`.
    pub async fn describe_producers(
        &self,
        partition: &TopicPartition,
        broker: Option<i32>,
    ) -> Result<Vec<ProducerDescription>> {
        self.cluster
            .retry(async || {
                let (topic, index) = (partition.topic.as_str(), partition.partition);
                let at = match broker {
                    Some(broker) => broker,
                    None => self.cluster.leader(topic, index).await?.0,
                };
                let connection = self.cluster.broker(at, Lane::Main).await?;
                let request = DescribeProducersRequest {
                    topics: vec![TopicRequest {
                        name: topic.to_owned(),
                        partition_indexes: vec![index],
                    }],
                };
                let mut response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                let found = response.topics.pop().and_then(|mut topic| topic.partitions.pop());
                let Some(found) = found else {
                    return Err(Error::code_only(ErrorCode::UnknownServerError));
                };
                if let Err(error) = Error::check_with(found.error_code, found.error_message) {
                    if broker.is_none() {
                        self.cluster.forget_leader(topic, index);
                    }
                    return Err(error);
                }
                Ok(found
                    .active_producers
                    .into_iter()
                    .map(|one| ProducerDescription {
                        producer: ProducerId(one.producer_id),
                        epoch: one.producer_epoch,
                        coordinator_epoch: (one.coordinator_epoch >= 0)
                            .then_some(one.coordinator_epoch),
                        last_sequence: one.last_sequence,
                        last_timestamp: one.last_timestamp,
                        transaction_start: (one.current_txn_start_offset >= 0)
                            .then_some(one.current_txn_start_offset),
                    })
                    .collect())
            })
            .await
    }

    /// Aborts a transaction in one partition, whatever its coordinator knows.
    pub async fn abort_transaction(&self, hanging: &HangingTransaction) -> Result<()> {
        let (topic, index) = (hanging.partition.topic.as_str(), hanging.partition.partition);
        let marker = WritableTxnMarker {
            producer_id: hanging.producer.0,
            producer_epoch: hanging.epoch.0,
            transaction_result: false,
            topics: vec![WritableTxnMarkerTopic {
                name: topic.to_owned(),
                partition_indexes: vec![index],
            }],
            coordinator_epoch: hanging.coordinator_epoch,
            ..Default::default()
        };
        self.cluster
            .retry(async || {
                let (leader, _) = self.cluster.leader(topic, index).await?;
                let connection = self.cluster.broker(leader, Lane::Main).await?;
                let request = WriteTxnMarkersRequest { markers: vec![marker.clone()] };
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                let results = response.markers.iter().flat_map(|marker| &marker.topics);
                let mut codes = results.flat_map(|t| &t.partitions).map(|one| one.error_code);
                let Some(code) = codes.next() else {
                    return Err(Error::code_only(ErrorCode::UnknownServerError));
                };
                Error::check(code).inspect_err(|_| self.cluster.forget_leader(topic, index))
            })
            .await
    }

    /// Ends the open transaction of a transactional id, and fences its producer.
    pub async fn terminate_transaction(&self, id: &str) -> Result<()> {
        // Nothing is written with it; Kafka's admin client names the time of its request.
        let timeout = self.cluster.config().request_timeout.as_millis();
        let request = InitProducerIdRequest {
            transactional_id: Some(id.to_owned()),
            transaction_timeout_ms: i32::try_from(timeout).unwrap_or(i32::MAX),
            ..Default::default()
        };
        self.cluster
            .retry(async || {
                let coordinator = self.cluster.transaction_coordinator(id).await?;
                let connection = self.cluster.broker(coordinator, Lane::Main).await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                Error::check(response.error_code)
            })
            .await
    }
}
