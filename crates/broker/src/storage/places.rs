//! Where each partition's folder lies, and how many there are in each directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use naru_model::TopicPartition;

/// See the module. The counts are kept along: each new partition asks for them.
#[derive(Debug, Default)]
pub(super) struct Places {
    folders: HashMap<TopicPartition, PathBuf>,
    per_dir: HashMap<PathBuf, usize>,
}

impl Places {
    pub(super) fn get(&self, partition: &TopicPartition) -> Option<&PathBuf> {
        self.folders.get(partition)
    }

    pub(super) fn contains(&self, partition: &TopicPartition) -> bool {
        self.folders.contains_key(partition)
    }

    /// All of them.
    pub(super) fn all(&self) -> HashMap<TopicPartition, PathBuf> {
        self.folders.clone()
    }

    /// Partitions in a directory.
    pub(super) fn count(&self, dir: &Path) -> usize {
        self.per_dir.get(dir).copied().unwrap_or(0)
    }

    pub(super) fn insert(&mut self, partition: TopicPartition, folder: PathBuf) {
        if let Some(dir) = folder.parent() {
            match self.per_dir.get_mut(dir) {
                Some(count) => *count += 1,
                None => drop(self.per_dir.insert(dir.to_path_buf(), 1)),
            }
        }
        if let Some(before) = self.folders.insert(partition, folder) {
            self.left(&before);
        }
    }

    pub(super) fn remove(&mut self, partition: &TopicPartition) {
        if let Some(folder) = self.folders.remove(partition) {
            self.left(&folder);
        }
    }

    fn left(&mut self, folder: &Path) {
        if let Some(count) = folder.parent().and_then(|dir| self.per_dir.get_mut(dir)) {
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_folders() {
        let name = |index| TopicPartition::new("t", index);
        let mut places = Places::default();
        places.insert(name(0), "/a/t-0".into());
        places.insert(name(1), "/b/t-1".into());
        places.insert(name(0), "/b/t-0".into());
        places.insert(name(0), "/b/t-0".into());
        assert_eq!((places.count(Path::new("/a")), places.count(Path::new("/b"))), (0, 2));
        places.remove(&name(1));
        places.remove(&name(1));
        assert_eq!(places.count(Path::new("/b")), 1);
        assert!(places.contains(&name(0)) && places.all().len() == 1);
    }
}
