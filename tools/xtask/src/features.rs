//! `cargo xtask features`: the README's table of what works, kept true by the tests that show it.
//!
//! `docs/features.txt` says what each feature is called and which cases show it. The table is made
//! from it, and a whole run of the test command fails if a feature is not shown.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use naru_testkit::outcome::{Outcome, Verdict};

/// What the features are and what shows them.
const LIST: &str = "docs/features.txt";
/// Where the table stands.
const PAGE: &str = "README.md";
const BEGIN: &str = "<!-- features: written by `cargo xtask features --write` -->\n";
const END: &str = "<!-- end of features -->\n";

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Feature {
    name: String,
    standing: Standing,
}

#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// Served; these cases show it.
    Shown(Vec<Proof>),
    /// Not served, and what is there instead.
    Missing(String),
}

/// Cases of a suite whose names contain a text; an empty text is every case.
#[derive(Debug, PartialEq, Eq)]
struct Proof {
    suite: String,
    text: String,
}

/// Says whether the table is what the list says, or writes it.
pub fn command(root: &Path, words: &[&str]) -> Result<ExitCode> {
    match words {
        [] => check(root)?,
        ["--write"] => {
            let page = std::fs::read_to_string(root.join(PAGE))?;
            std::fs::write(root.join(PAGE), with_table(&page, &read(root)?)?)?;
        }
        _ => bail!("usage: cargo xtask features [--write]"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The check that needs no broker: every suite is one, and the table is not stale.
pub fn suite(root: &Path, suites: &[&str], outcome: &mut Outcome) {
    outcome.add_result("the README's table is not stale", &check(root));
    outcome.add_result("every suite that shows a feature is one", &check_suites(root, suites));
}

/// After a whole run: whether each feature was shown by it.
pub fn shown(root: &Path, outcomes: &[Outcome]) -> Outcome {
    let mut outcome = Outcome::new("features");
    match read(root) {
        Ok(features) => features.iter().for_each(|feature| judge(feature, outcomes, &mut outcome)),
        Err(error) => outcome.add_result::<()>(LIST, &Err(error)),
    }
    outcome
}

fn check(root: &Path) -> Result<()> {
    let page = std::fs::read_to_string(root.join(PAGE))?;
    let stale = with_table(&page, &read(root)?)? != page;
    ensure!(!stale, "{PAGE} does not say what {LIST} says: cargo xtask features --write");
    Ok(())
}

fn check_suites(root: &Path, suites: &[&str]) -> Result<()> {
    for feature in read(root)? {
        let Standing::Shown(proofs) = feature.standing else { continue };
        for proof in proofs {
            let known = suites.contains(&proof.suite.as_str());
            ensure!(known, "{}: there is no suite {}", feature.name, proof.suite);
        }
    }
    Ok(())
}

/// A feature is shown if of every proof a case passed and none failed; what cannot run here (a
/// suite that needs root) is no finding.
fn judge(feature: &Feature, outcomes: &[Outcome], outcome: &mut Outcome) {
    let Standing::Shown(proofs) = &feature.standing else { return };
    let mut skipped = None;
    for proof in proofs {
        let suites = outcomes.iter().filter(|outcome| outcome.suite == proof.suite);
        let cases: Vec<_> = suites.flat_map(|outcome| &outcome.cases).collect();
        if !cases.is_empty() && cases.iter().all(|case| case.verdict == Verdict::Skipped) {
            skipped = cases.first().map(|case| case.why.clone());
            continue;
        }
        let matching = cases.iter().filter(|case| case.name.contains(&proof.text));
        let count = |verdict| matching.clone().filter(|case| case.verdict == verdict).count();
        let (passed, failed) = (count(Verdict::Passed), count(Verdict::Failed));
        if failed > 0 || passed == 0 {
            let why = format!(
                "{} \"{}\": {passed} cases passed, {failed} failed",
                proof.suite, proof.text
            );
            return outcome.add(Verdict::Failed, &feature.name, &why);
        }
    }
    match skipped {
        None => outcome.add(Verdict::Passed, &feature.name, ""),
        Some(why) => outcome.add(Verdict::Skipped, &feature.name, &why),
    }
}

fn read(root: &Path) -> Result<Vec<Feature>> {
    parse(&std::fs::read_to_string(root.join(LIST)).context(LIST)?)
}

/// A feature is a line; the indented lines below it are `suite` or `suite: text`, or `- why not`.
fn parse(text: &str) -> Result<Vec<Feature>> {
    let mut features: Vec<Feature> = Vec::new();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    for line in lines {
        let Some(below) = line.strip_prefix("  ") else {
            features.push(Feature { name: line.to_owned(), standing: Standing::Shown(Vec::new()) });
            continue;
        };
        let feature = features.last_mut().context("the first line is indented")?;
        if let Some(why) = below.strip_prefix("- ") {
            feature.standing = Standing::Missing(why.to_owned());
            continue;
        }
        let (suite, text) = below.split_once(": ").unwrap_or((below, ""));
        let proof = Proof { suite: suite.trim().to_owned(), text: text.trim().to_owned() };
        match &mut feature.standing {
            Standing::Shown(proofs) => proofs.push(proof),
            Standing::Missing(_) => bail!("{}: missing, and shown by {line}", feature.name),
        }
    }
    for feature in &features {
        let empty = feature.standing == Standing::Shown(Vec::new());
        ensure!(!empty, "{}: neither shown by anything nor missing", feature.name);
    }
    Ok(features)
}

fn table(features: &[Feature]) -> String {
    let mut text = String::from("| | | shown by |\n|---|---|---|\n");
    for Feature { name, standing } in features {
        let (state, shown_by) = match standing {
            Standing::Missing(why) => (why.as_str(), String::new()),
            Standing::Shown(proofs) => {
                let mut suites: Vec<&str> = Vec::new();
                for proof in proofs {
                    if !suites.contains(&proof.suite.as_str()) {
                        suites.push(&proof.suite);
                    }
                }
                ("yes", suites.join(", "))
            }
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "| {name} | {state} | {shown_by} |");
    }
    text
}

fn with_table(page: &str, features: &[Feature]) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("the page has no beginning of a table")?;
    let (_, after) = rest.split_once(END).context("the page has no end of the table")?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", table(features)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a remark\nTopics\n  kcat\n  java-client: admin.\n\nMoon\n  - not yet\n";

    fn outcome(suite: &str, cases: &[(Verdict, &str)]) -> Outcome {
        let mut outcome = Outcome::new(suite);
        cases.iter().for_each(|(verdict, name)| outcome.add(*verdict, name, ""));
        outcome
    }

    fn verdicts(outcomes: &[Outcome]) -> Vec<Verdict> {
        let mut judged = Outcome::new("features");
        parse(TEXT).unwrap().iter().for_each(|feature| judge(feature, outcomes, &mut judged));
        judged.cases.iter().map(|case| case.verdict).collect()
    }

    #[test]
    fn a_feature_is_shown_if_every_proof_passed() {
        let kcat = outcome("kcat", &[(Verdict::Passed, "x")]);
        let java = outcome("java-client", &[(Verdict::Passed, "admin.x"), (Verdict::Failed, "y")]);
        assert_eq!(verdicts(&[kcat, java]), [Verdict::Passed]);
    }

    #[test]
    fn a_proof_without_cases_or_with_a_failed_one_is_none() {
        let kcat = || outcome("kcat", &[(Verdict::Passed, "x")]);
        let other = outcome("java-client", &[(Verdict::Passed, "y")]);
        assert_eq!(verdicts(&[kcat(), other]), [Verdict::Failed]);
        let broken = outcome("java-client", &[(Verdict::Failed, "admin.x")]);
        assert_eq!(verdicts(&[kcat(), broken]), [Verdict::Failed]);
    }

    #[test]
    fn the_table_replaces_what_stood_there() {
        let features = parse(TEXT).unwrap();
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        let new = with_table(&page, &features).unwrap();
        assert!(new.contains("| Topics | yes | kcat, java-client |\n| Moon | not yet |  |\n"));
        assert_eq!(with_table(&new, &features).unwrap(), new);
        assert!(with_table("no table", &features).is_err());
    }

    #[test]
    fn a_feature_that_nothing_shows_is_refused() {
        assert!(parse("Topics\n").is_err());
        assert!(parse("  kcat\n").is_err());
    }
}
