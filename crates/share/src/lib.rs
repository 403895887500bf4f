//! Share groups, the side of a partition's leader (KIP-932): who holds which records, and what
//! has become of those that were delivered.
//!
//! Pure: no I/O, threads, clock or randomness; the time is an argument. [`SharePartition`] is the
//! state machine of one group on one partition; what it must not forget it hands out as a
//! [`StateWrite`] and is told when that is stored. [`ShareSessions`] remembers what each member
//! of a group fetches from this broker.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod acknowledge;
mod acquire;
mod error;
mod partition;
mod run;
mod sessions;
mod state;
mod throttle;
mod writes;

pub use acknowledge::{AckBatch, AckType, Acknowledged};
pub use acquire::{Acquire, AcquireMode, Acquired, ReadBatch};
pub use error::{AckError, SessionError};
pub use partition::SharePartition;
pub use sessions::{FetchPlan, SessionFetch, SessionKey, ShareSessions};
pub use state::{DeliveryState, Limits, StateBatch, Ticket, WriteId};
pub use writes::StateWrite;

#[cfg(test)]
mod tests;
