//! Kafka's ISR protocol for one partition's replica, and what a follower fetches next.
//!
//! Pure: no I/O, threads, clock or randomness; the time is an argument, the log's ends are told,
//! effects are data that the broker carries out. [`Replica`] is the state machine of one replica
//! as leader or follower; [`FetchPlan`] decides what one fetcher asks of one leader;
//! [`truncation`] is KIP-101's rule for a log that has diverged.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod fetch_plan;
mod follower;
mod isr;
mod leader;
mod quota;
mod replica;
mod selector;
mod state;

pub use fetch_plan::{Ask, FetchPlan, FetchRequestPlan, PartitionKey};
pub use follower::{Divergence, truncation};
pub use isr::{IsrAnswer, IsrProposal};
pub use leader::FollowerInfo;
pub use quota::RateQuota;
pub use replica::Replica;
pub use selector::{Candidate, preferred_replica};
pub use state::{
    BrokerState, Brokers, Effect, Event, FollowerFetch, LogEnds, PartitionState, ReplicaSettings,
};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
