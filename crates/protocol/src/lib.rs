//! Kafka's messages: bytes in, structs out, and back.
//!
//! `generated/` holds one module a message, made from `schemas/` by `cargo xtask codegen`; this
//! folder holds what they stand on. Decoding costs memory in proportion to the bytes received,
//! never to a count somebody announced; record bytes are slices of the frame.
//! Never does I/O, never looks inside record batches (that is `records`).

#![forbid(unsafe_code)]

pub mod api;
pub mod frame;
#[path = "generated/mod.rs"]
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    reason = "generated code keeps one shape for every message"
)]
pub mod messages;
pub mod metadata;
mod reader;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

pub use reader::{DecodeError, Reader};
pub use wire::{EXPLAINED_MAX, Message, Records, Request, Wire};
pub use writer::{External, Writer};
