//! What a handler knows of its request besides the body.

use std::sync::Arc;

use naru_protocol::Message;
use naru_protocol::api::ApiKey;
use naru_quotas::MutationQuota;

use super::Reply;
use crate::listener::{ConnectionInfo, Outgoing};
use crate::node::Node;
use crate::quotas::{Metered, Who};

/// One request's surroundings.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) node: Arc<Node>,
    pub(crate) connection: Arc<ConnectionInfo>,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<String>,
    /// The time it takes, if the sender is limited in that.
    pub(crate) metered: Option<Arc<Metered>>,
}

impl RequestContext {
    /// Frames the answer.
    pub(crate) fn frame<M: Message>(&self, message: M) -> Outgoing {
        self.reply().frame(message)
    }

    pub(crate) fn reply(&self) -> Reply {
        Reply { api: self.api, version: self.version, correlation_id: self.correlation_id }
    }

    pub(crate) fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }

    /// Whose quotas count.
    pub(crate) fn who(&self) -> Who<'_> {
        Who { user: &self.connection.principal.name, client_id: self.client_id() }
    }

    /// What the sender may change of the cluster; the node itself may change what it has to.
    pub(crate) fn mutations(&self, strict: bool) -> MutationQuota {
        if self.connection.own {
            return MutationQuota::unlimited();
        }
        self.node.quotas().mutations(self.who(), strict)
    }

    /// Remembers what the sender has left; how long it is to wait.
    pub(crate) fn mutated(&self, quota: &MutationQuota) -> i32 {
        self.node.quotas().mutated(self.who(), quota)
    }

    /// Frames the answer to a request that may have been too much for its sender; `throttle_ms` is
    /// what its bytes ask for.
    pub(crate) fn finish<M: Message>(&self, message: M, throttle_ms: u32) -> Outgoing {
        finish(self.reply(), self.metered.as_deref(), message, throttle_ms)
    }

    /// The peer as Kafka's group APIs show it: `/127.0.0.1`.
    pub(crate) fn client_host(&self) -> String {
        format!("/{}", self.connection.peer.ip().to_canonical())
    }
}

/// As [`RequestContext::finish`], where the context is gone.
pub(super) fn finish<M: Message>(
    reply: Reply,
    metered: Option<&Metered>,
    mut message: M,
    throttle_ms: u32,
) -> Outgoing {
    let told_ms = u32::try_from(message.throttle_time_ms()).unwrap_or(0);
    let ms = metered.map_or(0, Metered::throttle_ms).max(throttle_ms).max(told_ms);
    if ms > 0 {
        message.set_throttle_time_ms(i32::try_from(ms).unwrap_or(i32::MAX));
    }
    Outgoing { throttle_ms: ms, ..reply.frame(message) }
}
