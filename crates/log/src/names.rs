//! The names Kafka gives the files of a partition.

use std::path::{Path, PathBuf};

use naru_model::Offset;

pub(crate) const LOG: &str = ".log";
pub(crate) const OFFSET_INDEX: &str = ".index";
pub(crate) const TIME_INDEX: &str = ".timeindex";
pub(crate) const TXN_INDEX: &str = ".txnindex";
pub(crate) const SNAPSHOT: &str = ".snapshot";
pub(crate) const DELETED: &str = ".deleted";
pub(crate) const CLEANED: &str = ".cleaned";
pub(crate) const SWAP: &str = ".swap";
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";

/// Ours: which stretches of segments wait to be mended. Kafka passes over the file.
pub(crate) const DAMAGES: &str = "naru-damages";

/// Ours: offsets may be missing, as the log was compacted once. Kafka passes over the file.
pub(crate) const GAPS: &str = "naru-gaps";

/// The files that belong to one segment.
pub(crate) const OF_SEGMENT: [&str; 4] = [LOG, OFFSET_INDEX, TIME_INDEX, TXN_INDEX];

/// The path of a file that is named by an offset.
pub(crate) fn path(dir: &Path, base: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{:020}{suffix}", base.0))
}

/// The path with one more suffix.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The offset in a name with this suffix.
pub(crate) fn offset_in(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        let path = path(Path::new("/d/t-0"), Offset(35), TIME_INDEX);
        assert_eq!(path.to_str(), Some("/d/t-0/00000000000000000035.timeindex"));
        assert_eq!(offset_in("00000000000000000035.timeindex", TIME_INDEX), Some(Offset(35)));
        assert_eq!(offset_in("00000000000000000035.index", TIME_INDEX), None);
        assert_eq!(offset_in("00000000000000000035.log.deleted", LOG), None);
        assert_eq!(offset_in("+1.log", LOG), None);
        assert_eq!(offset_in(".log", LOG), None);
    }
}
