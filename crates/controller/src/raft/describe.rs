//! DescribeQuorum, v0-v2: voters and observers as the leader knows them.

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use naru_protocol::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};

use super::Voter;
use super::leader::{Leader, Progress};
use super::messages::TOPIC;
use super::quorum::{Quorum, Step};
use super::role::Role;
use super::voters::ReplicaKey;

impl Quorum {
    pub(super) fn handle_describe(
        &mut self,
        step: &Step<'_>,
        version: i16,
        request: &DescribeQuorumRequest,
    ) -> DescribeQuorumResponse {
        let known = match request.topics.as_slice() {
            [topic] if topic.topic_name == TOPIC => {
                matches!(topic.partitions.as_slice(), [only] if only.partition_index == 0)
            }
            _ => false,
        };
        if !known {
            return unknown_partitions(request, version);
        }
        let (partition, nodes) = match &self.role {
            Role::Leader(leader) => (self.describe(step, leader), self.voter_nodes(version)),
            _ => (failed(0, ErrorCode::NotLeaderOrFollower, version), Vec::new()),
        };
        let topic = TopicData { topic_name: TOPIC.to_owned(), partitions: vec![partition] };
        DescribeQuorumResponse { topics: vec![topic], nodes, ..DescribeQuorumResponse::default() }
    }

    fn describe(&self, step: &Step<'_>, leader: &Leader) -> PartitionData {
        let voter_keys: Vec<ReplicaKey> = self.voters().iter().map(ReplicaKey::of).collect();
        let observers =
            leader.replicas.iter().filter(|(key, _)| !voter_keys.contains(key)).map(
                |(key, progress)| replica_state(key.id, progress.directory_id, Some(progress)),
            );
        let voter_state = |voter: &Voter| {
            if self.is_self(voter) {
                return ReplicaState {
                    replica_id: voter.id,
                    replica_directory_id: self.directory_id,
                    log_end_offset: step.end(),
                    last_fetch_timestamp: step.now,
                    last_caught_up_timestamp: step.now,
                };
            }
            let progress = leader.progress(voter);
            let directory_id =
                progress.map_or(voter.directory_id, |progress| progress.directory_id);
            replica_state(voter.id, directory_id, progress)
        };
        PartitionData {
            partition_index: 0,
            leader_id: self.node_id,
            leader_epoch: self.epoch,
            high_watermark: leader.committed.unwrap_or(-1),
            current_voters: self.voters().iter().map(voter_state).collect(),
            observers: observers.collect(),
            ..PartitionData::default()
        }
    }

    fn voter_nodes(&self, version: i16) -> Vec<Node> {
        if version < 2 {
            return Vec::new();
        }
        let node = |voter: &Voter| {
            let listeners = voter.endpoints.iter().map(|endpoint| Listener {
                name: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
            });
            Node { node_id: voter.id, listeners: listeners.collect() }
        };
        self.voters().iter().map(node).collect()
    }
}

fn replica_state(id: i32, directory_id: Uuid, progress: Option<&Progress>) -> ReplicaState {
    ReplicaState {
        replica_id: id,
        replica_directory_id: directory_id,
        log_end_offset: progress.and_then(|progress| progress.end).unwrap_or(-1),
        last_fetch_timestamp: progress.map_or(-1, |progress| progress.fetch_ms),
        last_caught_up_timestamp: progress.map_or(-1, |progress| progress.caught_up_ms),
    }
}

fn failed(partition_index: i32, error: ErrorCode, version: i16) -> PartitionData {
    PartitionData {
        partition_index,
        error_code: error.code(),
        error_message: (version >= 2).then(|| error.name().to_owned()),
        ..PartitionData::default()
    }
}

fn unknown_partitions(request: &DescribeQuorumRequest, version: i16) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| {
        let error = ErrorCode::UnknownTopicOrPartition;
        let partitions = topic.partitions.iter();
        let partitions = partitions.map(|asked| failed(asked.partition_index, error, version));
        TopicData { topic_name: topic.topic_name.clone(), partitions: partitions.collect() }
    });
    DescribeQuorumResponse { topics: topics.collect(), ..DescribeQuorumResponse::default() }
}
