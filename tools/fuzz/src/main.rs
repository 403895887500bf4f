//! `naru-fuzz`: what reads bytes from the network or the disk, given bytes that are wrong.
//!
//! A target makes valid inputs, and takes any. Valid inputs are changed a few times each; an
//! input that makes the target panic, take too much memory or too much time is a finding, is kept
//! in a file and shown. With `--coverage` (see `cargo xtask fuzz`) inputs that reach new code are
//! kept and changed further; without it every run is a function of its seed.
//!
//! Findings that were mended lie in `regressions/TARGET/` and are tried again by every run.

mod allocation;
mod coverage;
mod mutate;
mod random;
mod run;
mod schema_bytes;
#[path = "../../../crates/log/tests/support/sim_disk.rs"]
#[expect(dead_code, reason = "the tests of the log use more of it")]
mod sim_disk;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use run::{Limits, Report};

#[global_allocator]
static ALLOCATOR: allocation::Counting = allocation::Counting;

const USAGE: &str = "\
usage: naru-fuzz [--target NAME]... [--seconds N] [--seed N] [--careful] [--list]
       naru-fuzz --input FILE --target NAME      one input, its panic not caught
  --seconds N   for all targets together (20)
  --careful     writes every input to a file before it is tried, for inputs that end the process";

struct Options {
    targets: Vec<String>,
    seconds: u64,
    seed: u64,
    careful: bool,
    list: bool,
    input: Option<PathBuf>,
}

fn options() -> Result<Options> {
    let mut options = Options {
        targets: Vec::new(),
        seconds: 20,
        seed: 1,
        careful: false,
        list: false,
        input: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--target" => options.targets.push(value()?),
            "--seconds" => options.seconds = value()?.parse()?,
            "--seed" => options.seed = value()?.parse()?,
            "--careful" => options.careful = true,
            "--list" => options.list = true,
            "--input" => options.input = Some(value()?.into()),
            _ => bail!("{USAGE}"),
        }
    }
    Ok(options)
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    let all = targets::all()?;
    for name in &options.targets {
        let known = all.iter().any(|target| target.name == name);
        ensure!(known, "no target is called {name}; --list names them");
    }
    let is_wanted =
        |name: &str| options.targets.is_empty() || options.targets.iter().any(|t| t == name);
    let wanted: Vec<_> = all.into_iter().filter(|target| is_wanted(target.name)).collect();
    if options.list {
        wanted.iter().for_each(|target| println!("{:20} {}", target.name, target.about));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &options.input {
        let [target] = &wanted[..] else { bail!("--input needs one --target") };
        (target.take)(&std::fs::read(path).with_context(|| path.display().to_string())?);
        return Ok(ExitCode::SUCCESS);
    }
    let share = Duration::from_secs(options.seconds) / u32::try_from(wanted.len())?;
    let mut good = true;
    for target in &wanted {
        let limits = Limits { time: share, seed: options.seed, careful: options.careful };
        let report = run::fuzz(target, &limits)?;
        good &= tell(target.name, &report);
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what came of a target; a line that begins with `case` is what the suite counts.
fn tell(name: &str, report: &Report) -> bool {
    for finding in &report.findings {
        println!("case failed {name}: {}", finding.replace('\n', " "));
    }
    if report.findings.is_empty() {
        println!(
            "case ok {name}: {} regressions, {} inputs, {} taken, {} bytes of memory and {} ms at \
             most{}",
            report.regressions,
            report.inputs,
            report.taken,
            report.memory,
            report.slowest.as_millis(),
            if report.edges > 0 {
                format!(", {} kept, {} edges", report.kept, report.edges)
            } else {
                String::new()
            }
        );
    }
    report.findings.is_empty()
}
