//! The page on security as a reader follows it: its files, and its commands one after the other.

use std::time::Duration;

use anyhow::Result;

use super::Stage;
use crate::broker::System;
use crate::install::{foreign, program};
use crate::outcome::{Outcome, Verdict};
use crate::probe::free_port;

const PATIENCE: Duration = Duration::from_secs(300);
/// As many as the page names.
const PORTS: usize = 5;

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let System::Naru { binary } = stage.system else {
        outcome.add(Verdict::Skipped, "how-to", "the page is about Naru");
        return Ok(());
    };
    program("openssl", "openssl")?;
    let page = foreign().join("../../../docs/how-to/secure-a-cluster.md");
    let mut command = stage.python("scenarios/how_to.py")?;
    command.arg(page).arg(binary).arg(stage.tools.kafka_jars()?);
    for _ in 0..PORTS {
        command.arg(free_port()?.to_string());
    }
    stage.cases(&mut command, PATIENCE, outcome)
}
