//! Who somebody is and what they may do: the rules, as pure functions and state machines.
//!
//! `principal` names a user, `acl` decides what a principal may do, `sasl` finds out who somebody
//! is, `jaas` reads the settings of that, `bearer` is about the tokens that this side shows itself,
//! `names` makes principals of certificates, `stores` are Java's, `token` is what a delegation token
//! consists of. No I/O, no clock, no randomness, no secrets in `Debug`: bytes,
//! times and random bits are arguments. Sockets, files and configurations are the broker's
//! and the client's.

#![forbid(unsafe_code)]

pub mod acl;
pub mod bearer;
mod der;
pub mod jaas;
pub mod names;
mod principal;
pub mod sasl;
pub mod stores;
pub mod token;

pub use principal::{InvalidPrincipal, Principal};
