//! Groups of all protocols.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::SOME_ENTRIES;
use crate::config::row::Validator::{Any, AtLeast, Between, Entries, OneOfAnyCase};
use crate::config::row::config_rows;

config_rows! {
    GROUPS

    /// Group protocols offered.
    "group.coordinator.rebalance.protocols": List = "classic,consumer,streams", Entries { allowed: &["consumer", "classic", "share", "streams"], may_be_empty: false }, ReadOnly, SERVED;
    /// Threads of the group coordinator.
    "group.coordinator.threads": Int = "4", AtLeast(1), ReadOnly, THREADS;
    /// Threads for the group coordinator's chores.
    "group.coordinator.background.threads": Int = "2", AtLeast(1), ReadOnly, THREADS;
    /// How long group records gather before they are written; -1 adapts.
    "group.coordinator.append.linger.ms": Int = "-1", AtLeast(-1), ReadOnly, TUNED;
    /// Largest write buffer kept for reuse.
    "group.coordinator.cached.buffer.max.bytes": Int = "1048588", AtLeast(524_288), ClusterWide, TUNED;
    /// Wait for more members before an empty group's first rebalance.
    "group.initial.rebalance.delay.ms": Int = "3000", Any, ReadOnly, SERVED;
    /// Shortest session timeout a classic member may ask for.
    "group.min.session.timeout.ms": Int = "6000", Any, ReadOnly, SERVED;
    /// Longest session timeout a classic member may ask for.
    "group.max.session.timeout.ms": Int = "1800000", Any, ReadOnly, SERVED;
    /// Most members of a classic group.
    "group.max.size": Int = "2147483647", AtLeast(1), ReadOnly, SERVED;
    /// Silence after which a consumer-protocol member is removed.
    "group.consumer.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, SERVED;
    /// Lowest session timeout a consumer group may set.
    "group.consumer.min.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, SERVED;
    /// Highest session timeout a consumer group may set.
    "group.consumer.max.session.timeout.ms": Int = "60000", AtLeast(1), ReadOnly, SERVED;
    /// Heartbeat interval told to consumer-protocol members.
    "group.consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, SERVED;
    /// Lowest heartbeat interval a consumer group may set.
    "group.consumer.min.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, SERVED;
    /// Highest heartbeat interval a consumer group may set.
    "group.consumer.max.heartbeat.interval.ms": Int = "15000", AtLeast(1), ReadOnly, SERVED;
    /// Shortest time between two assignments of a consumer group.
    "group.consumer.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, SERVED;
    /// Lowest assignment interval a consumer group may set.
    "group.consumer.min.assignment.interval.ms": Int = "0", AtLeast(0), ReadOnly, SERVED;
    /// Highest assignment interval a consumer group may set.
    "group.consumer.max.assignment.interval.ms": Int = "15000", AtLeast(0), ReadOnly, SERVED;
    /// Most members of a consumer group.
    "group.consumer.max.size": Int = "2147483647", AtLeast(1), ReadOnly, SERVED;
    /// Assignors of the consumer protocol, the first is the default.
    "group.consumer.assignors": List = "uniform,range", SOME_ENTRIES, ReadOnly, SERVED;
    /// Which changes between the classic and consumer protocols are allowed.
    "group.consumer.migration.policy": String = "bidirectional", OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly, SERVED;
    /// How often subscription patterns are matched anew.
    "group.consumer.regex.refresh.interval.ms": Int = "600000", AtLeast(10_000), ReadOnly, SERVED internal;
    /// Silence after which a share member is removed.
    "group.share.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, SERVED;
    /// Lowest session timeout a share group may set.
    "group.share.min.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, SERVED;
    /// Highest session timeout a share group may set.
    "group.share.max.session.timeout.ms": Int = "60000", AtLeast(1), ReadOnly, SERVED;
    /// Heartbeat interval told to share members.
    "group.share.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, SERVED;
    /// Lowest heartbeat interval a share group may set.
    "group.share.min.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, SERVED;
    /// Highest heartbeat interval a share group may set.
    "group.share.max.heartbeat.interval.ms": Int = "15000", AtLeast(1), ReadOnly, SERVED;
    /// Shortest time between two assignments of a share group.
    "group.share.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, SERVED;
    /// Lowest assignment interval a share group may set.
    "group.share.min.assignment.interval.ms": Int = "0", AtLeast(0), ReadOnly, SERVED;
    /// Highest assignment interval a share group may set.
    "group.share.max.assignment.interval.ms": Int = "15000", AtLeast(0), ReadOnly, SERVED;
    /// How long a share member may hold a record.
    "group.share.record.lock.duration.ms": Int = "30000", Between(1_000, 3_600_000), ReadOnly, SERVED;
    /// Lowest record lock a share group may set.
    "group.share.min.record.lock.duration.ms": Int = "15000", Between(1_000, 30_000), ReadOnly, SERVED;
    /// Highest record lock a share group may set.
    "group.share.max.record.lock.duration.ms": Int = "60000", Between(30_000, 3_600_000), ReadOnly, SERVED;
    /// Deliveries of a record before it is given up.
    "group.share.delivery.count.limit": Int = "5", Between(2, 10), ReadOnly, SERVED;
    /// Lowest delivery limit a share group may set.
    "group.share.min.delivery.count.limit": Int = "2", Between(2, 5), ReadOnly, SERVED;
    /// Highest delivery limit a share group may set.
    "group.share.max.delivery.count.limit": Int = "10", Between(5, 25), ReadOnly, SERVED;
    /// Records of a partition that may be held at once.
    "group.share.partition.max.record.locks": Int = "2000", Between(100, 10_000), ReadOnly, SERVED;
    /// Lowest limit of held records a share group may set.
    "group.share.min.partition.max.record.locks": Int = "100", Between(100, 2_000), ReadOnly, SERVED;
    /// Highest limit of held records a share group may set.
    "group.share.max.partition.max.record.locks": Int = "4000", Between(2_000, 10_000), ReadOnly, SERVED;
    /// Share sessions remembered at a time.
    "group.share.max.share.sessions": Int = "2000", AtLeast(1), ReadOnly, SERVED;
    /// Most members of a share group.
    "group.share.max.size": Int = "200", Between(1, 1_000), ReadOnly, SERVED;
    /// Assignors of share groups.
    "group.share.assignors": List = "simple", SOME_ENTRIES, ReadOnly, JAVA;
    /// Pause before a share partition's start is tried again.
    "group.share.initialize.retry.interval.ms": Int = "30000", AtLeast(1), ReadOnly, SERVED internal;
    /// Java class that stores share group state.
    "group.share.persister.class.name": String = "org.apache.kafka.server.share.persister.DefaultStatePersister", Any, ReadOnly, JAVA internal;
    /// Silence after which a streams member is removed.
    "group.streams.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, SERVED;
    /// Lowest session timeout a streams group may set.
    "group.streams.min.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, SERVED;
    /// Highest session timeout a streams group may set.
    "group.streams.max.session.timeout.ms": Int = "60000", AtLeast(1), ReadOnly, SERVED;
    /// Heartbeat interval told to streams members.
    "group.streams.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, SERVED;
    /// Lowest heartbeat interval a streams group may set.
    "group.streams.min.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, SERVED;
    /// Highest heartbeat interval a streams group may set.
    "group.streams.max.heartbeat.interval.ms": Int = "15000", AtLeast(1), ReadOnly, SERVED;
    /// Shortest time between two assignments of a streams group.
    "group.streams.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, SERVED;
    /// Lowest assignment interval a streams group may set.
    "group.streams.min.assignment.interval.ms": Int = "0", AtLeast(0), ReadOnly, SERVED;
    /// Highest assignment interval a streams group may set.
    "group.streams.max.assignment.interval.ms": Int = "15000", AtLeast(0), ReadOnly, SERVED;
    /// Wait for more members before a streams group's first assignment.
    "group.streams.initial.rebalance.delay.ms": Int = "3000", AtLeast(0), ReadOnly, SERVED;
    /// Standby copies of each stateful task.
    "group.streams.num.standby.replicas": Int = "0", AtLeast(0), ReadOnly, SERVED;
    /// Most standby copies a streams group may set.
    "group.streams.max.standby.replicas": Int = "2", AtLeast(0), ReadOnly, SERVED;
    /// Most members of a streams group.
    "group.streams.max.size": Int = "2147483647", AtLeast(1), ReadOnly, SERVED;
}
