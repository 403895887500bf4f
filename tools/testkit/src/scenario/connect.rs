//! Kafka Connect's distributed worker, exactly once from its source, through a kill of the broker and
//! a restart of the worker.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Stage;
use crate::broker::{Broker, java};
use crate::outcome::Outcome;
use crate::probe::free_port;
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(300);
const STOP_PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let libs = stage.tools.connect_jars()?;
    let mut broker = stage.start_broker(&[])?;
    let rest = free_port()?;
    let file = stage.folder.join("worker.properties");
    fs::write(&file, properties(&broker, rest))?;
    let mut worker = start(stage, &libs, &file)?;
    step(stage, &broker, rest, ("begin", 1), outcome)?;
    broker.kill()?;
    broker.start_again()?;
    step(stage, &broker, rest, ("more", 2), outcome)?;
    worker.terminate(STOP_PATIENCE)?;
    worker = start(stage, &libs, &file)?;
    step(stage, &broker, rest, ("end", 3), outcome)?;
    worker.terminate(STOP_PATIENCE)?;
    Ok(())
}

fn properties(broker: &Broker, rest: u16) -> String {
    format!(
        "bootstrap.servers={}\ngroup.id=connect\nlisteners=http://127.0.0.1:{rest}\n\
         config.storage.topic=connect-configs\nconfig.storage.replication.factor=1\n\
         offset.storage.topic=connect-offsets\noffset.storage.replication.factor=1\n\
         offset.storage.partitions=5\n\
         status.storage.topic=connect-status\nstatus.storage.replication.factor=1\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.storage.StringConverter\n\
         exactly.once.source.support=enabled\noffset.flush.interval.ms=1000\n\
         topic.creation.enable=true\nscheduled.rebalance.max.delay.ms=0\n",
        broker.bootstrap()
    )
}

fn start(stage: &Stage<'_>, libs: &Path, file: &Path) -> Result<Process> {
    let mut command = java(libs, "300m");
    command.arg("org.apache.kafka.connect.cli.ConnectDistributed").arg(file);
    stage.start("worker", &mut command)
}

fn step(
    stage: &Stage<'_>,
    broker: &Broker,
    rest: u16,
    (step, round): (&str, u32),
    outcome: &mut Outcome,
) -> Result<()> {
    let mut command = stage.python("scenarios/connect.py")?;
    command.args([step, &broker.bootstrap(), &format!("http://127.0.0.1:{rest}")]);
    command.arg(stage.folder).arg(round.to_string());
    stage.cases(&mut command, PATIENCE, outcome)
}
