//! One connection to one broker: frames, correlation ids, versions.
//!
//! Public for programs that speak to a given node rather than to a cluster: brokers among
//! themselves, voters of a quorum.

mod connection;
mod http;
pub mod security;
mod versions;

pub use connection::{Connection, ConnectionOptions};
pub use http::{HttpUrl, fetch};
pub use security::ClientSecurity;
pub use versions::Versions;
