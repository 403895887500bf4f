//! The metadata core: what the cluster is, what a request changes, who leads the quorum.
//!
//! `controller` decides requests into metadata records and replays records; `image` is what the
//! records say; `raft` is the KRaft state machine that places them in the log, `quorum` what it
//! writes down. Pure: no I/O, no clock, no randomness; time and random ids are arguments. The shell
//! reads and writes the log.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod batch;
pub mod controller;
pub mod image;
pub mod quorum;
pub mod raft;
mod records;
pub mod topic_name;

pub use controller::Controller;
pub use image::{MetadataDelta, MetadataImage, ReplayError};
pub use records::{CORDONED_DIRECTORIES, Decision, RECORDS_PER_REQUEST_MAX, RecordAndVersion};
