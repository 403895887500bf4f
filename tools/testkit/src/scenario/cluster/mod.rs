//! Three nodes under load: leaders, controllers and coordinators die, nodes restart one by one.
//!
//! Times are printed and bounded generously; what the clients were told decides.

mod clients;
mod compaction;
mod full;
mod grow;
mod load;
mod metrics;
mod mixed;
mod secure;
mod secure_tokens;
mod streams;
mod tools;
mod transactions;
mod voters;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{Extent, Stage};
use crate::cluster::{Cluster, Layout, replicas, view};
use crate::outcome::{Outcome, Verdict};
pub(super) use clients::run as run_clients;
pub(super) use compaction::run as run_compaction;
pub(super) use full::run as run_full_metadata;
pub(super) use grow::run as run_growth;
use load::{Load, PARTITIONS, TOPIC, now};
pub(super) use mixed::{run_migration, run_roles};
pub(super) use secure::run as run_secure;
pub(super) use streams::run as run_streams;
pub(super) use tools::run as run_tools;
pub(super) use transactions::run as run_transactions;
pub(super) use voters::run as run_voters;

const COPIES: usize = 3;
const USUAL_ROUNDS: u32 = 4;
const FULL_ROUNDS: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(120);
/// No failover takes longer, even with Apache Kafka's session timeout on a busy machine.
const OUTAGE_BOUND: Duration = Duration::from_secs(30);
const NO_ERROR: i16 = 0;
const TOPIC_ALREADY_EXISTS: i16 = 36;

/// Who is killed in a round.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Leader,
    Controller,
    Coordinator,
}

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let mut cluster = Cluster::start(Layout::combined(stage.system, COPIES))?;
    outcome.add(Verdict::Passed, "three nodes find each other", "");
    create(&mut cluster, TOPIC)?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    let load = Load::start(stage, &cluster.bootstrap())?;
    load.wait_served(now())?;
    // The group has to have its coordinator before that one can die.
    cluster.wait_in_sync("__consumer_offsets", PATIENCE)?;

    let rounds = if stage.extent == Extent::Full { FULL_ROUNDS } else { USUAL_ROUNDS };
    let victims = [Victim::Leader, Victim::Controller, Victim::Coordinator];
    let mut times = Times::default();
    for round in 1..=rounds {
        let victim = victims[usize::try_from(round - 1)? % victims.len()];
        kill_round(&mut cluster, &load, round, victim, &mut times, outcome)?;
    }
    times.report(outcome);
    outcome.add_result("a rolling restart", &rolling(&mut cluster, &load));
    for id in cluster.running() {
        let mib = cluster.resident_kib(id)? / 1024;
        println!("cluster: node {id} has {mib} MiB");
    }
    finish(stage, cluster, load, COPIES, outcome)
}

/// Ends the load, judges it, stops the cluster and compares its replicas.
fn finish(
    stage: &Stage<'_>,
    mut cluster: Cluster,
    load: Load,
    copies: usize,
    outcome: &mut Outcome,
) -> Result<()> {
    load.judge(stage, &cluster.bootstrap(), outcome)?;
    cluster.stop_all()?;
    for topic in [TOPIC, "__consumer_offsets"] {
        let result = replicas::compare(&cluster.data_dirs(), topic, copies);
        outcome.add_result(&format!("replicas of {topic} are equal batch by batch"), &result);
    }
    Ok(())
}

/// Failover times over all rounds.
#[derive(Debug, Default)]
struct Times {
    produce: Vec<Duration>,
    admin: Vec<Duration>,
}

impl Times {
    fn report(&mut self, outcome: &mut Outcome) {
        let kinds =
            [("acks=all on every partition", &mut self.produce), ("admin", &mut self.admin)];
        for (what, times) in kinds {
            times.sort_unstable();
            let (Some(worst), Some(middle)) = (times.last(), times.get(times.len() / 2)) else {
                continue;
            };
            let count = times.len();
            let (middle, worst_ms) = (middle.as_millis(), worst.as_millis());
            println!("cluster: {what} again, {count} tries: p50 {middle} ms, worst {worst_ms} ms");
            let bound = if *worst < OUTAGE_BOUND { Ok(()) } else { Err(()) };
            let name = format!("{what} again within {} s", OUTAGE_BOUND.as_secs());
            match bound {
                Ok(()) => outcome.add(Verdict::Passed, &name, ""),
                Err(()) => outcome.add(Verdict::Failed, &name, &format!("{worst_ms} ms")),
            }
        }
    }
}

/// Creates a topic; a retry after a lost answer finds it there.
fn create(cluster: &mut Cluster, name: &str) -> Result<()> {
    let (partitions, copies) = (i32::try_from(PARTITIONS)?, i16::try_from(COPIES)?);
    cluster.wait(&format!("topic {name} is created"), PATIENCE, |cluster| {
        match cluster.any_broker(|port| view::create_topic(port, name, partitions, copies))? {
            NO_ERROR | TOPIC_ALREADY_EXISTS => Ok(()),
            error => bail!("error {error}"),
        }
    })
}

fn find_victim(cluster: &mut Cluster, victim: Victim) -> Result<i32> {
    let controller = cluster.controller(PATIENCE)?;
    match victim {
        Victim::Controller => Ok(controller),
        Victim::Coordinator => cluster.any_broker(|port| view::coordinator(port, TOPIC)),
        // A leader that is not the controller too, so that the rounds differ.
        Victim::Leader => cluster.wait("a leader beside the controller", PATIENCE, |cluster| {
            let leaders = cluster.topic(TOPIC)?.partitions.into_iter().map(|p| p.leader);
            let mut others = leaders.filter(|leader| *leader >= 0 && *leader != controller);
            others.next().ok_or_else(|| anyhow::anyhow!("the controller leads everything"))
        }),
    }
}

fn kill_round(
    cluster: &mut Cluster,
    load: &Load,
    round: u32,
    victim: Victim,
    times: &mut Times,
    outcome: &mut Outcome,
) -> Result<()> {
    let id = find_victim(cluster, victim)?;
    let is_controller = cluster.controller(PATIENCE)? == id;
    let (killed_at, began) = (now(), Instant::now());
    cluster.kill(id)?;
    create(cluster, &format!("after-{round}"))?;
    let admin = began.elapsed();
    load.wait_served(killed_at + admin.as_secs_f64())?;
    // What is still late shows within the next moments.
    thread::sleep(Duration::from_secs(1));
    let outage = load.outage(killed_at, now())?;
    times.produce.push(outage);
    if is_controller {
        times.admin.push(admin);
    }
    cluster.launch(id)?;
    let back = Instant::now();
    cluster.wait_registered()?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    let name = format!(
        "round {round}: {victim:?} (node {id}) killed; again after {} ms, admin after {} ms, \
         in sync {} ms after its start",
        outage.as_millis(),
        admin.as_millis(),
        back.elapsed().as_millis()
    );
    println!("cluster: {name}");
    outcome.add(Verdict::Passed, &name, "");
    Ok(())
}

/// Stops and starts each node in turn; the clients' ledgers say whether they saw an error.
fn rolling(cluster: &mut Cluster, load: &Load) -> Result<()> {
    for id in cluster.ids() {
        let stopped_at = now();
        cluster.stop(id)?;
        cluster.launch(id)?;
        cluster.wait_registered()?;
        cluster.wait_in_sync(TOPIC, PATIENCE)?;
        load.wait_served(now())?;
        let outage = load.outage(stopped_at, now())?;
        println!("cluster: rolling, node {id}: at most {} ms unserved", outage.as_millis());
        ensure!(outage < OUTAGE_BOUND, "node {id}: {} ms", outage.as_millis());
    }
    Ok(())
}
