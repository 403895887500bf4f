//! Load on a cluster: idempotent producers, a group of either protocol and a reader, and when they
//! were served.
//!
//! The workers and the judge are those of the fault harness (tools/faults).

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};

use crate::broker::System;
use crate::faults;
use crate::outcome::Outcome;
use crate::process::{Process, wait_until};

use super::super::Stage;

pub(super) const TOPIC: &str = "load";
pub(super) const PARTITIONS: usize = 6;
const PRODUCERS: usize = 2;
/// Records per second and producer: each partition is asked many times in a tenth of a second.
const RATE: u32 = 600;
const PATIENCE: Duration = Duration::from_secs(120);

/// The running workers.
#[derive(Debug)]
pub(super) struct Load {
    folder: PathBuf,
    producers: Vec<Process>,
    others: Vec<Process>,
    protocols: &'static [&'static str],
    began: f64,
}

/// Seconds since 1970, as the ledgers have them.
pub(super) fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("this machine's clock is past 1970").as_secs_f64()
}

impl Load {
    /// With a group of the classic protocol.
    pub(super) fn start(stage: &Stage<'_>, bootstrap: &str) -> Result<Self> {
        Self::start_with(stage, bootstrap, &["classic"])
    }

    /// With a group of each of these protocols.
    pub(super) fn start_with(
        stage: &Stage<'_>,
        bootstrap: &str,
        protocols: &'static [&'static str],
    ) -> Result<Self> {
        // A story may run several loads, one after the other.
        let folder = tempfile::Builder::new().prefix("ledgers-").tempdir_in(stage.folder)?.keep();
        let worker = |kind: &str, name: &str, more: &str| -> Result<Process> {
            let place = folder.display();
            let text = format!(
                "{{\"folder\":\"{place}\",\"name\":\"{name}\",\"bootstrap\":\"{bootstrap}\",\
                 \"partitions\":{PARTITIONS},\"stop\":\"{place}/stop\",\
                 \"stop_groups\":\"{place}/stop-groups\",{more}}}"
            );
            let config = folder.join(format!("{name}.config"));
            fs::write(&config, text)?;
            let mut command = faults::python(stage.tools, "workers.py")?;
            stage.start(name, command.arg(kind).arg(config))
        };
        let to = format!("\"topic\":\"{TOPIC}\"");
        let producers = (0..PRODUCERS)
            .map(|n| worker("produce", &format!("producer-{n}"), &format!("{to},\"rate\":{RATE}")))
            .collect::<Result<Vec<_>>>()?;
        let mut others = vec![worker("watch", "watch", &format!("\"topics\":[\"{TOPIC}\"]"))?];
        for protocol in protocols {
            let group = if *protocol == "classic" { TOPIC } else { protocol };
            let more = format!("{to},\"group\":\"{group}\",\"protocol\":\"{protocol}\"");
            others.push(worker("group", &format!("group-{protocol}"), &more)?);
        }
        Ok(Self { folder, producers, others, protocols, began: now() })
    }

    /// Tells the judge what runs as this node from now on. Where Apache Kafka's nodes lead, a
    /// client may send records again by itself (`judge_epochs.py`).
    pub(super) fn note_system(&self, id: i32, system: &System) -> Result<()> {
        let mut ledger =
            File::options().create(true).append(true).open(self.folder.join("systems.jsonl"))?;
        writeln!(ledger, "[\"system\",{id},\"{}\",{}]", system.name(), now())?;
        Ok(())
    }

    /// Waits until every partition was acknowledged after `since`.
    pub(super) fn wait_served(&self, since: f64) -> Result<()> {
        wait_until("every partition is acknowledged", PATIENCE, || {
            self.acknowledged().is_ok_and(|times| {
                times.iter().all(|of_one| of_one.iter().any(|time| *time > since))
            })
        })
    }

    /// The times of acknowledgements, by partition.
    fn acknowledged(&self) -> Result<Vec<Vec<f64>>> {
        let mut times = vec![Vec::new(); PARTITIONS];
        for producer in 0..PRODUCERS {
            let ledger = self.folder.join(format!("producer-{producer}.jsonl"));
            for line in fs::read_to_string(ledger).unwrap_or_default().lines() {
                if let Some((partition, time)) = acknowledgement(line) {
                    times.get_mut(partition).context("a partition too many")?.push(time);
                }
            }
        }
        Ok(times)
    }

    /// The longest time that any partition went without an acknowledgement between two moments.
    pub(super) fn outage(&self, from: f64, to: f64) -> Result<Duration> {
        let gaps = self.acknowledged()?.into_iter().map(|mut times| {
            times.retain(|time| (from..to).contains(time));
            times.extend([from, to]);
            longest_gap(&mut times)
        });
        Ok(Duration::from_secs_f64(gaps.fold(0.0, f64::max)))
    }

    /// Ends the workers and judges their ledgers against what the cluster holds.
    pub(super) fn judge(
        mut self,
        stage: &Stage<'_>,
        bootstrap: &str,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let ended = now();
        fs::write(self.folder.join("stop"), "")?;
        for producer in &mut self.producers {
            let status = producer.wait(PATIENCE)?;
            ensure!(status.success(), "a producer ended: {}", producer.last_words());
        }
        // The group reads on to the end of what was produced.
        std::thread::sleep(Duration::from_secs(3));
        fs::write(self.folder.join("stop-groups"), "")?;
        for worker in &mut self.others {
            let status = worker.wait(PATIENCE)?;
            ensure!(status.success(), "a worker ended: {}", worker.last_words());
        }
        let mut command = faults::python(stage.tools, "verdict.py")?;
        command.arg(&self.folder).args([bootstrap, TOPIC, &PARTITIONS.to_string()]);
        command.args([self.began.to_string(), ended.to_string()]).args(self.protocols);
        stage.cases(&mut command, PATIENCE, outcome)
    }
}

/// The partition and the time in `["ack", producer, partition, number, offset, time]`.
fn acknowledgement(line: &str) -> Option<(usize, f64)> {
    let mut fields = line.strip_prefix("[\"ack\",")?.strip_suffix(']')?.split(',');
    let (partition, time) = (fields.nth(1)?, fields.nth(2)?);
    Some((partition.parse().ok()?, time.parse().ok()?))
}

fn longest_gap(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_read_and_other_rows_are_not() {
        let line = "[\"ack\",\"producer-0-0\",3,17,4711,1700000000.25]";
        assert_eq!(acknowledgement(line), Some((3, 1_700_000_000.25)));
        assert_eq!(acknowledgement("[\"sent\",\"producer-0-0\",[1,2]]"), None);
        assert_eq!(acknowledgement("[\"ack\",\"producer-0-0\",3,17"), None);
    }

    #[test]
    fn the_longest_gap_does_not_depend_on_the_order() {
        let gap = longest_gap(&mut [3.0, 1.0, 1.5]);
        assert!((gap - 1.5).abs() < 1e-9, "{gap}");
    }
}
