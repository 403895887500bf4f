//! One TCP connection: requests go out in order, answers come back in the same order.
//!
//! Two tasks own the socket's halves, so a caller that gives up waiting never leaves half a frame
//! behind. Memory grows with the bytes received, not with the length announced.
//!
//! Where logins end, whoever sends next when one is due logs in again first (KIP-368), with all
//! places of `in_flight` taken: nothing else is under way meanwhile. Whoever comes meanwhile waits
//! for that, not for the request behind it.
//!
//! Invariant: `awaited` holds one entry for each request written and not yet answered, in the
//! order of writing.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use naru_model::ErrorCode;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::api_versions_response::ApiVersionsResponse;
use naru_protocol::{Message, Request, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;

use super::Versions;
use super::security::{ClientSecurity, Link, ReadHalf, Session, Stream, WriteHalf};
use crate::error::{Error, Result};

/// Requests written and not answered; more wait in `call`.
const IN_FLIGHT_MAX: u32 = 64;
/// Answers longer than this break the connection.
const RESPONSE_MAX: usize = 512 << 20;
/// Bytes that are reserved for an answer at once, whatever length it announces.
const READ_STEP: usize = 256 << 10;

/// What a connection needs to know.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// `client.id`: how the peer's logs and quotas name this side.
    pub client_id: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// How the connection is secured.
    pub security: Arc<ClientSecurity>,
}

/// A live connection whose versions have been negotiated.
#[derive(Debug)]
pub struct Connection {
    address: String,
    options: ConnectionOptions,
    versions: Versions,
    /// Until when the login holds; none if it does not end. Held for moments only.
    session: Option<Mutex<Session>>,
    /// Held by who logs in again.
    renewing: tokio::sync::Mutex<()>,
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct Shared {
    closed: AtomicBool,
    /// Wakes who waits for the end of the connection.
    ended: Notify,
    next_correlation_id: AtomicI32,
    /// Held by both tasks for moments only, never across an await.
    awaited: Mutex<VecDeque<Awaited>>,
    in_flight: Arc<Semaphore>,
}

#[derive(Debug)]
struct Awaited {
    correlation_id: i32,
    reply: oneshot::Sender<Bytes>,
    /// None of what belongs to a login, which has all places.
    _permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Outgoing {
    frame: Vec<u8>,
    then: Then,
}

#[derive(Debug)]
enum Then {
    Await(Awaited),
    /// Nothing comes back; told once it is written.
    Written(oneshot::Sender<()>),
}

impl Connection {
    /// Connects and negotiates versions. An error is [`Error::Unreachable`] if there is no
    /// connection.
    pub async fn open(address: &str, options: ConnectionOptions) -> Result<Self> {
        let unreachable = |source: io::Error| Error::Unreachable {
            address: address.to_owned(),
            source: Arc::new(source),
        };
        let opening = open_stream(address, &options);
        let (stream, session) = tokio::time::timeout(options.connect_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(unreachable)?;
        let (read, write) = stream.split();
        let shared = Arc::new(Shared {
            closed: AtomicBool::new(false),
            ended: Notify::new(),
            next_correlation_id: AtomicI32::new(0),
            awaited: Mutex::new(VecDeque::new()),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX as usize)),
        });
        let (outgoing, queue) = mpsc::unbounded_channel();
        let writer = tokio::spawn(write_frames(write, queue, Arc::clone(&shared))).abort_handle();
        let reader = tokio::spawn(read_frames(read, Arc::clone(&shared))).abort_handle();
        let mut connection = Self {
            address: address.to_owned(),
            options,
            versions: Versions::default(),
            session: session.ends().then(|| Mutex::new(session)),
            renewing: tokio::sync::Mutex::new(()),
            shared,
            outgoing,
            tasks: [writer, reader],
        };
        connection.versions = connection.negotiate().await?;
        Ok(connection)
    }

    /// What the broker speaks.
    pub const fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether it can no longer be used.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Waits until the connection can no longer be used: until the peer has closed it, for one.
    pub async fn closed(&self) {
        let ended = self.shared.ended.notified();
        tokio::pin!(ended);
        // Registered before the look, so that no end is missed.
        ended.as_mut().enable();
        if !self.is_closed() {
            ended.await;
        }
    }

    /// Sends a request and waits for its answer. A timeout closes the connection: answers come in
    /// order, so those behind the missing one would not come either.
    pub async fn call<R: Request>(
        &self,
        request: &R,
        version: i16,
        extra_wait: Duration,
    ) -> Result<R::Response> {
        let wait = self.options.request_timeout + extra_wait;
        let bytes = self.exchange(request, version, wait).await?;
        let (_, response) = frame::read_response::<R>(&bytes, version)
            .map_err(|source| Error::Decode { api: api_of::<R>(), source })?;
        Ok(response)
    }

    /// Sends a request that is not answered (Produce with acks=0).
    pub(crate) async fn send_only<R: Request>(&self, request: &R, version: i16) -> Result<()> {
        // Held until it is written: not in the midst of a login.
        let wait = self.options.request_timeout;
        let _permit = self.place_within::<R>(wait).await?;
        let (done, written) = oneshot::channel();
        let frame = frame::request(request, version, self.next_id(), &self.options.client_id);
        self.outgoing
            .send(Outgoing { frame, then: Then::Written(done) })
            .map_err(|_| self.disconnected())?;
        written.await.map_err(|_| self.disconnected())
    }

    async fn exchange<R: Request>(
        &self,
        request: &R,
        version: i16,
        wait: Duration,
    ) -> Result<Bytes> {
        let permit = self.place_within::<R>(wait).await?;
        if self.is_closed() {
            return Err(self.disconnected());
        }
        self.exchange_in(Some(permit), request, version, wait).await
    }

    /// As [`Self::place`]. Who gets none in time has not asked anything yet, and leaves the
    /// connection to those who have.
    async fn place_within<R: Request>(
        &self,
        wait: Duration,
    ) -> Result<tokio::sync::OwnedSemaphorePermit> {
        let place = tokio::time::timeout(wait, self.place()).await;
        place.unwrap_or_else(|_| Err(self.late::<R>(wait)))
    }

    fn late<R: Request>(&self, after: Duration) -> Error {
        Error::Timeout { what: format!("{} at {}", api_of::<R>().name(), self.address), after }
    }

    /// A place for one request on a connection whose login holds.
    async fn place(&self) -> Result<tokio::sync::OwnedSemaphorePermit> {
        let in_flight = || Arc::clone(&self.shared.in_flight);
        if let Some(session) = &self.session
            && is_due(session)
        {
            let _alone = self.renewing.lock().await;
            // Somebody else may have done it.
            if is_due(session) {
                let places = in_flight().acquire_many_owned(IN_FLIGHT_MAX).await;
                let _places = places.map_err(|_| self.disconnected())?;
                self.renew(session).await?;
            }
        }
        in_flight().acquire_owned().await.map_err(|_| self.disconnected())
    }

    /// Logs in again; all places are taken.
    async fn renew(&self, session: &Mutex<Session>) -> Result<()> {
        let half_way = CloseUnlessDone(Some(&self.shared));
        let before = *session.lock().unwrap_or_else(PoisonError::into_inner);
        let renewing = self.options.security.renew_on(Link::Shared(self), before);
        let renewed = tokio::time::timeout(self.options.request_timeout, renewing).await;
        match renewed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(renewed) => {
                *session.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
                half_way.done();
                Ok(())
            }
            Err(error) => {
                tracing::warn!(peer = self.address, "cannot log in again: {error}");
                Err(self.disconnected())
            }
        }
    }

    /// A request of a login, while all places are taken.
    pub(super) async fn ask_of_login<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> io::Result<R::Response> {
        let wait = self.options.request_timeout;
        let asked = self.exchange_in(None, request, version, wait).await;
        let bytes = asked.map_err(io::Error::other)?;
        let read = frame::read_response::<R>(&bytes, version);
        read.map(|(_, answer)| answer).map_err(io::Error::other)
    }

    async fn exchange_in<R: Request>(
        &self,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
        request: &R,
        version: i16,
        wait: Duration,
    ) -> Result<Bytes> {
        let (reply, answer) = oneshot::channel();
        let correlation_id = self.next_id();
        let frame = frame::request(request, version, correlation_id, &self.options.client_id);
        let awaited = Awaited { correlation_id, reply, _permit: permit };
        self.outgoing
            .send(Outgoing { frame, then: Then::Await(awaited) })
            .map_err(|_| self.disconnected())?;
        match tokio::time::timeout(wait, answer).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err(self.disconnected()),
            Err(_) => {
                self.shared.close();
                Err(self.late::<R>(wait))
            }
        }
    }

    /// ApiVersions, down to version 0 if the broker does not know ours (KIP-511).
    async fn negotiate(&self) -> Result<Versions> {
        let request = ApiVersionsRequest {
            client_software_name: "naru".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut version = *ApiVersionsRequest::VERSIONS.end();
        loop {
            // A peer that does not answer this at once is no broker.
            let limit = self.options.request_timeout.min(self.options.connect_timeout);
            let bytes = self.exchange(&request, version, limit).await?;
            let refused = is_unsupported(&bytes);
            let body_version = if refused { 0 } else { version };
            let (_, response) = frame::read_response::<ApiVersionsRequest>(&bytes, body_version)
                .map_err(|source| Error::Decode { api: ApiKey::ApiVersions, source })?;
            if !refused {
                Error::check(response.error_code)?;
                return Ok(Versions::of(&response));
            }
            if version == 0 {
                return Err(Error::code_only(ErrorCode::UnsupportedVersion));
            }
            version = next_lower(&response, version);
        }
    }

    fn next_id(&self) -> i32 {
        self.shared.next_correlation_id.fetch_add(1, Ordering::Relaxed)
    }

    fn disconnected(&self) -> Error {
        Error::Disconnected { address: self.address.clone() }
    }
}

/// Closes a connection whose login is given up half way: the broker waits for the rest of it.
struct CloseUnlessDone<'c>(Option<&'c Shared>);

impl CloseUnlessDone<'_> {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseUnlessDone<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.close();
        }
    }
}

fn is_due(session: &Mutex<Session>) -> bool {
    session.lock().unwrap_or_else(PoisonError::into_inner).is_due()
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    /// Everybody who waits for an answer learns that none will come.
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.in_flight.close();
        self.lock().clear();
        self.ended.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Awaited>> {
        // A panic elsewhere cannot leave the queue half changed: each use is one operation.
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is secured and logged in.
async fn open_stream(address: &str, options: &ConnectionOptions) -> io::Result<(Stream, Session)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    options.security.secure(stream, host, &options.client_id).await
}

fn api_of<R: Request>() -> ApiKey {
    ApiKey::from_key(R::KEY).unwrap_or(ApiKey::ApiVersions)
}

/// Whether an ApiVersions answer (after the correlation id) begins with UNSUPPORTED_VERSION.
fn is_unsupported(frame: &Bytes) -> bool {
    frame.get(4..6) == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes())
}

/// The version to try next: what the refusal names, or 0.
fn next_lower(refusal: &ApiVersionsResponse, tried: i16) -> i16 {
    refusal
        .api_keys
        .iter()
        .find(|api| api.api_key == ApiVersionsRequest::KEY)
        .map_or(0, |api| api.max_version.clamp(0, tried - 1))
}

async fn write_frames(
    mut socket: WriteHalf,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    shared: Arc<Shared>,
) {
    let mut buffer = Vec::new();
    let mut written = Vec::new();
    while let Some(first) = queue.recv().await {
        buffer.clear();
        let mut next = Some(first);
        // Frames that are ready leave in one write, as long as they are small together.
        while let Some(Outgoing { frame, then }) = next {
            if buffer.is_empty() {
                buffer = frame;
            } else {
                buffer.extend_from_slice(&frame);
            }
            match then {
                Then::Await(awaited) => shared.lock().push_back(awaited),
                Then::Written(done) => written.push(done),
            }
            next = if buffer.len() < READ_STEP { queue.try_recv().ok() } else { None };
        }
        // TLS keeps what is not flushed.
        let sent = async { socket.write_all(&buffer).await.and(socket.flush().await) };
        if sent.await.is_err() || shared.closed.load(Ordering::Acquire) {
            break;
        }
        for done in written.drain(..) {
            // Whoever has stopped waiting does not need to know.
            let _ = done.send(());
        }
    }
    shared.close();
}

async fn read_frames(mut socket: ReadHalf, shared: Arc<Shared>) {
    let mut buffer = BytesMut::with_capacity(16 << 10);
    while let Ok(Some(frame)) = read_frame(&mut socket, &mut buffer).await {
        let Some(awaited) = shared.lock().pop_front() else { break };
        let id = frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id));
        if id != Some(awaited.correlation_id) {
            tracing::warn!(?id, expected = awaited.correlation_id, "answer out of order");
            break;
        }
        // Whoever has stopped waiting does not need the answer.
        let _ = awaited.reply.send(frame);
    }
    shared.close();
}

async fn read_frame(socket: &mut ReadHalf, buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    if !fill(socket, buffer, 4).await? {
        return Ok(None);
    }
    let length = buffer.first_chunk::<4>().map_or(0, |length| i32::from_be_bytes(*length));
    let length = usize::try_from(length)
        .ok()
        .filter(|length| (4..=RESPONSE_MAX).contains(length))
        .ok_or(io::ErrorKind::InvalidData)?;
    if !fill(socket, buffer, 4 + length).await? {
        return Ok(None);
    }
    let mut frame = buffer.split_to(4 + length);
    Ok(Some(frame.split_off(4).freeze()))
}

/// Reads until `buffer` holds `wanted` bytes; false at the end of the stream.
async fn fill(socket: &mut ReadHalf, buffer: &mut BytesMut, wanted: usize) -> io::Result<bool> {
    while buffer.len() < wanted {
        buffer.reserve((wanted - buffer.len()).min(READ_STEP.max(buffer.len())));
        if socket.read_buf(buffer).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
