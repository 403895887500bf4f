//! Finding partitions for requests, and telling clients where they are instead (KIP-951).

use std::sync::Arc;

use naru_controller::image::TopicImage;
use naru_model::{ErrorCode, Uuid};

use crate::dispatch::RequestContext;
use crate::fetch_session::TopicKey;
use crate::node::Node;
use crate::partition::Partition;

/// The partition of a topic by name. One that lives elsewhere is not this broker's to serve.
pub(super) fn by_name(node: &Node, topic: &str, index: i32) -> Result<Arc<Partition>, ErrorCode> {
    node.partitions().by_name(topic, index).map_err(|error| {
        if node.image().partition(topic, index).is_some() {
            ErrorCode::NotLeaderOrFollower
        } else {
            error
        }
    })
}

/// The partition of a topic by id.
pub(super) fn by_id(node: &Node, topic: Uuid, index: i32) -> Result<Arc<Partition>, ErrorCode> {
    node.partitions().by_id(topic, index).map_err(|error| match node.image().topic_by_id(topic) {
        Some(known) if known.partitions.get(&index).is_some() => ErrorCode::NotLeaderOrFollower,
        Some(_) => ErrorCode::UnknownTopicOrPartition,
        None => error,
    })
}

/// Whether an error means that the client has the wrong leader in mind.
pub(super) fn is_wrong_leader(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
}

/// Leader and leader epoch of a partition; -1 and -1 where that is not known.
pub(super) fn current_leader(node: &Node, topic: &TopicKey, index: i32) -> (i32, i32) {
    let image = node.image();
    let topic: Option<&Arc<TopicImage>> = match topic {
        TopicKey::Name(name) => image.topic(name),
        TopicKey::Id(id) => image.topic_by_id(*id),
    };
    topic
        .and_then(|topic| topic.partitions.get(&index))
        .map_or((-1, -1), |partition| (partition.leader.unwrap_or(-1), partition.leader_epoch))
}

/// Where a broker is reached by a client.
pub(super) struct BrokerAddress {
    pub(super) id: i32,
    pub(super) host: String,
    pub(super) port: i32,
    pub(super) rack: Option<String>,
}

/// The addresses of brokers on the listener that the client came in by.
pub(super) fn addresses(
    context: &RequestContext,
    ids: impl Iterator<Item = i32>,
) -> Vec<BrokerAddress> {
    let mut ids: Vec<i32> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let image = context.node.image();
    let address = |id: i32| {
        let broker = image.broker(id)?;
        let endpoint = broker.endpoint(&context.connection.listener)?;
        let (host, port) = (endpoint.host.clone(), i32::from(endpoint.port));
        Some(BrokerAddress { id, host, port, rack: broker.rack.clone() })
    };
    ids.into_iter().filter_map(address).collect()
}
