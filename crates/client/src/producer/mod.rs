//! The producer: records in, deliveries out.
//!
//! `enqueue` chooses the partition, waits for room in the buffer and appends to a batch; a
//! background task sends batches by linger and size, in order, and resolves the deliveries.
//!
//! Invariants: memory of unsent and unanswered records is at most `buffer.memory`; batches of one
//! partition get their sequence numbers, and are written, in the order of their records.

mod accumulator;
mod delivery;
mod sender;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use naru_model::{ErrorCode, TopicPartition};
use naru_records::BatchBuilder;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use delivery::{Delivered, Delivery};

use crate::cluster::{Cluster, Metadata};
use crate::config::{ClientConfig, ClientEvent, ProducerConfig};
use crate::error::{Error, Result};
use crate::partitioner::partition_of_key;
use accumulator::Accumulator;

/// A record to be sent. All parts are owned; cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducerRecord {
    /// Topic name.
    pub topic: String,
    /// Partition; chosen by the key, or at will without one.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; now if none.
    pub timestamp: Option<i64>,
    /// Null or bytes.
    pub key: Option<Bytes>,
    /// Null (a tombstone) or bytes.
    pub value: Option<Bytes>,
    /// Keys and values, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl ProducerRecord {
    /// A record for a topic, with nothing in it yet.
    pub fn to(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// With this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With this value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((key.into(), Some(value.into())));
        self
    }

    /// For this partition.
    #[must_use]
    pub const fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With this timestamp.
    #[must_use]
    pub const fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

    /// An upper bound of its bytes in a batch.
    fn size_bound(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(key, value)| 10 + key.len() + value.as_ref().map_or(0, Bytes::len));
        BatchBuilder::size_bound(self.key.as_deref(), self.value.as_deref())
            + headers.sum::<usize>()
    }
}

/// Sends records to any topics of a cluster. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    task: Arc<Task>,
}

/// What the callers and the sender task share.
#[derive(Debug)]
struct Shared {
    cluster: Cluster,
    config: ProducerConfig,
    accumulator: Accumulator,
    /// Free bytes of `buffer.memory`; `enqueue` waits here.
    memory: Arc<Semaphore>,
    /// Wakes the sender.
    wake: Notify,
    /// Wakes those who wait for the buffer to be empty.
    drained: Notify,
    chance: AtomicU64,
}

/// Ends the sender when the last clone of the producer is gone.
#[derive(Debug)]
struct Task(std::sync::Mutex<Option<JoinHandle<()>>>);

impl Drop for Task {
    fn drop(&mut self) {
        let task = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

/// While it lives, batches are sent without waiting for their linger.
struct Flushing<'a>(&'a Shared);

impl<'a> Flushing<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.accumulator.begin_flush();
        shared.wake.notify_one();
        Self(shared)
    }
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.accumulator.end_flush();
    }
}

impl Producer {
    /// A producer with connections of its own. Needs a tokio runtime; nothing is connected yet.
    pub fn new(client: ClientConfig, config: ProducerConfig) -> Result<Self> {
        Self::over(Cluster::new(client), config)
    }

    /// A producer that shares the connections of `cluster`.
    pub fn over(cluster: Cluster, config: ProducerConfig) -> Result<Self> {
        check(&config)?;
        let memory = config.buffer_memory.clamp(1, Semaphore::MAX_PERMITS);
        let shared = Arc::new(Shared {
            cluster,
            accumulator: Accumulator::default(),
            memory: Arc::new(Semaphore::new(memory)),
            config,
            wake: Notify::new(),
            drained: Notify::new(),
            chance: AtomicU64::new(seed()),
        });
        let task = tokio::spawn(sender::run(Arc::clone(&shared)));
        Ok(Self { shared, task: Arc::new(Task(std::sync::Mutex::new(Some(task)))) })
    }

    /// The cluster underneath.
    pub fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }

    /// Appends a record and waits until it is acknowledged.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivered> {
        self.enqueue(record).await?.await
    }

    /// Appends a record; waits up to `max.block.ms` for metadata and room in the buffer. The
    /// delivery resolves when the broker has answered; it may be dropped.
    pub async fn enqueue(&self, record: ProducerRecord) -> Result<Delivery> {
        let start = Instant::now();
        let max_block = self.shared.config.max_block;
        let size = self.check_size(&record)?;
        let partition = self.partition_for(&record, size, start).await?;
        let permits = u32::try_from(size).unwrap_or(u32::MAX);
        let left = max_block.saturating_sub(start.elapsed());
        let acquire = Arc::clone(&self.shared.memory).acquire_many_owned(permits);
        let permit = match tokio::time::timeout(left, acquire).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(Error::Closed),
            Err(_) => return Err(Error::BufferFull),
        };
        self.append(&record, partition, size, permit)
    }

    /// Like [`Producer::enqueue`], but fails with [`Error::BufferFull`] where that would wait for
    /// room. Metadata of the topic must be known; `enqueue` once, or [`Producer::prepare`].
    pub fn try_enqueue(&self, record: &ProducerRecord) -> Result<Delivery> {
        let size = self.check_size(record)?;
        let metadata = self.shared.cluster.metadata();
        let partition = self
            .choose(&metadata, record, size)?
            .ok_or_else(|| Error::code_only(ErrorCode::UnknownTopicOrPartition))?;
        let permits = u32::try_from(size).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.shared.memory)
            .try_acquire_many_owned(permits)
            .map_err(|_| Error::BufferFull)?;
        self.append(record, partition, size, permit)
    }

    /// Fetches the metadata of a topic; how many partitions it has.
    pub async fn prepare(&self, topic: &str) -> Result<usize> {
        let metadata = self.await_topic(topic, Instant::now()).await?;
        Ok(metadata.topic(topic).map_or(0, |topic| topic.partitions.len()))
    }

    /// Waits until every record that was appended before is acknowledged or has failed.
    pub async fn flush(&self) -> Result<()> {
        let _flushing = Flushing::begin(&self.shared);
        loop {
            let mut drained = std::pin::pin!(self.shared.drained.notified());
            // Registers before looking, so that a change between both is not missed.
            drained.as_mut().enable();
            if self.shared.accumulator.is_idle() {
                return Ok(());
            }
            drained.await;
        }
    }

    /// Flushes and stops; other clones get [`Error::Closed`] from then on.
    pub async fn close(self) -> Result<()> {
        self.flush().await?;
        self.shared.accumulator.close();
        self.shared.memory.close();
        self.shared.wake.notify_one();
        let task = {
            let mut slot = self.task.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            slot.take()
        };
        if let Some(task) = task {
            // It ends by itself once closed and idle; a join error could only be its abortion.
            let _ = task.await;
        }
        Ok(())
    }

    fn check_size(&self, record: &ProducerRecord) -> Result<usize> {
        let size = record.size_bound();
        let limit = self.shared.config.max_request_size;
        let whole = size + naru_records::HEADER_LEN;
        if whole > limit || size > self.shared.config.buffer_memory {
            return Err(Error::RecordTooLarge { size: whole, limit });
        }
        Ok(size)
    }

    async fn partition_for(
        &self,
        record: &ProducerRecord,
        size: usize,
        start: Instant,
    ) -> Result<TopicPartition> {
        let known = self.shared.cluster.metadata();
        if let Some(partition) = self.choose(&known, record, size)? {
            return Ok(partition);
        }
        let metadata = self.await_topic(&record.topic, start).await?;
        match self.choose(&metadata, record, size)? {
            Some(partition) => Ok(partition),
            None => Err(Error::Argument(format!(
                "topic {} has no partition {}",
                record.topic,
                record.partition.unwrap_or(-1)
            ))),
        }
    }

    /// The partition of a record, if enough is known; sticky choices advance here.
    fn choose(
        &self,
        metadata: &Metadata,
        record: &ProducerRecord,
        size: usize,
    ) -> Result<Option<TopicPartition>> {
        let Some(topic) = metadata.topic(&record.topic) else { return Ok(None) };
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if let Some(partition) = record.partition {
            if partition < 0 {
                return Err(Error::Argument(format!("{partition} is not a partition")));
            }
            let known = partition < count;
            return Ok(known.then(|| TopicPartition::new(record.topic.clone(), partition)));
        }
        if let Some(key) = &record.key {
            let partition = partition_of_key(key, count);
            return Ok((count > 0).then(|| TopicPartition::new(record.topic.clone(), partition)));
        }
        let led: Vec<i32> =
            topic.partitions.iter().filter(|p| p.leader.is_some()).map(|p| p.index).collect();
        let batch_size = self.shared.config.batch_size;
        let chosen =
            self.shared.accumulator.choose_sticky(&record.topic, &led, size, batch_size, || {
                next_chance(&self.shared.chance)
            });
        Ok(chosen.map(|partition| TopicPartition::new(record.topic.clone(), partition)))
    }

    /// Asks for a topic until it exists, or `max.block.ms` after `start` is over.
    async fn await_topic(&self, topic: &str, start: Instant) -> Result<Arc<Metadata>> {
        let max_block = self.shared.config.max_block;
        let cluster = &self.shared.cluster;
        let mut backoff = cluster.backoff();
        loop {
            let error = match cluster.refresh_topics(&[topic.to_owned()], true).await {
                Ok(metadata) => match metadata.topics.get(topic) {
                    Some(known) if known.error.is_ok() && !known.partitions.is_empty() => {
                        return Ok(metadata);
                    }
                    Some(known) => Error::code_only(known.error),
                    None => Error::code_only(ErrorCode::UnknownTopicOrPartition),
                },
                Err(error) => error,
            };
            let wait = backoff.step();
            let unreachable = matches!(error, Error::Unreachable { .. });
            let limit =
                if unreachable { max_block.min(cluster.config().reach_timeout) } else { max_block };
            if !error.is_retriable() || start.elapsed() + wait > limit {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn append(
        &self,
        record: &ProducerRecord,
        partition: TopicPartition,
        size: usize,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<Delivery> {
        let timestamp = record.timestamp.unwrap_or_else(now_millis);
        let appended = self.shared.accumulator.append(
            &self.shared.config,
            record,
            partition,
            timestamp,
            size,
            permit,
        )?;
        if appended.wake_sender {
            self.shared.wake.notify_one();
        }
        Ok(appended.delivery)
    }
}

impl Shared {
    fn tell(&self, event: &ClientEvent) {
        self.cluster.config().tell(event);
    }
}

fn check(config: &ProducerConfig) -> Result<()> {
    let refuse = |name: &str, value: String, reason: &str| {
        Err(Error::Config { name: name.to_owned(), value, reason: reason.to_owned() })
    };
    if config.idempotence == Some(true) {
        if config.acks != crate::config::Acks::All {
            return refuse("acks", format!("{:?}", config.acks), "enable.idempotence needs all");
        }
        if config.max_in_flight > 5 {
            let name = "max.in.flight.requests.per.connection";
            let reason = "enable.idempotence allows at most 5";
            return refuse(name, config.max_in_flight.to_string(), reason);
        }
    }
    Ok(())
}

fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A number that differs from process to process.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// The next of a sequence of well-mixed numbers (SplitMix64).
fn next_chance(state: &AtomicU64) -> u64 {
    let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
