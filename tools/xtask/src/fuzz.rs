//! `cargo xtask fuzz`: the fuzzer, and the short run of it that CI does.
//!
//! `--coverage` builds with LLVM's edge counters, which a stable compiler has as well, into a
//! folder of its own; inputs that reach new code are then changed further.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use naru_testkit::outcome::{Outcome, Verdict};
use naru_testkit::process::last_lines;

/// A run in CI, for all targets together.
const SECONDS: &str = "20";

/// What makes LLVM count edges, and the fuzzer look at the counts.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters --cfg fuzz_coverage";

/// How the fuzzer is built.
#[derive(Debug, Clone, Copy)]
enum Build {
    /// As the unit tests are, which have built most of it before.
    Plain,
    Fast,
    Coverage,
}

fn fuzzer(root: &Path, words: &[&str], build: Build) -> Result<Command> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--package", "naru-fuzz"]);
    if !matches!(build, Build::Plain) {
        cargo.args(["--profile", "simulation"]);
    }
    if matches!(build, Build::Coverage) {
        // Naming the target keeps the counters out of build scripts.
        let host = host()?;
        cargo.args(["--target", &host, "--target-dir", "target/fuzz"]).env("RUSTFLAGS", COVERAGE);
    }
    cargo.arg("--").args(words).current_dir(root);
    Ok(cargo)
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("starting rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

/// Hands the words on, but for `--coverage`.
pub fn command(root: &Path, words: &[&str]) -> Result<ExitCode> {
    let own = "--coverage";
    let rest: Vec<&str> = words.iter().copied().filter(|word| *word != own).collect();
    let build = if words.contains(&own) { Build::Coverage } else { Build::Fast };
    let status = fuzzer(root, &rest, build)?.status().context("starting cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The suite: what was found once, and a few seconds of every target.
pub fn suite(root: &Path, outcome: &mut Outcome) -> Result<()> {
    let output =
        fuzzer(root, &["--seconds", SECONDS], Build::Plain)?.output().context("starting cargo")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut count = 0;
    for case in text.lines().filter_map(|line| line.strip_prefix("case ")) {
        let (verdict, rest) = case.split_once(' ').context("a case without a verdict")?;
        let (case, why) = rest.split_once(": ").unwrap_or((rest, ""));
        let verdict = if verdict == "ok" { Verdict::Passed } else { Verdict::Failed };
        outcome.add(verdict, case, why);
        count += 1;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let ended = output.status.code().is_some();
    ensure!(count > 0 && ended, "the fuzzer ended early: {}", last_lines(&errors, 30));
    Ok(())
}
