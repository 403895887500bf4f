//! What one node of a cluster says about the cluster, asked in Kafka's protocol by hand.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::wire::{Body, Connection, Fields};

const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;
const DESCRIBE_QUORUM: i16 = 55;
const PATIENCE: Duration = Duration::from_secs(3);
/// The node does not wait for the topic's leaders; the caller looks for them.
const CREATE_TIMEOUT_MS: i32 = 2_000;

/// One partition as a node's metadata shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionView {
    pub index: i32,
    pub error: i16,
    /// -1 without a leader.
    pub leader: i32,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
}

/// What a node's metadata shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// Brokers that are registered and not fenced.
    pub brokers: Vec<i32>,
    /// Partitions of the topic that was asked for.
    pub partitions: Vec<PartitionView>,
}

impl ClusterView {
    /// Whether every partition has a leader and all its replicas in sync.
    pub fn is_whole(&self) -> bool {
        !self.partitions.is_empty()
            && self.partitions.iter().all(|partition| {
                partition.leader >= 0 && partition.isr.len() == partition.replicas.len()
            })
    }
}

/// Brokers, and the partitions of `topic` if one is named.
pub fn view(port: u16, topic: Option<&str>) -> Result<ClusterView> {
    let mut body = Body::new().int32(i32::from(topic.is_some()));
    if let Some(topic) = topic {
        body = body.string(topic);
    }
    ask(port, body)
}

/// The partitions of all topics.
pub fn every_partition(port: u16) -> Result<Vec<PartitionView>> {
    const ALL: i32 = -1;
    Ok(ask(port, Body::new().int32(ALL))?.partitions)
}

fn ask(port: u16, body: Body) -> Result<ClusterView> {
    const VERSION: i16 = 7;
    let mut connection = Connection::open(port, PATIENCE)?;
    let answer = connection.ask(METADATA, VERSION, &body.int8(0))?;
    let mut fields = Fields::of(&answer);
    let _throttle = fields.int32()?;
    let mut found = ClusterView::default();
    for _ in 0..fields.count()? {
        found.brokers.push(fields.int32()?);
        let (_host, _port, _rack) = (fields.string()?, fields.int32()?, fields.string()?);
    }
    found.brokers.sort_unstable();
    let (_cluster_id, _controller) = (fields.string()?, fields.int32()?);
    for _ in 0..fields.count()? {
        let error = fields.int16()?;
        let (name, _internal) = (fields.string()?, fields.int8()?);
        ensure!(error == 0, "metadata of {name}: error {error}");
        for _ in 0..fields.count()? {
            found.partitions.push(partition(&mut fields)?);
        }
    }
    found.partitions.sort_unstable_by_key(|partition| partition.index);
    Ok(found)
}

fn partition(fields: &mut Fields<'_>) -> Result<PartitionView> {
    let (error, index) = (fields.int16()?, fields.int32()?);
    let (leader, leader_epoch) = (fields.int32()?, fields.int32()?);
    let (replicas, isr, _offline) = (fields.int32s()?, fields.int32s()?, fields.int32s()?);
    Ok(PartitionView { index, error, leader, leader_epoch, replicas, isr })
}

/// The metadata quorum as one node answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumView {
    pub leader: i32,
    pub epoch: i32,
    pub high_watermark: i64,
    /// Ids, in order.
    pub voters: Vec<i32>,
    pub observers: Vec<i32>,
}

/// The metadata quorum; only an answer with a leader counts.
pub fn quorum(port: u16) -> Result<QuorumView> {
    let partition = Body::new().int32(0).uvarint(0);
    let topic = Body::new().compact_string("__cluster_metadata").uvarint(2).raw(partition.bytes());
    let body = Body::new().uvarint(2).raw(topic.bytes()).uvarint(0).uvarint(0);
    let mut connection = Connection::open(port, PATIENCE)?;
    let answer = connection.ask_flexible(DESCRIBE_QUORUM, 0, &body)?;
    let mut fields = Fields::of(&answer);
    let error = fields.int16()?;
    ensure!(error == 0, "DescribeQuorum answered error {error}");
    ensure!(fields.uvarint()? == 2, "not one topic in DescribeQuorum's answer");
    let _topic = fields.compact_string()?;
    ensure!(fields.uvarint()? == 2, "not one partition in DescribeQuorum's answer");
    let _partition = fields.int32()?;
    let error = fields.int16()?;
    ensure!(error == 0, "DescribeQuorum answered error {error} for the partition");
    let (leader, epoch, high_watermark) = (fields.int32()?, fields.int32()?, fields.int64()?);
    ensure!(leader >= 0, "the quorum has no leader");
    let (voters, observers) = (quorum_members(&mut fields)?, quorum_members(&mut fields)?);
    Ok(QuorumView { leader, epoch, high_watermark, voters, observers })
}

fn quorum_members(fields: &mut Fields<'_>) -> Result<Vec<i32>> {
    let mut ids = Vec::new();
    for _ in 1..fields.uvarint()?.max(1) {
        ids.push(fields.int32()?);
        let _log_end = fields.int64()?;
        ensure!(fields.uvarint()? == 0, "tagged fields in a voter");
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Asks for these replicas of a topic's partitions 0, 1, ...; the error code if it was refused.
pub fn reassign(port: u16, topic: &str, replicas: &[Vec<i32>]) -> Result<i16> {
    const ALTER_PARTITION_REASSIGNMENTS: i16 = 45;
    let length = |count: usize| u32::try_from(count + 1).context("too many");
    let mut partitions = Body::new().compact_string(topic).uvarint(length(replicas.len())?);
    for (index, brokers) in replicas.iter().enumerate() {
        partitions = partitions.int32(i32::try_from(index)?).uvarint(length(brokers.len())?);
        for broker in brokers {
            partitions = partitions.int32(*broker);
        }
        partitions = partitions.uvarint(0);
    }
    let body = Body::new().int32(CREATE_TIMEOUT_MS).uvarint(2);
    let body = body.raw(partitions.bytes()).uvarint(0).uvarint(0);
    let mut connection = Connection::open(port, PATIENCE)?;
    let answer = connection.ask_flexible(ALTER_PARTITION_REASSIGNMENTS, 0, &body)?;
    let mut fields = Fields::of(&answer);
    let _throttle = fields.int32()?;
    fields.int16()
}

/// Creates a topic; the error code if it was refused.
pub fn create_topic(port: u16, name: &str, partitions: i32, copies: i16) -> Result<i16> {
    const VERSION: i16 = 4;
    let body = Body::new()
        .int32(1)
        .string(name)
        .int32(partitions)
        .int16(copies)
        .int32(0)
        .int32(0)
        .int32(CREATE_TIMEOUT_MS)
        .int8(0);
    let mut connection = Connection::open(port, PATIENCE)?;
    let answer = connection.ask(CREATE_TOPICS, VERSION, &body)?;
    let mut fields = Fields::of(&answer);
    let _throttle = fields.int32()?;
    ensure!(fields.count()? == 1, "not one topic in CreateTopics' answer");
    let _name = fields.string().context("the topic's name")?;
    fields.int16()
}

/// The node that coordinates a group.
pub fn coordinator(port: u16, group: &str) -> Result<i32> {
    const FIND_COORDINATOR: i16 = 10;
    const VERSION: i16 = 2;
    const GROUP: i8 = 0;
    let mut connection = Connection::open(port, PATIENCE)?;
    let body = Body::new().string(group).int8(GROUP);
    let answer = connection.ask(FIND_COORDINATOR, VERSION, &body)?;
    let mut fields = Fields::of(&answer);
    let (_throttle, error) = (fields.int32()?, fields.int16()?);
    ensure!(error == 0, "FindCoordinator answered error {error}");
    let _message = fields.string()?;
    fields.int32()
}
