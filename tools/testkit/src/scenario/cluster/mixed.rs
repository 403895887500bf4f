//! Apache Kafka and Naru in one cluster, under load; brokers of one kind under a controller of the
//! other also serve a group of the consumer protocol, and one that carries records over in
//! transactions.
//!
//! A record may be there twice where the client says that it has sent it again because a node of
//! Apache Kafka refused a gap, as Apache Kafka's do alone; never because one of ours did.
//!
//! Against Apache Kafka itself these are rolling restarts and plain clusters: they prove the story.

use anyhow::Result;

use super::super::Stage;
use super::load::{Load, TOPIC, now};
use super::transactions::{Carriers, SOURCE};
use super::{PATIENCE, create, finish};
use crate::broker::System;
use crate::cluster::{Cluster, Layout, NodePlan, Roles};
use crate::outcome::{Outcome, Verdict};

/// Three nodes of Apache Kafka become ours one by one, and then Apache Kafka's again.
pub(in crate::scenario) fn run_migration(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let apache = System::Apache { libs: stage.tools.kafka_jars()? };
    let mut cluster = Cluster::start(Layout::combined(&apache, 3))?;
    let load = begin(stage, &mut cluster, &["classic"])?;
    for (direction, system) in [("to us", stage.system), ("back to Apache Kafka", &apache)] {
        for id in cluster.ids() {
            let result = replace(&mut cluster, &load, id, system);
            outcome.add_result(&format!("node {id} moves {direction}"), &result);
            if result.is_err() {
                return give_up(&mut cluster, load, id, outcome);
            }
        }
    }
    finish(stage, cluster, load, 3, outcome)
}

/// Our brokers under a controller of Apache Kafka, and the other way round.
pub(in crate::scenario) fn run_roles(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let apache = System::Apache { libs: stage.tools.kafka_jars()? };
    let pairs = [
        ("Apache Kafka's controller, our brokers", &apache, stage.system),
        ("our controller, Apache Kafka's brokers", stage.system, &apache),
    ];
    for (name, controller, broker) in pairs {
        let mut found = Outcome::new(name);
        let result = roles(stage, controller, broker, &mut found);
        for case in found.cases {
            outcome.add(case.verdict, &format!("{name}: {}", case.name), &case.why);
        }
        outcome.add_result(name, &result);
    }
    Ok(())
}

fn roles(
    stage: &Stage<'_>,
    controller: &System,
    broker: &System,
    outcome: &mut Outcome,
) -> Result<()> {
    let node =
        |system: &System, roles| NodePlan { system: system.clone(), roles, properties: Vec::new() };
    let nodes = vec![
        node(controller, Roles::Controller),
        node(broker, Roles::Broker),
        node(broker, Roles::Broker),
        node(broker, Roles::Broker),
    ];
    let mut cluster = Cluster::start(Layout::of(nodes))?;
    let load = begin(stage, &mut cluster, &["classic", "consumer"])?;
    let carriers = Carriers::start(stage, &cluster.bootstrap())?;
    cluster.wait("what is carried over is there", PATIENCE, |cluster| {
        cluster.topic(SOURCE).map(|_| ())
    })?;
    cluster.wait_in_sync(SOURCE, PATIENCE)?;
    // A broker dies and comes back, then the controller restarts.
    let killed_at = now();
    cluster.kill(2)?;
    load.wait_served(killed_at + 1.0)?;
    cluster.launch(2)?;
    cluster.wait_registered()?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    cluster.stop(1)?;
    cluster.launch(1)?;
    cluster.wait_registered()?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    load.wait_served(now())?;
    carriers.finish(outcome)?;
    finish(stage, cluster, load, 3, outcome)
}

fn begin(
    stage: &Stage<'_>,
    cluster: &mut Cluster,
    protocols: &'static [&'static str],
) -> Result<Load> {
    create(cluster, TOPIC)?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    let load = Load::start_with(stage, &cluster.bootstrap(), protocols)?;
    for id in cluster.ids() {
        load.note_system(id, cluster.system(id))?;
    }
    load.wait_served(now())?;
    Ok(load)
}

fn replace(cluster: &mut Cluster, load: &Load, id: i32, system: &System) -> Result<()> {
    cluster.stop(id)?;
    cluster.replace_system(id, system)?;
    load.note_system(id, system)?;
    cluster.launch(id)?;
    cluster.wait_registered()?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    load.wait_served(now())
}

/// The story cannot go on; what the node said is worth more than what the clients saw.
fn give_up(cluster: &mut Cluster, load: Load, id: i32, outcome: &mut Outcome) -> Result<()> {
    drop(load);
    let log = cluster.log_file(id);
    let kept = std::env::temp_dir().join(format!("naru-mixed-node-{id}.log"));
    std::fs::copy(&log, &kept)?;
    let why = format!("see {}", kept.display());
    outcome.add(Verdict::Failed, &format!("the log of node {id} was kept"), &why);
    Ok(())
}
