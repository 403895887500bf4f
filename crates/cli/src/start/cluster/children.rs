//! The processes of a cluster on one machine: started, asked to stop, and listened to.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;

use rustix::process::{Pid, Signal, kill_process};

use super::layout::Node;
use super::supervisor::{Event, Exit};

/// What a node prints when it serves.
const READY: &str = "ready in ";
/// Bytes at the end of a log in which its last word is looked for.
const TAIL: u64 = 4096;
/// Variables that would give all nodes one identity.
const IDENTITY: [&str; 9] = [
    "KAFKA_NODE_ID",
    "KAFKA_BROKER_ID",
    "KAFKA_PROCESS_ROLES",
    "KAFKA_LISTENERS",
    "KAFKA_ADVERTISED_LISTENERS",
    "KAFKA_LOG_DIR",
    "KAFKA_LOG_DIRS",
    "KAFKA_CONTROLLER_QUORUM_VOTERS",
    "KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS",
];

/// Starts nodes and tells about them.
#[derive(Debug)]
pub(super) struct Children {
    nodes: Vec<Node>,
    log_level: String,
    events: Sender<Event>,
    running: Vec<Option<Pid>>,
}

impl Children {
    pub(super) fn new(nodes: Vec<Node>, log_level: String, events: Sender<Event>) -> Self {
        let running = vec![None; nodes.len()];
        Self { nodes, log_level, events, running }
    }

    /// Starts a node's process. What it has to say goes to its log; that it serves and that it
    /// has ended comes as an event.
    pub(super) fn start(&mut self, index: usize) {
        let spawned = self.spawn(index);
        let node = &self.nodes[index];
        let events = self.events.clone();
        match spawned {
            Ok((mut child, log)) => {
                self.running[index] = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                let stdout = child.stdout.take();
                let path = node.log();
                std::thread::spawn(move || {
                    if let Some(stdout) = stdout {
                        copy(BufReader::new(stdout), log, index, &events);
                    }
                    let how = child.wait().map_or(Exit::Code(1), |status| exit_of(&status));
                    let last = match how {
                        Exit::Code(_) => last_complaint(&path),
                        Exit::Signal(_) => None,
                    };
                    // Nobody listens any more once the cluster has been stopped.
                    let _ = events.send(Event::Ended { node: index, how, last });
                });
            }
            Err(error) => {
                let last = Some(error.to_string());
                let _ = events.send(Event::Ended { node: index, how: Exit::Code(1), last });
            }
        }
    }

    fn spawn(&self, index: usize) -> std::io::Result<(Child, File)> {
        let node = &self.nodes[index];
        let log = OpenOptions::new().create(true).append(true).open(node.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["start", "--quiet", "--log-level", &self.log_level, "--config"])
            .arg(node.properties_file())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            // Ctrl-C is for the supervisor, which stops one node after the other.
            .process_group(0);
        for name in IDENTITY {
            command.env_remove(name);
        }
        Ok((command.spawn()?, log))
    }

    pub(super) fn terminate(&self, index: usize) {
        self.signal(index, Signal::TERM);
    }

    pub(super) fn kill(&self, index: usize) {
        self.signal(index, Signal::KILL);
    }

    fn signal(&self, index: usize, signal: Signal) {
        if let Some(pid) = self.running[index] {
            // A process that has just ended needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// It has ended: its number may be somebody else's soon.
    pub(super) fn forget(&mut self, index: usize) {
        self.running[index] = None;
    }
}

/// Copies what a node says to its log until it ends.
fn copy(lines: impl std::io::BufRead, mut log: File, node: usize, events: &Sender<Event>) {
    for line in lines.lines() {
        let Ok(line) = line else { return };
        // A full disk is told by the node itself.
        let _ = writeln!(log, "{line}");
        if line.trim_start().starts_with(READY) {
            let _ = events.send(Event::Ready(node));
        }
    }
}

fn exit_of(status: &ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(1),
    }
}

/// The last complaint at the end of a log: why a node has ended, most likely.
fn last_complaint(path: &std::path::Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().find_map(|line| line.strip_prefix("error: ")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_complaint_of_a_node_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.log");
        std::fs::write(&path, "error: a\nerror: port 9092 is taken\nhint: stop it\n\n").unwrap();
        assert_eq!(last_complaint(&path).as_deref(), Some("port 9092 is taken"));
        std::fs::write(&path, "  ready in 3 ms\n").unwrap();
        assert_eq!(last_complaint(&path), None);
    }

    #[test]
    fn a_node_is_ready_when_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("node.log")).unwrap();
        let (events, told) = std::sync::mpsc::channel();
        copy("Naru\n  ready in 12 ms\nNext: x\n".as_bytes(), log, 4, &events);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Event::Ready(4)]);
        let text = std::fs::read_to_string(folder.path().join("node.log")).unwrap();
        assert_eq!(text, "Naru\n  ready in 12 ms\nNext: x\n");
    }
}
