//! Kafka's record batches, magic 2: validate, walk, build, compress.
//!
//! Bytes in, values out. Never does I/O, never asks for the time, never trusts a length or a
//! count that the bytes announce. Memory grows with the bytes received; what compressed data may
//! inflate to is capped by an argument everywhere.
//!
//! Invariants: no function here panics on any input; a batch accepted by [`validate_produced`]
//! holds exactly the records its header counts, with offset deltas `0..count`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod builder;
mod codec;
mod control;
mod error;
mod header;
mod produced;
mod record;
mod rewrite;
mod stored;
mod varint;
mod walk;

pub use builder::{BatchBuilder, BatchOptions};
pub use codec::{Compression, compress, inflate};
pub use control::{ControlRecord, EndTxnMarker, control_key, end_txn_batch, end_txn_marker};
pub use error::{BatchError, InvalidBatch, RecordError, RecordProblem, RecordShape};
pub use header::{
    BatchHeader, Batches, HEADER_LEN, LOG_OVERHEAD, ProducerStamp, TimestampType, batches, crc_of,
    patch_max_timestamp, patch_placement,
};
pub use produced::{ProduceLimits, ValidBatch, validate_produced};
pub use record::{Header, Headers, OwnedRecord, OwnedRecords, Record, Records, read_records};
pub use rewrite::{Selection, empty_batch, recompress, select};
pub use stored::{StoredSummary, verify_stored};
