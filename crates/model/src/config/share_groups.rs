//! The settings of share groups and of their coordinators (KIP-932).

use super::ConfigError;
use super::consumer_groups::{BoundedSetting, bounded, own_number};
use super::layers::{Layers, Props, Reader};

/// `group.share.*` as far as the group coordinator goes by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareGroupsConfig {
    /// Silence after which a member is removed.
    pub session_timeout_ms: BoundedSetting,
    /// How often members are asked to be heard of.
    pub heartbeat_interval_ms: BoundedSetting,
    /// Shortest time between two assignments.
    pub assignment_interval_ms: BoundedSetting,
    /// Most members.
    pub max_size: i32,
    /// Pause before a share partition's state is initialized again.
    pub initialize_retry_interval_ms: i32,
}

impl ShareGroupsConfig {
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
                "group.share.session.timeout.ms",
                "group.share.min.session.timeout.ms",
                "group.share.max.session.timeout.ms",
            )?,
            heartbeat_interval_ms: bounded(
                read,
                "group.share.heartbeat.interval.ms",
                "group.share.min.heartbeat.interval.ms",
                "group.share.max.heartbeat.interval.ms",
            )?,
            assignment_interval_ms: bounded(
                read,
                "group.share.assignment.interval.ms",
                "group.share.min.assignment.interval.ms",
                "group.share.max.assignment.interval.ms",
            )?,
            max_size: read.int("group.share.max.size")?,
            initialize_retry_interval_ms: read.int("group.share.initialize.retry.interval.ms")?,
        })
    }
}

/// What one share group sets for itself, as far as the group coordinator goes by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShareGroupOwn {
    /// `share.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `share.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
    /// `share.assignment.interval.ms`
    pub assignment_interval_ms: Option<i32>,
}

impl ShareGroupOwn {
    /// Reads a group's configuration.
    pub fn of(group: &Props) -> Self {
        let number = |name: &str| own_number(group, name);
        Self {
            session_timeout_ms: number("share.session.timeout.ms"),
            heartbeat_interval_ms: number("share.heartbeat.interval.ms"),
            assignment_interval_ms: number("share.assignment.interval.ms"),
        }
    }
}

/// `share.coordinator.*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareCoordinatorConfig {
    /// Partitions of `__share_group_state`.
    pub topic_num_partitions: i32,
    /// Replicas of `__share_group_state`.
    pub topic_replication_factor: i16,
    /// In-sync replicas it needs.
    pub topic_min_isr: i32,
    /// Segment size of `__share_group_state`.
    pub topic_segment_bytes: u32,
    /// Codec id of its records; 0 is none.
    pub topic_compression_codec: i32,
    /// How often records that are needed no more are cut off.
    pub prune_interval_ms: i64,
    /// Updates between two snapshots.
    pub updates_per_snapshot: u32,
    /// How often what has not changed is written anew.
    pub cold_snapshot_interval_ms: i64,
    /// How long a write waits to be replicated.
    pub write_timeout_ms: i32,
}

impl ShareCoordinatorConfig {
    pub(super) fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        const UPDATES: &str = "share.coordinator.snapshot.update.records.per.snapshot";
        const COLD: &str = "share.coordinator.cold.partition.snapshot.interval.ms";
        const PRUNE: &str = "share.coordinator.state.topic.prune.interval.ms";
        let segment_bytes = read.int("share.coordinator.state.topic.segment.bytes")?;
        let factor = read.long("share.coordinator.state.topic.replication.factor")?;
        let min_isr = read.long("share.coordinator.state.topic.min.isr")?;
        Ok(Self {
            topic_num_partitions: read.int("share.coordinator.state.topic.num.partitions")?,
            topic_replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            topic_min_isr: i32::try_from(min_isr).unwrap_or(i32::MAX),
            topic_segment_bytes: segment_bytes.unsigned_abs(),
            topic_compression_codec: read.int("share.coordinator.state.topic.compression.codec")?,
            prune_interval_ms: i64::from(read.int(PRUNE)?),
            updates_per_snapshot: read.int(UPDATES)?.unsigned_abs(),
            cold_snapshot_interval_ms: i64::from(read.int(COLD)?),
            write_timeout_ms: read.int("share.coordinator.write.timeout.ms")?,
        })
    }
}
