//! What `kafka-storage format` puts into a fresh directory, as record batches.

use naru_model::Timestamp;

use super::{ControlRecord, Voter};
use crate::batch::{BatchError, snapshot_of};
use crate::controller::bootstrap_records;
use crate::records::RecordAndVersion;

/// The bytes of `bootstrap.checkpoint`: the features of a fresh cluster between header and footer.
pub fn bootstrap_checkpoint(now: Timestamp) -> Result<Vec<u8>, BatchError> {
    bootstrap_checkpoint_of(&bootstrap_records(), now)
}

/// The bytes of `bootstrap.checkpoint` with other first records.
pub fn bootstrap_checkpoint_of(
    records: &[RecordAndVersion],
    now: Timestamp,
) -> Result<Vec<u8>, BatchError> {
    snapshot_of(&[ControlRecord::snapshot_header(0)], records, 0, now)
}

/// The bytes of `__cluster_metadata-0/00000000000000000000-0000000000.checkpoint` of a dynamic
/// quorum: its first voters.
pub fn initial_checkpoint(voters: &[Voter], now: Timestamp) -> Result<Vec<u8>, BatchError> {
    let head = [
        ControlRecord::snapshot_header(now.0),
        ControlRecord::kraft_version(1),
        ControlRecord::voters(voters),
    ];
    snapshot_of(&head, &[], 0, now)
}
