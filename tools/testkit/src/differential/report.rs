//! What came out: lines for a terminal, the page `docs/compatibility.md`, verdicts for the suite.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, ensure};
use naru_protocol::api::ApiKey;

use super::Served;
use super::accepted::Accepted;
use super::compare::Compared;
use crate::outcome::Outcome;

/// A whole comparison.
#[derive(Debug)]
pub struct Report {
    pub(super) compared: Vec<Compared>,
    pub(super) accepted: Accepted,
    pub(super) served: Served,
    /// Whether all scenarios ran: only then can something be missing.
    pub(super) whole: bool,
}

/// Counts of requests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub asked: usize,
    pub equal: usize,
    /// Different only in ways that are meant.
    pub accepted: usize,
    pub different: usize,
}

const HEAD: &str = "\
# Compatibility with Apache Kafka 4.3.1

Written by `cargo xtask differential --write`: do not edit by hand. The same requests go to Apache
Kafka 4.3.1 and to Naru, and the answers are compared field by field; ids, ports, folders and
generated names are masked, and lists are compared by name, not by order. Every API that Naru
serves is asked at every version, with requests that succeed and with requests that fail. A
difference that is meant stands below with its reason; any other fails the test command.
";

impl Report {
    pub fn counts(&self) -> Counts {
        count(self.compared.iter())
    }

    /// Differences that nobody accepted, one a line.
    pub fn unaccepted(&self) -> Vec<String> {
        self.compared.iter().flat_map(lines_of).collect()
    }

    /// Entries of the list that match nothing any more.
    pub fn stale(&self) -> Vec<String> {
        let used: BTreeSet<usize> = self.used().map(|(rule, _)| rule).collect();
        let rules = self.accepted.0.iter().enumerate();
        let unused = rules.filter(|(index, _)| self.whole && !used.contains(index));
        unused.map(|(_, rule)| format!("{} | {} | {}", rule.api, rule.case, rule.path)).collect()
    }

    /// Served versions without a request that succeeds, or without one that fails.
    pub fn uncovered(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (&key, &(low, high)) in self.served.iter().filter(|_| self.whole) {
            let Some(api) = ApiKey::from_key(key) else { continue };
            for version in low..=high {
                let asked = |good: bool| {
                    self.compared
                        .iter()
                        .any(|c| c.api == api && c.version == version && c.good == good)
                };
                if !asked(true) && !cannot_succeed(api) {
                    missing.push(format!("{} v{version}: no good request", api.name()));
                }
                if !asked(false) && !cannot_fail(api, version) {
                    missing.push(format!("{} v{version}: no bad request", api.name()));
                }
            }
        }
        missing
    }

    fn used(&self) -> impl Iterator<Item = (usize, &Compared)> {
        self.compared.iter().flat_map(|compared| {
            compared.differences.iter().filter_map(move |d| Some((d.accepted?, compared)))
        })
    }

    /// The page, from its first line to its last.
    pub fn markdown(&self) -> String {
        let mut text = HEAD.to_owned();
        let all = self.counts();
        let _ = writeln!(
            text,
            "\n{} requests: {} answered alike, {} with a difference listed below.\n",
            all.asked, all.equal, all.accepted
        );
        text += "| API | versions | good | bad | alike | listed |\n|---|---|--:|--:|--:|--:|\n";
        for (&key, (low, high)) in &self.served {
            let Some(api) = ApiKey::from_key(key) else { continue };
            let of = || self.compared.iter().filter(|compared| compared.api == api);
            let (counts, good) = (count(of()), of().filter(|compared| compared.good).count());
            let bad = counts.asked - good;
            let (name, equal, accepted) = (api.name(), counts.equal, counts.accepted);
            let _ =
                writeln!(text, "| {name} | {low}-{high} | {good} | {bad} | {equal} | {accepted} |");
        }
        text +=
            "\n## Differences that are meant\n\n| API | asked | field | why |\n|---|---|---|---|\n";
        let used: BTreeSet<usize> = self.used().map(|(rule, _)| rule).collect();
        for (index, rule) in self.accepted.0.iter().enumerate() {
            if used.contains(&index) {
                let (api, case, path) = (&rule.api, &rule.case, &rule.path);
                let _ = writeln!(text, "| {api} | {case} | `{path}` | {} |", rule.reason);
            }
        }
        text
    }

    /// One case an API, and one each for what only a whole run can tell.
    pub fn verdicts(&self, page: &Path, outcome: &mut Outcome) {
        for &key in self.served.keys() {
            let Some(api) = ApiKey::from_key(key) else { continue };
            let of = self.compared.iter().filter(|compared| compared.api == api);
            let wrong: Vec<String> = of.flat_map(lines_of).collect();
            outcome.add_result(&format!("{} answers like Kafka", api.name()), &none(&wrong));
        }
        outcome.add_result("good and bad at every version", &none(&self.uncovered()));
        outcome.add_result("no accepted difference is gone", &none(&self.stale()));
        let fresh = std::fs::read_to_string(page).is_ok_and(|text| text == self.markdown());
        let stale =
            if fresh { Vec::new() } else { vec!["run cargo xtask differential --write".into()] };
        outcome.add_result("the page is as measured", &none(&stale));
    }
}

/// One node named in its properties can neither get nor lose a voter.
fn cannot_succeed(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::AddRaftVoter
            | ApiKey::RemoveRaftVoter
            // There are no logins at these listeners; suite `security` has them.
            | ApiKey::SaslHandshake
            | ApiKey::SaslAuthenticate
    )
}

/// Requests without any field cannot be wrong at their lowest versions.
fn cannot_fail(api: ApiKey, version: i16) -> bool {
    match api {
        ApiKey::ListGroups => version <= 2,
        ApiKey::ListTransactions => version <= 1,
        ApiKey::ApiVersions => version <= 2,
        ApiKey::ListConfigResources => version == 0,
        _ => false,
    }
}

fn count<'a>(compared: impl Iterator<Item = &'a Compared>) -> Counts {
    let mut counts = Counts::default();
    for compared in compared {
        counts.asked += 1;
        if compared.differences.is_empty() {
            counts.equal += 1;
        } else if compared.differences.iter().all(|d| d.accepted.is_some()) {
            counts.accepted += 1;
        } else {
            counts.different += 1;
        }
    }
    counts
}

fn lines_of(compared: &Compared) -> Vec<String> {
    let unaccepted = compared.differences.iter().filter(|d| d.accepted.is_none());
    unaccepted
        .map(|d| {
            let (api, version) = (compared.api.name(), compared.version);
            let (scenario, label) = (compared.scenario, &compared.label);
            let (path, kafka, naru) = (&d.path, &d.kafka, &d.naru);
            format!("{api} v{version} {scenario} {label}: {path}: kafka {kafka}, naru {naru}")
        })
        .collect()
}

fn none(wrong: &[String]) -> Result<()> {
    let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
    ensure!(wrong.is_empty(), "{}: {shown}", wrong.len());
    Ok(())
}
