//! `naru start --nodes N`: a cluster of processes on this machine.
//!
//! Prepares folders, carries out what the pure [`Supervisor`] decides, says what there is to say.

mod children;
pub(super) mod layout;
pub(super) mod prepare;
mod supervisor;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use naru_broker::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

use super::{complain, note, print};
use children::Children;
use layout::{NODES_MAX, Node};
use prepare::Prepared;
use supervisor::{Action, Event, Supervisor};

/// Where clusters are kept when nobody says.
pub(super) const DEFAULT_ROOT: &str = "naru-data";
/// The Kafka port of the first node when nobody says.
pub(super) const DEFAULT_PORT: u16 = 9092;

/// What `naru start --nodes` was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) nodes: u16,
    pub(super) root: PathBuf,
    pub(super) port: u16,
    pub(super) log_level: String,
}

/// Reads the number of nodes.
pub(super) fn parse_nodes(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(count) if (1..=NODES_MAX).contains(&count) => Ok(count),
        _ => Err(format!("--nodes {text}: a number from 1 to {NODES_MAX} is needed")),
    }
}

/// Runs the cluster until it is stopped; the exit code.
pub(super) fn run(wanted: &Wanted) -> i32 {
    let began = Instant::now();
    let (sender, events) = channel();
    if let Err(error) = listen(sender.clone()) {
        complain(&format!("signals cannot be awaited: {error}"));
        return ExitCode::Io as i32;
    }
    let prepared = std::fs::create_dir_all(&wanted.root)
        .and_then(|()| std::fs::canonicalize(&wanted.root))
        .map_err(|error| format!("{}: {error}", wanted.root.display()))
        .and_then(|root| prepare::prepare(&root, wanted.nodes, wanted.port));
    match prepared {
        Ok(prepared) => supervise(&prepared, wanted, began, sender, &events),
        Err(message) => {
            complain(&message);
            ExitCode::Config as i32
        }
    }
}

/// SIGTERM and SIGINT become events, each time.
fn listen(sender: Sender<Event>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if sender.send(Event::Stop).is_err() {
                    return;
                }
            }
        });
    })?;
    Ok(())
}

fn supervise(
    prepared: &Prepared,
    wanted: &Wanted,
    began: Instant,
    sender: Sender<Event>,
    events: &Receiver<Event>,
) -> i32 {
    let now = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let nodes: Vec<(u16, bool)> =
        prepared.nodes.iter().map(|node| (node.id, node.controller)).collect();
    let mut children = Children::new(prepared.nodes.clone(), wanted.log_level.clone(), sender);
    let mut actions = Vec::new();
    let mut supervisor = Supervisor::start(now(), &nodes, &mut actions);
    loop {
        for action in actions.drain(..) {
            match action {
                Action::Start(node) => children.start(node),
                Action::Terminate(node) => children.terminate(node),
                Action::Kill(node) => children.kill(node),
                Action::Say(text) => note(&text),
                Action::AllReady => print(&started(prepared, &wanted.root, began.elapsed())),
                Action::Finish(code) => {
                    note("stopped");
                    return code;
                }
            }
        }
        let event = match supervisor.next_deadline() {
            None => events.recv().unwrap_or(Event::Stop),
            Some(due) => {
                let wait = Duration::from_millis(due.saturating_sub(now()));
                match events.recv_timeout(wait) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Timeout) => Event::Tick,
                    Err(RecvTimeoutError::Disconnected) => Event::Stop,
                }
            }
        };
        if let Event::Ended { node, .. } = &event {
            children.forget(*node);
        }
        supervisor.step(now(), &event, &mut actions);
    }
}

/// The start text.
fn started(prepared: &Prepared, root: &Path, took: Duration) -> String {
    let Prepared { nodes, cluster_id, new } = prepared;
    let made = match new {
        0 => "",
        _ if *new == nodes.len() => " (new)",
        _ => " (grown)",
    };
    let mut text = format!(
        "Naru {}  cluster {cluster_id}  {} node{}\n  data      {}{made}\n",
        env!("CARGO_PKG_VERSION"),
        nodes.len(),
        if nodes.len() == 1 { "" } else { "s" },
        root.display()
    );
    for node in nodes {
        let role = if node.controller { "broker, controller" } else { "broker" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  node {:<4} {} ({role}), http://localhost:{}, log {}",
            node.id,
            node.kafka(),
            node.http_port(),
            root.join(format!("node-{}/node.log", node.id)).display()
        );
    }
    let servers: Vec<String> = nodes.iter().map(Node::kafka).collect();
    let servers = servers.join(",");
    let _ = writeln!(text, "  kafka     {servers}\n  ready in {} ms", took.as_millis());
    let _ = writeln!(
        text,
        "Next: naru topic create orders --partitions 6 -b {servers}; Ctrl-C stops node by node"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_text_names_every_address() {
        let nodes = layout::grow(Vec::new(), 3, Path::new("d"), 9092, |_| true).unwrap();
        let prepared = Prepared { nodes, cluster_id: "id".to_owned(), new: 3 };
        let text = started(&prepared, Path::new("naru-data"), Duration::from_millis(812));
        assert!(text.contains("localhost:9092,localhost:9102,localhost:9112\n"), "{text}");
        assert!(text.contains("data      naru-data (new)\n") && text.contains("ready in 812 ms"));
        assert!(text.lines().count() <= 12, "{text}");
    }

    #[test]
    fn the_number_of_nodes_has_bounds() {
        assert_eq!(parse_nodes("3"), Ok(3));
        for bad in ["0", "21", "three", "-1"] {
            assert!(parse_nodes(bad).is_err(), "{bad}");
        }
    }
}
