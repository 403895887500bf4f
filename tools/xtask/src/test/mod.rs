//! `cargo xtask test`: every check of the project, one table, one exit code.
//!
//! Order: what fails fast comes first; two at a time, as most wait more than they work. Nothing is
//! left behind: brokers, temporary folders and processes end with their suite, and only the build
//! and the cache folder remain.

mod advisories;
mod cargo;
mod lanes;
mod layers;
mod licences;
mod options;
mod sizes;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::Result;
use naru_testkit::broker::System;
use naru_testkit::cache::Cache;
use naru_testkit::differential;
use naru_testkit::foreign::SUITES;
use naru_testkit::install::Tools;
use naru_testkit::outcome::{Outcome, Totals, report};
use naru_testkit::scenario::SCENARIOS;

pub use cargo::release_binary;
use lanes::Job;
use options::{Against, Options};

/// A check that needs no broker.
struct Check {
    name: &'static str,
    about: &'static str,
    run: fn(&Path, &mut Outcome) -> Result<()>,
}

const CHECKS: &[Check] = &[
    Check { name: "format", about: "rustfmt has nothing to change", run: cargo::format },
    Check { name: "layers", about: "arrows between crates lead downward", run: layers::check },
    Check { name: "licences", about: "every package's licence is allowed", run: licences::check },
    Check { name: "advisories", about: "no package has a known hole", run: advisories::check },
    Check { name: "sizes", about: "no source file is too long", run: sizes::check },
    Check { name: "features", about: "the README says what the tests show", run: features },
    Check { name: "codegen", about: "generated code is not stale", run: cargo::codegen },
    Check { name: "lints", about: "clippy has nothing to say", run: cargo::lints },
    Check { name: "unit", about: "the crates' own tests", run: cargo::unit },
    Check { name: "fuzz", about: "inputs that are wrong, for 20 s", run: crate::fuzz::suite },
    Check { name: "simulation", about: "seeds of the simulator", run: crate::simulate::suite },
];

/// The comparison with Apache Kafka, which runs two brokers of its own.
const DIFFERENTIAL: (&str, &str) = ("differential", "answers like Apache Kafka's, field by field");

/// What makes the broker that the suites run against.
const BUILD: (&str, &str) = ("build", "the broker under test");

/// Runs the command; the exit code is 0 only if nothing failed.
pub fn command(root: &Path, words: &[&str]) -> Result<ExitCode> {
    let options = Options::parse(words)?;
    if options.list {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    let mut outcomes = run_all(root, &options)?;
    if options.is_whole() {
        outcomes.push(crate::features::shown(root, &outcomes));
    }
    let (text, totals) = report(&outcomes);
    print!("\n{text}");
    let nothing_ran = totals == Totals::default();
    Ok(if totals.failed == 0 && !nothing_ran { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_all(root: &Path, options: &Options) -> Result<Vec<Outcome>> {
    options.check_names(&all_names())?;
    let wants_checks = options.against == Against::Naru;
    let checks = CHECKS.iter().filter(|check| wants_checks && options.wants(check.name));
    let suites = SUITES.iter().filter(|suite| options.wants(suite.name));
    let scenarios = SCENARIOS.iter().filter(|scenario| options.wants(scenario.name));
    let wants_differential = options.wants(DIFFERENTIAL.0) && options.against != Against::Apache;
    let tools = Tools::new(Cache::open()?);
    let subject = Subject::default();
    let mut jobs = Vec::new();
    if suites.clone().count() + scenarios.clone().count() > 0 || wants_differential {
        // First of all: everybody else waits for it, or works meanwhile.
        jobs.push(Job::new(BUILD.0, || subject.prepare(root, &tools, &options.against)));
    }
    jobs.extend(checks.map(|check| Job::new(check.name, || run_check(root, check))));
    jobs.extend(suites.map(|suite| {
        Job::new(suite.name, || subject.with(suite.name, |system| suite.run(&tools, system)))
    }));
    for scenario in scenarios {
        let run =
            || subject.with(scenario.name, |system| scenario.run(&tools, system, options.extent));
        let job = Job::new(scenario.name, run);
        jobs.push(if scenario.alone { job.alone() } else { job });
    }
    if wants_differential {
        jobs.push(Job::new(DIFFERENTIAL.0, || {
            subject.with(DIFFERENTIAL.0, |system| {
                let apache = tools.kafka_jars().map(|libs| System::Apache { libs });
                differential::suite(&apache, system, &root.join(crate::differential::PAGE))
            })
        }));
    }
    Ok(lanes::run(jobs, |outcome| {
        println!("{:18} {} ({} s)", outcome.suite, outcome.totals(), outcome.took.as_secs());
        let _ = std::io::stdout().flush();
    }))
}

/// The broker under test, which is there when its build has ended.
#[derive(Debug, Default)]
struct Subject(OnceLock<Option<System>>);

impl Subject {
    fn prepare(&self, root: &Path, tools: &Tools, against: &Against) -> Outcome {
        let began = Instant::now();
        let mut outcome = Outcome::new(BUILD.0);
        let system = system(root, tools, against);
        outcome.add_result(BUILD.1, &system);
        let _ = self.0.set(system.ok());
        outcome.took = began.elapsed();
        outcome
    }

    /// Runs a suite against it; without it the suite is left out, and the build has told why.
    fn with(&self, name: &str, suite: impl FnOnce(&System) -> Outcome) -> Outcome {
        match self.0.wait() {
            Some(system) => suite(system),
            None => Outcome::skipped(name, "there is no broker to test"),
        }
    }
}

fn features(root: &Path, outcome: &mut Outcome) -> Result<()> {
    crate::features::suite(root, &all_names(), outcome);
    Ok(())
}

fn run_check(root: &Path, check: &Check) -> Outcome {
    let began = Instant::now();
    let mut outcome = Outcome::new(check.name);
    if let Err(error) = (check.run)(root, &mut outcome) {
        outcome.add_result::<()>(check.about, &Err(error));
    }
    outcome.took = began.elapsed();
    outcome
}

/// The broker that the suites run against; for Naru this is where the release build happens.
fn system(root: &Path, tools: &Tools, against: &Against) -> Result<System> {
    Ok(match against {
        Against::Apache => System::Apache { libs: tools.kafka_jars()? },
        Against::Binary(binary) => System::Naru { binary: PathBuf::from(binary).canonicalize()? },
        Against::Naru => System::Naru { binary: release_binary(root)? },
    })
}

fn all_names() -> Vec<&'static str> {
    let checks = CHECKS.iter().map(|check| check.name);
    let suites = SUITES.iter().map(|suite| suite.name);
    let scenarios = SCENARIOS.iter().map(|scenario| scenario.name);
    checks.chain(suites).chain(scenarios).chain([DIFFERENTIAL.0]).collect()
}

fn list() {
    let checks = CHECKS.iter().map(|check| (check.name, check.about));
    let suites = SUITES.iter().map(|suite| (suite.name, suite.about));
    let scenarios = SCENARIOS.iter().map(|scenario| (scenario.name, scenario.about));
    for (name, about) in checks.chain(suites).chain(scenarios).chain([DIFFERENTIAL]) {
        println!("{name:18} {about}");
    }
}
