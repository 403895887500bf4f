//! Share groups (KIP-932): members that work on the same partitions side by side.
//!
//! The coordinator assigns partitions, several members to one if there are more members than
//! partitions, once the share coordinator keeps their state. [`ShareGroup`] is what records say;
//! to decide is to replay a [`ShareFact`] inside a change that can be taken back, and to hand the
//! same facts to the log.
//!
//! Invariants ([`ShareGroup::check_invariants`]): epochs of a group never go back; nobody is
//! assigned what is not initialized.

mod admin;
mod assignor;
mod config;
mod describe;
mod error;
mod facts;
mod group;
mod heartbeat;
mod initialization;
mod kind;
mod member;
mod shard;
mod target;

pub use admin::{DeletedOffsets, StateDeletion};
pub use config::{ShareConfig, ShareOverrides};
pub(crate) use facts::{ShareFact, is_share_key};
pub(crate) use group::ShareGroup;
pub use group::ShareGroupState;
pub use initialization::Initialization;
