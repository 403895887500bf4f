//! Makes the folders of a cluster on one machine, or takes over those that are there.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use naru_controller::quorum::{
    SnapshotId, Voter, VoterEndpoint, bootstrap_checkpoint, initial_checkpoint,
};
use naru_log::MetaProperties;
use naru_model::{Timestamp, Uuid};

use super::layout::{Node, grow, properties, read, regrown, voters_of};

/// A cluster whose folders are ready.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) nodes: Vec<Node>,
    pub(super) cluster_id: String,
    /// Nodes that were made by this start.
    pub(super) new: usize,
}

/// Takes over the nodes under `root` and adds new ones up to `count`.
pub(super) fn prepare(root: &Path, count: u16, first_port: u16) -> Result<Prepared, String> {
    let known = known_nodes(root)?;
    if known.len() > usize::from(count) {
        return Err(format!(
            "{} holds a cluster of {} nodes; --nodes {} starts it (a node is taken out with \
             kafka-metadata-quorum remove-controller, naru rebalance and kafka-cluster unregister)",
            root.display(),
            known.len(),
            known.len()
        ));
    }
    let old = known.len();
    let nodes = grow(known, count, root, first_port, is_free)?;
    let cluster_id = match nodes.first().filter(|_| old > 0) {
        Some(first) => cluster_id_of(first)?,
        None => random_uuid()?.to_string(),
    };
    let (there, fresh) = nodes.split_at(old);
    if old > 0 && !fresh.is_empty() {
        let_grow(there, &nodes)?;
    }
    let voters = if old == 0 { first_voters(&nodes, count)? } else { Vec::new() };
    for node in fresh {
        let text = properties(node, &nodes, old > 0);
        make(&node.folder, i32::from(node.id), &text, &cluster_id, &voters)
            .map_err(|error| format!("{}: {error}", node.folder.display()))?;
    }
    let new = fresh.len();
    Ok(Prepared { cluster_id, new, nodes })
}

fn known_nodes(root: &Path) -> Result<Vec<Node>, String> {
    let mut nodes = Vec::new();
    for id in 1.. {
        let folder = root.join(format!("node-{id}"));
        let path = folder.join("server.properties");
        match fs::read_to_string(&path) {
            Ok(text) => nodes.push(read(id, folder, &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Ok(nodes)
}

pub(in crate::start) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn cluster_id_of(node: &Node) -> Result<String, String> {
    let path = node.data().join("meta.properties");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let meta =
        MetaProperties::from_text(&text).map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(meta.cluster_id)
}

/// The nodes that are there learn that there are more.
fn let_grow(there: &[Node], nodes: &[Node]) -> Result<(), String> {
    for node in there {
        let path = node.properties_file();
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(failed)?;
        write(&path, regrown(&text, node, there, nodes).as_bytes())?;
    }
    Ok(())
}

/// The first voters of a new cluster.
fn first_voters(nodes: &[Node], count: u16) -> Result<Vec<Voter>, String> {
    nodes
        .iter()
        .take(usize::from(voters_of(count)))
        .map(|node| {
            Ok(Voter {
                id: i32::from(node.id),
                directory_id: random_uuid()?,
                endpoints: vec![VoterEndpoint {
                    name: "CONTROLLER".to_owned(),
                    host: "localhost".to_owned(),
                    port: node.controller_port(),
                }],
            })
        })
        .collect()
}

/// Makes a node's folder as `kafka-storage format` does; the properties come last, so that a
/// start that was interrupted begins anew.
pub(in crate::start) fn make(
    folder: &Path,
    id: i32,
    text: &str,
    cluster_id: &str,
    voters: &[Voter],
) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    let data = folder.join("data");
    fs::create_dir_all(&data).map_err(words)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(i64::try_from(now.as_millis()).unwrap_or(0));
    let bootstrap = bootstrap_checkpoint(now).map_err(|error| error.to_string())?;
    write(&data.join("bootstrap.checkpoint"), &bootstrap)?;
    let own = voters.iter().find(|voter| voter.id == id);
    if own.is_some() {
        let log = data.join("__cluster_metadata-0");
        fs::create_dir_all(&log).map_err(words)?;
        let bytes = initial_checkpoint(voters, now).map_err(|error| error.to_string())?;
        write(&log.join(SnapshotId::default().to_string()), &bytes)?;
    }
    let directory_id = match own {
        Some(voter) => voter.directory_id,
        None => random_uuid()?,
    };
    let meta = MetaProperties {
        cluster_id: cluster_id.to_owned(),
        node_id: id,
        directory_id: Some(directory_id),
    };
    write(&data.join("meta.properties"), meta.to_text().as_bytes())?;
    write(&folder.join("server.properties"), text.as_bytes())
}

/// Writes a whole file or none.
fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes)
        .and_then(|()| fs::File::open(&beside)?.sync_all())
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// An id that nobody else has.
fn random_uuid() -> Result<Uuid, String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| format!("no random numbers: {error}"))?;
    Ok(Uuid::from_random(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_start_continues_and_a_larger_one_adds_nodes() {
        let root = tempfile::tempdir().unwrap();
        let first = prepare(root.path(), 1, 31_000).unwrap();
        assert_eq!((first.nodes.len(), first.new), (1, 1));
        let again = prepare(root.path(), 1, 31_000).unwrap();
        assert_eq!((again.nodes.clone(), again.new), (first.nodes, 0));
        assert_eq!(again.cluster_id, first.cluster_id);
        let grown = prepare(root.path(), 3, 31_000).unwrap();
        assert_eq!((grown.nodes.len(), grown.new), (3, 2));
        assert_eq!(grown.cluster_id, first.cluster_id);
        // Only the first start writes voters; the others ask to join.
        let voters = |id: u16| {
            let log = root.path().join(format!("node-{id}/data/__cluster_metadata-0"));
            log.join("00000000000000000000-0000000000.checkpoint").exists()
        };
        assert_eq!([voters(1), voters(2), voters(3)], [true, false, false]);
        let text = fs::read_to_string(grown.nodes[2].properties_file()).unwrap();
        assert!(text.contains("auto.join.enable=true"), "{text}");
        let text = fs::read_to_string(grown.nodes[0].properties_file()).unwrap();
        assert!(text.contains("default.replication.factor=3"), "{text}");
        assert!(prepare(root.path(), 2, 31_000).unwrap_err().contains("--nodes 3 starts it"));
    }

    #[test]
    fn a_new_cluster_of_three_has_three_voters_with_one_id() {
        let root = tempfile::tempdir().unwrap();
        let made = prepare(root.path(), 3, 31_500).unwrap();
        let checkpoint = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
        let mut ids = Vec::new();
        for node in &made.nodes {
            assert!(node.data().join(checkpoint).exists());
            let text = fs::read_to_string(node.data().join("meta.properties")).unwrap();
            let meta = MetaProperties::from_text(&text).unwrap();
            assert_eq!(meta.cluster_id, made.cluster_id);
            ids.push(meta.directory_id.unwrap());
        }
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }
}
