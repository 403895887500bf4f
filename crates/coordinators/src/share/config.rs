//! What share groups are configured with.

use crate::config::Bounded;

/// `group.share.*` as far as the group coordinator goes by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareConfig {
    /// `group.share.session.timeout.ms`, with its bounds for groups that set their own.
    pub session_timeout_ms: Bounded,
    /// `group.share.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Bounded,
    /// `group.share.assignment.interval.ms`: time between two assignments at least.
    pub assignment_interval_ms: Bounded,
    /// `group.share.max.size`
    pub max_size: usize,
    /// `group.share.initialize.retry.interval.ms`
    pub initialize_retry_interval_ms: i32,
}

impl Default for ShareConfig {
    fn default() -> Self {
        Self {
            session_timeout_ms: Bounded { value: 45_000, min: 45_000, max: 60_000 },
            heartbeat_interval_ms: Bounded { value: 5_000, min: 5_000, max: 15_000 },
            assignment_interval_ms: Bounded { value: 1_000, min: 0, max: 15_000 },
            max_size: 200,
            initialize_retry_interval_ms: 30_000,
        }
    }
}

/// What one share group sets for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShareOverrides {
    /// `share.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `share.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
    /// `share.assignment.interval.ms`
    pub assignment_interval_ms: Option<i32>,
}

/// What counts for one share group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShareSettings {
    pub(super) session_timeout_ms: i32,
    pub(super) heartbeat_interval_ms: i32,
    pub(super) assignment_interval_ms: i32,
}

impl ShareSettings {
    pub(super) fn new(config: &ShareConfig, own: ShareOverrides) -> Self {
        Self {
            session_timeout_ms: config.session_timeout_ms.of(own.session_timeout_ms),
            heartbeat_interval_ms: config.heartbeat_interval_ms.of(own.heartbeat_interval_ms),
            assignment_interval_ms: config.assignment_interval_ms.of(own.assignment_interval_ms),
        }
    }
}
