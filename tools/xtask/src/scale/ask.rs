//! Creating many topics and looking at all partitions, in Kafka's protocol by hand.

use std::time::Duration;

use anyhow::{Result, ensure};
use naru_testkit::wire::{Body, Connection, Fields};

const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;

/// A partition as Metadata shows it.
#[derive(Debug)]
pub struct Partition {
    /// -1 without a leader.
    pub leader: i32,
    pub isr: Vec<i32>,
    replicas: Vec<i32>,
}

impl Partition {
    /// Whether it is led and all its replicas are in sync.
    pub fn is_whole(&self) -> bool {
        self.leader >= 0 && self.isr.len() == self.replicas.len()
    }
}

/// Every partition of every topic.
pub fn partitions(port: u16, patience: Duration) -> Result<Vec<Partition>> {
    const VERSION: i16 = 7;
    const ALL: i32 = -1;
    let mut connection = Connection::open(port, patience)?;
    let answer = connection.ask(METADATA, VERSION, &Body::new().int32(ALL).int8(0))?;
    let mut fields = Fields::of(&answer);
    let _throttle = fields.int32()?;
    for _ in 0..fields.count()? {
        let (_id, _host) = (fields.int32()?, fields.string()?);
        let (_port, _rack) = (fields.int32()?, fields.string()?);
    }
    let (_cluster_id, _controller) = (fields.string()?, fields.int32()?);
    let mut all = Vec::new();
    for _ in 0..fields.count()? {
        let (_error, _name, _internal) = (fields.int16()?, fields.string()?, fields.int8()?);
        for _ in 0..fields.count()? {
            let (_error, _index) = (fields.int16()?, fields.int32()?);
            let (leader, _epoch) = (fields.int32()?, fields.int32()?);
            let (replicas, isr) = (fields.int32s()?, fields.int32s()?);
            let _offline = fields.int32s()?;
            all.push(Partition { leader, isr, replicas });
        }
    }
    Ok(all)
}

/// Creates topics that are all alike.
pub fn create_topics(
    port: u16,
    names: &[String],
    partitions: i32,
    copies: i16,
    patience: Duration,
) -> Result<()> {
    const VERSION: i16 = 4;
    let mut body = Body::new().int32(i32::try_from(names.len())?);
    for name in names {
        body = body.string(name).int32(partitions).int16(copies).int32(0).int32(0);
    }
    let timeout = i32::try_from(patience.as_millis())?;
    let mut connection = Connection::open(port, patience)?;
    let answer = connection.ask(CREATE_TOPICS, VERSION, &body.int32(timeout).int8(0))?;
    let mut fields = Fields::of(&answer);
    let _throttle = fields.int32()?;
    for _ in 0..fields.count()? {
        let (name, error) = (fields.string()?, fields.int16()?);
        let message = fields.string()?;
        ensure!(error == 0, "{name} was not created: error {error} {message}");
    }
    Ok(())
}
