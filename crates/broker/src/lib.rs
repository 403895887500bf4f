//! The broker: a thin shell around pure cores.
//!
//! The folders are a request's journey: `listener` (accept, frames) -> `dispatch` (API table,
//! versions, ordered responses) -> `api` (one file per API family) -> `partition` (log, waiters),
//! `coordination` (group shards), `metadata` (the controller and its image). `node` puts them
//! together; `storage` knows the directories; `http` shows the node to people and Prometheus; `logging` has
//! the levels of its log.

#![forbid(unsafe_code)]

mod api;
mod coordination;
mod dispatch;
mod fetch_session;
mod http;
mod listener;
mod logging;
mod metadata;
mod metrics;
mod node;
mod partition;
mod peer;
mod quotas;
mod security;
mod share;
mod storage;
mod telemetry;

pub use logging::{Levels, LogLevel, Loggers};
pub use node::{
    ExitCode, GivenUp, ListenerSummary, Progress, RunningNode, StartError, Summary, start,
};
