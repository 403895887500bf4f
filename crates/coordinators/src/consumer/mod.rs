//! Groups of the consumer protocol (KIP-848): the coordinator assigns, members reconcile.
//!
//! [`ConsumerGroup`] is what records say; `replay` of a [`ConsumerFact`] is its only writer. To
//! decide is to replay facts inside a [`Change`], which can be taken back, and to hand the same
//! facts to the log: so a shard that replays the log holds the same groups.
//!
//! Invariants ([`ConsumerGroup::check_invariants`]): a partition has one owner at a time; epochs of
//! a group never go back; a member leaves with everything it owned.

mod assignment;
mod assignor;
mod classic;
mod convert;
mod describe;
mod error;
mod facts;
mod group;
mod hash;
mod heartbeat;
mod kind;
mod leave;
mod member;
mod offsets;
mod patterns;
mod reconcile;
mod shard;
mod target;
mod topics;
mod validate;

pub(crate) use assignment::Partitions;
pub use assignor::Assignor;
pub(crate) use facts::{ConsumerFact, GroupEpoch, TargetEpoch, is_consumer_key};
pub(crate) use group::ConsumerGroup;
pub use group::ConsumerGroupState;
pub(crate) use hash::TopicHashes;
pub use patterns::validate_pattern;
pub use topics::{NoTopics, TopicInfo, Topics, Viewer};
