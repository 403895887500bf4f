//! Clusters in one thread: the production cores and logs on simulated disks, a simulated network
//! and simulated clocks, under random faults, held against named invariants.
//!
//! A run is a function of its seed: the same seed gives the same run, byte by byte. Nodes are made
//! of `naru_controller::raft::Quorum`, `naru_controller::Controller`, `naru_replication`,
//! `naru_log::Log` and the shards of `naru_coordinators` for groups and transactions; `metadata`
//! and `broker` here are shells as thin as possible, which do what the shells in `crates/broker`
//! do, in the same order. What differs is said in each module.
//!
//! Clients are idempotent producers, transactional ones that fence each other and give up,
//! consumers of all and of committed records, and members that commit offsets.

#![forbid(unsafe_code)]

mod broker;
mod clients;
mod disk;
mod env;
mod facts;
mod faults;
mod group_clients;
mod judge;
mod message;
mod met;
mod metadata;
mod network;
mod node;
mod random;
mod regressions;
mod run;
mod settings;
#[path = "../../../crates/log/tests/support/sim_disk.rs"]
#[expect(dead_code, reason = "the tests of the log use more of it")]
mod sim_disk;
mod trace;
mod txn_clients;
mod txn_judge;
mod world;

pub use judge::Violation;
pub use met::Met;
pub use regressions::REGRESSIONS;
pub use run::{Outcome, run};
pub use settings::{Mutation, Settings};
