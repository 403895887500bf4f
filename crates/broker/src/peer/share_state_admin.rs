//! What a group coordinator has share coordinators do, wherever they are: begin and end the state
//! of share partitions, and tell where a group stands (KIP-932).
//!
//! Requests are split by coordinator and sent side by side; what is moving is asked again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use naru_coordinators::SharePartition;
use naru_model::{ErrorCode, Uuid};
use naru_protocol::Request;
use naru_protocol::messages::delete_share_group_state_request::{
    DeleteShareGroupStateRequest, DeleteStateData, PartitionData as DeletePartition,
};
use naru_protocol::messages::initialize_share_group_state_request::{
    InitializeShareGroupStateRequest, InitializeStateData, PartitionData as InitializePartition,
};
use naru_protocol::messages::read_share_group_state_summary_request::{
    PartitionData as SummaryPartition, ReadShareGroupStateSummaryRequest, ReadStateSummaryData,
};
use naru_protocol::messages::read_share_group_state_summary_response::PartitionResult as Summary;

use crate::api::share_state::{StateRequest, answer};
use crate::coordination::{SHARE_STATE_TOPIC, partition_of};
use crate::node::Node;

/// How often something that moves or is not reached is asked again, as Kafka does.
const TRIES: u32 = 5;
/// The first pause; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Share partitions of one group.
pub(crate) type Parts<T> = BTreeMap<(Uuid, i32), T>;

/// Begins the state of share partitions, each at an offset (-1 if its leader is to find out).
pub(crate) async fn initialize(
    node: &Arc<Node>,
    group: &str,
    state_epoch: i32,
    starts: Parts<i64>,
) -> Parts<ErrorCode> {
    let asked = ask_all(node, group, starts, |parts| {
        let topics = by_topic(parts).into_iter().map(|(topic_id, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, start_offset)| {
                InitializePartition { partition, state_epoch, start_offset }
            });
            InitializeStateData { topic_id, partitions: partitions.collect() }
        });
        InitializeShareGroupStateRequest { group_id: group.to_owned(), topics: topics.collect() }
    });
    asked
        .await
        .into_iter()
        .map(|(key, result)| (key, result.map_or_else(|error| error, |()| ErrorCode::None)))
        .collect()
}

/// Ends the state of share partitions.
pub(crate) async fn delete(
    node: &Arc<Node>,
    group: &str,
    partitions: impl IntoIterator<Item = (Uuid, i32)>,
) -> Parts<ErrorCode> {
    let partitions = partitions.into_iter().map(|key| (key, ())).collect();
    let asked = ask_all(node, group, partitions, |parts| {
        let topics = by_topic(parts).into_iter().map(|(topic_id, partitions)| {
            let partitions =
                partitions.into_iter().map(|(partition, ())| DeletePartition { partition });
            DeleteStateData { topic_id, partitions: partitions.collect() }
        });
        DeleteShareGroupStateRequest { group_id: group.to_owned(), topics: topics.collect() }
    });
    asked
        .await
        .into_iter()
        .map(|(key, result)| (key, result.map_or_else(|error| error, |()| ErrorCode::None)))
        .collect()
}

/// Where a group stands.
pub(crate) async fn read_summary(
    node: &Arc<Node>,
    group: &str,
    partitions: impl IntoIterator<Item = (Uuid, i32)>,
) -> Parts<Result<Summary, ErrorCode>> {
    let partitions = partitions.into_iter().map(|key| (key, ())).collect();
    ask_all(node, group, partitions, |parts| {
        let topics = by_topic(parts).into_iter().map(|(topic_id, partitions)| {
            let partitions = partitions
                .into_iter()
                .map(|(partition, ())| SummaryPartition { partition, leader_epoch: 0 });
            ReadStateSummaryData { topic_id, partitions: partitions.collect() }
        });
        ReadShareGroupStateSummaryRequest { group_id: group.to_owned(), topics: topics.collect() }
    })
    .await
}

/// A request whose answers are taken apart by share partition.
pub(crate) trait Answered: StateRequest {
    type Part;
    fn parts(response: <Self as Request>::Response) -> Parts<Result<Self::Part, ErrorCode>>;
}

macro_rules! answered {
    ($request:ty, $part:ty, |$one:ident| $good:expr) => {
        impl Answered for $request {
            type Part = $part;

            fn parts(
                response: <Self as Request>::Response,
            ) -> Parts<Result<Self::Part, ErrorCode>> {
                let parts = response.results.into_iter().flat_map(|topic| {
                    let topic_id = topic.topic_id;
                    topic.partitions.into_iter().map(move |$one| {
                        let key = (topic_id, $one.partition);
                        let good = $one.error_code == 0;
                        let error = ErrorCode::from_code($one.error_code);
                        (key, if good { Ok($good) } else { Err(error) })
                    })
                });
                parts.collect()
            }
        }
    };
}

answered!(InitializeShareGroupStateRequest, (), |_one| ());
answered!(DeleteShareGroupStateRequest, (), |_one| ());
answered!(ReadShareGroupStateSummaryRequest, Summary, |one| one);

/// Asks the coordinators of all share partitions; every one has an answer in the end.
async fn ask_all<R: Answered, T: Clone>(
    node: &Arc<Node>,
    group: &str,
    mut open: Parts<T>,
    request: impl Fn(Parts<T>) -> R,
) -> Parts<Result<R::Part, ErrorCode>> {
    let mut done = Parts::new();
    let mut pause = PAUSE;
    for attempt in 1..=TRIES {
        let is_last = attempt == TRIES;
        if node.image().topic(SHARE_STATE_TOPIC).is_none()
            && let Err(error) = node.create_internal_topic(SHARE_STATE_TOPIC).await
        {
            tracing::warn!(%error, "{SHARE_STATE_TOPIC} cannot be created");
        }
        let mut coordinators: BTreeMap<Option<i32>, Parts<T>> = BTreeMap::new();
        for (key, one) in &open {
            let coordinator = coordinator(node, group, *key);
            coordinators.entry(coordinator).or_default().insert(*key, one.clone());
        }
        for (coordinator, parts) in coordinators {
            let keys: Vec<(Uuid, i32)> = parts.keys().copied().collect();
            let answered = match coordinator {
                Some(id) => ask(node, id, request(parts)).await,
                None => Err(ErrorCode::CoordinatorNotAvailable),
            };
            let mut answered = answered.map(R::parts);
            for key in keys {
                let result = match &mut answered {
                    Ok(parts) => parts.remove(&key).unwrap_or(Err(ErrorCode::UnknownServerError)),
                    Err(error) => Err(*error),
                };
                let passes = result.as_ref().is_err_and(|error| passes(*error));
                if is_last || !passes {
                    open.remove(&key);
                    done.insert(key, result);
                }
            }
        }
        if open.is_empty() {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    done
}

async fn ask<R: Answered>(
    node: &Arc<Node>,
    coordinator: i32,
    request: R,
) -> Result<R::Response, ErrorCode> {
    if coordinator == node.id() {
        return Ok(answer(node, request).await);
    }
    node.brokers().call(node, coordinator, &request).await
}

fn coordinator(node: &Arc<Node>, group: &str, (topic_id, partition): (Uuid, i32)) -> Option<i32> {
    let key = SharePartition { group: group.into(), topic_id, partition };
    let image = node.image();
    let index = partition_of(&image, SHARE_STATE_TOPIC, &key.to_string())?;
    image.partition(SHARE_STATE_TOPIC, index)?.leader
}

/// Whether the same request may be answered soon.
fn passes(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotCoordinator
            | ErrorCode::NetworkException
            | ErrorCode::BrokerNotAvailable
            // The coordinator has not heard of a new topic yet.
            | ErrorCode::UnknownTopicOrPartition
    )
}

fn by_topic<T>(parts: Parts<T>) -> BTreeMap<Uuid, Vec<(i32, T)>> {
    let mut topics: BTreeMap<Uuid, Vec<(i32, T)>> = BTreeMap::new();
    for ((topic, partition), one) in parts {
        topics.entry(topic).or_default().push((partition, one));
    }
    topics
}
