//! `cargo xtask scale`: many partitions, on three nodes and on one, for Apache Kafka and Naru.
//!
//! Times are how long until every partition has what it needs, as a client sees it in Metadata;
//! memory is the resident set of all nodes together.

mod ask;
mod table;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use naru_testkit::broker::System;
use naru_testkit::cache::Cache;
use naru_testkit::cluster::{Cluster, Layout};
use naru_testkit::install::Tools;

use crate::test::release_binary;
use ask::{Partition, create_topics, partitions};

/// Topics of the run on three nodes, each with [`PARTITIONS`] partitions of three replicas.
const TOPICS: usize = 1_000;
const PARTITIONS: i32 = 3;
/// Partitions of the run on one node, in topics of [`WIDE`] partitions.
const MANY: usize = 10_000;
const WIDE: i32 = 100;
/// Partitions in one CreateTopics request: Apache Kafka refuses to write 10,000 records at once.
const CREATED_AT_ONCE: usize = 3_000;
/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// One measured step.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: &'static str,
    pub system: &'static str,
    pub seconds: f64,
    /// All nodes together, after the step.
    pub resident_mib: u64,
}

/// `--system apache|naru` measures one only, `--against BINARY` another Naru, `--write` puts the table into docs/benchmarks.md.
pub fn command(root: &Path, words: &[&str]) -> Result<ExitCode> {
    let (mut write, mut only, mut against) = (false, None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--write" => write = true,
            "--system" => only = Some(*words.next().context("--system needs apache or naru")?),
            "--against" => against = Some(*words.next().context("--against needs a binary")?),
            other => bail!("unknown option {other}"),
        }
    }
    let tools = Tools::new(Cache::open()?);
    let mut systems = Vec::new();
    if only != Some("naru") {
        systems.push(System::Apache { libs: tools.kafka_jars()? });
    }
    if only != Some("apache") {
        let binary = match against {
            Some(binary) => Path::new(binary).canonicalize()?,
            None => release_binary(root)?,
        };
        systems.push(System::Naru { binary });
    }
    let mut steps = Vec::new();
    for system in &systems {
        steps.extend(three_nodes(system).with_context(|| format!("three {}", system.name()))?);
        steps.extend(one_node(system).with_context(|| format!("one {}", system.name()))?);
    }
    let text = table::markdown(&steps);
    println!("\n{text}");
    if write {
        table::write_into(&root.join("docs/benchmarks.md"), &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures the steps of one cluster.
struct Measure {
    cluster: Cluster,
    system: &'static str,
    expected: usize,
    steps: Vec<Step>,
}

impl Measure {
    fn start(system: &System, nodes: usize, expected: usize) -> Result<Self> {
        let mut cluster = Cluster::start(Layout::combined(system, nodes))?;
        cluster.wait_registered()?;
        Ok(Self { cluster, system: system.name(), expected, steps: Vec::new() })
    }

    fn note(&mut self, name: &'static str, began: Instant) -> Result<()> {
        let seconds = began.elapsed().as_secs_f64();
        let mut kib = 0;
        for id in self.cluster.running() {
            kib += self.cluster.resident_kib(id)?;
        }
        let step = Step { name, system: self.system, seconds, resident_mib: kib >> 10 };
        eprintln!("{:7} {:48} {seconds:8.2} s {:6} MiB", step.system, name, step.resident_mib);
        self.steps.push(step);
        Ok(())
    }

    fn create(&mut self, topics: usize, partitions: i32, copies: i16) -> Result<()> {
        let port = self.cluster.port(1);
        let names: Vec<String> = (0..topics).map(|index| format!("scale-{index:04}")).collect();
        let topics_at_once = CREATED_AT_ONCE / usize::try_from(partitions)?;
        names
            .chunks(topics_at_once)
            .try_for_each(|chunk| create_topics(port, chunk, partitions, copies, PATIENCE))
    }

    /// Waits until every running node says `enough` of every partition.
    fn until(&mut self, what: &str, enough: impl Fn(&Partition) -> bool) -> Result<()> {
        let expected = self.expected;
        for id in self.cluster.running() {
            self.cluster.wait(what, PATIENCE, |cluster| {
                let all = partitions(cluster.port(id), PATIENCE)?;
                ensure!(all.len() == expected, "{} of {expected} partitions", all.len());
                let lacking = all.iter().filter(|partition| !enough(partition)).count();
                ensure!(lacking == 0, "{lacking} of {expected} partitions are not");
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn three_nodes(system: &System) -> Result<Vec<Step>> {
    let expected = TOPICS * usize::try_from(PARTITIONS)?;
    let mut measure = Measure::start(system, 3, expected)?;

    let began = Instant::now();
    measure.create(TOPICS, PARTITIONS, 3)?;
    measure.until("in sync", Partition::is_whole)?;
    measure.note("3 nodes: create 1,000 topics x 3 x RF 3", began)?;

    let victim = measure.cluster.controller(PATIENCE)?;
    let began = Instant::now();
    measure.cluster.kill(victim)?;
    measure.until("led by others", |partition| {
        partition.leader >= 0 && partition.leader != victim && !partition.isr.contains(&victim)
    })?;
    measure.note("kill -9 of the controller: all led by others", began)?;

    let began = Instant::now();
    measure.cluster.launch(victim)?;
    measure.cluster.wait_registered()?;
    measure.until("in sync again", Partition::is_whole)?;
    measure.note("its restart: all in sync again", began)?;

    let began = Instant::now();
    measure.cluster.stop_all()?;
    measure.note("clean stop of two, kill -9 of the third", began)?;
    let began = Instant::now();
    for id in measure.cluster.ids() {
        measure.cluster.launch(id)?;
    }
    measure.cluster.wait_registered()?;
    measure.until("in sync after the restart", Partition::is_whole)?;
    measure.note("start of all three: all in sync", began)?;
    Ok(measure.steps)
}

fn one_node(system: &System) -> Result<Vec<Step>> {
    let mut measure = Measure::start(system, 1, MANY)?;
    let began = Instant::now();
    measure.create(MANY / usize::try_from(WIDE)?, WIDE, 1)?;
    measure.until("led", Partition::is_whole)?;
    measure.note("1 node: create 10,000 partitions", began)?;

    let began = Instant::now();
    measure.cluster.stop_all()?;
    measure.note("clean stop", began)?;
    let began = Instant::now();
    measure.cluster.launch(1)?;
    measure.cluster.wait_registered()?;
    measure.until("led after a clean stop", Partition::is_whole)?;
    measure.note("start after a clean stop", began)?;

    let began = Instant::now();
    measure.cluster.kill(1)?;
    measure.cluster.launch(1)?;
    measure.cluster.wait_registered()?;
    measure.until("led after a kill", Partition::is_whole)?;
    measure.note("start after kill -9", began)?;
    Ok(measure.steps)
}
