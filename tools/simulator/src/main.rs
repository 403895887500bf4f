//! `naru-simulator [--seed N] [--seeds N] [--minutes N] [--trace]`: runs seeds, and says how to
//! run again the one that failed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use naru_simulator::{Met, Outcome, Settings, run};

struct Options {
    first: u64,
    seeds: u64,
    minutes: Option<u64>,
    trace: bool,
}

fn options() -> Result<Options> {
    let mut options = Options { first: 1, seeds: 0, minutes: None, trace: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64> {
            let value = words.next().with_context(|| format!("{word} needs a number"))?;
            value.parse().with_context(|| format!("{word} {value}"))
        };
        match word.as_str() {
            "--seed" => {
                options.first = number()?;
                options.seeds = options.seeds.max(1);
            }
            "--seeds" => options.seeds = number()?,
            "--minutes" => options.minutes = Some(number()?),
            "--trace" => options.trace = true,
            _ => bail!("usage: naru-simulator [--seed N] [--seeds N] [--minutes N] [--trace]"),
        }
    }
    if options.seeds == 0 {
        options.seeds = if options.minutes.is_some() { u64::MAX } else { 200 };
    }
    Ok(options)
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    // A panic inside a run is caught and told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let limit = options.minutes.map(|minutes| Duration::from_secs(minutes * 60));
    let (mut ran, mut failed, mut happened, mut met) = (0_u64, 0_u64, 0_u64, Met::default());
    for seed in options.first..options.first.saturating_add(options.seeds) {
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            break;
        }
        let outcome = run(Settings { keeps_lines: options.trace, ..Settings::of(seed) });
        ran += 1;
        happened += outcome.happened;
        add(&mut met, &outcome.met);
        if options.trace {
            outcome.lines.iter().for_each(|line| println!("{line}"));
        }
        if outcome.violation.is_some() {
            failed += 1;
            tell(&outcome);
        } else if options.seeds == 1 {
            println!("seed {seed}: {:016x}, {} happenings", outcome.hash, outcome.happened);
        }
    }
    println!(
        "{ran} seeds, {failed} failed, {happened} happenings in {:.1} s; {met:?}",
        began.elapsed().as_secs_f64()
    );
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn add(sum: &mut Met, met: &Met) {
    sum.quorum_leaders += met.quorum_leaders;
    sum.partition_leaders += met.partition_leaders;
    sum.cuts += met.cuts;
    sum.snapshots += met.snapshots;
    sum.acked += met.acked;
    sum.forgotten += met.forgotten;
    sum.read += met.read;
    sum.committed += met.committed;
    sum.crashes += met.crashes;
    sum.partition_changes += met.partition_changes;
}

fn tell(outcome: &Outcome) {
    let Some(violation) = &outcome.violation else { return };
    let seed = outcome.settings.seed;
    println!("seed {seed} at {} ms: {}: {}", violation.at, violation.invariant, violation.what);
    println!("  again, with its trace: cargo xtask simulate --seed {seed} --trace");
}
