//! MirrorMaker 2 between Apache Kafka and us, and between two of us: both ways at once, exactly once,
//! through a kill of a broker and a restart of MirrorMaker.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::{Extent, Stage};
use crate::broker::{Broker, System, java};
use crate::outcome::{Outcome, Verdict};
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(700);
const STOP_PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    if stage.extent == Extent::Usual {
        outcome.add(Verdict::Skipped, "MirrorMaker 2", "takes minutes: only with --full");
        return Ok(());
    }
    let apache = System::Apache { libs: stage.tools.kafka_jars()? };
    for (name, other) in [("Apache Kafka and us", &apache), ("two of us", stage.system)] {
        let mut found = Outcome::new(name);
        let result = between(stage, other, &mut found);
        for case in found.cases {
            outcome.add(case.verdict, &format!("{name}: {}", case.name), &case.why);
        }
        outcome.add_result(name, &result);
    }
    Ok(())
}

fn between(stage: &Stage<'_>, other: &System, outcome: &mut Outcome) -> Result<()> {
    let libs = stage.tools.connect_jars()?;
    let (a, mut b) = (Broker::start(other, &[])?, stage.start_broker(&[])?);
    let file = stage.folder.join("mirror.properties");
    fs::write(&file, properties(&a, &b))?;
    step(stage, (&a, &b), ("begin", 1), outcome)?;
    let mut mirror = start(stage, &libs, &file)?;
    step(stage, (&a, &b), ("more", 1), outcome)?;
    b.kill()?;
    b.start_again()?;
    step(stage, (&a, &b), ("more", 2), outcome)?;
    mirror.terminate(STOP_PATIENCE)?;
    mirror = start(stage, &libs, &file)?;
    step(stage, (&a, &b), ("more", 3), outcome)?;
    mirror.terminate(STOP_PATIENCE)?;
    Ok(())
}

fn properties(a: &Broker, b: &Broker) -> String {
    let (a, b) = (a.bootstrap(), b.bootstrap());
    let mut text = format!(
        "clusters=a,b\na.bootstrap.servers={a}\nb.bootstrap.servers={b}\n\
         a.exactly.once.source.support=enabled\nb.exactly.once.source.support=enabled\n\
         a->b.enabled=true\na->b.topics=one\nb->a.enabled=true\nb->a.topics=two\n\
         groups=group-.*\nsync.group.offsets.enabled=true\ntasks.max=1\noffset.lag.max=0\n\
         refresh.topics.interval.seconds=2\nrefresh.groups.interval.seconds=2\n\
         sync.group.offsets.interval.seconds=1\nemit.checkpoints.interval.seconds=1\n\
         emit.heartbeats.interval.seconds=1\noffset.flush.interval.ms=1000\n\
         scheduled.rebalance.max.delay.ms=0\nreplication.factor=1\n"
    );
    for topic in ["checkpoints.topic", "heartbeats.topic", "offset-syncs.topic"] {
        text.push_str(&format!("{topic}.replication.factor=1\n"));
    }
    for topic in ["config", "offset", "status"] {
        text.push_str(&format!("{topic}.storage.replication.factor=1\n"));
    }
    text
}

fn start(stage: &Stage<'_>, libs: &Path, file: &Path) -> Result<Process> {
    let mut command = java(libs, "500m");
    command.arg("org.apache.kafka.connect.mirror.MirrorMaker").arg(file);
    stage.start("mirror", &mut command)
}

fn step(
    stage: &Stage<'_>,
    (a, b): (&Broker, &Broker),
    (step, round): (&str, u32),
    outcome: &mut Outcome,
) -> Result<()> {
    let mut command = stage.python("scenarios/mirror.py")?;
    command.args([step, &a.bootstrap(), &b.bootstrap(), &round.to_string()]);
    stage.cases(&mut command, PATIENCE, outcome)
}
