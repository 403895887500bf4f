//! Clusters in one thread: the production cores and logs on simulated disks, a simulated network
//! and simulated clocks, under random faults, held against named invariants.
//!
//! A run is a function of its seed: the same seed gives the same run, byte by byte. Nodes are made
//! of `naru_controller::raft::Quorum`, `naru_controller::Controller`, `naru_replication` and
//! `naru_log::Log`; `metadata` and `broker` here are shells as thin as possible, which do what the
//! shells in `crates/broker` do, in the same order. What differs is said in each module.

#![forbid(unsafe_code)]

mod broker;
mod clients;
mod disk;
mod env;
mod faults;
mod group_clients;
mod judge;
mod message;
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
mod world;

pub use judge::{Met, Violation};
pub use regressions::REGRESSIONS;
pub use run::{Outcome, run};
pub use settings::{Mutation, Settings};
