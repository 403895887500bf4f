//! Several nodes on this machine as one cluster: Apache Kafka, Naru, or some of each.
//!
//! Owns the processes, their free ports and their data directories, which go away with the
//! [`Cluster`]. Tells what a node answers ([`view`]), and compares replicas ([`replicas`]).

mod layout;
pub mod metrics;
pub mod replicas;
pub mod view;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::broker::{System, java};
use crate::probe;
use crate::process::Process;
use layout::Ports;
pub use layout::{Layout, NodePlan, Roles, Voters};
use view::ClusterView;

/// Three JVMs that start at once on a busy machine are slow.
const START_PATIENCE: Duration = Duration::from_secs(180);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const CLUSTER_ID: &str = "bmFydS10ZXN0LWNsdXN0ZQ";
/// Small enough for several on one machine.
const KAFKA_JVM: &[&str] = &[
    "-Xms384m",
    "-Xmx384m",
    "-XX:+UseG1GC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
];

/// A cluster; nodes are named by their ids, which count from 1.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    // Dropped before the folder: running nodes would put files back while they are removed.
    processes: Vec<Option<Process>>,
    ports: Vec<Ports>,
    folder: TempDir,
}

impl Cluster {
    /// Formats and starts all nodes, and waits until every broker lists every other.
    pub fn start(layout: Layout) -> Result<Self> {
        let mut cluster = Self::prepare(layout)?;
        for id in cluster.ids() {
            cluster.launch(id)?;
        }
        cluster.wait_registered()?;
        Ok(cluster)
    }

    /// Writes the nodes' files and formats their directories, but starts nothing.
    pub fn prepare(layout: Layout) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("naru-cluster-").tempdir()?;
        let ports = layout
            .nodes
            .iter()
            .map(|_| {
                let (client, secure) = (probe::free_port()?, probe::free_port()?);
                Ok(Ports { client, secure, controller: probe::free_port()? })
            })
            .collect::<Result<Vec<_>>>()?;
        let processes = layout.nodes.iter().map(|_| None).collect();
        let cluster = Self { layout, processes, ports, folder };
        for id in cluster.ids() {
            fs::create_dir_all(cluster.node_folder(id))?;
            cluster.write_properties(id)?;
        }
        cluster.format_all()?;
        Ok(cluster)
    }

    fn write_properties(&self, id: i32) -> Result<()> {
        let text = self.layout.properties(Self::index(id), &self.ports, &self.data_dir(id));
        Ok(fs::write(self.properties_file(id), text)?)
    }

    /// Formats side by side: each tool of Apache Kafka is a JVM.
    fn format_all(&self) -> Result<()> {
        let mut formats = Vec::new();
        for id in self.ids() {
            let log = self.node_folder(id).join("format.log");
            formats.push(Process::start(&mut self.format_command(id), &log)?);
        }
        for mut format in formats {
            let status = format.wait(START_PATIENCE)?;
            ensure!(status.success(), "format ended with {status}: {}", format.last_words());
        }
        Ok(())
    }

    /// Formats one node's directory, which must be empty.
    pub fn format(&self, id: i32) -> Result<()> {
        crate::process::run(&mut self.format_command(id)).map(|_| ())
    }

    fn format_command(&self, id: i32) -> Command {
        let mut command = match self.system(id) {
            System::Apache { libs } => {
                let mut command = java(libs, "64m");
                command.arg("-XX:TieredStopAtLevel=1").arg("kafka.tools.StorageTool");
                command
            }
            System::Naru { binary } => {
                let mut command = Command::new(binary);
                command.arg("kafka-storage");
                command
            }
        };
        command.args(["format", "--ignore-formatted", "--cluster-id", CLUSTER_ID]);
        command.args(self.layout.format_words(Self::index(id)));
        command.arg("--config").arg(self.properties_file(id));
        command
    }

    // Life of one node

    /// Starts a node that does not run, without waiting for it.
    pub fn launch(&mut self, id: i32) -> Result<()> {
        ensure!(!self.is_running(id), "node {id} is running");
        let mut command = match self.system(id) {
            System::Apache { libs } => {
                let mut command = Command::new("java");
                command.args(KAFKA_JVM).arg("-cp").arg(libs.join("*")).arg("kafka.Kafka");
                command
            }
            System::Naru { binary } => {
                let mut command = Command::new(binary);
                command.args(["start", "--config"]);
                command
            }
        };
        command.arg(self.properties_file(id)).current_dir(self.node_folder(id));
        let process = Process::start(&mut command, &self.log_file(id))?;
        self.processes[Self::index(id)] = Some(process);
        Ok(())
    }

    /// Makes a node another program on the same directory; it must not be running.
    pub fn replace_system(&mut self, id: i32, system: &System) -> Result<()> {
        ensure!(!self.is_running(id), "node {id} is running");
        self.layout.nodes[Self::index(id)].system = system.clone();
        Ok(())
    }

    /// SIGTERM, and waits for the clean end.
    pub fn stop(&mut self, id: i32) -> Result<()> {
        let mut process = self.take(id)?;
        let status = process.terminate(STOP_PATIENCE).with_context(|| format!("node {id}"))?;
        // A JVM that ends by SIGTERM exits with 143 after its hooks have run.
        if !status.success() && status.code() != Some(143) {
            bail!("SIGTERM ended node {id} with {status}: {}", process.last_words());
        }
        Ok(())
    }

    /// Stops all nodes cleanly, one after the other; of several the active controller is killed in
    /// the end: without a majority it cannot hand over, and Kafka's waits for that for long.
    pub fn stop_all(&mut self) -> Result<()> {
        let controller = self.controller(START_PATIENCE)?;
        let others: Vec<i32> = self.running().into_iter().filter(|id| *id != controller).collect();
        if others.is_empty() {
            return self.stop(controller);
        }
        for id in others {
            self.stop(id)?;
        }
        self.kill(controller)
    }

    /// `kill -9`.
    pub fn kill(&mut self, id: i32) -> Result<()> {
        self.take(id)?.kill();
        Ok(())
    }

    pub fn pause(&self, id: i32) -> Result<()> {
        self.process(id)?.signal(Signal::STOP)
    }

    pub fn resume(&self, id: i32) -> Result<()> {
        self.process(id)?.signal(Signal::CONT)
    }

    pub fn is_running(&mut self, id: i32) -> bool {
        self.processes[Self::index(id)].as_mut().is_some_and(Process::is_running)
    }

    pub fn pid(&self, id: i32) -> Result<u32> {
        self.process(id).map(Process::pid)
    }

    pub fn resident_kib(&self, id: i32) -> Result<u64> {
        self.process(id)?.resident_kib()
    }

    // What the cluster says

    /// Waits until every running broker lists all running brokers, and somebody leads the quorum.
    pub fn wait_registered(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.controller(START_PATIENCE)?;
        let brokers: Vec<i32> =
            self.running().into_iter().filter(|id| self.roles(*id).has_broker()).collect();
        for id in brokers.clone() {
            self.wait("all brokers are listed", START_PATIENCE, |cluster| {
                ensure!(cluster.is_running(id), "node {id} ended: {}", cluster.last_words(id));
                let found = view::view(cluster.port(id), None)?;
                ensure!(found.brokers == brokers, "node {id} lists {:?}", found.brokers);
                Ok(())
            })?;
        }
        Ok(began.elapsed())
    }

    /// Repeats a look at the cluster until it succeeds; a node that ended is no reason to wait on.
    pub fn wait<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let began = Instant::now();
        loop {
            let error = match look(self) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            for id in self.ids() {
                let ended = self.processes[Self::index(id)].is_some() && !self.is_running(id);
                ensure!(!ended, "{what}: node {id} ended: {}", self.last_words(id));
            }
            if began.elapsed() > patience {
                bail!("{what}: not within {} s: {error:#}", patience.as_secs());
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// What any running broker says of a topic.
    pub fn topic(&mut self, name: &str) -> Result<ClusterView> {
        self.any_broker(|port| view::view(port, Some(name)))
    }

    /// Waits until all replicas of a topic are in sync, as every running broker sees it.
    pub fn wait_in_sync(&mut self, topic: &str, patience: Duration) -> Result<Duration> {
        let began = Instant::now();
        for id in self.running() {
            if !self.roles(id).has_broker() {
                continue;
            }
            self.wait(&format!("{topic} in sync"), patience, |cluster| {
                let found = view::view(cluster.port(id), Some(topic))?;
                ensure!(found.is_whole(), "node {id} says {:?}", found.partitions);
                Ok(())
            })?;
        }
        Ok(began.elapsed())
    }

    /// The active controller.
    pub fn controller(&mut self, patience: Duration) -> Result<i32> {
        self.wait("an active controller", patience, |cluster| {
            let leader = cluster.any_broker(view::quorum)?.leader;
            ensure!(cluster.is_running(leader), "the dead node {leader} still leads");
            Ok(leader)
        })
    }

    /// Asks one running broker after the other until one answers.
    pub fn any_broker<T>(&mut self, ask: impl Fn(u16) -> Result<T>) -> Result<T> {
        let mut last = anyhow::anyhow!("no broker is running");
        for id in self.running() {
            if self.roles(id).has_broker() {
                match ask(self.port(id)) {
                    Ok(found) => return Ok(found),
                    Err(error) => last = error,
                }
            }
        }
        Err(last)
    }

    // Names and places

    pub fn ids(&self) -> Vec<i32> {
        (1..).take(self.layout.nodes.len()).collect()
    }

    pub fn running(&mut self) -> Vec<i32> {
        self.ids().into_iter().filter(|id| self.is_running(*id)).collect()
    }

    pub fn port(&self, id: i32) -> u16 {
        self.ports[Self::index(id)].client
    }

    /// Where a secured cluster's brokers and clients speak to this node.
    pub fn secure_port(&self, id: i32) -> u16 {
        self.ports[Self::index(id)].secure
    }

    pub fn controller_port(&self, id: i32) -> u16 {
        self.ports[Self::index(id)].controller
    }

    /// All brokers, running or not.
    pub fn bootstrap(&self) -> String {
        self.addresses(Self::port)
    }

    /// The secured listeners of all brokers, running or not.
    pub fn secure_bootstrap(&self) -> String {
        self.addresses(Self::secure_port)
    }

    fn addresses(&self, port: fn(&Self, i32) -> u16) -> String {
        let brokers = self.ids().into_iter().filter(|id| self.roles(*id).has_broker());
        let addresses: Vec<String> =
            brokers.map(|id| format!("127.0.0.1:{}", port(self, id))).collect();
        addresses.join(",")
    }

    pub fn data_dir(&self, id: i32) -> PathBuf {
        self.node_folder(id).join("data")
    }

    /// The data directories of all brokers.
    pub fn data_dirs(&self) -> Vec<PathBuf> {
        let brokers = self.ids().into_iter().filter(|id| self.roles(*id).has_broker());
        brokers.map(|id| self.data_dir(id)).collect()
    }

    pub fn properties_file(&self, id: i32) -> PathBuf {
        self.node_folder(id).join("server.properties")
    }

    pub fn log_file(&self, id: i32) -> PathBuf {
        self.node_folder(id).join("node.log")
    }

    pub fn last_words(&self, id: i32) -> String {
        let log = fs::read(self.log_file(id)).unwrap_or_default();
        crate::process::last_lines(&String::from_utf8_lossy(&log), 15)
    }

    fn node_folder(&self, id: i32) -> PathBuf {
        self.folder.path().join(format!("node-{id}"))
    }

    /// What runs as this node.
    pub fn system(&self, id: i32) -> &System {
        &self.layout.nodes[Self::index(id)].system
    }

    fn roles(&self, id: i32) -> Roles {
        self.layout.nodes[Self::index(id)].roles
    }

    fn process(&self, id: i32) -> Result<&Process> {
        let process = self.processes[Self::index(id)].as_ref();
        process.with_context(|| format!("node {id} is not running"))
    }

    fn take(&mut self, id: i32) -> Result<Process> {
        let process = self.processes[Self::index(id)].take();
        process.with_context(|| format!("node {id} is not running"))
    }

    fn index(id: i32) -> usize {
        usize::try_from(id).ok().and_then(|id| id.checked_sub(1)).expect("node ids count from 1")
    }
}
