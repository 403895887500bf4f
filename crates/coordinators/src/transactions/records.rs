//! Records of `__transaction_state`, byte for byte as Kafka writes them: key version 0, value
//! version 0 or, from `transaction.version` 1 on, version 1 with tagged fields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use naru_model::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use naru_protocol::messages::transaction_log_key::TransactionLogKey;
use naru_protocol::messages::transaction_log_value::{PartitionsSchema, TransactionLogValue};
use naru_protocol::{DecodeError, Message as _, Reader, Wire as _};

use super::metadata::{Identity, Metadata, TransactionVersion};
use super::state::TransactionState;
use crate::records::{CoordinatorRecord, read_versioned, versioned};

/// The record that says what a transactional id is now, or that it is forgotten.
pub(super) fn record(
    id: &str,
    metadata: Option<&Metadata>,
    server_version: TransactionVersion,
    now: Timestamp,
) -> CoordinatorRecord {
    let key = TransactionLogKey { transactional_id: id.to_owned() };
    let version = server_version.record_version();
    CoordinatorRecord {
        key: versioned(&key, TransactionLogKey::KEY),
        value: metadata.map(|metadata| versioned(&value(metadata), version)),
        timestamp: now,
    }
}

/// What a transactional id is from now on; none if it is forgotten.
pub(super) type Change = (Arc<str>, Option<Metadata>);

/// What a record says; `None` if its key is of another type.
pub(super) fn read(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Change>, DecodeError> {
    let mut reader = Reader::new(key);
    if reader.i16()? != TransactionLogKey::KEY {
        return Ok(None);
    }
    let key = TransactionLogKey::read(&mut reader, TransactionLogKey::KEY)?;
    let value = value.map(read_versioned::<TransactionLogValue>).transpose()?;
    Ok(Some((key.transactional_id.into(), value.map(metadata).transpose()?)))
}

fn value(metadata: &Metadata) -> TransactionLogValue {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for one in &metadata.partitions {
        topics.entry(&one.topic).or_default().push(one.partition);
    }
    let topics = topics
        .into_iter()
        .map(|(topic, partition_ids)| PartitionsSchema { topic: topic.to_owned(), partition_ids });
    let is_empty = metadata.state == TransactionState::Empty;
    let id = |id: Option<ProducerId>| id.map_or(NONE, ProducerId::get);
    TransactionLogValue {
        producer_id: metadata.producer.id.0,
        previous_producer_id: id(metadata.previous_id),
        next_producer_id: id(metadata.next_id),
        producer_epoch: metadata.producer.epoch.0,
        transaction_timeout_ms: metadata.timeout_ms,
        transaction_status: metadata.state.id(),
        transaction_partitions: (!is_empty).then(|| topics.collect()),
        transaction_last_update_timestamp_ms: metadata.updated.0,
        transaction_start_timestamp_ms: metadata.started.map_or(NONE, Timestamp::get),
        client_transaction_version: metadata.client_version.0,
        ..Default::default()
    }
}

fn metadata(value: TransactionLogValue) -> Result<Metadata, DecodeError> {
    let state = TransactionState::from_id(value.transaction_status)
        .ok_or_else(|| DecodeError::UnknownVersion(value.transaction_status.into()))?;
    let id = |id: i64| (id != NONE).then_some(ProducerId(id));
    let topics = value.transaction_partitions.into_iter().flatten();
    let partitions: BTreeSet<TopicPartition> = topics
        .flat_map(|PartitionsSchema { topic, partition_ids }| {
            partition_ids.into_iter().map(move |index| TopicPartition::new(topic.clone(), index))
        })
        .collect();
    let started = value.transaction_start_timestamp_ms;
    Ok(Metadata {
        producer: Identity {
            id: ProducerId(value.producer_id),
            epoch: ProducerEpoch(value.producer_epoch),
        },
        previous_id: id(value.previous_producer_id),
        next_id: id(value.next_producer_id),
        last_epoch: None,
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions,
        started: (started != NONE).then_some(Timestamp(started)),
        updated: Timestamp(value.transaction_last_update_timestamp_ms),
        client_version: TransactionVersion(value.client_transaction_version),
    })
}

/// How the log writes that there is none.
const NONE: i64 = -1;
