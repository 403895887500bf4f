//! A member of a group: joins, divides if it is the leader, sends heartbeats, leaves.
//!
//! A background task owns the protocol and talks to the consumer by events, so that heartbeats go
//! on while the user works. Before it joins again the consumer must have given up its partitions
//! (the eager protocol): the task waits for its word.
//!
//! Invariant: `identity` names a generation only between SyncGroup and the next revocation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::consumer_protocol_assignment::{self, ConsumerProtocolAssignment};
use naru_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use naru_protocol::messages::join_group_response::JoinGroupResponse;
use naru_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use naru_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::assignor::{Subscriber, assign};
use crate::admin::by_topic;
use crate::cluster::{Cluster, Lane};
use crate::config::{Assignor, ConsumerConfig};
use crate::error::{Error, Result};
use crate::group_protocol::{decode_versioned, encode_versioned};

/// Version of the subscription and assignment that members exchange, as Java 4.3 writes it.
const PROTOCOL_VERSION: i16 = 3;
/// A subscribed topic that does not exist is looked for this often.
const MISSING_TOPIC_CHECK: Duration = Duration::from_secs(1);
/// How long a member that closes waits for the coordinator to let it go.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Decides which topics belong to a subscription.
pub(super) type Matcher = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What a member wants to read.
#[derive(Clone)]
pub(super) enum Subscription {
    Topics(Vec<String>),
    Matching(Matcher),
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topics(topics) => f.debug_tuple("Topics").field(topics).finish(),
            Self::Matching(_) => f.write_str("Matching"),
        }
    }
}

/// What the task tells the consumer.
#[derive(Debug)]
pub(super) enum Event {
    /// Partitions have to be given up; `done` when they are. `lost`: they already belong to
    /// others, so nothing may be committed.
    Revoke { lost: bool, done: oneshot::Sender<()> },
    /// These are the consumer's now.
    Assigned(Vec<TopicPartition>),
    /// The member cannot go on.
    Failed(Error),
}

/// Who the member is at this moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    pub(super) member_id: String,
    /// None while it has no generation.
    pub(super) generation: Option<i32>,
    pub(super) coordinator: Option<i32>,
}

/// The consumer's side of the task.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) events: mpsc::Receiver<Event>,
    identity: Arc<Mutex<Identity>>,
    /// Milliseconds since `started` at the user's last poll.
    last_poll: Arc<AtomicU64>,
    started: Instant,
    leave: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Membership {
    pub(super) fn start(
        cluster: Cluster,
        config: ConsumerConfig,
        group: String,
        subscription: Subscription,
    ) -> Self {
        let (sender, events) = mpsc::channel(4);
        let (leave, left) = oneshot::channel();
        let identity = Arc::new(Mutex::new(Identity::default()));
        let last_poll = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let member = Member {
            cluster,
            config,
            group,
            subscription,
            events: sender,
            identity: Arc::clone(&identity),
            last_poll: Arc::clone(&last_poll),
            started,
            counts: BTreeMap::new(),
            owns: false,
        };
        let task = tokio::spawn(member.run(left));
        Self { events, identity, last_poll, started, leave: Some(leave), task }
    }

    /// The user has come for records.
    pub(super) fn note_poll(&self) {
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_poll.store(since, Ordering::Relaxed);
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The coordinator that was known does not answer as one.
    pub(super) fn forget_coordinator(&self) {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).coordinator = None;
    }

    /// Leaves the group, or gives up after a while; the broker then notices by itself.
    pub(super) async fn leave(mut self) {
        if let Some(leave) = self.leave.take() {
            // If the task has ended, there is nobody to tell.
            let _ = leave.send(());
        }
        self.events.close();
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, &mut self.task).await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Member {
    cluster: Cluster,
    config: ConsumerConfig,
    group: String,
    subscription: Subscription,
    events: mpsc::Sender<Event>,
    identity: Arc<Mutex<Identity>>,
    last_poll: Arc<AtomicU64>,
    started: Instant,
    /// Partition counts of the subscribed topics when it joined last.
    counts: BTreeMap<String, i32>,
    /// Whether the consumer has partitions of this member's.
    owns: bool,
}

/// Why a generation is over.
enum End {
    Rebalance,
    Lost,
}

impl Member {
    async fn run(mut self, mut left: oneshot::Receiver<()>) {
        tokio::select! {
            biased;
            // The sender is dropped only together with the consumer: then there is no goodbye.
            told = &mut left => {
                if told.is_err() {
                    return;
                }
            }
            error = self.live() => {
                // A consumer that is gone does not need to know.
                let _ = self.events.send(Event::Failed(error)).await;
                if left.await.is_err() {
                    return;
                }
            }
        }
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, self.say_goodbye()).await;
    }

    /// Generation after generation, until something cannot be mended.
    async fn live(&mut self) -> Error {
        let mut lost = false;
        let mut backoff = self.cluster.backoff();
        loop {
            if self.owns && self.revoke(lost).await.is_err() {
                return Error::Closed;
            }
            let outcome = match self.join().await {
                Ok(partitions) => {
                    self.owns = true;
                    if self.events.send(Event::Assigned(partitions)).await.is_err() {
                        return Error::Closed;
                    }
                    backoff = self.cluster.backoff();
                    match self.beat().await {
                        Ok(End::Rebalance) => {
                            lost = false;
                            continue;
                        }
                        Ok(End::Lost) => {
                            lost = true;
                            continue;
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            match outcome.code() {
                ErrorCode::UnknownMemberId => {
                    self.with_identity(|i| i.member_id.clear());
                    lost = true;
                }
                ErrorCode::IllegalGeneration => lost = true,
                ErrorCode::RebalanceInProgress => lost = false,
                _ if outcome.is_retriable() => {
                    self.with_identity(|i| i.coordinator = None);
                    tokio::time::sleep(backoff.step()).await;
                }
                _ => return outcome,
            }
        }
    }

    fn with_identity<T>(&self, change: impl FnOnce(&mut Identity) -> T) -> T {
        change(&mut self.identity.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the consumer give up its partitions; heartbeats go on meanwhile, so that it may take
    /// its time to commit.
    async fn revoke(&mut self, lost: bool) -> Result<()> {
        if lost {
            self.with_identity(|i| i.generation = None);
        }
        let (done, mut told) = oneshot::channel();
        let event = Event::Revoke { lost, done };
        self.events.send(event).await.map_err(|_| Error::Closed)?;
        loop {
            tokio::select! {
                outcome = &mut told => {
                    outcome.map_err(|_| Error::Closed)?;
                    break;
                }
                () = tokio::time::sleep(self.config.heartbeat_interval) => {
                    if !lost {
                        // Its answer can only be what is known: a rebalance goes on.
                        let _ = self.heartbeat().await;
                    }
                }
            }
        }
        self.owns = false;
        self.with_identity(|i| i.generation = None);
        Ok(())
    }

    async fn coordinator(&self) -> Result<i32> {
        if let Some(id) = self.with_identity(|i| i.coordinator) {
            return Ok(id);
        }
        let id = self.cluster.coordinator(&self.group).await?;
        self.with_identity(|i| i.coordinator = Some(id));
        Ok(id)
    }

    /// The subscribed topics that exist, with their partition counts.
    async fn resolve(&self) -> Result<BTreeMap<String, i32>> {
        let metadata = match &self.subscription {
            Subscription::Topics(topics) => {
                let auto_create = self.cluster.config().auto_create_topics;
                self.cluster.refresh_topics(topics, auto_create).await?
            }
            Subscription::Matching(_) => self.cluster.refresh_all().await?,
        };
        let wanted = |name: &str| match &self.subscription {
            Subscription::Topics(topics) => topics.iter().any(|topic| topic == name),
            Subscription::Matching(matches) => matches(name),
        };
        let counts = metadata
            .topics
            .values()
            .filter(|topic| topic.error.is_ok() && wanted(&topic.name))
            .map(|t| (t.name.clone(), i32::try_from(t.partitions.len()).unwrap_or(i32::MAX)))
            .collect();
        Ok(counts)
    }

    /// Joins and syncs: the partitions of this member.
    async fn join(&mut self) -> Result<Vec<TopicPartition>> {
        self.counts = self.resolve().await?;
        let topics = match &self.subscription {
            Subscription::Topics(topics) => topics.clone(),
            Subscription::Matching(_) => self.counts.keys().cloned().collect(),
        };
        let joined = loop {
            let response = self.send_join(&topics).await?;
            match ErrorCode::from_code(response.error_code) {
                ErrorCode::None => break response,
                // The broker hands out the id first, so that a lost answer leaves no ghost
                // (KIP-394).
                ErrorCode::MemberIdRequired => {
                    self.with_identity(|i| i.member_id.clone_from(&response.member_id));
                }
                code => return Err(Error::code_only(code)),
            }
        };
        self.with_identity(|i| i.member_id.clone_from(&joined.member_id));
        let shares = if joined.leader == joined.member_id && !joined.skip_assignment {
            self.divide(&joined).await?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            group_instance_id: self.config.group_instance_id.clone(),
            protocol_type: Some("consumer".to_owned()),
            protocol_name: joined.protocol_name.clone(),
            assignments: shares,
        };
        let connection = self.cluster.broker(self.coordinator().await?, Lane::Group).await?;
        let version = connection.versions().pick::<SyncGroupRequest>(i16::MAX)?;
        let wait = self.config.max_poll_interval;
        let synced = connection.call(&request, version, wait).await?;
        Error::check(synced.error_code)?;
        self.with_identity(|i| i.generation = Some(joined.generation_id));
        if synced.assignment.is_empty() {
            return Ok(Vec::new());
        }
        let share = decode_versioned::<ConsumerProtocolAssignment>(&synced.assignment)
            .map_err(|_| Error::code_only(ErrorCode::InconsistentGroupProtocol))?;
        let partitions = share.assigned_partitions.into_iter().flat_map(|t| {
            let topic = t.topic;
            t.partitions.into_iter().map(move |p| TopicPartition::new(topic.clone(), p))
        });
        Ok(partitions.collect())
    }

    async fn send_join(&self, topics: &[String]) -> Result<JoinGroupResponse> {
        let subscription = ConsumerProtocolSubscription {
            topics: topics.to_vec(),
            generation_id: -1,
            ..Default::default()
        };
        let metadata = encode_versioned(&subscription, PROTOCOL_VERSION);
        let millis = |d: Duration| i32::try_from(d.as_millis()).unwrap_or(i32::MAX);
        let protocols = self
            .config
            .assignors
            .iter()
            .map(|assignor| JoinGroupRequestProtocol {
                name: assignor.name().to_owned(),
                metadata: metadata.clone(),
            })
            .collect();
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: millis(self.config.session_timeout),
            rebalance_timeout_ms: millis(self.config.max_poll_interval),
            member_id: self.with_identity(|i| i.member_id.clone()),
            group_instance_id: self.config.group_instance_id.clone(),
            protocol_type: "consumer".to_owned(),
            protocols,
            reason: None,
        };
        let connection = self.cluster.broker(self.coordinator().await?, Lane::Group).await?;
        let version = connection.versions().pick::<JoinGroupRequest>(i16::MAX)?;
        connection.call(&request, version, self.config.max_poll_interval).await
    }

    /// The leader's work.
    async fn divide(&self, joined: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>> {
        let mut members = Vec::new();
        for member in &joined.members {
            let subscription =
                decode_versioned::<ConsumerProtocolSubscription>(&member.metadata)
                    .map_err(|_| Error::code_only(ErrorCode::InconsistentGroupProtocol))?;
            members.push(Subscriber {
                member_id: member.member_id.clone(),
                instance_id: member.group_instance_id.clone(),
                topics: subscription.topics,
            });
        }
        let mut topics: Vec<String> = members.iter().flat_map(|m| m.topics.clone()).collect();
        topics.sort();
        topics.dedup();
        let metadata = self.cluster.refresh_topics(&topics, false).await?;
        let counts: BTreeMap<String, i32> = topics
            .into_iter()
            .filter_map(|topic| {
                let count = metadata.topic(&topic)?.partitions.len();
                Some((topic, i32::try_from(count).unwrap_or(i32::MAX)))
            })
            .collect();
        let name = joined.protocol_name.as_deref();
        let assignor = [Assignor::Range, Assignor::RoundRobin]
            .into_iter()
            .find(|assignor| Some(assignor.name()) == name)
            .ok_or(Error::code_only(ErrorCode::InconsistentGroupProtocol))?;
        let shares = assign(assignor, &members, &counts);
        let assignments = shares.into_iter().map(|(member_id, partitions)| {
            let share = ConsumerProtocolAssignment {
                assigned_partitions: by_topic(&partitions)
                    .into_iter()
                    .map(|(topic, partitions)| consumer_protocol_assignment::TopicPartition {
                        topic,
                        partitions,
                    })
                    .collect(),
                user_data: None,
            };
            let assignment = encode_versioned(&share, PROTOCOL_VERSION);
            SyncGroupRequestAssignment { member_id, assignment }
        });
        Ok(assignments.collect())
    }

    async fn heartbeat(&self) -> Result<()> {
        let identity = self.with_identity(|i| i.clone());
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: identity.generation.unwrap_or(-1),
            member_id: identity.member_id,
            group_instance_id: self.config.group_instance_id.clone(),
        };
        let connection = self.cluster.broker(self.coordinator().await?, Lane::Group).await?;
        let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
        Error::check(response.error_code)
    }

    /// Heartbeats until the generation is over.
    async fn beat(&mut self) -> Result<End> {
        let mut heard = Instant::now();
        let mut resolved = Instant::now();
        loop {
            tokio::time::sleep(self.config.heartbeat_interval.min(MISSING_TOPIC_CHECK)).await;
            if self.is_idle() {
                self.leave_for_now().await;
                return Ok(End::Lost);
            }
            let missing = match &self.subscription {
                Subscription::Topics(topics) => {
                    topics.iter().any(|topic| !self.counts.contains_key(topic))
                }
                Subscription::Matching(_) => self.counts.is_empty(),
            };
            let age = self.cluster.config().metadata_max_age;
            let check = if missing { MISSING_TOPIC_CHECK.min(age) } else { age };
            if resolved.elapsed() >= check {
                resolved = Instant::now();
                if self.resolve().await.is_ok_and(|counts| counts != self.counts) {
                    return Ok(End::Rebalance);
                }
            }
            if heard.elapsed() < self.config.heartbeat_interval {
                continue;
            }
            match self.heartbeat().await {
                Ok(()) => heard = Instant::now(),
                Err(error) => match error.code() {
                    ErrorCode::RebalanceInProgress => return Ok(End::Rebalance),
                    ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId => {
                        if error.code() == ErrorCode::UnknownMemberId {
                            self.with_identity(|i| i.member_id.clear());
                        }
                        return Ok(End::Lost);
                    }
                    _ if heard.elapsed() >= self.config.session_timeout => return Ok(End::Lost),
                    _ if error.is_retriable() => self.with_identity(|i| i.coordinator = None),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Whether the user has not come for records for `max.poll.interval.ms`.
    fn is_idle(&self) -> bool {
        let polled = Duration::from_millis(self.last_poll.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(polled) > self.config.max_poll_interval
    }

    /// Lets others have the partitions; the revocation that follows waits for the user.
    async fn leave_for_now(&self) {
        tracing::warn!(group = self.group, "no poll within max.poll.interval.ms, leaving");
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, self.say_goodbye()).await;
        self.with_identity(|i| i.member_id.clear());
    }

    /// Static members do not say goodbye: their place is kept for the session timeout.
    async fn say_goodbye(&self) -> Result<()> {
        let identity = self.with_identity(|i| i.clone());
        let (Some(coordinator), false) = (identity.coordinator, identity.member_id.is_empty())
        else {
            return Ok(());
        };
        if self.config.group_instance_id.is_some() {
            return Ok(());
        }
        // A join may hold the group's own lane.
        let connection = self.cluster.broker(coordinator, Lane::Main).await?;
        let response = self
            .cluster
            .call(&connection, i16::MAX, |version| {
                let mut request =
                    LeaveGroupRequest { group_id: self.group.clone(), ..Default::default() };
                if version >= 3 {
                    request.members = vec![MemberIdentity {
                        member_id: identity.member_id.clone(),
                        group_instance_id: None,
                        reason: None,
                    }];
                } else {
                    request.member_id.clone_from(&identity.member_id);
                }
                request
            })
            .await?;
        Error::check(response.error_code)
    }
}
