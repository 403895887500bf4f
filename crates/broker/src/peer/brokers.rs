//! Connections to other brokers by which one coordinator asks another, or leaders for markers.
//!
//! Requests of several tasks share a connection and do not wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use naru_client::net::{Connection, ConnectionOptions};
use naru_model::ErrorCode;
use naru_protocol::Request;
use tokio::sync::Mutex;

use super::marker_queue::MarkerQueues;
use crate::node::Node;

/// What is kept between requests: one connection a broker.
#[derive(Debug)]
pub(crate) struct BrokerLinks {
    options: ConnectionOptions,
    markers: MarkerQueues,
    slots: std::sync::Mutex<HashMap<i32, Arc<Mutex<Slot>>>>,
}

/// The connection to one broker, and the address it goes to. Its lock is held while it is opened:
/// who waits for it waits for no other broker.
type Slot = Option<(String, Arc<Connection>)>;

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
        let connection = self.connect(node, broker).await?;
        let version =
            connection.versions().pick::<R>(i16::MAX).map_err(|_| ErrorCode::UnsupportedVersion)?;
        connection.call(request, version, Duration::ZERO).await.map_err(|error| {
            tracing::debug!(broker, %error, "no answer");
            ErrorCode::NetworkException
        })
    }

    async fn connect(&self, node: &Arc<Node>, broker: i32) -> Result<Arc<Connection>, ErrorCode> {
        let image = node.image();
        let listener = &node.config().listeners.inter_broker;
        let known = image.broker(broker).filter(|known| !known.fenced);
        let endpoint = known
            .and_then(|known| known.endpoint(listener))
            .ok_or(ErrorCode::BrokerNotAvailable)?;
        let address = super::address(&endpoint.host, endpoint.port);
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(broker).or_default())
        };
        let mut slot = slot.lock().await;
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
