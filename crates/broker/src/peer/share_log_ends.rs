//! Where logs end, asked of their leaders: a share group's lag is measured by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::ErrorCode;
use naru_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

use crate::node::Node;

/// A consumer asks: the end is the high watermark.
const CONSUMER: i32 = -1;
const LATEST: i64 = -1;
const ANY_EPOCH: i32 = -1;

/// The high watermarks of partitions, by topic's name and number.
pub(crate) async fn log_ends(
    node: &Arc<Node>,
    partitions: BTreeSet<(String, i32)>,
) -> BTreeMap<(String, i32), Result<i64, ErrorCode>> {
    let image = node.image();
    let mut ends = BTreeMap::new();
    let mut by_leader: BTreeMap<i32, BTreeMap<String, Vec<i32>>> = BTreeMap::new();
    for (topic, index) in partitions {
        let leader = image.partition(&topic, index).and_then(|partition| partition.leader);
        match leader {
            Some(id) if id == node.id() => {
                let here = node.partitions().by_name(&topic, index);
                let end = here.and_then(|here| here.check_leads().map(|()| here.high_watermark()));
                ends.insert((topic, index), end.map(|end| end.0));
            }
            Some(id) => by_leader.entry(id).or_default().entry(topic).or_default().push(index),
            None => {
                ends.insert((topic, index), Err(ErrorCode::LeaderNotAvailable));
            }
        }
    }
    for (leader, topics) in by_leader {
        ask(node, leader, topics, &mut ends).await;
    }
    ends
}

async fn ask(
    node: &Arc<Node>,
    leader: i32,
    topics: BTreeMap<String, Vec<i32>>,
    ends: &mut BTreeMap<(String, i32), Result<i64, ErrorCode>>,
) {
    let partition = |partition_index: &i32| ListOffsetsPartition {
        partition_index: *partition_index,
        current_leader_epoch: ANY_EPOCH,
        timestamp: LATEST,
    };
    let asked = topics.iter().map(|(name, indexes)| ListOffsetsTopic {
        name: name.clone(),
        partitions: indexes.iter().map(partition).collect(),
    });
    let request =
        ListOffsetsRequest { replica_id: CONSUMER, topics: asked.collect(), ..Default::default() };
    match node.brokers().call(node, leader, &request).await {
        Ok(response) => {
            for topic in response.topics {
                for one in topic.partitions {
                    let error = ErrorCode::from_code(one.error_code);
                    let end = if error == ErrorCode::None { Ok(one.offset) } else { Err(error) };
                    ends.insert((topic.name.clone(), one.partition_index), end);
                }
            }
        }
        Err(error) => {
            for (name, indexes) in topics {
                ends.extend(indexes.into_iter().map(|index| ((name.clone(), index), Err(error))));
            }
        }
    }
}
