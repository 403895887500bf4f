//! What a suite found: one verdict per case, and the table over all suites.
//!
//! Foreign programs report in lines, `PASS name`, `FAIL name why`, `SKIP name why`, and end with
//! `N passed, N failed, N skipped`. A program that ends without that line, or with other numbers
//! than its lines add up to, has failed as a whole: silence is never success.

use std::fmt::Write as _;
use std::time::Duration;

/// How one case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// One case: its name, how it ended, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub verdict: Verdict,
    pub name: String,
    pub why: String,
}

/// What one suite found.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub suite: String,
    pub cases: Vec<Case>,
    pub took: Duration,
}

/// Numbers of cases by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Outcome {
    pub fn new(suite: &str) -> Self {
        Self { suite: suite.to_owned(), cases: Vec::new(), took: Duration::ZERO }
    }

    /// A suite that could not run here; the reason is shown in the table.
    pub fn skipped(suite: &str, why: &str) -> Self {
        let mut outcome = Self::new(suite);
        outcome.add(Verdict::Skipped, suite, why);
        outcome
    }

    pub fn add(&mut self, verdict: Verdict, name: &str, why: &str) {
        self.cases.push(Case { verdict, name: name.to_owned(), why: why.trim().to_owned() });
    }

    /// Adds a case by its result.
    pub fn add_result<T>(&mut self, name: &str, result: &anyhow::Result<T>) {
        match result {
            Ok(_) => self.add(Verdict::Passed, name, ""),
            Err(error) => self.add(Verdict::Failed, name, &format!("{error:#}")),
        }
    }

    /// Reads what a program printed; `ended` says how it ended if it did not end well.
    pub fn read(&mut self, printed: &str, ended: &Result<(), String>) {
        let mut found = Totals::default();
        let mut announced = None;
        for line in printed.lines() {
            let Some((verdict, rest)) = verdict_of(line) else {
                announced = totals_of(line).or(announced);
                continue;
            };
            let (name, why) = split_name(rest);
            found.count(verdict);
            self.add(verdict, name, why);
        }
        let whole = if let Err(why) = ended {
            // Failing cases make a program exit with a failure: that is no further finding.
            (announced != Some(found) || found.failed == 0).then(|| why.clone())
        } else if announced != Some(found) {
            Some(format!("its last line said {announced:?}, its cases are {found}"))
        } else if found == Totals::default() {
            Some("it ran no case".to_owned())
        } else {
            None
        };
        if let Some(why) = whole {
            let name = format!("{} as a whole", self.suite);
            let said = crate::process::last_lines(printed, 5);
            self.add(Verdict::Failed, &name, &format!("{why}; it said: {said}"));
        }
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for case in &self.cases {
            totals.count(case.verdict);
        }
        totals
    }

    /// The reasons of skipped cases, each with the number of cases it concerns.
    fn skip_reasons(&self) -> String {
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        for case in self.cases.iter().filter(|case| case.verdict == Verdict::Skipped) {
            match reasons.iter_mut().find(|(why, _)| *why == case.why) {
                Some((_, count)) => *count += 1,
                None => reasons.push((&case.why, 1)),
            }
        }
        let texts: Vec<String> =
            reasons.iter().map(|(why, count)| format!("{count}: {why}")).collect();
        texts.join("; ")
    }
}

impl Totals {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Skipped => self.skipped += 1,
        }
    }
}

/// The table over all suites, the failures in full, and the totals alone on the last line.
pub fn report(outcomes: &[Outcome]) -> (String, Totals) {
    let width = outcomes.iter().map(|outcome| outcome.suite.len()).max().unwrap_or(0).max(5);
    let mut text = String::new();
    let mut all = Totals::default();
    for outcome in outcomes {
        for case in outcome.cases.iter().filter(|case| case.verdict == Verdict::Failed) {
            let _ = writeln!(text, "FAILED {}: {}\n    {}", outcome.suite, case.name, case.why);
        }
    }
    let head = format!("{:width$}  passed  failed  skipped  seconds  why skipped", "suite");
    let _ = writeln!(text, "{head}\n{}", "-".repeat(head.len()));
    for outcome in outcomes {
        let totals = outcome.totals();
        let row = format!(
            "{:width$}  {:6}  {:6}  {:7}  {:7}  {}",
            outcome.suite,
            totals.passed,
            totals.failed,
            totals.skipped,
            outcome.took.as_secs(),
            outcome.skip_reasons(),
        );
        let _ = writeln!(text, "{}", row.trim_end());
        all.passed += totals.passed;
        all.failed += totals.failed;
        all.skipped += totals.skipped;
    }
    let _ = writeln!(text, "{all}");
    (text, all)
}

fn verdict_of(line: &str) -> Option<(Verdict, &str)> {
    [("PASS ", Verdict::Passed), ("FAIL ", Verdict::Failed), ("SKIP ", Verdict::Skipped)]
        .into_iter()
        .find_map(|(word, verdict)| Some((verdict, line.strip_prefix(word)?)))
}

/// A case line is `name`, or `name -- why`.
fn split_name(rest: &str) -> (&str, &str) {
    rest.split_once(" -- ").unwrap_or((rest, ""))
}

fn totals_of(line: &str) -> Option<Totals> {
    let mut parts = line.split(", ");
    let mut number = |word: &str| parts.next()?.strip_suffix(word)?.trim().parse().ok();
    Some(Totals {
        passed: number("passed")?,
        failed: number("failed")?,
        skipped: number("skipped")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(printed: &str, ended: &Result<(), String>) -> Totals {
        let mut outcome = Outcome::new("s");
        outcome.read(printed, ended);
        outcome.totals()
    }

    fn totals(passed: usize, failed: usize, skipped: usize) -> Totals {
        Totals { passed, failed, skipped }
    }

    #[test]
    fn lines_are_counted_by_verdict() {
        let printed =
            "PASS a\nnoise\nFAIL b -- broke\nSKIP c -- later\n1 passed, 1 failed, 1 skipped\n";
        assert_eq!(read(printed, &Err("exit 1".into())), totals(1, 1, 1));
        assert_eq!(read(printed, &Ok(())), totals(1, 1, 1));
    }

    #[test]
    fn a_program_that_ends_without_its_totals_has_failed() {
        assert_eq!(read("PASS a\n", &Ok(())), totals(1, 1, 0));
        assert_eq!(read("PASS a\n2 passed, 0 failed, 0 skipped\n", &Ok(())), totals(1, 1, 0));
        assert_eq!(read("0 passed, 0 failed, 0 skipped\n", &Ok(())), totals(0, 1, 0));
    }

    #[test]
    fn a_program_that_passes_every_case_and_then_crashes_has_failed() {
        let printed = "PASS a\n1 passed, 0 failed, 0 skipped\n";
        assert_eq!(read(printed, &Err("signal 11".into())), totals(1, 1, 0));
    }

    #[test]
    fn the_last_line_of_the_report_is_the_totals_alone() {
        let mut outcome = Outcome::new("s");
        outcome.add(Verdict::Passed, "a", "");
        outcome.add(Verdict::Skipped, "b", "later");
        outcome.add(Verdict::Skipped, "c", "later");
        let (text, all) = report(&[outcome]);
        assert_eq!(all, totals(1, 0, 2));
        assert_eq!(text.lines().last(), Some("1 passed, 0 failed, 2 skipped"));
        assert!(text.contains("2: later"), "{text}");
    }
}
