//! Asks the share coordinator, wherever it is, for what is stored of a share partition, and has
//! it store what has changed (KIP-932).

use std::sync::Arc;
use std::time::Duration;

use naru_controller::topic_name::SHARE_GROUP_STATE;
use naru_model::{ErrorCode, Offset, Uuid};
use naru_protocol::messages::read_share_group_state_request as read;
use naru_protocol::messages::write_share_group_state_request as write;
use naru_share::{DeliveryState, StateBatch, StateWrite};
use tokio::time::Instant;

use crate::api;
use crate::coordination::partition_of;
use crate::node::Node;

/// Pause before the coordinator is asked again.
const RETRY: Duration = Duration::from_millis(50);
/// Longest pause, after several tries.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How long the coordinator is asked again: long enough for another broker to take over.
const TRY_MAX: Duration = Duration::from_secs(20);

/// One group on one partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ShareKey {
    pub(crate) group: Arc<str>,
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
}

impl ShareKey {
    /// By which the coordinator is found.
    pub(crate) fn coordinator_key(&self) -> String {
        format!("{}:{}:{}", self.group, self.topic, self.partition)
    }
}

/// What is stored of a share partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredState {
    pub(crate) state_epoch: i32,
    /// None if the group has not begun to read the partition.
    pub(crate) start: Option<Offset>,
    pub(crate) batches: Vec<StateBatch>,
}

/// What a leader knows of its right to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epochs {
    pub(crate) leader: i32,
    pub(crate) state: i32,
}

/// Reads what is stored, and tells the coordinator the leader epoch.
pub(crate) async fn read_state(
    node: &Arc<Node>,
    key: &ShareKey,
    leader_epoch: i32,
) -> Result<StoredState, ErrorCode> {
    let partition = read::PartitionData { partition: key.partition, leader_epoch };
    let topic = read::ReadStateData { topic_id: key.topic, partitions: vec![partition] };
    let request =
        read::ReadShareGroupStateRequest { group_id: key.group.to_string(), topics: vec![topic] };
    again_and_again(node, || async {
        let response = match coordinator(node, key).await? {
            here if here == node.id() => api::share_state::answer(node, request.clone()).await,
            there => node.brokers().call(node, there, &request).await?,
        };
        let result = response.results.into_iter().flat_map(|topic| topic.partitions).next();
        let result = result.ok_or(ErrorCode::UnknownServerError)?;
        check(result.error_code)?;
        let batches = result.state_batches.iter().filter_map(|batch| {
            let state = DeliveryState::from_id(batch.delivery_state)?;
            let deliveries = u16::try_from(batch.delivery_count).unwrap_or(0);
            let (first, last) = (Offset(batch.first_offset), Offset(batch.last_offset));
            Some(StateBatch { first, last, state, deliveries })
        });
        Ok(StoredState {
            state_epoch: result.state_epoch,
            start: (result.start_offset >= 0).then_some(Offset(result.start_offset)),
            batches: batches.collect(),
        })
    })
    .await
}

/// Stores what has changed.
pub(crate) async fn write_state(
    node: &Arc<Node>,
    key: &ShareKey,
    epochs: Epochs,
    change: &StateWrite,
) -> Result<(), ErrorCode> {
    let batches = change.batches.iter().map(|batch| write::StateBatch {
        first_offset: batch.first.0,
        last_offset: batch.last.0,
        delivery_state: batch.state.id(),
        delivery_count: i16::try_from(batch.deliveries).unwrap_or(i16::MAX),
    });
    let partition = write::PartitionData {
        partition: key.partition,
        state_epoch: epochs.state,
        leader_epoch: epochs.leader,
        start_offset: change.start.0,
        delivery_complete_count: change.complete,
        state_batches: batches.collect(),
    };
    let topic = write::WriteStateData { topic_id: key.topic, partitions: vec![partition] };
    let request =
        write::WriteShareGroupStateRequest { group_id: key.group.to_string(), topics: vec![topic] };
    again_and_again(node, || async {
        let response = match coordinator(node, key).await? {
            here if here == node.id() => api::share_state::answer(node, request.clone()).await,
            there => node.brokers().call(node, there, &request).await?,
        };
        let result = response.results.into_iter().flat_map(|topic| topic.partitions).next();
        check(result.map_or(ErrorCode::UnknownServerError.code(), |result| result.error_code))
    })
    .await
}

/// The broker that has the state.
async fn coordinator(node: &Arc<Node>, key: &ShareKey) -> Result<i32, ErrorCode> {
    if node.image().topic(SHARE_GROUP_STATE).is_none() {
        node.create_internal_topic(SHARE_GROUP_STATE)
            .await
            .map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
    }
    let image = node.image();
    partition_of(&image, SHARE_GROUP_STATE, &key.coordinator_key())
        .and_then(|index| image.partition(SHARE_GROUP_STATE, index)?.leader)
        .ok_or(ErrorCode::CoordinatorNotAvailable)
}

fn check(code: i16) -> Result<(), ErrorCode> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(()),
        error => Err(error),
    }
}

/// Asks until there is an answer that another try would not change.
async fn again_and_again<T, F: Future<Output = Result<T, ErrorCode>>>(
    node: &Arc<Node>,
    ask: impl Fn() -> F,
) -> Result<T, ErrorCode> {
    let deadline = Instant::now() + TRY_MAX;
    let mut pause = RETRY;
    let mut stop = node.stopping();
    loop {
        match ask().await {
            Err(error) if passes(error) && Instant::now() + pause < deadline => {
                tracing::debug!(%error, "the share coordinator is asked again");
            }
            settled => return settled,
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stopping| *stopping) => {
                return Err(ErrorCode::CoordinatorNotAvailable);
            }
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Whether an error may be gone at the next try.
fn passes(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NetworkException
            | ErrorCode::BrokerNotAvailable
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::RequestTimedOut
    )
}
