//! Kafka Streams with `exactly_once_v2` through a rolling restart and the kill of each kind of node.

use std::fs;
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
/// What the application reads.
const INPUT: &str = "streams-in";
/// Where a group's members get their tasks from.
const PROTOCOLS: &[&str] = &["classic"];

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    for protocol in PROTOCOLS {
        application(stage, protocol, outcome)?;
    }
    Ok(())
}

fn application(stage: &Stage<'_>, protocol: &str, outcome: &mut Outcome) -> Result<()> {
    let mut cluster = Cluster::start(Layout::combined(stage.system, 3))?;
    let folder = tempfile::Builder::new().prefix("streams-").tempdir_in(stage.folder)?.keep();
    let (stop, output) = (folder.join("stop"), folder.join("cases"));
    let mut java = java_eos(stage.tools)?;
    java.arg(cluster.bootstrap()).args([&stop, &folder]).arg(protocol);
    let mut process = Process::start_with_output(&mut java, &folder.join("log"), &output)?;
    // A JVM, two members and their internal topics need a while until the first record.
    cluster.wait_in_sync(INPUT, PATIENCE)?;
    thread::sleep(CALM * 3);
    let story = shake(&mut cluster);
    let name = format!("the cluster comes back from each fault ({protocol} protocol)");
    outcome.add_result(&name, &story);
    fs::write(&stop, "")?;
    let ended = match process.wait(PATIENCE) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("ended with {status}: {}", process.last_words())),
        Err(error) => Err(error.to_string()),
    };
    outcome.read(&String::from_utf8_lossy(&fs::read(output)?), &ended);
    for id in cluster.ids() {
        if !cluster.is_running(id) {
            outcome.add(Verdict::Failed, &format!("node {id} is running"), &cluster.last_words(id));
        }
    }
    cluster.stop_all()
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
    cluster.wait_in_sync(INPUT, PATIENCE)?;
    cluster.wait_in_sync("__transaction_state", PATIENCE)?;
    thread::sleep(CALM);
    Ok(())
}
