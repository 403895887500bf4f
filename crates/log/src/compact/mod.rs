//! Compaction: of every key the last record stays (`cleanup.policy=compact`).
//!
//! `plan` says what is to be compacted, `offset_map` remembers the last offset of every key,
//! `transactions` and `filter` say what is left of a batch: all pure. `run` reads a log's segments
//! without its lock and writes what is left beside them; `swap` puts that in their place.
//!
//! Invariants: offsets, epochs and times of what stays do not change; a segment is replaced only
//! by one that is synced, and only if nothing was cut off the log meanwhile; whoever reads the old
//! segments goes on reading their files. A crash leaves the old segments or the new one.

mod filter;
mod offset_map;
mod plan;
mod run;
mod swap;
mod transactions;
mod unfinished;

pub use offset_map::OffsetMap;
pub use plan::Extent;
pub use run::{CleanedSegment, CleanerStats, CompactionError, Round, Step, Work};
pub use swap::Replaced;
pub(crate) use swap::{cut_back, gaps_are_marked, mark_gaps};
pub(crate) use unfinished::complete_swaps;
