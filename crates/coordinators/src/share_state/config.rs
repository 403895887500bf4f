//! What a share coordinator is configured with.

/// Settings under Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareStateConfig {
    /// `share.coordinator.snapshot.update.records.per.snapshot`
    pub updates_per_snapshot: u32,
    /// `share.coordinator.cold.partition.snapshot.interval.ms`
    pub cold_snapshot_interval_ms: i64,
    /// `share.coordinator.state.topic.prune.interval.ms`
    pub prune_interval_ms: i64,
}

impl Default for ShareStateConfig {
    fn default() -> Self {
        Self {
            updates_per_snapshot: 500,
            cold_snapshot_interval_ms: 300_000,
            prune_interval_ms: 300_000,
        }
    }
}
