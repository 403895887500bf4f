//! Sends the markers of a decided transaction to the leaders of its partitions (WriteTxnMarkers)
//! until all are written, however often leaders change meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use naru_coordinators::Markers;
use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use naru_protocol::messages::write_txn_markers_response::WriteTxnMarkersResponse;
use tokio::task::JoinSet;

use crate::api;
use crate::node::Node;

/// Pause before leaders are asked again.
const RETRY: Duration = Duration::from_millis(50);
/// Longest pause, after several tries.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Tries after which a partition that metadata does not know is taken to be deleted: this node
/// may hear of a new topic later than others.
const UNKNOWN_MAX: u32 = 8;

/// Writes `markers` everywhere; false if that is no longer this coordinator's business.
/// `coordinator_epoch` is none when the coordinator has moved away.
pub(crate) async fn write_markers(
    node: &Arc<Node>,
    markers: &Markers,
    coordinator_epoch: impl Fn() -> Option<i32>,
) -> bool {
    let mut left = markers.partitions.clone();
    let mut pause = RETRY;
    let mut stop = node.stopping();
    for attempt in 0_u32.. {
        let Some(epoch) = coordinator_epoch() else { return false };
        match try_once(node, markers, epoch, &mut left, attempt >= UNKNOWN_MAX).await {
            Ok(()) if left.is_empty() => return true,
            Ok(()) => {}
            Err(error) => {
                let id = &markers.transactional_id;
                tracing::warn!(%id, %error, "markers are given up: another coordinator goes on");
                return false;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stopping| *stopping) => return false,
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
    false
}

/// Asks every leader once and takes what is done out of `left`.
async fn try_once(
    node: &Arc<Node>,
    markers: &Markers,
    coordinator_epoch: i32,
    left: &mut BTreeSet<TopicPartition>,
    drop_unknown: bool,
) -> Result<(), ErrorCode> {
    let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
    let image = node.image();
    left.retain(|one| {
        let known = image.partition(&one.topic, one.partition);
        if let Some(leader) = known.and_then(|partition| partition.leader) {
            by_leader.entry(leader).or_default().push(one.clone());
        }
        known.is_some() || !drop_unknown
    });
    let mut asked = JoinSet::new();
    for (leader, partitions) in by_leader {
        let request = request(markers, coordinator_epoch, &partitions);
        let node = Arc::clone(node);
        asked.spawn(async move {
            if leader == node.id() {
                Ok(api::txn_markers::write_markers(&node, request).await)
            } else {
                node.brokers().call(&node, leader, &request).await
            }
        });
    }
    while let Some(answer) = asked.join_next().await {
        // Who did not answer is asked again, or another leader is.
        if let Ok(Ok(response)) = answer {
            take_written(&response, left)?;
        }
    }
    Ok(())
}

fn request(
    markers: &Markers,
    coordinator_epoch: i32,
    partitions: &[TopicPartition],
) -> WriteTxnMarkersRequest {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for one in partitions {
        topics.entry(&one.topic).or_default().push(one.partition);
    }
    let topics = topics.into_iter().map(|(name, partition_indexes)| WritableTxnMarkerTopic {
        name: name.to_owned(),
        partition_indexes,
    });
    WriteTxnMarkersRequest {
        markers: vec![WritableTxnMarker {
            producer_id: markers.producer.id.0,
            producer_epoch: markers.producer.epoch.0,
            transaction_result: markers.commit,
            topics: topics.collect(),
            coordinator_epoch,
            transaction_version: i8::try_from(markers.version.0).unwrap_or(i8::MAX),
        }],
    }
}

/// An error if a newer coordinator or producer has taken over.
fn take_written(
    response: &WriteTxnMarkersResponse,
    left: &mut BTreeSet<TopicPartition>,
) -> Result<(), ErrorCode> {
    for topic in response.markers.iter().flat_map(|marker| &marker.topics) {
        for partition in &topic.partitions {
            match ErrorCode::from_code(partition.error_code) {
                ErrorCode::None => {
                    left.remove(&TopicPartition::new(&*topic.name, partition.partition_index));
                }
                error @ (ErrorCode::InvalidProducerEpoch
                | ErrorCode::TransactionCoordinatorFenced) => return Err(error),
                error => {
                    let (topic, index) = (&topic.name, partition.partition_index);
                    tracing::debug!(%topic, index, %error, "marker not written yet");
                }
            }
        }
    }
    Ok(())
}
