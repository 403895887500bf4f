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
use tokio::task::JoinSet;

use super::marker_queue::{self, CoordinatorEpoch, Turn, Written};
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
pub(crate) async fn write_markers(
    node: &Arc<Node>,
    markers: &Markers,
    coordinator_epoch: CoordinatorEpoch,
) -> bool {
    let mut left = markers.partitions.clone();
    let mut pause = RETRY;
    let mut stop = node.stopping();
    for attempt in 0_u32.. {
        if coordinator_epoch().is_none() {
            return false;
        }
        match try_once(node, markers, &coordinator_epoch, &mut left, attempt).await {
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
    coordinator_epoch: &CoordinatorEpoch,
    left: &mut BTreeSet<TopicPartition>,
    attempt: u32,
) -> Result<(), ErrorCode> {
    let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
    let image = node.image();
    left.retain(|one| {
        let known = image.partition(&one.topic, one.partition);
        if let Some(leader) = known.and_then(|partition| partition.leader) {
            by_leader.entry(leader).or_default().push(one.clone());
        }
        known.is_some() || attempt < UNKNOWN_MAX
    });
    let mut asked = JoinSet::new();
    for (leader, partitions) in by_leader {
        let mut marker = marker(markers, &partitions);
        let turn = if attempt == 0 { Turn::First } else { Turn::Again };
        let (node, epoch) = (Arc::clone(node), Arc::clone(coordinator_epoch));
        asked.spawn(async move {
            if leader != node.id() {
                return marker_queue::send(&node, (leader, turn), marker, epoch).await;
            }
            marker.coordinator_epoch = epoch()?;
            let request = WriteTxnMarkersRequest { markers: vec![marker] };
            let response = api::txn_markers::write_markers(&node, request).await;
            Some(response.markers.into_iter().flat_map(|marker| marker.topics).collect())
        });
    }
    while let Some(answer) = asked.join_next().await {
        // Who did not answer is asked again, or another leader is.
        if let Ok(Some(written)) = answer {
            take_written(&written, left)?;
        }
    }
    Ok(())
}

/// One transaction's marker for some partitions, without the coordinator's epoch.
fn marker(markers: &Markers, partitions: &[TopicPartition]) -> WritableTxnMarker {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for one in partitions {
        topics.entry(&one.topic).or_default().push(one.partition);
    }
    let topics = topics.into_iter().map(|(name, partition_indexes)| WritableTxnMarkerTopic {
        name: name.to_owned(),
        partition_indexes,
    });
    WritableTxnMarker {
        producer_id: markers.producer.id.0,
        producer_epoch: markers.producer.epoch.0,
        transaction_result: markers.commit,
        topics: topics.collect(),
        transaction_version: i8::try_from(markers.version.0).unwrap_or(i8::MAX),
        ..Default::default()
    }
}

/// An error if a newer coordinator or producer has taken over.
fn take_written(written: &Written, left: &mut BTreeSet<TopicPartition>) -> Result<(), ErrorCode> {
    for topic in written {
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
