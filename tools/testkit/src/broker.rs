//! One broker under test: Apache Kafka or Naru, with the same properties file.
//!
//! Invariant: the data directory belongs to the [`Broker`] and goes away with it; stop, `kill -9`
//! and start again keep it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::probe;
use crate::process::Process;

/// How long a broker may take to answer its first request: a JVM on a busy machine is slow.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long a clean stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// Test data directories are formatted with this cluster id.
const CLUSTER_ID: &str = "bmFydS10ZXN0LWNsdXN0ZQ";
/// The JVM options that Kafka's own start script gives a broker.
const KAFKA_JVM: &[&str] = &[
    "-Xms1g",
    "-Xmx1g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
];
const LOG_WARNINGS: &str = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
/// Every broker under test has this node id.
pub const NODE_ID: i32 = 1;

/// A program that is a Kafka broker.
#[derive(Debug, Clone)]
pub enum System {
    /// Apache Kafka, from a folder of jars.
    Apache { libs: PathBuf },
    /// Naru, from its binary.
    Naru { binary: PathBuf },
}

impl System {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Apache { .. } => "apache",
            Self::Naru { .. } => "naru",
        }
    }
}

/// One broker with its data directory.
#[derive(Debug)]
pub struct Broker {
    system: System,
    port: u16,
    controller_port: u16,
    // Dropped before the folder: a running broker would put files back while they are removed.
    process: Option<Process>,
    folder: TempDir,
}

impl Broker {
    /// Starts a broker on an empty data directory; `properties` are added to the usual ones.
    pub fn start(system: &System, properties: &[(&str, &str)]) -> Result<Self> {
        let mut broker = Self::prepare(system, properties)?;
        broker.start_again()?;
        Ok(broker)
    }

    /// Like [`Self::start`], but does not start it yet: for tests that fill the data directory.
    pub fn prepare(system: &System, properties: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("naru-broker-").tempdir()?;
        let (port, controller_port) = (probe::free_port()?, probe::free_port()?);
        let broker = Self { system: system.clone(), port, controller_port, process: None, folder };
        let text = broker.properties(properties);
        fs::write(broker.properties_file(), text)?;
        Ok(broker)
    }

    fn properties(&self, extra: &[(&str, &str)]) -> String {
        let (port, controller_port, data) = (self.port, self.controller_port, self.data_dir());
        let mut text = format!(
            "process.roles=broker,controller\nnode.id={NODE_ID}\n\
             controller.quorum.voters={NODE_ID}@127.0.0.1:{controller_port}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
             log.dirs={}\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=10\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=4\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n",
            data.display()
        );
        for (key, value) in extra {
            let _ = writeln!(text, "{key}={value}");
        }
        text
    }

    /// Starts the broker on the directory as it is, and waits until it answers.
    /// Returns the time from its start to its first answer.
    pub fn start_again(&mut self) -> Result<Duration> {
        if let System::Apache { libs } = &self.system {
            self.format(libs)?;
        }
        let began = Instant::now();
        let mut process = Process::start(&mut self.command(), &self.log_file())?;
        while !probe::is_ready(self.port) {
            if !process.is_running() {
                bail!("the {} broker ended: {}", self.system.name(), process.last_words());
            }
            if began.elapsed() > START_PATIENCE {
                bail!(
                    "the {} broker does not answer: {}",
                    self.system.name(),
                    process.last_words()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.process = Some(process);
        Ok(began.elapsed())
    }

    fn format(&self, libs: &Path) -> Result<()> {
        if self.data_dir().join("meta.properties").exists() {
            return Ok(());
        }
        let mut command = java(libs, "64m");
        command.args(["kafka.tools.StorageTool", "format", "--ignore-formatted"]);
        command.args(["-t", CLUSTER_ID, "-c"]).arg(self.properties_file());
        crate::process::run(&mut command).map(|_| ())
    }

    fn command(&self) -> Command {
        match &self.system {
            System::Apache { libs } => {
                let mut command = Command::new("java");
                command.args(KAFKA_JVM).arg(LOG_WARNINGS).arg("-cp").arg(libs.join("*"));
                command.arg("kafka.Kafka").arg(self.properties_file());
                command
            }
            System::Naru { binary } => {
                let mut command = Command::new(binary);
                command.args(["start", "--config"]).arg(self.properties_file());
                command
            }
        }
    }

    /// SIGTERM, and waits for the clean end.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the broker is not running")?;
        let status = process.terminate(STOP_PATIENCE)?;
        // A JVM that ends by SIGTERM exits with 143 after its hooks have run.
        if !status.success() && status.code() != Some(143) {
            bail!("SIGTERM ended with {status}: {}", process.last_words());
        }
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("the broker is not running")?.kill();
        Ok(())
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    pub fn pid(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("the broker is not running")?.pid())
    }

    pub fn resident_kib(&self) -> Result<u64> {
        self.process.as_ref().context("the broker is not running")?.resident_kib()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn controller_port(&self) -> u16 {
        self.controller_port
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn properties_file(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    /// Everything the broker printed, over all its starts.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("broker.log")
    }

    pub fn last_words(&self) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        crate::process::last_lines(&String::from_utf8_lossy(&log), 15)
    }
}

/// `java` with Kafka's jars on the class path and its logging kept to warnings.
pub fn java(libs: &Path, heap: &str) -> Command {
    let mut command = Command::new("java");
    // It lives for seconds: what takes long to warm up is not worth it.
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    command.args([&format!("-Xmx{heap}"), LOG_WARNINGS, "-cp"]);
    command.arg(libs.join("*"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_properties_file_holds_the_port_the_directory_and_what_was_added() {
        let system = System::Naru { binary: "naru".into() };
        let broker = Broker::prepare(&system, &[("num.partitions", "3")]).unwrap();
        let text = fs::read_to_string(broker.properties_file()).unwrap();
        assert!(text.contains(&format!("PLAINTEXT://127.0.0.1:{}", broker.port())));
        assert!(text.contains(&format!("log.dirs={}", broker.data_dir().display())));
        assert!(text.ends_with("num.partitions=3\n"));
    }
}
