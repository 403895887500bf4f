//! `cargo xtask faults`: clusters in namespaces under every fault of tools/faults. Needs root.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use naru_testkit::broker::System;
use naru_testkit::cache::Cache;
use naru_testkit::faults;
use naru_testkit::install::Tools;

use crate::test::release_binary;

/// Options of the harness that are handed on as they are, and whether a value follows.
const HANDED_ON: &[(&str, bool)] = &[
    ("--rate", true),
    ("--file-system", true),
    ("--usual", false),
    ("--quick", false),
    ("--plain", false),
];

/// `--against apache|BINARY` or `--systems naru,apache,...` (one per node) say what runs; the other
/// words are scenarios and the harness's own options.
pub fn command(root: &Path, words: &[&str]) -> Result<ExitCode> {
    let tools = Tools::new(Cache::open()?);
    let (mut systems, mut against, mut rest) = (vec!["naru"], None, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match *word {
            "--list" | "--results" => return told(&tools, word),
            "--against" => against = Some(*value()?),
            "--systems" => systems = value()?.split(',').collect(),
            option if option.starts_with('-') => {
                let known = HANDED_ON.iter().find(|(name, _)| *name == option);
                let (_, has_value) = known.with_context(|| format!("unknown option {option}"))?;
                rest.push(option);
                if *has_value {
                    rest.push(value()?);
                }
            }
            scenario => rest.push(scenario),
        }
    }
    let apache = || Ok(System::Apache { libs: tools.kafka_jars()? });
    let naru = || match against {
        Some(binary) => anyhow::Ok(PathBuf::from(binary).canonicalize()?),
        None => release_binary(root),
    };
    if against == Some("apache") {
        systems = vec!["apache"];
    }
    let systems: Vec<System> = systems
        .into_iter()
        .map(|name| match name {
            "apache" => apache(),
            "naru" => Ok(System::Naru { binary: naru()? }),
            other => bail!("no system is called {other}: naru, apache"),
        })
        .collect::<Result<_>>()?;
    let mut harness = faults::command(&tools, &systems)?;
    let status = harness.args(rest).status().context("starting the harness")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What there is, or what the last run of each scenario showed, as a table.
fn told(tools: &Tools, option: &str) -> Result<ExitCode> {
    let mut harness = faults::python(tools, "faults.py")?;
    let status = harness.arg("--out").arg(tools.folder("faults")?).arg(option).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
