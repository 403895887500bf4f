//! `kafka-storage info`.

use std::path::PathBuf;

use super::read_meta;
use crate::text::Streams;

/// Shows what is in the directories; whether there is no problem.
pub(super) fn show(dirs: &[PathBuf], streams: &mut Streams) -> bool {
    let (mut found, mut problems, mut metas) = (Vec::new(), Vec::new(), Vec::new());
    for dir in dirs {
        if !dir.exists() {
            problems.push(format!("{} does not exist", dir.display()));
            continue;
        }
        if !dir.is_dir() {
            problems.push(format!("{} is not a directory", dir.display()));
            continue;
        }
        found.push(dir.display().to_string());
        match read_meta(dir) {
            Ok(Some(meta)) => metas.push(meta),
            Ok(None) => problems.push(format!("{} is not formatted.", dir.display())),
            Err(error) => problems.push(format!("Error loading {error}")),
        }
    }
    list(&found, ["Found log directory:", "Found log directories:"], streams);
    if let Some(meta) = metas.first() {
        let directory =
            meta.directory_id.map(|id| format!("directory.id={id}, ")).unwrap_or_default();
        streams.line(format!(
            "Found metadata: {{cluster.id={}, {directory}node.id={}, version=1}}\n",
            meta.cluster_id, meta.node_id
        ));
        for other in &metas {
            if other.cluster_id != meta.cluster_id || other.node_id != meta.node_id {
                problems.push(format!(
                    "Directories belong to different nodes: cluster.id={}, node.id={}",
                    other.cluster_id, other.node_id
                ));
            }
        }
    }
    list(&problems, ["Found problem:", "Found problems:"], streams);
    problems.is_empty()
}

fn list(items: &[String], [one, many]: [&str; 2], streams: &mut Streams) {
    if items.is_empty() {
        return;
    }
    streams.line(if items.len() == 1 { one } else { many });
    for item in items {
        streams.line(format!("  {item}"));
    }
    streams.line("");
}
