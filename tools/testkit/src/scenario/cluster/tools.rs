//! Apache Kafka's own tools against three nodes: whole, with one node dead, and whole again.

use std::time::Duration;

use anyhow::Result;

use super::super::Stage;
use super::metrics::Watch;
use crate::cluster::{Cluster, Layout};
use crate::foreign::java_tool_tour;
use crate::outcome::Outcome;

const PATIENCE: Duration = Duration::from_secs(300);
/// The topic of the cases that look at the cluster while a node is dead.
pub(super) const TOPIC: &str = "tools";

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let mut layout = Layout::combined(stage.system, 3);
    let watch = Watch::prepare(&mut layout)?;
    for (index, node) in layout.nodes.iter_mut().enumerate() {
        node.properties.push(("broker.rack".to_owned(), format!("rack{}", index + 1)));
    }
    let mut cluster = Cluster::start(layout)?;
    super::create(&mut cluster, TOPIC)?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    outcome.add_result("metrics of three nodes add up", &watch.whole(&mut cluster));
    cases(stage, &cluster, "whole", outcome)?;
    // Node 3 does not have to be the controller: its failover is another suite's matter.
    cluster.kill(3)?;
    cluster.wait("node 3 is missed", PATIENCE, |cluster| {
        let listed = cluster.topic(TOPIC)?.brokers;
        anyhow::ensure!(listed == [1, 2], "listed: {listed:?}");
        Ok(())
    })?;
    outcome.add_result("metrics show the dead node", &watch.broken(&mut cluster, 3));
    cases(stage, &cluster, "broken", outcome)?;
    cluster.launch(3)?;
    cluster.wait_registered()?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    outcome.add_result("metrics are calm again", &watch.whole(&mut cluster));
    cases(stage, &cluster, "mended", outcome)
}

fn cases(stage: &Stage<'_>, cluster: &Cluster, phase: &str, outcome: &mut Outcome) -> Result<()> {
    let mut command = java_tool_tour(stage.tools)?;
    // The bootstrap list holds the dead node too, as a user's would.
    command.arg(cluster.bootstrap()).arg(cluster.data_dir(1));
    command.arg(crate::install::foreign().join(format!("java/tools/cluster-{phase}.txt")));
    stage.cases(&mut command, PATIENCE, outcome)
}
