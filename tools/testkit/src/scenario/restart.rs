//! What groups committed is there after a clean stop and after `kill -9`.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Stage;
use crate::broker::Broker;
use crate::install::{foreign, program};
use crate::outcome::Outcome;

const PATIENCE: Duration = Duration::from_secs(180);

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    program("kcat", "kcat")?;
    let mut broker = stage.start_broker(&[])?;
    each_client(stage, &broker, "before", outcome)?;
    outcome.add_result("SIGTERM ends the broker cleanly", &broker.stop());
    broker.start_again()?;
    each_client(stage, &broker, "after", outcome)?;
    broker.kill()?;
    broker.start_again()?;
    each_client(stage, &broker, "again", outcome)
}

fn each_client(stage: &Stage<'_>, broker: &Broker, phase: &str, to: &mut Outcome) -> Result<()> {
    let bootstrap = broker.bootstrap();
    let mut python = stage.python("scenarios/restart.py")?;
    stage.cases(python.arg(phase).arg(&bootstrap), PATIENCE, to)?;
    let mut node = Command::new("node");
    node.arg(foreign().join("node/restart.mjs")).arg(phase);
    node.env("NODE_MODULES", stage.tools.node_modules()?).env("BOOTSTRAP", &bootstrap);
    stage.cases(&mut node, PATIENCE, to)?;
    let mut go = Command::new(stage.tools.go_tour()?);
    stage.cases(go.args(["restart", phase]).env("BOOTSTRAP", &bootstrap), PATIENCE, to)
}
