//! From the socket to a frame and back: accepting, connections, sending.
//!
//! Every network thread runs its own single-threaded runtime; a connection stays on one thread,
//! and its requests run there to their page-cache write. Owns the limits on connections.
//! Never looks inside a message (that is `dispatch`).

mod accept;
mod connection;
mod doors;
mod hosts;
mod input;
mod outgoing;
mod output;
mod places;
mod registry;
mod tls;

pub(crate) use accept::{Bound, NetworkThreads, bind, check_free};
pub(crate) use connection::{Answer, Refusal};
pub(crate) use doors::Doors;
pub(crate) use hosts::{Hosts, resolve};
pub(crate) use outgoing::{FileRange, Outgoing};
pub(crate) use places::{ConnectionLimits, ConnectionRegistry};
pub(crate) use registry::{ConnectionInfo, Door, Software};
