//! One partition's log on disk, in Apache Kafka's own formats.
//!
//! Segments of record batches as received, offset and time indexes, leader epochs, producer
//! snapshots, and the directory around them. Knows nothing of replication, the network or the
//! controller; never asks for the time and never starts a thread: what takes long (syncing,
//! removing files, recovering many logs) is handed to the caller. Reaches the disk only through
//! [`Disk`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod append;
mod checkpoint;
mod compact;
mod config;
mod damage;
mod dir_error;
mod disk;
mod entries;
mod epochs;
mod error;
mod examine;
mod health;
mod log;
mod log_dir;
mod mend;
mod meta;
mod names;
mod pace;
mod producers;
mod reader;
mod recovery;
mod repair;
mod replay;
mod reserve;
mod retention;
mod roll;
mod scan;
mod scrub;
mod segment;
mod shared;
mod snapshot;
mod sync;
mod transactions;
mod truncate;
mod txn_index;
mod verification;
mod verify;

pub use append::{Appended, Followed, NewBatch};
pub use checkpoint::OffsetCheckpoint;
pub use compact::{
    CleanedSegment, CleanerStats, CompactionError, Extent, OffsetMap, Replaced, Round, Step, Work,
};
pub use config::LogConfig;
pub use damage::Damage;
pub use dir_error::LogDirError;
pub use disk::{Disk, DiskFile, Entry, OsDisk};
pub use epochs::{EpochEnd, LeaderEpochs};
pub use error::{AppendError, ReadError, StorageError};
pub use health::{DirHealth, Health};
pub use log::{Log, ProducerInfo};
pub use log_dir::{Checkpoint, CleanShutdown, Folder, FolderKind, LogDir};
pub use mend::RepairError;
pub use meta::{MetaProperties, read_partition_metadata, write_partition_metadata};
pub use pace::ScrubPace;
pub use producers::Origin;
pub use reader::{LogOffsets, LogReader, OffsetMetadata, Slice, TimedOffset};
pub use recovery::{Lost, OpenOptions, Recovery, tail_budget};
pub use retention::{DeletedSegments, Reason, Retention, SegmentFacts, deletable};
pub use scrub::{Scrub, ScrubStep};
pub use sync::SyncPlan;
pub use txn_index::AbortedTxn;
pub use verification::{Verification, VerificationGuard};
