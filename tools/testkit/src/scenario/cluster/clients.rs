//! Other people's clients while nodes die, freeze and restart: Java and franz-go side by side.
//!
//! (librdkafka is what the load of the `cluster` suite is made of.)

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::Stage;
use crate::cluster::{Cluster, Layout};
use crate::foreign::java_failover;
use crate::outcome::{Outcome, Verdict};
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(180);
/// Between two faults, so that clients are at full work again.
const CALM: Duration = Duration::from_secs(2);

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let mut cluster = Cluster::start(Layout::combined(stage.system, 3))?;
    let stop = stage.folder.join("stop");
    let mut java = java_failover(stage.tools)?;
    java.arg(cluster.bootstrap()).arg(&stop);
    let mut go = Command::new(stage.tools.go_tour()?);
    go.arg("failover").arg(&stop).env("BOOTSTRAP", cluster.bootstrap());
    let clients = [start(stage, "java", &mut java)?, start(stage, "go", &mut go)?];
    // JVMs need a while until the first record.
    thread::sleep(CALM * 3);
    let story = shake(&mut cluster);
    outcome.add_result("the cluster comes back from each fault", &story);
    fs::write(&stop, "")?;
    for (name, process) in clients {
        finish(stage.folder, name, process, outcome)?;
    }
    for id in cluster.ids() {
        if !cluster.is_running(id) {
            outcome.add(Verdict::Failed, &format!("node {id} is running"), &cluster.last_words(id));
        }
    }
    Ok(())
}

/// One leader is killed, the controller is killed, and each node is restarted cleanly.
fn shake(cluster: &mut Cluster) -> Result<()> {
    let controller = cluster.controller(PATIENCE)?;
    let other = cluster.ids().into_iter().find(|id| *id != controller).unwrap_or(controller);
    for (what, id) in [("a broker", other), ("the controller", controller)] {
        let began = Instant::now();
        cluster.kill(id)?;
        // Until it was missed: clients have to find the new leaders without it.
        cluster.wait("the dead node is missed", PATIENCE, |cluster| {
            let listed = cluster.any_broker(|port| crate::cluster::view::view(port, None))?.brokers;
            anyhow::ensure!(!listed.contains(&id), "listed: {listed:?}");
            Ok(())
        })?;
        println!("cluster-clients: {what} missed after {} ms", began.elapsed().as_millis());
        thread::sleep(CALM);
        back(cluster, id)?;
    }
    for id in cluster.ids() {
        cluster.stop(id)?;
        back(cluster, id)?;
    }
    Ok(())
}

fn back(cluster: &mut Cluster, id: i32) -> Result<()> {
    cluster.launch(id)?;
    cluster.wait_registered()?;
    cluster.wait_in_sync("java-failover", PATIENCE)?;
    thread::sleep(CALM);
    Ok(())
}

pub(super) fn start(
    stage: &Stage<'_>,
    name: &'static str,
    command: &mut Command,
) -> Result<(&'static str, Process)> {
    let (log, output) = files(stage.folder, name);
    Ok((name, Process::start_with_output(command, &log, &output)?))
}

fn files(folder: &Path, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    (folder.join(format!("{name}.log")), folder.join(format!("{name}.cases")))
}

pub(super) fn finish(
    folder: &Path,
    name: &str,
    mut process: Process,
    outcome: &mut Outcome,
) -> Result<()> {
    let ended = match process.wait(PATIENCE) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}: {}", process.last_words())),
        Err(error) => Err(format!("{name}: {error}")),
    };
    let (_, output) = files(folder, name);
    outcome.read(&String::from_utf8_lossy(&fs::read(output)?), &ended);
    Ok(())
}
