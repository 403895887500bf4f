//! What a node says of itself when it has started.

use naru_log::Recovery;
use naru_model::config::SecurityProtocol;

/// A listener, in words.
#[derive(Debug, Clone)]
pub struct ListenerSummary {
    /// As in `listeners`.
    pub name: String,
    /// How it is secured.
    pub protocol: SecurityProtocol,
    /// Where it is bound.
    pub bound: String,
    /// What clients are told.
    pub told: String,
}

/// For the start text.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Of the cluster.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: i32,
    /// The log directories.
    pub data_dirs: Vec<String>,
    /// Whether no node has run on them before.
    pub is_new: bool,
    /// Partitions opened.
    pub partitions: usize,
    /// Those that clients use.
    pub listeners: Vec<ListenerSummary>,
    /// Where HTTP is served.
    pub http: Option<String>,
    /// Why HTTP is not served although it should be.
    pub http_problem: Option<String>,
    /// Whether the last stop was clean.
    pub was_clean: bool,
    /// What recovery found and did.
    pub recovery: Recovery,
    /// Milliseconds that opening the logs took.
    pub recovery_ms: u128,
}
