//! Real processes under test: brokers on free ports, foreign clients, and scenarios over both.
//!
//! Everything here treats a broker as a black box: a program, a properties file, a port and a data
//! directory. The same suites and scenarios run against Apache Kafka 4.3.1 and against Naru, so a
//! case is only worth keeping if Apache Kafka passes it. Nothing here is linked into the broker.
//!
//! Lasting things (jars, Python packages, Node and Go modules) live in one [`cache`] folder outside
//! the clone; everything else lives in temporary folders that go away with their owner.

pub mod broker;
pub mod cache;
pub mod cluster;
pub mod differential;
pub mod faults;
pub mod foreign;
pub mod install;
pub mod later;
pub mod outcome;
pub mod probe;
pub mod process;
pub mod scenario;
pub mod wire;
