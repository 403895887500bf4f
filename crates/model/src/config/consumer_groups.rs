//! The settings of groups of the consumer protocol (KIP-848).

use super::ConfigError;
use super::layers::{Layers, Props, Reader};

/// A setting that a group may set for itself within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundedSetting {
    /// For groups that set nothing.
    pub value: i32,
    /// Least a group can have.
    pub min: i32,
    /// Most a group can have.
    pub max: i32,
}

/// `group.consumer.*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupsConfig {
    /// Silence after which a member is removed.
    pub session_timeout_ms: BoundedSetting,
    /// How often members are asked to be heard of.
    pub heartbeat_interval_ms: BoundedSetting,
    /// Shortest time between two assignments.
    pub assignment_interval_ms: BoundedSetting,
    /// Most members.
    pub max_size: i32,
    /// Assignors by name or class, the default first.
    pub assignors: Vec<String>,
    /// Which changes between the classic and consumer protocols are allowed.
    pub migration_policy: String,
    /// How often patterns are matched anew.
    pub regex_refresh_interval_ms: i32,
}

impl ConsumerGroupsConfig {
    /// The settings that count now.
    ///
    /// # Errors
    /// A value that is wrong or outside of its bounds.
    pub fn resolve(layers: &Layers<'_>) -> Result<Self, ConfigError> {
        Self::read(&Reader::broker(*layers))
    }

    pub(super) fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            session_timeout_ms: bounded(
                read,
                "group.consumer.session.timeout.ms",
                "group.consumer.min.session.timeout.ms",
                "group.consumer.max.session.timeout.ms",
            )?,
            heartbeat_interval_ms: bounded(
                read,
                "group.consumer.heartbeat.interval.ms",
                "group.consumer.min.heartbeat.interval.ms",
                "group.consumer.max.heartbeat.interval.ms",
            )?,
            assignment_interval_ms: bounded(
                read,
                "group.consumer.assignment.interval.ms",
                "group.consumer.min.assignment.interval.ms",
                "group.consumer.max.assignment.interval.ms",
            )?,
            max_size: read.int("group.consumer.max.size")?,
            assignors: read.list("group.consumer.assignors")?.unwrap_or_default(),
            migration_policy: read.text("group.consumer.migration.policy")?.unwrap_or_default(),
            regex_refresh_interval_ms: read.int("group.consumer.regex.refresh.interval.ms")?,
        })
    }
}

pub(super) fn bounded(
    read: &Reader<'_>,
    name: &'static str,
    min: &'static str,
    max: &'static str,
) -> Result<BoundedSetting, ConfigError> {
    let (value, least, most) = (read.int(name)?, read.int(min)?, read.int(max)?);
    if least > most {
        return Err(ConfigError::node(max, format!("{most} is less than {min}, {least}")));
    }
    if !(least..=most).contains(&value) {
        let problem = format!("{value} is not between {min}, {least}, and {max}, {most}");
        return Err(ConfigError::node(name, problem));
    }
    Ok(BoundedSetting { value, min: least, max: most })
}

/// A number that a group sets for itself. What is none, which the check at the change keeps out,
/// counts as not set.
pub(super) fn own_number(group: &Props, name: &str) -> Option<i32> {
    group.get(name)?.trim().parse().ok()
}

/// What one consumer group sets for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsumerGroupOwn {
    /// `consumer.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
    /// `consumer.assignment.interval.ms`
    pub assignment_interval_ms: Option<i32>,
}

impl ConsumerGroupOwn {
    /// Reads a group's configuration.
    pub fn of(group: &Props) -> Self {
        let number = |name: &str| own_number(group, name);
        Self {
            session_timeout_ms: number("consumer.session.timeout.ms"),
            heartbeat_interval_ms: number("consumer.heartbeat.interval.ms"),
            assignment_interval_ms: number("consumer.assignment.interval.ms"),
        }
    }
}
