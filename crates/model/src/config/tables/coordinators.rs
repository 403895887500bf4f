//! Committed offsets, share state, transactions.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use crate::config::row::Validator::{Any, AtLeast, Between};
use crate::config::row::config_rows;

config_rows! {
    COORDINATORS

    /// Partitions of __consumer_offsets.
    "offsets.topic.num.partitions": Int = "50", AtLeast(1), ReadOnly, SERVED;
    /// Replicas of __consumer_offsets.
    "offsets.topic.replication.factor": Short = "3", AtLeast(1), ReadOnly, SERVED;
    /// Segment size of __consumer_offsets.
    "offsets.topic.segment.bytes": Int = "104857600", AtLeast(1), ReadOnly, SERVED;
    /// Codec id of records in __consumer_offsets; 0 is none.
    "offsets.topic.compression.codec": Int = "0", Any, ReadOnly, SERVED;
    /// Read size when offsets are loaded.
    "offsets.load.buffer.size": Int = "5242880", AtLeast(1), ReadOnly, TUNED;
    /// How long an offset commit may wait to be replicated.
    "offsets.commit.timeout.ms": Int = "5000", AtLeast(1), ReadOnly, SERVED;
    /// How long an empty group's offsets are kept.
    "offsets.retention.minutes": Int = "10080", AtLeast(1), ReadOnly, SERVED;
    /// How often expired offsets are looked for.
    "offsets.retention.check.interval.ms": Long = "600000", AtLeast(1), ReadOnly, SERVED;
    /// Longest text committed beside an offset.
    "offset.metadata.max.bytes": Int = "4096", Any, ReadOnly, SERVED;
    /// Partitions of __share_group_state.
    "share.coordinator.state.topic.num.partitions": Int = "50", AtLeast(1), ReadOnly, SERVED;
    /// Replicas of __share_group_state.
    "share.coordinator.state.topic.replication.factor": Short = "3", AtLeast(1), ReadOnly, SERVED;
    /// In-sync replicas __share_group_state needs.
    "share.coordinator.state.topic.min.isr": Short = "2", AtLeast(1), ReadOnly, SERVED;
    /// Segment size of __share_group_state.
    "share.coordinator.state.topic.segment.bytes": Int = "104857600", AtLeast(1), ReadOnly, SERVED;
    /// Codec id of records in __share_group_state.
    "share.coordinator.state.topic.compression.codec": Int = "0", Any, ReadOnly, SERVED;
    /// How often old share state records are dropped.
    "share.coordinator.state.topic.prune.interval.ms": Int = "300000", AtLeast(1), ReadOnly, SERVED internal;
    /// Updates written between two share state snapshots.
    "share.coordinator.snapshot.update.records.per.snapshot": Int = "500", Between(0, 500), ReadOnly, SERVED;
    /// How often untouched share state is written anew.
    "share.coordinator.cold.partition.snapshot.interval.ms": Int = "300000", AtLeast(1), ReadOnly, SERVED internal;
    /// How long share state records gather before they are written.
    "share.coordinator.append.linger.ms": Int = "-1", AtLeast(-1), ReadOnly, TUNED;
    /// Largest write buffer kept for reuse.
    "share.coordinator.cached.buffer.max.bytes": Int = "1048588", AtLeast(524_288), ClusterWide, TUNED;
    /// Read size when share state is loaded.
    "share.coordinator.load.buffer.size": Int = "5242880", AtLeast(1), ReadOnly, TUNED;
    /// Threads of the share coordinator.
    "share.coordinator.threads": Int = "1", AtLeast(1), ReadOnly, THREADS;
    /// How long a share state write may take.
    "share.coordinator.write.timeout.ms": Int = "5000", AtLeast(1), ReadOnly, SERVED;
    /// Partitions of __transaction_state.
    "transaction.state.log.num.partitions": Int = "50", AtLeast(1), ReadOnly, SERVED;
    /// Replicas of __transaction_state.
    "transaction.state.log.replication.factor": Short = "3", AtLeast(1), ReadOnly, SERVED;
    /// In-sync replicas __transaction_state needs.
    "transaction.state.log.min.isr": Int = "2", AtLeast(1), ReadOnly, SERVED;
    /// Segment size of __transaction_state.
    "transaction.state.log.segment.bytes": Int = "104857600", AtLeast(1), ReadOnly, SERVED;
    /// Read size when transactions are loaded.
    "transaction.state.log.load.buffer.size": Int = "5242880", AtLeast(1), ReadOnly, TUNED;
    /// Longest transaction timeout a producer may ask for.
    "transaction.max.timeout.ms": Int = "900000", AtLeast(1), ReadOnly, SERVED;
    /// Idle time after which a transactional id is forgotten.
    "transactional.id.expiration.ms": Int = "604800000", AtLeast(1), ReadOnly, SERVED;
    /// How often overdue transactions are looked for.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = "10000", AtLeast(1), ReadOnly, SERVED;
    /// How often expired transactional ids are looked for.
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = "3600000", AtLeast(1), ReadOnly, SERVED;
    /// Whether a partition's place in a transaction is checked on write.
    "transaction.partition.verification.enable": Boolean = "true", Any, ClusterWide, SERVED;
    /// Whether transactions without a timeout, prepared from outside, are allowed.
    "transaction.two.phase.commit.enable": Boolean = "false", Any, ReadOnly, TWO_PHASE;
    /// First pause before adding partitions is tried again.
    "add.partitions.to.txn.retry.backoff.ms": Int = "20", AtLeast(1), ReadOnly, SERVED;
    /// Longest pause before adding partitions is tried again.
    "add.partitions.to.txn.retry.backoff.max.ms": Int = "100", AtLeast(0), ReadOnly, SERVED;
}
