//! Transactions through failovers: librdkafka consumes, transforms and produces while every node,
//! and with it the coordinators of the group and of the transactions, is killed in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::super::Stage;
use crate::cluster::{Cluster, Layout};
use crate::outcome::{Outcome, Verdict};
use crate::process::Process;

/// Of the cluster to come back, and of the workers to carry over what is left.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two faults, so that transactions are under way again.
const CALM: Duration = Duration::from_secs(4);
/// What is carried over.
pub(super) const SOURCE: &str = "transactions-in";

/// The workers: a group that carries a topic over into another one, in transactions.
#[derive(Debug)]
pub(super) struct Carriers {
    process: Process,
    stop: PathBuf,
    output: PathBuf,
}

impl Carriers {
    pub(super) fn start(stage: &Stage<'_>, bootstrap: &str) -> Result<Self> {
        Self::start_with(stage, bootstrap, None)
    }

    /// With these settings for librdkafka.
    pub(super) fn start_with(
        stage: &Stage<'_>,
        bootstrap: &str,
        settings: Option<&Path>,
    ) -> Result<Self> {
        // A story may have them several times, one after the other.
        let folder = tempfile::Builder::new().prefix("carriers-").tempdir_in(stage.folder)?.keep();
        let (stop, output) = (folder.join("stop"), folder.join("cases"));
        let mut command = stage.python("scenarios/transactions.py")?;
        command.arg(bootstrap).arg(&stop).args(settings);
        let process = Process::start_with_output(&mut command, &folder.join("log"), &output)?;
        Ok(Self { process, stop, output })
    }

    /// Lets them carry over what is left, and takes over what they have seen.
    pub(super) fn finish(mut self, outcome: &mut Outcome) -> Result<()> {
        fs::write(&self.stop, "")?;
        let ended = match self.process.wait(PATIENCE) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("ended with {status}: {}", self.process.last_words())),
            Err(error) => Err(error.to_string()),
        };
        outcome.read(&String::from_utf8_lossy(&fs::read(&self.output)?), &ended);
        Ok(())
    }
}

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let mut cluster = Cluster::start(Layout::combined(stage.system, 3))?;
    let carriers = Carriers::start(stage, &cluster.bootstrap())?;
    thread::sleep(CALM * 2);
    outcome.add_result("the cluster comes back from each kill", &shake(&mut cluster));
    carriers.finish(outcome)?;
    for id in cluster.ids() {
        if !cluster.is_running(id) {
            outcome.add(Verdict::Failed, &format!("node {id} is running"), &cluster.last_words(id));
        }
    }
    cluster.stop_all()
}

/// Kills each node, whatever it coordinates, and stops one cleanly.
fn shake(cluster: &mut Cluster) -> Result<()> {
    for id in cluster.ids() {
        cluster.kill(id)?;
        thread::sleep(CALM);
        back(cluster, id)?;
    }
    let controller = cluster.controller(PATIENCE)?;
    cluster.stop(controller)?;
    back(cluster, controller)
}

fn back(cluster: &mut Cluster, id: i32) -> Result<()> {
    cluster.launch(id)?;
    cluster.wait_registered()?;
    cluster.wait_in_sync(SOURCE, PATIENCE)?;
    thread::sleep(CALM);
    Ok(())
}
