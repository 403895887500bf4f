//! What a shard of the transaction coordinator is configured with.

use super::metadata::TransactionVersion;

/// Settings of the transaction coordinator under Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`
    pub id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub abort_timed_out_interval_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub remove_expired_interval_ms: i64,
    /// The finalised level of `transaction.version`.
    pub version: TransactionVersion,
    /// After how long a record of a completed transaction that could not be appended is tried
    /// again.
    pub retry_ms: i64,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            max_timeout_ms: 900_000,
            id_expiration_ms: 7 * 24 * 60 * 60 * 1_000,
            abort_timed_out_interval_ms: 10_000,
            remove_expired_interval_ms: 3_600_000,
            version: TransactionVersion::V2,
            retry_ms: 500,
        }
    }
}
