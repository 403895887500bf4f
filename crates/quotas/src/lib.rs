//! Client quotas: whose limit counts for whom, and how far a client is beyond it.
//!
//! Owns the order in which limits of users and client ids are looked for, rates over windows and
//! token buckets, all as Apache Kafka 4.3.1 has them (KIP-13, 55, 124, 257, 599, 612). Never waits
//! and never looks at a clock: time is an argument, and what comes out is for how long whoever
//! asked is to be left alone. Limits come from the metadata log, which is `naru-controller`'s.

#![forbid(unsafe_code)]

mod bucket;
mod connections;
mod limits;
mod meter;
mod mutations;
mod rate;

pub use bucket::{MutationQuota, TokenBucket};
pub use connections::{Bounds, ConnectionRates, Creation};
pub use limits::{Kind, Limit, Limits, Part, Scope};
pub use meter::{METERED_MAX, Meter};
pub use mutations::Mutations;
pub use rate::{Rate, Windows};
