//! The settings of groups of the streams protocol (KIP-1071).

use super::ConfigError;
use super::consumer_groups::{BoundedSetting, bounded, own_number};
use super::layers::{Layers, Props, Reader};

/// `group.streams.*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsGroupsConfig {
    /// Silence after which a member is removed.
    pub session_timeout_ms: BoundedSetting,
    /// How often members are asked to be heard of.
    pub heartbeat_interval_ms: BoundedSetting,
    /// Shortest time between two assignments.
    pub assignment_interval_ms: BoundedSetting,
    /// Standby copies of each stateful task.
    pub standby_replicas: BoundedSetting,
    /// Wait for more members before the first assignment.
    pub initial_rebalance_delay_ms: i32,
    /// Most members.
    pub max_size: i32,
}

impl StreamsGroupsConfig {
    /// The settings that count now.
    ///
    /// # Errors
    /// A value that is wrong or outside of its bounds.
    pub fn resolve(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        Self::read(&Reader::broker(*layers))
    }

    pub(super) fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let replicas = "group.streams.num.standby.replicas";
        let (value, max) = (read.int(replicas)?, read.int("group.streams.max.standby.replicas")?);
        if value > max {
            let problem = format!("{value} is more than group.streams.max.standby.replicas, {max}");
            return Err(ConfigError::node(replicas, problem));
        }
        Ok(Self {
            session_timeout_ms: bounded(
                read,
                "group.streams.session.timeout.ms",
                "group.streams.min.session.timeout.ms",
                "group.streams.max.session.timeout.ms",
            )?,
            heartbeat_interval_ms: bounded(
                read,
                "group.streams.heartbeat.interval.ms",
                "group.streams.min.heartbeat.interval.ms",
                "group.streams.max.heartbeat.interval.ms",
            )?,
            assignment_interval_ms: bounded(
                read,
                "group.streams.assignment.interval.ms",
                "group.streams.min.assignment.interval.ms",
                "group.streams.max.assignment.interval.ms",
            )?,
            standby_replicas: BoundedSetting { value, min: 0, max },
            initial_rebalance_delay_ms: read.int("group.streams.initial.rebalance.delay.ms")?,
            max_size: read.int("group.streams.max.size")?,
        })
    }
}

/// What one streams group sets for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamsGroupOwn {
    /// `streams.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `streams.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
    /// `streams.assignment.interval.ms`
    pub assignment_interval_ms: Option<i32>,
    /// `streams.num.standby.replicas`
    pub standby_replicas: Option<i32>,
    /// `streams.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: Option<i32>,
}

impl StreamsGroupOwn {
    /// Reads a group's configuration.
    pub fn of(group: &Props) -> Self {
        let number = |name: &str| own_number(group, name);
        Self {
            session_timeout_ms: number("streams.session.timeout.ms"),
            heartbeat_interval_ms: number("streams.heartbeat.interval.ms"),
            assignment_interval_ms: number("streams.assignment.interval.ms"),
            standby_replicas: number("streams.num.standby.replicas"),
            initial_rebalance_delay_ms: number("streams.initial.rebalance.delay.ms"),
        }
    }
}
