//! What the active controller answers: one file per family, for the controller listener, for what
//! brokers forward, and for the broker beside it.
//!
//! The rules are `naru_controller`'s; a handler hands the request to the metadata loop. `Err` is
//! an answer that only the way to the controller understands: ask again, or elsewhere.

pub(crate) mod acls;
pub(crate) mod brokers;
pub(crate) mod client_quotas;
pub(crate) mod cluster;
pub(crate) mod configs;
pub(crate) mod envelope;
pub(crate) mod partitions;
pub(crate) mod raft;
mod refuse;
pub(crate) mod scram;
pub(crate) mod tokens;
pub(crate) mod topics;

pub(crate) use refuse::Refuse;
