//! Groups of the consumer protocol, driven as clients drive them.

mod joining;
mod migration;
mod mixed;
mod properties;
pub(in crate::tests) mod world;
