//! `cargo xtask`: what the project does to itself.

mod bench;
mod codegen;
mod differential;
mod faults;
mod features;
mod fuzz;
mod scale;
mod simulate;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND
  test [--suite NAME]... [--full] [--against apache|BINARY] [--list]   everything CI checks
  bench [--only WORKLOAD]... [--system KIND]... [--rounds N] [--against BINARY] [--write] [--list]
                        beside Apache Kafka; --write puts the table into docs/benchmarks.md
  scale [--system apache|naru] [--against BINARY] [--write]
                        1,000 topics x 3 on three nodes, 10,000 partitions on one
  differential [--write] [--only NAME] [--against apache|BINARY]
                        answers of Apache Kafka and of Naru, field by field
  faults [SCENARIO]... [--against apache|BINARY] [--systems naru,apache,..] [--list]
         [--usual] [--quick] [--rate N] [--file-system ext4|xfs] [--plain]
                        clusters in namespaces: crashes, cuts, power, disks, clocks (root)
  simulate [--seed N] [--seeds N] [--minutes N] [--trace] [--regressions] [--judge]
                        clusters on simulated disks, networks and clocks, by seed
  features [--write]    the README's table from docs/features.txt
  fuzz [--target NAME]... [--seconds N] [--seed N] [--coverage] [--careful] [--list]
                        decoders, files and records against inputs that are wrong
  codegen [--check]     Rust from the message schemas
  schemas LIBS          the message schemas from Kafka's jars";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["test", ref options @ ..] => return test::command(&root, options),
        ["bench", ref options @ ..] => return bench::command(&root, options),
        ["differential", ref options @ ..] => return differential::command(&root, options),
        ["scale", ref options @ ..] => return scale::command(&root, options),
        ["faults", ref options @ ..] => return faults::command(&root, options),
        ["features", ref options @ ..] => return features::command(&root, options),
        ["fuzz", ref options @ ..] => return fuzz::command(&root, options),
        ["simulate", ref options @ ..] => return simulate::command(&root, options),
        ["schemas", libs] => codegen::schemas(&root, Path::new(libs))?,
        ["codegen"] => codegen::codegen(&root, false)?,
        ["codegen", "--check"] => codegen::codegen(&root, true)?,
        _ => bail!("{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}
