//! One connection to one broker: frames, correlation ids, versions.
//!
//! Public for programs that speak to a given node rather than to a cluster: brokers among
//! themselves, voters of a quorum.

mod connection;
mod versions;

pub use connection::{Connection, ConnectionOptions};
pub use versions::Versions;
