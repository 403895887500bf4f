//! Rebuilding the producers' state from the last good snapshot and the batches after it.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use naru_model::{Offset, ProducerEpoch, ProducerId};
use naru_records::end_txn_marker;

use crate::checkpoint::read_if_there;
use crate::disk::Disk;
use crate::error::ReadError;
use crate::log::remove_if_there;
use crate::names;
use crate::producers::{BATCHES_MAX, KnownBatch, Producers};
use crate::reader::read_batch;
use crate::segment::Segment;
use crate::snapshot;
use crate::transactions::CompletedTxn;

/// What a replay has found.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) producers: Producers,
    /// Transactions that ended after the snapshot.
    pub(crate) completed: Vec<CompletedTxn>,
}

/// The producers at the end of `range`, which begins at the log start. Damaged snapshots are
/// removed.
pub(crate) fn replay_producers(
    disk: &dyn Disk,
    dir: &Path,
    snapshots: &mut BTreeSet<Offset>,
    segments: &[Arc<Segment>],
    range: (Offset, Offset),
) -> Result<Replayed, ReadError> {
    replay_from_snapshot(disk, dir, snapshots, segments, range, range.1)
}

/// The same from a snapshot that is not after `snapshot_upto`, so that every transaction is seen
/// that ended since.
pub(crate) fn replay_from_snapshot(
    disk: &dyn Disk,
    dir: &Path,
    snapshots: &mut BTreeSet<Offset>,
    segments: &[Arc<Segment>],
    (start, end): (Offset, Offset),
    snapshot_upto: Offset,
) -> Result<Replayed, ReadError> {
    let (producers, from) = load_snapshot(disk, dir, snapshots, snapshot_upto.min(end))?;
    let mut replayed = Replayed { producers, completed: Vec::new() };
    // A producer whose batches are hidden by the log start may still repeat them.
    let replay_from = from.unwrap_or(Offset::ZERO);
    for (index, segment) in segments.iter().enumerate() {
        // What lies before the log start was not even verified.
        if segments.get(index + 1).is_none_or(|next| next.base > start) {
            match replay_segment(segment, replay_from, end, &mut replayed) {
                // Damage is no reason not to open a log: what the producers wrote behind it in
                // this segment is not known, as if they had been silent.
                Err(ReadError::Damaged { path, position }) => {
                    tracing::warn!(path = %path.display(), position, "producers are not complete");
                }
                other => other?,
            }
        }
    }
    Ok(replayed)
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
    replayed: &mut Replayed,
) -> Result<(), ReadError> {
    let producers = &mut replayed.producers;
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
        let first = header.base_offset;
        if !header.is_control() {
            producers.note_data(&header, &stamp, first, header.max_timestamp);
        } else if let Some(marker) = end_txn_marker(&read_batch(segment, &header, position)?) {
            let ended = producers.note_marker(&stamp, marker, first, header.max_timestamp);
            replayed.completed.extend(ended);
        }
    }
    Ok(())
}

/// Completes what the producers' snapshot has left out, by the headers of the log's last `budget`
/// bytes: a client may repeat any of its last batches, a snapshot remembers one.
pub(crate) fn recall_batches(
    segments: &[Arc<Segment>],
    mut budget: u64,
    producers: &mut Producers,
) -> Result<(), ReadError> {
    if producers.len() == 0 {
        return Ok(());
    }
    let mut tails = Vec::new();
    for segment in segments.iter().rev() {
        let size = segment.size();
        let from = match size.checked_sub(budget) {
            Some(limit @ 1..) => segment.boundary_below(limit)?.unwrap_or(0),
            _ => 0,
        };
        tails.push((segment, from));
        budget = budget.saturating_sub(size - from);
        if from > 0 || budget == 0 {
            break;
        }
    }
    let mut recent: HashMap<(ProducerId, ProducerEpoch), Vec<KnownBatch>> = HashMap::new();
    for (segment, from) in tails.into_iter().rev() {
        if let Err(error) = collect_recent(segment, from, &mut recent) {
            let ReadError::Damaged { .. } = error else { return Err(error) };
            // What lies before the damage is not joined to what lies behind it.
            recent.clear();
        }
    }
    for ((id, epoch), batches) in recent {
        producers.recall(id, epoch, &batches);
    }
    Ok(())
}

fn collect_recent(
    segment: &Segment,
    from: u64,
    recent: &mut HashMap<(ProducerId, ProducerEpoch), Vec<KnownBatch>>,
) -> Result<(), ReadError> {
    if segment.size() == 0 {
        return Ok(());
    }
    let mut scan = segment.scan_from(from)?;
    while let Some((header, _)) = scan.next()? {
        let Some(stamp) = header.producer().filter(|_| !header.is_control()) else { continue };
        let batches = recent.entry((stamp.id, stamp.epoch)).or_default();
        if batches.len() == BATCHES_MAX {
            batches.remove(0);
        }
        batches.push(KnownBatch::of(&header, header.base_offset, header.max_timestamp));
    }
    Ok(())
}
