//! This node's way to the active controller: directly if it is this node, by its controller
//! listener if it is another.
//!
//! Two connections: one for what keeps the broker registered, which must not wait behind the
//! rest, and one for the rest.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use naru_client::net::{Connection, ConnectionOptions};
use naru_model::ErrorCode;
use naru_protocol::api::ApiKey;
use naru_protocol::frame::RequestHeader;
use naru_protocol::messages::default_principal_data::DefaultPrincipalData;
use naru_protocol::messages::envelope_request::EnvelopeRequest;
use naru_protocol::{Message as _, Request, Writer};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::api::controller::Refuse;
use crate::dispatch::{Decided, RequestContext, decide, unframe};
use crate::listener::{ConnectionInfo, Outgoing};
use crate::metadata::Leadership;
use crate::node::Node;

/// Pause before a request is tried again that met no active controller.
const RETRY: Duration = Duration::from_millis(20);

/// What is kept between requests.
#[derive(Debug)]
pub(crate) struct LinkState {
    lifecycle: Slot,
    requests: Slot,
}

/// One connection and how it is made.
#[derive(Debug)]
struct Slot {
    options: ConnectionOptions,
    open: Mutex<Option<(String, Arc<Connection>)>>,
}

impl LinkState {
    /// Heartbeats that wait longer than `lifecycle_max` are given up: a session is at stake.
    pub(crate) fn new(options: ConnectionOptions, lifecycle_max: Duration) -> Self {
        let lifecycle = ConnectionOptions {
            connect_timeout: options.connect_timeout.min(lifecycle_max),
            request_timeout: options.request_timeout.min(lifecycle_max),
            ..options.clone()
        };
        Self { lifecycle: Slot::new(lifecycle), requests: Slot::new(options) }
    }
}

impl Slot {
    fn new(options: ConnectionOptions) -> Self {
        Self { options, open: Mutex::default() }
    }
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ControllerLink<'n> {
    node: &'n Arc<Node>,
    state: &'n LinkState,
}

impl<'n> ControllerLink<'n> {
    pub(crate) fn new(node: &'n Arc<Node>, state: &'n LinkState) -> Self {
        Self { node, state }
    }

    /// Asks the active controller, once. NOT_CONTROLLER if none is known or it is not the one any
    /// more, NETWORK_EXCEPTION if it cannot be reached: both are worth another try.
    pub(crate) async fn send<R>(&self, request: R) -> Result<R::Response, ErrorCode>
    where
        R: Refuse + Send + Sync + 'static,
    {
        self.send_by(&self.state.requests, request).await
    }

    /// As [`Self::send`], for registration and heartbeats.
    pub(crate) async fn send_lifecycle<R>(&self, request: R) -> Result<R::Response, ErrorCode>
    where
        R: Refuse + Send + Sync + 'static,
    {
        self.send_by(&self.state.lifecycle, request).await
    }

    async fn send_by<R>(&self, slot: &Slot, request: R) -> Result<R::Response, ErrorCode>
    where
        R: Refuse + Send + Sync + 'static,
    {
        let leadership = self.leadership();
        if leadership.active_here {
            let version = *R::VERSIONS.end();
            let context = self.own_context(R::KEY, version);
            let body = Bytes::from(request.to_bytes(version));
            let deciding = decide(context, &body).map_err(|_| ErrorCode::UnsupportedVersion)?;
            let Decided { answer, not_controller } = deciding.await;
            if not_controller {
                return Err(ErrorCode::NotController);
            }
            return unframe::<R>(&answer, version).ok_or(ErrorCode::UnknownServerError);
        }
        self.while_it_leads(&leadership, async {
            let connection = self.connect(slot, &leadership).await?;
            let version = connection
                .versions()
                .pick::<R>(i16::MAX)
                .map_err(|_| ErrorCode::UnsupportedVersion)?;
            call(&connection, &request, version).await
        })
        .await
    }

    /// Gives `asking` up when somebody else leads: the old leader may be cut off, and its answer
    /// would count for nothing.
    async fn while_it_leads<T>(
        &self,
        leadership: &Leadership,
        asking: impl Future<Output = Result<T, ErrorCode>>,
    ) -> Result<T, ErrorCode> {
        let mut news = self.node.metadata().leadership();
        let replaced = news.wait_for(|now| now.leader.is_some() && now.leader != leadership.leader);
        tokio::select! {
            answer = asking => answer,
            _ = replaced => Err(ErrorCode::NotController),
        }
    }

    /// Has the active controller answer a client's request, and tries again while there is none.
    pub(crate) async fn forward(
        &self,
        context: RequestContext,
        body: Bytes,
    ) -> Result<Outgoing, ErrorCode> {
        let wait = Duration::from_millis(self.node.config().sockets.request_timeout_ms);
        let deadline = Instant::now() + wait;
        let mut news = self.node.metadata().leadership();
        loop {
            let leadership = news.borrow_and_update().clone();
            let tried = timeout_at(deadline, self.forward_once(&leadership, &context, &body)).await;
            match tried {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if is_worth_a_retry(error) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(ErrorCode::RequestTimedOut),
            }
            // Until somebody else leads, or for a moment.
            let _ = timeout_at(deadline.min(Instant::now() + RETRY), news.changed()).await;
            if Instant::now() >= deadline {
                return Err(ErrorCode::RequestTimedOut);
            }
        }
    }

    async fn forward_once(
        &self,
        leadership: &Leadership,
        context: &RequestContext,
        body: &Bytes,
    ) -> Result<Outgoing, ErrorCode> {
        if leadership.active_here {
            let deciding =
                decide(context.clone(), body).map_err(|_| ErrorCode::UnsupportedVersion)?;
            let Decided { answer, not_controller } = deciding.await;
            return if not_controller { Err(ErrorCode::NotController) } else { Ok(answer) };
        }
        let response = self
            .while_it_leads(leadership, async {
                let connection = self.connect(&self.state.requests, leadership).await?;
                call(&connection, &envelope(context, body), 0).await
            })
            .await?;
        match (ErrorCode::from_code(response.error_code), response.response_data) {
            (ErrorCode::None, Some(data)) => Ok(Outgoing::framed(&data)),
            (ErrorCode::None, None) => Err(ErrorCode::UnknownServerError),
            (error, _) => Err(error),
        }
    }

    fn leadership(&self) -> Leadership {
        self.node.metadata().leadership().borrow().clone()
    }

    /// The context of a request that this node asks itself.
    fn own_context(&self, key: i16, version: i16) -> RequestContext {
        RequestContext {
            node: Arc::clone(self.node),
            connection: Arc::new(ConnectionInfo::own()),
            api: ApiKey::from_key(key).unwrap_or(ApiKey::ApiVersions),
            version,
            correlation_id: 0,
            client_id: None,
            metered: None,
        }
    }

    async fn connect(
        &self,
        slot: &Slot,
        leadership: &Leadership,
    ) -> Result<Arc<Connection>, ErrorCode> {
        let (host, port) = leadership.endpoint.as_ref().ok_or(ErrorCode::NotController)?;
        if leadership.leader == Some(self.node.id()) {
            // It leads, but is not active yet.
            return Err(ErrorCode::NotController);
        }
        let address = super::address(host, *port);
        let mut open_slot = slot.open.lock().await;
        if let Some((known, open)) = open_slot.as_ref()
            && *known == address
            && !open.is_closed()
        {
            return Ok(Arc::clone(open));
        }
        let options = slot.options.clone();
        // A connection's tasks live on the runtime that opened it: not on a network thread's.
        let opening = self.node.background().spawn({
            let address = address.clone();
            async move { Connection::open(&address, options).await }
        });
        let opened = opening.await.map_err(|_| ErrorCode::NetworkException)?;
        let opened = Arc::new(opened.map_err(|error| {
            tracing::debug!(%error, "no connection to the active controller");
            ErrorCode::NetworkException
        })?);
        *open_slot = Some((address, Arc::clone(&opened)));
        Ok(opened)
    }
}

async fn call<R: Request>(
    connection: &Connection,
    request: &R,
    version: i16,
) -> Result<R::Response, ErrorCode> {
    connection.call(request, version, Duration::ZERO).await.map_err(|error| {
        tracing::debug!(%error, "no answer from the active controller");
        ErrorCode::NetworkException
    })
}

fn is_worth_a_retry(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::NotController | ErrorCode::NetworkException)
}

/// A client's request as a broker passes it on (KIP-590).
fn envelope(context: &RequestContext, body: &Bytes) -> EnvelopeRequest {
    let header = RequestHeader {
        api_key: context.api.key(),
        api_version: context.version,
        correlation_id: context.correlation_id,
        client_id: context.client_id.clone(),
    };
    let mut request = Writer::default();
    header.write(context.api, &mut request);
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    // Version 0 after two bytes that say so, as Kafka's serde writes a principal.
    let who = &context.connection.principal;
    let principal = DefaultPrincipalData {
        type_: who.kind.clone(),
        name: who.name.clone(),
        token_authenticated: who.token_authenticated,
    };
    let mut bytes = 0i16.to_be_bytes().to_vec();
    bytes.extend(principal.to_bytes(0));
    let address = match context.connection.peer.ip().to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    EnvelopeRequest {
        request_data: request.into(),
        request_principal: Some(bytes.into()),
        client_host_address: address.into(),
    }
}
