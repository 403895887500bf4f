//! One fetcher: asks one leader for everything that this broker follows from it, and stores it.
//!
//! A thread of its own: appending writes files. What to ask is `naru_replication::FetchPlan`'s to
//! decide, what to do with an answer is `answer`'s. A partition is asked for again when what it
//! got is stored as promised.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use naru_model::{BrokerId, ErrorCode, LeaderEpoch, Uuid};
use naru_protocol::messages::fetch_request::{
    FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState,
};
use naru_protocol::messages::fetch_response::FetchResponse;
use naru_replication::{FetchPlan, FetchRequestPlan, PartitionKey};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::connection::{Connection, ConnectionError};
use crate::node::{Node, millis};
use crate::partition::Partition;

/// How long a leader may take beyond the wait it was allowed. After a cut network a new connection
/// is there long before the old one has come back from its retransmissions.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Version of Fetch that is sent: topic ids, replica state.
const FETCH_VERSION: i16 = 17;
/// How long a waiting fetch may hold up partitions that were added meanwhile.
const INTERRUPT_AFTER: Duration = Duration::from_millis(5);
/// How long the fetch of other partitions waits for those that store what they got.
const STORE_WAIT_MAX: Duration = Duration::from_millis(500);
/// First pause after a second failure in a row; doubles up to `replica.fetch.backoff.ms`.
const RECONNECT_MIN: Duration = Duration::from_millis(25);

/// What a fetcher is told.
#[derive(Debug)]
pub(super) enum News {
    /// Fetch for this partition, which follows in that epoch.
    Follow(Arc<Partition>, LeaderEpoch),
    /// Fetch for it no more.
    Unfollow(PartitionKey),
}

/// Makes what the thread of a fetcher runs.
pub(super) fn runner(
    node: Arc<Node>,
    source: BrokerId,
    name: &str,
    news: mpsc::UnboundedReceiver<News>,
    stored: mpsc::UnboundedReceiver<PartitionKey>,
) -> impl FnOnce() + Send + use<> {
    let client_id = format!("broker-{}-fetcher-{name}", node.id());
    move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => {
                run_and_leave(runtime, Fetcher::new(node, source, client_id).run(news, stored));
            }
            Err(error) => tracing::error!("broker {source} is not fetched from: {error}"),
        }
    }
}

/// Runs something to its end, and waits for nothing that it leaves behind: the system may look up
/// a name for as long as it likes.
fn run_and_leave(runtime: Runtime, run: impl Future<Output = ()>) {
    runtime.block_on(run);
    runtime.shutdown_background();
}

/// A partition that is fetched for.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) partition: Arc<Partition>,
    pub(super) epoch: LeaderEpoch,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) node: Arc<Node>,
    source: BrokerId,
    client_id: String,
    pub(super) plan: FetchPlan,
    pub(super) following: HashMap<PartitionKey, Following>,
    /// Partitions that store what they got.
    pub(super) storing: HashSet<PartitionKey>,
    /// Partitions that are to be asked for no earlier, because of a throttle.
    pub(super) throttled: HashMap<PartitionKey, i64>,
    /// What changed while a request was on its way: its answer does not count for these.
    changed_meanwhile: HashSet<PartitionKey>,
    pub(super) connection: Option<Connection>,
    failures: u32,
}

/// How waiting for an answer ended.
enum Waited {
    Answer(Box<FetchResponse>),
    /// Others must not wait for it any longer.
    Interrupted,
    /// It was not sent: there was other news while the leader was connected to.
    Outdated,
    Failed(ConnectionError),
    Stop,
}

impl Fetcher {
    fn new(node: Arc<Node>, source: BrokerId, client_id: String) -> Self {
        Self {
            node,
            source,
            client_id,
            plan: FetchPlan::new(),
            following: HashMap::new(),
            storing: HashSet::new(),
            throttled: HashMap::new(),
            changed_meanwhile: HashSet::new(),
            connection: None,
            failures: 0,
        }
    }

    async fn run(
        mut self,
        mut news: mpsc::UnboundedReceiver<News>,
        mut stored: mpsc::UnboundedReceiver<PartitionKey>,
    ) {
        loop {
            if !self.take_in(&mut news, &mut stored) {
                return;
            }
            let Some(request) = self.plan.next_request(self.now_ms()) else {
                if self.plan.is_empty() {
                    self.connection = None;
                    self.plan.restart_session(false);
                }
                if !self.idle(&mut news, &mut stored).await {
                    return;
                }
                continue;
            };
            self.changed_meanwhile.clear();
            match self.exchange(&request, &mut news, &mut stored).await {
                Waited::Answer(response) => {
                    self.failures = 0;
                    self.handle_answer(*response).await;
                    self.wait_until_stored(&mut stored).await;
                }
                Waited::Interrupted => {
                    self.connection = None;
                    self.plan.restart_session(true);
                }
                // A request of its own tells the leader all of it.
                Waited::Outdated => self.plan.restart_session(true),
                Waited::Failed(error) => {
                    self.failed(&error);
                    if !self.pause(&mut news, &mut stored).await {
                        return;
                    }
                }
                Waited::Stop => return,
            }
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.node.replication().now_ms()
    }

    /// Takes in all news; false when it is time to stop.
    fn take_in(
        &mut self,
        news: &mut mpsc::UnboundedReceiver<News>,
        stored: &mut mpsc::UnboundedReceiver<PartitionKey>,
    ) -> bool {
        loop {
            match news.try_recv() {
                Ok(one) => drop(self.hear(one)),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
            }
        }
        while let Ok(key) = stored.try_recv() {
            self.has_stored(key);
        }
        true
    }

    /// Takes in one piece of news; whether there is something new to ask for.
    fn hear(&mut self, news: News) -> bool {
        match news {
            News::Follow(partition, epoch) => {
                let key = partition.key();
                self.changed_meanwhile.insert(key);
                self.following.insert(key, Following { partition, epoch });
                self.go_on(key)
            }
            News::Unfollow(key) => {
                self.changed_meanwhile.insert(key);
                self.forget(key);
                false
            }
        }
    }

    pub(super) fn forget(&mut self, key: PartitionKey) {
        self.following.remove(&key);
        self.storing.remove(&key);
        self.throttled.remove(&key);
        self.plan.unfollow(key);
    }

    /// Asks for a partition from where its log ends, now or when it is stored; whether now.
    pub(super) fn go_on(&mut self, key: PartitionKey) -> bool {
        let Some(following) = self.following.get(&key) else { return false };
        let (partition, epoch) = (&following.partition, following.epoch);
        if partition.is_offline() {
            self.forget(key);
            return false;
        }
        match partition.fetch_position(epoch) {
            Some(ask) => {
                self.storing.remove(&key);
                self.plan.follow(key, ask);
                match self.throttled.remove(&key) {
                    Some(until_ms) => self.plan.pause(key, until_ms),
                    None => return true,
                }
                false
            }
            None => {
                self.storing.insert(key);
                self.plan.hold(key);
                false
            }
        }
    }

    /// A partition has stored what it got; whether that lets it go on.
    fn has_stored(&mut self, key: PartitionKey) -> bool {
        self.storing.contains(&key) && self.go_on(key)
    }

    /// Nothing can be asked for: waits until something can.
    async fn idle(
        &mut self,
        news: &mut mpsc::UnboundedReceiver<News>,
        stored: &mut mpsc::UnboundedReceiver<PartitionKey>,
    ) -> bool {
        let resume = self.plan.next_resume_ms().map(|at| at - self.now_ms());
        let wait = resume.map_or(Duration::from_secs(3600), millis);
        tokio::select! {
            one = news.recv() => match one {
                Some(one) => drop(self.hear(one)),
                None => return false,
            },
            Some(key) = stored.recv() => drop(self.has_stored(key)),
            () = tokio::time::sleep(wait) => {}
        }
        true
    }

    /// After a failure: the first retry comes at once, later ones after growing pauses.
    async fn pause(
        &mut self,
        news: &mut mpsc::UnboundedReceiver<News>,
        stored: &mut mpsc::UnboundedReceiver<PartitionKey>,
    ) -> bool {
        if self.failures <= 1 {
            return true;
        }
        let longest = u64::try_from(self.node.config().replication.fetch_backoff_ms).unwrap_or(0);
        let factor = 1 << (self.failures - 2).min(10);
        let pause = (RECONNECT_MIN * factor).min(Duration::from_millis(longest));
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                one = news.recv() => match one {
                    Some(one) => drop(self.hear(one)),
                    None => return false,
                },
                Some(key) = stored.recv() => drop(self.has_stored(key)),
                () = tokio::time::sleep_until(until) => return true,
            }
        }
    }

    fn failed(&mut self, error: &ConnectionError) {
        self.node.metadata().suspect(self.source.0);
        self.connection = None;
        // Whether the request arrived is not known: the next one opens a session of its own.
        self.plan.restart_session(true);
        self.failures = self.failures.saturating_add(1);
        if self.failures.is_power_of_two() {
            tracing::warn!(
                leader = self.source.0,
                partitions = self.plan.len(),
                "fetching failed: {error}"
            );
        }
    }

    /// Waits a while for the partitions that store what they got: together they make one request.
    async fn wait_until_stored(&mut self, stored: &mut mpsc::UnboundedReceiver<PartitionKey>) {
        // What went offline will never have stored it: nobody waits for that, now or again.
        let is_gone = |key: &PartitionKey| {
            self.following.get(key).is_none_or(|following| following.partition.is_offline())
        };
        let gone: Vec<PartitionKey> = self.storing.iter().copied().filter(is_gone).collect();
        gone.into_iter().for_each(|key| self.forget(key));
        let until = Instant::now() + STORE_WAIT_MAX;
        while !self.storing.is_empty() {
            match tokio::time::timeout_at(until, stored.recv()).await {
                Ok(Some(key)) => drop(self.has_stored(key)),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Sends a request and waits for its answer, hearing news meanwhile.
    async fn exchange(
        &mut self,
        request: &FetchRequestPlan,
        news: &mut mpsc::UnboundedReceiver<News>,
        stored: &mut mpsc::UnboundedReceiver<PartitionKey>,
    ) -> Waited {
        let request = self.request(request);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.connect(news, stored).await {
                Ok((connection, false)) => connection,
                Ok((connection, true)) => {
                    self.connection = Some(connection);
                    return Waited::Outdated;
                }
                Err(waited) => return waited,
            },
        };
        let within = self.timeout();
        // A leader that takes nothing in must not keep this from hearing that it is to stop.
        let mut has_more = false;
        let sending = tokio::time::timeout(within, connection.send(&request, FETCH_VERSION));
        let sent = hearing(sending, news, stored, |told| has_more |= self.take(told)).await;
        match sent {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => return Waited::Failed(error),
            Some(Err(_)) => return Waited::Failed(ConnectionError::TimedOut),
            None => return Waited::Stop,
        }
        let give_up = tokio::time::sleep(within);
        tokio::pin!(give_up);
        let mut interrupt = has_more.then(|| Instant::now() + INTERRUPT_AFTER);
        let waited = {
            let answer = connection.receive::<FetchRequest>(FETCH_VERSION);
            tokio::pin!(answer);
            loop {
                tokio::select! {
                    biased;
                    answer = &mut answer => break match answer {
                        Ok(response) => {
                            self.node.metadata().trust(self.source.0);
                            Waited::Answer(Box::new(response))
                        }
                        Err(error) => Waited::Failed(error),
                    },
                    one = news.recv() => match one {
                        Some(one) => if self.hear(one) {
                            interrupt.get_or_insert_with(|| Instant::now() + INTERRUPT_AFTER);
                        },
                        None => break Waited::Stop,
                    },
                    Some(key) = stored.recv() => if self.has_stored(key) {
                        interrupt.get_or_insert_with(|| Instant::now() + INTERRUPT_AFTER);
                    },
                    () = tokio::time::sleep_until(interrupt.unwrap_or_else(Instant::now)),
                        if interrupt.is_some() => break Waited::Interrupted,
                    () = &mut give_up => break Waited::Failed(ConnectionError::TimedOut),
                }
            }
        };
        if let Waited::Answer(_) = waited {
            self.connection = Some(connection);
        }
        waited
    }

    pub(super) fn timeout(&self) -> Duration {
        let config = &self.node.config().replication;
        let ms = u64::try_from(config.socket_timeout_ms).unwrap_or(30_000);
        let wait = millis(config.fetch_wait_max_ms);
        Duration::from_millis(ms).min(wait + ANSWER_MAX)
    }

    /// Connects to the leader, hearing news meanwhile; whether there was any that changes what is
    /// to be asked.
    async fn connect(
        &mut self,
        news: &mut mpsc::UnboundedReceiver<News>,
        stored: &mut mpsc::UnboundedReceiver<PartitionKey>,
    ) -> Result<(Connection, bool), Waited> {
        let connecting = connection_to(Arc::clone(&self.node), self.source, self.client_id.clone());
        let mut is_outdated = false;
        let take = |told: Told| {
            let is_news = matches!(told, Told::News(_));
            is_outdated |= self.take(told) || is_news;
        };
        match hearing(connecting, news, stored, take).await {
            Some(Ok(connection)) => Ok((connection, is_outdated)),
            Some(Err(error)) => Err(Waited::Failed(error)),
            None => Err(Waited::Stop),
        }
    }

    /// Takes in what was told; whether there is something new to ask for.
    fn take(&mut self, told: Told) -> bool {
        match told {
            Told::News(news) => self.hear(news),
            Told::Stored(key) => self.has_stored(key),
        }
    }

    fn request(&self, plan: &FetchRequestPlan) -> FetchRequest {
        let config = &self.node.config().replication;
        let mut request = FetchRequest {
            replica_state: ReplicaState {
                replica_id: self.node.id(),
                replica_epoch: self.node.metadata().broker_epoch(),
            },
            max_wait_ms: config.fetch_wait_max_ms,
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_response_max_bytes,
            session_id: plan.session_id,
            session_epoch: plan.session_epoch,
            ..FetchRequest::default()
        };
        for (key, ask) in &plan.asked {
            let partition = FetchPartition {
                partition: key.partition,
                current_leader_epoch: ask.leader_epoch.0,
                fetch_offset: ask.offset.0,
                last_fetched_epoch: ask.last_fetched_epoch.map_or(-1, |epoch| epoch.0),
                log_start_offset: ask.log_start.0,
                partition_max_bytes: config.fetch_max_bytes,
                ..FetchPartition::default()
            };
            match request.topics.last_mut() {
                Some(topic) if topic.topic_id == key.topic => topic.partitions.push(partition),
                _ => request.topics.push(FetchTopic {
                    topic_id: key.topic,
                    partitions: vec![partition],
                    ..FetchTopic::default()
                }),
            }
        }
        for key in &plan.forgotten {
            match request.forgotten_topics_data.last_mut() {
                Some(topic) if topic.topic_id == key.topic => topic.partitions.push(key.partition),
                _ => request.forgotten_topics_data.push(ForgottenTopic {
                    topic: String::new(),
                    topic_id: key.topic,
                    partitions: vec![key.partition],
                }),
            }
        }
        request
    }

    /// Takes in an answer.
    async fn handle_answer(&mut self, response: FetchResponse) {
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => self.plan.answered(response.session_id),
            ErrorCode::FetchSessionIdNotFound => return self.plan.restart_session(false),
            error => {
                tracing::debug!(leader = self.source.0, %error, "fetch session lost");
                return self.plan.restart_session(true);
            }
        }
        let mut out_of_range = Vec::new();
        for topic in response.responses {
            for data in topic.partitions {
                let key = key(topic.topic_id, data.partition_index);
                if !self.changed_meanwhile.contains(&key) && self.handle_partition(key, &data) {
                    out_of_range.push(key);
                }
            }
        }
        if !out_of_range.is_empty() {
            self.find_range(out_of_range).await;
        }
    }
}

/// What a fetcher is told while it waits for something else.
#[derive(Debug)]
enum Told {
    News(News),
    /// A partition has stored what it got.
    Stored(PartitionKey),
}

/// What comes of `work`, with all that is told meanwhile taken in; none, at once, when it is time
/// to stop.
async fn hearing<T>(
    work: impl Future<Output = T>,
    news: &mut mpsc::UnboundedReceiver<News>,
    stored: &mut mpsc::UnboundedReceiver<PartitionKey>,
    mut take: impl FnMut(Told),
) -> Option<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            one = news.recv() => take(Told::News(one?)),
            Some(key) = stored.recv() => take(Told::Stored(key)),
            done = &mut work => return Some(done),
        }
    }
}

async fn connection_to(
    node: Arc<Node>,
    leader: BrokerId,
    client_id: String,
) -> Result<Connection, ConnectionError> {
    let image = node.image();
    let config = node.config();
    let endpoint = image.broker(leader.0).and_then(|b| b.endpoint(&config.listeners.inter_broker));
    let Some(endpoint) = endpoint else {
        return Err(std::io::Error::other("its address is not known").into());
    };
    let setup = u64::try_from(config.cluster.connection_setup_timeout_ms).unwrap_or(10_000);
    let buffer = config.replication.socket_receive_buffer_bytes;
    let within = Duration::from_millis(setup);
    let security = &node.security().links().to_brokers;
    Connection::open(&endpoint.host, endpoint.port, client_id, buffer, within, security).await
}

fn key(topic: Uuid, partition: i32) -> PartitionKey {
    PartitionKey { topic, partition }
}

#[cfg(test)]
mod tests;
