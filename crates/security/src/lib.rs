//! Who somebody is and what they may do: the rules, as pure functions and state machines.
//!
//! `principal` names a user, `acl` decides what a principal may do. No I/O, no clock, no
//! randomness, no secrets in `Debug`: bytes, times and random bits are arguments. Sockets, files
//! and configurations are the broker's.

#![forbid(unsafe_code)]

pub mod acl;
mod principal;

pub use principal::{InvalidPrincipal, Principal};
