//! What a shard is configured with.

use crate::consumer::Assignor;
use crate::share::ShareConfig;

/// Settings of the group coordinator under Kafka's names, and the limits Kafka does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`
    pub max_size: usize,
    /// `offset.metadata.max.bytes`; Kafka counts UTF-16 units.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: i64,
    /// How long a member may take from its first join to its first answer before it is dropped;
    /// Kafka's constant of five minutes, for clients that vanish while they wait.
    pub new_member_join_timeout_ms: i64,
    /// Bytes that one record or one batch of records may have: the offsets topic's
    /// `max.message.bytes`. A group whose metadata cannot fit admits no more members.
    pub max_record_bytes: usize,
    /// Bytes that all protocols of one member may have together.
    pub max_member_metadata_bytes: usize,
    /// Members that have been given an id and have not used it yet, per group.
    pub max_pending_members: usize,
    /// Groups of the consumer protocol.
    pub consumer: ConsumerConfig,
    /// Groups of the streams protocol.
    pub streams: StreamsConfig,
    /// Share groups.
    pub share: ShareConfig,
}

/// `group.consumer.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// `group.consumer.session.timeout.ms`, with its bounds for groups that set their own.
    pub session_timeout_ms: Bounded,
    /// `group.consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Bounded,
    /// `group.consumer.assignment.interval.ms`: time between two assignments at least.
    pub assignment_interval_ms: Bounded,
    /// `group.consumer.max.size`
    pub max_size: usize,
    /// `group.consumer.assignors`: the first is the default.
    pub assignors: [Option<Assignor>; 2],
    /// `group.consumer.migration.policy`
    pub migration: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`
    pub regex_refresh_interval_ms: i32,
}

impl ConsumerConfig {
    /// The assignors offered, the default first.
    pub fn assignors(&self) -> impl Iterator<Item = Assignor> {
        self.assignors.iter().copied().flatten()
    }

    /// The assignor of this name, if it is offered.
    pub fn assignor(&self, name: &str) -> Option<Assignor> {
        self.assignors().find(|assignor| assignor.name() == name)
    }

    /// For groups whose members ask for none.
    pub fn default_assignor(&self) -> Assignor {
        self.assignors().next().unwrap_or(Assignor::Uniform)
    }
}

/// A setting that a group may set for itself within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded {
    /// For groups that set nothing.
    pub value: i32,
    /// Least a group can have.
    pub min: i32,
    /// Most a group can have.
    pub max: i32,
}

impl Bounded {
    /// What counts for a group that asks for `own`.
    pub fn of(self, own: Option<i32>) -> i32 {
        own.map_or(self.value, |own| own.min(self.max).max(self.min))
    }
}

/// Which groups may change between the classic and the consumer protocol while they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// None.
    Disabled,
    /// From classic to consumer.
    Upgrade,
    /// From consumer to classic.
    Downgrade,
    /// Both.
    Bidirectional,
}

impl MigrationPolicy {
    pub(crate) fn allows_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    pub(crate) fn allows_downgrade(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }

    pub(crate) fn is_disabled(self) -> bool {
        self == Self::Disabled
    }
}

/// What one consumer group sets for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsumerOverrides {
    /// `consumer.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
    /// `consumer.assignment.interval.ms`
    pub assignment_interval_ms: Option<i32>,
}

/// What counts for one consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConsumerSettings {
    pub(crate) session_timeout_ms: i32,
    pub(crate) heartbeat_interval_ms: i32,
    pub(crate) assignment_interval_ms: i32,
}

impl ConsumerSettings {
    pub(crate) fn new(config: &ConsumerConfig, own: ConsumerOverrides) -> Self {
        Self {
            session_timeout_ms: config.session_timeout_ms.of(own.session_timeout_ms),
            heartbeat_interval_ms: config.heartbeat_interval_ms.of(own.heartbeat_interval_ms),
            assignment_interval_ms: config.assignment_interval_ms.of(own.assignment_interval_ms),
        }
    }
}

/// `group.streams.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamsConfig {
    /// `group.streams.session.timeout.ms`, with its bounds for groups that set their own.
    pub session_timeout_ms: Bounded,
    /// `group.streams.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Bounded,
    /// `group.streams.assignment.interval.ms`: time between two assignments at least.
    pub assignment_interval_ms: Bounded,
    /// `group.streams.num.standby.replicas`
    pub standby_replicas: Bounded,
    /// `group.streams.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i32,
    /// `group.streams.max.size`
    pub max_size: usize,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self {
            session_timeout_ms: Bounded { value: 45_000, min: 45_000, max: 60_000 },
            heartbeat_interval_ms: Bounded { value: 5_000, min: 5_000, max: 15_000 },
            assignment_interval_ms: Bounded { value: 1_000, min: 0, max: 15_000 },
            standby_replicas: Bounded { value: 0, min: 0, max: 2 },
            initial_rebalance_delay_ms: 3_000,
            max_size: 2_147_483_647,
        }
    }
}

/// What one streams group sets for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamsOverrides {
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

/// What counts for one streams group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamsSettings {
    pub(crate) session_timeout_ms: i32,
    pub(crate) heartbeat_interval_ms: i32,
    pub(crate) assignment_interval_ms: i32,
    pub(crate) standby_replicas: i32,
    pub(crate) initial_rebalance_delay_ms: i32,
}

impl StreamsSettings {
    pub(crate) fn new(config: &StreamsConfig, own: StreamsOverrides) -> Self {
        let delay_ms = own.initial_rebalance_delay_ms;
        Self {
            session_timeout_ms: config.session_timeout_ms.of(own.session_timeout_ms),
            heartbeat_interval_ms: config.heartbeat_interval_ms.of(own.heartbeat_interval_ms),
            assignment_interval_ms: config.assignment_interval_ms.of(own.assignment_interval_ms),
            standby_replicas: config.standby_replicas.of(own.standby_replicas),
            initial_rebalance_delay_ms: delay_ms.unwrap_or(config.initial_rebalance_delay_ms),
        }
    }
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            session_timeout_ms: Bounded { value: 45_000, min: 45_000, max: 60_000 },
            heartbeat_interval_ms: Bounded { value: 5_000, min: 5_000, max: 15_000 },
            assignment_interval_ms: Bounded { value: 1_000, min: 0, max: 15_000 },
            max_size: 2_147_483_647,
            assignors: [Some(Assignor::Uniform), Some(Assignor::Range)],
            migration: MigrationPolicy::Bidirectional,
            regex_refresh_interval_ms: 600_000,
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: 2_147_483_647,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            new_member_join_timeout_ms: 5 * 60 * 1_000,
            max_record_bytes: 1_048_588,
            max_member_metadata_bytes: 4 << 20,
            max_pending_members: 10_000,
            consumer: ConsumerConfig::default(),
            streams: StreamsConfig::default(),
            share: ShareConfig::default(),
        }
    }
}
