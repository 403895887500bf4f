//! `cargo xtask bench`: Apache Kafka and Naru side by side on this machine.
//!
//! Every figure is a pair: both systems run the same workload in the same round, in an order that
//! changes from round to round, and what counts is the ratio within the round. A figure that was
//! taken while other programs used the machine says so (`noise`).

mod meter;
mod options;
mod probe;
mod systems;
mod table;
mod workloads;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use naru_testkit::cache::Cache;
use naru_testkit::install::Tools;

use options::Options;
use systems::{Kind, Systems};
use workloads::{WORKLOADS, Workload};

/// What one run of one workload on one system measured, by name.
pub type Figures = BTreeMap<&'static str, f64>;

/// One measured run.
#[derive(Debug, Clone)]
pub struct Run {
    pub workload: &'static str,
    pub system: Kind,
    pub round: u32,
    pub figures: Figures,
}

pub fn command(root: &Path, words: &[&str]) -> Result<ExitCode> {
    let options = Options::parse(words)?;
    let chosen: Vec<&Workload> = WORKLOADS.iter().filter(|w| options.wants(w.name)).collect();
    if options.list || chosen.is_empty() {
        for workload in WORKLOADS {
            println!("{:16} {}", workload.name, workload.about);
        }
        return Ok(if options.list { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let tools = Tools::new(Cache::open()?);
    tools.librdkafka()?;
    let source = root.join("tools/xtask/bench/kgen.c");
    let kgen = tools.c_program("kgen", &source, &["-lrdkafka", "-lpthread"])?;
    let mut systems = Systems::new(root, &tools, kgen, &options)?;
    let (runs, failures) = run_all(&mut systems, &chosen, &options);
    drop(systems);
    let text = table::markdown(&chosen, &runs, &options);
    println!("\n{text}");
    for failure in &failures {
        println!("FAILED {failure}");
    }
    if options.write {
        table::write_into(&root.join("docs/benchmarks.md"), &text)?;
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_all(
    systems: &mut Systems,
    chosen: &[&Workload],
    options: &Options,
) -> (Vec<Run>, Vec<String>) {
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for workload in chosen {
        let mut kinds: Vec<Kind> =
            workload.systems.iter().copied().filter(|kind| options.has(*kind)).collect();
        for round in 0..options.rounds {
            for kind in &kinds {
                match systems.run(workload, *kind, round) {
                    Ok(figures) => {
                        show(workload, *kind, round, &figures);
                        let run = Run { workload: workload.name, system: *kind, round, figures };
                        runs.push(run);
                    }
                    Err(error) => {
                        let text = format!("{} {kind} round {round}: {error:#}", workload.name);
                        println!("{text}");
                        failures.push(text);
                    }
                }
            }
            kinds.reverse();
        }
    }
    (runs, failures)
}

fn show(workload: &Workload, kind: Kind, round: u32, figures: &Figures) {
    let texts: Vec<String> =
        figures.iter().map(|(name, value)| format!("{name}={}", table::number(*value))).collect();
    println!("{:16} {kind:12} round {round}  {}", workload.name, texts.join(" "));
}
