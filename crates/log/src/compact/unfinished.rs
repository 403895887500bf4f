//! What a crash in the middle of compaction, or of mending, has left in a folder.
//!
//! A `.swap` log is complete: it replaces every segment whose offsets it covers. `.cleaned` files
//! are not; they and `.deleted` ones are removed by whoever opens the log.

use std::collections::BTreeSet;
use std::path::Path;

use naru_model::Offset;

use crate::disk::Disk;
use crate::error::{Context, StorageError};
use crate::log::remove_if_there;
use crate::names;
use crate::verify::{Span, Visit, verify};

/// Completes the exchanges that a crash has interrupted.
pub(crate) fn complete_swaps(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    let listed = disk.list(dir).context("list", dir)?;
    let names: BTreeSet<&str> = listed.iter().map(|entry| entry.name.as_str()).collect();
    let with = |suffix: &'static str| names.iter().filter_map(move |n| n.strip_suffix(suffix));
    // Kafka splits a segment by writing several: while one of them is not complete, those behind
    // it do not count either.
    let unfinished = with(names::CLEANED).filter_map(base_of).min();
    let abandoned =
        |name: &str| base_of(name).is_some_and(|base| unfinished.is_some_and(|from| base > from));

    let logs: BTreeSet<Offset> =
        names.iter().filter_map(|name| names::offset_in(name, names::LOG)).collect();
    for name in with(names::SWAP).filter(|name| !abandoned(name)) {
        let Some(base) = names::offset_in(name, names::LOG) else { continue };
        let swap = dir.join(format!("{name}{}", names::SWAP));
        let last = last_offset_in(disk, &swap)?.unwrap_or(base);
        for old in logs.range(base.plus(1)..).take_while(|old| **old <= last) {
            for suffix in names::OF_SEGMENT {
                remove_if_there(disk, &names::path(dir, *old, suffix))?;
            }
        }
        // The indexes of the old segment say nothing of the new one.
        for suffix in names::OF_SEGMENT.into_iter().filter(|suffix| *suffix != names::LOG) {
            remove_if_there(disk, &names::path(dir, base, suffix))?;
        }
    }
    for name in with(names::SWAP) {
        let from = dir.join(format!("{name}{}", names::SWAP));
        if abandoned(name) {
            remove_if_there(disk, &from)?;
        } else {
            disk.rename(&from, &dir.join(name)).context("rename", &from)?;
        }
    }
    Ok(())
}

/// The offset in the name of any file of a segment.
fn base_of(name: &str) -> Option<Offset> {
    names::OF_SEGMENT.iter().find_map(|suffix| names::offset_in(name, suffix))
}

fn last_offset_in(disk: &dyn Disk, path: &Path) -> Result<Option<Offset>, StorageError> {
    let file = disk.open(path, false).context("open", path)?;
    let len = file.len().context("measure", path)?;
    let mut last = None;
    verify(&*file, path, Span::new(0, len), &mut Vec::new(), &|_| {}, |batch| {
        last = Some(batch.header.last_offset());
        Visit::Good
    })?;
    Ok(last)
}
