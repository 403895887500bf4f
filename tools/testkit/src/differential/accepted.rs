//! The list of differences that are meant, each with its reason.
//!
//! A line is `API VERSIONS | CASE | PATH | REASON`; VERSIONS is `3`, `3-5` or `*`, CASE (scenario
//! and label) and PATH may hold `*` for any text. Lines that begin with `#` and empty lines say
//! nothing.

use anyhow::{Context as _, Result, bail};

use super::compare::{Compared, SAYS_NOTHING};

#[derive(Debug)]
pub struct Rule {
    pub api: String,
    pub versions: (i16, i16),
    pub case: String,
    pub path: String,
    pub reason: String,
}

#[derive(Debug, Default)]
pub struct Accepted(pub Vec<Rule>);

impl Accepted {
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        Ok(Self(lines.map(rule).collect::<Result<_>>()?))
    }

    /// Marks the differences that are meant.
    pub fn judge(&self, compared: &mut Compared) {
        let case = format!("{} {}", compared.scenario, compared.label);
        for difference in &mut compared.differences {
            difference.accepted = self.0.iter().position(|rule| {
                matches(&rule.api, compared.api.name())
                    && (rule.versions.0..=rule.versions.1).contains(&compared.version)
                    && matches(&rule.case, &case)
                    && is_about(&rule.path, &difference.path)
            });
        }
    }
}

fn rule(line: &str) -> Result<Rule> {
    let parts: Vec<&str> = line.splitn(4, " | ").map(str::trim).collect();
    let [which, case, path, reason] = parts[..] else {
        bail!("not `API VERSIONS | CASE | PATH | REASON`: {line}")
    };
    let (api, versions) = which.split_once(' ').with_context(|| line.to_owned())?;
    let versions = match versions.split_once('-') {
        _ if versions == "*" => (i16::MIN, i16::MAX),
        Some((low, high)) => (low.parse()?, high.parse()?),
        None => (versions.parse()?, versions.parse()?),
    };
    let (api, case) = (api.to_owned(), case.to_owned());
    Ok(Rule { api, versions, case, path: path.to_owned(), reason: reason.to_owned() })
}

/// A text that Kafka leaves out is named by its path as well as by that.
fn is_about(pattern: &str, path: &str) -> bool {
    let bare = path.strip_suffix(SAYS_NOTHING);
    matches(pattern, path) || bare.is_some_and(|bare| matches(pattern, bare))
}

/// Whether `text` is `pattern`, whose `*` stand for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.into_iter().any(|at| matches(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("*", "") && matches("a*c", "abc") && matches("a*", "a"));
        assert!(matches("t[*].e", "t[x].e") && !matches("t[*].e", "t[x].f"));
        assert!(!matches("a", "ab"));
    }

    #[test]
    fn a_text_that_kafka_leaves_out_can_be_named_as_such() {
        let path = format!("t[x].error_message{SAYS_NOTHING}");
        assert!(is_about("t[*].error_message", &path));
        assert!(is_about("*error_message (Kafka: nothing)", &path));
        assert!(!is_about("*error_message (Kafka: nothing)", "t[x].error_message"));
    }

    #[test]
    fn a_line_without_a_reason_is_refused() {
        assert!(Accepted::parse("# note\n\nFetch 4-5 | * | a.b | because").is_ok());
        assert!(Accepted::parse("Fetch 4-5 | * | a.b").is_err());
    }
}
