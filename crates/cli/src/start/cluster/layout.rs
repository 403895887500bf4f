//! Which nodes a cluster on one machine has: roles, ports, properties. Pure.
//!
//! The first 1, 3 or 5 nodes vote in the metadata quorum; every node is a broker.

use std::path::{Path, PathBuf};

/// How far apart the ports of neighbours are.
const STEP: u16 = 10;
/// From the Kafka port of a node to its controller port.
const CONTROLLER: u16 = 1;
/// From the HTTP port of a node (8080) to its Kafka port (9092).
const HTTP: u16 = 9092 - 8080;
/// Most nodes on one machine.
pub(super) const NODES_MAX: u16 = 20;

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: u16,
    /// Where clients connect.
    pub(super) port: u16,
    /// Whether it can be a voter.
    pub(super) controller: bool,
    /// Its folder: `server.properties`, `node.log` and `data`.
    pub(super) folder: PathBuf,
}

impl Node {
    pub(super) const fn controller_port(&self) -> u16 {
        self.port + CONTROLLER
    }

    pub(super) const fn http_port(&self) -> u16 {
        self.port - HTTP
    }

    pub(super) fn properties_file(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    pub(super) fn kafka(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

/// How many of `count` nodes vote: an odd number, so that as many as possible may fail.
pub(super) const fn voters_of(count: u16) -> u16 {
    match count {
        0..=2 => 1,
        3 | 4 => 3,
        _ => 5,
    }
}

/// Adds nodes up to `count` behind those that are there, the first at `first_port`, each at the
/// next ports that are free.
pub(super) fn grow(
    mut nodes: Vec<Node>,
    count: u16,
    root: &Path,
    first_port: u16,
    is_free: impl Fn(u16) -> bool,
) -> Result<Vec<Node>, String> {
    let highest = nodes.iter().map(|node| node.port).max();
    let mut port = highest.map_or(Some(first_port), |port| port.checked_add(STEP));
    // An even number of voters would bear no more failures than one less.
    let voters = voters_of(count);
    let all_can = nodes.iter().all(|node| node.controller || node.id > voters);
    let first = u16::try_from(nodes.len()).unwrap_or(u16::MAX) + 1;
    for id in first..=count {
        loop {
            let candidate = port.filter(|port| *port > HTTP && *port < u16::MAX - CONTROLLER);
            let Some(candidate) = candidate else {
                return Err(format!("there are no free ports for node {id} from {first_port} on"));
            };
            port = candidate.checked_add(STEP);
            if [candidate, candidate + CONTROLLER, candidate - HTTP].into_iter().all(&is_free) {
                nodes.push(Node {
                    id,
                    port: candidate,
                    // With two nodes the second waits for the third to become voters together.
                    controller: all_can && id <= voters.max(3),
                    folder: root.join(format!("node-{id}")),
                });
                break;
            }
        }
    }
    Ok(nodes)
}

/// What the `server.properties` of a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::start) struct Settings {
    pub(in crate::start) id: i32,
    /// What clients and other nodes are told.
    pub(in crate::start) host: String,
    pub(in crate::start) port: u16,
    pub(in crate::start) controller: bool,
    /// Whether it asks to become a voter.
    pub(in crate::start) may_join: bool,
    /// Where the quorum is found.
    pub(in crate::start) controllers: Vec<String>,
    /// Brokers of the cluster.
    pub(in crate::start) brokers: usize,
    pub(in crate::start) data: PathBuf,
}

impl Settings {
    pub(in crate::start) fn text(&self) -> String {
        let Self { id, host, port, controller, may_join, controllers, brokers, data } = self;
        let replicas = brokers.min(&3);
        let min_in_sync = if *brokers >= 3 { 2 } else { 1 };
        let bound = if host == "localhost" { host.as_str() } else { "" };
        let controller_port = port + CONTROLLER;
        let listeners = |host: &str| {
            let own = format!(",CONTROLLER://{host}:{controller_port}");
            format!("PLAINTEXT://{host}:{port}{}", if *controller { &own } else { "" })
        };
        let roles = if *controller { "broker,controller" } else { "broker" };
        let join = if *controller { format!("{AUTO_JOIN}={may_join}\n") } else { String::new() };
        format!(
            "# Written by `naru start`. Change what you like; the next start takes it over.\n\
             process.roles={roles}\n\
             node.id={id}\n\
             controller.quorum.bootstrap.servers={controllers}\n\
             {join}\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             listeners={listeners}\n\
             advertised.listeners={advertised}\n\
             log.dirs={data}\n\
             naru.http.listener=localhost:{http}\n\
             default.replication.factor={replicas}\n\
             min.insync.replicas={min_in_sync}\n\
             offsets.topic.replication.factor={replicas}\n\
             transaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.min.isr={min_in_sync}\n\
             share.coordinator.state.topic.replication.factor={replicas}\n\
             share.coordinator.state.topic.min.isr={min_in_sync}\n",
            controllers = controllers.join(","),
            listeners = listeners(bound),
            advertised = listeners(host),
            data = data.display(),
            http = port.saturating_sub(HTTP),
        )
    }
}

/// The `server.properties` of a node in a cluster of `nodes`.
pub(super) fn properties(node: &Node, nodes: &[Node], may_join: bool) -> String {
    let controllers = nodes.iter().filter(|node| node.controller);
    Settings {
        id: i32::from(node.id),
        host: "localhost".to_owned(),
        port: node.port,
        controller: node.controller,
        may_join,
        controllers: controllers
            .map(|node| format!("localhost:{}", node.controller_port()))
            .collect(),
        brokers: nodes.len(),
        data: node.data(),
    }
    .text()
}

/// A node's properties after its cluster has grown: lines that nobody has changed become those
/// of the larger cluster.
pub(super) fn regrown(text: &str, node: &Node, old: &[Node], new: &[Node]) -> String {
    let (before, after) = (properties(node, old, false), properties(node, new, true));
    let changes: Vec<(&str, &str)> = before.lines().zip(after.lines()).collect();
    let line = |line: &str| {
        let change = changes.iter().find(|(before, _)| *before == line.trim());
        change.map_or_else(|| line.to_owned(), |(_, after)| (*after).to_owned()) + "\n"
    };
    text.lines().map(line).collect()
}

/// Whether a controller that does not vote asks for it.
const AUTO_JOIN: &str = "controller.quorum.auto.join.enable";

/// Reads what [`properties`] wrote, also after somebody has changed it.
pub(super) fn read(id: u16, folder: PathBuf, text: &str) -> Result<Node, String> {
    let value = |key: &str| {
        let lines = text.lines().rev().map(str::trim);
        lines.filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key)
    };
    let wrong = |key: &str| format!("{}/server.properties: {key} is not usable", folder.display());
    let listeners = value("listeners").ok_or_else(|| wrong("listeners"))?.1;
    let port = listeners
        .split(',')
        .filter(|listener| !listener.trim().starts_with("CONTROLLER:"))
        .find_map(|listener| listener.rsplit_once(':')?.1.trim().parse().ok())
        .ok_or_else(|| wrong("listeners"))?;
    let roles = value("process.roles").map(|(_, roles)| roles).unwrap_or_default();
    Ok(Node { id, port, controller: roles.contains("controller"), folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: u16) -> Vec<Node> {
        grow(Vec::new(), count, Path::new("/c"), 9092, |_| true).unwrap()
    }

    #[test]
    fn the_first_odd_number_of_nodes_votes() {
        for (count, voters) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (9, 5)] {
            assert_eq!(voters_of(count), voters, "{count}");
        }
        let roles: Vec<bool> = nodes(4).iter().map(|node| node.controller).collect();
        assert_eq!(roles, [true, true, true, false]);
        assert_eq!(nodes(7).iter().filter(|node| node.controller).count(), 5);
    }

    #[test]
    fn ports_are_the_documented_ones_and_what_is_taken_is_passed_over() {
        let ports: Vec<[u16; 3]> = nodes(3)
            .iter()
            .map(|node| [node.port, node.controller_port(), node.http_port()])
            .collect();
        assert_eq!(ports, [[9092, 9093, 8080], [9102, 9103, 8090], [9112, 9113, 8100]]);
        let taken = grow(Vec::new(), 2, Path::new("/c"), 9092, |port| port != 8080).unwrap();
        assert_eq!(taken.iter().map(|node| node.port).collect::<Vec<_>>(), [9102, 9112]);
        assert!(grow(Vec::new(), 2, Path::new("/c"), 9092, |_| false).is_err());
    }

    #[test]
    fn a_cluster_that_grows_keeps_its_nodes() {
        let one = nodes(1);
        let three = grow(one.clone(), 3, Path::new("/c"), 9092, |_| true).unwrap();
        assert_eq!(three[0], one[0]);
        assert!(three.iter().all(|node| node.controller));
        // Four brokers that became five: a fourth voter would not help.
        let five = grow(nodes(4), 5, Path::new("/c"), 9092, |_| true).unwrap();
        assert!(!five[4].controller);
    }

    #[test]
    fn a_file_takes_over_what_a_larger_cluster_means_and_keeps_what_somebody_wrote() {
        let (one, three) = (nodes(1), nodes(3));
        let text = properties(&one[0], &one, false).replace("min.insync.replicas=1", "#mine");
        let grown = regrown(&(text + "num.partitions=7\n"), &one[0], &one, &three);
        assert!(grown.contains("\noffsets.topic.replication.factor=3\n"), "{grown}");
        assert!(grown.contains("\n#mine\n") && grown.contains("\nnum.partitions=7\n"));
        assert!(grown.contains("auto.join.enable=true\n"));
        assert!(grown.contains("localhost:9093,localhost:9103,localhost:9113"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for node in nodes(4) {
            let text = properties(&node, &nodes(4), false);
            assert_eq!(read(node.id, node.folder.clone(), &text).unwrap(), node);
            naru_model::config::load(Some(&text), [], "").unwrap();
        }
        let text = properties(&nodes(3)[1], &nodes(3), true);
        assert!(text.contains("\ndefault.replication.factor=3\nmin.insync.replicas=2\n"));
        let servers = "controller.quorum.bootstrap.servers=\
                       localhost:9093,localhost:9103,localhost:9113\n";
        assert!(text.contains(servers) && text.contains("auto.join.enable=true"));
        let kept = text.replace("default.replication.factor=3", "default.replication.factor=2");
        let grown = regrown(&kept, &nodes(3)[1], &nodes(3), &nodes(3));
        assert_eq!(grown, kept);
        assert!(read(1, PathBuf::new(), "node.id=1").unwrap_err().contains("listeners"));
    }
}
