//! Tests of the shard as a whole, through its public face.

mod admin;
mod bench;
mod consumers;
mod golden;
mod inspect;
mod joining;
mod offsets;
mod properties;
mod shares;
mod static_members;
mod streams;
mod syncing;
mod transactional;
mod transactional_life;
