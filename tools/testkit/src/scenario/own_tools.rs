//! Naru's own tools beside Apache Kafka's on one node: the same arguments, the same output. At the
//! end a log level is changed, and the node's log tells more.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Stage;
use crate::broker::{Broker, System};
use crate::install::foreign;
use crate::outcome::{Outcome, Verdict};

/// What Kafka's tools take, all in one JVM.
const PATIENCE: Duration = Duration::from_secs(300);

/// Groups that begin at once, and notice at once who is gone.
const PROPERTIES: &[(&str, &str)] = &[
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.streams.initial.rebalance.delay.ms", "0"),
    ("group.share.min.heartbeat.interval.ms", "500"),
    ("group.share.heartbeat.interval.ms", "500"),
];

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let System::Naru { binary } = stage.system else {
        outcome.add(Verdict::Skipped, "own-tools", "they are Naru's");
        return Ok(());
    };
    let mut broker = stage.start_broker(PROPERTIES)?;
    let mut tour = crate::foreign::java_tool_tour(stage.tools)?;
    tour.arg(broker.bootstrap()).arg(broker.data_dir());
    tour.arg(foreign().join("java/tools/own.txt")).env("NARU_BINARY", binary);
    stage.cases(&mut tour, PATIENCE, outcome)?;
    let changed = change_levels(&broker, |words| {
        let mut command = Command::new(binary);
        command.args(words);
        let done = command.output()?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    });
    outcome.add_result("a log level that is changed changes what the log tells", &changed);
    ensure!(broker.is_running(), "the broker ended: {}", broker.last_words());
    Ok(())
}

/// Requests are told at debug level, which is not shown at first.
fn change_levels(broker: &Broker, naru: impl Fn(&[&str]) -> Result<()>) -> Result<()> {
    let bootstrap = broker.bootstrap();
    let ask = || naru(&["kafka-topics", "--bootstrap-server", &bootstrap, "--list"]);
    let alter = |option: &str, what: &str| {
        let to = ["kafka-configs", "--bootstrap-server", &bootstrap, "--alter"];
        naru(&[&to[..], &["--broker-logger", "1", option, what]].concat())
    };
    let told = || -> Result<usize> {
        let log = std::fs::read(broker.log_file())?;
        Ok(String::from_utf8_lossy(&log).matches("DEBUG request:").count())
    };
    ask()?;
    ensure!(told()? == 0, "requests are told before anybody asked for it");
    alter("--add-config", "kafka.request.logger=DEBUG")?;
    ask()?;
    let requests = told()?;
    ensure!(requests > 0, "requests are not told: {}", broker.last_words());
    alter("--delete-config", "kafka.request.logger")?;
    let after = told()?;
    ask()?;
    ensure!(told()? == after, "requests are told for ever");
    Ok(())
}
