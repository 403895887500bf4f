//! Compaction, with Apache Kafka as the judge: the same records under either broker leave the same
//! ones, Kafka's dump tool reads the compacted files, and either broker goes on with the other's.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Stage, files};
use crate::broker::{Broker, System};
use crate::outcome::Outcome;
use crate::process;

const PATIENCE: Duration = Duration::from_secs(400);
/// The cleaner looks often enough for a test.
const CLEANER: &[(&str, &str)] = &[("log.cleaner.backoff.ms", "200")];
/// The dump tool tells of every gap, which compaction makes.
const GAPS: &[&str] = &["is followed by", "Non-consecutive offsets"];

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let apache = System::Apache { libs: stage.tools.kafka_jars()? };
    let mut ours = stage.start_broker(CLEANER)?;
    step(stage, &ours, "fill", "", outcome)?;
    ours.kill()?;
    ours.start_again()?;
    step(stage, &ours, "verify", "after kill -9: ", outcome)?;
    ours.stop()?;
    for (extension, options) in
        [("log", &["--deep-iteration", "--print-data-log"][..]), ("index", &[]), ("timeindex", &[])]
    {
        let dumped = files::dump_passing(stage, &ours, "compact-", extension, options, GAPS);
        outcome.add_result(&format!("Kafka's dump tool reads compact-*/*.{extension}"), &dumped);
    }
    outcome.add_result("how far it came is written as Kafka does", &checkpoint(&ours));

    let mut kafkas = Broker::start(&apache, CLEANER)?;
    step(stage, &kafkas, "fill", "Apache Kafka: ", outcome)?;
    kafkas.stop()?;
    move_whole(stage, &ours, &apache, "our whole directory under Kafka: ", outcome)?;
    move_whole(stage, &kafkas, stage.system, "Kafka's whole directory under us: ", outcome)
}

/// Runs a step of `compaction.py`; its cases get `prefix` before their names.
fn step(
    stage: &Stage<'_>,
    broker: &Broker,
    step: &str,
    prefix: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut command = stage.python("scenarios/compaction.py")?;
    command.args([step, &broker.bootstrap(), &stage.began_ms.to_string()]);
    stage.prefixed_cases(&mut command, PATIENCE, prefix, outcome)
}

fn move_whole(
    stage: &Stage<'_>,
    from: &Broker,
    to: &System,
    prefix: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut broker = Broker::prepare(to, CLEANER)?;
    process::run(Command::new("cp").arg("-a").arg(from.data_dir()).arg(broker.data_dir()))?;
    let result = broker.start_again();
    outcome.add_result(&format!("{prefix}the broker starts"), &result);
    if result.is_ok() {
        step(stage, &broker, "verify", prefix, outcome)?;
    }
    Ok(())
}

/// Every compacted partition has a line, in the format of Kafka's checkpoints.
fn checkpoint(broker: &Broker) -> Result<()> {
    let text = std::fs::read_to_string(broker.data_dir().join("cleaner-offset-checkpoint"))?;
    let mut lines = text.lines();
    ensure!(lines.next() == Some("0"), "version: {text}");
    let count: usize = lines.next().unwrap_or_default().parse()?;
    let entries: Vec<&str> = lines.collect();
    ensure!(entries.len() == count, "{count} entries are announced: {text}");
    ensure!(entries.iter().any(|line| line.starts_with("compact-plain 0 ")), "{text}");
    Ok(())
}
