//! Requests of this node to other voters, and looking whether a peer is still there.
//!
//! Each voter gets two connections: one for fetches, which wait for data, and one for the rest,
//! which must not wait behind them. A connection that ends is looked into at once: if a new one
//! is refused, the process is gone, and nobody has to wait for a timeout to know.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use naru_client::net::{Connection, ConnectionOptions};
use naru_controller::image::BrokerImage;
use naru_controller::raft::{Destination, RaftRequest, RaftResponse, Unreachable};
use naru_protocol::Request;
use tokio::net::TcpStream;

use super::driver::Input;
use crate::peer::address;

/// How long a look whether a process is there may take.
const PROBE_MAX: Duration = Duration::from_millis(500);
/// Pauses between looks at a node whose connection has ended.
const PROBE_PAUSES_MS: [u64; 9] = [5, 10, 25, 50, 100, 200, 300, 500, 500];
/// What a peer's fetch may wait at most, beyond the request timeout.
const FETCH_WAIT: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    runtime: tokio::runtime::Handle,
    inbox: Sender<Input>,
    options: ConnectionOptions,
    peers: Arc<Mutex<HashMap<(String, bool), Peer>>>,
}

type Peer = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

impl Transport {
    pub(super) fn new(
        runtime: tokio::runtime::Handle,
        inbox: Sender<Input>,
        options: ConnectionOptions,
    ) -> Self {
        Self { runtime, inbox, options, peers: Arc::default() }
    }

    /// Sends; the result comes back as [`Input::Response`].
    pub(super) fn send(
        &self,
        request_id: u64,
        to: Destination,
        version: Option<i16>,
        request: RaftRequest,
    ) {
        let this = self.clone();
        self.runtime.spawn(async move {
            let result = this.exchange(&to, version, request).await;
            // The loop has ended: the node stops.
            let _ = this.inbox.send(Input::Response { request_id, result });
        });
    }

    async fn exchange(
        &self,
        to: &Destination,
        version: Option<i16>,
        request: RaftRequest,
    ) -> Result<RaftResponse, Unreachable> {
        let fetches = matches!(request, RaftRequest::Fetch(_) | RaftRequest::FetchSnapshot(_));
        let connection = self.connection(to, fetches).await?;
        let cap = version.unwrap_or(i16::MAX);
        match request {
            RaftRequest::Vote(r) => call(&connection, r, cap).await.map(RaftResponse::Vote),
            RaftRequest::BeginQuorumEpoch(r) => {
                call(&connection, r, cap).await.map(RaftResponse::BeginQuorumEpoch)
            }
            RaftRequest::EndQuorumEpoch(r) => {
                call(&connection, r, cap).await.map(RaftResponse::EndQuorumEpoch)
            }
            RaftRequest::Fetch(r) => call(&connection, r, cap).await.map(RaftResponse::Fetch),
            RaftRequest::FetchSnapshot(r) => {
                call(&connection, r, cap).await.map(RaftResponse::FetchSnapshot)
            }
            RaftRequest::AddRaftVoter(r) => {
                call(&connection, r, cap).await.map(RaftResponse::AddRaftVoter)
            }
            RaftRequest::RemoveRaftVoter(r) => {
                call(&connection, r, cap).await.map(RaftResponse::RemoveRaftVoter)
            }
            RaftRequest::UpdateRaftVoter(r) => {
                call(&connection, r, cap).await.map(RaftResponse::UpdateRaftVoter)
            }
            RaftRequest::DescribeQuorum(r) => {
                call(&connection, r, cap).await.map(RaftResponse::DescribeQuorum)
            }
            RaftRequest::ApiVersions(r) => {
                call(&connection, r, cap).await.map(RaftResponse::ApiVersions)
            }
        }
    }

    async fn connection(
        &self,
        to: &Destination,
        fetches: bool,
    ) -> Result<Arc<Connection>, Unreachable> {
        let address = address(&to.host, to.port);
        let peer = {
            let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(peers.entry((address.clone(), fetches)).or_default())
        };
        let mut slot = peer.lock().await;
        if let Some(open) = slot.as_ref().filter(|open| !open.is_closed()) {
            return Ok(Arc::clone(open));
        }
        *slot = None;
        match Connection::open(&address, self.options.clone()).await {
            Ok(opened) => {
                let opened = Arc::new(opened);
                *slot = Some(Arc::clone(&opened));
                if let Some(id) = to.id {
                    self.watch(&opened, id, address);
                }
                Ok(opened)
            }
            Err(error) => {
                tracing::debug!(%error, "no connection to a voter");
                if let (Some(id), true) = (to.id, is_refused(&address).await) {
                    let _ = self.inbox.send(Input::PeerGone { id });
                }
                Err(Unreachable)
            }
        }
    }

    /// Looks whether the voter is gone when its connection ends.
    fn watch(&self, connection: &Arc<Connection>, id: i32, address: String) {
        let (inbox, connection) = (self.inbox.clone(), Arc::downgrade(connection));
        self.runtime.spawn(async move {
            // Held weakly between looks, so that a connection nobody uses can be dropped.
            if let Some(open) = connection.upgrade() {
                open.closed().await;
            }
            if is_refused_soon(&address).await {
                // The loop has ended: the node stops.
                let _ = inbox.send(Input::PeerGone { id });
            }
        });
    }

    /// Looks which of these brokers are gone.
    pub(super) fn probe_brokers(&self, brokers: &[Arc<BrokerImage>]) {
        for broker in brokers {
            let (inbox, broker) = (self.inbox.clone(), Arc::clone(broker));
            self.runtime.spawn(async move {
                if broker_is_gone(&broker).await {
                    let _ = inbox.send(Input::BrokerGone { id: broker.id, epoch: broker.epoch });
                }
            });
        }
    }
}

async fn call<R: Request>(
    connection: &Connection,
    request: R,
    cap: i16,
) -> Result<R::Response, Unreachable> {
    let version = connection.versions().pick::<R>(cap).map_err(|error| {
        tracing::warn!(%error, peer = connection.address(), "a voter speaks another version");
        Unreachable
    })?;
    connection.call(&request, version, FETCH_WAIT).await.map_err(|error| {
        tracing::debug!(%error, peer = connection.address(), "no answer from a voter");
        Unreachable
    })
}

/// Whether no process of this broker listens any more.
pub(super) async fn broker_is_gone(broker: &BrokerImage) -> bool {
    for endpoint in &broker.endpoints {
        if is_refused_soon(&address(&endpoint.host, endpoint.port)).await {
            return true;
        }
    }
    false
}

/// Whether connections are refused now or in a moment: a process that was killed loses its
/// connections before its listeners.
async fn is_refused_soon(address: &str) -> bool {
    for pause_ms in PROBE_PAUSES_MS {
        if is_refused(address).await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    is_refused(address).await
}

/// Whether a connection is refused: the machine answers, but no process listens. No answer at all
/// says nothing: the network may be at fault.
async fn is_refused(address: &str) -> bool {
    let tried = tokio::time::timeout(PROBE_MAX, TcpStream::connect(address)).await;
    matches!(tried, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
}
