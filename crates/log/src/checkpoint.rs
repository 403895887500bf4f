//! Small text files that are replaced whole, so that a crash leaves the old or the new one.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::Path;

use naru_model::{Offset, TopicPartition};

use crate::disk::Disk;
use crate::error::{Context, StorageError};
use crate::names::with_suffix;

/// Whether a file must outlive a power cut when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    Yes,
    /// The caller syncs later, or can do without the file.
    No,
}

/// Replaces a file by way of a temporary one beside it.
pub(crate) fn replace(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    durable: Durable,
) -> Result<(), StorageError> {
    let temporary = with_suffix(path, ".tmp");
    if let Err(error) = write_whole(disk, &temporary, bytes, durable) {
        // A full disk has no room for half a file; the error that counts is the first.
        let _ = disk.remove_file(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, path).context("replace", path)?;
    if durable == Durable::Yes
        && let Some(dir) = path.parent()
    {
        disk.sync_dir(dir).context("sync", dir)?;
    }
    Ok(())
}

fn write_whole(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    durable: Durable,
) -> Result<(), StorageError> {
    let file = disk.open(path, true).context("create", path)?;
    file.set_len(0).context("truncate", path)?;
    file.write_all_at(&mut [IoSlice::new(bytes)], 0).context("write", path)?;
    match durable {
        Durable::Yes => file.sync().context("sync", path),
        Durable::No => Ok(()),
    }
}

/// Reads a file that may be missing.
pub(crate) fn read_if_there(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match disk.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("read", path),
    }
}

/// One offset per partition, as in `recovery-point-offset-checkpoint` and its like.
pub type OffsetCheckpoint = BTreeMap<TopicPartition, Offset>;

/// The text of an offset checkpoint.
pub(crate) fn offsets_to_text(offsets: &OffsetCheckpoint) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        text.push_str(&format!("{} {} {offset}\n", partition.topic, partition.partition));
    }
    text
}

/// Reads the text of an offset checkpoint; none if it is damaged.
pub(crate) fn offsets_from_text(text: &str) -> Option<OffsetCheckpoint> {
    // The last number of a torn file may lack digits, and be a number still.
    if !text.ends_with('\n') {
        return None;
    }
    let mut lines = text.lines();
    if lines.next()?.trim() != "0" {
        return None;
    }
    let count: usize = lines.next()?.trim().parse().ok()?;
    let mut offsets = OffsetCheckpoint::new();
    for line in lines.by_ref().take(count) {
        let mut words = line.split_whitespace();
        let partition = TopicPartition::new(words.next()?, words.next()?.parse().ok()?);
        let offset = Offset(words.next()?.parse().ok()?);
        if words.next().is_some() || offsets.insert(partition, offset).is_some() {
            return None;
        }
    }
    (offsets.len() == count && lines.next().is_none()).then_some(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_read_back_and_damage_is_noticed() {
        let offsets = OffsetCheckpoint::from([
            (TopicPartition::new("a-b.c", 3), Offset(17)),
            (TopicPartition::new("z", 0), Offset(0)),
        ]);
        let text = offsets_to_text(&offsets);
        assert_eq!(text, "0\n2\na-b.c 3 17\nz 0 0\n");
        assert_eq!(offsets_from_text(&text), Some(offsets));
        for bad in [
            "",
            "0\n",
            "1\n0\n",
            "0\n1\na 0 17",
            "0\n1\n",
            "0\n1\na 0\n",
            "0\n1\na 0 1 2\n",
            "0\n0\na 0 1\n",
        ] {
            assert_eq!(offsets_from_text(bad), None, "{bad:?}");
        }
    }
}
