//! A seeded simulation: cores over a network that loses, delays, repeats and reorders, and disks
//! that lose what was not synced. Invariants are checked as effects happen; a calm phase at the
//! end must bring all nodes together.

mod disk;
mod faults;
mod judge;
mod runs;
mod shell;
mod wire;
mod world;

pub(super) use world::{Settings, World};
