//! The two requests that a benchmark needs itself: make a topic, and is its log there.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use naru_testkit::wire::{Body, Connection, Fields};

const CREATE_TOPICS: i16 = 19;
const LIST_OFFSETS: i16 = 2;
const LATEST: i64 = -1;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Makes a topic with one replica.
pub fn create_topic(port: u16, name: &str, partitions: i32, config: &[(&str, &str)]) -> Result<()> {
    let mut body = Body::new().int32(1).string(name).int32(partitions).int16(1).int32(0);
    body = body.int32(i32::try_from(config.len())?);
    for (key, value) in config {
        body = body.string(key).string(value);
    }
    let answer =
        Connection::open(port, TIMEOUT)?.ask(CREATE_TOPICS, 2, &body.int32(30_000).int8(0))?;
    let mut fields = Fields::of(&answer);
    let (_throttle, _count, _name) = (fields.int32()?, fields.int32()?, fields.string()?);
    let error = fields.int16()?;
    ensure!(error == 0, "making topic {name}: error {error}");
    (0..partitions).try_for_each(|partition| wait_for_log(port, name, partition))
}

/// Waits until the partition answers for its log, which a broker does once it has recovered it.
pub fn wait_for_log(port: u16, topic: &str, partition: i32) -> Result<()> {
    let began = Instant::now();
    loop {
        match end_offset(port, topic, partition) {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > TIMEOUT => bail!("{topic}-{partition}: {error:#}"),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The partition's end offset.
pub fn end_offset(port: u16, topic: &str, partition: i32) -> Result<i64> {
    let body = Body::new().int32(-1).int32(1).string(topic);
    let body = body.int32(1).int32(partition).int64(LATEST);
    let answer = Connection::open(port, TIMEOUT)?.ask(LIST_OFFSETS, 1, &body)?;
    let mut fields = Fields::of(&answer);
    let (_topics, _name, _partitions, _index) =
        (fields.int32()?, fields.string()?, fields.int32()?, fields.int32()?);
    let error = fields.int16()?;
    ensure!(error == 0, "error {error}");
    let _timestamp = fields.int64()?;
    fields.int64()
}
