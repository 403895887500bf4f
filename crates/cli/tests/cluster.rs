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

/// A port from which on three nodes have room, below the range of outgoing connections.
fn free_port() -> u16 {
    let first = 22_000 + u16::try_from(std::process::id() % 80).unwrap() * 100;
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (first..first + 90).find(|port| is_free(*port)).unwrap()
}

/// A running supervisor; its nodes end with it, also when the test fails.
struct Cluster {
    child: Child,
    said: String,
}

impl Cluster {
    fn start(root: &Path, port: u16) -> Self {
        let mut child = naru()
            .args(["start", "--nodes", "3", "--port", &port.to_string(), "--data"])
            .arg(root)
            .spawn()
            .unwrap();
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
    let port = free_port();
    let cluster = Cluster::start(root.path(), port);
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

    let cluster = Cluster::start(root.path(), port);
    assert_eq!(cluster.servers(), servers);
    let list = ["kafka-topics", "--list", "--bootstrap-server", &servers];
    assert_eq!(stdout(&tool(&list)), "a\n");
    assert_eq!(cluster.stop().0, Some(0));
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
