//! `naru start --nodes 3` as somebody meets it who wants a cluster on one machine.

#![expect(clippy::unwrap_used, reason = "what fails in a test panics")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn naru() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("KAFKA_NODE_ID");
    command
}

/// A port from which on three nodes have room, below the range of outgoing connections; each
/// test has its own `hundred` of them.
fn free_port(hundred: u16) -> u16 {
    let first = 22_000 + u16::try_from(std::process::id() % 30).unwrap() * 300 + hundred * 100;
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (first..first + 90).find(|port| is_free(*port)).unwrap()
}

/// A running supervisor; its nodes end with it, also when the test fails.
struct Cluster {
    child: Child,
    said: String,
}

impl Cluster {
    fn start(root: &Path, nodes: u16, port: u16) -> Self {
        let (nodes, port) = (nodes.to_string(), port.to_string());
        Self::spawn(naru().args(["start", "--nodes", &nodes, "--port", &port, "--data"]).arg(root))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("ready in ") {
            let before = said.len();
            lines.read_line(&mut said).unwrap();
            if said.len() == before {
                let mut why = String::new();
                child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
                panic!("the cluster ended: {said}{why}");
            }
        }
        Self { child, said }
    }

    /// The addresses it has told.
    fn servers(&self) -> String {
        let line = self.said.lines().find_map(|line| line.trim().strip_prefix("kafka     "));
        line.unwrap().to_owned()
    }

    fn terminate(&self) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
    }

    /// SIGTERM; the exit code and what was said on standard error.
    fn stop(mut self) -> (Option<i32>, String) {
        self.terminate();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "the cluster does not stop");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.terminate();
            // A stop that hangs is what the test has complained about.
            let _ = self.child.wait();
        }
    }
}

fn tool(args: &[&str]) -> Output {
    naru().args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn three_nodes_serve_stop_cleanly_and_continue() {
    let root = tempfile::tempdir().unwrap();
    let port = free_port(0);
    let cluster = Cluster::start(root.path(), 3, port);
    let servers = cluster.servers();
    assert_eq!(servers.split(',').count(), 3);
    let create = ["kafka-topics", "--create", "--topic", "a", "--replication-factor", "3"];
    let created = tool(&[&create[..], &["--bootstrap-server", &servers]].concat());
    assert_eq!(stdout(&created), "Created topic a.\n");
    let status =
        ["kafka-metadata-quorum", "--bootstrap-server", &servers, "describe", "--replication"];
    let replication = stdout(&tool(&status));
    assert_eq!(replication.matches("\tFollower\t").count(), 2, "{replication}");
    let endpoints = ["kafka-cluster", "list-endpoints", "--bootstrap-server", &servers];
    assert_eq!(stdout(&tool(&endpoints)).matches(" unfenced ").count(), 3);
    let (code, said) = cluster.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stopping, node by node"), "{said}");

    let cluster = Cluster::start(root.path(), 3, port);
    assert_eq!(cluster.servers(), servers);
    let list = ["kafka-topics", "--list", "--bootstrap-server", &servers];
    assert_eq!(stdout(&tool(&list)), "a\n");
    assert_eq!(cluster.stop().0, Some(0));
}

/// Waits until the quorum has this many voters.
fn wait_for_voters(servers: &str, count: usize) {
    let began = Instant::now();
    let quorum = ["cluster", "quorum", "-b", servers, "-o", "json"];
    loop {
        let said = stdout(&tool(&quorum));
        let votes = |role: &str| said.matches(&format!("\"role\":\"{role}\"")).count();
        if votes("leader") + votes("voter") == count {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{said}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn one_node_grows_to_three_and_its_replicas_spread() {
    let root = tempfile::tempdir().unwrap();
    let port = free_port(1);
    let alone = Cluster::start(root.path(), 1, port);
    let servers = alone.servers();
    stdout(&tool(&["topic", "create", "a", "-p", "6", "-b", &servers]));
    stdout(&tool(&["produce", "a", "hello", "-b", &servers]));
    assert_eq!(alone.stop().0, Some(0));

    let cluster = Cluster::start(root.path(), 3, port);
    let servers = cluster.servers();
    wait_for_voters(&servers, 3);
    stdout(&tool(&["rebalance", "run", "--yes", "-b", &servers]));
    let described = stdout(&tool(&["cluster", "describe", "-b", &servers, "-o", "json"]));
    assert_eq!(described.matches("\"replicas\":2,").count(), 3, "{described}");
    let again = stdout(&tool(&["rebalance", "run", "--yes", "-b", &servers]));
    assert_eq!(again, "nothing to move\n");
    let read = stdout(&tool(&["consume", "a", "--from", "start", "-e", "-b", &servers]));
    assert_eq!(read, "hello\n");
    assert_eq!(cluster.stop().0, Some(0));
}

#[test]
fn a_node_joins_by_one_address() {
    let root = tempfile::tempdir().unwrap();
    let port = free_port(2);
    let first = Cluster::start(&root.path().join("first"), 1, port);
    let servers = first.servers();
    let folder = root.path().join("second");
    let own = (port + 10).to_string();
    let join = ["start", "--join", &servers, "--port", &own, "--data"];
    let second = Cluster::spawn(naru().args(join).arg(&folder));
    wait_for_voters(&servers, 2);
    let (code, said) = second.stop();
    assert_eq!(code, Some(0), "{said}");
    // The folder knows the rest.
    let again = Cluster::spawn(naru().args(join).arg(&folder));
    assert!(again.said.contains("node 2\n"), "{}", again.said);
    assert_eq!(again.stop().0, Some(0));
    assert_eq!(first.stop().0, Some(0));
}

#[test]
fn fewer_nodes_than_there_are_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for id in 1..=3 {
        let folder = root.path().join(format!("node-{id}"));
        std::fs::create_dir(&folder).unwrap();
        let text = format!("node.id={id}\nlisteners=PLAINTEXT://localhost:{}\n", 30_000 + id);
        std::fs::write(folder.join("server.properties"), text).unwrap();
    }
    let refused =
        naru().args(["start", "--nodes", "2", "--data"]).arg(root.path()).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("--nodes 3 starts it"), "{said}");
}
