//! The metadata quorum: describe it, add and remove voters (KIP-595, KIP-853).

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::add_raft_voter_request::{self, AddRaftVoterRequest};
use naru_protocol::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData, TopicData,
};
use naru_protocol::messages::describe_quorum_response::{self, DescribeQuorumResponse};
use naru_protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;

use super::Admin;
use crate::error::{Error, Result};

/// The quorum's log.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// The state of the metadata quorum, as its leader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumDescription {
    /// Node id of the leader.
    pub leader: i32,
    /// Its epoch.
    pub leader_epoch: i32,
    /// Up to where the log is committed.
    pub high_watermark: i64,
    /// Those who vote.
    pub voters: Vec<QuorumReplica>,
    /// Those who only follow.
    pub observers: Vec<QuorumReplica>,
    /// Addresses of voters; empty from leaders before version 2 of the API.
    pub endpoints: Vec<QuorumNode>,
}

/// A replica of the metadata log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumReplica {
    /// Node id.
    pub id: i32,
    /// Its metadata directory; zero where nobody knows.
    pub directory_id: Uuid,
    /// Where its log ends; -1 if it has not fetched yet.
    pub log_end: i64,
    /// When it fetched last, in milliseconds since 1970.
    pub last_fetch_ms: Option<i64>,
    /// When it had everything last, in milliseconds since 1970.
    pub last_caught_up_ms: Option<i64>,
}

/// Where a voter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumNode {
    /// Node id.
    pub id: i32,
    /// Its controller listeners.
    pub listeners: Vec<VoterAddress>,
}

/// A listener of a voter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterAddress {
    /// Name of the listener.
    pub name: String,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Admin {
    /// Describes the metadata quorum.
    pub async fn describe_quorum(&self) -> Result<QuorumDescription> {
        let partitions = vec![PartitionData { partition_index: 0 }];
        let topic = TopicData { topic_name: METADATA_TOPIC.to_owned(), partitions };
        let request = DescribeQuorumRequest { topics: vec![topic] };
        self.cluster
            .retry(async || {
                let connection = self.cluster.any_or_active().await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                description_of(response)
            })
            .await
    }

    /// Adds a voter to the quorum; answered once the change is committed.
    pub async fn add_raft_voter(
        &self,
        id: i32,
        directory_id: Uuid,
        listeners: &[VoterAddress],
    ) -> Result<()> {
        let listener = |l: &VoterAddress| add_raft_voter_request::Listener {
            name: l.name.clone(),
            host: l.host.clone(),
            port: l.port,
        };
        let request = AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: self.timeout_ms(),
            voter_id: id,
            voter_directory_id: directory_id,
            listeners: listeners.iter().map(listener).collect(),
            ack_when_committed: true,
        };
        self.cluster
            .retry(async || {
                let connection = self.cluster.any_or_active().await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                Error::check_with(response.error_code, response.error_message)
            })
            .await
    }

    /// Removes a voter from the quorum; answered once the change is committed.
    pub async fn remove_raft_voter(&self, id: i32, directory_id: Uuid) -> Result<()> {
        let request = RemoveRaftVoterRequest {
            cluster_id: None,
            voter_id: id,
            voter_directory_id: directory_id,
        };
        self.cluster
            .retry(async || {
                let connection = self.cluster.any_or_active().await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                Error::check_with(response.error_code, response.error_message)
            })
            .await
    }
}

fn description_of(response: DescribeQuorumResponse) -> Result<QuorumDescription> {
    Error::check_with(response.error_code, response.error_message)?;
    let partition = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let partition = partition.ok_or(Error::code_only(ErrorCode::UnknownServerError))?;
    Error::check_with(partition.error_code, partition.error_message)?;
    let replicas = |all: Vec<describe_quorum_response::ReplicaState>| {
        all.into_iter()
            .map(|r| QuorumReplica {
                id: r.replica_id,
                directory_id: r.replica_directory_id,
                log_end: r.log_end_offset,
                last_fetch_ms: (r.last_fetch_timestamp >= 0).then_some(r.last_fetch_timestamp),
                last_caught_up_ms: (r.last_caught_up_timestamp >= 0)
                    .then_some(r.last_caught_up_timestamp),
            })
            .collect()
    };
    let node = |n: describe_quorum_response::Node| QuorumNode {
        id: n.node_id,
        listeners: n
            .listeners
            .into_iter()
            .map(|l| VoterAddress { name: l.name, host: l.host, port: l.port })
            .collect(),
    };
    Ok(QuorumDescription {
        leader: partition.leader_id,
        leader_epoch: partition.leader_epoch,
        high_watermark: partition.high_watermark,
        voters: replicas(partition.current_voters),
        observers: replicas(partition.observers),
        endpoints: response.nodes.into_iter().map(node).collect(),
    })
}
