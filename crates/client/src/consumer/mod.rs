//! The consumer: assigned partitions or a group's share of them, records in order.
//!
//! Everything that matters is in `Consumer` itself: a `next_batch` that is dropped while it waits
//! loses neither records nor positions. Fetches run as tasks and are bounded: one per broker, and
//! none while records of that broker wait to be taken.
//!
//! Invariant: a partition's position is the offset after the last record handed out.

mod assignor;
mod buffer;
mod fetch;
mod membership;
mod offsets;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::fetch_response::PartitionData;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use buffer::{ConsumerRecord, RecordBatch};
pub use naru_records::TimestampType;

use crate::admin::OffsetSpec;
use crate::cluster::{Backoff, Cluster};
use crate::config::{ClientConfig, ConsumerConfig, OffsetReset};
use crate::error::{Error, Result};
pub(crate) use buffer::{Buffer, Next};
use fetch::{Fetched, Wanted};
use membership::{Event, Membership, Subscription};

/// How long to wait for anything at all before looking around again.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// A change of a group member's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebalance {
    /// These are now ours.
    Assigned(Vec<TopicPartition>),
    /// These were ours; with auto-commit their positions have been committed.
    Revoked(Vec<TopicPartition>),
    /// These were ours and others have them already.
    Lost(Vec<TopicPartition>),
}

/// Reads partitions, alone or as a member of a group.
#[derive(Debug)]
pub struct Consumer {
    cluster: Cluster,
    config: ConsumerConfig,
    partitions: BTreeMap<TopicPartition, Reading>,
    fetches: JoinSet<Fetched>,
    /// Brokers with a fetch on the way.
    busy: HashSet<i32>,
    membership: Option<Membership>,
    /// What the group has decided and was not dealt with yet.
    events: VecDeque<Event>,
    /// Why the member cannot go on, if it cannot.
    failed: Option<Error>,
    rebalances: VecDeque<Rebalance>,
    next_auto_commit: Instant,
    /// Topics whose leaders have to be looked up again.
    stale_topics: HashSet<String>,
    backoff: Backoff,
    not_before: Option<Instant>,
}

/// The state of one partition.
#[derive(Debug)]
struct Reading {
    start: Start,
    buffer: Option<Buffer>,
    paused: bool,
    high_watermark: Option<i64>,
    /// What was committed last by this consumer.
    committed: Option<i64>,
    leader_epoch: i32,
    /// A replica to read from instead of the leader (KIP-392).
    preferred: Option<i32>,
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Where the group left off, else where the reset policy says.
    Committed,
    /// Where this leads to.
    Lookup(OffsetSpec),
    /// Here.
    At(i64),
}

impl Reading {
    const fn new(start: Start) -> Self {
        Self {
            start,
            buffer: None,
            paused: false,
            high_watermark: None,
            committed: None,
            leader_epoch: -1,
            preferred: None,
        }
    }

    const fn position(&self) -> Option<i64> {
        match self.start {
            Start::At(offset) => Some(offset),
            Start::Committed | Start::Lookup(_) => None,
        }
    }
}

impl Consumer {
    /// A consumer with connections of its own. Needs a tokio runtime; nothing is connected yet.
    pub fn new(client: ClientConfig, config: ConsumerConfig) -> Self {
        Self::over(Cluster::new(client), config)
    }

    /// A consumer that shares the connections of `cluster`.
    pub fn over(cluster: Cluster, config: ConsumerConfig) -> Self {
        let backoff = cluster.backoff();
        Self {
            cluster,
            partitions: BTreeMap::new(),
            fetches: JoinSet::new(),
            busy: HashSet::new(),
            membership: None,
            events: VecDeque::new(),
            failed: None,
            rebalances: VecDeque::new(),
            next_auto_commit: Instant::now() + config.auto_commit_interval,
            config,
            stale_topics: HashSet::new(),
            backoff,
            not_before: None,
        }
    }

    /// The cluster underneath.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Reads these partitions, and no others, from where the group left off or as
    /// `auto.offset.reset` says. No group is joined.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        self.membership = None;
        self.events.clear();
        self.failed = None;
        self.set_partitions(partitions);
    }

    /// Joins the group `group.id` for these topics.
    pub fn subscribe(&mut self, topics: impl IntoIterator<Item = impl Into<String>>) -> Result<()> {
        let topics = topics.into_iter().map(Into::into).collect();
        self.join_group(Subscription::Topics(topics))
    }

    /// Joins the group `group.id` for every topic, also later ones, whose name `matches`.
    pub fn subscribe_matching(
        &mut self,
        matches: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Result<()> {
        self.join_group(Subscription::Matching(Arc::new(matches)))
    }

    fn join_group(&mut self, subscription: Subscription) -> Result<()> {
        let group = self.config.group_id.clone().filter(|group| !group.is_empty());
        let group = group.ok_or_else(|| Error::Config {
            name: "group.id".to_owned(),
            value: String::new(),
            reason: "subscribing needs a group".to_owned(),
        })?;
        self.partitions.clear();
        self.events.clear();
        self.failed = None;
        let membership =
            Membership::start(self.cluster.clone(), self.config.clone(), group, subscription);
        self.membership = Some(membership);
        Ok(())
    }

    /// Goes on at this offset.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()> {
        self.restart(partition, Start::At(offset))
    }

    /// Goes on at the offset that is found when the next batch is asked for.
    pub fn seek_to(&mut self, partition: &TopicPartition, spec: OffsetSpec) -> Result<()> {
        self.restart(partition, Start::Lookup(spec))
    }

    fn restart(&mut self, partition: &TopicPartition, start: Start) -> Result<()> {
        let reading = self.partitions.get_mut(partition).ok_or_else(|| not_assigned(partition))?;
        reading.start = start;
        reading.buffer = None;
        Ok(())
    }

    /// Hands out nothing of these partitions until they are resumed.
    pub fn pause(&mut self, partition: &TopicPartition, paused: bool) -> Result<()> {
        let reading = self.partitions.get_mut(partition).ok_or_else(|| not_assigned(partition))?;
        reading.paused = paused;
        Ok(())
    }

    /// The partitions that are being read.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.keys()
    }

    /// The offset after the last record handed out; none if not known yet.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.partitions.get(partition).and_then(Reading::position)
    }

    /// Where the partition ended at the last fetch.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<i64> {
        self.partitions.get(partition).and_then(|reading| reading.high_watermark)
    }

    /// Changes of the group's assignment since the last call, oldest first.
    pub fn take_rebalances(&mut self) -> Vec<Rebalance> {
        self.rebalances.drain(..).collect()
    }

    /// The next records of some partition, in order per partition; waits for them. Dropping the
    /// future loses nothing.
    pub async fn next_batch(&mut self) -> Result<RecordBatch> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        loop {
            if let Some(membership) = &self.membership {
                membership.note_poll();
            }
            self.follow_group().await?;
            self.auto_commit().await;
            self.refresh_stale().await;
            self.find_positions().await?;
            let batch = self.take_buffered()?;
            // The next fetch is on its way while the user deals with this batch.
            self.start_fetches();
            if let Some(batch) = batch {
                return Ok(batch);
            }
            self.wait().await?;
        }
    }

    /// Waits for an answer, a change in the group, or a while.
    async fn wait(&mut self) -> Result<()> {
        let now = Instant::now();
        let mut until = now + LOOK_AROUND;
        if !self.stale_topics.is_empty() {
            until = until.min(self.not_before.unwrap_or(now));
        }
        if self.config.auto_commit && self.config.group_id.is_some() {
            until = until.min(self.next_auto_commit.max(now));
        }
        let event = async {
            match &mut self.membership {
                Some(membership) => membership.events.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(fetched) = self.fetches.join_next() => {
                if let Ok(fetched) = fetched {
                    self.absorb(fetched)?;
                }
            }
            Some(event) = event => self.events.push_back(event),
            () = tokio::time::sleep_until(until) => {}
        }
        Ok(())
    }

    /// Deals with what the group has decided meanwhile. An event stays in the queue until it has
    /// been dealt with wholly, so that a dropped future repeats it.
    async fn follow_group(&mut self) -> Result<()> {
        while let Some(event) = self.membership.as_mut().and_then(|m| m.events.try_recv().ok()) {
            self.events.push_back(event);
        }
        while let Some(event) = self.events.front() {
            let commits = matches!(event, Event::Revoke { lost: false, .. });
            if commits && self.config.auto_commit {
                // What cannot be committed now is read again by the next owner.
                if let Err(error) = self.commit().await {
                    tracing::warn!(%error, "commit before a rebalance failed");
                }
            }
            if let Some(event) = self.events.pop_front() {
                self.apply(event)?;
            }
        }
        while let Some(fetched) = self.fetches.try_join_next() {
            if let Ok(fetched) = fetched {
                self.absorb(fetched)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Revoke { lost, done } => {
                let gone: Vec<_> = std::mem::take(&mut self.partitions).into_keys().collect();
                self.rebalances.push_back(if lost {
                    Rebalance::Lost(gone)
                } else {
                    Rebalance::Revoked(gone)
                });
                // A task that has ended does not wait for this.
                let _ = done.send(());
            }
            Event::Assigned(partitions) => {
                self.set_partitions(partitions.iter().cloned());
                self.rebalances.push_back(Rebalance::Assigned(partitions));
            }
            Event::Failed(error) => {
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }

    fn set_partitions(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let start = match self.config.group_id {
            Some(_) => Start::Committed,
            None => {
                Start::Lookup(reset_spec(self.config.offset_reset).unwrap_or(OffsetSpec::Latest))
            }
        };
        self.partitions = partitions.into_iter().map(|p| (p, Reading::new(start))).collect();
    }

    async fn refresh_stale(&mut self) {
        if self.stale_topics.is_empty() || self.not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let topics: Vec<String> = self.stale_topics.iter().cloned().collect();
        let auto_create = self.cluster.config().auto_create_topics;
        self.not_before = Some(Instant::now() + self.backoff.step());
        if self.cluster.refresh_topics(&topics, auto_create).await.is_ok() {
            self.stale_topics.clear();
        }
    }

    /// Starts a fetch at each broker that has none on the way and whose records are all taken.
    fn start_fetches(&mut self) {
        let metadata = self.cluster.metadata();
        let mut by_broker: HashMap<i32, Vec<Wanted>> = HashMap::new();
        let mut full: HashSet<i32> = HashSet::new();
        for (partition, reading) in &self.partitions {
            let leader = metadata.leader(&partition.topic, partition.partition);
            let Some((leader, leader_epoch)) = leader else {
                self.stale_topics.insert(partition.topic.clone());
                continue;
            };
            let broker = reading.preferred.unwrap_or(leader);
            if reading.buffer.is_some() && !reading.paused {
                full.insert(broker);
            }
            let (Some(offset), false, None) = (reading.position(), reading.paused, &reading.buffer)
            else {
                continue;
            };
            let wanted = Wanted { partition: partition.clone(), offset, leader_epoch };
            by_broker.entry(broker).or_default().push(wanted);
        }
        for (broker, wanted) in by_broker {
            if full.contains(&broker) || !self.busy.insert(broker) {
                continue;
            }
            let (cluster, config) = (self.cluster.clone(), self.config.clone());
            self.fetches.spawn(fetch::fetch(cluster, config, broker, wanted));
        }
    }

    /// Takes in the answer of one broker.
    fn absorb(&mut self, fetched: Fetched) -> Result<()> {
        self.busy.remove(&fetched.broker);
        let asked: HashMap<TopicPartition, i64> =
            fetched.wanted.into_iter().map(|w| (w.partition, w.offset)).collect();
        match fetched.outcome {
            Ok(answers) => {
                for (partition, data) in answers {
                    if let Some(offset) = asked.get(&partition) {
                        self.absorb_partition(&partition, *offset, data)?;
                    }
                }
            }
            Err(error) if error.is_retriable() => {
                for partition in asked.into_keys() {
                    self.mark_stale(&partition);
                }
                self.not_before = Some(Instant::now() + self.backoff.step());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn absorb_partition(
        &mut self,
        partition: &TopicPartition,
        asked: i64,
        data: PartitionData,
    ) -> Result<()> {
        let Some(reading) = self.partitions.get_mut(partition) else { return Ok(()) };
        // An answer for a position that has been left is of no use.
        if reading.position() != Some(asked) || reading.buffer.is_some() {
            return Ok(());
        }
        let code = ErrorCode::from_code(data.error_code);
        match code {
            ErrorCode::None => {}
            ErrorCode::OffsetOutOfRange => {
                if reading.preferred.take().is_some() {
                    return Ok(());
                }
                let spec = reset_spec(self.config.offset_reset).ok_or_else(|| Error::NoOffset {
                    topic: partition.topic.clone(),
                    partition: partition.partition,
                })?;
                reading.start = Start::Lookup(spec);
                return Ok(());
            }
            code => {
                let error = Error::code_only(code);
                if !error.is_retriable() {
                    return Err(error);
                }
                reading.preferred = None;
                self.mark_stale(partition);
                self.not_before = Some(Instant::now() + self.backoff.step());
                return Ok(());
            }
        }
        self.backoff = self.cluster.backoff();
        reading.high_watermark = Some(data.high_watermark);
        if data.preferred_read_replica >= 0 {
            reading.preferred = Some(data.preferred_read_replica);
        }
        let bytes = data.records.inline();
        if !bytes.is_empty() {
            reading.buffer = Some(Buffer::new(
                partition.clone(),
                bytes,
                data.aborted_transactions.unwrap_or_default(),
                self.config.check_crcs,
                self.config.inflated_max,
            ));
        }
        Ok(())
    }

    fn mark_stale(&mut self, partition: &TopicPartition) {
        self.cluster.forget_leader(&partition.topic, partition.partition);
        self.stale_topics.insert(partition.topic.clone());
    }

    /// The next records that have been fetched; partitions take turns.
    fn take_buffered(&mut self) -> Result<Option<RecordBatch>> {
        for reading in self.partitions.values_mut() {
            if reading.paused {
                continue;
            }
            while let (Some(buffer), Start::At(position)) = (&mut reading.buffer, reading.start) {
                match buffer.next(position) {
                    Ok(Next::Records(batch, next)) => {
                        reading.start = Start::At(next);
                        reading.leader_epoch = batch.leader_epoch;
                        if buffer.is_empty() {
                            reading.buffer = None;
                        }
                        return Ok(Some(batch));
                    }
                    Ok(Next::Skip(next)) => reading.start = Start::At(next),
                    Ok(Next::Empty) => reading.buffer = None,
                    Err(error) => {
                        reading.buffer = None;
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Commits, leaves the group and closes the connections.
    pub async fn close(mut self) -> Result<()> {
        let committed = if self.config.auto_commit && self.config.group_id.is_some() {
            self.commit().await
        } else {
            Ok(())
        };
        if let Some(membership) = self.membership.take() {
            membership.leave().await;
        }
        committed
    }
}

const fn reset_spec(reset: OffsetReset) -> Option<OffsetSpec> {
    match reset {
        OffsetReset::Earliest => Some(OffsetSpec::Earliest),
        OffsetReset::Latest => Some(OffsetSpec::Latest),
        OffsetReset::None => None,
    }
}

fn not_assigned(partition: &TopicPartition) -> Error {
    Error::Argument(format!("{partition} is not assigned to this consumer"))
}
