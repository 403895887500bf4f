//! Configs of one group.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use crate::config::row::Validator::{Any, AtLeast, OffsetReset, OneOf};
use crate::config::row::config_rows;

config_rows! {
    GROUP

    /// Shortest time between two assignments.
    "consumer.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, SERVED ["group.consumer.assignment.interval.ms"];
    /// Heartbeat interval told to members.
    "consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1), ClusterWide, SERVED ["group.consumer.heartbeat.interval.ms"];
    /// Silence after which a member is removed.
    "consumer.session.timeout.ms": Int = "45000", AtLeast(1), ClusterWide, SERVED ["group.consumer.session.timeout.ms"];
    /// Shortest time between two assignments.
    "share.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, SERVED ["group.share.assignment.interval.ms"];
    /// Where a new share group starts to read.
    "share.auto.offset.reset": String = "latest", OffsetReset, ClusterWide, SERVED;
    /// Deliveries of a record before it is given up.
    "share.delivery.count.limit": Int = "5", AtLeast(2), ClusterWide, SERVED ["group.share.delivery.count.limit"];
    /// Heartbeat interval told to members.
    "share.heartbeat.interval.ms": Int = "5000", AtLeast(1), ClusterWide, SERVED ["group.share.heartbeat.interval.ms"];
    /// Whether records of open transactions are delivered.
    "share.isolation.level": String = "read_uncommitted", OneOf(&["read_committed", "read_uncommitted"]), ClusterWide, SERVED;
    /// Records of a partition that may be held at once.
    "share.partition.max.record.locks": Int = "2000", AtLeast(100), ClusterWide, SERVED ["group.share.partition.max.record.locks"];
    /// How long a member may hold a record.
    "share.record.lock.duration.ms": Int = "30000", AtLeast(1_000), ClusterWide, SERVED ["group.share.record.lock.duration.ms"];
    /// Whether a member may extend its hold on a record.
    "share.renew.acknowledge.enable": Boolean = "true", Any, ClusterWide, SERVED;
    /// Silence after which a member is removed.
    "share.session.timeout.ms": Int = "45000", AtLeast(1), ClusterWide, SERVED ["group.share.session.timeout.ms"];
    /// Shortest time between two assignments.
    "streams.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, SERVED ["group.streams.assignment.interval.ms"];
    /// Heartbeat interval told to members.
    "streams.heartbeat.interval.ms": Int = "5000", AtLeast(1), ClusterWide, SERVED ["group.streams.heartbeat.interval.ms"];
    /// Wait for more members before the first assignment.
    "streams.initial.rebalance.delay.ms": Int = "3000", AtLeast(0), ClusterWide, SERVED ["group.streams.initial.rebalance.delay.ms"];
    /// Standby copies of each stateful task.
    "streams.num.standby.replicas": Int = "0", AtLeast(0), ClusterWide, SERVED ["group.streams.num.standby.replicas"];
    /// Silence after which a member is removed.
    "streams.session.timeout.ms": Int = "45000", AtLeast(1), ClusterWide, SERVED ["group.streams.session.timeout.ms"];
}
