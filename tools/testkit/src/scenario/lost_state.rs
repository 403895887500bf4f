//! A share group whose state was lost with all replicas of `__share_group_state`: Kafka's tools say
//! where it goes on.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Stage;
use crate::broker::{Broker, java};
use crate::outcome::Outcome;
use crate::process::{Process, last_lines, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "jobs";
const GROUP: &str = "workers";
const MANY: &str = "40";

pub(super) fn run(stage: &Stage<'_>, broker: &mut Broker, outcome: &mut Outcome) -> Result<()> {
    let in_group = ["--entity-type", "groups", "--entity-name", GROUP, "--alter", "--add-config"];
    let config = [&in_group[..], &["share.auto.offset.reset=earliest"]].concat();
    tool(stage, broker, "kafka.admin.ConfigCommand", &config)?;
    let one = ["--num-records", MANY, "--record-size", "10", "--throughput", "-1"];
    let produce = [&one[..], &["--topic", TOPIC]].concat();
    tool(stage, broker, "org.apache.kafka.tools.ProducerPerformance", &produce)?;
    ensure!(taken(stage, broker, MANY)? == MANY, "the group cannot read at all");

    broker.stop()?;
    for entry in fs::read_dir(broker.data_dir())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("__share_group_state-") {
            fs::remove_dir_all(path)?;
        }
    }
    broker.start_again()?;
    ensure!(taken(stage, broker, "1")? == "0", "the group went on at a guess");
    let told = wait_until("the log says it", PATIENCE, || {
        let log = fs::read(broker.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).contains("__share_group_state was lost")
    });
    outcome.add_result("a share group whose state was lost is told", &told);
    let reset = ["--group", GROUP, "--topic", TOPIC, "--reset-offsets", "--to-earliest"];
    let reset = [&reset[..], &["--execute"]].concat();
    // The members must have left.
    let class = "org.apache.kafka.tools.consumer.group.ShareGroupCommand";
    let done = tool(stage, broker, class, &reset);
    outcome.add_result("Kafka's tool says where it goes on", &done.map(drop));
    let again = taken(stage, broker, MANY)?;
    let all = if again == MANY { Ok(()) } else { Err(anyhow::anyhow!("{again} of {MANY}")) };
    outcome.add_result("the group reads everything once more", &all);
    Ok(())
}

/// How many records Kafka's console consumer gets of so many.
fn taken(stage: &Stage<'_>, broker: &Broker, max: &str) -> Result<String> {
    let class = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";
    let args = ["--topic", TOPIC, "--group", GROUP, "--max-messages", max, "--timeout-ms", "8000"];
    let said = run_tool(stage, broker, class, &args)?;
    let count = said.lines().find_map(|line| line.strip_prefix("Processed a total of "));
    Ok(count.and_then(|rest| rest.split(' ').next()).unwrap_or("no").to_owned())
}

fn tool(stage: &Stage<'_>, broker: &Broker, class: &str, args: &[&str]) -> Result<String> {
    let said = run_tool(stage, broker, class, args)?;
    ensure!(!said.contains("Error") && !said.contains("xception"), "{}", last_lines(&said, 5));
    Ok(said)
}

fn run_tool(stage: &Stage<'_>, broker: &Broker, class: &str, args: &[&str]) -> Result<String> {
    let mut command = java(&stage.tools.kafka_jars()?, "200m");
    command.args([class, "--bootstrap-server", &broker.bootstrap()]).args(args);
    // Each tool's words alone.
    let log = stage.folder.join("lost-state.log");
    if log.exists() {
        fs::remove_file(&log)?;
    }
    let mut process = Process::start(&mut command, &log)?;
    process.wait(PATIENCE)?;
    Ok(process.printed())
}
