//! Replicas that move between the log directories of one broker, and settings that change while it
//! runs: Apache Kafka's own tools ask for it and tell what has come of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Stage;
use crate::broker::{Broker, java};
use crate::outcome::Outcome;
use crate::process;

const PATIENCE: Duration = Duration::from_secs(90);

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let (first, second) = (stage.folder.join("a"), stage.folder.join("b"));
    let dirs = format!("{},{}", first.display(), second.display());
    let mut ours = stage.start_broker(&[("log.dirs", &dirs)])?;
    tour(stage, &ours, "fill", outcome)?;
    let from = holder(&first, &second)?;
    let to = if from == first { &second } else { &first };

    outcome.add_result(
        "kafka-reassign-partitions moves a replica",
        &(|| {
            reassign(stage, &ours, to)?;
            wait_until(|| lies_in(to) && !lies_in(from))
        })(),
    );
    outcome.add_result("kafka-log-dirs tells where it lies", &described(stage, &ours, to));
    tour(stage, &ours, "verify", outcome)?;
    ours.kill()?;
    ours.start_again()?;
    tour(stage, &ours, "again", outcome)?;

    outcome.add_result(
        "a slow move shows its lag, and another request cancels it",
        &(|| {
            configure(
                stage,
                &ours,
                &["--add-config", "replica.alter.log.dirs.io.max.bytes.per.second=20000"],
            )?;
            reassign(stage, &ours, from)?;
            wait_until(|| future_in(from))?;
            let told = log_dirs(stage, &ours)?;
            ensure!(told.contains("\"isFuture\":true"), "no future replica: {told}");
            reassign(stage, &ours, to)?;
            wait_until(|| !future_in(from))?;
            ensure!(lies_in(to), "it has left its directory");
            Ok(())
        })(),
    );
    outcome.add_result(
        "a restart goes on with a move",
        &(|| {
            reassign(stage, &ours, from)?;
            wait_until(|| future_in(from))?;
            ours.kill()?;
            ours.start_again()?;
            configure(
                stage,
                &ours,
                &["--delete-config", "replica.alter.log.dirs.io.max.bytes.per.second"],
            )?;
            wait_until(|| lies_in(from) && !lies_in(to))
        })(),
    );
    tour(stage, &ours, "last", outcome)?;
    outcome.add_result(
        "a cordoned directory takes nothing new",
        &cordoned(stage, &ours, (&first, &second)),
    );
    outcome.add_result(
        "compression.type of a topic is what is stored",
        &stored_codecs(stage, &mut ours),
    );
    Ok(())
}

/// Runs a step of `moves.py`.
fn tour(stage: &Stage<'_>, broker: &Broker, step: &str, outcome: &mut Outcome) -> Result<()> {
    let mut found = Outcome::new("log-dirs");
    let mut command = stage.python("scenarios/moves.py")?;
    command.args([step, &broker.bootstrap()]);
    stage.cases(&mut command, PATIENCE, &mut found)?;
    for case in found.cases {
        outcome.add(case.verdict, &format!("{step}: {}", case.name), &case.why);
    }
    Ok(())
}

const FOLDER: &str = "moves-0";

fn lies_in(dir: &Path) -> bool {
    dir.join(FOLDER).is_dir()
}

fn future_in(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .any(|name| name.starts_with(FOLDER) && name.ends_with("-future"))
}

fn holder<'d>(first: &'d Path, second: &'d Path) -> Result<&'d Path> {
    [first, second].into_iter().find(|dir| lies_in(dir)).context("no directory has the replica")
}

fn wait_until(done: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !done() {
        ensure!(began.elapsed() < PATIENCE, "it does not come to that");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn tool(stage: &Stage<'_>, class: &str, broker: &Broker, words: &[&str]) -> Result<String> {
    let mut command = java(&stage.tools.kafka_jars()?, "200m");
    command.arg(class).args(["--bootstrap-server", &broker.bootstrap()]).args(words);
    stage.succeed(class, &mut command, PATIENCE)
}

fn reassign(stage: &Stage<'_>, broker: &Broker, to: &Path) -> Result<()> {
    let plan = stage.folder.join("plan.json");
    let text = format!(
        r#"{{"version":1,"partitions":[{{"topic":"moves","partition":0,"replicas":[1],"log_dirs":["{}"]}}]}}"#,
        to.display()
    );
    fs::write(&plan, text)?;
    let words = ["--reassignment-json-file", &plan.display().to_string(), "--execute"];
    let class = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    let said = tool(stage, class, broker, &words)?;
    ensure!(said.contains("Successfully started moving log directory"), "{said}");
    Ok(())
}

fn log_dirs(stage: &Stage<'_>, broker: &Broker) -> Result<String> {
    tool(
        stage,
        "org.apache.kafka.tools.LogDirsCommand",
        broker,
        &["--describe", "--topic-list", "moves"],
    )
}

fn described(stage: &Stage<'_>, broker: &Broker, dir: &Path) -> Result<()> {
    let said = log_dirs(stage, broker)?;
    let place = said.find(&format!("\"logDir\":\"{}\"", dir.display())).context(said.clone())?;
    let partitions = said.get(place..).unwrap_or_default();
    // Keys of one directory come in any order; the other directory has no partition.
    ensure!(said.matches("moves-0").count() == 1, "{said}");
    ensure!(partitions.contains("isFuture") || said.contains("\"isFuture\":false"), "{said}");
    Ok(())
}

fn configure(stage: &Stage<'_>, broker: &Broker, words: &[&str]) -> Result<()> {
    let mut all = vec!["--entity-type", "brokers", "--entity-name", "1", "--alter"];
    all.extend(words);
    tool(stage, "kafka.admin.ConfigCommand", broker, &all).map(drop)
}

/// New partitions go elsewhere, moves into it are refused, and with every directory cordoned there
/// is no place at all, until it is taken back (KIP-1066).
fn cordoned(stage: &Stage<'_>, broker: &Broker, (first, second): (&Path, &Path)) -> Result<()> {
    let cordon = |value: &str| {
        let change = format!("cordoned.log.dirs={value}");
        configure(stage, broker, &["--add-config", &change])
    };
    let create = |topic: &str| {
        let words = ["--create", "--topic", topic, "--partitions", "6"];
        tool(stage, "org.apache.kafka.tools.TopicCommand", broker, &words)
    };
    let created_in = |dir: &Path, topic: &str| {
        let folders = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        folders.filter(|one| one.file_name().to_string_lossy().starts_with(topic)).count()
    };
    let (cordoned, open) = if lies_in(first) { (second, first) } else { (first, second) };
    cordon(&cordoned.display().to_string())?;
    create("elsewhere")?;
    ensure!(created_in(open, "elsewhere-") == 6, "not all are in the other directory");
    let refused = reassign(stage, broker, cordoned).err().context("moved into it")?;
    ensure!(refused.to_string().contains("InvalidReplicaAssignment"), "{refused}");
    cordon("*")?;
    let refused = create("nowhere").err().context("created with every directory cordoned")?;
    ensure!(refused.to_string().contains("all their log directories cordoned"), "{refused}");
    configure(stage, broker, &["--delete-config", "cordoned.log.dirs"])?;
    create("anywhere")?;
    ensure!(created_in(cordoned, "anywhere-") > 0, "the directory still takes nothing");
    Ok(())
}

/// The codecs that Kafka's dump tool finds in the topics of each `compression.type`.
fn stored_codecs(stage: &Stage<'_>, broker: &mut Broker) -> Result<()> {
    broker.stop()?;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let folder = format!("stored-{codec}-0/00000000000000000000.log");
        let dirs = [stage.folder.join("a"), stage.folder.join("b")];
        let file = dirs.iter().map(|dir| dir.join(&folder)).find(|file| file.exists());
        let file = file.with_context(|| folder.clone())?;
        let mut command = java(&stage.tools.kafka_jars()?, "200m");
        command.arg("org.apache.kafka.tools.DumpLogSegments").arg("--deep-iteration");
        let said = process::run(command.arg("--files").arg(&file))?;
        let batches = said.lines().filter(|line| line.contains("compresscodec: "));
        let wrong = batches.clone().find(|line| !line.contains(&format!("compresscodec: {codec}")));
        ensure!(wrong.is_none() && batches.count() > 0, "{codec}: {wrong:?}");
        ensure!(!said.contains("isvalid: false"), "{codec}: {said}");
    }
    Ok(())
}
