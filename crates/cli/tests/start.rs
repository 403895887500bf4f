//! The binary as somebody who starts a node meets it: what it says, and its exit codes.

#![expect(clippy::unwrap_used, reason = "what fails in a test panics")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn naru() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("KAFKA_NODE_ID");
    command
}

/// A free port below the range that the kernel gives to outgoing connections: one of those could
/// connect to itself before the node listens.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Whether an ApiVersions request is answered.
fn is_served(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    stream.write_all(&request).is_ok() && stream.read_exact(&mut [0; 8]).is_ok()
}

/// A properties file for one node with its data in `folder`, and `more` lines.
fn properties(folder: &Path, port: u16, more: &str) -> std::path::PathBuf {
    let path = folder.join(format!("server-{port}.properties"));
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{}\n\
         log.dirs={}\n{more}\n",
        free_port(),
        folder.join("data").display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn start(config: &Path) -> Output {
    naru().args(["start", "--config"]).arg(config).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running node, killed when the test ends.
struct Node(Child);

impl Node {
    fn start(config: &Path, port: u16) -> Self {
        let child = naru().args(["start", "--config"]).arg(config).spawn().unwrap();
        let node = Self(child);
        let began = Instant::now();
        while !is_served(port) {
            assert!(began.elapsed() < PATIENCE, "the node does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        node
    }

    /// SIGTERM; the exit code and all that was said.
    fn stop(mut self) -> (Option<i32>, String) {
        let killed = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(killed.success());
        let code = self.0.wait().unwrap().code();
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (code, text)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn http(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_node_says_who_it_is_and_stops_cleanly_and_comes_back() {
    let temp = tempfile::tempdir().unwrap();
    let (port, web) = (free_port(), free_port());
    let config = properties(temp.path(), port, &format!("naru.http.listener=127.0.0.1:{web}"));
    let node = Node::start(&config, port);
    assert!(http(web, "/livez").starts_with("HTTP/1.1 200"));
    let began = Instant::now();
    while !http(web, "/readyz").contains("\"ready\"") {
        assert!(began.elapsed() < PATIENCE);
    }
    assert!(http(web, "/metrics").contains("\nkafka_server_kafkaserver_brokerstate 3\n"));
    let (code, text) = node.stop();
    assert_eq!(code, Some(0), "{text}");
    for words in ["cluster ", "node 1", "(new)", "clients are told", "Next:", "stopped cleanly"] {
        assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    }
    let meta = std::fs::read_to_string(temp.path().join("data/meta.properties")).unwrap();
    assert!(
        meta.contains("version=1") && meta.contains("cluster.id=") && meta.contains("node.id=1")
    );
    assert!(temp.path().join("data/.kafka_cleanshutdown").exists());

    let node = Node::start(&config, port);
    let (code, text) = node.stop();
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("(new)") && !text.contains("recovered"), "{text}");
}

#[test]
fn a_killed_node_says_that_it_recovered() {
    let temp = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = properties(temp.path(), port, "");
    drop(Node::start(&config, port));
    let (code, text) = Node::start(&config, port).stop();
    assert_eq!(code, Some(0));
    assert!(text.contains("recovered after an unclean stop"), "{text}");
}

#[test]
fn a_port_in_use_and_a_directory_in_use_are_told() {
    let temp = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = properties(temp.path(), port, "");
    let _node = Node::start(&config, port);
    let output = start(&config);
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains(&format!("127.0.0.1:{port} is in use")), "{}", said(&output));

    let elsewhere = properties(temp.path(), free_port(), "");
    let output = start(&elsewhere);
    assert_eq!(output.status.code(), Some(69));
    assert!(said(&output).contains("in use by another process"), "{}", said(&output));
}

#[test]
fn another_clusters_or_nodes_directory_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let meta = "version=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\nnode.id=7\n";
    std::fs::write(data.join("meta.properties"), meta).unwrap();
    let output = start(&properties(temp.path(), free_port(), ""));
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("belongs to node 7"), "{}", said(&output));

    let second = temp.path().join("second");
    std::fs::create_dir(&second).unwrap();
    std::fs::write(data.join("meta.properties"), meta.replace('7', "1")).unwrap();
    let other = "version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=1\n";
    std::fs::write(second.join("meta.properties"), other).unwrap();
    let both = format!("log.dirs={},{}", data.display(), second.display());
    let output = start(&properties(temp.path(), free_port(), &both));
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("belongs to cluster"), "{}", said(&output));
}

#[test]
fn a_wrong_configuration_is_one_message() {
    let temp = tempfile::tempdir().unwrap();
    for (line, words) in [
        ("log.retention.hours=soon", "log.retention.hours"),
        ("num.partitions=0", "num.partitions"),
        ("process.roles=broker", "process.roles"),
        ("controller.quorum.voters=2@b:2", "controller.quorum.voters"),
        ("naru.durability=maybe", "naru.durability"),
    ] {
        let output = start(&properties(temp.path(), free_port(), line));
        let text = said(&output);
        assert_eq!(output.status.code(), Some(78), "{line}: {text}");
        assert!(text.contains(words), "{line}: {text}");
        assert!(!text.contains("panicked") && text.lines().count() <= 4, "{line}: {text}");
    }
    let output = naru().args(["start", "--config", "no/such/file"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let output = naru().args(["start", "--nodse", "3"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn unknown_keys_are_told_with_the_nearest_known_one() {
    let temp = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = properties(temp.path(), port, "log.retention.hour=24\nnum.io.threads=8");
    let (_, text) = Node::start(&config, port).stop();
    assert!(text.contains("did you mean log.retention.hours?"), "{text}");
    assert!(text.contains("num.io.threads"), "{text}");
}

#[test]
fn a_taken_http_port_is_a_warning_only() {
    let temp = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = taken.local_addr().unwrap().port();
    let port = free_port();
    let config = properties(temp.path(), port, &format!("naru.http.listener=127.0.0.1:{web}"));
    let (code, text) = Node::start(&config, port).stop();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("not served"), "{text}");
}
