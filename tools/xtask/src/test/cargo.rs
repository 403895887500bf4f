//! Checks that cargo does: format, lints, unit tests, the release build.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use naru_testkit::outcome::{Outcome, Verdict};
use naru_testkit::process::last_lines;

fn cargo(root: &Path, args: &[&str]) -> Result<Output> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo).args(args).current_dir(root).output().context("starting cargo")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// One case that passes if cargo succeeds.
fn succeeds(root: &Path, outcome: &mut Outcome, name: &str, args: &[&str]) -> Result<()> {
    let output = cargo(root, args)?;
    if output.status.success() {
        outcome.add(Verdict::Passed, name, "");
    } else {
        outcome.add(Verdict::Failed, name, &last_lines(&said(&output), 40));
    }
    Ok(())
}

pub fn format(root: &Path, outcome: &mut Outcome) -> Result<()> {
    succeeds(root, outcome, "cargo fmt --check", &["fmt", "--all", "--check"])
}

pub fn lints(root: &Path, outcome: &mut Outcome) -> Result<()> {
    let args = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    succeeds(root, outcome, "cargo clippy", &args)
}

pub fn codegen(root: &Path, outcome: &mut Outcome) -> Result<()> {
    outcome.add_result("cargo xtask codegen --check", &crate::codegen::codegen(root, true));
    Ok(())
}

pub fn unit(root: &Path, outcome: &mut Outcome) -> Result<()> {
    let output = cargo(root, &["test", "--workspace", "--no-fail-fast"])?;
    let text = said(&output);
    let found = read_tests(&text, outcome);
    if !output.status.success() && outcome.totals().failed == 0 {
        bail!("cargo test: {}", last_lines(&text, 40));
    }
    ensure!(found > 0, "cargo test ran nothing");
    Ok(())
}

/// Takes every `test NAME ... ok|FAILED|ignored` line over as a case.
fn read_tests(text: &str, outcome: &mut Outcome) -> usize {
    let mut found = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("test ")) {
        let Some((name, result)) = line.rsplit_once(" ... ") else { continue };
        match result.split([' ', ',']).next() {
            Some("ok") => outcome.add(Verdict::Passed, name, ""),
            Some("FAILED") => outcome.add(Verdict::Failed, name, &panic_of(text, name)),
            Some("ignored") => outcome.add(Verdict::Skipped, name, "ignored"),
            _ => continue,
        }
        found += 1;
    }
    found
}

/// What a failed test printed.
fn panic_of(text: &str, name: &str) -> String {
    let head = format!("---- {name} stdout ----");
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    lines.take_while(|line| !line.starts_with("---- ")).take(20).collect::<Vec<_>>().join("\n")
}

/// Builds the release binary and says where it is.
pub fn release_binary(root: &Path) -> Result<PathBuf> {
    let output = cargo(root, &["build", "--release", "--package", "naru-cli"])?;
    ensure!(output.status.success(), "release build: {}", last_lines(&said(&output), 30));
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let binary = target.join("release/naru");
    ensure!(binary.is_file(), "no {}", binary.display());
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_lines_become_cases() {
        let text = "test a::b ... ok\ntest c ... FAILED\ntest d ... ignored, why\n\
                    ---- c stdout ----\nbroke\n";
        let mut outcome = Outcome::new("unit");
        assert_eq!(read_tests(text, &mut outcome), 3);
        assert_eq!(outcome.totals().failed, 1);
        assert!(outcome.cases.iter().any(|case| case.name == "c" && case.why == "broke"));
    }
}
