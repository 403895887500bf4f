//! The share consumer (KIP-932): records that a group shares, each acknowledged by itself.
//!
//! Requests run as tasks; everything that matters is in `ShareConsumer`, so that a `next_batch` that
//! is dropped while it waits loses nothing. One fetch for each leader at a time, and none while
//! records wait to be taken. Heartbeats go out while records are asked for.
//!
//! What is acknowledged goes out with the next fetch from the same leader, or with the end.

mod session;
mod take;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use naru_model::{ErrorCode, TopicPartition, Uuid};
use naru_protocol::messages::share_acknowledge_request::ShareAcknowledgeRequest;
use naru_protocol::messages::share_fetch_request::ShareFetchRequest;
use naru_protocol::messages::share_fetch_response::ShareFetchResponse;
use naru_protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use naru_protocol::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster::{Backoff, Cluster, Lane};
use crate::config::{ClientConfig, ConsumerConfig};
use crate::consumer::{ConsumerRecord, TimestampType};
use crate::error::{Error, Result};
use session::{GAP, Key, Session};

/// Records that one fetch may bring.
const RECORDS_MAX: i32 = 500;
/// How often to look around where nothing is on the way.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// How long requests that are on the way are waited for at the end.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Epochs of a member that joins, and of one that leaves.
const JOIN: i32 = 0;
const LEAVE: i32 = -1;

/// What is to become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// It has been dealt with.
    Accept,
    /// Somebody else may have it.
    Release,
    /// Nobody is to have it again.
    Reject,
}

impl Acknowledge {
    const fn number(self) -> i8 {
        match self {
            Self::Accept => 1,
            Self::Release => 2,
            Self::Reject => 3,
        }
    }
}

/// Where records were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    broker: i32,
    /// Which of the sessions there, counted from 0.
    session: u64,
    key: Key,
}

/// Records of one partition that this consumer holds until it acknowledges them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedBatch {
    /// Where they are from.
    pub partition: TopicPartition,
    /// Whose clock their timestamps are from.
    pub timestamp_type: TimestampType,
    /// The records, by rising offset, each with how often it has been delivered; never none.
    pub records: Vec<(ConsumerRecord, i16)>,
    from: Source,
}

/// A member of a share group.
#[derive(Debug)]
pub struct ShareConsumer {
    cluster: Cluster,
    config: ConsumerConfig,
    group: String,
    topics: Vec<String>,
    member_id: String,
    member_epoch: i32,
    next_heartbeat: Instant,
    assigned: BTreeSet<Key>,
    /// By leader, with their numbers.
    sessions: BTreeMap<i32, (u64, Session)>,
    sessions_begun: u64,
    tasks: JoinSet<Done>,
    heartbeat_on_the_way: bool,
    /// Leaders with a fetch on the way.
    busy: HashSet<i32>,
    ready: VecDeque<SharedBatch>,
    backoff: Backoff,
    /// No fetch before: something went wrong.
    not_before: Instant,
    /// Whether leaders are to be looked up.
    stale: bool,
}

/// A request that has ended.
#[derive(Debug)]
enum Done {
    Heartbeat(Result<ShareGroupHeartbeatResponse>),
    Fetch(i32, Result<ShareFetchResponse>),
}

impl ShareConsumer {
    /// A member of the group `group.id` for these topics. Needs a tokio runtime; nothing is
    /// connected yet.
    pub fn new(
        client: ClientConfig,
        config: ConsumerConfig,
        topics: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let group = config.group_id.clone().filter(|group| !group.is_empty());
        let group = group.ok_or_else(|| Error::Config {
            name: "group.id".to_owned(),
            value: String::new(),
            reason: "sharing needs a group".to_owned(),
        })?;
        let cluster = Cluster::new(client);
        let now = Instant::now();
        Ok(Self {
            backoff: cluster.backoff(),
            cluster,
            config,
            group,
            topics: topics.into_iter().map(Into::into).collect(),
            member_id: Uuid::from_random(random_bits()).to_string(),
            member_epoch: JOIN,
            next_heartbeat: now,
            assigned: BTreeSet::new(),
            sessions: BTreeMap::new(),
            sessions_begun: 0,
            tasks: JoinSet::new(),
            heartbeat_on_the_way: false,
            busy: HashSet::new(),
            ready: VecDeque::new(),
            not_before: now,
            stale: false,
        })
    }

    /// The next records; waits for them. All of a batch should be acknowledged before the next one
    /// is asked for. Dropping the future loses nothing.
    pub async fn next_batch(&mut self) -> Result<SharedBatch> {
        loop {
            self.start_heartbeat();
            if let Some(batch) = self.ready.pop_front() {
                return Ok(batch);
            }
            self.start_fetches();
            let now = Instant::now();
            let mut until = now + LOOK_AROUND;
            if !self.heartbeat_on_the_way {
                until = until.min(self.next_heartbeat);
            }
            if self.not_before > now {
                until = until.min(self.not_before);
            }
            tokio::select! {
                Some(done) = self.tasks.join_next() => {
                    if let Ok(done) = done {
                        self.absorb(done)?;
                    }
                }
                () = sleep_until(until) => {}
            }
        }
    }

    /// Says what has become of a record.
    pub fn acknowledge(&mut self, batch: &SharedBatch, offset: i64, how: Acknowledge) {
        let Source { broker, session: number, key } = batch.from;
        match self.sessions.get_mut(&broker) {
            Some((known, session)) if *known == number => {
                session.acknowledge(key, (offset, offset), how.number());
            }
            // A session that is gone has given its records back.
            _ => {}
        }
    }

    /// Sends what has been acknowledged, gives back the rest, and leaves the group.
    pub async fn close(mut self) -> Result<()> {
        // What a fetch that is on the way brings goes back with the end of its session.
        let ended = timeout(LAST_WAIT, async {
            while let Some(done) = self.tasks.join_next().await {
                if let Ok(done) = done {
                    let _ = self.absorb(done);
                }
            }
        });
        let _ = ended.await;
        let mut outcome = Ok(());
        for (broker, (_, mut session)) in std::mem::take(&mut self.sessions) {
            let Some((share_session_epoch, topics)) = session.close() else { continue };
            let request = ShareAcknowledgeRequest {
                group_id: Some(self.group.clone()),
                member_id: Some(self.member_id.clone()),
                share_session_epoch,
                topics,
                ..ShareAcknowledgeRequest::default()
            };
            let sent = async {
                let connection = self.cluster.broker(broker, Lane::Main).await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check_with(response.error_code, response.error_message)?;
                let mut partitions =
                    response.responses.into_iter().flat_map(|topic| topic.partitions);
                partitions.try_for_each(|one| Error::check_with(one.error_code, one.error_message))
            };
            let sent: Result<()> = sent.await;
            outcome = outcome.and(sent);
        }
        if self.member_epoch != JOIN {
            self.member_epoch = LEAVE;
            let request = self.heartbeat_request();
            // A member that cannot say goodbye is missed after a while.
            let last = heartbeat(self.cluster.clone(), request, Vec::new(), false);
            let _ = timeout(LAST_WAIT, last).await;
        }
        outcome
    }

    fn heartbeat_request(&self) -> ShareGroupHeartbeatRequest {
        ShareGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.member_id.clone(),
            member_epoch: self.member_epoch,
            rack_id: None,
            subscribed_topic_names: (self.member_epoch == JOIN).then(|| self.topics.clone()),
        }
    }

    fn start_heartbeat(&mut self) {
        if self.heartbeat_on_the_way || Instant::now() < self.next_heartbeat {
            return;
        }
        self.heartbeat_on_the_way = true;
        let (cluster, request) = (self.cluster.clone(), self.heartbeat_request());
        let (topics, stale) = (self.topics.clone(), std::mem::take(&mut self.stale));
        self.tasks.spawn(async move {
            Done::Heartbeat(heartbeat(cluster, request, topics, stale).await)
        });
    }

    /// Asks every leader of partitions that are ours, but one that is being asked.
    fn start_fetches(&mut self) {
        if Instant::now() < self.not_before {
            return;
        }
        let wanted = self.partitions_by_leader();
        // A leader that lost everything still gets what was acknowledged.
        self.sessions
            .retain(|broker, (_, session)| wanted.contains_key(broker) || !session.is_idle());
        let left: Vec<i32> =
            self.sessions.keys().filter(|id| !wanted.contains_key(id)).copied().collect();
        let wanted = left.into_iter().map(|id| (id, BTreeSet::new())).chain(wanted);
        for (broker, partitions) in wanted {
            if !self.busy.insert(broker) {
                continue;
            }
            let (_, session) = self.sessions.entry(broker).or_insert_with(|| {
                self.sessions_begun += 1;
                (self.sessions_begun, Session::default())
            });
            let (share_session_epoch, topics, forgotten_topics_data) = session.fetch(&partitions);
            let config = &self.config;
            let max_wait = config.fetch_max_wait;
            let request = ShareFetchRequest {
                group_id: Some(self.group.clone()),
                member_id: Some(self.member_id.clone()),
                share_session_epoch,
                max_wait_ms: i32::try_from(max_wait.as_millis()).unwrap_or(i32::MAX),
                min_bytes: config.fetch_min_bytes,
                max_bytes: config.fetch_max_bytes,
                max_records: RECORDS_MAX,
                batch_size: RECORDS_MAX,
                topics,
                forgotten_topics_data,
                ..ShareFetchRequest::default()
            };
            let cluster = self.cluster.clone();
            self.tasks.spawn(async move {
                let answer = async {
                    let connection = cluster.broker(broker, Lane::Fetch).await?;
                    let version = connection.versions().pick::<ShareFetchRequest>(i16::MAX)?;
                    connection.call(&request, version, max_wait).await
                };
                Done::Fetch(broker, answer.await)
            });
        }
    }

    fn partitions_by_leader(&mut self) -> BTreeMap<i32, BTreeSet<Key>> {
        let metadata = self.cluster.metadata();
        let mut by_leader: BTreeMap<i32, BTreeSet<Key>> = BTreeMap::new();
        let mut unknown = false;
        for (id, partition) in &self.assigned {
            let topic = metadata.topics.values().find(|topic| topic.id == *id);
            match topic.and_then(|topic| topic.partition(*partition)?.leader) {
                Some(leader) => {
                    by_leader.entry(leader).or_default().insert((*id, *partition));
                }
                None => unknown = true,
            }
        }
        if unknown && !self.stale && !self.heartbeat_on_the_way {
            self.stale = true;
            self.next_heartbeat = self.next_heartbeat.min(Instant::now() + self.backoff.step());
        }
        by_leader
    }

    fn absorb(&mut self, done: Done) -> Result<()> {
        match done {
            Done::Heartbeat(answer) => self.absorb_heartbeat(answer),
            Done::Fetch(broker, answer) => {
                self.busy.remove(&broker);
                match answer {
                    Ok(answer) => self.absorb_fetch(broker, answer),
                    Err(error) => self.lose_session(broker, error),
                }
            }
        }
    }

    fn absorb_heartbeat(&mut self, answer: Result<ShareGroupHeartbeatResponse>) -> Result<()> {
        self.heartbeat_on_the_way = false;
        let answer = answer.and_then(|answer| {
            match Error::check_with(answer.error_code, answer.error_message) {
                Ok(()) => {
                    Ok((answer.member_epoch, answer.heartbeat_interval_ms, answer.assignment))
                }
                Err(error) => Err(error),
            }
        });
        match answer {
            Ok((epoch, interval_ms, assignment)) => {
                self.member_epoch = epoch;
                let interval = u64::try_from(interval_ms).unwrap_or(0).max(1);
                self.next_heartbeat = Instant::now() + Duration::from_millis(interval);
                self.backoff = self.cluster.backoff();
                if let Some(assignment) = assignment {
                    let topics = assignment.topic_partitions.into_iter();
                    let keys = topics.flat_map(|topic| {
                        let id = topic.topic_id;
                        topic.partitions.into_iter().map(move |partition| (id, partition))
                    });
                    self.assigned = keys.collect();
                }
                Ok(())
            }
            Err(error) => match error.code() {
                ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => {
                    // What was held is the group's again.
                    self.member_epoch = JOIN;
                    self.assigned.clear();
                    self.next_heartbeat = Instant::now();
                    Ok(())
                }
                _ if error.is_retriable() => {
                    self.next_heartbeat = Instant::now() + self.backoff.step();
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    fn absorb_fetch(&mut self, broker: i32, answer: ShareFetchResponse) -> Result<()> {
        if let Err(error) = Error::check_with(answer.error_code, answer.error_message) {
            return self.lose_session(broker, error);
        }
        let metadata = self.cluster.metadata();
        for topic in answer.responses {
            let id = topic.topic_id;
            let name = metadata.topics.values().find(|known| known.id == id);
            let name = name.map(|topic| topic.name.clone()).unwrap_or_default();
            for data in topic.partitions {
                let partition = TopicPartition::new(name.clone(), data.partition_index);
                match Error::check_with(data.error_code, data.error_message.clone()) {
                    Ok(()) => {}
                    Err(error) if error.is_retriable() || error.is_stale_metadata() => {
                        self.cluster.forget_leader(&partition.topic, partition.partition);
                        self.wait_a_while();
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                let key = (id, data.partition_index);
                let Some((number, session)) = self.sessions.get_mut(&broker) else { continue };
                let from = Source { broker, session: *number, key };
                let taken = take::take(&partition, &data, from, &self.config)?;
                for hole in taken.holes {
                    session.acknowledge(key, hole, GAP);
                }
                self.ready.extend(taken.batches);
            }
        }
        Ok(())
    }

    /// A new session begins with the next fetch; what this one held comes back to the group.
    fn lose_session(&mut self, broker: i32, error: Error) -> Result<()> {
        self.sessions.remove(&broker);
        self.ready.retain(|batch| batch.from.broker != broker);
        let metadata = self.cluster.metadata();
        for topic in self.topics.iter().filter_map(|topic| metadata.topic(topic)) {
            for one in topic.partitions.iter().filter(|one| one.leader == Some(broker)) {
                self.cluster.forget_leader(&topic.name, one.index);
            }
        }
        let passes = matches!(
            error.code(),
            ErrorCode::ShareSessionNotFound
                | ErrorCode::InvalidShareSessionEpoch
                | ErrorCode::ShareSessionLimitReached
        );
        if passes || error.is_retriable() || error.is_stale_metadata() {
            self.wait_a_while();
            Ok(())
        } else {
            Err(error)
        }
    }

    /// Before the next fetch; meanwhile a heartbeat looks leaders up.
    fn wait_a_while(&mut self) {
        let soon = Instant::now() + self.backoff.step();
        self.not_before = soon;
        self.stale = true;
        self.next_heartbeat = self.next_heartbeat.min(soon);
    }
}

/// One heartbeat; leaders that are not known are looked up with it.
async fn heartbeat(
    cluster: Cluster,
    request: ShareGroupHeartbeatRequest,
    topics: Vec<String>,
    stale: bool,
) -> Result<ShareGroupHeartbeatResponse> {
    let id = cluster.coordinator(&request.group_id).await?;
    let connection = cluster.broker(id, Lane::Group).await?;
    let answer = cluster.call(&connection, i16::MAX, |_| request).await?;
    let metadata = cluster.metadata();
    let known = |topic: &String| {
        let topic = metadata.topic(topic);
        topic.is_some_and(|topic| topic.partitions.iter().all(|one| one.leader.is_some()))
    };
    if !topics.is_empty() && (stale || !topics.iter().all(known)) {
        cluster.refresh_topics(&topics, false).await?;
    }
    Ok(answer)
}

fn random_bits() -> u128 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let word = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    (u128::from(word()) << 64) | u128::from(word())
}
