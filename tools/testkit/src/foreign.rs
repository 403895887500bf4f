//! Suites that drive other people's clients and tools against a fresh broker.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::broker::{Broker, System};
use crate::install::{Missing, Tools, foreign, program};
use crate::later;
use crate::outcome::{Outcome, Verdict};
use crate::process::Process;

/// No foreign suite takes longer; one that hangs must not eat the whole run.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// One foreign client: how to get it, and the command that runs its cases.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    pub name: &'static str,
    /// What it drives, for the list of suites.
    pub about: &'static str,
    command: fn(&Tools, &Broker) -> Result<Command>,
    /// What its broker is told beside the usual properties.
    properties: &'static [(&'static str, &'static str)],
}

/// Streams groups that notice at once who is gone.
const QUICK_STREAMS: &[(&str, &str)] = &[
    ("group.initial.rebalance.delay.ms", "500"),
    ("group.streams.initial.rebalance.delay.ms", "500"),
    ("group.streams.min.session.timeout.ms", "6000"),
    ("group.streams.session.timeout.ms", "6000"),
    ("group.streams.min.heartbeat.interval.ms", "500"),
    ("group.streams.heartbeat.interval.ms", "500"),
];

/// ACLs are kept, and decide on nobody: who is not logged in may do everything.
const ACLS: &[(&str, &str)] = &[
    ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
    ("super.users", "User:ANONYMOUS"),
];

/// All foreign suites.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "java-tools",
        about: "Apache Kafka 4.3.1's command-line tools, incl. perf, verifiable clients, dump-log",
        command: java_tools,
        properties: ACLS,
    },
    Suite {
        name: "java-client",
        about: "Apache Kafka 4.3.1's Java producer, consumer and admin client",
        command: java_client,
        properties: &[],
    },
    Suite {
        name: "java-streams",
        about: "Kafka Streams 4.3.1 with exactly_once_v2, in both group protocols; one process is killed",
        command: java_streams,
        properties: QUICK_STREAMS,
    },
    Suite {
        name: "java-2.1",
        about: "the Java client of 2019",
        command: |tools, broker| java_old(tools, broker, "2.1.1"),
        properties: &[],
    },
    Suite {
        name: "java-2.8",
        about: "the Java client of 2021",
        command: |tools, broker| java_old(tools, broker, "2.8.2"),
        properties: &[],
    },
    Suite {
        name: "python-confluent",
        about: "confluent-kafka (librdkafka)",
        command: |tools, broker| python(tools, broker, "confluent_tour.py"),
        properties: &[],
    },
    Suite {
        name: "python-aiokafka",
        about: "aiokafka",
        command: |tools, broker| python(tools, broker, "aiokafka_tour.py"),
        properties: &[],
    },
    Suite {
        name: "kcat",
        about: "Debian's kcat (an old librdkafka)",
        command: kcat,
        properties: &[],
    },
    Suite { name: "node-kafkajs", about: "kafkajs", command: node, properties: &[] },
    Suite { name: "go-franz", about: "franz-go", command: go, properties: &[] },
];

/// The suite of this name.
pub fn find(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}

impl Suite {
    /// Runs the suite against a fresh broker.
    pub fn run(&self, tools: &Tools, system: &System) -> Outcome {
        let began = Instant::now();
        let mut outcome = Outcome::new(self.name);
        if let Err(error) = self.run_into(tools, system, &mut outcome) {
            match error.downcast_ref::<Missing>() {
                Some(missing) => outcome.add(Verdict::Skipped, self.name, &missing.to_string()),
                None => outcome.add(Verdict::Failed, self.name, &format!("{error:#}")),
            }
        }
        outcome.took = began.elapsed();
        outcome
    }

    fn run_into(&self, tools: &Tools, system: &System, outcome: &mut Outcome) -> Result<()> {
        let mut broker = Broker::start(system, self.properties)?;
        let mut command = (self.command)(tools, &broker)?;
        let folder = tempfile::Builder::new().prefix("naru-suite-").tempdir()?;
        let (list, log, output) =
            (folder.path().join("later"), folder.path().join("log"), folder.path().join("output"));
        later::write_list(self.name, &list)?;
        command.current_dir(folder.path()).env("TMPDIR", folder.path());
        command.env("BOOTSTRAP", broker.bootstrap()).env("NARU_LATER", &list);
        let mut process = Process::start_with_output(&mut command, &log, &output)?;
        let ended = match process.wait(PATIENCE) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("ended with {status}: {}", process.last_words())),
            Err(error) => Err(error.to_string()),
        };
        outcome.read(&read_lossy(&output), &ended);
        if !broker.is_running() {
            let why = format!("its last words: {}", broker.last_words());
            outcome.add(Verdict::Failed, "the broker is still running", &why);
        }
        Ok(())
    }
}

fn read_lossy(file: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
}

fn java(classes: &Path, libs: &Path, heap: &str, main: &str) -> Command {
    let mut command = Command::new("java");
    command.args([&format!("-Xmx{heap}"), "-XX:TieredStopAtLevel=1"]);
    command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp"]);
    command.arg(format!("{}:{}/*", classes.display(), libs.display())).arg(main);
    command
}

/// Kafka's command-line tools in one JVM; wants bootstrap servers, a data directory, a cases file.
pub fn java_tool_tour(tools: &Tools) -> Result<Command> {
    let libs = tools.kafka_jars()?;
    let classes = tools.classes("tools", "tools", &libs)?;
    Ok(java(&classes, &libs, "700m", "ToolsTour"))
}

/// Quotas and client metrics by the Java client; wants bootstrap servers and the port of /metrics.
pub fn java_quotas(tools: &Tools) -> Result<Command> {
    let libs = tools.kafka_jars()?;
    let classes = tools.classes("quotas", "quotas", &libs)?;
    Ok(java(&classes, &libs, "200m", "QuotaTour"))
}

/// The Java client while brokers die; wants bootstrap servers and the file that ends it.
pub fn java_failover(tools: &Tools) -> Result<Command> {
    let libs = tools.kafka_jars()?;
    let classes = tools.classes("failover", "failover", &libs)?;
    Ok(java(&classes, &libs, "200m", "FailoverTour"))
}

/// The Java client with tokens; wants a folder with `admin.properties`, the addresses of listeners
/// for SCRAM, PLAIN, and unsecured and signed tokens, and the port where keys are looked for.
pub fn java_security(tools: &Tools) -> Result<Command> {
    let libs = tools.kafka_jars()?;
    let classes = tools.classes("security", "security", &libs)?;
    Ok(java(&classes, &libs, "200m", "SecurityTour"))
}

/// Kafka Streams while brokers die; wants bootstrap servers, the file that ends it, a folder and the
/// group protocol.
pub fn java_eos(tools: &Tools) -> Result<Command> {
    let libs = tools.kafka_jars()?;
    let classes = tools.classes("eos", "eos", &libs)?;
    Ok(java(&classes, &libs, "300m", "EosTour"))
}

fn java_tools(tools: &Tools, broker: &Broker) -> Result<Command> {
    let mut command = java_tool_tour(tools)?;
    command.arg(broker.bootstrap()).arg(broker.data_dir());
    command.arg(foreign().join("java/tools/cases.txt"));
    Ok(command)
}

fn java_client(tools: &Tools, broker: &Broker) -> Result<Command> {
    let libs = tools.kafka_jars()?;
    let classes = tools.classes("client", "client", &libs)?;
    let mut command = java(&classes, &libs, "600m", "ClientTour");
    command.arg(broker.bootstrap());
    Ok(command)
}

fn java_streams(tools: &Tools, broker: &Broker) -> Result<Command> {
    let libs = tools.kafka_jars()?;
    let classes = tools.classes("streams", "streams", &libs)?;
    let mut command = java(&classes, &libs, "400m", "StreamsTour");
    command.arg(broker.bootstrap());
    Ok(command)
}

/// A Java client of former years; compiled once, against the oldest one.
fn java_old(tools: &Tools, broker: &Broker, version: &str) -> Result<Command> {
    const OLDEST: &str = "2.1.1";
    let classes = tools.classes("old", "old", &tools.old_client_jars(OLDEST)?)?;
    let mut command = java(&classes, &tools.old_client_jars(version)?, "300m", "OldTour");
    command.arg(broker.bootstrap()).arg(version);
    Ok(command)
}

fn python(tools: &Tools, _broker: &Broker, file: &str) -> Result<Command> {
    let mut command = Command::new(tools.python()?);
    command.arg("-B").arg(foreign().join("python").join(file));
    Ok(command)
}

fn kcat(_tools: &Tools, _broker: &Broker) -> Result<Command> {
    program("kcat", "kcat")?;
    let mut command = Command::new("bash");
    command.arg(foreign().join("kcat/tour.sh"));
    Ok(command)
}

fn node(tools: &Tools, _broker: &Broker) -> Result<Command> {
    let modules = tools.node_modules()?;
    let mut command = Command::new("node");
    command.arg(foreign().join("node/tour.mjs")).env("NODE_MODULES", modules);
    Ok(command)
}

fn go(tools: &Tools, _broker: &Broker) -> Result<Command> {
    Ok(Command::new(tools.go_tour()?))
}
