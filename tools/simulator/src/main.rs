//! `naru-simulator`: runs seeds, and says how to run again the one that failed.
//!
//! A line that begins with `case ok` or `case failed` is what the suite counts.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use naru_simulator::{Met, Mutation, Outcome, REGRESSIONS, Settings, run};

const USAGE: &str = "\
usage: naru-simulator [--seed N] [--seeds N] [--minutes N] [--trace] [--mutation NAME]
       naru-simulator --regressions     seeds that have found something, and one of them twice
       naru-simulator --judge           every fault made on purpose is noticed";
/// Seeds of a plain run.
const SEEDS: u64 = 200;
/// Seeds that a fault made on purpose may escape.
const ESCAPED_MAX: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Seeds,
    Regressions,
    Judge,
}

struct Options {
    mode: Mode,
    first: u64,
    seeds: Option<u64>,
    minutes: Option<u64>,
    trace: bool,
    mutation: Option<Mutation>,
}

fn options() -> Result<Options> {
    let mut options = Options {
        mode: Mode::Seeds,
        first: 1,
        seeds: None,
        minutes: None,
        trace: false,
        mutation: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--seed" => {
                options.first = value()?.parse()?;
                options.seeds = options.seeds.or(Some(1));
            }
            "--seeds" => options.seeds = Some(value()?.parse()?),
            "--minutes" => options.minutes = Some(value()?.parse()?),
            "--trace" => options.trace = true,
            "--mutation" => {
                let name = value()?;
                let found = Mutation::ALL.into_iter().find(|one| format!("{one:?}") == name);
                options.mutation = Some(found.with_context(|| format!("{:?}", Mutation::ALL))?);
            }
            "--regressions" => options.mode = Mode::Regressions,
            "--judge" => options.mode = Mode::Judge,
            _ => bail!("{USAGE}"),
        }
    }
    Ok(options)
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    // A panic inside a run is caught and told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let good = match options.mode {
        Mode::Seeds => seeds(&options),
        Mode::Regressions => regressions(),
        Mode::Judge => judge(),
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn seeds(options: &Options) -> bool {
    let began = Instant::now();
    let limit = options.minutes.map(|minutes| Duration::from_secs(minutes * 60));
    let count = options.seeds.unwrap_or_else(|| if limit.is_some() { u64::MAX } else { SEEDS });
    let (mut ran, mut failed, mut happened, mut met) = (0_u64, 0_u64, 0_u64, Met::default());
    for seed in options.first..options.first.saturating_add(count) {
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            break;
        }
        let settings = Settings {
            keeps_lines: options.trace,
            mutation: options.mutation,
            ..Settings::of(seed)
        };
        let outcome = run(settings);
        ran += 1;
        happened += outcome.happened;
        met += outcome.met;
        outcome.lines.iter().for_each(|line| println!("{line}"));
        failed += u64::from(outcome.violation.is_some());
        if !tell(&outcome) && count == 1 {
            println!("seed {seed}: {:016x}, {} happenings", outcome.hash, outcome.happened);
        }
    }
    let verdict = if failed == 0 { "ok" } else { "failed" };
    println!(
        "case {verdict} {ran} seeds from {}: {failed} failed, {happened} happenings in {:.1} s; \
         {met:?}",
        options.first,
        began.elapsed().as_secs_f64()
    );
    failed == 0 && ran > 0
}

/// Tells of a failed run; whether it was one.
fn tell(outcome: &Outcome) -> bool {
    let Some(violation) = &outcome.violation else { return false };
    let seed = outcome.settings.seed;
    println!(
        "case failed seed {seed}: at {} ms: {}: {}; again, with what happened: cargo xtask \
         simulate --seed {seed} --trace",
        violation.at, violation.invariant, violation.what
    );
    true
}

fn regressions() -> bool {
    let mut good = true;
    for (seed, found) in REGRESSIONS {
        let outcome = run(Settings::of(*seed));
        if tell(&outcome) {
            good = false;
        } else {
            println!("case ok seed {seed}: {found}");
        }
    }
    let hashes: Vec<u64> = (0..2).map(|_| run(Settings::of(1)).hash).collect();
    let same = hashes[0] == hashes[1];
    let verdict = if same { "ok" } else { "failed" };
    println!("case {verdict} the same seed gives the same run: {hashes:x?}");
    good && same
}

fn judge() -> bool {
    let mut good = true;
    for mutation in Mutation::ALL.into_iter().filter(|one| !one.is_rare()) {
        let mutated = |seed| Settings { mutation: Some(mutation), ..Settings::of(seed) };
        let caught = (1..=ESCAPED_MAX).find_map(|seed| {
            let violation = run(mutated(seed)).violation?;
            Some((seed, violation.invariant))
        });
        match caught {
            Some((seed, invariant)) => {
                println!("case ok {mutation:?}: noticed with seed {seed}: {invariant}");
            }
            None => {
                println!("case failed {mutation:?}: not noticed in {ESCAPED_MAX} seeds");
                good = false;
            }
        }
    }
    good
}
