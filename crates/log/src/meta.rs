//! `meta.properties` and `partition.metadata`: whose directory and whose partition this is.

use std::path::Path;

use naru_model::Uuid;

use crate::checkpoint::{Durable, read_if_there, replace};
use crate::dir_error::LogDirError;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::names;

pub(crate) const META_PROPERTIES: &str = "meta.properties";

/// What `meta.properties` says, version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster.
    pub cluster_id: String,
    /// The node.
    pub node_id: i32,
    /// This directory (KIP-858); directories of old have none.
    pub directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// The text of the file.
    pub fn to_text(&self) -> String {
        let mut text = String::from("#\n");
        text.push_str(&format!("cluster.id={}\n", self.cluster_id));
        if let Some(id) = self.directory_id {
            text.push_str(&format!("directory.id={id}\n"));
        }
        text.push_str(&format!("node.id={}\nversion=1\n", self.node_id));
        text
    }

    /// Reads the text of the file; says what is wrong with it.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let value = |key: &str| {
            text.lines().find_map(|line| {
                let line = line.trim();
                let (name, value) = line.split_once(['=', ':'])?;
                // Java escapes these two in values.
                let value = value.trim().replace("\\=", "=").replace("\\:", ":");
                (name.trim() == key && !line.starts_with(['#', '!'])).then_some(value)
            })
        };
        let need = |key: &str| value(key).ok_or_else(|| format!("{key} is missing"));
        let version = need("version")?;
        if version != "1" {
            return Err(format!("version {version} is not 1"));
        }
        let node_id = need("node.id")?;
        let node_id =
            node_id.parse().map_err(|_| format!("node.id {node_id:?} is not a number"))?;
        let directory_id = match value("directory.id") {
            Some(id) => Some(id.parse().map_err(|_| format!("directory.id {id:?} is no id"))?),
            None => None,
        };
        Ok(Self { cluster_id: need("cluster.id")?, node_id, directory_id })
    }
}

pub(crate) fn read_meta(
    disk: &dyn Disk,
    dir: &Path,
) -> Result<Option<MetaProperties>, LogDirError> {
    let path = dir.join(META_PROPERTIES);
    let Some(bytes) = read_if_there(disk, &path)? else { return Ok(None) };
    let parsed = match std::str::from_utf8(&bytes) {
        Ok(text) => MetaProperties::from_text(text),
        Err(error) => Err(error.to_string()),
    };
    parsed.map(Some).map_err(|reason| LogDirError::MetaProperties { path, reason })
}

/// Writes the topic id of a partition into its folder.
pub fn write_partition_metadata(
    disk: &dyn Disk,
    dir: &Path,
    topic_id: Uuid,
) -> Result<(), StorageError> {
    let text = format!("version: 0\ntopic_id: {topic_id}");
    replace(disk, &dir.join(names::PARTITION_METADATA), text.as_bytes(), Durable::No)
}

/// Reads the topic id of a partition from its folder; none if it was never written or cannot be
/// read.
pub fn read_partition_metadata(disk: &dyn Disk, dir: &Path) -> Result<Option<Uuid>, StorageError> {
    let bytes = read_if_there(disk, &dir.join(names::PARTITION_METADATA))?;
    let id = bytes.and_then(|bytes| {
        let text = std::str::from_utf8(&bytes).ok()?;
        text.lines().find_map(|line| line.strip_prefix("topic_id:")?.trim().parse().ok())
    });
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kafka_storage_writes_is_read() {
        let text = "#\n#Sat Nov 21 13:22:03 UTC 2026\nnode.id=1\n\
                    directory.id=aAbBcCdDeEfFgGhHiIjJkA\nversion=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\n";
        let meta = MetaProperties::from_text(text).unwrap();
        assert_eq!((meta.node_id, meta.cluster_id.as_str()), (1, "4L6g3nShT-eMCtK--X86sw"));
        assert_eq!(meta.directory_id.unwrap().to_string(), "aAbBcCdDeEfFgGhHiIjJkA");
        assert_eq!(MetaProperties::from_text(&meta.to_text()), Ok(meta));
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        for (text, reason) in [
            ("", "version is missing"),
            ("version=0\n", "version 0 is not 1"),
            ("version=1\ncluster.id=x\n", "node.id is missing"),
            ("version=1\nnode.id=x\n", "node.id \"x\" is not a number"),
            ("version=1\nnode.id=1\n", "cluster.id is missing"),
            ("version=1\nnode.id=1\ncluster.id=c\ndirectory.id=?\n", "directory.id \"?\" is no id"),
        ] {
            assert_eq!(MetaProperties::from_text(text), Err(reason.to_owned()));
        }
    }
}
