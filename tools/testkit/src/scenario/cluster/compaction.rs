//! Compacted topics with followers: every replica, when it leads, has what compaction must leave, and
//! so has the topic of committed offsets. The cleaners are told while they run.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::Stage;
use crate::broker::java;
use crate::cluster::{Cluster, Layout};
use crate::outcome::Outcome;
use crate::process;

const PATIENCE: Duration = Duration::from_secs(400);
/// What `compaction.py` makes.
const TOPIC: &str = "compact-plain";
const OFFSETS: &str = "__consumer_offsets";
/// Longer than any test: a cleaner that goes by it does nothing here.
const NEVER_MS: &str = "3600000";
const OFTEN: &str = "log.cleaner.backoff.ms=200,log.cleaner.min.cleanable.ratio=0.01";

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let layout = Layout::combined(stage.system, 3)
        .with("log.cleaner.backoff.ms", NEVER_MS)
        .with("producer.id.expiration.check.interval.ms", "500");
    let mut cluster = Cluster::start(layout)?;
    // A first commit makes the topic of offsets; the cleaners are told to look often.
    step(stage, &cluster, "place", "before anything: ", &mut Outcome::new("nobody"))?;
    cluster.wait_in_sync(OFFSETS, PATIENCE)?;
    tell(stage, &cluster, OFTEN)?;
    step(stage, &cluster, "fill", "", outcome)?;
    step(stage, &cluster, "offsets", "", outcome)?;
    for id in cluster.ids() {
        cluster.wait_in_sync(TOPIC, PATIENCE)?;
        cluster.wait_in_sync(OFFSETS, PATIENCE)?;
        cluster.kill(id)?;
        let prefix = format!("without node {id}: ");
        step(stage, &cluster, "verify", &prefix, outcome)?;
        step(stage, &cluster, "place", &prefix, outcome)?;
        cluster.launch(id)?;
        cluster.wait_registered()?;
    }
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    outcome
        .add_result("producer ids expire as is told while it runs", &expire(stage, &mut cluster));
    cluster.stop_all()
}

fn step(
    stage: &Stage<'_>,
    cluster: &Cluster,
    step: &str,
    prefix: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut command = stage.python("scenarios/compaction.py")?;
    command.args([step, &cluster.bootstrap(), &stage.began_ms.to_string(), "3"]);
    stage.prefixed_cases(&mut command, PATIENCE, prefix, outcome)
}

/// Changes all brokers' defaults while they run.
fn tell(stage: &Stage<'_>, cluster: &Cluster, configs: &str) -> Result<()> {
    let mut command = java(&stage.tools.kafka_jars()?, "200m");
    command.args(["kafka.admin.ConfigCommand", "--bootstrap-server", &cluster.bootstrap()]);
    command.args(["--alter", "--entity-type", "brokers", "--entity-default"]);
    process::run(command.args(["--add-config", configs])).map(|_| ())
}

/// Idempotent producers that wrote are known, until the time after which they are forgotten is changed.
fn expire(stage: &Stage<'_>, cluster: &mut Cluster) -> Result<()> {
    let known = |cluster: &Cluster| -> Result<usize> {
        let mut command = java(&stage.tools.kafka_jars()?, "200m");
        command.arg("org.apache.kafka.tools.TransactionsCommand");
        command.args(["--bootstrap-server", &cluster.bootstrap(), "describe-producers"]);
        let said = process::run(command.args(["--topic", "compact-zstd", "--partition", "0"]))?;
        Ok(said.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count())
    };
    let before = known(cluster)?;
    ensure!(before > 0, "no producer is known");
    tell(stage, cluster, "producer.id.expiration.ms=1000")?;
    cluster.wait("producers are forgotten", PATIENCE, |cluster| {
        let left = known(cluster)?;
        ensure!(left == 0, "{left} of {before} producers are known");
        Ok(())
    })
}
