//! `cargo xtask simulate`: seeds of the simulator, and the suite that CI runs of them.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use naru_testkit::outcome::{Outcome, Verdict};
use naru_testkit::process::last_lines;

/// Seeds in CI: about a minute of one core.
const SEEDS: &str = "600";

fn simulator(root: &Path, words: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--profile", "simulation", "--package", "naru-simulator", "--"]);
    cargo.args(words).current_dir(root);
    cargo
}

/// Hands the words on.
pub fn command(root: &Path, words: &[&str]) -> Result<ExitCode> {
    let status = simulator(root, words).status().context("starting cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The suite: the first seeds, those that have found something, and the judge itself.
pub fn suite(root: &Path, outcome: &mut Outcome) -> Result<()> {
    let runs: [(&str, &[&str]); 3] = [
        ("seeds", &["--seeds", SEEDS]),
        ("regressions", &["--regressions"]),
        ("the judge", &["--judge"]),
    ];
    for (name, words) in runs {
        let output = simulator(root, words).output().context("starting cargo")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let cases = text.lines().filter_map(|line| line.strip_prefix("case "));
        let mut count = 0;
        for case in cases {
            let (verdict, rest) = case.split_once(' ').context("a case without a verdict")?;
            let (case, why) = rest.split_once(": ").unwrap_or((rest, ""));
            let verdict = if verdict == "ok" { Verdict::Passed } else { Verdict::Failed };
            outcome.add(verdict, &format!("{name}: {case}"), why);
            count += 1;
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(count > 0, "{name}: {}", last_lines(&errors, 30));
    }
    Ok(())
}
