//! What a handler knows of its request besides the body.

use std::sync::Arc;

use naru_protocol::Message;
use naru_protocol::api::ApiKey;

use super::Reply;
use crate::listener::{ConnectionInfo, Outgoing};
use crate::node::Node;

/// One request's surroundings.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) node: Arc<Node>,
    pub(crate) connection: Arc<ConnectionInfo>,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<String>,
}

impl RequestContext {
    /// Frames the answer.
    pub(crate) fn frame<M: Message>(&self, message: &M) -> Outgoing {
        self.reply().frame(message)
    }

    pub(crate) fn reply(&self) -> Reply {
        Reply { api: self.api, version: self.version, correlation_id: self.correlation_id }
    }

    pub(crate) fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }

    /// The peer as Kafka's group APIs show it: `/127.0.0.1`.
    pub(crate) fn client_host(&self) -> String {
        format!("/{}", self.connection.peer.ip().to_canonical())
    }
}
