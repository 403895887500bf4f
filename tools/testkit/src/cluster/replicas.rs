//! Replicas of a stopped cluster, compared batch by batch from their files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// Bytes of a record batch before its records.
const HEADER: usize = 61;
/// Bytes before those that the batch's length counts.
const LENGTH_ENDS: usize = 12;

/// One batch as it is stored; replicas hold the same bytes, leader epoch included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBatch {
    pub base_offset: i64,
    pub last_offset: i64,
    pub leader_epoch: i32,
    pub crc: u32,
    pub size: usize,
}

/// Compares the replicas of every partition of `topic` below the data directories; returns how many
/// partitions and batches were compared.
pub fn compare(directories: &[PathBuf], topic: &str, copies: usize) -> Result<(usize, usize)> {
    let mut partitions: BTreeMap<String, Vec<Vec<StoredBatch>>> = BTreeMap::new();
    for directory in directories {
        for folder in partition_folders(directory, topic)? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            partitions.entry(name).or_default().push(replica(&folder)?);
        }
    }
    ensure!(!partitions.is_empty(), "no replica of {topic}");
    let mut batches = 0;
    for (name, logs) in &partitions {
        ensure!(logs.len() == copies, "{name} has {} replicas, not {copies}", logs.len());
        // Retention may have moved the starts apart.
        let begin = logs.iter().filter_map(|log| log.first()).map(|b| b.base_offset).max();
        let kept: Vec<Vec<&StoredBatch>> = logs
            .iter()
            .map(|log| log.iter().filter(|batch| Some(batch.last_offset) >= begin).collect())
            .collect();
        if let Some(other) = kept.iter().position(|log| *log != kept[0]) {
            let at = kept[0].iter().zip(&kept[other]).position(|(one, two)| one != two);
            let ends = kept.iter().map(|log| log.last().map_or(-1, |batch| batch.last_offset));
            let ends: Vec<i64> = ends.collect();
            bail!("{name}: replicas differ from batch {at:?} on, last offsets {ends:?}");
        }
        batches += kept[0].len();
    }
    Ok((partitions.len(), batches))
}

/// The folders of a topic's partitions in a data directory.
fn partition_folders(directory: &Path, topic: &str) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let partition = name.strip_prefix(topic).and_then(|rest| rest.strip_prefix('-'));
        if path.is_dir() && partition.is_some_and(|number| number.parse::<u32>().is_ok()) {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// All batches of one replica.
pub fn replica(folder: &Path) -> Result<Vec<StoredBatch>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    let mut batches = Vec::new();
    for file in files {
        let bytes = fs::read(&file)?;
        read_batches(&bytes, &mut batches).with_context(|| file.display().to_string())?;
    }
    Ok(batches)
}

/// Zeros behind the last batch are room that was given to the file in advance.
fn read_batches(mut bytes: &[u8], batches: &mut Vec<StoredBatch>) -> Result<()> {
    while bytes.len() >= HEADER {
        let length = usize::try_from(int32(bytes, 8)).unwrap_or(0);
        let size = LENGTH_ENDS + length;
        if length == 0 || size > bytes.len() {
            break;
        }
        let base_offset =
            i64::from(int32(bytes, 0)) << 32 | i64::from(int32(bytes, 4).cast_unsigned());
        batches.push(StoredBatch {
            base_offset,
            last_offset: base_offset + i64::from(int32(bytes, 23)),
            leader_epoch: int32(bytes, 12),
            crc: int32(bytes, 17).cast_unsigned(),
            size,
        });
        bytes = &bytes[size..];
    }
    ensure!(bytes.iter().all(|byte| *byte == 0), "{} stray bytes at its end", bytes.len());
    Ok(())
}

fn int32(bytes: &[u8], at: usize) -> i32 {
    let four = bytes[at..].first_chunk().expect("a batch header was checked to be there");
    i32::from_be_bytes(*four)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base: i64, count: i32, epoch: i32) -> Vec<u8> {
        let mut bytes = base.to_be_bytes().to_vec();
        bytes.extend(i32::try_from(HEADER - LENGTH_ENDS).unwrap().to_be_bytes());
        bytes.extend(epoch.to_be_bytes());
        bytes.extend([2, 0, 0, 0, 7, 0, 0]);
        bytes.extend((count - 1).to_be_bytes());
        bytes.resize(HEADER, 0);
        bytes
    }

    fn directories(logs: &[Vec<u8>]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..logs.len()).map(|n| root.path().join(n.to_string())).collect();
        for (path, log) in paths.iter().zip(logs) {
            fs::create_dir_all(path.join("t-0")).unwrap();
            fs::create_dir_all(path.join("t-other-0")).unwrap();
            fs::write(path.join("t-0/00000000000000000000.log"), log).unwrap();
        }
        (root, paths)
    }

    fn check(logs: &[Vec<u8>]) -> Result<(usize, usize)> {
        let (_root, paths) = directories(logs);
        compare(&paths, "t", logs.len())
    }

    #[test]
    fn equal_replicas_are_counted() {
        let log = [batch(0, 3, 0), batch(3, 1, 1)].concat();
        assert_eq!(check(&[log.clone(), log]).unwrap(), (1, 2));
    }

    #[test]
    fn another_epoch_or_a_missing_batch_is_a_difference() {
        let log = [batch(0, 3, 0), batch(3, 1, 1)].concat();
        assert!(check(&[log.clone(), [batch(0, 3, 0), batch(3, 1, 2)].concat()]).is_err());
        assert!(check(&[log, batch(0, 3, 0)]).is_err());
    }

    #[test]
    fn a_start_moved_by_retention_is_no_difference() {
        let log = [batch(0, 3, 0), batch(3, 1, 1)].concat();
        assert_eq!(check(&[log, batch(3, 1, 1)]).unwrap(), (1, 1));
    }

    #[test]
    fn stray_bytes_and_missing_replicas_are_seen() {
        let log = batch(0, 3, 0);
        assert!(check(&[[log.clone(), vec![1; 9]].concat()]).is_err());
        assert_eq!(check(&[[log.clone(), vec![0; 90]].concat()]).unwrap(), (1, 1));
        let (_root, paths) = directories(&[log]);
        assert!(compare(&paths, "t", 2).is_err());
    }
}
