//! What the client knows about brokers, topics and leaders. Values only.

use std::collections::{BTreeMap, HashMap};

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Node id.
    pub id: i32,
    /// Host it advertises.
    pub host: String,
    /// Port it advertises.
    pub port: i32,
    /// Rack, if it has one.
    pub rack: Option<String>,
}

impl Broker {
    /// `host:port`, with brackets around IPv6 addresses.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A partition as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Index within the topic.
    pub index: i32,
    /// Node id of the leader, if there is one.
    pub leader: Option<i32>,
    /// Epoch of that leader, -1 from old brokers.
    pub leader_epoch: i32,
    /// Node ids of the replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Node ids of the replicas that are in sync.
    pub isr: Vec<i32>,
    /// Node ids of the replicas that are offline.
    pub offline: Vec<i32>,
}

/// A topic as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Id; zero from old brokers.
    pub id: Uuid,
    /// Whether the cluster keeps its own state in it.
    pub internal: bool,
    /// Partitions by index.
    pub partitions: Vec<Partition>,
    /// What is wrong with it, if something is.
    pub error: ErrorCode,
}

impl Topic {
    /// The partition with this index.
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.index == index)
    }
}

/// A snapshot of what is known.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// Id of the cluster.
    pub cluster_id: Option<String>,
    /// Who takes administrative requests.
    pub controller: Option<i32>,
    /// Brokers by node id.
    pub brokers: BTreeMap<i32, Broker>,
    /// Topics by name.
    pub topics: HashMap<String, Topic>,
}

impl Metadata {
    /// The topic, if it is known and exists.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name).filter(|topic| topic.error.is_ok())
    }

    /// The partition, if it is known.
    pub fn partition(&self, topic: &str, index: i32) -> Option<&Partition> {
        self.topic(topic)?.partition(index)
    }

    /// The leader of a partition with its epoch, if there is one.
    pub fn leader(&self, topic: &str, index: i32) -> Option<(i32, i32)> {
        let partition = self.partition(topic, index)?;
        Some((partition.leader?, partition.leader_epoch))
    }

    /// Takes in an answer; topics that it does not mention stay unless it is of all topics.
    pub(super) fn absorb(&mut self, response: MetadataResponse, all: bool) {
        self.cluster_id = response.cluster_id.or_else(|| self.cluster_id.take());
        self.controller = (response.controller_id >= 0).then_some(response.controller_id);
        self.brokers = response
            .brokers
            .into_iter()
            .map(|b| {
                (b.node_id, Broker { id: b.node_id, host: b.host, port: b.port, rack: b.rack })
            })
            .collect();
        if all {
            self.topics.clear();
        }
        for topic in response.topics {
            if let Some(topic) = topic_of(topic) {
                self.topics.insert(topic.name.clone(), topic);
            }
        }
    }
}

fn topic_of(topic: MetadataResponseTopic) -> Option<Topic> {
    let mut partitions: Vec<_> = topic.partitions.into_iter().map(partition_of).collect();
    partitions.sort_by_key(|partition| partition.index);
    Some(Topic {
        name: topic.name?,
        id: topic.topic_id,
        internal: topic.is_internal,
        partitions,
        error: ErrorCode::from_code(topic.error_code),
    })
}

fn partition_of(partition: MetadataResponsePartition) -> Partition {
    Partition {
        index: partition.partition_index,
        leader: (partition.leader_id >= 0).then_some(partition.leader_id),
        leader_epoch: partition.leader_epoch,
        replicas: partition.replica_nodes,
        isr: partition.isr_nodes,
        offline: partition.offline_replicas,
    }
}
