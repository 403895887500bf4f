//! Damage where there is no other replica to mend it with: it is noticed, told to clients, and
//! never served; what is good before and behind it is.

use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Stage;
use crate::broker::{Broker, java};
use crate::outcome::Outcome;
use crate::process::{Process, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "damage";
const RECORDS: u64 = 6000;
/// So soon is everything looked at once more.
const SCRUB: (&str, &str) = ("naru.scrub.interval.ms", "1000");
/// Where the length and the last offset's distance stand in a batch, and where its records begin.
const LENGTH_AT: usize = 8;
const LAST_DELTA_AT: usize = 23;
const RECORDS_AT: usize = 61;
/// What comes before the bytes that the length counts.
const LENGTH_COUNTS_FROM: usize = 12;
const ZEROED: u64 = 300;

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let mut broker = stage.start_broker(&[SCRUB])?;
    cases(stage, &broker, "fill", &[RECORDS], outcome)?;
    broker.stop()?;
    let segments = segments(&broker)?;
    ensure!(segments.len() > 3, "only {} segments", segments.len());

    let first = flip(&segments[0])?;
    broker.start_again()?;
    outcome.add_result("flipped bytes are noticed at the start", &noticed(&broker, &first));
    cases(stage, &broker, "read", &[*first.start(), *first.end(), RECORDS], outcome)?;
    outcome.add_result("a Java consumer is told", &java_is_told(stage, &broker, *first.start()));

    let second = flip(&segments[1])?;
    outcome.add_result("bytes that flip while it runs are noticed", &noticed(&broker, &second));
    cases(stage, &broker, "read", &[*second.start(), *second.end(), RECORDS], outcome)?;

    broker.stop()?;
    zero_tail(segments.last().context("no segment")?)?;
    broker.start_again()?;
    let said = "damaged records at the end of the log were cut off";
    let told = wait_until("it is told", PATIENCE, || log_says(&broker, &[said]));
    outcome.add_result("a zeroed tail behind a clean stop is noticed", &told);
    cases(stage, &broker, "tail", &[*second.end() + 1, RECORDS], outcome)?;

    broker.kill()?;
    broker.start_again()?;
    cases(stage, &broker, "read-again", &[*first.start(), *first.end()], outcome)?;
    super::lost_state::run(stage, &mut broker, outcome)
}

/// Runs a step of `damage.py`.
fn cases(
    stage: &Stage<'_>,
    broker: &Broker,
    step: &str,
    numbers: &[u64],
    outcome: &mut Outcome,
) -> Result<()> {
    let mut command = stage.python("scenarios/damage.py")?;
    command.args([step, &broker.bootstrap()]).args(numbers.iter().map(u64::to_string));
    stage.cases(&mut command, PATIENCE, outcome)
}

/// The partition's `.log` files, oldest first.
fn segments(broker: &Broker) -> Result<Vec<PathBuf>> {
    let folder = broker.data_dir().join(format!("{TOPIC}-0"));
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = files.collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    Ok(files)
}

/// Changes a byte in the records of a batch in the middle of a file; the batch's offsets.
fn flip(path: &Path) -> Result<RangeInclusive<u64>> {
    let bytes = fs::read(path)?;
    let number = |at: usize| -> Result<usize> {
        let field = bytes.get(at..at + 4).context("a batch that is cut off")?;
        Ok(usize::try_from(u32::from_be_bytes(field.try_into()?))?)
    };
    let mut at = 0;
    loop {
        let end = at + LENGTH_COUNTS_FROM + number(at + LENGTH_AT)?;
        if end > bytes.len() / 2 {
            let base = bytes.get(at..at + 8).context("a batch that is cut off")?;
            let base = u64::from_be_bytes(base.try_into()?);
            let last = base + u64::try_from(number(at + LAST_DELTA_AT)?)?;
            let place = at + RECORDS_AT + 20;
            ensure!(place < end, "a batch without records");
            let file = File::options().write(true).open(path)?;
            file.write_all_at(&[!bytes[place]], u64::try_from(place)?)?;
            return Ok(base..=last);
        }
        at = end;
    }
}

fn zero_tail(path: &Path) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    let len = file.metadata()?.len();
    ensure!(len > ZEROED, "an empty segment");
    file.write_all_at(&[0; 300], len - ZEROED)?;
    Ok(())
}

/// Waits until the broker has told the damage, which nobody has read: as it was found by the start or by the scrub.
fn noticed(broker: &Broker, damage: &RangeInclusive<u64>) -> Result<()> {
    let words = ["damage", &format!("first={} ", damage.start())];
    wait_until("it is told", PATIENCE, || log_says(broker, &words))
}

fn log_says(broker: &Broker, words: &[&str]) -> bool {
    let log = fs::read(broker.log_file()).unwrap_or_default();
    let log = plain(&String::from_utf8_lossy(&log));
    log.lines().any(|line| words.iter().all(|word| line.contains(word)))
}

/// Without colours.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.split('\u{1b}');
    out.push_str(rest.next().unwrap_or_default());
    rest.for_each(|piece| out.push_str(piece.split_once('m').map_or("", |(_, after)| after)));
    out
}

/// Kafka's console consumer ends with the offset that it cannot have.
fn java_is_told(stage: &Stage<'_>, broker: &Broker, offset: u64) -> Result<()> {
    let mut command = java(&stage.tools.kafka_jars()?, "200m");
    command.arg("org.apache.kafka.tools.consumer.ConsoleConsumer");
    command.args(["--bootstrap-server", &broker.bootstrap(), "--topic", TOPIC]);
    command.args(["--partition", "0", "--offset", &offset.to_string(), "--timeout-ms", "20000"]);
    let log = stage.folder.join("console-consumer.log");
    let mut process = Process::start(&mut command, &log)?;
    process.wait(PATIENCE)?;
    let said = process.printed();
    let wanted = format!("Encountered corrupt message when fetching offset {offset}");
    ensure!(said.contains(&wanted), "it says: {}", crate::process::last_lines(&said, 5));
    Ok(())
}
