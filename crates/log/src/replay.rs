//! Rebuilding the producers' state from the last good snapshot and the batches after it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use naru_model::Offset;

use crate::append::end_of_transaction;
use crate::checkpoint::read_if_there;
use crate::disk::Disk;
use crate::error::ReadError;
use crate::log::remove_if_there;
use crate::names;
use crate::producers::Producers;
use crate::reader::read_batch;
use crate::segment::Segment;
use crate::snapshot;

/// The producers at the end of `range`, which begins at the log start, and the offset of the snapshot they were read from.
/// Damaged snapshots are removed.
pub(crate) fn replay_producers(
    disk: &dyn Disk,
    dir: &Path,
    snapshots: &mut BTreeSet<Offset>,
    segments: &[Arc<Segment>],
    range: (Offset, Offset),
) -> Result<(Producers, Option<Offset>), ReadError> {
    let (start, end) = range;
    let (mut producers, from) = load_snapshot(disk, dir, snapshots, end)?;
    // A producer whose batches are hidden by the log start may still repeat them.
    let replay_from = from.unwrap_or(Offset::ZERO);
    for (index, segment) in segments.iter().enumerate() {
        // What lies before the log start was not even verified.
        if segments.get(index + 1).is_none_or(|next| next.base > start) {
            match replay_segment(segment, replay_from, end, &mut producers) {
                // Damage is no reason not to open a log: what the producers wrote behind it in
                // this segment is not known, as if they had been silent.
                Err(ReadError::Damaged { path, position }) => {
                    tracing::warn!(path = %path.display(), position, "producers are not complete");
                }
                other => other?,
            }
        }
    }
    Ok((producers, from))
}

/// The last good snapshot at or before `end`.
pub(crate) fn load_snapshot(
    disk: &dyn Disk,
    dir: &Path,
    snapshots: &mut BTreeSet<Offset>,
    end: Offset,
) -> Result<(Producers, Option<Offset>), ReadError> {
    while let Some(at) = snapshots.range(..=end).next_back().copied() {
        let path = names::path(dir, at, names::SNAPSHOT);
        let bytes = read_if_there(disk, &path)?;
        if let Some(producers) = bytes.as_deref().and_then(snapshot::from_bytes) {
            return Ok((producers, Some(at)));
        }
        remove_if_there(disk, &path)?;
        snapshots.remove(&at);
    }
    Ok((Producers::default(), None))
}

fn replay_segment(
    segment: &Segment,
    from: Offset,
    end: Offset,
    producers: &mut Producers,
) -> Result<(), ReadError> {
    if segment.base >= end || segment.size() == 0 {
        return Ok(());
    }
    let Some((_, position)) = segment.find(from)? else { return Ok(()) };
    let mut scan = segment.scan_from(position)?;
    while let Some((header, position)) = scan.next()? {
        if header.base_offset < from {
            continue;
        }
        if header.base_offset >= end {
            break;
        }
        let Some(stamp) = header.producer() else { continue };
        let (first, last) = (header.base_offset, header.last_offset());
        if !header.is_control() {
            producers.note_data(&header, &stamp, first, last, header.max_timestamp);
        } else if let Some(marker) = end_of_transaction(&read_batch(segment, &header, position)?) {
            producers.note_marker(&stamp, marker, header.max_timestamp);
        }
    }
    Ok(())
}
