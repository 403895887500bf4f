//! ListTransactions (key 66, v0–v2), DescribeTransactions (key 65, v0). KIP-664, 994.

use std::collections::BTreeMap;

use naru_model::Timestamp;
use naru_protocol::messages::describe_transactions_response::{
    TopicData, TransactionState as Described,
};
use naru_protocol::messages::list_transactions_request::ListTransactionsRequest;
use naru_protocol::messages::list_transactions_response::TransactionState as Listed;

use super::metadata::Metadata;
use super::state::TransactionState;

/// Whether a transaction is among those asked for. States that nobody knows filter nothing.
pub(super) fn is_asked_for(
    metadata: &Metadata,
    request: &ListTransactionsRequest,
    now: Timestamp,
) -> bool {
    let states: Vec<TransactionState> =
        request.state_filters.iter().filter_map(|name| TransactionState::from_name(name)).collect();
    let lasts = now.0.saturating_sub(metadata.started.map_or(-1, Timestamp::get));
    let ids = &request.producer_id_filters;
    (ids.is_empty() || ids.contains(&metadata.producer.id.0))
        && (states.is_empty() || states.contains(&metadata.state))
        && (request.duration_filter < 0 || lasts > request.duration_filter)
}

pub(super) fn listed(id: &str, metadata: &Metadata) -> Listed {
    Listed {
        transactional_id: id.to_owned(),
        producer_id: metadata.producer.id.0,
        transaction_state: metadata.state.name().to_owned(),
    }
}

pub(super) fn described(id: &str, metadata: &Metadata) -> Described {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for one in &metadata.partitions {
        topics.entry(&one.topic).or_default().push(one.partition);
    }
    Described {
        transactional_id: id.to_owned(),
        transaction_state: metadata.state.name().to_owned(),
        transaction_timeout_ms: metadata.timeout_ms,
        transaction_start_time_ms: metadata.started.map_or(-1, Timestamp::get),
        producer_id: metadata.producer.id.0,
        producer_epoch: metadata.producer.epoch.0,
        topics: topics
            .into_iter()
            .map(|(topic, partitions)| TopicData { topic: topic.to_owned(), partitions })
            .collect(),
        ..Default::default()
    }
}
