//! Brokers and what is known about them: connections by node and lane, cached metadata, retries.
//!
//! A lane is a connection of its own to the same broker: brokers answer one request of a
//! connection at a time, so a long poll must not stand before a heartbeat.
//!
//! Invariant: the cached metadata is a whole snapshot, replaced and never changed in place.

mod metadata;
mod retry;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use naru_model::ErrorCode;
use naru_protocol::Request;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use naru_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use naru_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use naru_protocol::messages::metadata_response::{MetadataResponse, MetadataResponseBroker};

pub use metadata::{Broker, Metadata, Partition, Topic};
pub(crate) use retry::Backoff;

use crate::config::{ClientConfig, ClientEvent};
use crate::error::{Error, Result};
use crate::net::{ClientSecurity, Connection, ConnectionOptions};

/// What FindCoordinator is asked about.
const GROUP_KEY: i8 = 0;
const TRANSACTION_KEY: i8 = 1;

/// `endpoint_type` of DescribeCluster: brokers.
pub(crate) const BROKERS: i8 = 1;
/// `endpoint_type` of DescribeCluster: controllers.
pub(crate) const CONTROLLERS: i8 = 2;

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Short requests.
    Main,
    /// Long polls for records.
    Fetch,
    /// Joining groups and heartbeats.
    Group,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Bootstrap(usize),
    Broker(i32),
}

/// The cluster behind some bootstrap addresses. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    /// Held only to find a slot; connecting happens under the slot's own async lock.
    slots: Mutex<HashMap<(Node, Lane), Arc<Slot>>>,
    /// Held only to read or replace the snapshot.
    metadata: Mutex<Arc<Metadata>>,
    rotation: AtomicUsize,
    /// Read from the settings with the first connection.
    security: OnceLock<Arc<ClientSecurity>>,
}

/// The connection to one node, if it is open; the lock lets one caller open it for all.
type Slot = tokio::sync::Mutex<Option<Arc<Connection>>>;

impl Cluster {
    /// A handle; nothing is connected yet.
    pub fn new(config: ClientConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                slots: Mutex::default(),
                metadata: Mutex::default(),
                rotation: AtomicUsize::new(0),
                security: OnceLock::new(),
            }),
        }
    }

    /// The settings.
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// How connections are secured.
    fn security(&self) -> Result<Arc<ClientSecurity>> {
        if let Some(known) = self.inner.security.get() {
            return Ok(Arc::clone(known));
        }
        let read = Arc::new(self.config().client_security()?);
        Ok(Arc::clone(self.inner.security.get_or_init(|| read)))
    }

    /// What is known now, without asking.
    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.inner.metadata.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for all topics.
    pub async fn refresh_all(&self) -> Result<Arc<Metadata>> {
        self.refresh(None, false).await
    }

    /// Asks for brokers only.
    pub async fn refresh_brokers(&self) -> Result<Arc<Metadata>> {
        self.refresh(Some(&[]), false).await
    }

    /// Asks for some topics.
    pub async fn refresh_topics(
        &self,
        topics: &[String],
        auto_create: bool,
    ) -> Result<Arc<Metadata>> {
        self.refresh(Some(topics), auto_create).await
    }

    /// The cached snapshot if it has the topic with a leader for every partition, else a new one.
    pub async fn topic_metadata(&self, topic: &str, auto_create: bool) -> Result<Arc<Metadata>> {
        let known = self.metadata();
        if known.topic(topic).is_some_and(|t| t.partitions.iter().all(|p| p.leader.is_some())) {
            return Ok(known);
        }
        self.refresh(Some(&[topic.to_owned()]), auto_create).await
    }

    async fn refresh(&self, topics: Option<&[String]>, auto_create: bool) -> Result<Arc<Metadata>> {
        let response = self.request_metadata(topics, auto_create).await?;
        for topic in &response.topics {
            let code = ErrorCode::from_code(topic.error_code);
            if let (false, Some(name)) = (code.is_ok(), &topic.name) {
                let error = Error::code_only(code);
                let event = ClientEvent::TopicUnavailable { topic: name.clone(), error };
                self.config().tell(&event);
            }
        }
        let mut guard = self.inner.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Metadata::clone(&guard);
        next.absorb(response, topics.is_none());
        *guard = Arc::new(next);
        Ok(Arc::clone(&guard))
    }

    async fn request_metadata(
        &self,
        topics: Option<&[String]>,
        auto_create: bool,
    ) -> Result<MetadataResponse> {
        if self.config().to_controllers {
            return self.request_controllers().await;
        }
        let request = MetadataRequest {
            topics: topics.map(|topics| {
                topics
                    .iter()
                    .map(|name| MetadataRequestTopic {
                        name: Some(name.clone()),
                        ..Default::default()
                    })
                    .collect()
            }),
            allow_auto_topic_creation: auto_create,
            ..Default::default()
        };
        let connection = self.any().await?;
        let version = connection.versions().pick::<MetadataRequest>(i16::MAX)?;
        connection.call(&request, version, Duration::ZERO).await
    }

    /// Controllers do not know Metadata: their quorum is described instead (KIP-919), in the
    /// same words.
    async fn request_controllers(&self) -> Result<MetadataResponse> {
        let connection = self.any().await?;
        let request = DescribeClusterRequest {
            endpoint_type: CONTROLLERS,
            ..DescribeClusterRequest::default()
        };
        let response = self.call(&connection, i16::MAX, |_| request).await?;
        Error::check_with(response.error_code, response.error_message)?;
        let node = |n: DescribeClusterBroker| MetadataResponseBroker {
            node_id: n.broker_id,
            host: n.host,
            port: n.port,
            rack: n.rack,
        };
        Ok(MetadataResponse {
            brokers: response.brokers.into_iter().map(node).collect(),
            cluster_id: Some(response.cluster_id),
            controller_id: response.controller_id,
            ..MetadataResponse::default()
        })
    }

    /// A connection to whoever may be asked anything: some broker, or the active controller
    /// where controllers are spoken to.
    pub(crate) async fn any_or_active(&self) -> Result<Arc<Connection>> {
        if self.config().to_controllers { self.controller().await } else { self.any().await }
    }

    /// A connection to some broker: an open one, else a known one, else one of the bootstrap
    /// addresses (also when all known brokers have moved away).
    pub(crate) async fn any(&self) -> Result<Arc<Connection>> {
        if let Some(open) = self.open_one() {
            return Ok(open);
        }
        let metadata = self.metadata();
        let mut nodes: Vec<Node> = metadata.brokers.keys().map(|id| Node::Broker(*id)).collect();
        let rotation = self.inner.rotation.fetch_add(1, Ordering::Relaxed);
        let len = nodes.len().max(1);
        nodes.rotate_left(rotation % len);
        nodes.extend((0..self.config().bootstrap.len()).map(Node::Bootstrap));
        let mut last = Error::Argument("bootstrap.servers names no broker".to_owned());
        for node in nodes {
            match self.connect(node, Lane::Main).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A connection to the broker with this id.
    pub(crate) async fn broker(&self, id: i32, lane: Lane) -> Result<Arc<Connection>> {
        if !self.metadata().brokers.contains_key(&id) {
            self.refresh_brokers().await?;
        }
        let bootstrapped = self.open_one().map(|connection| connection.address().to_owned());
        self.connect(Node::Broker(id), lane).await.map_err(|error| match (error, bootstrapped) {
            (Error::Unreachable { address, source }, Some(bootstrap)) if bootstrap != address => {
                let reason = Error::Unreachable { address: address.clone(), source }.to_string();
                let reason = reason
                    .rsplit_once('(')
                    .map_or(reason.as_str(), |(_, tail)| tail.trim_end_matches(')'))
                    .to_owned();
                Error::AdvertisedUnreachable { bootstrap, advertised: address, reason }
            }
            (error, _) => error,
        })
    }

    /// A connection to whoever takes administrative requests.
    pub(crate) async fn controller(&self) -> Result<Arc<Connection>> {
        let mut metadata = self.metadata();
        if metadata.controller.is_none() {
            metadata = self.refresh_brokers().await?;
        }
        match metadata.controller {
            Some(id) => self.broker(id, Lane::Main).await,
            None => self.any().await,
        }
    }

    /// The leader of a partition, from the cache or asked for.
    pub(crate) async fn leader(&self, topic: &str, partition: i32) -> Result<(i32, i32)> {
        if let Some(leader) = self.metadata().leader(topic, partition) {
            return Ok(leader);
        }
        let metadata = self.refresh_topics(&[topic.to_owned()], false).await?;
        match metadata.topics.get(topic) {
            Some(known) if !known.error.is_ok() => Err(Error::code_only(known.error)),
            Some(known) if known.partition(partition).is_none() => {
                Err(Error::code_only(ErrorCode::UnknownTopicOrPartition))
            }
            Some(_) => metadata
                .leader(topic, partition)
                .ok_or(Error::code_only(ErrorCode::LeaderNotAvailable)),
            None => Err(Error::code_only(ErrorCode::UnknownTopicOrPartition)),
        }
    }

    /// Asks who coordinates a group: the node id.
    pub(crate) async fn coordinator(&self, group: &str) -> Result<i32> {
        self.coordinator_of(GROUP_KEY, group).await
    }

    /// Asks who coordinates a transactional id: the node id.
    pub(crate) async fn transaction_coordinator(&self, id: &str) -> Result<i32> {
        self.coordinator_of(TRANSACTION_KEY, id).await
    }

    async fn coordinator_of(&self, key_type: i8, key: &str) -> Result<i32> {
        let connection = self.any().await?;
        let version = connection.versions().pick::<FindCoordinatorRequest>(i16::MAX)?;
        let mut request = FindCoordinatorRequest { key_type, ..Default::default() };
        if version >= 4 {
            request.coordinator_keys = vec![key.to_owned()];
        } else {
            request.key = key.to_owned();
        }
        let mut response = connection.call(&request, version, Duration::ZERO).await?;
        let (code, message, id, host, port) = match response.coordinators.pop() {
            Some(found) => {
                (found.error_code, found.error_message, found.node_id, found.host, found.port)
            }
            None => {
                let r = response;
                (r.error_code, r.error_message, r.node_id, r.host, r.port)
            }
        };
        Error::check_with(code, message.filter(|text| !text.is_empty() && text != "NONE"))?;
        if !self.metadata().brokers.contains_key(&id) {
            let mut guard = self.inner.metadata.lock().unwrap_or_else(PoisonError::into_inner);
            let mut next = Metadata::clone(&guard);
            next.brokers.insert(id, Broker { id, host, port, rack: None });
            *guard = Arc::new(next);
        }
        Ok(id)
    }

    /// Sends a request to a node; `build` gets the version to be spoken.
    pub(crate) async fn call<R: Request>(
        &self,
        connection: &Connection,
        cap: i16,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response> {
        let version = connection.versions().pick::<R>(cap)?;
        connection.call(&build(version), version, Duration::ZERO).await
    }

    /// Forgets the leader of a partition, so that the next look-up asks.
    pub(crate) fn forget_leader(&self, topic: &str, partition: i32) {
        let mut guard = self.inner.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Metadata::clone(&guard);
        let known = next.topics.get_mut(topic);
        if let Some(known) =
            known.and_then(|t| t.partitions.iter_mut().find(|p| p.index == partition))
        {
            known.leader = None;
        }
        *guard = Arc::new(next);
    }

    fn open_one(&self) -> Option<Arc<Connection>> {
        let slots = self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter(|((_, lane), _)| *lane == Lane::Main).find_map(|(_, slot)| {
            let slot = slot.try_lock().ok()?;
            slot.as_ref().filter(|connection| !connection.is_closed()).map(Arc::clone)
        })
    }

    async fn connect(&self, node: Node, lane: Lane) -> Result<Arc<Connection>> {
        let (id, address) = match node {
            Node::Bootstrap(index) => (None, self.config().bootstrap.get(index).cloned()),
            Node::Broker(id) => (Some(id), self.metadata().brokers.get(&id).map(Broker::address)),
        };
        let address = address.ok_or(Error::code_only(ErrorCode::BrokerNotAvailable))?;
        let slot = {
            let mut slots = self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((node, lane)).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(open) = slot.as_ref().filter(|c| !c.is_closed() && c.address() == address) {
            return Ok(Arc::clone(open));
        }
        let options = ConnectionOptions {
            client_id: self.config().client_id.clone(),
            connect_timeout: self.config().connect_timeout,
            request_timeout: self.config().request_timeout,
            security: self.security()?,
        };
        match Connection::open(&address, options).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *slot = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                *slot = None;
                let event = ClientEvent::ConnectFailed { node: id, address, error: error.clone() };
                self.config().tell(&event);
                Err(error)
            }
        }
    }
}
