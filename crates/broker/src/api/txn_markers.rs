//! WriteTxnMarkers (key 27, v1–v2). KIP-98, 890, 1228.
//!
//! A transaction coordinator ends transactions in the partitions that this broker leads; the
//! answer comes when the markers are stored as acks=all promises. v2 transaction version.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use naru_model::{ErrorCode, ProducerEpoch, ProducerId};
use naru_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WriteTxnMarkersRequest,
};
use naru_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersResponse,
};
use tokio::time::{Instant, timeout_at};

use crate::coordination::OFFSETS_TOPIC;
use crate::dispatch::{RequestContext, decode};
use crate::listener::Answer;
use crate::node::{Node, millis};
use crate::partition::TxnMarker;
use crate::security::{Operation, Resource};

/// Appends at once, not when what came before it by the same connection is answered: the sender may
/// have given up by then and have asked again, and what was late would end the producer's next
/// transaction. Only that it is stored is waited for.
pub(crate) fn handle(context: RequestContext, body: &Bytes) -> Answer {
    let request: WriteTxnMarkersRequest = match decode(&context, body) {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    // Somebody who ends a transaction that hangs, or a coordinator.
    let may = context.may_see(Operation::Alter, Resource::Cluster)
        || context.may(Operation::ClusterAction, Resource::Cluster);
    if !may {
        let refused = refuse(&request, ErrorCode::ClusterAuthorizationFailed);
        return Answer::Send(context.finish(refused, 0));
    }
    let written = write_markers(&context.node, request);
    Answer::Later(Box::pin(async move { Answer::Send(context.finish(written.await, 0)) }))
}

fn refuse(request: &WriteTxnMarkersRequest, error: ErrorCode) -> WriteTxnMarkersResponse {
    let mut results = Results::default();
    for asked in &request.markers {
        for topic in &asked.topics {
            for index in &topic.partition_indexes {
                results.add(asked.producer_id, &topic.name, *index, error);
            }
        }
    }
    results.response
}

/// Writes the markers into the partitions that this broker leads, before the answer is waited for.
pub(crate) fn write_markers(
    node: &Arc<Node>,
    request: WriteTxnMarkersRequest,
) -> impl Future<Output = WriteTxnMarkersResponse> + Send + use<> {
    let timeout = millis(i64::try_from(node.config().sockets.request_timeout_ms).unwrap_or(0));
    let deadline = Instant::now() + timeout;
    // All are appended before any is waited for.
    let mut under_way = Vec::new();
    for asked in request.markers {
        let marker = marker_of(&asked);
        for topic in asked.topics {
            let append = |index| (index, append(node, &topic.name, index, marker));
            let appended: Vec<_> = topic.partition_indexes.into_iter().map(append).collect();
            under_way.push((asked.producer_id, topic.name, appended));
        }
    }
    async move {
        let mut results = Results::default();
        for (producer_id, topic, appended) in under_way {
            for (index, appended) in appended {
                let result = match appended {
                    Ok(stored) => timeout_at(deadline, stored)
                        .await
                        .unwrap_or(Err(ErrorCode::RequestTimedOut)),
                    Err(error) => Err(error),
                };
                let error = result.err().unwrap_or(ErrorCode::None);
                results.add(producer_id, &topic, index, error);
            }
        }
        results.response
    }
}

fn marker_of(asked: &WritableTxnMarker) -> TxnMarker {
    TxnMarker {
        producer_id: ProducerId(asked.producer_id),
        producer_epoch: ProducerEpoch(asked.producer_epoch),
        coordinator_epoch: asked.coordinator_epoch,
        committed: asked.transaction_result,
        transaction_version: asked.transaction_version,
    }
}

/// Resolves when a marker is stored as promised.
type Storing = Pin<Box<dyn Future<Output = Result<(), ErrorCode>> + Send>>;

/// Appends one marker.
fn append(
    node: &Arc<Node>,
    topic: &str,
    index: i32,
    marker: TxnMarker,
) -> Result<Storing, ErrorCode> {
    if topic == OFFSETS_TOPIC {
        // The group coordinator has to know which offsets count from now on.
        let storing = node.coordination().end_transaction(index, marker).map_err(as_of_a_leader)?;
        return Ok(Box::pin(async move { storing.await.map_err(as_of_a_leader) }));
    }
    // Who is not asked at the right broker looks for the partition again.
    let partition = node.partitions().by_name(topic, index)?;
    let appended = partition.append_marker(marker, node.now()).map_err(|refused| {
        let message = refused.message.as_deref().unwrap_or_default();
        tracing::info!(partition = %partition.name(), ?marker, "marker refused: {message}");
        refused.error
    })?;
    let stored = partition.park_until_stored(&appended);
    Ok(Box::pin(async move {
        match stored {
            None => Ok(()),
            // The partition was dropped with its waiters.
            Some(stored) => stored.await.unwrap_or(Err(ErrorCode::NotLeaderOrFollower)),
        }
    }))
}

/// A coordinator of Apache Kafka sends a marker again for a leader's error only; it knows nothing
/// of the group coordinator behind the partition.
fn as_of_a_leader(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotCoordinator
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable => ErrorCode::NotLeaderOrFollower,
        other => other,
    }
}

/// The answer, with one entry for each producer.
#[derive(Debug, Default)]
struct Results {
    response: WriteTxnMarkersResponse,
    places: HashMap<i64, usize>,
}

impl Results {
    fn add(&mut self, producer_id: i64, topic: &str, partition_index: i32, error: ErrorCode) {
        let markers = &mut self.response.markers;
        let at = *self.places.entry(producer_id).or_insert(markers.len());
        if at == markers.len() {
            markers.push(WritableTxnMarkerResult { producer_id, topics: Vec::new() });
        }
        let topics = &mut markers[at].topics;
        let known = topics.iter().position(|known| known.name == topic);
        let at = known.unwrap_or_else(|| {
            let name = topic.to_owned();
            topics.push(WritableTxnMarkerTopicResult { name, partitions: Vec::new() });
            topics.len() - 1
        });
        let error_code = error.code();
        topics[at]
            .partitions
            .push(WritableTxnMarkerPartitionResult { partition_index, error_code });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_grouped_by_producer_and_topic() {
        let mut results = Results::default();
        results.add(7, "a", 0, ErrorCode::None);
        results.add(8, "a", 1, ErrorCode::NotLeaderOrFollower);
        results.add(7, "b", 0, ErrorCode::None);
        results.add(7, "a", 2, ErrorCode::InvalidProducerEpoch);
        let told: Vec<_> = results
            .response
            .markers
            .iter()
            .flat_map(|marker| {
                marker.topics.iter().flat_map(|topic| {
                    topic.partitions.iter().map(|partition| {
                        let (index, error) = (partition.partition_index, partition.error_code);
                        (marker.producer_id, topic.name.as_str(), index, error)
                    })
                })
            })
            .collect();
        assert_eq!(told, [(7, "a", 0, 0), (7, "a", 2, 47), (7, "b", 0, 0), (8, "a", 1, 6)]);
    }
}
