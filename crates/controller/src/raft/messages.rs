//! The quorum's messages about its one partition: made, and taken apart.

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::{
    begin_quorum_epoch_request as begin_req, begin_quorum_epoch_response as begin_res,
    end_quorum_epoch_request as end_req, end_quorum_epoch_response as end_res,
    fetch_request as fetch_req, fetch_response as fetch_res, fetch_snapshot_request as snap_req,
    fetch_snapshot_response as snap_res, vote_request as vote_req, vote_response as vote_res,
};

/// Name of the metadata topic.
pub(super) const TOPIC: &str = "__cluster_metadata";
/// Its id.
pub(super) const TOPIC_ID: Uuid = Uuid::ONE;

/// The one element of a list that must have one.
fn one<T>(list: &[T]) -> Option<&T> {
    if list.len() == 1 { list.first() } else { None }
}

/// Implements `$name(&message)`: its partition, if it is about the metadata partition alone.
macro_rules! partition_of {
    ($name:ident, $message:ty, $partition:ty, $topics:ident, $topic:ident, $index:ident) => {
        pub(super) fn $name(message: &$message) -> Option<&$partition> {
            let topic = one(&message.$topics).filter(|topic| topic.$topic == TOPIC)?;
            one(&topic.partitions).filter(|partition| partition.$index == 0)
        }
    };
}

partition_of!(
    vote,
    vote_req::VoteRequest,
    vote_req::PartitionData,
    topics,
    topic_name,
    partition_index
);
partition_of!(
    voted,
    vote_res::VoteResponse,
    vote_res::PartitionData,
    topics,
    topic_name,
    partition_index
);
partition_of!(
    begin,
    begin_req::BeginQuorumEpochRequest,
    begin_req::PartitionData,
    topics,
    topic_name,
    partition_index
);
partition_of!(
    begun,
    begin_res::BeginQuorumEpochResponse,
    begin_res::PartitionData,
    topics,
    topic_name,
    partition_index
);
partition_of!(
    end,
    end_req::EndQuorumEpochRequest,
    end_req::PartitionData,
    topics,
    topic_name,
    partition_index
);
partition_of!(
    ended,
    end_res::EndQuorumEpochResponse,
    end_res::PartitionData,
    topics,
    topic_name,
    partition_index
);
partition_of!(
    snapshot,
    snap_req::FetchSnapshotRequest,
    snap_req::PartitionSnapshot,
    topics,
    name,
    partition
);
partition_of!(
    snapshot_of,
    snap_res::FetchSnapshotResponse,
    snap_res::PartitionSnapshot,
    topics,
    name,
    index
);

/// The partition of a Fetch, which names the topic up to version 12 and gives its id after that.
pub(super) fn fetch(message: &fetch_req::FetchRequest) -> Option<&fetch_req::FetchPartition> {
    let topic = one(&message.topics)?;
    if topic.topic != TOPIC && topic.topic_id != TOPIC_ID {
        return None;
    }
    one(&topic.partitions).filter(|partition| partition.partition == 0)
}

/// The partition of the answer to a Fetch.
pub(super) fn fetched(message: &fetch_res::FetchResponse) -> Option<&fetch_res::PartitionData> {
    let topic = one(&message.responses)?;
    if topic.topic != TOPIC && topic.topic_id != TOPIC_ID {
        return None;
    }
    one(&topic.partitions).filter(|partition| partition.partition_index == 0)
}

/// Who leads, as every answer says it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leadership {
    pub(super) leader: Option<i32>,
    pub(super) epoch: i32,
    pub(super) endpoint: Option<(String, u16)>,
}

impl Leadership {
    pub(super) fn id(&self) -> i32 {
        self.leader.unwrap_or(-1)
    }

    /// The leader's id, host and port, if all are known.
    fn node(&self) -> Option<(i32, String, u16)> {
        let (host, port) = self.endpoint.clone()?;
        Some((self.leader?, host, port))
    }

    pub(super) fn vote_response(&self, error: ErrorCode, granted: bool) -> vote_res::VoteResponse {
        let partition = vote_res::PartitionData {
            partition_index: 0,
            error_code: error.code(),
            leader_id: self.id(),
            leader_epoch: self.epoch,
            vote_granted: granted,
        };
        let topic =
            vote_res::TopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] };
        let node =
            self.node().map(|(node_id, host, port)| vote_res::NodeEndpoint { node_id, host, port });
        vote_res::VoteResponse {
            error_code: 0,
            topics: vec![topic],
            node_endpoints: node.into_iter().collect(),
        }
    }

    pub(super) fn begin_response(&self, error: ErrorCode) -> begin_res::BeginQuorumEpochResponse {
        let partition = begin_res::PartitionData {
            partition_index: 0,
            error_code: error.code(),
            leader_id: self.id(),
            leader_epoch: self.epoch,
        };
        let topic =
            begin_res::TopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] };
        let node = self.node().map(|(node_id, host, port)| begin_res::NodeEndpoint {
            node_id,
            host,
            port,
        });
        begin_res::BeginQuorumEpochResponse {
            error_code: 0,
            topics: vec![topic],
            node_endpoints: node.into_iter().collect(),
        }
    }

    pub(super) fn end_response(&self, error: ErrorCode) -> end_res::EndQuorumEpochResponse {
        let partition = end_res::PartitionData {
            partition_index: 0,
            error_code: error.code(),
            leader_id: self.id(),
            leader_epoch: self.epoch,
        };
        let topic =
            end_res::TopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] };
        let node =
            self.node().map(|(node_id, host, port)| end_res::NodeEndpoint { node_id, host, port });
        end_res::EndQuorumEpochResponse {
            error_code: 0,
            topics: vec![topic],
            node_endpoints: node.into_iter().collect(),
        }
    }

    pub(super) fn fetch_response(
        &self,
        mut partition: fetch_res::PartitionData,
    ) -> fetch_res::FetchResponse {
        partition.current_leader =
            fetch_res::LeaderIdAndEpoch { leader_id: self.id(), leader_epoch: self.epoch };
        let topic = fetch_res::FetchableTopicResponse {
            topic: TOPIC.to_owned(),
            topic_id: TOPIC_ID,
            partitions: vec![partition],
        };
        let node = self.node().map(|(node_id, host, port)| fetch_res::NodeEndpoint {
            node_id,
            host,
            port: i32::from(port),
            rack: None,
        });
        fetch_res::FetchResponse {
            responses: vec![topic],
            node_endpoints: node.into_iter().collect(),
            ..fetch_res::FetchResponse::default()
        }
    }

    pub(super) fn snapshot_response(
        &self,
        mut partition: snap_res::PartitionSnapshot,
    ) -> snap_res::FetchSnapshotResponse {
        partition.current_leader =
            snap_res::LeaderIdAndEpoch { leader_id: self.id(), leader_epoch: self.epoch };
        let topic = snap_res::TopicSnapshot { name: TOPIC.to_owned(), partitions: vec![partition] };
        let node =
            self.node().map(|(node_id, host, port)| snap_res::NodeEndpoint { node_id, host, port });
        snap_res::FetchSnapshotResponse {
            topics: vec![topic],
            node_endpoints: node.into_iter().collect(),
            ..snap_res::FetchSnapshotResponse::default()
        }
    }
}

/// The id that a message may leave out by a negative one.
pub(super) fn known(id: i32) -> Option<i32> {
    (id >= 0).then_some(id)
}
