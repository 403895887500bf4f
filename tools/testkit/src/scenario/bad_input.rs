//! Hostile input, one case after the other, against one broker that must outlive them all.

use std::time::Duration;

use anyhow::Result;

use super::Stage;
use crate::broker::System;
use crate::later;
use crate::outcome::{Outcome, Verdict};

const PATIENCE: Duration = Duration::from_secs(900);
/// Naru's memory under attack: what was received and its buffers, not what was announced.
const NARU_LIMIT_MB: &str = "400";
/// Apache Kafka's heap here is 1 GiB.
const APACHE_LIMIT_MB: &str = "1800";

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let mut broker = stage.start_broker(&[])?;
    let list = stage.folder.join("later");
    let mut command = stage.python("badinput/tour.py")?;
    command.env("BOOTSTRAP", broker.bootstrap()).env("BROKER_PID", broker.pid()?.to_string());
    match stage.system {
        System::Naru { .. } => {
            later::write_list("bad-input", &list)?;
            command.env("RSS_LIMIT_MB", NARU_LIMIT_MB).env("NARU_STRICT", "1");
        }
        System::Apache { .. } => {
            later::write_list("bad-input/apache", &list)?;
            command.env("RSS_LIMIT_MB", APACHE_LIMIT_MB);
        }
    }
    stage.cases(command.env("NARU_LATER", &list), PATIENCE, outcome)?;
    if !broker.is_running() {
        outcome.add(Verdict::Failed, "the broker is still running", &broker.last_words());
    }
    Ok(())
}
