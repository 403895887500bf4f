//! What a shard is configured with.

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
        }
    }
}
