//! One connection to one broker: frames, correlation ids, versions.

mod connection;
mod versions;

pub(crate) use connection::{Connection, ConnectionOptions};
pub(crate) use versions::Versions;
