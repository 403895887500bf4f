//! Kafka Streams with `exactly_once_v2` through a rolling restart and the kill of each kind of node.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::super::Stage;
use crate::cluster::{Cluster, Layout};
use crate::foreign::java_eos;
use crate::outcome::{Outcome, Verdict};
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(240);
/// Between two faults, so that transactions are under way again.
const CALM: Duration = Duration::from_secs(3);
/// Where a group's members get their tasks from; an application of each runs at the same time.
const PROTOCOLS: [&str; 2] = ["classic", "streams"];
/// What the applications read.
const INPUTS: [&str; 2] = ["eos-in-classic", "eos-in-streams"];

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let mut cluster = Cluster::start(Layout::combined(stage.system, 3))?;
    let stop = stage.folder.join("stop");
    let mut applications = Vec::new();
    for protocol in PROTOCOLS {
        applications.push(Application::start(stage, &cluster.bootstrap(), &stop, protocol)?);
    }
    // JVMs, members and their internal topics need a while until the first record.
    for input in INPUTS {
        cluster.wait(input, PATIENCE, |cluster| cluster.topic(input).map(|_| ()))?;
        cluster.wait_in_sync(input, PATIENCE)?;
    }
    thread::sleep(CALM * 3);
    outcome.add_result("the cluster comes back from each fault", &shake(&mut cluster));
    fs::write(&stop, "")?;
    for application in applications {
        application.finish(outcome)?;
    }
    for id in cluster.ids() {
        if !cluster.is_running(id) {
            outcome.add(Verdict::Failed, &format!("node {id} is running"), &cluster.last_words(id));
        }
    }
    cluster.stop_all()
}

/// Two instances in one JVM.
struct Application {
    process: Process,
    output: PathBuf,
}

impl Application {
    fn start(stage: &Stage<'_>, bootstrap: &str, stop: &Path, protocol: &str) -> Result<Self> {
        let folder = stage.folder.join(protocol);
        fs::create_dir(&folder)?;
        let output = folder.join("cases");
        let mut java = java_eos(stage.tools)?;
        java.arg(bootstrap).args([stop, &folder]).arg(protocol);
        let process = Process::start_with_output(&mut java, &folder.join("log"), &output)?;
        Ok(Self { process, output })
    }

    fn finish(mut self, outcome: &mut Outcome) -> Result<()> {
        let ended = match self.process.wait(PATIENCE) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("ended with {status}: {}", self.process.last_words())),
            Err(error) => Err(error.to_string()),
        };
        outcome.read(&String::from_utf8_lossy(&fs::read(self.output)?), &ended);
        Ok(())
    }
}

/// Each node restarts cleanly; the controller, and a node that is not, are killed.
fn shake(cluster: &mut Cluster) -> Result<()> {
    for id in cluster.ids() {
        cluster.stop(id)?;
        back(cluster, id)?;
    }
    let controller = cluster.controller(PATIENCE)?;
    let other = cluster.ids().into_iter().find(|id| *id != controller).unwrap_or(controller);
    for id in [other, controller] {
        cluster.kill(id)?;
        thread::sleep(CALM);
        back(cluster, id)?;
    }
    Ok(())
}

fn back(cluster: &mut Cluster, id: i32) -> Result<()> {
    cluster.launch(id)?;
    cluster.wait_registered()?;
    for topic in INPUTS.into_iter().chain(["__transaction_state"]) {
        cluster.wait_in_sync(topic, PATIENCE)?;
    }
    thread::sleep(CALM);
    Ok(())
}
