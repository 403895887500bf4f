//! A member of a classic group.

use std::sync::Arc;

use bytes::Bytes;
use naru_protocol::messages::join_group_request::JoinGroupRequestProtocol;

use crate::reply::ReplyToken;

/// A member, and what it waits for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// Protocols in the member's order of preference, each name once.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// It has not been answered a join yet, so its session counts from the join itself.
    pub(crate) is_new: bool,
    pub(crate) awaiting_join: Option<ReplyToken>,
    pub(crate) awaiting_sync: Option<ReplyToken>,
}

impl Member {
    /// The metadata it gave for `protocol`; empty if it does not know that protocol.
    pub(crate) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| Some(name.as_str()) == protocol)
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    /// A waiting member cannot send heartbeats; it is alive until it is answered.
    pub(crate) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// What this member can cost a record at most, assignment aside.
    pub(crate) fn record_bytes(&self) -> usize {
        let texts = 2 * self.id.len() + self.client_id.len() + self.client_host.len();
        texts + MEMBER_OVERHEAD + largest(&self.protocols)
    }
}

/// The largest metadata among `protocols`.
pub(crate) fn largest(protocols: &[(String, Bytes)]) -> usize {
    protocols.iter().map(|(_, metadata)| metadata.len()).max().unwrap_or_default()
}

/// The protocols of a request: each name once, and in memory of their own, so that a small
/// subscription does not keep a large frame alive.
pub(crate) fn owned_protocols(requested: &[JoinGroupRequestProtocol]) -> Vec<(String, Bytes)> {
    let mut protocols: Vec<(String, Bytes)> = Vec::new();
    for protocol in requested {
        if !protocols.iter().any(|(name, _)| *name == protocol.name) {
            protocols.push((protocol.name.clone(), Bytes::copy_from_slice(&protocol.metadata)));
        }
    }
    protocols
}

/// Lengths and numbers of a member in a group's record, rounded up.
const MEMBER_OVERHEAD: usize = 64;
