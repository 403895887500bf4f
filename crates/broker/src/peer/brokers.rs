//! Connections to other brokers by which one coordinator asks another, or leaders for markers.
//!
//! Requests of several tasks share a connection: they go out without waiting for each other, but a
//! broker answers them in order. So what may take long has connections of its own: markers, see
//! `marker_lane.rs`.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use naru_client::net::{Connection, ConnectionOptions};
use naru_model::ErrorCode;
use naru_protocol::Request;
use tokio::sync::Mutex;

use super::marker_queue::MarkerQueues;
use crate::node::Node;

/// How much longer than it may take a slow answer is waited for: it is one of many results, of
/// which most are good.
const SLOW_ANSWER_GRACE: Duration = Duration::from_secs(5);

/// What is kept between requests: one connection a broker, and those of markers.
#[derive(Debug)]
pub(crate) struct BrokerLinks {
    options: ConnectionOptions,
    markers: MarkerQueues,
    slots: std::sync::Mutex<HashMap<i32, Slot>>,
}

/// A place for one connection to one broker. Its lock is held while the connection is opened: who
/// waits for it waits for no other broker.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Open>>>);

/// A connection and the address it goes to.
type Open = (String, Arc<Connection>);

impl BrokerLinks {
    pub(crate) fn new(options: ConnectionOptions) -> Self {
        Self { options, markers: MarkerQueues::default(), slots: std::sync::Mutex::default() }
    }

    /// Markers that wait for requests.
    pub(super) fn markers(&self) -> &MarkerQueues {
        &self.markers
    }

    /// Asks a broker, once; NETWORK_EXCEPTION if it cannot be reached or does not answer.
    pub(crate) async fn call<R: Request>(
        &self,
        node: &Arc<Node>,
        broker: i32,
        request: &R,
    ) -> Result<R::Response, ErrorCode> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.entry(broker).or_default().clone()
        };
        let connection = self.connect(node, broker, &slot).await?;
        ask(&connection, request, Duration::ZERO).await
    }

    /// Asks a broker that keeps the answer back for `answered_in` at most: it is waited for longer.
    pub(super) async fn ask_slow<R: Request>(
        &self,
        connection: &Connection,
        request: &R,
        answered_in: Duration,
    ) -> Result<R::Response, ErrorCode> {
        let wait = answered_in + SLOW_ANSWER_GRACE;
        ask(connection, request, wait.saturating_sub(self.options.request_timeout)).await
    }

    /// The connection in a slot, opened if need be.
    pub(super) async fn connect(
        &self,
        node: &Arc<Node>,
        broker: i32,
        slot: &Slot,
    ) -> Result<Arc<Connection>, ErrorCode> {
        let image = node.image();
        let listener = &node.config().listeners.inter_broker;
        let known = image.broker(broker).filter(|known| !known.fenced);
        let endpoint = known
            .and_then(|known| known.endpoint(listener))
            .ok_or(ErrorCode::BrokerNotAvailable)?;
        let address = super::address(&endpoint.host, endpoint.port);
        let mut slot = slot.0.lock().await;
        if let Some((known, open)) = &*slot
            && *known == address
            && !open.is_closed()
        {
            return Ok(Arc::clone(open));
        }
        let options = self.options.clone();
        // A connection's tasks live on the runtime that opened it: not on a network thread's.
        let opening = node.background().spawn({
            let address = address.clone();
            async move { Connection::open(&address, options).await }
        });
        let opened = opening.await.map_err(|_| ErrorCode::NetworkException)?;
        let opened = Arc::new(opened.map_err(|error| {
            tracing::debug!(broker, %error, "no connection");
            ErrorCode::NetworkException
        })?);
        *slot = Some((address, Arc::clone(&opened)));
        Ok(opened)
    }
}

async fn ask<R: Request>(
    connection: &Connection,
    request: &R,
    extra_wait: Duration,
) -> Result<R::Response, ErrorCode> {
    let version =
        connection.versions().pick::<R>(i16::MAX).map_err(|_| ErrorCode::UnsupportedVersion)?;
    connection.call(request, version, extra_wait).await.map_err(|error| {
        tracing::debug!(broker = connection.address(), %error, "no answer");
        ErrorCode::NetworkException
    })
}
