//! Which foreign cases wait for a later step of the project, and why (`foreign/later.txt`).
//!
//! The list only ever shrinks: serving a feature means deleting its lines. A program gets the lines
//! of its own suite as a file of `pattern TAB reason`, and answers SKIP for a case that matches.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, bail};

const LIST: &str = include_str!("../foreign/later.txt");

/// A case pattern (a regular expression that Java, Python, JavaScript, Go and grep -E all read)
/// and the reason why its cases do not run yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Later<'a> {
    pub pattern: &'a str,
    pub reason: &'a str,
}

/// Writes the lines for `suite` to `file`.
pub fn write_list(suite: &str, file: &Path) -> Result<()> {
    let mut text = String::new();
    for later in lines_of(LIST, suite)? {
        let _ = writeln!(text, "{}\t{}", later.pattern, later.reason);
    }
    Ok(std::fs::write(file, text)?)
}

/// The reason why a case of a suite of this crate waits, if it does.
///
/// These patterns are plain text in which a `.` stands for a space.
pub fn reason(suite: &str, case: &str) -> Result<Option<String>> {
    let name = case.replace(' ', ".");
    let found = lines_of(LIST, suite)?.into_iter().find(|later| name.contains(later.pattern));
    Ok(found.map(|later| later.reason.to_owned()))
}

fn lines_of<'a>(list: &'a str, suite: &str) -> Result<Vec<Later<'a>>> {
    let mut here = false;
    let mut found = Vec::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            here = name == suite;
        } else if let Some((pattern, reason)) = line.split_once(char::is_whitespace) {
            if here {
                found.push(Later { pattern, reason: reason.trim() });
            }
        } else {
            bail!("a line of the list without a reason: {line:?}");
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_gets_its_own_lines() {
        let list = "# c\n[a]\n^x.y  no z yet\n[b]\nq  r\n";
        let found = lines_of(list, "a").unwrap();
        assert_eq!(found, [Later { pattern: "^x.y", reason: "no z yet" }]);
    }

    #[test]
    fn a_line_needs_a_reason() {
        assert!(lines_of("[a]\npattern\n", "a").is_err());
    }

    #[test]
    fn the_committed_list_is_readable_and_every_section_is_a_suite() {
        for line in LIST.lines().filter(|line| line.starts_with('[')) {
            let name = line.trim_matches(['[', ']']);
            let suite = name.trim_end_matches("/apache");
            let known =
                crate::foreign::find(suite).is_some() || crate::scenario::find(suite).is_some();
            assert!(known, "no suite is called {suite}");
            assert!(!lines_of(LIST, name).unwrap().is_empty(), "{name} has no lines");
        }
    }
}
