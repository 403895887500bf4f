//! Metrics that clients push (KIP-714): who is asked for what, whether a push is taken, and what
//! is in it.
//!
//! Owns subscriptions and their patterns, the client instances that are known, the reading of
//! OTLP's protobuf and the last values of every series. Never does I/O and never asks for the
//! time. Memory is bounded by the limits named in each file, whatever clients send.

#![forbid(unsafe_code)]

mod instances;
mod java;
mod otlp;
mod patterns;
mod series;
mod subscriptions;

pub use instances::{EXPIRY_MS, Granted, INSTANCES_MAX, Instances, PushHead, TelemetryError};
pub use otlp::{Metric, OtlpError, Point, Value, read_metrics};
pub use patterns::{Client, IllegalPattern, Matches};
pub use series::{SERIES_MAX, SERIES_PER_INSTANCE_MAX, Series, SeriesStore};
pub use subscriptions::{ALL_METRICS, INTERVAL_MS_DEFAULT, Subscription, Subscriptions};
