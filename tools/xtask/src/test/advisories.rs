//! Known holes in packages, by `cargo audit` where it is installed.
//!
//! Its database comes over the network, so a machine without it (or without the program) skips this
//! with the reason rather than fail for what is no fault of the code.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use naru_testkit::outcome::{Outcome, Verdict};
use naru_testkit::process::last_lines;

const NAME: &str = "cargo audit";

pub fn check(root: &Path, outcome: &mut Outcome) -> Result<()> {
    let cargo = || Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let installed = cargo().args(["audit", "--version"]).output().context("starting cargo")?;
    if !installed.status.success() {
        outcome.add(Verdict::Skipped, NAME, "cargo-audit is not installed here");
        return Ok(());
    }
    let output = cargo().arg("audit").current_dir(root).output()?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        outcome.add(Verdict::Passed, NAME, "");
    } else if errors.contains("couldn't fetch advisory database") {
        outcome.add(Verdict::Skipped, NAME, "the advisory database cannot be reached from here");
    } else {
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &errors;
        outcome.add(Verdict::Failed, NAME, &last_lines(&said, 30));
    }
    Ok(())
}
