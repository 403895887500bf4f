//! Subscriptions by pattern: RE2's language, matched against whole topic names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::Timestamp;
use regex::{Regex, RegexBuilder};

use super::error::ConsumerError;
use super::facts::ResolvedRegex;
use super::topics::{Topics, Viewer};

/// Refuses a pattern that is none.
pub(crate) fn validate(regex: &str) -> Result<(), ConsumerError> {
    validate_pattern(regex).map_err(|reason| ConsumerError::InvalidRegularExpression {
        regex: regex.to_owned(),
        reason,
    })
}

/// Whether members may subscribe by this pattern; if not, why, in RE2's words.
///
/// # Errors
/// What is wrong with it.
pub fn validate_pattern(regex: &str) -> Result<(), String> {
    compile(regex).map(|_| ())
}

/// The topics that each pattern stands for. One resolution is for the whole group: what whoever
/// asked for it may not describe is in none, as in Apache Kafka.
pub(crate) fn resolve<'r>(
    regexes: impl Iterator<Item = &'r String>,
    topics: &dyn Topics,
    viewer: Option<&Viewer>,
    now: Timestamp,
) -> BTreeMap<Arc<str>, ResolvedRegex> {
    // A pattern out of the log that is none here stands for nothing.
    let mut resolved: Vec<(Arc<str>, Option<Regex>, BTreeSet<String>)> = regexes
        .map(|regex| (Arc::from(regex.as_str()), compile(regex).ok(), BTreeSet::new()))
        .collect();
    topics.for_each_name(&mut |name| {
        // Asked once a topic, and only of those that match.
        let mut visible = None;
        for (_, compiled, matched) in &mut resolved {
            if compiled.as_ref().is_some_and(|compiled| compiled.is_match(name))
                && *visible.get_or_insert_with(|| {
                    viewer.is_none_or(|viewer| topics.may_describe(viewer, name))
                })
            {
                matched.insert(name.to_owned());
            }
        }
    });
    let (version, timestamp) = (topics.version(), now.get());
    let entry = |(regex, _, topics)| (regex, ResolvedRegex { topics, version, timestamp });
    resolved.into_iter().map(entry).collect()
}

fn compile(regex: &str) -> Result<Regex, String> {
    // By itself first: brackets must close inside of what the client wrote.
    build(regex)?;
    build(&format!("^(?:{regex})$"))
}

fn build(regex: &str) -> Result<Regex, String> {
    RegexBuilder::new(regex).size_limit(COMPILED_BYTES_MAX).build().map_err(|error| {
        let text = error.to_string();
        // The library draws the pattern and points at the place; the last line says what is wrong.
        let last = text.lines().last().unwrap_or_default();
        as_re2_says(last.trim_start_matches("error: ")).to_owned()
    })
}

/// What RE2 says where the library says something else.
fn as_re2_says(text: &str) -> &str {
    const SAME: &[(&str, &str)] = &[
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("unclosed character class", "missing closing ]"),
        ("repetition operator missing", "missing argument to repetition operator"),
        ("look-around", "invalid or unsupported Perl syntax"),
        ("unrecognized flag", "invalid or unsupported Perl syntax"),
        ("unrecognized escape", "invalid escape sequence"),
        ("backreferences", "invalid escape sequence"),
        ("incomplete escape", "trailing backslash at end of expression"),
        ("invalid character class range", "invalid character class range"),
        ("invalid repetition count", "invalid repeat count"),
    ];
    let known = SAME.iter().find(|(ours, _)| text.starts_with(ours));
    known.map_or_else(|| text.trim_end_matches('.'), |(_, re2)| re2)
}

/// Memory of one compiled pattern.
const COMPILED_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_and_bad_ones_are_refused() {
        let matches = |regex: &str, name: &str| compile(regex).expect("valid").is_match(name);
        assert!(matches("foo|bar.*", "bar-1"));
        assert!(!matches("foo|bar.*", "xfoo"));
        assert!(!matches("foo", "foo1"));
        assert!(compile("[a").is_err());
        assert!(compile("a)(b").is_err());
        let refused = |regex: &str| compile(regex).expect_err("invalid");
        assert_eq!(refused("(?=a)"), "invalid or unsupported Perl syntax");
        assert_eq!(refused("(a"), "missing closing )");
        assert_eq!(refused("*a"), "missing argument to repetition operator");
    }
}
