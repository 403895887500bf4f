//! The share coordinator by its public face, with a log that can fail.

mod batches;
mod bench;
mod golden;
mod life;
mod properties;
