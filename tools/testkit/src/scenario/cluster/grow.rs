//! One node becomes three while it is used, and then the first one dies.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::super::Stage;
use super::load::{Load, PARTITIONS, TOPIC, now};
use super::{NO_ERROR, PATIENCE, finish};
use crate::cluster::{Cluster, Layout, Voters, view};
use crate::outcome::{Outcome, Verdict};

const OFFSETS: &str = "__consumer_offsets";
/// Kafka's wait between two tries of a controller to join the voters.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    // One node cannot make three copies; what it makes is copied when the others are there.
    let layout = Layout::combined(stage.system, 3)
        .with_voters(Voters::Growing)
        .with("offsets.topic.replication.factor", "1");
    let mut cluster = Cluster::prepare(layout)?;
    cluster.launch(1)?;
    cluster.wait_registered()?;
    let partitions = i32::try_from(PARTITIONS)?;
    cluster.wait("a topic with one copy", PATIENCE, |cluster| {
        let error = view::create_topic(cluster.port(1), TOPIC, partitions, 1)?;
        ensure!(error == NO_ERROR || error == super::TOPIC_ALREADY_EXISTS, "error {error}");
        Ok(())
    })?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    let load = Load::start(stage, &cluster.bootstrap())?;
    load.wait_served(now())?;
    cluster.wait_in_sync(OFFSETS, PATIENCE)?;
    outcome.add(Verdict::Passed, "one node serves alone", "");

    for id in [2, 3] {
        cluster.launch(id)?;
        cluster.wait_registered()?;
        let joined = cluster.wait("it votes", JOIN_PATIENCE, |cluster| {
            let voters = cluster.any_broker(view::quorum)?.voters;
            ensure!(voters.contains(&id), "voters: {voters:?}");
            Ok(())
        });
        outcome.add_result(&format!("node {id} joins the voters"), &joined);
        joined?;
    }
    for topic in [TOPIC, OFFSETS] {
        let copied = three_copies(&mut cluster, topic);
        outcome.add_result(&format!("{topic} gets three copies"), &copied);
        copied?;
    }
    let killed_at = now();
    cluster.kill(1)?;
    load.wait_served(killed_at + 1.0)?;
    outcome.add(Verdict::Passed, "the others serve without the first", "");
    cluster.launch(1)?;
    cluster.wait_registered()?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    finish(stage, cluster, load, 3, outcome)
}

/// Every partition on all nodes, its first replica in turn.
fn three_copies(cluster: &mut Cluster, topic: &str) -> Result<()> {
    let found = cluster.topic(topic)?.partitions;
    if found.iter().any(|partition| partition.replicas.len() < 3) {
        let spread = |index: usize| (0..3).map(|k| i32::try_from((index + k) % 3 + 1)).collect();
        let replicas = (0..found.len()).map(spread).collect::<Result<Vec<Vec<i32>>, _>>()?;
        match cluster.any_broker(|port| view::reassign(port, topic, &replicas))? {
            NO_ERROR => {}
            error => bail!("reassignment refused with {error}"),
        }
    }
    cluster.wait("three copies in sync", PATIENCE, |cluster| {
        let found = cluster.topic(topic)?;
        let copied = found.partitions.iter().all(|partition| partition.isr.len() == 3);
        ensure!(copied, "{:?}", found.partitions);
        Ok(())
    })
}
