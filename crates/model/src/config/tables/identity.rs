//! Who this node is and how it takes part in the metadata quorum.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::ENTRIES;
use crate::config::row::Validator::{Any, AtLeast, BootstrapServers, Entries, QuorumVoters};
use crate::config::row::config_rows;

config_rows! {
    IDENTITY

    /// Which parts run in this process: broker, controller, or both.
    "process.roles": List = required, Entries { allowed: &["broker", "controller"], may_be_empty: false }, ReadOnly, SERVED;
    /// This node's number, unique in the cluster.
    "node.id": Int = required, AtLeast(0), ReadOnly, SERVED;
    /// Older name of node.id; the two must agree when both are set.
    "broker.id": Int = "-1", Any, ReadOnly, SERVED;
    /// Rack or zone of this node, told to clients and used to spread replicas.
    "broker.rack": String = null, Any, ReadOnly, SERVED;
    /// Time between the heartbeats this broker sends to the controller.
    "broker.heartbeat.interval.ms": Int = "2000", Any, ReadOnly, SERVED;
    /// Silence after which the controller fences this broker.
    "broker.session.timeout.ms": Int = "9000", Any, ReadOnly, SERVED;
    /// How long a starting broker tries to register with the controller.
    "initial.broker.registration.timeout.ms": Int = "60000", Any, ReadOnly, SERVED;
    /// Whether a stopping broker first hands its leaderships to others.
    "controlled.shutdown.enable": Boolean = "true", Any, ReadOnly, SERVED;
    /// Longest start this process allows itself.
    "server.max.startup.time.ms": Long = "9223372036854775807", AtLeast(0), ReadOnly, INTERNAL internal;
    /// Fixed voters of the metadata quorum, as id@host:port.
    "controller.quorum.voters": List = "", QuorumVoters, ReadOnly, SERVED;
    /// Where to find the metadata quorum when its voters are not fixed.
    "controller.quorum.bootstrap.servers": List = "", BootstrapServers, ReadOnly, SERVED;
    /// Whether a controller adds itself to the voters.
    "controller.quorum.auto.join.enable": Boolean = "false", Any, ReadOnly, SERVED;
    /// Longest wait for a majority before an election is tried again.
    "controller.quorum.election.timeout.ms": Int = "1000", AtLeast(0), ReadOnly, SERVED;
    /// Longest pause between two tries at an election.
    "controller.quorum.election.backoff.max.ms": Int = "1000", AtLeast(0), ReadOnly, SERVED;
    /// Time without the quorum's leader before a new election.
    "controller.quorum.fetch.timeout.ms": Int = "2000", AtLeast(0), ReadOnly, SERVED;
    /// How long a quorum request may take.
    "controller.quorum.request.timeout.ms": Int = "2000", AtLeast(0), ReadOnly, SERVED;
    /// Pause before a quorum request is sent again.
    "controller.quorum.retry.backoff.ms": Int = "20", AtLeast(0), ReadOnly, SERVED;
    /// How long the leader gathers metadata records before it writes them.
    "controller.quorum.append.linger.ms": Int = "25", AtLeast(0), ReadOnly, SERVED;
    /// Most bytes in one fetch of the metadata log.
    "controller.quorum.fetch.max.bytes": Int = "1048576", AtLeast(1), ReadOnly, SERVED;
    /// Most bytes in one piece of a metadata snapshot.
    "controller.quorum.fetch.snapshot.max.bytes": Int = "1048576", AtLeast(1), ReadOnly, SERVED;
    /// Socket timeout of the broker's channel to the controller.
    "controller.socket.timeout.ms": Int = "30000", Any, ReadOnly, SERVED;
    /// Controller events slower than this are always logged.
    "controller.performance.always.log.threshold.ms": Long = "2000", AtLeast(0), ReadOnly, INTERNAL internal;
    /// Period of the controller's event statistics.
    "controller.performance.sample.period.ms": Long = "60000", AtLeast(100), ReadOnly, INTERNAL internal;
    /// Directory of the metadata log; the first log directory when unset.
    "metadata.log.dir": String = null, Any, ReadOnly, SERVED;
    /// Size at which a metadata log segment is closed.
    "metadata.log.segment.bytes": Int = "1073741824", AtLeast(8_388_608), ReadOnly, SERVED;
    /// Age at which a metadata log segment is closed.
    "metadata.log.segment.ms": Long = "604800000", Any, ReadOnly, SERVED;
    /// Metadata bytes written before the next snapshot.
    "metadata.log.max.record.bytes.between.snapshots": Long = "20971520", AtLeast(1), ReadOnly, SERVED;
    /// Longest time between two metadata snapshots; 0 means by size only.
    "metadata.log.max.snapshot.interval.ms": Long = "3600000", AtLeast(0), ReadOnly, SERVED;
    /// Size above which old metadata segments and snapshots go.
    "metadata.max.retention.bytes": Long = "104857600", Any, ReadOnly, SERVED;
    /// Age above which old metadata segments and snapshots go.
    "metadata.max.retention.ms": Long = "604800000", Any, ReadOnly, SERVED;
    /// How often the active controller of a cluster writes a no-op record when nothing else is written; 0 means never.
    "metadata.max.idle.interval.ms": Int = "500", AtLeast(0), ReadOnly, SERVED;
    /// Metadata segment size for tests.
    "internal.metadata.log.segment.bytes": Int = null, Any, ReadOnly, INTERNAL internal;
    /// Largest batch in the metadata log, for tests.
    "internal.metadata.max.batch.size.in.bytes": Int = "8388608", Any, ReadOnly, INTERNAL internal;
    /// Delay before metadata files are removed, for tests.
    "internal.metadata.delete.delay.millis": Long = "60000", Any, ReadOnly, INTERNAL internal;
    /// Offers request versions still in development.
    "unstable.api.versions.enable": Boolean = "false", Any, ReadOnly, INTERNAL internal;
    /// Allows feature levels still in development.
    "unstable.feature.versions.enable": Boolean = "false", Any, ReadOnly, INTERNAL internal;
    /// Names of the providers that fill in ${...} placeholders.
    "config.providers": List = "", ENTRIES, ClusterWide, JAVA;
}
