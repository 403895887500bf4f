//! The data directory, with Apache Kafka as the judge: its dump tool reads ours without a complaint,
//! and either broker reads what the other wrote.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Stage;
use crate::broker::{Broker, System, java};
use crate::outcome::{Outcome, Verdict};

const PATIENCE: Duration = Duration::from_secs(240);
/// How often the metadata shell is asked the same.
const SHELL_TRIES: usize = 3;
/// A snapshot of the metadata every few records, of which old ones go.
const MANY_SNAPSHOTS: &[(&str, &str)] = &[
    ("metadata.log.max.record.bytes.between.snapshots", "1000"),
    ("metadata.max.retention.bytes", "20000"),
];
/// What the dump tool says when something is wrong.
const COMPLAINTS: &[&str] = &[
    "isvalid: false",
    "isvalid: null",
    "mismatch",
    "orrupt",
    "xception",
    "Could not",
    "Invalid",
    "out of order",
    "is followed by",
    "not match",
];
/// The tool counts from -1 in a segment that does not begin at 0, and wonders at the first offset.
const NO_COMPLAINT: &str = "  -1 is followed by";

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let apache = System::Apache { libs: stage.tools.kafka_jars()? };
    let mut ours = stage.start_broker(MANY_SNAPSHOTS)?;
    step(stage, &ours, "fill", "", outcome)?;
    ours.stop()?;
    dump_all(stage, &ours, "after a clean stop", outcome);
    metadata_shell(stage, &ours, outcome);
    ours.start_again()?;
    step(stage, &ours, "verify", "after a clean stop: ", outcome)?;
    ours.kill()?;
    ours.start_again()?;
    step(stage, &ours, "verify", "after kill -9: ", outcome)?;
    ours.stop()?;
    dump_all(stage, &ours, "after kill -9", outcome);

    let mut kafkas = Broker::start(&apache, &[])?;
    step(stage, &kafkas, "fill", "Apache Kafka: ", outcome)?;
    kafkas.stop()?;
    transplant(stage, &kafkas, stage.system, "Kafka's topics under us: ", outcome)?;
    transplant(stage, &ours, &apache, "our topics under Kafka: ", outcome)?;
    move_whole(stage, &kafkas, stage.system, "Kafka's whole directory under us: ", outcome)?;
    move_whole(stage, &ours, &apache, "our whole directory under Kafka: ", outcome)
}

/// Runs a step of `fill.py`; its cases get `prefix` before their names.
fn step(
    stage: &Stage<'_>,
    broker: &Broker,
    step: &str,
    prefix: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut command = stage.python("scenarios/fill.py")?;
    command.args([step, &broker.bootstrap(), &stage.began_ms.to_string()]);
    stage.prefixed_cases(&mut command, PATIENCE, prefix, outcome)
}

/// The topics' files of a stopped broker under another broker that knows only the topics' names.
fn transplant(
    stage: &Stage<'_>,
    from: &Broker,
    to: &System,
    prefix: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut broker = Broker::start(to, &[])?;
    step(stage, &broker, "topics", prefix, outcome)?;
    broker.stop()?;
    for folder in topic_folders(&from.data_dir())? {
        let target = broker.data_dir().join(folder.file_name().unwrap_or_default());
        replace_files(&folder, &target)?;
    }
    // Its recovery points and start offsets are about files that are gone.
    for file in ["recovery-point-offset-checkpoint", "log-start-offset-checkpoint"] {
        let _ = fs::remove_file(broker.data_dir().join(file));
    }
    let result = broker.start_again();
    outcome.add_result(&format!("{prefix}the broker starts"), &result);
    if result.is_ok() {
        step(stage, &broker, "verify-records", prefix, outcome)?;
    }
    Ok(())
}

/// A stopped broker's whole directory under another broker.
fn move_whole(
    stage: &Stage<'_>,
    from: &Broker,
    to: &System,
    prefix: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let name = format!("{prefix}the broker starts");
    if let Some(reason) = crate::later::reason("files", &name)? {
        outcome.add(Verdict::Skipped, &name, &reason);
        return Ok(());
    }
    let mut broker = Broker::prepare(to, &[])?;
    let mut copy = Command::new("cp");
    crate::process::run(copy.arg("-a").arg(from.data_dir()).arg(broker.data_dir()))?;
    let result = broker.start_again();
    outcome.add_result(&name, &result);
    if result.is_ok() {
        step(stage, &broker, "verify", prefix, outcome)?;
    }
    Ok(())
}

fn topic_folders(data: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let is_ours = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("files-"));
        if path.is_dir() && is_ours {
            folders.push(path);
        }
    }
    ensure!(!folders.is_empty(), "no topic folders in {}", data.display());
    Ok(folders)
}

/// Puts the files of one partition in place of another's, which keeps its topic id.
fn replace_files(from: &Path, to: &Path) -> Result<()> {
    const KEEP: &str = "partition.metadata";
    for entry in fs::read_dir(to).with_context(|| to.display().to_string())? {
        let path = entry?.path();
        if path.is_file() && path.file_name() != Some(OsStr::new(KEEP)) {
            fs::remove_file(path)?;
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.path().is_file() && entry.file_name() != KEEP {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Apache Kafka's dump tool over every file of a stopped broker.
fn dump_all(stage: &Stage<'_>, broker: &Broker, when: &str, outcome: &mut Outcome) {
    let kinds: [(&str, &str, &[&str]); 9] = [
        ("files-", "log", &["--deep-iteration", "--print-data-log"]),
        ("files-", "index", &[]),
        ("files-", "timeindex", &[]),
        ("files-", "snapshot", &[]),
        ("files-transactions-", "txnindex", &[]),
        ("__transaction_state-", "log", &["--deep-iteration", "--transaction-log-decoder"]),
        ("__consumer_offsets-", "log", &["--deep-iteration", "--offsets-decoder"]),
        ("__cluster_metadata-", "log", &["--deep-iteration", "--cluster-metadata-decoder"]),
        ("__cluster_metadata-", "checkpoint", &["--deep-iteration", "--cluster-metadata-decoder"]),
    ];
    for (topic, extension, options) in kinds {
        let result = dump(stage, broker, topic, extension, options);
        let name = format!("{when}: Kafka's dump tool reads {topic}*/*.{extension}");
        outcome.add_result(&name, &result);
    }
}

/// Apache Kafka's metadata shell over the newest snapshot and the log of a stopped node.
fn metadata_shell(stage: &Stage<'_>, node: &Broker, outcome: &mut Outcome) {
    let snapshots = files_of(&node.data_dir(), "__cluster_metadata-", "checkpoint");
    let snapshots = snapshots.and_then(|all| {
        let size = |path: &PathBuf| Ok(fs::metadata(path)?.len());
        let kept = all.iter().map(size).sum::<Result<u64>>()?;
        ensure!(kept <= 40_000, "{kept} bytes of snapshots are kept");
        ensure!(all.len() > 1, "only {} snapshots", all.len());
        Ok(all)
    });
    outcome.add_result("snapshots of the metadata are written, and old ones go", &snapshots);
    let Ok(snapshots) = snapshots else { return };
    let read = snapshots.last().context("no snapshot").and_then(|path| {
        for (words, text) in [
            (["ls", "/image/topics/byName"], "files-zstd"),
            (["cat", "/image/cluster/brokers/1"], "BrokerRegistration(id=1,"),
            (["cat", "/image/features/metadataVersion"], "4.3"),
        ] {
            shell(stage, path, &words, text)?;
        }
        Ok(())
    });
    outcome.add_result("Kafka's metadata shell reads a snapshot", &read);
}

/// Has the shell say `text`. On a busy machine it may answer before it has read its file to the
/// end: then it is asked again.
fn shell(stage: &Stage<'_>, file: &Path, words: &[&str], text: &str) -> Result<()> {
    let mut said = String::new();
    for _ in 0..SHELL_TRIES {
        let mut command = java(&stage.tools.kafka_jars()?, "200m");
        command.arg("org.apache.kafka.shell.MetadataShell").arg("--snapshot").arg(file).args(words);
        said = stage.succeed("metadata-shell", &mut command, PATIENCE)?;
        if said.contains(text) {
            return Ok(());
        }
    }
    bail!("{words:?}: {said}")
}

fn dump(
    stage: &Stage<'_>,
    broker: &Broker,
    topic: &str,
    extension: &str,
    options: &[&str],
) -> Result<()> {
    dump_passing(stage, broker, topic, extension, options, &[])
}

/// The dump tool over some files; lines with one of the texts `fine` are no complaints.
pub(super) fn dump_passing(
    stage: &Stage<'_>,
    broker: &Broker,
    topic: &str,
    extension: &str,
    options: &[&str],
    fine: &[&str],
) -> Result<()> {
    let files = files_of(&broker.data_dir(), topic, extension)?;
    let list: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let mut command = java(&stage.tools.kafka_jars()?, "600m");
    command.arg("org.apache.kafka.tools.DumpLogSegments").args(options);
    command.args(["--files", &list.join(",")]);
    // The values of records are shown too: only the tool's own words are judged.
    let said = stage.succeed(&format!("dump-{topic}{extension}"), &mut command, PATIENCE)?;
    let complaint = said
        .lines()
        .map(|line| line.split(" payload: ").next().unwrap_or(line))
        .map(|line| line.split(" key: ").next().unwrap_or(line))
        .filter(|line| !line.starts_with(NO_COMPLAINT))
        .filter(|line| !fine.iter().any(|text| line.contains(text)))
        .find(|line| COMPLAINTS.iter().any(|complaint| line.contains(complaint)));
    ensure!(complaint.is_none(), "it says: {}", complaint.unwrap_or_default());
    let dumped = said.lines().filter(|line| line.starts_with("Dumping ")).count();
    ensure!(dumped == files.len(), "{dumped} of {} files dumped", files.len());
    ensure!(extension != "log" || said.contains("baseOffset: "), "no batches in {list:?}");
    Ok(())
}

/// The files of all partitions whose folder begins with `topic`; the ones without content left out.
fn files_of(data: &Path, topic: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in fs::read_dir(data)? {
        let folder = folder?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !folder.is_dir() || !name.starts_with(topic) {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let fits = path.extension().is_some_and(|found| found == extension);
            if fits && fs::metadata(&path)?.len() > 0 {
                files.push(path);
            }
        }
    }
    ensure!(!files.is_empty(), "no {topic}*/*.{extension}");
    files.sort();
    Ok(files)
}
