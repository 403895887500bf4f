//! One target's run: make, change, try, judge, keep.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::allocation::peak_of;
use crate::coverage::{self, Seen};
use crate::mutate::{INPUT_MAX, mutate};
use crate::random::Random;
use crate::targets::Target;

/// Processor time that one input may take, in a program that is not optimised to the last, on a
/// machine that may be busy.
const TIME_MAX: Duration = Duration::from_secs(3);
/// Inputs that are kept to be changed further.
const KEPT_MAX: usize = 4096;
/// Findings after which a target's run ends.
const FINDINGS_MAX: usize = 5;

/// How long, and from which seed.
pub(crate) struct Limits {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) careful: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) regressions: u64,
    pub(crate) inputs: u64,
    /// Inputs of which the target made something.
    pub(crate) taken: u64,
    pub(crate) kept: usize,
    pub(crate) edges: usize,
    pub(crate) memory: usize,
    pub(crate) slowest: Duration,
    pub(crate) findings: BTreeSet<String>,
}

/// Text and place of the last panic.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Tries the target's regressions, then inputs until the time is over.
pub(crate) fn fuzz(target: &Target, limits: &Limits) -> Result<Report> {
    std::panic::set_hook(Box::new(|panic| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
    let mut run =
        Run { target, careful: limits.careful, seen: Seen::default(), report: Report::default() };
    for path in regressions(target.name)? {
        run.report.regressions += 1;
        run.attempt(&std::fs::read(&path)?, Some(&path))?;
    }
    let mut random = Random::new(limits.seed);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let began = Instant::now();
    while began.elapsed() < limits.time && run.report.findings.len() < FINDINGS_MAX {
        run.report.inputs += 1;
        let made = catch_unwind(AssertUnwindSafe(|| next_input(&mut random, target, &kept)));
        let Ok(input) = made else {
            let why = PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone();
            run.report.findings.insert(format!("a valid input is not taken: {why}"));
            continue;
        };
        let news = run.attempt(&input, None)?;
        if news && kept.len() < KEPT_MAX {
            kept.push(input);
        }
    }
    let _ = std::panic::take_hook();
    run.report.kept = kept.len();
    run.report.edges = run.seen.edges();
    Ok(run.report)
}

/// A valid input as it is, now and then; else one that was changed.
fn next_input(random: &mut Random, target: &Target, kept: &[Vec<u8>]) -> Vec<u8> {
    let mut input = if kept.is_empty() || random.once_in(3) {
        (target.make)(random)
    } else {
        kept[random.below(kept.len())].clone()
    };
    input.truncate(INPUT_MAX);
    if random.once_in(16) {
        return input;
    }
    let other = if kept.is_empty() {
        (target.make)(random)
    } else {
        kept[random.below(kept.len())].clone()
    };
    mutate(random, &mut input, &other);
    if random.once_in(2) {
        (target.repair)(&mut input);
    }
    input
}

struct Run<'t> {
    target: &'t Target,
    careful: bool,
    seen: Seen,
    report: Report,
}

impl Run<'_> {
    /// Tries one input; whether it reached something new.
    fn attempt(&mut self, input: &[u8], from: Option<&Path>) -> Result<bool> {
        if self.careful {
            self.keep("current", input)?;
        }
        coverage::clear();
        let before = processor_time();
        let (result, memory) =
            peak_of(|| catch_unwind(AssertUnwindSafe(|| (self.target.take)(input))));
        let took = processor_time().saturating_sub(before);
        let news = self.seen.take(&coverage::all());
        self.report.memory = self.report.memory.max(memory);
        self.report.slowest = self.report.slowest.max(took);
        self.report.taken += u64::from(matches!(result, Ok(true)));
        let allowed = self.target.memory.allowed(input.len());
        let finding = match result {
            Err(_) => Some(PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            Ok(_) if memory > allowed => {
                Some(format!("{memory} bytes of memory for {} of input", input.len()))
            }
            Ok(_) if took > TIME_MAX => Some(format!("{} ms for one input", took.as_millis())),
            Ok(_) => None,
        };
        if let Some(finding) = finding {
            // The same place once.
            let place: String = finding.lines().take(1).collect();
            if !self.report.findings.iter().any(|known| known.starts_with(&place)) {
                let path = match from {
                    Some(path) => path.to_path_buf(),
                    None => self.keep(&format!("found-{}", self.report.findings.len()), input)?,
                };
                let shown = path.display();
                self.report.findings.insert(format!("{finding}; the input is {shown}"));
            }
        }
        Ok(news)
    }

    fn keep(&self, name: &str, input: &[u8]) -> Result<PathBuf> {
        let folder = workspace().join("target/fuzz-findings");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}-{name}", self.target.name));
        std::fs::write(&path, input).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The root of the sources.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Files of inputs that once were findings.
fn regressions(target: &str) -> Result<Vec<PathBuf>> {
    let folder = workspace().join("tools/fuzz/regressions").join(target);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Memory;

    fn target(take: fn(&[u8]) -> bool) -> Target {
        Target {
            name: "self-test",
            about: "the fuzzer itself",
            make: Box::new(|random| vec![random.byte(); 8]),
            repair: |_| {},
            take: Box::new(take),
            memory: Memory { factor: 16, floor: 4096 },
        }
    }

    fn findings(take: fn(&[u8]) -> bool) -> Vec<String> {
        let limits = Limits { time: Duration::from_millis(300), seed: 1, careful: false };
        let report = fuzz(&target(take), &limits).expect("a run");
        assert!(report.inputs > 0);
        report.findings.into_iter().collect()
    }

    #[test]
    fn a_panic_and_an_inflation_are_findings_and_an_honest_target_has_none() {
        assert!(findings(|input| input.len() < 9).is_empty());
        let panics = findings(|input| {
            assert!(input.first() != Some(&0xff), "the forbidden byte");
            true
        });
        assert!(panics.iter().any(|finding| finding.contains("the forbidden byte")), "{panics:?}");
        let inflations = findings(|input| !vec![1u8; input.len() * 100_000].is_empty());
        assert!(inflations.iter().any(|finding| finding.contains("bytes of memory")));
    }
}
