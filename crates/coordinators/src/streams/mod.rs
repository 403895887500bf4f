//! Groups of Kafka Streams applications (KIP-1071): the coordinator knows the topology, has its
//! internal topics created, assigns tasks, and members reconcile.
//!
//! [`StreamsGroup`] is what records say; `replay` of a [`StreamsFact`] is its only writer. To
//! decide is to replay facts inside a change, which can be taken back, and to hand the same facts
//! to the log: so a shard that replays the log holds the same groups.
//!
//! Invariants ([`StreamsGroup::check_invariants`]): an active task has one owner at a time; epochs
//! of a group never go back; a member leaves with everything it had.

mod assignor;
mod configure;
mod copartition;
mod describe;
mod endpoints;
mod error;
mod facts;
mod group;
mod heartbeat;
mod kind;
mod member;
mod offsets;
mod reconcile;
mod shard;
mod status;
mod target;
mod tasks;
mod topology;
mod validate;

pub(crate) use facts::{StreamsFact, is_streams_key};
pub(crate) use group::StreamsGroup;
pub use group::StreamsGroupState;
pub use status::MISSING_INTERNAL_TOPICS;
