//! Topics, replication and fetching.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use crate::config::row::Validator::{Any, AtLeast};
use crate::config::row::config_rows;

config_rows! {
    TOPICS

    /// Whether asking for an unknown topic makes it.
    "auto.create.topics.enable": Boolean = "true", Any, ReadOnly, SERVED;
    /// Whether topics may be deleted.
    "delete.topic.enable": Boolean = "true", Any, ReadOnly, SERVED;
    /// Partitions of a topic made without a count.
    "num.partitions": Int = "1", AtLeast(1), ReadOnly, SERVED;
    /// Replicas of a topic made without a factor.
    "default.replication.factor": Int = "1", Any, ReadOnly, SERVED;
    /// In-sync replicas that acks=all needs.
    "min.insync.replicas": Int = "1", AtLeast(1), ClusterWide, SERVED;
    /// Whether a replica that lags may lead when no other can.
    "unclean.leader.election.enable": Boolean = "false", Any, ClusterWide, SERVED;
    /// How often leaderless partitions are looked at.
    "unclean.leader.election.interval.ms": Long = "300000", AtLeast(1), ReadOnly, SERVED internal;
    /// Whether leadership returns to the preferred replica by itself.
    "auto.leader.rebalance.enable": Boolean = "true", Any, ReadOnly, SERVED;
    /// How often leadership is checked for balance.
    "leader.imbalance.check.interval.seconds": Long = "300", AtLeast(1), ReadOnly, SERVED;
    /// How long a follower may lag before it leaves the in-sync set.
    "replica.lag.time.max.ms": Long = "30000", Any, ReadOnly, SERVED;
    /// Bytes per partition a follower asks for.
    "replica.fetch.max.bytes": Int = "1048576", AtLeast(0), ReadOnly, SERVED;
    /// Bytes a follower asks for in one fetch.
    "replica.fetch.response.max.bytes": Int = "10485760", AtLeast(0), ReadOnly, SERVED;
    /// Bytes a follower waits for.
    "replica.fetch.min.bytes": Int = "1", Any, ReadOnly, SERVED;
    /// Longest a follower's fetch waits.
    "replica.fetch.wait.max.ms": Int = "500", Any, ReadOnly, SERVED;
    /// Pause of a follower after a failed fetch.
    "replica.fetch.backoff.ms": Int = "1000", AtLeast(0), ReadOnly, SERVED;
    /// Socket timeout of a follower's connection.
    "replica.socket.timeout.ms": Int = "30000", Any, ReadOnly, SERVED;
    /// Kernel receive buffer of a follower's connection.
    "replica.socket.receive.buffer.bytes": Int = "65536", Any, ReadOnly, SERVED;
    /// How often the high watermarks are written down.
    "replica.high.watermark.checkpoint.interval.ms": Long = "5000", Any, ReadOnly, SERVED;
    /// Java class that picks the replica a consumer reads from.
    "replica.selector.class": String = null, Any, ReadOnly, SERVED;
    /// Connections a follower opens to each leader.
    "num.replica.fetchers": Int = "1", AtLeast(1), ClusterWide, SERVED;
    /// Whether an empty follower starts at the end of the tiered log.
    "follower.fetch.last.tiered.offset.enable": Boolean = "false", Any, ClusterWide, TIERED;
    /// Most bytes in one fetch answer.
    "fetch.max.bytes": Int = "57671680", AtLeast(1_024), ReadOnly, SERVED;
    /// Fetch sessions remembered at a time.
    "max.incremental.fetch.session.cache.slots": Int = "1000", AtLeast(0), ReadOnly, SERVED;
    /// Finished fetches left in the waiting room before it is swept.
    "fetch.purgatory.purge.interval.requests": Int = "1000", Any, ReadOnly, PURGATORY;
    /// Finished produces left in the waiting room before it is swept.
    "producer.purgatory.purge.interval.requests": Int = "1000", Any, ReadOnly, PURGATORY;
    /// Finished record deletions left in the waiting room before it is swept.
    "delete.records.purgatory.purge.interval.requests": Int = "1", Any, ReadOnly, PURGATORY;
    /// Finished share fetches left in the waiting room before it is swept.
    "share.fetch.purgatory.purge.interval.requests": Int = "1000", Any, ReadOnly, PURGATORY;
    /// Java class that judges new topics.
    "create.topic.policy.class.name": Class = null, Any, ReadOnly, JAVA;
    /// Java class that judges config changes.
    "alter.config.policy.class.name": Class = null, Any, ReadOnly, JAVA;
}
