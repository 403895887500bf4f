//! `kill -9` while three idempotent producers write at full rate; again and again.
//!
//! The producers live through all rounds, so what they resend after a restart meets the producer
//! state that the broker recovered from its log: nothing may be lost, doubled or moved.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Extent, Stage};
use crate::broker::Broker;
use crate::outcome::{Outcome, Verdict};
use crate::process::{Process, wait_until};

const PRODUCERS: usize = 3;
const PARTITIONS: &str = "3";
const TOPIC: &str = "kill";
const USUAL_ROUNDS: u32 = 5;
const FULL_ROUNDS: u32 = 20;
/// Acknowledgements each producer must see in a round before the kill.
const PROGRESS: u64 = 5_000;
const PATIENCE: Duration = Duration::from_secs(180);

struct Producer {
    process: Process,
    log: PathBuf,
    ledger: PathBuf,
}

pub(super) fn run(stage: &Stage<'_>, outcome: &mut Outcome) -> Result<()> {
    let rounds = if stage.extent == Extent::Full { FULL_ROUNDS } else { USUAL_ROUNDS };
    let mut broker = stage.start_broker(&[("num.partitions", PARTITIONS)])?;
    let stop = stage.folder.join("stop");
    let mut producers = (0..PRODUCERS)
        .map(|number| start_producer(stage, &broker, number, &stop))
        .collect::<Result<Vec<_>>>()?;
    for round in 1..=rounds {
        let began: Vec<u64> = producers.iter().map(Producer::acknowledged).collect();
        for (producer, before) in producers.iter_mut().zip(began) {
            producer.wait_for(before + PROGRESS).with_context(|| format!("round {round}"))?;
        }
        // The kill comes at another moment in each round's stream of batches.
        std::thread::sleep(Duration::from_millis(u64::from(round * 97 % 400)));
        broker.kill()?;
        let took = broker.start_again().with_context(|| format!("after kill {round}"))?;
        let name = format!("round {round}: killed, back in {} ms", took.as_millis());
        outcome.add(Verdict::Passed, &name, "");
    }
    fs::write(&stop, "")?;
    for (number, producer) in producers.iter_mut().enumerate() {
        let status = producer.process.wait(PATIENCE)?;
        let words = producer.process.last_words();
        ensure!(status.success(), "producer {number} ended with {status}: {words}");
    }
    check(stage, &broker, &producers, outcome)?;
    // What was read once must also be what a clean start finds.
    broker.stop()?;
    broker.start_again()?;
    check(stage, &broker, &producers, outcome)
}

fn start_producer(
    stage: &Stage<'_>,
    broker: &Broker,
    number: usize,
    stop: &PathBuf,
) -> Result<Producer> {
    let name = format!("producer-{number}");
    let ledger = stage.folder.join(format!("ledger-{number}"));
    let mut command = stage.python("scenarios/kill_producer.py")?;
    command.args([&broker.bootstrap(), TOPIC, PARTITIONS, &number.to_string()]);
    let process = stage.start(&name, command.arg(&ledger).arg(stop))?;
    Ok(Producer { process, log: stage.folder.join(format!("{name}.log")), ledger })
}

impl Producer {
    /// The number of acknowledgements it last told of.
    fn acknowledged(&self) -> u64 {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rev().find_map(|line| line.parse().ok()).unwrap_or(0)
    }

    fn wait_for(&mut self, count: u64) -> Result<()> {
        wait_until("progress of a producer", PATIENCE, || {
            self.acknowledged() >= count || !self.process.is_running()
        })?;
        ensure!(self.process.is_running(), "a producer ended: {}", self.process.last_words());
        Ok(())
    }
}

fn check(
    stage: &Stage<'_>,
    broker: &Broker,
    producers: &[Producer],
    outcome: &mut Outcome,
) -> Result<()> {
    let mut command = stage.python("scenarios/kill_check.py")?;
    command.args([&broker.bootstrap(), TOPIC, PARTITIONS]);
    command.args(producers.iter().map(|producer| &producer.ledger));
    stage.cases(&mut command, PATIENCE * 2, outcome)
}
