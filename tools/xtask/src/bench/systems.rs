//! The brokers that are compared, each started once and kept while workloads need it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use naru_testkit::broker::{Broker, System};
use naru_testkit::install::Tools;
use naru_testkit::process::run;
use serde_json::Value;

use super::options::Options;
use super::workloads::Workload;
use super::{Figures, probe};

/// A broker with a promise about what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Apache Kafka as it comes: acknowledged from the page cache.
    Kafka,
    /// Apache Kafka, topics with `flush.messages=1`: acknowledged from the disk.
    KafkaFlush,
    /// Naru with Kafka's promise.
    NaruOs,
    /// Naru as it comes: acknowledged from the disk.
    NaruFsync,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Kafka => "kafka",
            Self::KafkaFlush => "kafka-flush",
            Self::NaruOs => "naru-os",
            Self::NaruFsync => "naru-fsync",
        })
    }
}

impl Kind {
    pub fn is_naru(self) -> bool {
        matches!(self, Self::NaruOs | Self::NaruFsync)
    }

    fn properties(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Kafka | Self::KafkaFlush => &[],
            Self::NaruOs => &[("naru.durability", "os")],
            Self::NaruFsync => &[("naru.durability", "fsync")],
        }
    }

    fn topic_config(self) -> &'static [(&'static str, &'static str)] {
        if self == Self::KafkaFlush { &[("flush.messages", "1")] } else { &[] }
    }

    /// Both Kafkas are one process: the promise is the topic's.
    fn process(self) -> Self {
        if self == Self::KafkaFlush { Self::Kafka } else { self }
    }
}

/// All brokers of one benchmark.
#[derive(Debug)]
pub struct Systems {
    kafka: System,
    naru: Option<System>,
    kgen: PathBuf,
    running: BTreeMap<Kind, Broker>,
    warm: BTreeSet<Kind>,
    topics: u32,
    /// Topics that are filled once and read in every round.
    filled: BTreeMap<(Kind, &'static str), String>,
}

impl Systems {
    pub fn new(root: &Path, tools: &Tools, kgen: PathBuf, options: &Options) -> Result<Self> {
        let needs_naru = [Kind::NaruOs, Kind::NaruFsync].iter().any(|kind| options.has(*kind));
        let naru = if needs_naru {
            let binary = match &options.against {
                Some(binary) => PathBuf::from(binary).canonicalize()?,
                None => crate::test::release_binary(root)?,
            };
            Some(System::Naru { binary })
        } else {
            None
        };
        Ok(Self {
            kafka: System::Apache { libs: tools.kafka_jars()? },
            naru,
            kgen,
            running: BTreeMap::new(),
            warm: BTreeSet::new(),
            topics: 0,
            filled: BTreeMap::new(),
        })
    }

    pub fn run(&mut self, workload: &Workload, kind: Kind, _round: u32) -> Result<Figures> {
        (workload.run)(self, kind)
    }

    /// A broker of this kind on an empty directory, for a workload that stops or kills it.
    pub fn fresh(&self, kind: Kind) -> Result<Broker> {
        Broker::prepare(self.system(kind)?, kind.properties())
    }

    fn system(&self, kind: Kind) -> Result<&System> {
        if kind.is_naru() { self.naru.as_ref().context("no Naru binary") } else { Ok(&self.kafka) }
    }

    /// The running broker of this kind, warmed up: a JVM compiles what it has run for a while.
    pub fn broker(&mut self, kind: Kind) -> Result<(u16, u32)> {
        let process = kind.process();
        if !self.running.contains_key(&process) {
            let broker = Broker::start(self.system(process)?, process.properties())?;
            self.running.insert(process, broker);
        }
        if self.warm.insert(process) {
            for (size, count) in [("1024", "500000"), ("100", "2000000")] {
                let topic = self.topic(process)?;
                let args = ["tput", "-n", count, "-s", size, "-X", "linger.ms=5"];
                self.load(process, &topic, &args)?;
            }
        }
        let broker = self.running.get(&process).context("a broker just started")?;
        Ok((broker.port(), broker.pid()?))
    }

    /// A new topic of six partitions.
    pub fn topic(&mut self, kind: Kind) -> Result<String> {
        let broker = self.running.get(&kind.process()).context("no broker for the topic")?;
        self.topics += 1;
        let name = format!("bench-{}", self.topics);
        probe::create_topic(broker.port(), &name, 6, kind.topic_config())?;
        Ok(name)
    }

    /// A topic filled by `args` the first time it is asked for.
    pub fn filled(&mut self, kind: Kind, name: &'static str, args: &[&str]) -> Result<String> {
        if let Some(topic) = self.filled.get(&(kind, name)) {
            return Ok(topic.clone());
        }
        let topic = self.topic(kind)?;
        self.load(kind, &topic, args)?;
        self.filled.insert((kind, name), topic.clone());
        Ok(topic)
    }

    /// Runs the load generator and returns the figures it printed.
    pub fn load(&self, kind: Kind, topic: &str, args: &[&str]) -> Result<Value> {
        let broker = self.running.get(&kind.process()).context("no broker to load")?;
        self.load_on(broker.port(), topic, args)
    }

    /// The same against a broker of a workload's own.
    pub fn load_on(&self, port: u16, topic: &str, args: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.kgen);
        command.args(args).args(["-b", &format!("127.0.0.1:{port}"), "-t", topic]);
        let said = run(&mut command)?;
        let line = said.lines().rfind(|line| line.starts_with('{')).context("no figures")?;
        Ok(serde_json::from_str(line)?)
    }
}
