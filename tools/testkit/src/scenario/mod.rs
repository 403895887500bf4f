//! Whole stories: a real file streamed through a broker, kills under load, bad input, a directory
//! read by Kafka's own tools; a cluster whose nodes die and come back.

mod bad_input;
mod certificates;
mod cluster;
mod compaction;
mod connect;
mod damage;
mod faults;
mod files;
mod how_to;
mod kill;
mod listeners;
mod log_dirs;
mod lost_state;
mod mirror;
mod own_security;
mod own_tools;
mod quotas;
mod restart;
mod security;
mod stream;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};

use crate::broker::{Broker, System};
use crate::install::{Missing, Tools, foreign};
use crate::outcome::{Outcome, Verdict};
use crate::process::Process;

/// How much a scenario does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What fits into every run of the test command.
    Usual,
    /// As much as the project promises to have shown.
    Full,
}

/// What a story has to work with.
#[derive(Debug, Clone, Copy)]
struct Stage<'a> {
    tools: &'a Tools,
    system: &'a System,
    extent: Extent,
    /// A folder that goes away with the story.
    folder: &'a Path,
    /// An hour before the story began, in milliseconds since 1970: a time for records.
    began_ms: u128,
}

/// One story.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// What it shows, for the list of suites.
    pub about: &'static str,
    /// Whether it wants the machine for itself.
    pub alone: bool,
    run: fn(&Stage<'_>, &mut Outcome) -> Result<()>,
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "restart",
        about: "committed offsets survive SIGTERM and kill -9, for every client",
        alone: false,
        run: restart::run,
    },
    Scenario {
        name: "security",
        about: "SCRAM, PLAIN, TLS, client certificates and ACLs, by Java's tools and librdkafka",
        alone: false,
        run: security::run,
    },
    Scenario {
        name: "how-to",
        about: "docs/how-to/secure-a-cluster.md, from its first command to its last",
        alone: false,
        run: how_to::run,
    },
    Scenario {
        name: "own-tools",
        about: "our own tools print what Apache Kafka's print; log levels change while we run",
        alone: false,
        run: own_tools::run,
    },
    Scenario {
        name: "quotas",
        about: "quotas, limits of connections and client metrics, by Java and librdkafka",
        alone: false,
        run: quotas::run,
    },
    Scenario {
        name: "stream",
        about: "a log of 256 MiB in by kcat, out by Java and three Python consumers, byte for byte",
        alone: false,
        run: stream::run,
    },
    Scenario {
        name: "kill",
        about: "kill -9 under three idempotent producers; --full: 20 rounds",
        alone: false,
        run: kill::run,
    },
    Scenario {
        name: "files",
        about: "Kafka's dump tool over our files; Kafka's files under us, and ours under Kafka",
        alone: false,
        run: files::run,
    },
    Scenario {
        name: "damage",
        about: "one replica: flipped bytes and a zeroed tail are noticed, told and never served",
        alone: false,
        run: damage::run,
    },
    Scenario {
        name: "compaction",
        about: "compacted topics: the same records left as under Kafka, read by its dump tool",
        alone: false,
        run: compaction::run,
    },
    Scenario {
        name: "log-dirs",
        about: "replicas moved between directories by Kafka's tools; codecs of topics",
        alone: false,
        run: log_dirs::run,
    },
    Scenario {
        name: "connect",
        about: "Kafka Connect's distributed worker, its source exactly once; broker and worker die",
        alone: false,
        run: connect::run,
    },
    Scenario {
        name: "mirror",
        about: "--full: MirrorMaker 2 between Apache Kafka and us, and between two of us",
        alone: false,
        run: mirror::run,
    },
    Scenario {
        name: "bad-input",
        about: "hostile bytes; after each case others are served and memory is bounded",
        alone: false,
        run: bad_input::run,
    },
    Scenario {
        name: "cluster",
        about: "three nodes under load; leaders, controllers, coordinators die; --full: 20 rounds",
        alone: false,
        run: cluster::run,
    },
    Scenario {
        name: "cluster-tools",
        about: "Apache Kafka's tools against three nodes, one of them dead for a while",
        alone: false,
        run: cluster::run_tools,
    },
    Scenario {
        name: "cluster-clients",
        about: "Java and franz-go producers, groups and admin clients through failovers",
        alone: false,
        run: cluster::run_clients,
    },
    Scenario {
        name: "cluster-transactions",
        about: "librdkafka consumes, transforms and produces while each of three nodes is killed",
        alone: false,
        run: cluster::run_transactions,
    },
    Scenario {
        name: "secure-cluster",
        about: "every link by SASL_SSL, or by certificates; Java and librdkafka through failovers",
        alone: false,
        run: cluster::run_secure,
    },
    Scenario {
        name: "cluster-compaction",
        about: "compacted topics and committed offsets on every replica; settings changed meanwhile",
        alone: false,
        run: cluster::run_compaction,
    },
    Scenario {
        name: "streams-eos",
        about: "Kafka Streams, exactly_once_v2, both protocols: exact through restarts and kills",
        alone: false,
        run: cluster::run_streams,
    },
    Scenario {
        name: "full-metadata",
        about: "the active controller's metadata disk is full: another leads (mounts, as root)",
        alone: false,
        run: cluster::run_full_metadata,
    },
    Scenario {
        name: "growth",
        about: "one node becomes three under load, then the first one dies",
        alone: false,
        run: cluster::run_growth,
    },
    Scenario {
        name: "mixed-roles",
        about: "our brokers under Apache Kafka's controller, and the other way round; transactions",
        alone: false,
        run: cluster::run_roles,
    },
    Scenario {
        name: "mixed-voters",
        about: "one quorum of both programs: leaders of each kind, logs cut; --full: static too",
        alone: false,
        run: cluster::run_voters,
    },
    Scenario {
        name: "migration",
        about: "three nodes of Apache Kafka become ours one by one under load, and back",
        alone: false,
        run: cluster::run_migration,
    },
    Scenario {
        name: "faults",
        about: "crashes, cuts, power and disks in namespaces (root); --full: every scenario",
        alone: true,
        run: faults::run,
    },
];

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    pub fn run(&self, tools: &Tools, system: &System, extent: Extent) -> Outcome {
        let began = Instant::now();
        let mut outcome = Outcome::new(self.name);
        let result = tempfile::Builder::new()
            .prefix("naru-scenario-")
            .tempdir()
            .map_err(anyhow::Error::from)
            .and_then(|folder| {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
                let began_ms = now.as_millis() - 3_600_000;
                let stage = Stage { tools, system, extent, folder: folder.path(), began_ms };
                (self.run)(&stage, &mut outcome)
            });
        if let Err(error) = result {
            match error.downcast_ref::<Missing>() {
                Some(missing) => outcome.add(Verdict::Skipped, self.name, &missing.to_string()),
                None => outcome.add(Verdict::Failed, self.name, &format!("{error:#}")),
            }
        }
        outcome.took = began.elapsed();
        outcome
    }
}

impl Stage<'_> {
    fn start_broker(&self, properties: &[(&str, &str)]) -> Result<Broker> {
        Broker::start(self.system, properties)
    }

    /// A Python program of `foreign/python`.
    fn python(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(self.tools.python()?);
        command.arg("-B").arg(foreign().join("python").join(program)).current_dir(self.folder);
        Ok(command)
    }

    /// Starts a program; what it prints is in `{name}.log`.
    fn start(&self, name: &str, command: &mut Command) -> Result<Process> {
        Process::start(command, &self.folder.join(format!("{name}.log")))
    }

    /// Runs a program that must succeed, and returns what it printed.
    fn succeed(&self, name: &str, command: &mut Command, patience: Duration) -> Result<String> {
        let _ = std::fs::remove_file(self.folder.join(format!("{name}.log")));
        let mut process = self.start(name, command)?;
        let status = process.wait(patience).with_context(|| name.to_owned())?;
        anyhow::ensure!(status.success(), "{name} ended with {status}: {}", process.last_words());
        Ok(process.printed())
    }

    /// Like [`Self::cases`]; each case gets `prefix` before its name.
    fn prefixed_cases(
        &self,
        command: &mut Command,
        patience: Duration,
        prefix: &str,
        to: &mut Outcome,
    ) -> Result<()> {
        let mut found = Outcome::new(&to.suite);
        self.cases(command, patience, &mut found)?;
        for case in found.cases {
            to.add(case.verdict, &format!("{prefix}{}", case.name), &case.why);
        }
        Ok(())
    }

    /// Runs a program that reports cases, and takes them over.
    fn cases(&self, command: &mut Command, patience: Duration, to: &mut Outcome) -> Result<()> {
        let number = to.cases.len();
        let output = self.folder.join(format!("cases-{number}"));
        let log = self.folder.join(format!("cases-{number}.log"));
        let mut process = Process::start_with_output(command, &log, &output)?;
        let ended = match process.wait(patience) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("ended with {status}: {}", process.last_words())),
            Err(error) => Err(error.to_string()),
        };
        let printed = String::from_utf8_lossy(&std::fs::read(&output)?).into_owned();
        to.read(&printed, &ended);
        Ok(())
    }
}
