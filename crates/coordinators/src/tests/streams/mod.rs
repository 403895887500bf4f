//! Groups of the streams protocol, driven as applications drive them.

mod living;
mod properties;
mod topologies;
mod world;
