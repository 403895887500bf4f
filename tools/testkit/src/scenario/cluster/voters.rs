//! One metadata quorum of Apache Kafka and Naru: each leads the other, and each cuts what the other
//! has not got.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::super::{Extent, Stage};
use super::load::{Load, TOPIC, now};
use super::{PATIENCE, create, finish};
use crate::broker::System;
use crate::cluster::{Cluster, Layout, Voters, view};
use crate::outcome::{Outcome, Verdict};
use crate::process;

/// Apache Kafka's node.
const APACHE: i32 = 1;
const OURS: i32 = 2;
/// How often leadership may go to somebody else than the node that it is wanted for.
const MOVES_MAX: usize = 8;
/// Longer than metadata.max.idle.interval.ms.
const MISSED: Duration = Duration::from_millis(1500);
/// Kafka's wait between two tries of a controller to join the voters.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// Longer than the leader parks a follower's fetch: what is appended later goes out in no answer.
const PARKED: Duration = Duration::from_millis(800);
/// While Apache Kafka leads the quorum a dead coordinator is replaced after 9 s; members have given
/// up their ids by then, and the new coordinator waits for the old ones until their sessions end.
const GROUP_TIME: Duration = Duration::from_secs(20);
/// Longer than a follower may take to have a record, shorter than sessions last.
const APPEND_TIME: Duration = Duration::from_millis(1500);

pub(in crate::scenario) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let apache = System::Apache { libs: stage.tools.kafka_jars()? };
    let systems = [apache, stage.system.clone(), stage.system.clone()];
    let growing = Layout::mixed(&systems).with_voters(Voters::Growing);
    story(stage, "voters in the log", growing, outcome)?;
    if stage.extent == Extent::Full {
        story(stage, "static voters", Layout::mixed(&systems), outcome)?;
    }
    Ok(())
}

fn story(stage: &Stage<'_>, name: &str, layout: Layout, outcome: &mut Outcome) -> Result<()> {
    let mut found = Outcome::new(name);
    let result = voters(stage, layout, &mut found);
    for case in found.cases {
        outcome.add(case.verdict, &format!("{name}: {}", case.name), &case.why);
    }
    outcome.add_result(name, &result);
    Ok(())
}

fn voters(stage: &Stage<'_>, layout: Layout, outcome: &mut Outcome) -> Result<()> {
    let is_static = layout.voters == Voters::Static;
    let mut cluster = Cluster::start(layout)?;
    cluster.wait("all vote", JOIN_PATIENCE, |cluster| {
        let voters = cluster.any_broker(view::quorum)?.voters;
        ensure!(voters == cluster.ids(), "voters: {voters:?}");
        Ok(())
    })?;
    outcome.add(Verdict::Passed, "three voters of two programs", "");
    create(&mut cluster, TOPIC)?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    let load = Load::start(stage, &cluster.bootstrap())?;
    load.wait_served(now())?;
    for (who, id) in [("Apache Kafka's node", APACHE), ("our node", OURS)] {
        let led = make_lead(&mut cluster, id);
        outcome.add_result(&format!("{who} leads, followed by the other program"), &led);
        led?;
        let cut = diverge(&mut cluster, id);
        outcome.add_result(&format!("what only {who} had is cut when it follows again"), &cut);
        cut?;
        load.wait_served(now())?;
    }
    if let (true, System::Naru { binary }) = (is_static, stage.system) {
        let dynamic = make_dynamic(&mut cluster, binary);
        outcome.add_result("static voters become voters of the log", &dynamic);
        dynamic?;
        load.wait_served(now())?;
    }
    thread::sleep(GROUP_TIME);
    finish(stage, cluster, load, 3, outcome)
}

/// Moves the quorum's leadership to `wanted`: of the other two one misses what the other, which is
/// killed, has committed, and so cannot be elected.
pub(super) fn make_lead(cluster: &mut Cluster, wanted: i32) -> Result<()> {
    for _ in 0..MOVES_MAX {
        let leader = cluster.controller(PATIENCE)?;
        if leader == wanted {
            return Ok(());
        }
        let others = cluster.ids().into_iter().filter(|id| *id != wanted && *id != leader);
        for other in others.clone() {
            cluster.stop(other)?;
        }
        // What they miss: the leader writes at least one NoOpRecord in this time.
        thread::sleep(MISSED);
        cluster.kill(leader)?;
        for other in others {
            cluster.launch(other)?;
        }
        cluster.controller(PATIENCE)?;
        cluster.launch(leader)?;
        cluster.wait_registered()?;
        cluster.wait_in_sync(TOPIC, PATIENCE)?;
    }
    bail!("node {wanted} was never elected in {MOVES_MAX} elections")
}

/// Raises kraft.version under a leader of ours, and has Apache Kafka's node lead what came of it.
fn make_dynamic(cluster: &mut Cluster, binary: &Path) -> Result<()> {
    make_lead(cluster, OURS)?;
    // Refused until every voter has told the new leader its directory.
    cluster.wait("kraft.version is raised", JOIN_PATIENCE, |cluster| {
        let mut command = Command::new(binary);
        command.args(["kafka-features", "--bootstrap-server", &cluster.bootstrap()]);
        process::run(command.args(["upgrade", "--feature", "kraft.version=1"])).map(|_| ())
    })?;
    make_lead(cluster, APACHE)?;
    let voters = cluster.any_broker(view::quorum)?.voters;
    ensure!(voters == cluster.ids(), "voters: {voters:?}");
    Ok(())
}

/// Lets the leader write what nobody else gets, and die; the others go on without it.
fn diverge(cluster: &mut Cluster, leader: i32) -> Result<()> {
    let (lost, kept) = (format!("lost-{leader}"), format!("kept-{leader}"));
    let others: Vec<i32> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    let log = cluster.data_dir(leader).join("__cluster_metadata-0/00000000000000000000.log");
    for id in &others {
        cluster.pause(*id)?;
    }
    thread::sleep(PARKED);
    let before = std::fs::metadata(&log)?.len();
    let port = cluster.port(leader);
    let asked = lost.clone();
    let asking = thread::spawn(move || view::create_topic(port, &asked, 3, 3));
    thread::sleep(APPEND_TIME);
    let written = std::fs::metadata(&log)?.len();
    cluster.kill(leader)?;
    for id in &others {
        cluster.resume(*id)?;
    }
    let answer = asking.join().expect("asking does not panic");
    ensure!(!matches!(answer, Ok(0)), "the topic was acknowledged by one voter of three");
    ensure!(written > before, "the leader wrote nothing");

    cluster.controller(PATIENCE)?;
    create(cluster, &kept)?;
    cluster.launch(leader)?;
    cluster.wait_registered()?;
    cluster.wait_in_sync(TOPIC, PATIENCE)?;
    for id in cluster.ids() {
        cluster.wait("the kept topic", PATIENCE, |cluster| {
            view::view(cluster.port(id), Some(&kept)).map(|_| ())
        })?;
        let found = view::view(cluster.port(id), Some(&lost));
        ensure!(found.is_err(), "node {id} has the topic that was never committed");
    }
    Ok(())
}
