//! Listeners, sockets, connections and the threads behind them.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::{ENTRIES, SOME_ENTRIES};
use crate::config::row::Validator::{Any, AtLeast, OneOf};
use crate::config::row::config_rows;

config_rows! {
    LISTENERS

    /// Addresses to listen on, as NAME://host:port.
    "listeners": List = "PLAINTEXT://:9092", SOME_ENTRIES, PerBroker, SERVED;
    /// Addresses told to clients; the listeners themselves when unset.
    "advertised.listeners": List = null, SOME_ENTRIES, ReadOnly, SERVED;
    /// Security protocol of each listener name.
    "listener.security.protocol.map": String = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any, PerBroker, SERVED;
    /// Listener that other brokers use.
    "inter.broker.listener.name": String = null, Any, ReadOnly, SERVED;
    /// Listeners of the controller, comma-separated.
    "controller.listener.names": List = required, SOME_ENTRIES, ReadOnly, SERVED;
    /// Listeners opened before the authorizer is ready.
    "early.start.listeners": List = null, ENTRIES, ReadOnly, EARLY;
    /// Protocol between brokers when no listener is named for it.
    "security.inter.broker.protocol": String = "PLAINTEXT", OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly, SERVED;
    /// Kernel send buffer of a connection; -1 leaves it to the system.
    "socket.send.buffer.bytes": Int = "102400", Any, ReadOnly, SERVED;
    /// Kernel receive buffer of a connection; -1 leaves it to the system.
    "socket.receive.buffer.bytes": Int = "102400", Any, ReadOnly, SERVED;
    /// Largest request frame accepted.
    "socket.request.max.bytes": Int = "104857600", AtLeast(1), ReadOnly, SERVED;
    /// Connections the kernel queues before they are accepted.
    "socket.listen.backlog.size": Int = "50", AtLeast(1), ReadOnly, BACKLOG;
    /// First wait for an outgoing connection to be made.
    "socket.connection.setup.timeout.ms": Long = "10000", Any, ReadOnly, SERVED;
    /// Longest wait for an outgoing connection to be made.
    "socket.connection.setup.timeout.max.ms": Long = "30000", Any, ReadOnly, SERVED;
    /// Idle time after which a connection is closed.
    "connections.max.idle.ms": Long = "600000", Any, ReadOnly, SERVED;
    /// Time after which a SASL session must authenticate again; 0 means never.
    "connections.max.reauth.ms": Long = "0", Any, ReadOnly, SERVED;
    /// Delay before a failed login is answered by closing.
    "connection.failed.authentication.delay.ms": Int = "100", AtLeast(0), ReadOnly, SERVED;
    /// Most connections to this broker.
    "max.connections": Int = "2147483647", AtLeast(0), ClusterWide, SERVED;
    /// Most connections from one address.
    "max.connections.per.ip": Int = "2147483647", AtLeast(0), ClusterWide, SERVED;
    /// Other limits for named addresses, as host:limit.
    "max.connections.per.ip.overrides": String = "", Any, ClusterWide, SERVED;
    /// Most new connections a second.
    "max.connection.creation.rate": Int = "2147483647", AtLeast(0), ClusterWide, SERVED;
    /// Threads that serve connections.
    "num.network.threads": Int = "3", AtLeast(1), ClusterWide, SERVED;
    /// Threads that work on requests.
    "num.io.threads": Int = "8", AtLeast(1), ClusterWide, THREADS;
    /// Threads for chores.
    "background.threads": Int = "10", AtLeast(1), ClusterWide, THREADS;
    /// Requests that may wait for a worker.
    "queued.max.requests": Int = "500", AtLeast(1), ReadOnly, THREADS;
    /// Request bytes that may be held at once; -1 means no limit of this kind.
    "queued.max.request.bytes": Long = "-1", Any, ReadOnly, QUEUED;
    /// How long the broker waits for an answer to a request of its own.
    "request.timeout.ms": Int = "30000", Any, ReadOnly, SERVED;
    /// Most partitions one DescribeTopicPartitions answer holds.
    "max.request.partition.size.limit": Int = "2000", AtLeast(1), ReadOnly, SERVED;
}
