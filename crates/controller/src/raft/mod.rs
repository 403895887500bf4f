//! The metadata quorum: KRaft as a pure state machine.
//!
//! `step(now, log, event)` pushes effects; the shell executes them in order, before the next step,
//! and feeds results back as events. Owns election state, voter history, replica progress and the
//! high watermark of one node, voter or observer; never does I/O, never reads a clock, takes its
//! randomness from a seed, so that the same events give the same effects.
//!
//! Invariants: the epoch never goes back; at most one vote an epoch; [`Effect::SaveState`] comes
//! before whatever relies on it; the high watermark is what a majority of the voters has on disk,
//! never moves back and passes the start of the leader's own epoch before it moves at all; a
//! replica fetches only from what it has on disk; one voter change at a time, committed before the
//! next (KIP-595, 630, 853, 996, 1166, 1186).
//!
//! What shells must keep: `log` shows what the effects of earlier steps did to the log; the log is
//! on disk when [`Quorum::start`] is called; a sync that began before a truncation is not reported.

mod api;
mod change;
mod describe;
mod discover;
mod election;
mod epoch;
mod fetching;
mod high_watermark;
mod invariants;
mod join;
mod leader;
mod messages;
mod quorum;
mod random;
mod requests;
mod role;
mod serve;
mod serve_snapshot;
mod snapshot_fetch;
mod transition;
mod upgrade;
mod voter_log;
mod voters;

pub use api::{
    Destination, Effect, Event, LogView, QuorumError, QuorumStart, QuorumTimeouts, RaftRequest,
    RaftResponse, ReadPlan, SnapshotRead, Unreachable,
};
pub use quorum::Quorum;
pub use upgrade::KraftUpgradeError;
pub use voter_log::VoterLog;

pub use crate::quorum::{
    ControlRecord, ElectionState, ElectionStateError, KraftVersion, SnapshotId, SnapshotPolicy,
    VotedFor, Voter, VoterEndpoint, bootstrap_checkpoint, initial_checkpoint,
};

#[cfg(test)]
mod tests;
